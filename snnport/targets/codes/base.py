"""What the codes share: driven populations, the generators that drive them, and the charge that closes a gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnport.convention import Coding
from snnport.fixed import IntArray, narrowest
from snnport.program import Dense, Neuron, Population, Projection
from snnport.targets.intervals import charges
from snnport.targets.plan import Plan


@dataclass(frozen=True)
class Cell:
    """What a target's neuron does beside what the graph says.

    many: it fires as often as its threshold fits, in every network; otherwise only where the convention says so.
    v_range: where its potential saturates. bias_at_start: in the rate code the biases of all periods are there at the start,
    for chips without a clock that could bring them.
    """

    many: bool = False
    v_range: tuple[int, int] | None = None
    bias_at_start: bool = False


@dataclass(frozen=True, eq=False)
class Driven:
    """The population of one node, and what it needs beside the network.

    before, after: populations that stand before and after it in the program (generators, twins). projections: theirs.
    """

    population: Population
    before: tuple[Population, ...] = ()
    after: tuple[Population, ...] = ()
    projections: tuple[Projection, ...] = ()


def generator(name: str, target: str, pulses: list[tuple[int, IntArray]]) -> tuple[Population, Projection]:
    """Control neurons: for each distinct list of codes one that spikes in the steps it is given for.

    pulses: (step, codes (n,)): the neuron spikes in that step and adds the codes to `target` a step later.
    """
    kinds: list[IntArray] = []
    times: list[tuple[int, int]] = []
    for step, codes in pulses:
        kind = next((i for i, known in enumerate(kinds) if np.array_equal(known, codes)), len(kinds))
        kinds += [codes] if kind == len(kinds) else []
        times.append((step, kind))
    time, index = (np.array([pair[i] for pair in times], np.int64) for i in (0, 1))
    population = Population(name, (len(kinds),), Neuron("generator", {"time": time, "index": index}))
    every = np.stack(kinds, axis=1)
    small = every.astype(narrowest(int(every.min(initial=0)), int(every.max(initial=0))))
    return population, Projection(name, name, target, Dense(small), None, 1)


def closing(plan: Plan, name: str) -> int:
    """G of a gated population, see `gate_of`; 0 if its threshold is no integer."""
    theta = threshold_of(plan, name)
    return 0 if theta is None else gate_of(plan.into(name), levels_of(plan.coding), plan.bias[name], theta)


def levels_of(coding: Coding | None) -> dict[str, int]:
    """The most that each population may count, by name."""
    return {} if coding is None else {source: window.levels for source, window in coding.windows.items()}


def gate_of(into: tuple[Projection, ...], levels: Mapping[str, int], bias: IntArray, theta: IntArray) -> int:
    """G: what closes a gated population, and what its control spike takes back when the window opens.

    The greatest over its neurons of sum_j max(w_ij, 0) * nmax_j + max(bias_i, 0) - theta_i / 2 + 1, and at least 0: with
    theta/2 + bias - G at the start, no order of arrivals reaches theta. nmax_j: the levels of source j, times the window
    of a pooling on the way.
    """
    most = charges(into, levels, len(bias))[1]
    return max(0, int((most + np.maximum(bias, 0) - theta // 2 + 1).max()))


def threshold_of(plan: Plan, name: str) -> IntArray | None:
    """The threshold of a firing neuron in codes (n,), or None if it is no integer."""
    node: Any = plan.graph.nodes[name]
    return plan.codes(name, node.v_threshold)


def most_at_once(plan: Plan, name: str) -> int:
    """The most charge that reaches one neuron of a relay in a step: the spikes of its window."""
    ones = {p.source: 1 for p in plan.into(name)}
    return int(charges(plan.into(name), ones, len(plan.bias[name]))[1].max(initial=1))


def relay() -> Neuron:
    """An OR of spikes: fires if anything arrives in a step, and keeps nothing."""
    params = {"v_threshold": 1, "v_init": 0, "reset": 1, "v_reset": 0, "max_spikes": 1}
    return Neuron("if", {key: np.asarray(value) for key, value in params.items()})
