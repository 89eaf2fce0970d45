"""`--engine vendor`: Lava in the place of the engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import Command

from snnport.program import Dense, Neuron, Population, Program, Projection
from snnport.targets.base import resolve_target


@pytest.fixture
def spiking(tmp_path: Path) -> tuple[Path, Path]:
    """A Loihi program with a spiking output, and spikes and labels for so many samples that Lava runs copies of it."""
    rng = np.random.default_rng(1)
    fields = {key: np.asarray(value) for key, value in {"du": 900, "dv": 300, "vth": 90}.items()}
    populations = (
        Population("in", (6,), Neuron("input", {})),
        Population("a", (8,), Neuron("cuba", fields)),
        Population("b", (3,), Neuron("cuba", fields)),
    )
    projections = (
        Projection("1", "in", "a", Dense(2 * rng.integers(-20, 40, (8, 6)))),
        Projection("2", "a", "b", Dense(2 * rng.integers(-20, 40, (3, 8))), delay=2),
        Projection("3", "b", "a", Dense(2 * rng.integers(-20, 20, (8, 3)))),
    )
    chip = resolve_target("loihi2").chip
    program = Program("loihi2", chip, populations, projections, (), ("in",), ("b",), 0, {"readout": "count"})
    program.save(tmp_path / "program.npz")
    x, y = rng.integers(0, 2, (9, 25, 6)).astype(np.uint8), np.arange(9) % 3
    np.savez(tmp_path / "x.npz", x=x, y=y)
    return tmp_path / "program.npz", tmp_path / "x.npz"


@pytest.mark.lava
def test_lava_gives_what_the_engine_gives(snnport: Command, spiking, tmp_path: Path) -> None:
    program, x = spiking
    answers = {}
    for engine in ("sim", "vendor"):
        given = ["run", program, "--target", "loihi2", "--input", x, "--engine", engine, "--record", "spikes,v", "--json"]
        answers[engine] = snnport(*given, "-o", tmp_path / f"{engine}.npz")
        assert answers[engine].code == 0, answers[engine].err
    assert snnport("compare", tmp_path / "sim.npz", tmp_path / "vendor.npz").code == 0
    ours, theirs = answers["sim"].data, answers["vendor"].data
    for key in ("predictions", "accuracy", "steps", "readout", "samples"):
        assert ours[key] == theirs[key]
    assert theirs["engine"] == "vendor"
    assert theirs["spikes"]["b"] == ours["spikes"]["b"] > 0
    assert (theirs["cycles"], theirs["neuron_updates"], theirs["energy"]) == (None, None, [])


def test_without_lava_one_line_says_what_to_type(snnport: Command, spiking, monkeypatch: pytest.MonkeyPatch) -> None:
    from snnport.targets import interpreter

    program, x = spiking
    monkeypatch.setattr(interpreter, "_says", lambda python, code: None)
    answer = snnport("run", program, "--target", "loihi2", "--input", x, "--engine", "vendor")
    assert answer.code == 1
    assert "Lava: there is no Python that has lava.proc here. Type: make lava" in " ".join(answer.err.split())
    assert answer.out == ""


def test_what_lava_would_change_is_refused(snnport: Command, spiking) -> None:
    program, x = spiking
    loaded = Program.load(program)
    wrong = replace(loaded.projections[0], synapse=Dense(loaded.projections[0].synapse.codes * 100))
    replace(loaded, projections=(wrong, *loaded.projections[1:])).save(program)
    answer = snnport("run", program, "--target", "loihi2", "--input", x, "--engine", "vendor")
    assert answer.code == 1
    assert "codes span" in answer.err


def test_validate_knows_the_engines_too(snnport: Command, converted: Path) -> None:
    given = ["validate", converted / "digits.nir", "--input", converted / "digits_test.npz", "--scale", 16, "--target", "cpu"]
    for engine, match in (("vendor", "no vendor's simulator"), ("reference", "it runs no programs")):
        answer = snnport(*given, "--engine", engine)
        assert answer.code == 1
        assert match in " ".join(answer.err.split())
