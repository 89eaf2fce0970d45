"""The codes whose neurons send numbers, from the command line: validate, streams, refusals, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import Command

from snnport.errors import PassFailed
from snnport.flow.convert import ConvertOptions
from snnport.flow.execute import Request, execute, validate_model
from snnport.flow.model import open_model
from snnport.flow.prepare import InputOptions
from snnport.models.digits import DIGITS


@pytest.fixture
def digits(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Scaled calibration samples, streams of four frames, and the last frame of each."""
    with np.load(DIGITS.test) as file:
        x = file["x"][:32].reshape(-1, 1, 8, 8) / DIGITS.scale
    paths = tuple(tmp_path / f"{name}.npz" for name in ("calibration", "streams", "last"))
    np.savez(paths[0], x=x)
    np.savez(paths[1], x=x[:12].reshape(3, 4, 1, 8, 8))
    np.savez(paths[2], x=x[:12].reshape(3, 4, 1, 8, 8)[:, -1])
    return paths


@pytest.mark.parametrize("target", ["cpu", "loihi2"])
@pytest.mark.parametrize(("code", "bits"), [("graded", 8), ("sigma-delta", 4)])
def test_validate_finds_no_difference(digits: tuple[Path, Path, Path], code: str, bits: int, target: str) -> None:
    inputs, options = InputOptions(calibration=digits[0]), ConvertOptions(code=code, bits=bits)
    found = validate_model(open_model(DIGITS.onnx), None, target, digits[0], inputs, options)
    assert found.logits_equal is True
    assert found.stages[-1].agreement == found.stages[-2].agreement


def test_a_stream_ends_with_the_logits_of_its_last_frame(digits: tuple[Path, Path, Path]) -> None:
    inputs, options = InputOptions(calibration=digits[0]), ConvertOptions(code="sigma-delta", bits=4)
    model = open_model(DIGITS.onnx)
    streams, single = (execute(model, path, inputs, options, Request("loihi2"))[0] for path in digits[1:])
    assert streams.n_steps == single.n_steps + 3
    assert np.array_equal(streams.scores, single.scores)
    reference = execute(model, digits[1], inputs, options, replace(Request("cpu"), engine="reference"))[0]
    assert np.array_equal(reference.scores, streams.scores)


def test_a_stream_in_the_graded_code_is_refused(digits: tuple[Path, Path, Path], snnport: Command) -> None:
    answer = snnport("run", DIGITS.onnx, "--code", "graded", "--calibration", digits[0], "--input", digits[1])
    assert answer.code == 1
    assert "x has 4 steps, the network's schedule takes 6" in " ".join(answer.err.split())


def test_eight_bits_are_too_many_for_sigma_delta(digits: tuple[Path, Path, Path]) -> None:
    options = ConvertOptions(code="sigma-delta", levels=255)
    with pytest.raises(PassFailed, match=r"its sum may reach \d+ \(2\^\d+\.\d\), 24 bits hold up to 8388607"):
        validate_model(open_model(DIGITS.onnx), None, "cpu", digits[0], InputOptions(calibration=digits[0]), options)


def test_a_written_network_is_validated_from_its_file_alone(
    digits: tuple[Path, Path, Path], tmp_path: Path, snnport: Command
) -> None:
    written = tmp_path / "digits.nir"
    assert snnport("convert", DIGITS.onnx, "--code", "graded", "--calibration", digits[0], "-o", written).code == 0
    answer = snnport("validate", written, "--target", "loihi2", "--input", digits[2], "--json")
    assert answer.code == 0
    assert answer.data["logits_equal"] is True


@pytest.mark.parametrize(
    ("target", "rule"), [("loihi1", "graded-spikes"), ("speck2f", "graded-spikes"), ("tinyodin", "hard-reset-to-zero")]
)
@pytest.mark.parametrize(("code", "bits"), [("graded", 8), ("sigma-delta", 4)])
def test_chips_without_graded_spikes_refuse_by_rule(target: str, rule: str, code: str, bits: int, snnport: Command) -> None:
    answer = snnport("check", DIGITS.onnx, "--target", target, "--code", code, "--bits", bits, "--json")
    assert answer.code == 1
    assert rule in {violation["rule"] for violation in answer.data["violations"]}
