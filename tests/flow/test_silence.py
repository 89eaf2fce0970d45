"""Populations that are meant never to fire are not called silent; those that should fire and do not are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Command
from random_programs import chip_with

from snnport.flow.silence import activity_of_spikes, never_firing
from snnport.models.digits import DIGITS
from snnport.program import Neuron, Population, Program
from snnport.trace import Trace


def program(family: str, readout: str, **params: int) -> Program:
    """An input, a hidden neuron, and an output of a family."""
    out = Population("out", (2,), Neuron(family, {name: np.asarray(value) for name, value in params.items()}))
    hidden = Population("hidden", (3,), Neuron("if", {"v_threshold": np.asarray(5)}))
    given = Population("in", (2,), Neuron("input", {}))
    return Program("cpu", chip_with(), (given, hidden, out), (), (), ("in",), ("out",), 4, {"readout": readout})


@pytest.mark.parametrize(
    ("family", "readout", "params", "quiet"),
    [
        ("if", "count", {"v_threshold": 5}, ()),
        ("if", "max", {"v_threshold": 5}, ("out",)),
        ("integrator", "count", {}, ("out",)),
        ("cuba", "count", {"du": 0, "dv": 0, "vth": (1 << 17) - 1}, ("out",)),
        ("cuba", "count", {"du": 0, "dv": 0, "vth": 100}, ()),
        ("graded", "sum", {}, ()),
    ],
)
def test_what_never_fires_by_design(family: str, readout: str, params: dict[str, int], quiet: tuple[str, ...]) -> None:
    found = program(family, readout, **params)
    assert never_firing(found) == quiet
    nothing = {name: np.zeros((1, 4, size), np.uint8) for name, size in (("in", 2), ("hidden", 3), ("out", 2))}
    told = [a.population for a in activity_of_spikes(found, Trace(nothing, {}))]
    assert told == ["hidden", *(() if quiet else ("out",))]


@pytest.mark.parametrize("target", ["cpu", "loihi2"])
@pytest.mark.parametrize("code", ["ttfs", "ramp"])
def test_a_readout_of_a_converted_network_is_not_called_silent(
    snnport: Command, converted: Path, tmp_path: Path, code: str, target: str
) -> None:
    few = {name: np.load(DIGITS.test)[name][:6] for name in "xy"}
    np.savez(tmp_path / "few.npz", **few)
    own = ["--scale", 16, "--calibration", converted / "digits_calibration.npz"]
    network = tmp_path / "n.nir"
    assert snnport("convert", converted / "digits.onnx", "-o", network, "--code", code, "--levels", 4, *own).code == 0
    assert snnport("lower", network, "--target", target, "-o", tmp_path / "p.npz").code == 0
    line = ["run", tmp_path / "p.npz", "--target", target, "--input", tmp_path / "few.npz", "--scale", 16, "--json"]
    run: dict[str, Any] = snnport(*line).data
    assert run["never_fire"] == ["readout"]
    assert run["spikes"]["readout"] == 0
    assert "readout" not in {a["population"] for a in run["activity"]}
