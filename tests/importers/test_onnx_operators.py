"""Every operator, in its opsets and attributes, against onnxruntime."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import onnx
import pytest
from onnx_models import Net, check, for_graph, run_onnxruntime, samples, save

from snnport.graph import names_of, shapes
from snnport.importers.onnx import read_onnx
from snnport.nodes import BatchNorm, MaxPool2d, ReLU
from snnport.reference import forward


def only(imported, kind):
    (name,) = names_of(imported.graph, kind)
    return imported.graph.nodes[name]


# ------------------------------------------------------------------------------------------------------ convolutions


@pytest.mark.parametrize("opset", [7, 11, 13, 21, 22])
@pytest.mark.parametrize(
    ("weight", "attributes"),
    [
        ((5, 4, 3, 3), {}),
        ((5, 4, 3, 2), {"strides": [2, 1]}),
        ((6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
        ((4, 1, 3, 3), {"group": 4, "dilations": [2, 1]}),
        ((5, 4, 3, 3), {"pads": [1, 0, 1, 0], "dilations": [1, 2]}),
        ((5, 4, 3, 3), {"pads": [0, 2, 1, 0], "strides": [2, 2]}),
        ((5, 4, 3, 2), {"pads": [2, 0, 0, 1], "dilations": [2, 2]}),
        ((4, 2, 2, 2), {"pads": [3, 0, 0, 2], "dilations": [3, 2], "group": 2}),
        ((5, 4, 3, 3), {"auto_pad": "VALID"}),
        ((5, 4, 1, 1), {"strides": [3, 3]}),
    ],
)
def test_conv2d(tmp_path: Path, opset: int, weight: tuple[int, ...], attributes: dict) -> None:
    net = Net((4, 9, 8), opset)
    y = net.op("Conv", "x", net.normal(*weight), net.normal(weight[0]), **attributes)
    node = only(check(net, y, tmp_path), nir.Conv2d)
    assert node.weight.dtype == np.float64


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (4, 3), (1, 5)])
@pytest.mark.parametrize("strides", [[1, 1], [2, 2], [3, 2]])
def test_conv_same(tmp_path: Path, auto_pad: str, kernel: tuple[int, int], strides: list[int]) -> None:
    net = Net((2, 9, 8))
    y = net.op("Conv", "x", net.normal(3, 2, *kernel), auto_pad=auto_pad, strides=strides)
    check(net, y, tmp_path)


@pytest.mark.parametrize(
    ("weight", "attributes"),
    [
        ((5, 4, 3), {}),
        ((6, 2, 3), {"group": 2, "strides": [2], "pads": [1, 1]}),
        ((5, 4, 3), {"pads": [0, 3], "dilations": [2]}),
        ((5, 4, 2), {"auto_pad": "SAME_UPPER"}),
        ((5, 4, 2), {"auto_pad": "SAME_LOWER", "strides": [2]}),
    ],
)
def test_conv1d_is_a_conv2d_of_height_1(tmp_path: Path, weight: tuple[int, ...], attributes: dict) -> None:
    net = Net((4, 11))
    y = net.op("Relu", net.op("Conv", "x", net.normal(*weight), net.normal(weight[0]), **attributes))
    y = net.op("MaxPool", y, kernel_shape=[2], strides=[2])
    y = net.op("Conv", y, net.normal(3, weight[0], 2))
    imported = check(net, net.op("GlobalAveragePool", y), tmp_path)
    assert shapes(imported.graph)["input"] == (4, 1, 11)
    assert all(s[1] == 1 for s in shapes(imported.graph).values() if len(s) == 3)


def test_asymmetric_padding_is_told(tmp_path: Path) -> None:
    net = Net((2, 6, 6))
    y = net.op("Conv", "x", net.normal(3, 2, 3, 3), pads=[0, 0, 1, 1], name="front")
    imported = check(net, y, tmp_path)
    assert imported.repairs == ("front: kernel widened by zeros, so that its padding is the same on both sides",)
    assert only(imported, nir.Conv2d).weight.shape == (3, 2, 4, 4)


def test_float16_and_float64_weights(tmp_path: Path) -> None:
    for dtype in (np.float16, np.float64):
        net = Net((2, 5, 5))
        weight = net.rng.normal(size=(3, 2, 3, 3)).astype(dtype)
        y = net.op("Conv", "x", net.op("Cast", net.const(weight, dtype), to=1))
        node = only(check(net, y, tmp_path), nir.Conv2d)
        np.testing.assert_array_equal(node.weight, weight.astype(np.float32))


# ------------------------------------------------------------------------------------------------------------- dense


@pytest.mark.parametrize("opset", [7, 9, 11, 13])
@pytest.mark.parametrize("attributes", [{}, {"transB": 1}, {"alpha": 0.5, "beta": 2.0, "transB": 1}])
@pytest.mark.parametrize("bias", [(), (1,), (5,), (1, 5)])
def test_gemm(tmp_path: Path, opset: int, attributes: dict, bias: tuple[int, ...]) -> None:
    net = Net((7,), opset)
    weight = net.normal(5, 7) if attributes.get("transB") else net.normal(7, 5)
    check(net, net.op("Gemm", "x", weight, net.normal(*bias), **attributes), tmp_path)


def test_gemm_without_bias(tmp_path: Path) -> None:
    net = Net((7,), 11)
    check(net, net.op("Gemm", "x", net.normal(7, 5)), tmp_path)


@pytest.mark.parametrize("bias", [(5,), (1, 5), (), (1,)])
@pytest.mark.parametrize("swap", [False, True])
def test_matmul_with_bias(tmp_path: Path, bias: tuple[int, ...], swap: bool) -> None:
    net = Net((7,))
    operands = [net.op("MatMul", "x", net.normal(7, 5)), net.normal(*bias)]
    imported = check(net, net.op("Add", *(reversed(operands) if swap else operands)), tmp_path)
    assert set(imported.graph.nodes) == {"input", "matmul2", "output"}
    assert imported.ledger[1].fate == "folded"
    assert imported.ledger[1].into == ("matmul2",)


def test_matmul_keeps_singleton_axes(tmp_path: Path) -> None:
    net = Net((1, 7))
    y = net.op("Add", net.op("MatMul", "x", net.normal(1, 7, 5)), net.normal(1, 1, 5))
    check(net, net.op("MatMul", net.op("Relu", y), net.normal(5, 2)), tmp_path)


# ---------------------------------------------------------------------------------------------------------- pointwise


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
@pytest.mark.parametrize("shape", [(4, 5, 6), (4,), (4, 7)])
def test_batch_normalization(tmp_path: Path, opset: int, shape: tuple[int, ...]) -> None:
    net = Net(shape, opset)
    variance = net.const(net.rng.uniform(0.1, 2, 4))
    y = net.op("BatchNormalization", "x", net.normal(4), net.normal(4), net.normal(4), variance, epsilon=0.01)
    imported = check(net, y, tmp_path)
    assert only(imported, BatchNorm).scale.shape == (4,)


def test_batch_normalization_after_layers_stays_a_node(tmp_path: Path) -> None:
    net = Net((2, 6, 6))
    y = net.op("Conv", "x", net.normal(4, 2, 3, 3))
    ones = net.const(np.ones(4))
    y = net.op("BatchNormalization", y, net.normal(4), net.normal(4), net.normal(4), ones)
    y = net.op("Gemm", net.op("Flatten", y), net.normal(64, 4))
    y = net.op("BatchNormalization", y, net.normal(4), net.normal(4), net.normal(4), ones)
    assert len(names_of(check(net, y, tmp_path).graph, BatchNorm)) == 2


def test_relu_and_clip(tmp_path: Path) -> None:
    for opset, maximum in ((7, 6.0), (7, None), (11, 0.5), (12, None), (13, 6.0)):
        net = Net((3, 4, 4), opset)
        if opset < 11:
            y = net.op("Clip", "x", min=0.0, **({} if maximum is None else {"max": maximum}))
        else:
            y = net.op("Clip", "x", net.const(0), *([] if maximum is None else [net.const(maximum)]))
        assert only(check(net, y, tmp_path), ReLU).maximum == (maximum or float("inf"))
    net = Net((3, 4, 4))
    assert only(check(net, net.op("Relu", "x"), tmp_path), ReLU).maximum == float("inf")


@pytest.mark.parametrize(
    ("kind", "swap"),
    [("Add", False), ("Add", True), ("Sub", False), ("Sub", True), ("Mul", False), ("Mul", True), ("Div", False)],
)
@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 3, 1, 1), (), (1,)])
def test_arithmetic_with_constants_on_maps(tmp_path: Path, kind: str, swap: bool, shape: tuple[int, ...]) -> None:
    net = Net((3, 4, 5))
    constant = net.const(net.rng.uniform(0.5, 2, size=shape))
    y = net.op(kind, *((constant, "x") if swap else ("x", constant)))
    node = only(check(net, y, tmp_path), BatchNorm)
    assert node.scale.shape == node.shift.shape == (3,)


@pytest.mark.parametrize("kind", ["Add", "Mul"])
def test_arithmetic_per_position_on_vectors(tmp_path: Path, kind: str) -> None:
    net = Net((6,))
    check(net, net.op(kind, net.op("Relu", "x"), net.normal(6)), tmp_path)


def test_bias_is_folded_only_where_nothing_else_reads_the_layer(tmp_path: Path) -> None:
    net = Net((2, 5, 5))
    y = net.op("Conv", "x", net.normal(3, 2, 3, 3), name="conv")
    shifted = net.op("Add", y, net.normal(3, 1, 1), name="shift")
    check_both = net.op("Add", net.op("Relu", shifted), net.op("Relu", y))
    imported = check(net, check_both, tmp_path)
    assert isinstance(imported.graph.nodes["shift"], BatchNorm)
    assert not imported.graph.nodes["conv"].bias.any()


def test_subtraction_goes_into_the_bias(tmp_path: Path) -> None:
    net = Net((2, 5, 5))
    y = net.op("Sub", net.op("Conv", "x", net.normal(3, 2, 3, 3)), net.normal(3, 1, 1))
    assert set(check(net, y, tmp_path).graph.nodes) == {"input", "conv2", "output"}


# ------------------------------------------------------------------------------------------------------------ pooling


@pytest.mark.parametrize("opset", [7, 8, 10, 12, 22])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 2, 0]},
        {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [3, 4], "strides": [2, 3], "auto_pad": "SAME_LOWER"},
        {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "VALID"},
    ],
)
def test_max_pool(tmp_path: Path, opset: int, attributes: dict) -> None:
    net = Net((3, 9, 8), opset)
    check(net, net.op("MaxPool", "x", **attributes), tmp_path)


@pytest.mark.parametrize("size", [5, 6, 7, 8, 9])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [(2, 2, 0), (3, 2, 1), (3, 3, 1), (2, 3, 1), (3, 2, 0), (1, 2, 0)])
def test_max_pool_ceil_mode(tmp_path: Path, size: int, kernel: int, stride: int, pad: int) -> None:
    net = Net((2, size, 7), 12)
    y = net.op("MaxPool", "x", kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, ceil_mode=1)
    check(net, y, tmp_path)


def test_max_pool_with_padding_that_no_window_reaches(tmp_path: Path) -> None:
    """PyTorch writes ceil_mode as pads [1, 3] for opset 9; onnxruntime wants less padding than kernel and takes [1, 2]."""
    net = Net((3, 20), 9)
    y = net.op("MaxPool", "x", kernel_shape=[3], strides=[2], pads=[1, 3])
    imported = read_onnx(save(net.model(y), tmp_path))
    net.nodes.clear()
    y = net.op("MaxPool", "x", kernel_shape=[3], strides=[2], pads=[1, 2])
    x = samples(net)
    found = forward(imported.graph, for_graph(imported, x)).reshape(3, 3, -1)
    np.testing.assert_array_equal(found, run_onnxruntime(net.model(y), x))


@pytest.mark.parametrize("opset", [7, 10, 11, 19, 22])
@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"kernel_shape": [2, 2], "strides": [2, 2]}, nir.AvgPool2d),
        ({"kernel_shape": [3, 2], "strides": [1, 2]}, nir.AvgPool2d),
        ({"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, nir.AvgPool2d),
        ({"kernel_shape": [3, 3], "strides": [2, 3], "pads": [0, 1, 1, 0], "count_include_pad": 1}, nir.Conv2d),
        ({"kernel_shape": [3, 3], "strides": [3, 4], "pads": [0, 0, 1, 1]}, nir.AvgPool2d),
        ({"kernel_shape": [3, 2], "strides": [3, 2], "auto_pad": "SAME_UPPER"}, nir.AvgPool2d),
    ],
)
def test_average_pool(tmp_path: Path, opset: int, attributes: dict, kind: type) -> None:
    net = Net((3, 9, 8), opset)
    assert only(check(net, net.op("AveragePool", "x", **attributes), tmp_path), kind) is not None


def test_average_pool_with_one_smaller_divisor_is_a_convolution(tmp_path: Path) -> None:
    net = Net((3, 2, 2))
    y = net.op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    assert only(check(net, y, tmp_path), nir.Conv2d).weight[0, 0, 0, 0] == 0.25


def test_average_pool_ceil_mode_without_effect(tmp_path: Path) -> None:
    net = Net((3, 8, 8))
    y = net.op("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    assert only(check(net, y, tmp_path), nir.AvgPool2d) is not None


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 7)])
def test_global_pool(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    net = Net(shape)
    y = net.op("Gemm", net.op("Flatten", net.op(kind, "x")), net.normal(4, 3))
    imported = check(net, y, tmp_path)
    assert names_of(imported.graph, nir.AvgPool2d if kind == "GlobalAveragePool" else MaxPool2d)


@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2], [3, 2]])
@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax"])
def test_reduction_over_the_map_is_global_pooling(
    tmp_path: Path, opset: int, keepdims: int, axes: list[int], kind: str
) -> None:
    net = Net((4, 5, 6), opset)
    if opset < 18:
        y = net.op(kind, "x", axes=axes, keepdims=keepdims)
    else:
        y = net.op(kind, "x", net.const(axes, np.int64), keepdims=keepdims)
    y = net.op("Gemm", net.op("Flatten", y), net.normal(4, 3))
    assert names_of(check(net, y, tmp_path).graph, nir.AvgPool2d if kind == "ReduceMean" else MaxPool2d)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_reduce_mean_in_nhwc_and_1d(tmp_path: Path, keepdims: int) -> None:
    net = Net((2, 5, 6))
    y = net.op("Relu", net.op("Conv", "x", net.normal(4, 2, 3, 3)))
    y = net.op("ReduceMean", net.op("Transpose", y, perm=[0, 2, 3, 1]), axes=[1, 2], keepdims=keepdims)
    check(net, net.op("Gemm", net.op("Flatten", y), net.normal(4, 3)), tmp_path)
    net = Net((2, 9))
    y = net.op("ReduceMean", net.op("Conv", "x", net.normal(4, 2, 3)), axes=[2], keepdims=keepdims)
    check(net, net.op("Gemm", net.op("Flatten", y), net.normal(4, 3)), tmp_path)


# -------------------------------------------------------------------------------------------------------------- tails


@pytest.mark.parametrize("opset", [7, 11, 13])
@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_softmax_at_the_end_is_left_out(tmp_path: Path, opset: int, kind: str) -> None:
    net = Net((6,), opset)
    logits = net.op("Gemm", "x", net.normal(6, 4), net.normal(4))
    y = net.op("Identity", net.op(kind, logits, axis=1))
    imported = check(net, y, tmp_path, tail=logits)
    assert imported.ledger[1].fate == "dropped"
    assert "arg max stay the same" in imported.ledger[1].why


@pytest.mark.parametrize("opset", [11, 13])
def test_arg_max_at_the_end_is_left_out(tmp_path: Path, opset: int) -> None:
    net = Net((6,), opset)
    logits = net.op("Gemm", "x", net.normal(6, 4), net.normal(4))
    y = net.op("Cast", net.op("ArgMax", net.op("Softmax", logits), axis=1, keepdims=0), to=6)
    imported = check(net, y, tmp_path, tail=logits)
    assert [e.fate for e in imported.ledger] == ["became", "dropped", "dropped", "dropped"]
    x = samples(net, 40)
    found = forward(imported.graph, for_graph(imported, x)).argmax(axis=1)
    model = net.model(y)
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    np.testing.assert_array_equal(found, run_onnxruntime(model, x))


# ------------------------------------------------------------------------------------------------------- dropout, cast


@pytest.mark.parametrize("opset", [7, 10, 12, 13])
def test_dropout_identity_and_cast_pass_on(tmp_path: Path, opset: int) -> None:
    net = Net((2, 5, 5), opset)
    y = net.op("Dropout", net.op("Conv", "x", net.normal(3, 2, 3, 3)), outputs=2)
    net.nodes[-1].output[1] = ""
    y = net.op("Cast", net.op("Identity", y), to=1)
    y = net.op("Relu", y, name="last")
    imported = check(net, y, tmp_path)
    assert [e.into for e in imported.ledger[1:4]] == [("last",)] * 3


def test_integer_input_is_cast_to_float(tmp_path: Path) -> None:
    net = Net((1, 4, 4))
    y = net.op("Div", net.op("Cast", "x", to=1), net.const(255.0))
    model = net.model(net.op("Conv", y, net.normal(2, 1, 3, 3)))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    x = np.random.default_rng(0).integers(0, 256, (3, 1, 4, 4), np.uint8)
    imported = read_onnx(save(model, tmp_path))
    np.testing.assert_allclose(forward(imported.graph, x), run_onnxruntime(model, x), atol=1e-5)
