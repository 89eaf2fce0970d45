"""Cores and clock of the cpu machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_programs import chip_with
from sim_programs import fed

import snnport
from snnport.chip import load_chip
from snnport.encoders import Stimulus
from snnport.errors import InvalidGraph
from snnport.program import Dense, Diagonal, Neuron, Population, Program, Projection, Slice
from snnport.sim.engine import run
from snnport.sim.timing import CLOCK_NUMBERS, as_table, clock_of, time_s

CPU = load_chip(Path(snnport.__file__).parent / "targets" / "cpu" / "chip.toml")


def spread(slices, chip=None) -> Program:
    """20 inputs -> 20 relays -> 3 readouts, everything of weight 1, where the slices say."""
    populations = (
        Population("in", (20,), Neuron("input", {})),
        Population("relay", (20,), Neuron("if", {"v_threshold": np.array(1)})),
        Population("out", (3,), Neuron("integrator", {})),
    )
    projections = (
        Projection("a", "in", "relay", Diagonal(np.ones(20, np.int8))),
        Projection("b", "relay", "out", Dense(np.ones((3, 20), np.int8))),
        Projection("c", "relay", "out", Dense(np.ones((3, 20), np.int8)), delay=2),
    )
    clock = {"lanes": 2, "event_overhead_cycles": 5, "message_cycles": 3, "barrier_cycles": 100, "cores": 4}
    chip = chip or chip_with(**clock)
    return Program("cpu", chip, populations, projections, slices, ("in",), ("out",), 4)


def test_a_step_lasts_as_long_as_its_busiest_core():
    slices = (Slice("relay", 0, 0, 8), Slice("relay", 1, 8, 20), Slice("out", 1, 0, 2), Slice("out", 3, 2, 3))
    x = np.zeros((1, 4, 20), np.uint8)
    x[0, 0, [0, 1, 8]] = 1
    counts = run(spread(slices), Stimulus(x, None, 4)).counts
    # Sweeps: core 0 holds 8 neurons, core 1 14, core 3 1, two lanes. Step 1: cores 0 and 1 take 2 and 1 spikes of one synapse
    # (5 + 1), and send each on to cores 1 and 3 (one message each, though two projections reach them). Steps 2 and 3: three
    # spikes arrive at cores 1 (2 synapses) and 3 (1 synapse).
    core0 = [4, 4 + 2 * 6 + 2 * 2 * 3, 4, 4]
    core1 = [7, 7 + 6 + 2 * 3, 7 + 3 * 6, 7 + 3 * 6]
    core3 = [1, 1, 1 + 3 * 6, 1 + 3 * 6]
    assert counts.core_cycles.tolist() == [sum(core0), sum(core1), 0, sum(core3)]
    assert counts.cycles.tolist() == [sum(max(step) + 100 for step in zip(core0, core1, core3, strict=True))]
    assert counts.messages == {"in": 3, "relay": 6, "out": 0}
    assert counts.queue_peak.tolist() == [2, 3, 0, 3]
    assert counts.chips == 1


def test_cores_of_a_second_chip_follow_the_first():
    slices = (Slice("relay", 0, 0, 20), Slice("out", 2, 0, 3, chip=1))
    counts = run(spread(slices), Stimulus(np.zeros((1, 4, 20), np.uint8), None, 4)).counts
    assert counts.core_cycles.tolist() == [40, 0, 0, 0, 0, 0, 8, 0]
    assert counts.chips == 2


def test_the_shipped_chip_has_a_clock():
    assert clock_of(CPU) is not None
    assert set(CLOCK_NUMBERS) <= set(CPU.numbers)
    assert all(n.confidence == "defined" and n.source and n.unit for n in CPU.numbers.values())
    assert time_s(CPU["clock_hz"], CPU) == 1.0
    assert time_s(1, chip_with()) is None


WHOLE = (Slice("relay", 0, 0, 20), Slice("out", 1, 0, 3))


@pytest.mark.parametrize(
    ("slices", "match"),
    [
        (WHOLE[:1], "neuron 0 sits on no core"),
        ((*WHOLE, Slice("relay", 0, 19, 20)), "slice 19..20 places a neuron for the second time"),
        ((*WHOLE, Slice("relay", 0, 19, 21)), "slice 19..21 leaves its 20 neurons"),
        ((*WHOLE, Slice("layer", 0, 0, 1)), "there is no population 'layer'"),
        ((Slice("relay", -1, 0, 20), WHOLE[1]), "sits on core -1 of chip 0"),
    ],
)
def test_refused_placements(slices, match):
    with pytest.raises(InvalidGraph, match=match):
        run(spread(slices), Stimulus(np.zeros((1, 4, 20), np.uint8), None, 4))


def test_a_slice_of_a_host_population_puts_nothing_on_the_core():
    x = np.ones((1, 4, 20), np.uint8)
    plain = run(spread(WHOLE), Stimulus(x, None, 4)).counts
    with_input = run(spread((*WHOLE, Slice("in", 2, 0, 20))), Stimulus(x, None, 4)).counts
    assert plain.cycles.tolist() == with_input.cycles.tolist()


def test_an_impossible_clock_is_refused():
    with pytest.raises(InvalidGraph, match="lanes must be at least 1"):
        run(replace(fed("if", [1], v_threshold=1), chip=chip_with(lanes=0)), Stimulus(np.ones((1, 1, 1), np.uint8), None, 1))


def test_tables_hold_32_bits():
    assert as_table([1, -(2**31) + 1]).dtype == np.int32
    with pytest.raises(InvalidGraph, match="a table of the engine holds 2147483648"):
        as_table([2**31])
