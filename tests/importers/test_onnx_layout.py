"""Order and shape of values, sums, names, constants and the ledger, against onnxruntime."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import BOUND, Net, check, run_onnxruntime, samples, save

from snnport.graph import names_of, predecessors, shapes, successors
from snnport.importers.onnx import read_onnx
from snnport.nodes import BatchNorm
from snnport.reference import forward


def conv_net(opset: int = 13, batch: str | int = "N") -> tuple[Net, str]:
    """A convolution to a map (3, 4, 5)."""
    net = Net((2, 6, 7), opset, batch)
    return net, net.op("Relu", net.op("Conv", "x", net.normal(3, 2, 3, 3), net.normal(3)))


# ----------------------------------------------------------------------------------------------------------- reshape


@pytest.mark.parametrize("target", [[0, -1], [-1, 60], [0, 60], [0, 3, 20], [0, 0, -1], [0, 3, 4, 5], [1, 60], [1, -1]])
def test_reshape_with_open_batch(tmp_path: Path, target: list[int]) -> None:
    net, y = conv_net(batch="N" if target[0] != 1 else 1)
    y = net.op("Reshape", y, net.const(target, np.int64))
    y = net.op("Gemm", net.op("Flatten", y), net.normal(60, 4))
    check(net, y, tmp_path)


@pytest.mark.parametrize("target", [[10, 60], [10, -1], [-1, 60], [0, -1], [10, 3, 20]])
def test_reshape_with_fixed_batch(tmp_path: Path, target: list[int]) -> None:
    net, y = conv_net(batch=10)
    y = net.op("Reshape", y, net.const(target, np.int64))
    y = net.op("Gemm", net.op("Flatten", y), net.normal(60, 4))
    assert shapes(check(net, y, tmp_path).graph)["output"] == (4,)


@pytest.mark.parametrize("batch", ["N", 1, 4, 0])
def test_every_batch_size(tmp_path: Path, batch: str | int) -> None:
    net, y = conv_net(batch=batch)
    y = net.op("Gemm", net.op("Flatten", y), net.normal(60, 4))
    if batch == 0:
        model = net.model(y)
        assert shapes(read_onnx(save(model, tmp_path)).graph)["input"] == (2, 6, 7)
        model.graph.input[0].type.tensor_type.shape.dim[0].Clear()
        assert shapes(read_onnx(save(model, tmp_path)).graph)["input"] == (2, 6, 7)
    else:
        assert shapes(check(net, y, tmp_path).graph)["input"] == (2, 6, 7)


def test_allowzero(tmp_path: Path) -> None:
    net, y = conv_net(14)
    y = net.op("Reshape", y, net.const([-1, 60], np.int64), allowzero=1)
    check(net, net.op("Gemm", y, net.normal(60, 4)), tmp_path)


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("batch", ["N", 5])
def test_reshape_target_from_shape_gather_concat(tmp_path: Path, opset: int, batch: str | int) -> None:
    net, y = conv_net(opset, batch)
    size = net.op("Gather", net.op("Shape", y), net.op("Constant", value=helper.make_tensor("v", TensorProto.INT64, [], [0])))
    size = net.op("Unsqueeze", size, net.const([0], np.int64)) if opset >= 13 else net.op("Unsqueeze", size, axes=[0])
    target = net.op("Concat", size, net.op("Constant", value_ints=[-1]) if opset >= 12 else net.const([-1], np.int64), axis=0)
    y = net.op("Gemm", net.op("Reshape", y, target), net.normal(60, 4))
    imported = check(net, y, tmp_path)
    kinds = {e.kind: e.fate for e in imported.ledger}
    assert {kinds[k] for k in ("Shape", "Gather", "Unsqueeze", "Concat")} == {"dropped"}


def test_reshape_target_by_shape_arithmetic(tmp_path: Path) -> None:
    net, y = conv_net()
    sizes = net.op("Cast", net.op("Cast", net.op("Shape", y), to=1), to=7)
    ints = lambda *v: net.const(v, np.int64)  # noqa: E731
    first = net.op("Slice", sizes, ints(0), ints(1))
    last = net.op("Mul", net.op("Slice", sizes, ints(1), ints(2)), ints(4))
    last = net.op("Div", net.op("Sub", net.op("Add", net.op("Mul", last, ints(10)), ints(1)), ints(1)), ints(2))
    y = net.op("Reshape", y, net.op("Concat", first, last, axis=-1))
    check(net, net.op("Gemm", y, net.normal(60, 4)), tmp_path)


def test_reshape_target_by_slices_of_old_opsets_and_float_division(tmp_path: Path) -> None:
    net, y = conv_net(9)
    batch = net.op("Slice", net.op("Shape", y), axes=[0], starts=[0], ends=[1])
    rest = net.op("Cast", net.op("Div", net.const([120.0]), net.const([2.0])), to=7)
    y = net.op("Reshape", y, net.op("Concat", batch, rest, axis=0))
    check(net, net.op("Gemm", y, net.normal(60, 4), net.normal(4)), tmp_path)


def test_a_layer_of_which_only_the_shape_is_used(tmp_path: Path) -> None:
    net = Net((2, 6, 7))
    aside = net.op("Relu", "x", name="aside")
    y = net.op("Reshape", "x", net.op("Concat", net.op("Slice", net.op("Shape", aside), *_ints(net, 0, 1)), *_ints(net, -1)))
    net.nodes[-2].attribute.append(helper.make_attribute("axis", 0))
    imported = check(net, net.op("Gemm", y, net.normal(84, 4)), tmp_path)
    assert "aside" not in imported.graph.nodes
    assert imported.ledger[0].why == "only its shape is used, which is fixed"


def _ints(net: Net, *values: int) -> list[str]:
    return [net.const([v], np.int64) for v in values]


# --------------------------------------------------------------------------------------------- transpose, squeeze, ...


@pytest.mark.parametrize("axis", [1, -3, 0])
def test_flatten(tmp_path: Path, axis: int) -> None:
    net, y = conv_net(batch=1)
    y = net.op("Flatten", y, axis=axis)
    imported = check(net, net.op("Gemm", y, net.normal(60, 4)), tmp_path)
    assert names_of(imported.graph, nir.Flatten) == ("flatten5",)
    assert imported.ledger[2].into == ("flatten5",)


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 2, 1], [0, 1, 3, 2], [0, 3, 1, 2]])
def test_dense_after_transpose_takes_the_order_into_its_columns(tmp_path: Path, perm: list[int]) -> None:
    net, y = conv_net()
    y = net.op("Flatten", net.op("Transpose", y, perm=perm))
    check(net, net.op("Gemm", y, net.normal(60, 4)), tmp_path)


def test_height_and_width_may_be_swapped(tmp_path: Path) -> None:
    net, y = conv_net()
    y = net.op("Transpose", y, perm=[0, 1, 3, 2])
    y = net.op("Conv", y, net.normal(4, 3, 2, 3), net.normal(4), pads=[0, 1, 1, 0], strides=[1, 2], dilations=[2, 1])
    y = net.op("MaxPool", y, kernel_shape=[1, 2], pads=[0, 1, 0, 0])
    y = net.op("AveragePool", y, kernel_shape=[2, 1])
    y = net.op("Flatten", y)
    size = onnx.shape_inference.infer_shapes(net.model(y)).graph.value_info
    count = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in size}
    features = int(np.prod(count[net.nodes[-2].output[0]][1:]))
    check(net, net.op("Gemm", y, net.normal(features, 4)), tmp_path)


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_and_unsqueeze(tmp_path: Path, opset: int) -> None:
    def axes(net: Net, *values: int) -> tuple[list[str], dict]:
        return ([net.const(values, np.int64)], {}) if opset >= 13 else ([], {"axes": list(values)})

    net, y = conv_net(opset)
    y = net.op("GlobalAveragePool", y)
    for kind, positions in (("Squeeze", (2, 3)), ("Unsqueeze", (-1,)), ("Squeeze", (-1,)), ("Unsqueeze", (2, 3))):
        extra, attributes = axes(net, *positions)
        y = net.op(kind, y, *extra, **attributes)
    y = net.op("Relu", net.op("Conv", y, net.normal(5, 3, 1, 1)))
    extra, attributes = axes(net, 3, 2)
    check(net, net.op("Gemm", net.op("Squeeze", y, *extra, **attributes), net.normal(5, 4)), tmp_path)


@pytest.mark.parametrize("batch", [1, 4])
def test_squeeze_without_axes(tmp_path: Path, batch: int) -> None:
    net, y = conv_net(13, batch)
    y = net.op("Squeeze", net.op("GlobalAveragePool", y))
    check(net, net.op("MatMul", y, net.normal(3, 4)), tmp_path)


def test_input_without_a_batch_axis(tmp_path: Path) -> None:
    net = Net((), batch=6)
    y = net.op("Relu", net.op("Add", net.op("MatMul", "x", net.normal(6, 4)), net.normal(4)))
    imported = read_onnx(save(net.model(y), tmp_path))
    assert shapes(imported.graph)["input"] == (6,)
    x = samples(net)
    np.testing.assert_allclose(forward(imported.graph, x[None])[0], run_onnxruntime(net.model(y), x), atol=BOUND)


# -------------------------------------------------------------------------------------------------- the input's layout


def test_nhwc_input(tmp_path: Path) -> None:
    net = Net((6, 7, 3))
    y = net.op("Sub", "x", net.normal(3))
    y = net.op("Mul", y, net.normal(1, 1, 1, 3))
    y = net.op("Conv", net.op("Transpose", y, perm=[0, 3, 1, 2]), net.normal(4, 3, 3, 3))
    y = net.op("Add", net.op("Transpose", y, perm=[0, 2, 3, 1]), net.normal(4))
    y = net.op("Relu", net.op("Mul", y, net.normal(4)))
    imported = check(net, net.op("Gemm", net.op("Flatten", y), net.normal(80, 5)), tmp_path)
    assert imported.input_layout == "nhwc"
    assert shapes(imported.graph)["input"] == (3, 6, 7)
    assert imported.repairs == ("input (6, 7, 3) (height, width, channels) read as (3, 6, 7) (channels first)",)
    assert len(names_of(imported.graph, BatchNorm)) == 3, "the bias behind the second transpose is in the convolution"


def test_nhwc_input_that_dense_layers_read_too(tmp_path: Path) -> None:
    net = Net((4, 5, 3))
    y = net.op("Conv", net.op("Transpose", "x", perm=[0, 3, 1, 2]), net.normal(4, 3, 4, 5))
    y = net.op("Add", net.op("Flatten", y), net.op("Gemm", net.op("Flatten", "x"), net.normal(60, 4)))
    assert check(net, y, tmp_path).input_layout == "nhwc"


def test_nhwc_input_that_only_dense_layers_read(tmp_path: Path) -> None:
    net = Net((4, 5, 3))
    y = net.op("Sub", "x", net.normal(3))
    imported = check(net, net.op("Gemm", net.op("Flatten", y), net.normal(60, 4)), tmp_path)
    assert imported.input_layout == "nhwc"
    assert imported.graph.nodes[net.nodes[0].name].shift.shape == (3,)


def test_1d_input_with_channels_last(tmp_path: Path) -> None:
    net = Net((9, 3))
    y = net.op("Conv", net.op("Transpose", "x", perm=[0, 2, 1]), net.normal(4, 3, 2))
    y = net.op("Gemm", net.op("Flatten", net.op("Transpose", y, perm=[0, 2, 1])), net.normal(32, 5))
    imported = check(net, y, tmp_path)
    assert imported.input_layout == "nhwc"
    assert shapes(imported.graph)["input"] == (3, 1, 9)


@pytest.mark.parametrize("shape", [(784,), (28, 28), (28, 28, 1), (1, 1, 28, 28)])
def test_input_read_as_a_map(tmp_path: Path, shape: tuple[int, ...]) -> None:
    net = Net(shape)
    y = net.op("Reshape", net.op("Relu", "x"), net.const([-1, 1, 28, 28], np.int64))
    imported = check(net, net.op("Conv", y, net.normal(2, 1, 3, 3)), tmp_path)
    assert shapes(imported.graph)["input"] == (1, 28, 28)
    assert imported.input_layout == ("nhwc" if shape == (28, 28, 1) else "as-is")


def test_dense_input_keeps_its_shape(tmp_path: Path) -> None:
    net = Net((4, 7))
    imported = check(net, net.op("Gemm", net.op("Flatten", "x"), net.normal(28, 3)), tmp_path)
    assert shapes(imported.graph)["input"] == (4, 7)


# --------------------------------------------------------------------------------------------------------------- sums


def residual(net: Net, x: str, channels: int) -> str:
    y = net.op("Relu", net.op("Conv", x, net.normal(channels, channels, 3, 3), net.normal(channels), pads=[1] * 4))
    return net.op("Relu", net.op("Add", net.op("Conv", y, net.normal(channels, channels, 3, 3), pads=[1] * 4), x))


def test_residual_blocks(tmp_path: Path) -> None:
    net, y = conv_net()
    y = residual(net, residual(net, y, 3), 3)
    y = net.op("GlobalAveragePool", y)
    imported = check(net, net.op("Gemm", net.op("Flatten", y), net.normal(3, 4)), tmp_path)
    (add,) = [e for e in imported.ledger if e.kind == "Add"][:1]
    assert add.fate == "folded"
    assert len(predecessors(imported.graph, add.into[0])) == 2


def test_a_sum_with_many_readers_wires_every_source_to_each(tmp_path: Path) -> None:
    net, y = conv_net()
    a, b = (net.op("Conv", y, net.normal(3, 3, 1, 1), name=n) for n in ("a", "b"))
    total = net.op("Sum", a, b, y, name="total")
    one, two = net.op("Relu", total, name="one"), net.op("MaxPool", total, kernel_shape=[1, 1], name="two")
    dense = net.op("Gemm", net.op("Flatten", total), net.normal(60, 4))
    both = net.op("Gemm", net.op("Flatten", net.op("Add", one, two)), net.normal(60, 4))
    imported = check(net, net.op("Add", dense, both), tmp_path)
    assert set(predecessors(imported.graph, "one")) == set(predecessors(imported.graph, "two")) == {"a", "b", "relu4"}
    assert set(successors(imported.graph, "a")) >= {"one", "two"}


def test_a_tensor_added_to_itself_is_doubled(tmp_path: Path) -> None:
    net, y = conv_net()
    doubled = net.op("Add", y, y, name="twice")
    imported = check(net, net.op("Relu", doubled), tmp_path)
    assert imported.graph.nodes["twice"].scale.shape == (3, 4, 5)
    assert np.unique(imported.graph.nodes["twice"].scale).tolist() == [2.0]
    assert imported.ledger[2].into == ("twice",)


def test_a_source_that_reaches_a_sum_on_several_ways_counts_every_time(tmp_path: Path) -> None:
    net, y = conv_net()
    other = net.op("Conv", y, net.normal(3, 3, 1, 1))
    once = net.op("Add", y, other)
    more = net.op("Add", net.op("Add", once, y), once)
    check(net, net.op("Relu", more), tmp_path)
    check(net, net.op("Gemm", net.op("Flatten", more), net.normal(60, 4)), tmp_path)
    net = Net((6,))
    y = net.op("Gemm", "x", net.normal(6, 6))
    check(net, net.op("Relu", net.op("Add", net.op("Add", y, y), net.op("Add", "x", y))), tmp_path)


def test_input_added_to_itself_in_front_of_a_reshaped_map(tmp_path: Path) -> None:
    net = Net((6, 7, 2))
    y = net.op("Transpose", net.op("Add", "x", "x"), perm=[0, 3, 1, 2])
    assert check(net, net.op("Conv", y, net.normal(3, 2, 3, 3)), tmp_path).input_layout == "nhwc"


def test_sum_of_a_map_of_one_position_and_a_vector(tmp_path: Path) -> None:
    net, y = conv_net()
    pooled = net.op("Flatten", net.op("GlobalAveragePool", y))
    dense = net.op("Gemm", net.op("Flatten", y), net.normal(60, 3))
    check(net, net.op("Relu", net.op("Add", dense, pooled)), tmp_path)


def test_sum_of_transposed_branches(tmp_path: Path) -> None:
    net, y = conv_net()
    a, b = (net.op("Transpose", net.op("Conv", y, net.normal(4, 3, 1, 1)), perm=[0, 2, 3, 1]) for _ in range(2))
    y = net.op("Add", net.op("Add", a, b), net.normal(4))
    y = net.op("Relu", net.op("Transpose", y, perm=[0, 3, 1, 2]))
    check(net, net.op("Conv", y, net.normal(2, 4, 2, 2)), tmp_path)


# --------------------------------------------------------------------------------------------------- constants, names


def test_constant_folding_of_weights(tmp_path: Path) -> None:
    net = Net((12,))
    weight = net.op("Transpose", net.normal(5, 12))
    weight = net.op("Identity", net.op("Reshape", weight, net.const([12, 5], np.int64)))
    weight = net.op("Squeeze", net.op("Unsqueeze", weight, net.const([0], np.int64)), net.const([0], np.int64))
    weight = net.op("Mul", net.op("Neg", weight), net.op("Sqrt", net.op("Reciprocal", net.const(4.0))))
    y = net.op("Add", net.op("MatMul", "x", weight), net.op("Flatten", net.normal(5), axis=0))
    imported = check(net, y, tmp_path)
    assert set(imported.graph.nodes) == {"input", "matmul15", "output"}


def test_constant_of_shape(tmp_path: Path) -> None:
    net = Net((5,))
    value = helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5])
    weight = net.op("ConstantOfShape", net.const([5, 4], np.int64), value=value)
    check(net, net.op("Add", net.op("MatMul", "x", weight), net.op("Constant", value_float=2.0)), tmp_path)


def test_initialisers_that_are_inputs_too_and_unsorted_nodes(tmp_path: Path) -> None:
    net, y = conv_net()
    y = net.op("Gemm", net.op("Flatten", y), net.normal(60, 4))
    model = net.model(y)
    for tensor in model.graph.initializer:
        model.graph.input.insert(0, helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))
    nodes = list(model.graph.node)
    straight = read_onnx(save(model, tmp_path))
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    imported = read_onnx(save(model, tmp_path))
    assert imported.repairs == ("nodes put into the order of data flow",)
    assert list(imported.graph.nodes) == list(straight.graph.nodes)
    assert imported.graph.edges == straight.graph.edges
    assert imported.ledger == tuple(reversed(straight.ledger))


def test_names_fit_a_nir_file_and_are_unique(tmp_path: Path) -> None:
    net = Net((6,))
    y = "x"
    for name in ("/layer/0/relu/", "layer.0.relu", "", "relu_1", "", "input", "a//b", "output", "./."):
        y = net.op("Relu", y, name=name)
    imported = read_onnx(save(net.model(y), tmp_path))
    inner = [n for n in imported.graph.nodes if n not in ("input_2", "output_2")]
    assert inner == ["layer.0.relu", "layer.0.relu_2", "relu_2", "relu_1", "relu_3", "input", "a.b", "output", "relu_4"]
    assert isinstance(imported.graph.nodes["input_2"], nir.Input)
    assert isinstance(imported.graph.nodes["output_2"], nir.Output)
    titles = [e.node for e in imported.ledger]
    assert titles[:2] == ["/layer/0/relu/", "layer.0.relu"]
    assert len(set(titles)) == 9


def test_nodes_that_the_output_does_not_need_are_dropped(tmp_path: Path) -> None:
    net, y = conv_net()
    net.op("LSTM", y, name="aside")
    y = net.op("Relu", y)
    imported = read_onnx(save(net.model(y), tmp_path))
    assert imported.ledger[2].why == "the output does not depend on it"
    assert set(imported.graph.nodes) == {"input", "conv3", "relu4", "relu6", "output"}


def test_reading_leaves_no_trace_of_the_batch_and_tells_its_origin(tmp_path: Path) -> None:
    net, y = conv_net()
    model = net.model(y)
    model.producer_name, model.producer_version = "maker", "1.2"
    imported = read_onnx(save(model, tmp_path))
    assert imported.format == "onnx"
    assert imported.evidence == ("opset 13", "producer maker 1.2")
    assert {e.by for e in imported.ledger} == {"import-onnx"}
