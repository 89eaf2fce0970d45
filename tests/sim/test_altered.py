"""The executor under other rules: with none changed it is the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_programs import chip_with, random_program
from xylo_programs import xylo_program

from snnport.encoders import Stimulus
from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.program import Dense, Neuron, Population, Program, Projection
from snnport.sim.altered import wires
from snnport.sim.altered.cells import STEPS
from snnport.sim.altered.rules import Rules
from snnport.sim.altered.run import Altered
from snnport.sim.engine import run
from snnport.sim.neurons import FAMILIES, HOST_FAMILIES


def equals_the_engine(program: Program, raster: np.ndarray) -> None:
    steps = program.n_steps or raster.shape[1]
    names = [p.name for p in program.populations]
    cells = [p.name for p in program.populations if p.neuron.family not in HOST_FAMILIES]
    engine = run(program, Stimulus(raster, None, raster.shape[1]), record_spikes=names, record_v=cells, threads=1).trace
    executor = Altered(program)
    for s in range(len(raster)):
        own = executor.run(raster[s])
        for name in names:
            assert own.spikes[name].shape[1] == steps
            np.testing.assert_array_equal(own.spikes[name][0], engine.spikes[name][s], err_msg=name)
        for name in cells:
            np.testing.assert_array_equal(own.v[name][0], engine.v[name][s], err_msg=name)


@pytest.mark.parametrize("seed", range(60))
def test_no_rule_changed_is_the_engine(seed: int) -> None:
    equals_the_engine(*random_program(seed, every=True))


@pytest.mark.parametrize("seed", range(12))
def test_no_rule_changed_is_the_engine_on_xylo(seed: int) -> None:
    equals_the_engine(*xylo_program(seed))


def test_every_family_is_there() -> None:
    assert set(STEPS) == set(FAMILIES) - HOST_FAMILIES


def chain(delay: int = 1) -> Program:
    cell = Neuron("if", {"v_threshold": np.asarray(2)})
    populations = (Population("in", (1,), Neuron("input", {})), Population("n", (1,), cell))
    links = (Projection("w", "in", "n", Dense(np.ones((1, 1), np.int8)), None, delay),)
    return Program("cpu", chip_with(), populations, links, (), ("in",), ("n",), 0, {})


def test_a_delay_below_zero_and_a_loop_without_a_step() -> None:
    with pytest.raises(InvalidGraph, match="a loop takes no step, or a delay is below 0"):
        Altered(chain(0)).run(np.ones((3, 1)), Rules(delay=-1))
    back = Projection("back", "n", "n", Dense(np.ones((1, 1), np.int8)), None, 1)
    looped = replace(chain(), projections=(*chain().projections, back))
    with pytest.raises(InvalidGraph, match="a loop takes no step"):
        Altered(looped).run(np.ones((3, 1)), Rules(delay=-1, projection="back"))


def test_too_many_synapses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wires, "MOST_SYNAPSES", 0)
    with pytest.raises(UnsupportedNode, match="it has 1 synapses"):
        Altered(chain())


@pytest.mark.parametrize(
    ("rules", "x", "expected"),
    [
        (Rules(), -5, -2),
        (Rules(rounding="down"), -5, -3),
        (Rules(rounding="away"), 5, 3),
        (Rules(rounding="away"), 4, 2),
        (Rules(rounding="nearest"), -5, -3),
        (Rules(rounding="nearest"), 3, 2),
    ],
)
def test_roundings(rules: Rules, x: int, expected: int) -> None:
    assert rules.divided(np.array([x]), 1, "zero").tolist() == [expected]


def test_bounds_and_wraps() -> None:
    assert Rules(bounds="wrap").bounded(np.array([9, -9]), np.array([-8, -8]), np.array([7, 7])).tolist() == [-7, 7]
    assert Rules(bounds="wrap").bounded(np.array([9]), np.array([-(1 << 62)]), np.array([7])).tolist() == [7]
    assert Rules(bounds="none").bounded(np.array([9]), 0, 7).tolist() == [9]
    top = 1 << 23
    assert Rules().wrapped(np.array([top + 1, top, -top])).tolist() == [1 - top, top, top]
    assert Rules(wrap="saturate").wrapped(np.array([top + 1, -top - 5])).tolist() == [top - 1, 1 - top]
    assert Rules(wrap="saturate below").wrapped(np.array([-top - 5])).tolist() == [-top]
    assert Rules(wrap="none").wrapped(np.array([top + 1])).tolist() == [top + 1]


def test_constants() -> None:
    assert Rules(bits=8).constant(np.array([1842, 7, 8])).tolist() == [1840, 0, 16]
    assert Rules(nudge=1).constant(np.array([4096, 0])).tolist() == [4096, 1]
    assert Rules(nudge=-1).shift(np.array([0, 3])).tolist() == [0, 2]
