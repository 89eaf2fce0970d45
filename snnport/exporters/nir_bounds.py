"""How little and how much can arrive at a neuron in one step, if the network's input is 0 or 1: what two resets may share.

One spike a step and as many as fit are the same where no potential reaches two thresholds; a lower bound does nothing where no
potential comes that low.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention
from snnport.exporters.nir_step import Step, step_of
from snnport.graph import Graph, predecessors, shapes, topological_order
from snnport.nodes import NEURON_NODES
from snnport.reference.ann import node_function

Array = npt.NDArray[np.float64]


def arriving(graph: Graph) -> dict[str, tuple[Array, Array]]:
    """Node name -> least and most that it gives in one step, for inputs and spikes of 0 or 1; for neurons what arrives."""
    sizes = shapes(graph)
    given: dict[str, tuple[Array, Array]] = {}
    result: dict[str, tuple[Array, Array]] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input | nir.Threshold) or hasattr(node, "v_threshold"):
            given[name] = np.zeros(sizes[name]), np.ones(sizes[name])
        elif isinstance(node, NEURON_NODES):
            given[name] = np.full(sizes[name], -np.inf), np.full(sizes[name], np.inf)
    order = [name for name in topological_order(graph) if name not in given]
    for name in [*order, *(name for name in graph.nodes if isinstance(graph.nodes[name], NEURON_NODES))]:
        sources = [given.get(a, _unknown(sizes[a])) for a in predecessors(graph, name)]
        low, high = (np.sum([source[i] for source in sources], axis=0) for i in (0, 1))
        if isinstance(graph.nodes[name], NEURON_NODES):
            result[name] = low, high
        else:
            given[name] = result[name] = _through(name, graph.nodes[name], low, high)
    return result


def _unknown(shape: Any) -> tuple[Array, Array]:
    return np.full(shape, -np.inf), np.full(shape, np.inf)


def _through(name: str, node: Any, low: Array, high: Array) -> tuple[Array, Array]:
    """The bounds behind a stateless node; nothing is known where its input is unbounded."""
    if isinstance(node, nir.Delay):
        return np.minimum(low, 0.0), np.maximum(high, 0.0)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        probe = node_function(name, node)(np.zeros((1, *low.shape)))[0]
        return _unknown(probe.shape)
    if not hasattr(node, "weight") and not hasattr(node, "scale"):
        run = node_function(name, node)
        return run(low[None])[0], run(high[None])[0]
    field = "weight" if hasattr(node, "weight") else "scale"
    parts: list[Callable[[Array], Array]] = []
    for sign in (1.0, -1.0):
        changes: dict[str, Any] = {field: np.maximum(sign * np.asarray(getattr(node, field), np.float64), 0.0)}
        if hasattr(node, "bias"):
            changes["bias"] = np.zeros_like(np.asarray(node.bias, np.float64))
        parts.append(node_function(name, replace(node, **changes)))
    plus, minus = parts
    bias = node_function(name, node)(np.zeros((1, *low.shape)))[0]
    return plus(low[None])[0] - minus(high[None])[0] + bias, plus(high[None])[0] - minus(low[None])[0] + bias


def never_below(graph: Graph, rule: Convention, floor: float) -> set[str]:
    """Neurons whose potential stays at or above `floor` times their threshold, for inputs of 0 or 1."""
    bounds, sizes, found = arriving(graph), shapes(graph), set()
    for name, node in graph.nodes.items():
        if hasattr(node, "v_threshold"):
            step = step_of(node, sizes[name], rule)
            low = bounds[name][0]
            assert step.threshold is not None
            rests = np.minimum(np.minimum(step.rest, step.start), _after(step, rule)) >= floor * step.threshold
            if np.all((low >= 0) & rests & (step.a >= 0) & (step.drive >= 0)):
                found.add(name)
    return found


def _after(step: Step, rule: Convention) -> Array:
    """The least potential after a spike: 0 where a threshold is taken off."""
    return step.back if rule.reset in ("zero", "value") else np.zeros_like(step.a)


def never_twice(graph: Graph, rule: Convention) -> set[str]:
    """Neurons that never reach two thresholds in one step, for inputs of 0 or 1 and one spike a step before them."""
    bounds, sizes, found = arriving(graph), shapes(graph), set()
    for name, node in graph.nodes.items():
        if hasattr(node, "v_threshold"):
            step = step_of(node, sizes[name], rule)
            assert step.threshold is not None
            if step.a_s is None and np.all(
                (bounds[name][1] * step.drive <= step.threshold)
                & (step.rest == 0)
                & (step.a >= 0)
                & (step.a <= 1)
                & (step.drive >= 0)
                & (step.back < step.threshold)
            ):
                found.add(name)
    return found
