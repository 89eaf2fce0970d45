"""The shipped network is what its README says, by a runtime that is not ours."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from snnport.datasets import load_samples
from snnport.models.digits import DIGITS


def test_the_network_classifies_as_documented() -> None:
    samples = load_samples(DIGITS.test, None, (1, 8, 8), scale=DIGITS.scale)
    assert (samples.n_samples, samples.x.dtype, samples.n_steps) == (400, np.uint8, 0)
    session = onnxruntime.InferenceSession(DIGITS.onnx)
    (logits,) = session.run(None, {"input": samples.batch(0, 400).astype(np.float32)})
    assert samples.y is not None
    assert int((logits.argmax(1) == samples.y).sum()) == 396
    assert set(samples.y.tolist()) == set(range(10))


def test_batch_norm_is_there_unfused() -> None:
    kinds = [node.op_type for node in onnx.load(DIGITS.onnx).graph.node]
    assert kinds.count("BatchNormalization") == 2
    assert {"MaxPool", "AveragePool", "Gemm"} <= set(kinds)


def test_calibration_has_no_labels_and_no_held_out_digit() -> None:
    calibration = load_samples(DIGITS.calibration, None, (1, 8, 8))
    test = load_samples(DIGITS.test, None, (1, 8, 8))
    assert calibration.y is None
    assert calibration.n_samples == 128
    assert calibration.batch(0, 128).max() == pytest.approx(16, abs=0)
    held_out = {image.tobytes() for image in test.x}
    assert not [image for image in calibration.x if image.tobytes() in held_out]
