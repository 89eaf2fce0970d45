"""slope on hand-written numbers: the table of docs/semantics.md, its two clock steps, its edges."""

from __future__ import annotations

import pytest
from sim_programs import traced

from snnport.errors import InvalidGraph

pytestmark = pytest.mark.usefixtures("unexpected_overflow")


def test_a_current_stays_until_its_step():
    spikes, v, _ = traced("slope", [3, 0, -1, 0, 0, 0], v_threshold=100, clear_step=3)
    assert (spikes, v) == ([0] * 6, [3, 6, 8, 8, 8, 8])


def test_what_arrives_in_the_clearing_step_counts():
    assert traced("slope", [3, 0, 5, 0], v_threshold=100, clear_step=2)[1] == [3, 6, 11, 16]


def test_a_load_ends_the_current_and_sets_v():
    assert traced("slope", [4, 0, 0, 1], v_threshold=100, load_step=2, v_load=-7)[1] == [4, 8, -7, -6]


def test_it_fires_once_a_step_and_keeps_its_current():
    assert traced("slope", [5, 0, 0, 0], v_threshold=10)[:2] == ([0, 1, 0, 1], [5, 0, 5, 0])
    assert traced("slope", [5, 0, 0, 0], v_threshold=10, reset=1, v_reset=-9)[:2] == ([0, 1, 0, 0], [5, -9, -4, 1])


def test_a_start_and_a_long_current():
    spikes, v, _ = traced("slope", [1 << 30] + [0] * 9, v_threshold=1 << 40, v_init=-5)
    assert v[-1] == 10 * (1 << 30) - 5
    assert not any(spikes)


def test_a_reset_that_is_none_is_refused():
    with pytest.raises(InvalidGraph, match=r"reset is neither 0 \(subtract\) nor 1"):
        traced("slope", [1], v_threshold=3, reset=2)
