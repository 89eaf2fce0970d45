"""Destination cores of a spike, as lists: against a count of every synapse, however a map is divided into blocks."""

from __future__ import annotations

import numpy as np
import pytest
from engine_oracle import synapses
from random_programs import random_program

from snnport.program import Conv, Dense, Projection
from snnport.sim import fanout
from snnport.sim.fanout import fan_out, messages_per_spike
from snnport.sim.timing import cores_of


@pytest.mark.parametrize("block", [1, 200, 1 << 18])
def test_lists_equal_a_count_of_every_synapse(block, monkeypatch):
    monkeypatch.setattr(fanout, "BLOCK", block)
    for seed in range(60):
        program, _ = random_program(seed, every=True)
        cores = cores_of(program, whole=False)
        n = len(cores.names)
        for p in program.populations:
            outgoing = [q for q in program.projections if q.source == p.name]
            fans = [fan_out(q, p.size, cores.of[q.target], n) for q in outgoing]
            reached = np.zeros((p.size, n + 1), bool)
            for q, fan in zip(outgoing, fans, strict=True):
                table = np.zeros((p.size, n + 1), int)
                for j, listed in synapses(q, p.size).items():
                    for i, _ in listed:
                        table[j, cores.of[q.target][i]] += 1
                np.testing.assert_array_equal(fan.table[fan.row_of], table, err_msg=f"seed {seed}, {q.name}")
                np.testing.assert_array_equal(fan.synapses_of()[fan.row_of], table.sum(axis=1))
                assert np.all(fan.synapses > 0)
                assert not np.any(fan.placed().core == n)
                reached |= table > 0
            np.testing.assert_array_equal(messages_per_spike(fans, p.size), reached[:, :n].sum(axis=1))


def test_targets_on_no_core_are_the_last_column():
    fan = fan_out(Projection("w", "a", "b", Dense(np.ones((4, 2), np.int8))), 2, np.array([1, -1, 1, 0]), 2)
    np.testing.assert_array_equal(fan.table, [[1, 2, 1]])
    np.testing.assert_array_equal(messages_per_spike([fan], 2), [2, 2])


def test_neighbouring_sources_of_a_large_map_list_few_cores():
    """A map of 256 x 256 on 256 cores: a source reaches at most 4 of them, and the lists hold no more than that."""
    conv = Conv(np.ones((1, 1, 3, 3), np.int8), (1, 256, 256), (1, 1), (1, 1, 1, 1))
    core_of = np.arange(1 << 16) // 256
    fan = fan_out(Projection("k", "a", "b", conv), 1 << 16, core_of, 256)
    assert len(fan.core) == 256 * (254 * 3 + 2 * 2)
    assert fan.synapses.sum() == (256 * 3 - 2) ** 2
