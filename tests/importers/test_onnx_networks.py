"""Whole networks of the kinds that exporters write: float-equal to onnxruntime, and exact in every code that carries them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from exact_runs import logit_mismatches
from onnx import TensorProto, numpy_helper
from onnx_models import Net, check

from snnport.errors import PassFailed, UnsupportedNode
from snnport.flow.convert import ConvertOptions, convert_graph
from snnport.graph import shapes, the_input
from snnport.importers.onnx import read_onnx

CODES = ("gate", "ramp", "ttfs", "delay", "graded")
Made = tuple[Net, str]


def ints(n: Net, *values: int) -> str:
    return n.const(values, np.int64)


def conv(n: Net, x: str, inputs: int, outputs: int, k: int = 3, group: int = 1, pad: int = 1, stride: int = 1) -> str:
    weight = n.const(n.rng.normal(0, 1 / np.sqrt(inputs * k * k / group), (outputs, inputs // group, k, k)))
    return n.op("Conv", x, weight, n.normal(outputs), pads=[pad] * 4, strides=[stride] * 2, group=group)


def norm(n: Net, x: str, channels: int) -> str:
    variance = n.const(n.rng.uniform(0.5, 2, channels))
    return n.op("BatchNormalization", x, *(n.normal(channels) for _ in range(3)), variance)


def relu(n: Net, x: str) -> str:
    return n.op("Relu", x)


def head(n: Net, y: str, features: int) -> Made:
    return n, n.op("Gemm", n.op("Flatten", y), n.normal(features, 3), n.normal(3))


def pick(n: Net, x: str, axes: tuple[int, ...], starts: tuple[int, ...], ends: tuple[int, ...], step: int = 1) -> str:
    return n.op("Slice", x, ints(n, *starts), ints(n, *ends), ints(n, *axes), ints(n, *[step] * len(axes)))


def concat() -> Made:
    n = Net((3, 6, 6))
    a = relu(n, conv(n, "x", 3, 4))
    b = relu(n, conv(n, a, 4, 5, 1, pad=0))
    return head(n, relu(n, conv(n, n.op("Concat", a, b, "x", axis=1), 12, 4)), 144)


def concat_pool() -> Made:
    """DenseNet's order: join, norm, rectify; then pooling and a depthwise convolution of the join."""
    n = Net((3, 6, 6))
    a = relu(n, conv(n, "x", 3, 4))
    y = relu(n, norm(n, n.op("Concat", a, conv(n, a, 4, 5, 1, pad=0), axis=1), 9))
    y = n.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    return head(n, relu(n, conv(n, y, 9, 9, 2, 9)), 144)


def shuffle() -> Made:
    n = Net((4, 6, 6))
    kept = n.op("Split", relu(n, conv(n, "x", 4, 4)), axis=1, outputs=2)
    moved = relu(n, conv(n, n.nodes[-1].output[1], 2, 2, 3, 2))
    y = n.op("Reshape", n.op("Concat", kept, moved, axis=1), ints(n, 0, 2, 2, 6, 6))
    y = n.op("Reshape", n.op("Transpose", y, perm=[0, 2, 1, 3, 4]), ints(n, 0, 4, 6, 6))
    return head(n, relu(n, conv(n, conv(n, y, 4, 4, 3, 4), 4, 3, 1, pad=0)), 108)


def option_a() -> Made:
    n = Net((3, 6, 6))
    a = relu(n, conv(n, "x", 3, 4))
    short = n.op("Pad", pick(n, a, (2, 3), (0, 0), (99, 99), 2), ints(n, 0, 2, 0, 0, 0, 2, 0, 0))
    return head(n, relu(n, n.op("Add", short, conv(n, a, 4, 8, stride=2))), 72)


def focus() -> Made:
    n = Net((2, 8, 8))
    parts = [pick(n, "x", (2, 3), (i, j), (99, 99), 2) for i in (0, 1) for j in (0, 1)]
    return head(n, relu(n, conv(n, n.op("Concat", *parts, axis=1), 8, 4)), 64)


def crop() -> Made:
    n = Net((2, 8, 8))
    y = pick(n, relu(n, conv(n, "x", 2, 3, pad=0)), (2, 3), (1, 2), (5, 6))
    return head(n, relu(n, conv(n, y, 3, 4, pad=0)), 16)


def borders() -> Made:
    """Reflected and repeated borders, and a crop of zeros that a convolution pads again."""
    n = Net((2, 5, 5))
    y = n.op("Pad", "x", ints(n, 0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    y = n.op("Pad", relu(n, conv(n, y, 2, 3, pad=0)), ints(n, 0, 0, 1, 0, 0, 0, 0, 1), mode="edge")
    y = relu(n, conv(n, y, 3, 3, 2, pad=0))
    y = n.op("Pad", pick(n, y, (2,), (1,), (99,)), ints(n, 0, 0, 1, 0, 0, 0, 0, 0))
    return head(n, relu(n, conv(n, y, 3, 2)), 50)


def zero_pad_max_pool() -> Made:
    n = Net((2, 7, 7))
    y = n.op("Pad", relu(n, conv(n, "x", 2, 3, pad=0)), ints(n, 0, 0, 1, 1, 0, 0, 1, 1))
    return head(n, n.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2]), 27)


def leaky() -> Made:
    n = Net((2, 6, 6))
    y = n.op("LeakyRelu", conv(n, "x", 2, 3, pad=0), alpha=0.1)
    slope = n.const(np.array([0.1, 0.2, 0, -0.3]).reshape(4, 1, 1))
    return head(n, n.op("Abs", conv(n, n.op("PRelu", conv(n, y, 3, 4), slope), 4, 2)), 32)


def leaky_max_pool() -> Made:
    n = Net((2, 6, 6))
    y = n.op("LeakyRelu", conv(n, "x", 2, 3, pad=0), alpha=0.1)
    y = n.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    return head(n, relu(n, conv(n, y, 3, 4)), 16)


def clips() -> Made:
    n = Net((2, 4, 4))
    y = n.op("Clip", conv(n, "x", 2, 3), n.const(-1), n.const(1))
    y = n.op("Clip", conv(n, y, 3, 4), n.const(0.5), n.const(2.0))
    y = n.op("Clip", conv(n, y, 4, 4), n.const(-3.0), n.const(-1))
    y = n.op("Min", n.const(0.9), n.op("Clip", conv(n, y, 4, 4), "", n.const(0.7)))
    return head(n, n.op("Max", conv(n, y, 4, 2), n.const(-0.2)), 32)


def linear_chain() -> Made:
    """Convolutions without a rectifier between them, depthwise and plain."""
    n = Net((2, 5, 5))
    y = relu(n, conv(n, conv(n, "x", 2, 3), 3, 4))
    return head(n, relu(n, conv(n, conv(n, y, 4, 4, 3, 4), 4, 4, 3, 4)), 100)


def norm_before_padding() -> Made:
    n = Net((2, 5, 5))
    y = relu(n, conv(n, norm(n, "x", 2), 2, 3))
    return head(n, relu(n, conv(n, n.op("Add", norm(n, y, 3), n.normal(3, 5, 5)), 3, 3)), 75)


def uneven_average() -> Made:
    n = Net((2, 7, 7))
    y = relu(n, conv(n, "x", 2, 3))
    y = n.op("AveragePool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, ceil_mode=1)
    y = relu(n, conv(n, y, 3, 3))
    return head(n, n.op("AveragePool", y, kernel_shape=[3, 3], pads=[1] * 4), 48)


def tokens() -> Made:
    n = Net((5, 6))
    y = relu(n, n.op("Add", n.op("MatMul", "x", n.normal(6, 4)), n.normal(4)))
    y = relu(n, n.op("MatMul", n.normal(3, 5), y))
    return n, n.op("MatMul", n.op("ReduceMean", y, axes=[1], keepdims=0), n.normal(4, 3))


def two_heads() -> Made:
    n = Net((6,))
    a = relu(n, n.op("Gemm", "x", n.normal(6, 5), n.normal(5)))
    return n, n.op("Concat", n.op("Gemm", a, n.normal(5, 2), n.normal(2)), n.op("Gemm", a, n.normal(5, 3)), axis=1)


def pre_activation() -> Made:
    n = Net((3, 5, 5))
    y = conv(n, "x", 3, 4)
    for _ in range(3):
        y = n.op("Add", y, conv(n, relu(n, norm(n, y, 4)), 4, 4))
    return head(n, n.op("GlobalAveragePool", relu(n, y)), 4)


def max_pool_of_input() -> Made:
    n = Net((3, 6, 6))
    return head(n, relu(n, conv(n, n.op("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2]), 3, 4)), 36)


def blocks() -> Made:
    n = Net((4, 4, 4))
    y = n.op("DepthToSpace", relu(n, conv(n, "x", 4, 4)), blocksize=2, mode="CRD")
    y = n.op("SpaceToDepth", relu(n, conv(n, y, 1, 2)), blocksize=2)
    return head(n, relu(n, conv(n, y, 8, 2)), 32)


def uneven_sum() -> Made:
    """Branches whose values come in different orders, and one that is repeated over the map."""
    n = Net((2, 4, 4))
    a, b = conv(n, "x", 2, 3), conv(n, "x", 2, 3)
    y = n.op("Add", a, n.op("Transpose", b, perm=[0, 1, 3, 2]))
    return head(n, relu(n, n.op("Sub", y, n.op("GlobalAveragePool", a))), 48)


def reductions() -> Made:
    n = Net((3, 4, 4))
    y = relu(n, conv(n, "x", 3, 4))
    over = n.op("ReduceSum", y, ints(n, 1), keepdims=0)
    return n, n.op("Concat", n.op("Flatten", over), n.op("Flatten", n.op("ReduceMean", y, axes=[2])), axis=1)


NETWORKS: tuple[Callable[[], Made], ...] = (
    *(concat, concat_pool, shuffle, option_a, focus, crop, borders, zero_pad_max_pool, leaky, leaky_max_pool, clips),
    *(linear_chain, norm_before_padding, uneven_average, tokens, two_heads, pre_activation, max_pool_of_input, blocks),
    *(uneven_sum, reductions),
)
NOT_BY_DELAY = {
    **dict.fromkeys((concat_pool, zero_pad_max_pool, leaky_max_pool, max_pool_of_input), "max pooling is an OR of spikes only"),
    clips: "the source network clips",
}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_networks_are_read_and_carried_exactly(tmp_path: Path, build: Callable[[], Made], signed: bool) -> None:
    net, output = build()
    imported = check(net, output, tmp_path)
    x = np.random.default_rng(1).uniform(-1 if signed else 0, 1, (5, *shapes(imported.graph)[the_input(imported.graph)]))
    for code in CODES if signed else ("gate", "graded"):
        levels = 0 if code == "graded" else 5
        options = ConvertOptions(code=code, levels=levels, correction="off")
        if code == "delay" and build in NOT_BY_DELAY:
            with pytest.raises(PassFailed, match=NOT_BY_DELAY[build]):
                convert_graph(imported, x, "test", options)
        else:
            assert logit_mismatches(convert_graph(imported, x, "test", options).graph, x) == 0, code


# ------------------------------------------------------------------------------------------------- what exporters write


def test_shapes_computed_in_the_file(tmp_path: Path) -> None:
    """PyTorch's legacy exporter: x.view(x.size(0), -1) as Shape, Gather, Unsqueeze and Concat; weights as Constant nodes."""
    n = Net((2, 4, 4), 11)
    y = relu(n, conv(n, "x", 2, 3))
    batch = n.op("Gather", n.op("Shape", y), n.op("Constant", value=numpy_helper.from_array(np.array(0))), axis=0)
    rest = n.op("Constant", value=numpy_helper.from_array(np.array([-1])))
    y = n.op("Reshape", y, n.op("Concat", n.op("Unsqueeze", batch, axes=[0]), rest, axis=0))
    weight = n.op("Constant", value=numpy_helper.from_array(n.rng.normal(size=(3, 48)).astype(np.float32)))
    check(n, n.op("MatMul", y, n.op("Transpose", weight, perm=[1, 0])), tmp_path)


def test_nhwc_as_tensorflow_exports_it(tmp_path: Path) -> None:
    """tf2onnx: transposed at both ends, padding asymmetric, ReLU6 as Min and Relu, the mean by axes, a bias in NHWC."""
    n = Net((9, 9, 3), 13)
    y = n.op("Transpose", n.op("Sub", "x", n.normal(3)), perm=[0, 3, 1, 2])
    y = n.op("Conv", y, n.normal(4, 3, 3, 3), n.normal(4), strides=[2, 2], auto_pad="SAME_UPPER")
    y = n.op("Min", relu(n, y), n.const(6.0))
    y = n.op("Add", n.op("Transpose", y, perm=[0, 2, 3, 1]), n.normal(4))
    y = n.op("ReduceMean", relu(n, y), axes=[1, 2], keepdims=0)
    n2 = n.op("Add", n.op("MatMul", y, n.normal(4, 3)), n.normal(1, 3))
    assert check(n, n.op("Identity", n2), tmp_path).input_layout == "nhwc"


def test_keras_padding_nodes(tmp_path: Path) -> None:
    """Keras writes ZeroPadding2D as Pad, in NHWC, and SeparableConv2D as two convolutions without a rectifier between."""
    n = Net((8, 8, 3), 13)
    y = n.op("Pad", "x", ints(n, 0, 1, 1, 0, 0, 2, 2, 0), n.const(0.0))
    y = conv(n, n.op("Transpose", y, perm=[0, 3, 1, 2]), 3, 4, pad=0)
    y = conv(n, relu(n, norm(n, y, 4)), 4, 4, 3, 4)
    y = relu(n, conv(n, y, 4, 5, 1, pad=0))
    y = n.op("Flatten", n.op("Transpose", y, perm=[0, 2, 3, 1]))
    check(n, n.op("Gemm", y, n.normal(405, 3), n.normal(3)), tmp_path)


def test_scikit_learn_mlp(tmp_path: Path) -> None:
    """skl2onnx: Cast, MatMul and Add in turn, Softmax, ArgMax."""
    n = Net((8,), 12)
    y = n.op("Cast", "x", to=TensorProto.FLOAT)
    for inputs, outputs in ((8, 6), (6, 5)):
        y = relu(n, n.op("Add", n.op("MatMul", y, n.normal(inputs, outputs)), n.normal(1, outputs)))
    logits = n.op("Add", n.op("MatMul", y, n.normal(5, 3)), n.normal(1, 3))
    y = n.op("Cast", n.op("ArgMax", n.op("Softmax", logits, axis=1), axis=1), to=TensorProto.INT32)
    check(n, n.op("Reshape", y, ints(n, -1)), tmp_path, tail=logits)


def test_inception_and_squeezenet(tmp_path: Path) -> None:
    n = Net((3, 8, 8), 13)
    y = relu(n, conv(n, "x", 3, 6))
    pooled = n.op("AveragePool", y, kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1])
    branches = [relu(n, conv(n, y, 6, 2, 1, pad=0)), relu(n, conv(n, y, 6, 3)), relu(n, conv(n, pooled, 6, 2, 1, pad=0))]
    y = n.op("MaxPool", n.op("Concat", *branches, axis=1), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    squeezed = relu(n, conv(n, y, 7, 2, 1, pad=0))
    y = n.op("Concat", relu(n, conv(n, squeezed, 2, 3, 1, pad=0)), relu(n, conv(n, squeezed, 2, 3)), axis=1)
    y = n.op("GlobalAveragePool", relu(n, conv(n, n.op("Dropout", y), 6, 4, 1, pad=0)))
    logits = n.op("Squeeze", y, ints(n, 2, 3))
    check(n, n.op("Softmax", logits, axis=1), tmp_path, tail=logits)


def test_weights_of_eight_bits_are_read_as_what_they_stand_for(tmp_path: Path) -> None:
    n = Net((2, 5, 5), 13)
    codes = n.const(n.rng.integers(-127, 128, (3, 2, 3, 3)), np.int8)
    scale, zero = n.const(n.rng.uniform(0.01, 0.02, 3)), n.const(np.zeros(3), np.int8)
    weight = n.op("DequantizeLinear", codes, scale, zero, axis=0)
    y = relu(n, n.op("Conv", "x", weight))
    check(n, head(n, y, 27)[1], tmp_path)
    net = Net((4,), 13)
    y = net.op("DequantizeLinear", net.op("QuantizeLinear", "x", net.const(0.1)), net.const(0.1))
    (tmp_path / "q.onnx").write_bytes(net.model(net.op("Relu", y)).SerializeToString())
    with pytest.raises(UnsupportedNode, match="Export the float model: quantisation is done here"):
        read_onnx(tmp_path / "q.onnx")


FOLDED = {
    "Pow": ((np.float32, [2.0, 3.0]), (np.float32, [2.0])),
    "Mod": ((np.int64, [7]), (np.int64, [4])),
    "Max": ((np.float32, [1.0]), (np.float32, [3.0])),
    "Where": ((np.bool_, [True, False]), (np.float32, [1.0, 1.0]), (np.float32, [2.0, 2.0])),
    "Equal": ((np.int64, [1]), (np.int64, [1])),
    "Not": ((np.bool_, [False]),),
    "Floor": ((np.float32, [1.5]),),
    "Exp": ((np.float32, [0.0]),),
}


@pytest.mark.parametrize("kind", FOLDED)
def test_constants_are_computed_on_reading(tmp_path: Path, kind: str) -> None:
    n = Net((2,))
    y = n.op(kind, *(n.const(values, dtype) for dtype, values in FOLDED[kind]))
    check(n, n.op("Mul", "x", n.op("Cast", y, to=1)), tmp_path)


def test_ranges_and_products_of_shapes(tmp_path: Path) -> None:
    n = Net((3, 4, 4))
    y = relu(n, conv(n, "x", 3, 4))
    last = n.op("Slice", n.op("Shape", y), ints(n, 1), ints(n, 4))
    size = n.op("ReduceProd", last, keepdims=1)
    y = n.op("Reshape", y, n.op("Concat", ints(n, -1), size, axis=0))
    order = n.op("Range", n.const(0, np.int64), n.op("Size", n.op("ConstantOfShape", size)), n.const(2, np.int64))
    check(n, n.op("Gather", y, order, axis=1), tmp_path)


def test_zero_steps_of_a_range_are_refused(tmp_path: Path) -> None:
    from onnx_models import refuse

    from snnport.errors import InvalidGraph

    n = Net((3,))
    order = n.op("Range", *(n.const(v, np.int64) for v in (0, 3, 0)))
    refuse(tmp_path, n.model(n.op("Gather", "x", order, axis=1)), InvalidGraph, "its step is 0")
    n = Net((3,))
    weight = n.op("DequantizeLinear", n.const(np.ones((3, 3)), np.int8), n.const(np.ones((3, 3))))
    refuse(tmp_path, n.model(n.op("MatMul", "x", weight)), UnsupportedNode, "one along an axis at most is read")


def test_biases_of_every_position_survive_the_file(tmp_path: Path) -> None:
    from snnport.exporters.nir import write_nir
    from snnport.importers.nir import read_nir

    net, output = norm_before_padding()
    imported = check(net, output, tmp_path)
    x = np.random.default_rng(1).uniform(0, 1, (5, 2, 5, 5))
    graph = convert_graph(imported, x, "test", ConvertOptions(levels=5)).graph
    assert max(np.ndim(getattr(node, "bias", 0)) for node in graph.nodes.values()) == 3
    write_nir(graph, tmp_path / "n.nir")
    assert logit_mismatches(read_nir(tmp_path / "n.nir").graph, x) == 0


def test_every_opset(tmp_path: Path) -> None:
    for opset in range(7, 22):
        n = Net((2, 5, 5), opset)
        bound = {"min": 0.0, "max": 3.0} if opset < 11 else {}
        y = n.op("Clip", conv(n, "x", 2, 3), *([] if bound else [n.const(0.0), n.const(3.0)]), **bound)
        axes = {"axes": [2, 3]} if opset < 18 else {}
        y = n.op("ReduceMean", norm(n, y, 3), *([] if axes else [ints(n, 2, 3)]), keepdims=0, **axes)
        check(n, n.op("Gemm", y, n.normal(3, 2), n.normal(2)), tmp_path)
