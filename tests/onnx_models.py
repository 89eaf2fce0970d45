"""Small ONNX models for tests, and the comparison of what the importer makes of them with onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from snnport.errors import SnnportError
from snnport.graph import shapes, the_input
from snnport.importers.base import Imported
from snnport.importers.onnx import read_onnx
from snnport.reference import forward

BOUND = 1e-4
"""Greatest difference from onnxruntime, which computes in float32, as a part of the greatest output (or of 1)."""


class Net:
    """A model under construction: `op` adds a node and returns its first output, `const` adds an initialiser."""

    def __init__(self, shape: tuple[int, ...], opset: int = 13, batch: str | int = "N", seed: int = 0) -> None:
        self.opset = opset
        self.sizes = (batch, *shape)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def op(self, kind: str, *inputs: str, name: str | None = None, outputs: int = 1, **attributes: Any) -> str:
        self.count += 1
        title = f"{kind.lower()}{self.count}" if name is None else name
        made = [f"t{self.count}" if i == 0 else f"t{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), made, name=title, **attributes))
        return made[0]

    def const(self, values: Any, dtype: Any = np.float32, name: str = "") -> str:
        self.count += 1
        title = name or f"c{self.count}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype), title))
        return title

    def normal(self, *shape: int, name: str = "") -> str:
        return self.const(self.rng.normal(size=shape), name=name)

    def model(self, output: str, **graph_fields: Any) -> onnx.ModelProto:
        feed = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.sizes)
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "g", [feed], [result], self.initializers, **graph_fields)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def run_onnxruntime(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def for_graph(imported: Imported, x: np.ndarray) -> np.ndarray:
    """Samples of the file's layout in that of the graph."""
    shape = shapes(imported.graph)[the_input(imported.graph)]
    if imported.input_layout == "nhwc":
        x = np.moveaxis(x, -1, 1)
    return x.reshape(len(x), *shape)


def samples(net: Net, n: int = 3) -> np.ndarray:
    batch, *shape = net.sizes
    return np.random.default_rng(1).normal(size=(batch if isinstance(batch, int) else n, *shape)).astype(np.float32)


def check(net: Net, output: str, folder: Path, *, tail: str = "") -> Imported:
    """Import the model and compare its output with onnxruntime's. tail: output to compare with, if the last one is left out."""
    x = samples(net)
    expected = run_onnxruntime(net.model(tail or output), x).reshape(len(x), -1)
    imported = read_onnx(save(net.model(output), folder))
    found = forward(imported.graph, for_graph(imported, x)).reshape(len(x), -1)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= BOUND * max(1.0, np.abs(expected).max())
    assert [e.node for e in imported.ledger] == [n.name for n in net.nodes]
    for entry in imported.ledger:
        assert (entry.fate == "dropped") == (not entry.into)
        assert entry.why or entry.fate == "became"
        assert set(entry.into) <= set(imported.graph.nodes)
    return imported


def small_net() -> tuple[Net, str]:
    """A convolution, a rectifier and a dense layer, and the name of their output."""
    net = Net((2, 6, 6))
    y = net.op("Relu", net.op("Conv", "x", net.normal(3, 2, 3, 3, name="w"), net.normal(3), name="conv"))
    return net, net.op("Gemm", net.op("Flatten", y), net.normal(48, 4), name="head")


def refuse(folder: Path, model: onnx.ModelProto, kind: type[SnnportError], match: str) -> SnnportError:
    """The error that reading `model` raises: of exactly this kind, with this message."""
    with pytest.raises(kind, match=match) as caught:
        read_onnx(save(model, folder))
    assert caught.type is kind
    return caught.value
