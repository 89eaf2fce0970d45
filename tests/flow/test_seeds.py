"""Every report says what was drawn at random and by which seed, or that nothing was."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command

from snnport.models.digits import DIGITS
from snnport.passes.distill_xylo import DistillXylo
from snnport.targets.base import resolve_target

UNIFORM = {"uniform calibration samples": 0}


def test_what_is_converted_without_samples_says_what_it_was_calibrated_on(snnport: Command, tmp_path: Path) -> None:
    line = ["convert", DIGITS.onnx, "-o", tmp_path / "n.nir", "--levels", 4, "--range", "0,1"]
    assert snnport(*line, "--json").data["seeds"] == UNIFORM
    assert "seed 0 of uniform calibration samples" in snnport(*line).out
    given = [*line, "--scale", 16, "--calibration", DIGITS.calibration]
    assert snnport(*given, "--json").data["seeds"] == {}
    assert "no seed: nothing was drawn at random" in snnport(*given).out


def test_check_run_and_validate_say_their_seeds(snnport: Command, converted: Path) -> None:
    assert snnport("check", DIGITS.onnx, "--target", "cpu", "--levels", 4, "--json").data["seeds"] == UNIFORM
    assert snnport("check", DIGITS.onnx, "--target", "speck2f", "--levels", 4, "--json").data["seeds"] == UNIFORM
    own = [converted / "digits.nir", "--target", "cpu"]
    assert snnport("check", *own, "--json").data["seeds"] == {}
    for verb in ("run", "validate"):
        line = [verb, *own, "--input", DIGITS.test, "--scale", 16]
        assert snnport(*line, "--json").data["seeds"] == {}
        assert "no seed: nothing was drawn at random" in snnport(*line).out


def test_a_proof_by_drawn_spikes_says_so(snnport: Command, converted: Path) -> None:
    fixed = snnport("check", converted / "digits.nir", "--target", "speck2f", "--fix", "--json")
    assert fixed.data["fixes"]
    assert fixed.data["seeds"] == {"spikes that a rewriting is proved on": 0}
    given = ["--input", DIGITS.test, "--scale", 16]
    assert snnport("check", converted / "digits.nir", "--target", "speck2f", "--fix", *given, "--json").data["seeds"] == {}


@pytest.mark.parametrize("name", ["xylo_audio2", "xylo_imu", "cpu", "loihi2"])
def test_a_target_says_itself_what_its_passes_draw(name: str) -> None:
    assert dict(resolve_target(name).draws) == (DistillXylo.seeds if name.startswith("xylo") else {})
