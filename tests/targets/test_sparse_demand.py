"""Sparse synapses take what their dense form takes of ranges, and only what is listed of memory."""

from __future__ import annotations

import numpy as np

from snnport.program import Dense, Projection, Sparse
from snnport.targets.cpu import rules as cpu_rules
from snnport.targets.intervals import charge
from snnport.targets.loihi.memory import fan_out

RNG = np.random.default_rng(0)
FULL = np.where(RNG.random((7, 5)) < 0.4, RNG.integers(-9, 10, (7, 5)), 0)
TARGET, SOURCE = np.nonzero(FULL)
SPARSE = Projection("p", "a", "b", Sparse(FULL[TARGET, SOURCE], TARGET, SOURCE, (7, 5)))
DENSE = Projection("p", "a", "b", Dense(FULL))


def test_the_range_of_arrivals_is_that_of_the_dense_form() -> None:
    for sparse, dense in zip(charge(SPARSE), charge(DENSE), strict=True):
        assert np.array_equal(sparse, dense)


def test_fan_out_and_memory_count_the_listed_synapses() -> None:
    for start, stop in ((0, 7), (2, 5), (3, 3)):
        part = FULL[start:stop] != 0
        assert np.array_equal(fan_out(SPARSE, start, stop), part.sum(axis=0))
        assert cpu_rules._words(SPARSE, start, stop) == part.sum()
