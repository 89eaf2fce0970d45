"""Totals of a run's counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_programs import chip_with
from sim_programs import fed, traced

from snnport.errors import InvalidInput, UnknownName
from snnport.program import Dense, Projection
from snnport.sim.counts import TOTALS, memory_traffic


def test_totals():
    _, _, counts = traced("if", [4, 4, 4], v_threshold=4)
    expected = {"samples": 1, "steps": 3, "spikes": 6, "synaptic_operations": 3, "neuron_updates": 3, "messages": 3}
    assert {name: counts.total(name) for name in expected} == expected
    assert counts.total("cycles") == counts.total_cycles == 3 * (16 + 1 + 5)
    assert (counts.total("v_saturations"), counts.total("u_wraps"), counts.total("chips")) == (0, 0, 1)
    assert all(isinstance(counts.total(name), int) for name in TOTALS)


def test_an_unknown_total_is_refused():
    _, _, counts = traced("integrator", [1])
    with pytest.raises(UnknownName, match="Did you mean 'spikes'"):
        counts.total("spike")


def test_memory_traffic_by_the_width_of_codes_and_state():
    program = fed("cuba", [1, 2], du=0, dv=0, vth=9)
    wide = Projection("x", "in", "cell", Dense(np.array([[300, -70000]])))
    # 8-bit codes take one byte, 18-bit codes three; 24-bit state takes three bytes a word.
    narrow = replace(program, chip=chip_with(state_bits=24), projections=(*program.projections, wide))
    assert memory_traffic(narrow, {"w": 10, "x": 7}, 4) == (10 + 3 * 7, 3 * 21, 3 * 21)


def test_cuba_updates_read_and_write_two_words():
    _, _, counts = traced("cuba", [1, 1], du=0, dv=0, vth=9)
    assert counts.state_read_bytes == 4 * (2 + 2 * 2)


def test_cycles_without_a_clock_are_not_zero_but_unknown():
    _, _, counts = traced("integrator", [1])
    with pytest.raises(InvalidInput, match="the chip has no clock"):
        replace(counts, cycles=None).total("cycles")
