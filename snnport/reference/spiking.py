"""Spiking graphs, step by step, as a Convention means them.

Every edge has a delay of whole steps, found once: through weighted nodes, out of neurons, around loops. A node sees the sum
of what its sources gave that many steps ago; what edges of delay 0 join is walked in topological order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Protocol

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Coding, Convention
from snnport.errors import InvalidGraph, InvalidInput
from snnport.graph import Edge, Graph, back_edges, predecessors, shapes, topological_order
from snnport.nodes import NEURON_NODES, WEIGHTED_NODES, Shape
from snnport.reference.adaptive import cell_of
from snnport.reference.ann import node_function
from snnport.reference.coded import bias_into, coded_cell, coded_functions
from snnport.reference.codes.base import Setup
from snnport.reference.fixed import FixedCell, fixed_functions
from snnport.reference.relay import DelayLine, over_threshold
from snnport.trace import Trace

Array = npt.NDArray[Any]
LIMIT = 1 << 31
"""More spikes of one neuron in one step are refused; the record holds 32-bit numbers."""
Raster = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]


class Stepping(Protocol):
    """A node with a state, at work."""

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step, give what leaves in it."""
        ...


def run_spiking(
    graph: Graph,
    raster: Raster,
    convention: Convention,
    coding: Coding | None = None,
    record_v: Collection[str] = (),
) -> Trace:
    """Step a spiking graph through raster (n_samples, n_steps, *input shape), as `convention` reads it.

    raster: spike counts or real currents; one array a name where the graph has several Inputs. With a `coding` the graph
    is one that snnport converted: it runs on its integer codes, its windows open and close by the schedule, biases enter
    once, and a spike arrives one step later. Records the spikes of every neuron and Threshold node (zeros for what never
    fires), and of the nodes `record_v` the potential, or what passes through them if they have none; all
    (n_samples, n_steps, n_neurons). Raises InvalidInput if raster does not fit, UnsupportedNode for a node without a rule.
    """
    sizes = shapes(graph)
    inputs, n_samples, n_steps = _inputs(graph, raster, sizes)
    cells, functions = _parts(graph, convention, coding, sizes, n_samples)
    delays = edge_delays(graph, convention, coding is not None)
    order = step_order(graph, delays)
    dtype = "float64" if coding is not None or convention.dtype == "lava-fixed" else convention.dtype
    nothing = {name: np.zeros((n_samples, *size), dtype) for name, size in sizes.items()}
    starts = _starts(graph, functions, sizes, dtype, delays) if coding is None and convention.loop_start == "rest" else {}
    past: dict[str, deque[Array]] = {name: deque(maxlen=max(delays.values(), default=0) or 1) for name in graph.nodes}
    spikes = {name: _record(n_samples, n_steps, sizes[name], "int32") for name in graph.nodes if _spiking(graph, name)}
    potentials = {name: _record(n_samples, n_steps, sizes[name], dtype) for name in record_v}
    for step in range(n_steps):
        now: dict[str, Array] = {}
        for name in order:
            if name in inputs:
                now[name] = inputs[name][:, step].astype(dtype)
                continue
            parts = [
                now[a]
                if delays[a, name] == 0
                else past[a][-delays[a, name]]
                if step >= delays[a, name]
                else nothing[a] + starts.get((a, name), 0)
                for a in predecessors(graph, name)
            ]
            total = parts[0] if len(parts) == 1 else np.sum(parts, axis=0)
            now[name] = cells[name].advance(total, step) if name in cells else functions[name](total)
        for name, recorded in spikes.items():
            if _fires(graph, name):
                most = float(now[name].max(initial=0))
                if not most < LIMIT:
                    raise InvalidGraph(name, f"{most:g} spikes in step {step}, the limit is {LIMIT}", "Is a loop unstable?")
                recorded[:, step] = now[name].reshape(n_samples, -1)
        for name, recorded in potentials.items():
            recorded[:, step] = getattr(cells.get(name), "v", now[name]).reshape(n_samples, -1)
        for name, value in now.items():
            past[name].append(value)
    late = 0 if coding is not None else convention.spike_delay
    return Trace({name: _later(array, late) for name, array in spikes.items()}, potentials)


def _inputs(graph: Graph, raster: Raster, sizes: Mapping[str, Shape]) -> tuple[dict[str, Array], int, int]:
    """Input name -> (n_samples, n_steps, *shape), and the two counts. Raises InvalidInput."""
    names = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    given = dict(raster) if isinstance(raster, Mapping) else dict.fromkeys(names, raster)
    if sorted(given) != sorted(names) or not names or (len(names) > 1 and not isinstance(raster, Mapping)):
        what = f"the graph has the Inputs {', '.join(names) or 'none'}"
        raise InvalidInput("raster", what, "Give one array, or one an Input by its name")
    counts = {array.shape[:2] for array in given.values()}
    if len(counts) > 1:
        raise InvalidInput("raster", f"its arrays differ in samples and steps: {sorted(counts)}")
    ((n_samples, n_steps),) = counts
    for name, array in given.items():
        if int(np.prod(array.shape[2:])) != int(np.prod(sizes[name])):
            raise InvalidInput("raster", f"it gives {array.shape[2:]} a step for '{name}', which takes {sizes[name]}")
    return {name: array.reshape(n_samples, n_steps, *sizes[name]) for name, array in given.items()}, n_samples, n_steps


def _parts(
    graph: Graph, rule: Convention, coding: Coding | None, sizes: Mapping[str, Shape], n_samples: int
) -> tuple[dict[str, Stepping], dict[str, Callable[[Array], Array]]]:
    """The nodes with a state, and the function of every other node."""
    cells: dict[str, Stepping] = {}
    neurons = [name for name, node in graph.nodes.items() if isinstance(node, NEURON_NODES)]
    if coding is not None:
        functions = coded_functions(graph, coding)
        for name in neurons:
            bias = bias_into(graph, name, functions, sizes)
            cells[name] = coded_cell(Setup(name, graph.nodes[name], (n_samples, *sizes[name]), coding, bias))
        lines: dict[str, Any] = {name: node for name, node in graph.nodes.items() if isinstance(node, nir.Delay)}
        cells |= {name: DelayLine.of(name, line, (n_samples, *sizes[name]), rule) for name, line in lines.items()}
        return cells, functions
    if rule.dtype == "lava-fixed":
        functions = fixed_functions(graph, rule)
        lifs: dict[str, Any] = {name: graph.nodes[name] for name in neurons}
        return {name: FixedCell.of(lif, (n_samples, *sizes[name]), rule) for name, lif in lifs.items()}, functions
    functions = {name: node_function(name, node, dtype=rule.dtype) for name, node in graph.nodes.items()}
    for name, node in graph.nodes.items():
        if isinstance(node, NEURON_NODES):
            cells[name] = cell_of(node, (n_samples, *sizes[name]), rule, name)
        elif isinstance(node, nir.Delay):
            cells[name] = DelayLine.of(name, node, (n_samples, *sizes[name]), rule)
        elif isinstance(node, nir.Threshold):
            functions[name] = over_threshold(node, rule)
    return cells, functions


def edge_delays(graph: Graph, rule: Convention, coded: bool) -> dict[Edge, int]:
    """Steps that a value takes along every edge."""
    back = back_edges(graph)
    loop = max(rule.recurrent_delay, 0 if rule.spike_delay or rule.synapse_delay else 1)
    found: dict[Edge, int] = {}
    for a, b in graph.edges:
        node = graph.nodes[a]
        if coded:
            found[a, b] = int((a, b) in back or isinstance(node, (nir.Input, *NEURON_NODES)))
            continue
        delay = rule.synapse_delay if isinstance(node, WEIGHTED_NODES) else 0
        delay += rule.spike_delay if hasattr(node, "v_threshold") else 0
        found[a, b] = max(delay, loop) if (a, b) in back else delay
    return found


def step_order(graph: Graph, delays: Mapping[Edge, int]) -> list[str]:
    """All nodes, each after the sources that reach it in the same step. Raises InvalidGraph on a loop without delay."""
    place = {name: i for i, name in enumerate(topological_order(graph))}
    sources = {
        name: sorted((a for a in predecessors(graph, name) if not delays[a, name]), key=place.__getitem__) for name in place
    }
    try:
        return list(TopologicalSorter(sources).static_order())
    except CycleError as error:
        loop = " -> ".join(error.args[1])
        raise InvalidGraph(loop, "this loop takes no step", "Let a convention's recurrent_delay be 1 or more") from None


def _starts(
    graph: Graph,
    functions: Mapping[str, Callable[[Array], Array]],
    sizes: Mapping[str, Shape],
    dtype: str,
    delays: Mapping[Edge, int],
) -> dict[Edge, Array]:
    """What edges with a delay carry in silence, in `dtype`: the biases on the way from the last neurons."""
    late = [edge for edge, steps in delays.items() if steps]
    if not late:
        return {}
    back = back_edges(graph)
    rest: dict[str, Array] = {}
    for name in topological_order(graph):
        ways = [rest[a] for a in predecessors(graph, name) if (a, name) not in back]
        linear = name in functions and not isinstance(graph.nodes[name], (nir.Input, nir.Delay, *NEURON_NODES))
        quiet = np.zeros((1, *sizes[predecessors(graph, name)[0]])) if linear and not ways else None
        if linear:
            rest[name] = functions[name](np.sum(ways, axis=0) if quiet is None else quiet)
        else:
            rest[name] = np.zeros((1, *sizes[name]))
    return {edge: rest[edge[0]].astype(dtype) for edge in late}


def _spiking(graph: Graph, name: str) -> bool:
    """Whether spikes of this node are recorded."""
    return isinstance(graph.nodes[name], (*NEURON_NODES, nir.Threshold))


def _fires(graph: Graph, name: str) -> bool:
    """Whether what this node gives are spikes."""
    return hasattr(graph.nodes[name], "v_threshold") or isinstance(graph.nodes[name], nir.Threshold)


def _record(n_samples: int, n_steps: int, shape: Shape, dtype: str) -> Array:
    return np.zeros((n_samples, n_steps, int(np.prod(shape))), dtype)


def _later(array: Array, steps: int) -> Array:
    """`array` (n_samples, n_steps, n) with every step `steps` later."""
    if not steps:
        return array
    return np.concatenate([np.zeros_like(array[:, :steps]), array[:, :-steps]], axis=1)
