"""Gains into weights: what multiplies a neuron's input, r and w_in, becomes part of the weights before it.

NIR's neurons scale their input: v moves by r times the current, the current by w_in times what arrives. Both are linear, so
weights w before a neuron with r and w_in act as r * w_in * w before one with r = w_in = 1. Where a source has no weights,
or shares them with another node, a Scale node of its own takes the gain. Exact in real numbers; in floating point the
products round once more, which is why networks are run as they were read and folded on the way to integers alone.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import nir
import numpy as np

from snnport.graph import Graph, build, fresh_name, predecessors, shapes, successors
from snnport.nodes import Real
from snnport.passes.rescale import output_scaled

NEURONS = (nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF)


def gains_folded(graph: Graph) -> Graph:
    """`graph` with r = 1 and w_in = 1 in every neuron, its weights changed or Scale nodes put in."""
    sizes = shapes(graph)
    for name, node in list(graph.nodes.items()):
        if isinstance(node, NEURONS):
            gain = np.broadcast_to(np.asarray(node.r, np.float64) * getattr(node, "w_in", 1.0), sizes[name])
            if not np.all(gain == 1.0):
                graph = _without_gain(graph, name, gain)
    return graph


def _without_gain(graph: Graph, name: str, gain: Real) -> Graph:
    nodes = dict(graph.nodes)
    edges = list(graph.edges)
    neuron: Any = copy(graph.nodes[name])
    neuron.r = np.ones(gain.shape)
    if hasattr(neuron, "w_in"):
        neuron.w_in = np.ones(gain.shape)
    nodes[name] = neuron
    unweighted = []
    for source in predecessors(graph, name):
        alone = successors(graph, source) == (name,)
        scaled = _scaled(graph.nodes[source], gain) if alone else None
        if scaled is None:
            unweighted.append(source)
        else:
            nodes[source] = scaled
    if unweighted:
        scale = fresh_name(graph, f"{name}.r")
        nodes[scale] = nir.Scale(np.array(gain))
        edges = [(a, scale) if b == name and a in unweighted else (a, b) for a, b in edges] + [(scale, name)]
    return build(nodes, edges, graph.metadata)


def _scaled(node: nir.NIRNode, gain: Real) -> nir.NIRNode | None:
    """`node` with its output multiplied by `gain`, or None where its parameters cannot say that."""
    if isinstance(node, nir.Scale) or (isinstance(node, nir.Affine | nir.Linear) and gain.ndim == 1):
        return output_scaled(node, np.asarray(gain, np.float64))
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        rows = np.asarray(gain, np.float64).reshape(gain.shape[0], -1)
        return output_scaled(node, rows[:, 0]) if np.all(rows == rows[:, :1]) else None
    return None
