"""What every neuron family is made of: its row of the table, its prepared state, and arithmetic that several share.

A step function sees one sample. It runs after the arrivals of the step were added to the row of the state that the family
names, writes the neurons that fire to index/count from `at` on, and returns how many did. It keeps in tally[PENDING]
whether another step without any arrival could change or emit anything; the engine leaves out the step if not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph
from snnport.program import Population
from snnport.sim.vector import inner

Rows = npt.NDArray[np.int64]

PENDING, V_SATURATIONS, U_WRAPS = 0, 1, 2
UNBOUNDED = 1 << 62
MOST_PAYLOAD = (1 << 31) - 1
"""Spike counts and payloads are 32-bit integers."""


@dataclass(frozen=True)
class Arrivals:
    """Bounds on what can arrive at one neuron, in absolute value: in one step, and in all steps together."""

    step: int
    total: int


@dataclass(frozen=True, eq=False)
class Prepared:
    """A population ready to run: state (rows, n), the row arrivals add to, params (rows, n), and a bound on every |state|.

    max_count: most spikes of a neuron in one step, or the largest |payload|.
    """

    state: Rows
    arrivals_row: int
    params: Rows
    bound: int
    max_count: int = 1
    simple: bool = False
    biased: bool = False
    bounded: bool = False
    loads: tuple[int, int] = (-1, -1)


@dataclass(frozen=True)
class Family:
    """One row of the table. optional: neutral values. state_words: words of state that an update reads, and writes.

    one_by_one: a neuron meets the spikes of a step one after another, in ascending order of their sources.
    payloads: it sends numbers, one event each, rather than spikes of a multiplicity. common: every program's kernel has it.
    """

    code: int
    required: tuple[str, ...]
    optional: Mapping[str, int]
    state_words: int
    prepare: Callable[[Population, Mapping[str, Rows], int, Arrivals], Prepared]
    one_by_one: bool = False
    payloads: bool = False
    common: bool = False


def largest(*values: Rows) -> int:
    """The largest |value| of all arrays, 0 if they are empty."""
    return max((max(abs(int(v.max())), abs(int(v.min()))) for v in values if v.size), default=0)


def in_range(population: Population, p: Mapping[str, Rows], ranges: Mapping[str, tuple[int, int]]) -> None:
    """Raises InvalidGraph unless every named parameter lies in its range, ends included."""
    for name, (low, high) in ranges.items():
        if p[name].size and (p[name].min() < low or p[name].max() > high):
            what = f"{name} spans {p[name].min()}..{p[name].max()}, the range is {low}..{high}"
            raise InvalidGraph(population.name, what)


def spiking(population: Population, p: Mapping[str, Rows], resets: int) -> None:
    """Raises InvalidGraph for resets, bounds and numbers of spikes that contradict each other. resets: how many there are."""
    if "max_spikes" in p:
        if p["max_spikes"].size and p["max_spikes"].min() < 1:
            raise InvalidGraph(population.name, f"max_spikes is {p['max_spikes'].min()}, at least 1 is needed")
        if np.any((p["max_spikes"] > 1) & (p["v_threshold"] < 1)):
            what = "v_threshold is below 1 where max_spikes is above 1"
            raise InvalidGraph(population.name, what, "Raise the threshold to 1")
    if np.any((p["reset"] < 0) | (p["reset"] >= resets)):
        known = "0 (subtract) nor 1 (set to v_reset)" if resets == 2 else "0 nor 1 (see `if`) nor 2 (subtract all)"
        raise InvalidGraph(population.name, f"reset is neither {known}")
    check_bounds(population, p)


def check_bounds(population: Population, p: Mapping[str, Rows]) -> None:
    """Raises InvalidGraph where v_min is above v_max."""
    if np.any(p["v_min"] > p["v_max"]):
        raise InvalidGraph(population.name, "v_min is above v_max", "Swap them")


def finite_bounds(p: Mapping[str, Rows]) -> tuple[Rows, bool]:
    """Those of v_min and v_max that bound v, and whether all of them do."""
    limits = np.concatenate((p["v_min"], p["v_max"]))
    finite = limits[np.abs(limits) < UNBOUNDED]
    return finite, finite.size == limits.size


def bound_of_v(p: Mapping[str, Rows], steps: int, arrivals: Arrivals, loaded: int = 0) -> int:
    """Greatest |v| of a neuron that adds arrivals and bias, loses v_threshold on firing, and may be bounded."""
    finite, closed = finite_bounds(p)
    # A threshold of 0 or less is taken off as a gain, once a step.
    gain = largest(np.minimum(p["v_threshold"], 0)) + largest(p["bias"])
    start = max(largest(p["v_init"], p["v_reset"], finite), loaded)
    bound = start + arrivals.total + steps * gain
    return min(bound, start + arrivals.step + gain) if closed else bound


@inner
def decayed(x: Any, keep: Any) -> Any:
    """sign(x) * ((|x| * keep) >> 12), keep = 4096 - decay: rounds toward zero. |x| < 2^50."""
    return (x * keep) >> 12 if x >= 0 else -((-x * keep) >> 12)


@inner
def leaked(x: Any, keep: Any, shift: Any) -> Any:
    """x - (x >> shift) where shift is not negative, else `decayed`, which no x overflows here."""
    if shift >= 0:
        return x - (x >> shift)
    size = x if x >= 0 else -x
    kept = (size >> 12) * keep + (((size & 4095) * keep) >> 12)
    return kept if x >= 0 else -kept
