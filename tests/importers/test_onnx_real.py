"""Networks as PyTorch, CNTK, keras2onnx and tf2onnx wrote them."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx_models import BOUND, for_graph, run_onnxruntime

from snnport.graph import names_of, shapes
from snnport.importers.onnx import read_onnx
from snnport.ledger import settle
from snnport.nodes import MaxPool2d, ReLU
from snnport.reference import forward

FILES = {
    "lenet5_torch_lenet.onnx": ((10, 1, 28, 28), (1, 28, 28), "as-is", 10),
    "mnist_cntk_conv_opset8.onnx": ((1, 1, 28, 28), (1, 28, 28), "as-is", 10),
    "wuhan_mnist_lg.onnx": ((10, 28, 28, 1), (1, 28, 28), "nhwc", 10),
    "har_cnn.onnx": ((10, 9, 128), (9, 1, 128), "as-is", 6),
}


def without_softmax(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model cut in front of its Softmax, so that logits can be compared."""
    cut = [n for n in model.graph.node if n.op_type == "Softmax"]
    if cut:
        model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(cut[0].input[0], onnx.TensorProto.FLOAT, None))
    return model


@pytest.mark.data
@pytest.mark.parametrize("name", FILES)
def test_real_files_against_onnxruntime(data_dir: Path, name: str) -> None:
    batch_shape, shape, layout, outputs = FILES[name]
    path = data_dir / "ann" / name
    imported = read_onnx(path)
    assert shapes(imported.graph)["input"] == shape
    assert imported.input_layout == layout
    assert shapes(imported.graph)["output"] == (outputs,)
    assert len(imported.ledger) == len(onnx.load(path).graph.node)
    settle(imported.ledger, (), imported.graph.nodes)
    for seed in range(5):
        x = np.random.default_rng(seed).uniform(0, 1, batch_shape).astype(np.float32)
        logits = run_onnxruntime(without_softmax(onnx.load(path)), x)
        found = forward(imported.graph, for_graph(imported, x))
        assert np.abs(found - logits).max() <= BOUND * max(1.0, np.abs(logits).max())
        np.testing.assert_array_equal(found.argmax(axis=1), run_onnxruntime(onnx.load(path), x).argmax(axis=1))


@pytest.mark.data
def test_recorded_output_of_the_model_zoo(data_dir: Path) -> None:
    def recorded(word: str) -> np.ndarray:
        tensor = onnx.TensorProto()
        tensor.ParseFromString((data_dir / "ann" / f"mnist_cntk_conv_test_data_set_0_{word}_0.pb").read_bytes())
        return numpy_helper.to_array(tensor)

    imported = read_onnx(data_dir / "ann" / "mnist_cntk_conv_opset8.onnx")
    x, expected = recorded("input"), recorded("output")
    found = forward(imported.graph, for_graph(imported, x))
    assert np.abs(found - expected).max() <= BOUND * np.abs(expected).max()
    assert found.argmax() == expected.argmax()


@pytest.mark.data
def test_lenet_has_the_layers_of_the_file(data_dir: Path) -> None:
    graph = read_onnx(data_dir / "ann" / "lenet5_torch_lenet.onnx").graph
    assert names_of(graph, nir.Conv2d) == ("conv_1", "conv_2")
    assert names_of(graph, nir.Affine) == ("gemm_1", "gemm_2", "gemm_3")
    assert names_of(graph, nir.Flatten) == ("reshape_1",)
    assert len(names_of(graph, ReLU)) == 4
    assert len(names_of(graph, MaxPool2d)) == 2
