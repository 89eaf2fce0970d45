"""A graph by NIR's own way of reading: what a framework's convention says of its numbers is written into the numbers.

Ignored fields take the value that they count as, time constants become seconds, and the gain of every neuron's input
becomes its r and w_in: r' = g r / (1 - a) for membranes (g / dt for integrators), w_in' = g w_in / (1 - a) for synapses,
so that NIR's step, v = a v + (1 - a) (v_leak + r' i), adds what the framework's does. Quantising starts here, and what is
left of the convention are the rules that lowered programs keep: the decay, the reset, the comparison, the lower bound.
"""

from __future__ import annotations

import json
from copy import copy
from typing import Any

import nir
import numpy as np

from snnport.convention import Convention, convention_of
from snnport.errors import PassFailed
from snnport.graph import Graph, back_edges, build, shapes
from snnport.nodes import NEURON_NODES, Real, Shape
from snnport.reference.cell import gain, kept, parameter

KEPT = ("name", "dt", "decay", "reset", "comparison", "multi_spike", "recurrent_delay", "v_min")
"""Rules that lowering reads."""


def folded(graph: Graph, spelling: str, without: tuple[str, ...] = ()) -> Graph:
    """`graph` with its convention folded into its neurons; `graph` itself if there is nothing to fold.

    without: rules that the caller drops, and says so. Raises PassFailed, in the name of the pass `spelling`, for another rule
    of time that a lowered program does not keep.
    """
    rule = convention_of(graph.metadata)
    plain = Convention(**{key: getattr(rule, key) for key in KEPT})
    if rule == plain:
        return graph
    _check(graph, rule, spelling, without)
    sizes = shapes(graph)
    nodes = {name: _folded(node, sizes[name], rule) for name, node in graph.nodes.items()}
    header = json.loads(graph.metadata.get("snnport", "{}"))
    header["convention"] = plain.to_json()
    return build(nodes, graph.edges, {**graph.metadata, "snnport": json.dumps(header)})


def _check(graph: Graph, rule: Convention, spelling: str, without: tuple[str, ...]) -> None:
    where = f"{spelling}: convention '{rule.name}'"
    kinds = {type(node) for node in graph.nodes.values()}
    waiting = {
        "reset": rule.reset == "none" and any(hasattr(node, "v_threshold") for node in graph.nodes.values()),
        "unbounded": bool(rule.unbounded),
        "start": rule.start == "reset" and any(_starts_away(node) for node in graph.nodes.values()),
        "reset_when": rule.reset_when in ("next_end", "carried"),
        "spike_delay": rule.spike_delay > 0,
        "synapse_delay": rule.synapse_delay > 0,
        "current": rule.current == "old" and bool(kinds & {nir.CubaLI, nir.CubaLIF}),
        "loop_start": rule.loop_start == "nothing" and _biased_loop(graph),
        "dtype": rule.dtype == "lava-fixed",
    }
    lost = [f"{key} = {getattr(rule, key)}" for key, is_there in waiting.items() if is_there and key not in without]
    if lost:
        what = f"lowered programs do not keep {', '.join(lost)}"
        raise PassFailed(where, what, "Run it with --engine reference; --dialect nir reads it without them")


def _biased_loop(graph: Graph) -> bool:
    """Whether a node with a bias closes a loop or stands before one that does."""
    return any(np.any(getattr(graph.nodes[a], "bias", 0.0)) for a, _ in back_edges(graph))


def _starts_away(node: nir.NIRNode) -> bool:
    """Whether the reset of a neuron is not its leak."""
    return bool(np.any(getattr(node, "v_reset", 0.0) != np.asarray(getattr(node, "v_leak", 0.0))))


def _folded(node: nir.NIRNode, shape: Shape, rule: Convention) -> nir.NIRNode:
    if isinstance(node, nir.Delay):
        late = copy(node)
        late.delay = np.asarray(node.delay, np.float64) * rule.tau_unit
        return late
    if not isinstance(node, NEURON_NODES):
        return node
    new: Any = copy(node)
    for field in rule.ignores:
        if hasattr(node, field):
            setattr(new, field, _full(parameter(node, field, rule), shape))
    for field in ("tau", "tau_mem", "tau_syn", "tau_adapt"):
        if hasattr(node, field):
            setattr(new, field, np.asarray(getattr(node, field), np.float64) * rule.tau_unit)
    r = parameter(node, "r", rule)
    if isinstance(node, nir.I | nir.IF):
        new.r = _full(r if rule.integrator_gain == "dt" else r / rule.dt, shape)
    else:
        tau: Any = getattr(node, "tau_mem", getattr(node, "tau", None))
        kind = rule.leaky_gain if isinstance(node, nir.LI) else rule.membrane_gain
        new.r = _full(_factor(kind, kept(tau, rule), r, rule), shape)
    if isinstance(node, nir.CubaLI | nir.CubaLIF):
        w_in = parameter(node, "w_in", rule)
        new.w_in = _full(_factor(rule.synapse_gain, kept(node.tau_syn, rule), w_in, rule), shape)
    result: nir.NIRNode = new
    return result


def _factor(kind: str, keep: Any, value: Any, rule: Convention) -> Real:
    """The r or w_in with which NIR's own gain, 1 - a, adds what the gain `kind` does."""
    total = gain(kind, keep, value, rule) * (keep if kind == "keep" else 1.0)
    return np.asarray(total / (1.0 - keep), np.float64)


def _full(values: Any, shape: Shape) -> Real:
    return np.array(np.broadcast_to(np.asarray(values, np.float64), shape))
