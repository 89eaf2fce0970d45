"""How finely the input must count: the fewest levels at which rounding it leaves the network's answers as they are.

The input's levels are a parameter of their own: only the first window of a sample grows with them.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.encoders import CountEncoder
from snnport.graph import Graph, predecessors, the_output, topological_order
from snnport.passes.steps import best_step
from snnport.reference import node_function

MULTIPLES = (1, 2, 4, 8)
MOST = 256
"""Pixels have 8 bits; more levels than they have tell nothing."""
CHANGED = 0.01
"""Share of the answers that rounding may change; about half of them change for the worse."""
SAMPLES = 256
CHUNK = 32


def enough_input_levels(graph: Graph, x: npt.NDArray[np.float64], levels: int, kind: str, signed: bool) -> int:
    """The least of `levels`, twice, four times or eight times as many (at most 256, at least `levels`) at which rounding the
    input `x` (n, *shape) of the float `graph` changes at most 1 % of its answers, or one; else that which changes fewest."""
    x = x[:SAMPLES]
    tried = [levels, *(levels * times for times in MULTIPLES[1:] if levels * times <= MOST)]
    if len(tried) == 1:
        return levels
    values = np.abs(x) if signed else np.maximum(x, 0.0)
    answers = _answers(graph, _entering(x, kind, signed))
    changed = {}
    for count in tried:
        encoder = CountEncoder(kind, best_step(values, values, count), count, signed)
        changed[count] = int((_answers(graph, encoder.counts(x) * encoder.step) != answers).sum())
        if changed[count] <= max(1.0, CHANGED * len(x)):
            return count
    return min(tried, key=lambda count: (changed[count], count))


def _entering(x: npt.NDArray[np.float64], kind: str, signed: bool) -> npt.NDArray[np.float64]:
    if signed and kind == "message":
        return x
    entering: npt.NDArray[np.float64] = np.maximum(np.concatenate([x, -x], axis=1) if signed else x, 0.0)
    return entering


def _answers(graph: Graph, x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    """The arg max of `graph` on every sample, in float32, a few samples at a time."""
    functions = {name: node_function(name, node, dtype="float32") for name, node in graph.nodes.items()}
    order = [name for name in topological_order(graph) if not isinstance(graph.nodes[name], nir.Input)]
    found = []
    for start in range(0, len(x), CHUNK):
        part = np.asarray(x[start : start + CHUNK], np.float32)
        values = {name: part for name, node in graph.nodes.items() if isinstance(node, nir.Input)}
        for name in order:
            first, *others = (values[source] for source in predecessors(graph, name))
            values[name] = np.asarray(functions[name](sum(others, start=first)), np.float32)
        found.append(values[the_output(graph)].reshape(len(part), -1).argmax(1))
    return np.concatenate(found)
