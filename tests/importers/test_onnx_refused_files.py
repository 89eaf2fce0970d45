"""Files, tensors, inputs and outputs that are refused, each with one clear message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import Net, refuse, small_net

from snnport.errors import InvalidGraph, SnnportError, UnsupportedNode
from snnport.importers import onnx as importer
from snnport.importers.onnx import read_onnx

# --------------------------------------------------------------------------------------------------------- files


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidGraph, match=r"nowhere\.onnx: there is no such file"):
        read_onnx(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS pointer .* `git lfs pull`"),
        (b"this is a text and no model at all\n", "not an ONNX file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "not an ONNX file"),
        (b"PK\x03\x04" + bytes(60), "not an ONNX file"),
        (helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0]).SerializeToString(), "not an ONNX file"),
    ],
)
def test_not_a_model(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(InvalidGraph, match=match):
        read_onnx(tmp_path / "model.onnx")


def test_a_graph_without_nodes(tmp_path: Path) -> None:
    refuse(tmp_path, Net((3,)).model("x"), InvalidGraph, "its graph has no nodes")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    net, y = small_net()
    data = net.model(y).SerializeToString()
    path = tmp_path / "model.onnx"
    for length in range(1, len(data) - 1, 7):
        path.write_bytes(data[:length])
        with pytest.raises((InvalidGraph, UnsupportedNode)):
            read_onnx(path)


def test_changed_bytes_never_give_a_traceback(tmp_path: Path) -> None:
    net, y = small_net()
    data = net.model(y).SerializeToString()
    rng = np.random.default_rng(0)
    path = tmp_path / "model.onnx"
    told: list[SnnportError] = []
    for _ in range(400):
        changed = bytearray(data)
        for position in rng.integers(0, len(data), 3):
            changed[position] = rng.integers(0, 256)
        path.write_bytes(changed)
        try:
            read_onnx(path)
        except SnnportError as error:
            told.append(error)
    assert told
    assert all(error.where and error.what for error in told)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    net, y = small_net()
    data = net.model(y).SerializeToString()
    for name in (b"relu4", b"\x01w"):
        (tmp_path / "model.onnx").write_bytes(data.replace(name, name[:-1] + b"\xff"))
        with pytest.raises(InvalidGraph, match="it is not UTF-8: the file is damaged"):
            read_onnx(tmp_path / "model.onnx")


def test_faults_of_our_own_keep_their_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(importer, "_walk", broken)
    net, y = small_net()
    error = refuse(tmp_path, net.model(y), InvalidGraph, "it cannot be read: ZeroDivisionError: ours")
    assert isinstance(error.__cause__, ZeroDivisionError)


# ------------------------------------------------------------------------------------------------- opsets and tensors


@pytest.mark.parametrize("opset", [6, 99])
def test_opset_out_of_range(tmp_path: Path, opset: int) -> None:
    net, y = small_net()
    net.opset = opset
    refuse(tmp_path, net.model(y), UnsupportedNode, rf"it is of opset {opset}, and opsets 7 to \d+ are read")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    net = Net((2, 6, 6))
    weight = np.ones((3, 2, 3, 3))
    weight[0, 0, 0, :2] = value
    y = net.op("Conv", "x", net.const(weight, name="w"))
    refuse(tmp_path, net.model(y), InvalidGraph, "initialiser 'w': 2 of its 54 values are NaN or infinite")


def test_weights_that_are_not_finite_after_folding_name_the_initialiser(tmp_path: Path) -> None:
    net = Net((4,))
    y = net.op("MatMul", "x", net.op("Transpose", net.const(np.full((3, 4), np.nan), name="w")))
    refuse(tmp_path, net.model(y), InvalidGraph, "initialiser 'w': 12 of its 12")


def test_weights_that_overflow(tmp_path: Path) -> None:
    net = Net((4,))
    y = net.op("Gemm", "x", net.const(np.full((4, 3), 1e308), np.float64), alpha=1e38)
    refuse(tmp_path, net.model(y), InvalidGraph, "alpha or beta, 1e\\+38, makes weights that are NaN or infinite")


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.bool_])
def test_weights_that_are_no_floats(tmp_path: Path, dtype: Any) -> None:
    net = Net((4,))
    y = net.op("MatMul", "x", net.const(np.ones((4, 3)), dtype, name="w"))
    refuse(tmp_path, net.model(y), UnsupportedNode, r"initialiser 'w': its values are \w+ and 'matmul2' needs floats")


def test_weights_of_a_type_without_numpy_counterpart(tmp_path: Path) -> None:
    net = Net((4,))
    y = net.op("MatMul", "x", "w")
    net.initializers.append(helper.make_tensor("w", TensorProto.BFLOAT16, [4, 3], np.ones(12)))
    refuse(tmp_path, net.model(y), UnsupportedNode, "initialiser 'w': its values are of bfloat16")


def test_external_data_are_not_followed(tmp_path: Path) -> None:
    net, y = small_net()
    model = net.model(y)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    refuse(tmp_path, model, UnsupportedNode, "initialiser 'w': its data lie in another file, and paths .* not followed")
    net = Net((4,))
    constant = net.op("Constant", value=tensor)
    refuse(tmp_path, net.model(net.op("Add", "x", constant)), UnsupportedNode, "its data lie in another file")


@pytest.mark.parametrize("field", ["raw_data", "float_data"])
def test_data_shorter_than_the_shape(tmp_path: Path, field: str) -> None:
    net, y = small_net()
    model = net.model(y)
    tensor = model.graph.initializer[0]
    if field == "raw_data":
        tensor.raw_data = tensor.raw_data[:-4]
        match = r"initialiser 'w': its shape \(3, 2, 3, 3\) needs 216 bytes and the file holds 212"
    else:
        tensor.ClearField("raw_data")
        tensor.float_data.extend([0.0] * 53)
        match = r"initialiser 'w': its shape \(3, 2, 3, 3\) needs 54 values and the file holds 53"
    refuse(tmp_path, model, InvalidGraph, match)


def test_sizes_that_would_exhaust_the_machine(tmp_path: Path) -> None:
    net, y = small_net()
    model = net.model(y)
    model.graph.initializer[0].dims[:] = [2**31, 2**31, 3, 3]
    refuse(tmp_path, model, InvalidGraph, "initialiser 'w': its shape .* needs")
    model.graph.initializer[0].dims[:] = [-3, -2, 3, 3]
    refuse(tmp_path, model, InvalidGraph, "initialiser 'w': it has a negative dimension")
    net = Net((2**20, 2**20))
    refuse(tmp_path, net.model(net.op("Relu", "x")), InvalidGraph, "one sample has 1099511627776 values, the limit is")


@pytest.mark.parametrize(
    ("kind", "attributes", "match"),
    [
        ("MaxPool", {"kernel_shape": [2**30, 2]}, "its kernel, strides, dilations or pads is above"),
        ("MaxPool", {"kernel_shape": [2**12] * 2, "pads": [2**12 - 1] * 4}, "has more than 16777216 values"),
        (
            "AveragePool",
            {"kernel_shape": [2**16] * 2, "pads": [2**15] * 2 + [2**15 - 1] * 2, "count_include_pad": 1},
            "too many",
        ),
    ],
)
def test_windows_that_would_exhaust_the_machine(tmp_path: Path, kind: str, attributes: dict, match: str) -> None:
    net = Net((2, 6, 6))
    refuse(tmp_path, net.model(net.op(kind, "x", **attributes)), InvalidGraph, match)


def test_kernels_widened_beyond_measure(tmp_path: Path) -> None:
    net = Net((2, 6, 6))
    y = net.op("Conv", "x", net.normal(3, 2, 3, 3), pads=[0, 0, 2**22, 0])
    refuse(tmp_path, net.model(y), InvalidGraph, "its padding or dilation widens the kernel to 4194307")
    y = net.op("Conv", "x", net.normal(3, 2, 3, 3), pads=[0, 0, 2**22 + 1, 0], dilations=[2**21, 1])
    refuse(tmp_path, net.model(y), InvalidGraph, "its padding or dilation widens the kernel to 4194305")


def test_constants_computed_beyond_measure(tmp_path: Path) -> None:
    for build, size in (
        (lambda net: net.op("ConstantOfShape", net.const([2**20, 2**20], np.int64)), 2**40),
        (lambda net: net.op("Add", net.const(np.ones((2**13, 1))), net.const(np.ones((1, 2**13)))), 2**26),
        (lambda net: net.op("Concat", *[net.const(np.ones(2**20))] * 17, axis=0), 17 * 2**20),
        (lambda net: net.op("Gather", net.const(np.ones((1, 2**13))), net.const(np.zeros(2**13), np.int64)), 2**26),
    ):
        net = Net((4,))
        y = net.op("Add", "x", build(net))
        refuse(tmp_path, net.model(y), InvalidGraph, f"its result has {size} values, the limit is 16777216")


def test_sparse_initialisers(tmp_path: Path) -> None:
    net, y = small_net()
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model = net.model(y, sparse_initializer=[helper.make_sparse_tensor(values, indices, [5])])
    refuse(tmp_path, model, UnsupportedNode, "initialisers 's' are sparse")


def test_segmented_and_repeated_initialisers(tmp_path: Path) -> None:
    net, y = small_net()
    model = net.model(y)
    model.graph.initializer[0].segment.begin = 0
    refuse(tmp_path, model, UnsupportedNode, "initialiser 'w': its data are stored in segments")
    model = net.model(y)
    model.graph.initializer.append(model.graph.initializer[0])
    refuse(tmp_path, model, InvalidGraph, "initialiser 'w': it is given twice")


# --------------------------------------------------------------------------------------------------- inputs and outputs


def test_several_inputs_or_outputs(tmp_path: Path) -> None:
    net, y = small_net()
    model = net.model(y)
    model.graph.input.append(helper.make_tensor_value_info("x2", TensorProto.FLOAT, [1, 2]))
    refuse(tmp_path, model, UnsupportedNode, r"it has 2 inputs \('x', 'x2'\), 1 is read")
    model = net.model(y)
    model.graph.output.append(model.graph.output[0])
    refuse(tmp_path, model, UnsupportedNode, r"it has 2 outputs .*, 1 is read")
    model = net.model(y)
    del model.graph.input[:]
    refuse(tmp_path, model, InvalidGraph, "it has no input")


@pytest.mark.parametrize(
    ("sizes", "match"),
    [
        (["N", 2, "height", 6], r"input 'x': the size of axis 2 \('height'\) is open. .* fixed size"),
        (["N", 2, 6, 0], r"axis 3 \('\?'\) is open"),
        ([1, -1, 6, 6], r"axis 1 \('-1'\) is open"),
        (["N"], r"axis 0 \('N'\) is open"),
        (None, "its shape is not given"),
    ],
)
def test_open_sizes(tmp_path: Path, sizes: list | None, match: str) -> None:
    net, y = small_net()
    model = net.model(y)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes))
    refuse(tmp_path, model, UnsupportedNode, match)


def test_inputs_that_are_no_tensors_of_numbers(tmp_path: Path) -> None:
    net, y = small_net()
    model = net.model(y)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.STRING, ["N", 2, 6, 6]))
    refuse(tmp_path, model, UnsupportedNode, "input 'x': its values are of string")
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [2]))
    refuse(tmp_path, model, UnsupportedNode, "input 'x': it is not a tensor")
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, []))
    refuse(tmp_path, model, InvalidGraph, "input 'x': it is a single number")
