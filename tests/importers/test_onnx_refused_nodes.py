"""Graphs, shapes, operators and attributes that are refused, each with one clear message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import Net, refuse, small_net

from snnport.errors import InvalidGraph, UnsupportedNode

# -------------------------------------------------------------------------------------------------------- the graph


def test_loops_and_tensors_from_nowhere(tmp_path: Path) -> None:
    net, y = small_net()
    model = net.model(y)
    model.graph.node[1].input[0] = "nowhere"
    refuse(tmp_path, model, InvalidGraph, r"relu4 \(Relu, opset 13\): it reads tensor 'nowhere', which nothing makes")
    model = net.model(y)
    model.graph.node[0].input[0] = model.graph.node[1].output[0]
    refuse(tmp_path, model, InvalidGraph, r"conv \(Conv, opset 13\): it depends on its own result: the graph has a loop")
    model = net.model(y)
    model.graph.node[1].output[0] = "w"
    refuse(tmp_path, model, InvalidGraph, "it makes tensor 'w', which is made elsewhere too")
    model = net.model(y)
    model.graph.output[0].name = "nowhere"
    refuse(tmp_path, model, InvalidGraph, "output 'nowhere': no node makes it")


def test_outputs_that_do_not_depend_on_the_input(tmp_path: Path) -> None:
    net = Net((4,))
    refuse(tmp_path, net.model(net.op("Identity", net.const([1.0]))), InvalidGraph, "it does not depend on the input")
    net = Net((4,))
    y = net.op("Cast", net.op("Shape", "x"), to=1)
    refuse(tmp_path, net.model(y), InvalidGraph, "it does not depend on the input")


def test_operators_against_their_schema(tmp_path: Path) -> None:
    for kind, inputs, attributes, match in (
        ("Relu", ("x",), {"slope": 0.1}, "the operator has no attribute 'slope'"),
        ("Flatten", ("x",), {"axis": 1.0}, "its attribute 'axis' is not of the operator's type"),
        ("MaxPool", ("x",), {}, "it lacks the attribute 'kernel_shape'"),
        ("Relu", ("x", "x"), {}, "it has 2 inputs, the operator takes 1 to 1"),
        ("Conv", ("x", ""), {}, "one of the inputs that it needs is left empty"),
        ("Dropout", ("x",), {"ratio": 0.5}, "no attribute 'ratio'"),
    ):
        net = Net((2, 6, 6))
        refuse(tmp_path, net.model(net.op(kind, *inputs, **attributes)), InvalidGraph, match)
    net = Net((2, 6, 6))
    y = net.op("Relu", "x", outputs=2)
    refuse(tmp_path, net.model(y), InvalidGraph, "it has 2 outputs")


@pytest.mark.parametrize(
    ("kind", "extra", "attributes", "match"),
    [
        ("Conv", [(3, 2, 3, 3)], {"strides": [1]}, r"its strides \(1,\) must be 2 numbers"),
        ("Conv", [(3, 2, 3, 3)], {"kernel_shape": [2, 2]}, r"its kernel_shape is \(2, 2\) and its weight's \(3, 3\)"),
        ("Conv", [(3, 2, 3, 3)], {"auto_pad": "SAME"}, "its auto_pad is 'SAME'"),
        ("Conv", [(3, 2, 3, 3)], {"strides": [0, 1]}, "are below 1"),
        ("Conv", [(3, 2, 3, 3)], {"group": 2}, "3 output channels do not divide into 2 groups"),
        ("Conv", [(4, 2, 3, 3)], {"group": 2}, "its input has 2 channels, its weight takes 4"),
        ("Conv", [(3, 2, 3, 3), (4,)], {}, r"its bias has shape \(4,\)"),
        ("Conv", [(3, 2, 9, 3)], {}, "is larger than its padded input"),
        ("Conv", [(3, 2)], {}, "must have 3 or 4 axes"),
        ("Conv", [(3, 2, 3)], {}, r"it needs an input with 3 axes and gets \(1, 2, 6, 6\)"),
        (
            "MaxPool",
            [],
            {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]},
            r"its padding \(2, 0, 0, 0\) holds whole windows of its kernel \(2, 2\)",
        ),
        ("MaxPool", [], {"kernel_shape": [7, 7]}, "is larger than its padded input"),
        ("AveragePool", [], {"kernel_shape": [7, 7]}, "is larger than its padded input"),
        ("BatchNormalization", [(3,), (3,), (3,), (1, 3)], {}, "differ in shape"),
        ("BatchNormalization", [(3,)] * 4, {"epsilon": 99.0}, r"it normalises 3 channels and its input is \(1, 2, 6, 6\)"),
        ("BatchNormalization", [(2,)] * 4, {"epsilon": -9.0}, "must be above 0"),
        ("Gemm", [(6, 3)], {}, "it needs an input with 2 axes"),
        ("Transpose", [], {"perm": [0, 1, 2]}, r"its perm \(0, 1, 2\) is no order of 4 axes"),
        ("Flatten", [], {"axis": 5}, "its axis 5 is outside the 4 axes"),
        ("Softmax", [], {"axis": 4}, r"its axes \(4,\) are not axes of a tensor with 4"),
        ("Add", [(5,)], {}, "do not go together"),
    ],
)
def test_shapes_and_attributes_that_contradict(
    tmp_path: Path, kind: str, extra: list[tuple[int, ...]], attributes: dict, match: str
) -> None:
    net = Net((2, 6, 6))
    y = net.op(kind, "x", *(net.normal(*shape) for shape in extra), **attributes)
    refuse(tmp_path, net.model(y), InvalidGraph, match)


def test_values_that_contradict(tmp_path: Path) -> None:
    for kind, extra, match in (
        ("Reshape", np.array([-1, -1]), "is no shape"),
        ("Reshape", np.array([-1, 5]), "does not divide the 72 values"),
        ("Reshape", np.array([0, 0, 0, 0, 0]), "keeps an axis that"),
        ("Reshape", np.array([1.0, 72.0], np.float32), "must be a list of integers and is float32"),
        ("Squeeze", np.array([1]), "which are not all of size 1"),
        ("Div", np.array([0.0], np.float32), "it divides by zero"),
        ("Clip", np.array([0.0, 1.0], np.float32), "is not one number"),
    ):
        net = Net((2, 6, 6))
        y = net.op(kind, "x", net.const(extra, extra.dtype))
        refuse(tmp_path, net.model(y), InvalidGraph, match)
    net = Net((2, 6, 6))
    y = net.op("Clip", "x", net.const(0), net.const(-1))
    refuse(tmp_path, net.model(y), InvalidGraph, "its upper bound -1 must be above 0")
    ints = lambda n, *v: n.const(v, np.int64)  # noqa: E731
    for build, match in (
        (lambda n: n.op("Slice", "x", ints(n, 0, 1), ints(n, 3), ints(n, 2)), "do not match"),
        (lambda n: n.op("Slice", "x", ints(n, 6), ints(n, 9), ints(n, 2)), "it leaves nothing of"),
        (lambda n: n.op("Gather", "x", ints(n, 2), axis=1), "it takes entries 2..2 of an axis of 2"),
        (lambda n: n.op("Gather", "x", n.const([0.0]), axis=1), "its indices are float32 and must be integers"),
        (
            lambda n: n.op("Concat", "x", n.op("Slice", "x", ints(n, 0), ints(n, 3), ints(n, 2)), axis=1),
            "do not go together along",
        ),
        (lambda n: n.op("Split", "x", ints(n, 1, 2), axis=1, outputs=2), r"it splits an axis of 2 into \(1, 2\)"),
        (lambda n: n.op("Pad", "x", ints(n, 1, 1, 1)), r"its pads \(1, 1, 1\) must be 2 numbers"),
        (lambda n: n.op("Pad", "x", ints(n, *[0] * 8), mode="mirror"), "its mode is 'mirror'"),
        (lambda n: n.op("Pad", "x", ints(n, 0, 0, 7, 0, 0, 0, 0, 0), mode="reflect"), "it reflects more than there is"),
        (lambda n: n.op("Expand", "x", ints(n, 1, 2, 5, 6)), "does not expand to"),
        (lambda n: n.op("Tile", "x", ints(n, 1, 2)), "its repeats"),
        (lambda n: n.op("DepthToSpace", "x", blocksize=2), "its 2 channels are no multiple of 2"),
        (lambda n: n.op("SpaceToDepth", "x", blocksize=4), "its map 6 x 6 does not divide into blocks of 4"),
        (lambda n: n.op("SpaceToDepth", n.op("Flatten", "x"), blocksize=1), "it needs an input with 4 axes and a block"),
    ):
        net = Net((2, 6, 6))
        refuse(tmp_path, net.model(build(net)), InvalidGraph, match)
    for rows, bias, match in ((5, 3, "its input has 4 values, its weight takes 5"), (4, 2, r"its bias has shape \(2,\)")):
        net = Net((4,))
        y = net.op("Gemm", "x", net.normal(rows, 3), net.normal(bias))
        refuse(tmp_path, net.model(y), InvalidGraph, match)
    net = Net((4,))
    y = net.op("Reshape", "x", net.op("Div", net.const([4], np.int64), net.const([0], np.int64)))
    refuse(tmp_path, net.model(y), InvalidGraph, "it divides by zero")
    net = Net((4,))
    y = net.op("Reshape", "x", net.op("Gather", net.const([4], np.int64), net.const(7, np.int64)))
    refuse(tmp_path, net.model(y), InvalidGraph, "it cannot be read: IndexError")


# ------------------------------------------------------------------------------------------------- unsupported nodes


def test_all_unsupported_nodes_are_told_at_once(tmp_path: Path) -> None:
    net = Net((2, 8, 8))
    y = net.op("Sigmoid", net.op("Conv", "x", net.normal(3, 2, 3, 3)), name="gate")
    y = net.op("Elu", net.op("Conv", y, net.normal(3, 3, 3, 3)), name="leak")
    y = net.op("MaxPool", y, kernel_shape=[2, 2], dilations=[2, 2], name="pool")
    y = net.op("ConvTranspose", y, net.normal(3, 3, 2, 2), name="up")
    y = net.op("Gemm", y, net.normal(4, 4), transA=1, name="dense")
    error = refuse(tmp_path, net.model(y), UnsupportedNode, "5 nodes have no counterpart here")
    for part in (
        "gate (Sigmoid, opset 13): there is no such operator here",
        "leak (Elu, opset 13): there is no such operator here",
        "pool (MaxPool, opset 13): its dilations are (2, 2)",
        "up (ConvTranspose, opset 13): there is no such operator here",
        "dense (Gemm, opset 13): its data are transposed",
    ):
        assert part in error.what
    assert "Train the network with ReLU in its place" in error.remedy
    assert "Upsampling is not converted" in error.remedy


@pytest.mark.parametrize(
    ("kind", "domain", "match"),
    [
        ("Sigmoid", "", r"node \(Sigmoid, opset 13\): there is no such operator here. Train the network with ReLU"),
        ("If", "", r"node \(If, .* no control flow remains"),
        ("Loop", "", r"node \(Loop"),
        ("Scan", "", r"node \(Scan"),
        ("LSTM", "", "Recurrent cells are not converted"),
        ("QuantizeLinear", "", "Export the float model: quantisation is done here"),
        ("QLinearConv", "", "quantisation is done here"),
        ("Gelu", "com.microsoft", r"node \(com.microsoft.Gelu"),
        ("Relu", "my.domain", r"node \(my.domain.Relu"),
        ("NoSuchOperator", "", r"node \(NoSuchOperator"),
    ],
)
def test_operators_without_counterpart(tmp_path: Path, kind: str, domain: str, match: str) -> None:
    net = Net((4,))
    y = net.op(kind, "x", name="node")
    net.nodes[-1].domain = domain
    if kind == "If":
        body = helper.make_graph([], "b", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)])
        net.nodes[-1].attribute.append(helper.make_attribute("then_branch", body))
    refuse(tmp_path, net.model(y), UnsupportedNode, match)


@pytest.mark.parametrize(
    ("kind", "extra", "attributes", "match"),
    [
        ("Conv", [(3, 2, 3, 3, 3)], {}, "it has 3 spatial axes, 1 or 2 are supported"),
        ("Conv", [(3, 2, 3, 3)], {"pads": [-1, 0, 0, 0]}, "its padding .* is negative"),
        ("Max", [(6, 1)], {}, "it compares with 6 constants"),
        ("Add", [(3, 2, 6, 6)], {}, r"its constant of shape \(3, 2, 6, 6\) repeats the data"),
        ("Softmax", [], {"axis": 1}, "it works on 2 of the 72 outputs at a time"),
        ("ArgMax", [], {"axis": 1}, "it works on 2 of the 72 outputs at a time"),
        ("Sqrt", [], {}, "its input 'x' depends on the data"),
        ("MatMul", [(2, 6, 3)], {}, r"its second input has shape \(2, 6, 3\)"),
        ("Cast", [], {"to": 7}, "it rounds its data to int64"),
    ],
)
def test_attributes_without_counterpart(
    tmp_path: Path, kind: str, extra: list[tuple[int, ...]], attributes: dict, match: str
) -> None:
    net = Net((2, 6, 6))
    y = net.op(kind, "x", *(net.normal(*shape) for shape in extra), **attributes)
    refuse(tmp_path, net.model(y), UnsupportedNode, match)


def test_structures_without_counterpart(tmp_path: Path) -> None:
    def case(build: Any, match: str, shape: tuple[int, ...] = (2, 6, 6), batch: str | int = "N", opset: int = 13) -> None:
        net = Net(shape, opset, batch)
        refuse(tmp_path, net.model(build(net)), UnsupportedNode, match)

    conv = lambda net, x="x", n=2: net.op("Conv", x, net.normal(n, 2, 3, 3))  # noqa: E731
    ints = lambda net, *v: net.const(v, np.int64)  # noqa: E731
    case(lambda n: n.op("Mul", "x", n.op("Relu", "x")), "both its inputs depend on the data")
    case(lambda n: n.op("Div", n.const(1.0), "x"), "it divides by the data")
    case(lambda n: n.op("Conv", "x", n.op("Relu", "x")), "its input 't1' is computed from the data and must be a constant")
    case(lambda n: n.op("Add", "x", n.op("Relu", n.const([1.0]))), "its input 'c1' is a constant")
    pool = {"kernel_shape": [2, 2]}
    upside = lambda n: n.op("Transpose", n.op("Relu", conv(n)), perm=[0, 2, 1, 3])  # noqa: E731
    case(lambda n: n.op("MaxPool", upside(n), **pool), "comes in another order or shape than a map's. Keep the layout")
    spun = lambda n: n.op("Reshape", n.op("Transpose", conv(n, n=4), perm=[0, 2, 3, 1]), ints(n, 1, 2, 60, 60))  # noqa: E731
    case(lambda n: conv(n, spun(n)), r"as a dense layer it has 6728 x 7200 weights; the limit is 4194304", (2, 62, 32), 1)
    case(lambda n: n.op("Concat", "x", "x", axis=0), "it cuts, joins or repeats the batch axis of an open number of samples")
    case(lambda n: n.op("Gather", "x", ints(n, 0), axis=0), "the batch axis of 4 samples", batch=4)
    case(lambda n: n.op("Slice", "x", ints(n, 0), ints(n, 2), ints(n, 0)), "the batch axis of 4 samples", batch=4, opset=13)
    case(lambda n: n.op("Split", "x", ints(n, 2, 2), axis=0, outputs=2), "the batch axis of 4 samples", batch=4)
    case(lambda n: n.op("Pad", "x", ints(n, *[1] * 8), n.const(2.0)), "it pads with 2. Pad with 0")
    case(lambda n: n.op("Concat", "x", n.const(np.ones((1, 1, 6, 6))), axis=1), "which is not zero, to the data")
    case(lambda n: n.op("MatMul", n.normal(2, 6, 6), "x"), r"its first input has shape \(2, 6, 6\)")
    case(lambda n: n.op("MatMul", n.normal(6, 4), n.op("Flatten", "x")), "it multiplies the batch axis")
    case(lambda n: n.op("Tile", "x", ints(n, 2, 1, 1, 1)), "the batch axis of an open number of samples")
    case(lambda n: n.op("Relu", n.op("Softmax", n.op("Flatten", "x"))), r"softmax2 .* not the end of the network: 'relu3'")
    case(lambda n: n.op("ArgMax", n.op("ArgMax", n.op("Flatten", "x"), axis=1), axis=1), "it follows argmax2")
    case(lambda n: n.op("Dropout", "x", n.const(0.5), n.const(True, np.bool_)), "it is in training mode")
    case(lambda n: n.op("BatchNormalization", "x", *[n.normal(2)] * 4, spatial=0), "normalises every position", opset=7)
    case(lambda n: n.op("BatchNormalization", "x", *[n.normal(2)] * 4, training_mode=1), "it is in training mode", opset=14)
    case(lambda n: n.op("ReduceMean", "x", noop_with_empty_axes=1), "it reduces nothing", opset=18)
    case(lambda n: n.op("ReduceMean", conv(n), axes=[0, 1]), r"it reduces axes \(0, 1\)")
    case(lambda n: n.op("ReduceMax", n.op("Relu", conv(n)), axes=[1]), "comes in another order or shape than a map's")
    case(lambda n: n.op("Constant", value_string=b"a"), "its value is sparse, a string or missing")
    case(lambda n: n.op("Reshape", "x", ints(n, 64, 72)), r"it asks for \(64, 72\) and gets \(1, 2, 6, 6\). .*open batch size")
    case(lambda n: n.op("Reshape", "x", ints(n, -1, 36)), "it moves the batch axis of 4 samples", batch=4)
    case(lambda n: n.op("Transpose", "x", perm=[1, 0, 2, 3]), "it moves the batch axis of 4 samples", batch=4)
    case(lambda n: n.op("Unsqueeze", "x", ints(n, 0)), "it moves the batch axis of 4 samples", batch=4)
    case(lambda n: n.op("Flatten", "x", axis=2), "it moves the batch axis of 4 samples", batch=4)
    case(lambda n: n.op("Add", "x", n.normal(1, 1, 2, 1, 1)), "repeats the data", batch=4)
    case(lambda n: n.op("Conv", n.op("Reshape", "x", ints(n, 2, 1, 6, 6)), n.normal(1, 1, 2, 2)), "2 maps")
    case(lambda n: n.op("Gemm", n.op("Flatten", "x"), n.normal(72, 3), n.normal(4, 3)), "differs from sample to sample")
    pooled = lambda n: n.nodes[-1].output[1]  # noqa: E731
    case(
        lambda n: n.op("Add", n.op("MaxPool", "x", kernel_shape=[1, 1], outputs=2), pooled(n)), "further output 't1_1' is used"
    )


def test_squeezing_the_batch_axis_of_several_samples(tmp_path: Path) -> None:
    net = Net((2, 3), batch=4)
    model = net.model(net.op("Squeeze", "x", net.const([0], np.int64)))
    refuse(tmp_path, model, UnsupportedNode, "it moves the batch axis of 4 samples")


def test_an_operator_that_its_opset_does_not_have(tmp_path: Path) -> None:
    net = Net((4,), 7)
    y = net.op("Relu", net.op("ConstantOfShape", net.const([4], np.int64)))
    refuse(tmp_path, net.model(y), InvalidGraph, "opset 7 has no operator 'ConstantOfShape'")
