"""The spiking graph that most codes share: counting rectifiers become IF neurons, max pooling an OR of spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np

from snnport.graph import Graph, build, fresh_name, predecessors, shapes, the_output
from snnport.ledger import Entry
from snnport.nodes import MaxPool2d, QuantReLU
from snnport.passes.codes.base import Order

SUBTRACTING = "integrate and fire, subtracting reset"
TO_ZERO = "integrate and fire, reset to zero"
AN_OR = "an OR of spikes in each step"


def with_neurons(graph: Graph, order: Order, neuron: str, pooling: str = AN_OR) -> Graph:
    """`graph` with nir.IF for every rectifier, a window sum and a relay for every max pooling, an nir.I as readout.

    neuron, pooling: what a rectifier and a max pooling became, in words, for the ledger.
    """
    sizes = shapes(graph)
    nodes: dict[str, nir.NIRNode] = {}
    edges = list(graph.edges)
    for name, node in graph.nodes.items():
        if isinstance(node, QuantReLU):
            nodes[name] = _integrate_and_fire(node, sizes[name])
            order.ctx.note(Entry(name, "QuantReLU", "became", (name,), neuron, order.spelling))
        elif isinstance(node, MaxPool2d):
            window = fresh_name(graph, f"{name}.window")
            nodes[window] = _window(node, sizes[predecessors(graph, name)[0]])
            nodes[name] = _relay(sizes[name])
            edges = [(a, window if b == name else b) for a, b in edges] + [(window, name)]
            order.ctx.note(Entry(name, "MaxPool2d", "became", (window, name), pooling, order.spelling))
        else:
            nodes[name] = node
    output = the_output(graph)
    if not isinstance(nodes[predecessors(graph, output)[0]], nir.IF):
        nodes, edges = _with_readout(graph, nodes, edges, output, sizes[output])
    return build(nodes, edges, graph.metadata)


def _integrate_and_fire(node: QuantReLU, shape: tuple[int, ...]) -> nir.IF:
    theta, scale = int(node.metadata["theta"]), float(node.metadata["scale"])
    metadata = {"theta": theta, "scale": scale, "levels": node.levels}
    return nir.IF(np.ones(shape), np.full(shape, theta * scale), np.zeros(shape), metadata=metadata)


def _relay(shape: tuple[int, ...]) -> nir.IF:
    return nir.IF(np.ones(shape), np.ones(shape), np.zeros(shape), metadata={"theta": 1, "scale": 1.0, "relay": 1})


def _window(node: MaxPool2d, shape: tuple[int, ...]) -> nir.NIRNode:
    """The sum of a window's spikes; padding that NIR's pooling cannot say becomes a convolution with ones."""
    top, left, bottom, right = node.padding
    if (top, left) == (bottom, right):
        return nir.SumPool2d(np.array(node.kernel_size), np.array(node.stride), np.array([top, left]))
    height, width = max(top, bottom), max(left, right)
    ones = np.ones((shape[0], 1, *node.kernel_size))
    extension = ((0, 0), (0, 0), (height - top, height - bottom), (width - left, width - right))
    kernel = np.pad(ones, extension)
    metadata = {"scale": 1.0, "bits": 2}
    zeros = np.zeros(shape[0])
    return nir.Conv2d((shape[1], shape[2]), kernel, node.stride, (height, width), (1, 1), shape[0], zeros, metadata=metadata)


def _with_readout(
    graph: Graph, nodes: Mapping[str, nir.NIRNode], edges: list[tuple[str, str]], output: str, shape: tuple[int, ...]
) -> tuple[dict[str, nir.NIRNode], list[tuple[str, str]]]:
    name = fresh_name(graph, "readout")
    layer: Any = graph.nodes[predecessors(graph, output)[0]]
    while "scale" not in layer.metadata:
        layer = graph.nodes[predecessors(graph, next(n for n, node in graph.nodes.items() if node is layer))[0]]
    readout = nir.I(np.ones(shape), metadata={"scale": float(layer.metadata["scale"])})
    return {**nodes, name: readout}, [(a, name if b == output else b) for a, b in edges] + [(name, output)]
