"""A network that was trained in snnTorch's maths, decays that are no bit shifts, on the integers of Xylo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnport.encoders import Stimulus
from snnport.flow.convert import ConvertOptions
from snnport.flow.execute import validate_model
from snnport.flow.model import Model, ReadOptions, open_model
from snnport.flow.prepare import InputOptions, spiking
from snnport.graph import Graph
from snnport.passes.base import Context, run_passes
from snnport.passes.distill_xylo import DistillXylo
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.targets.xylo.vendor import run_xylosim

FILE = Path(__file__).parents[1] / "golden" / "xylo_braille" / "braille_noBias_subtract.nir"
CHIPS = ("xylo_audio2", "xylo_audio3", "xylo_imu")
TAUGHT = 128


def model() -> Model:
    return open_model(FILE, ReadOptions(dialect="snntorch", reset="subtract"))


def graph() -> Graph:
    return spiking(model(), InputOptions()).graph


def touches(n: int) -> Any:
    """Spikes like those of the task, of no meaning: (n, 256, 12)."""
    rng = np.random.default_rng(0)
    rate = rng.uniform(0.0, 0.15, (n, 1, 12))
    return (rng.random((n, 256, 12)) < rate).astype(np.int64)


@pytest.mark.parametrize("chip", CHIPS)
def test_it_fits(chip: str) -> None:
    target = resolve_target(chip)
    found = target.check(run_passes(graph(), target.passes_for(graph()), Context()))
    assert found.fits
    used = {usage.resource: usage.used for usage in found.usage}
    assert (used["inputs"], used["hidden"], used["outputs"], used["fan-out"]) == (12, 40, 7, 47)


@pytest.mark.slow
@pytest.mark.data
def test_it_loses_at_most_two_points(data_dir: Path, tmp_path: Path) -> None:
    """Held-out samples; scales and codes were chosen by others, without their labels."""
    data = np.load(data_dir / "braille" / "braille7_unique1158.npz")
    order = np.random.default_rng(0).permutation(len(data["x"]))
    held, taught = order[:348], order[464 : 464 + TAUGHT]
    np.savez(tmp_path / "held.npz", x=data["x"][held], y=data["y"][held])
    np.savez(tmp_path / "taught.npz", x=data["x"][taught])
    inputs = InputOptions(calibration=tmp_path / "taught.npz")
    found = validate_model(model(), None, "xylo_audio2", tmp_path / "held.npz", inputs, ConvertOptions(), None)
    real, chip = found.stages[0], found.stages[-1]
    assert real.accuracy is not None
    assert chip.accuracy is not None
    assert real.accuracy == pytest.approx(299 / 348)
    assert chip.accuracy >= real.accuracy - 0.02
    assert any(step.startswith("distill-xylo") for step in found.done)


@pytest.mark.xylo
def test_the_vendor_s_simulator_gives_the_taught_program_s_trace() -> None:
    target = resolve_target("xylo_audio2")
    step = DistillXylo(theta=10240, gain=0.9, epochs=2)
    program = target.lower(run_passes(graph(), (step,), Context(calibration=touches(24))))
    x = touches(6)
    names, stimulus = ["lif1.lif", "lif2"], Stimulus(x, None, 256)
    ours = run(program, stimulus, record_spikes=names, record_v=names).trace
    theirs = run_xylosim(program, stimulus, names, names)
    for name in names:
        assert theirs.spikes[name].any()
        np.testing.assert_array_equal(ours.spikes[name], theirs.spikes[name])
        np.testing.assert_array_equal(ours.v[name], theirs.v[name])
