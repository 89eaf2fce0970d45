"""What a graph says, in codes: the plan that every target lowers from.

A path or neuron that a rule refuses is left out here without a word: the rules have the words (rules.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnport.convention import Coding, Convention, Window, coding_of, convention_of
from snnport.errors import InvalidGraph
from snnport.fixed import IntArray, narrowest
from snnport.graph import Graph, names_of, shapes
from snnport.nodes import NEURON_NODES, Shape
from snnport.passes.paths import Path, walk
from snnport.program import Conv, Projection, Synapse
from snnport.targets.synapses import (
    bias_of,
    composes,
    integers,
    pool_of,
    scale_of,
    synapse_of,
    trimmed,
)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a graph says, in codes. paths: those that can be projections. projections: one for each of them.

    bias: neuron name -> codes (n,). scale: neuron name -> real value of one code, where the neuron has one.
    """

    graph: Graph
    coding: Coding | None
    convention: Convention
    shapes: Mapping[str, Shape]
    paths: tuple[Path, ...]
    projections: tuple[Projection, ...]
    bias: Mapping[str, IntArray]
    scale: Mapping[str, float]

    def window(self, name: str) -> Window | None:
        """The window of population `name`, or None if the graph was not converted. Raises InvalidGraph if it is missing."""
        if self.coding is None:
            return None
        if name not in self.coding.windows:
            raise InvalidGraph(name, "the coding in the graph's metadata has no window for it", "Convert the network again")
        return self.coding.windows[name]

    def codes(self, name: str, values: Any) -> IntArray | None:
        """Real `values` of neuron `name` in its codes, int64 (n,), or None if they are no codes."""
        found = integers(values, self.scale.get(name), name)
        size = int(np.prod(self.shapes[name], dtype=np.int64))
        return None if found is None else np.broadcast_to(found.reshape(-1), (size,))

    def into(self, name: str) -> tuple[Projection, ...]:
        """The projections into neuron `name`."""
        return tuple(p for p in self.projections if p.target == name)


def delay_of(graph: Graph, path: Path) -> float:
    """Steps that the Delay nodes on `path` add; a fraction, or NaN where the neurons differ, is refused by a rule."""
    total = 0.0
    for name in path.delays:
        node: Any = graph.nodes[name]
        values = np.unique(np.asarray(node.delay, np.float64))
        total += float(values[0]) / convention_of(graph.metadata).dt if len(values) == 1 else float("nan")
    return round(total, 3)


def unit_code(scale: float | None) -> int | None:
    """The code of weight 1, which a path without weights has, or None if `scale` does not divide it."""
    codes = integers(1.0, scale, "")
    return None if codes is None else int(codes)


def plan(graph: Graph, *, forward_delay: int, trim: bool = True) -> Plan:
    """What `graph` says, in codes. forward_delay: steps a spike takes; a path that closes a loop takes at least one.

    Raises InvalidGraph if shapes or metadata contradict each other.
    """
    sizes = shapes(graph)
    convention = convention_of(graph.metadata)
    paths, _ = walk(graph)
    scale = {name: q for name in names_of(graph, *NEURON_NODES) if (q := scale_of(graph.nodes[name])) is not None}
    names: set[str] = set()
    kept, projections = [], []
    for path in paths:
        unit = unit_code(scale.get(path.target)) if path.weighted is None else 1
        steps = delay_of(graph, path)
        if unit is None or not composes(graph, path) or not steps.is_integer():
            continue
        synapse = synapse_of(graph, path, sizes, unit=unit)
        if synapse is None:
            continue
        if isinstance(synapse, Conv) and trim:
            synapse = trimmed(synapse)
        delay = max(forward_delay, convention.recurrent_delay, 1) if path.back else forward_delay
        name = _name(path, names)
        names.add(name)
        pool = pool_of(graph, path, sizes)
        projections.append(Projection(name, path.source, path.target, _narrow(synapse), pool, delay + int(steps)))
        kept.append(path)
    every = tuple(kept)
    bias = {name: bias_of(graph, every, sizes, name) for name in names_of(graph, *NEURON_NODES)}
    return Plan(graph, coding_of(graph.metadata), convention, sizes, every, tuple(projections), bias, scale)


def _name(path: Path, taken: set[str]) -> str:
    """The weighted node's name, or the pooling's, or the ends'; made unique by the target and a number."""
    stem = path.weighted or (path.pools[0] if path.pools else f"{path.source}->{path.target}")
    for wish in (stem, f"{stem}->{path.target}", f"{path.source}->{stem}->{path.target}"):
        if wish not in taken:
            return wish
    number = 2
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"


def _narrow(synapse: Synapse) -> Synapse:
    """The synapse with its codes in the smallest type that holds them."""
    codes = synapse.codes
    return replace(synapse, codes=codes.astype(narrowest(int(codes.min(initial=0)), int(codes.max(initial=0)))))


def compact(values: IntArray) -> IntArray:
    """One value as a 0-d array where all are equal; the smallest type that holds them."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    small = values.astype(narrowest(low, high))
    return small.reshape(-1)[0:1].reshape(()) if small.size and np.all(small == small.reshape(-1)[0]) else small
