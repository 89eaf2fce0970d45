"""The quantised ANN that a converted spiking graph stands for, from the graph and its metadata alone."""

from __future__ import annotations

from typing import Any

import nir

from snnport.errors import InvalidGraph
from snnport.graph import Graph, build, names_of, predecessors, without_node
from snnport.nodes import MaxPool2d, QuantReLU, max_windows


def quantised_ann(graph: Graph) -> Graph:
    """The ANN on counts whose integer execution the spiking `graph` reproduces: rectifiers for neurons, max for relays.

    Raises InvalidGraph if a neuron carries no integer threshold, that is, if snnport did not convert the graph.
    """
    nodes: dict[str, nir.NIRNode] = dict(graph.nodes)
    relays, readouts = [], []
    for name, node in graph.nodes.items():
        if isinstance(node, nir.I):
            readouts.append(name)
        elif isinstance(node, nir.IF) and "relay" in node.metadata:
            relays.append(name)
        elif isinstance(node, nir.IF):
            nodes[name] = _rectifier(name, node)
    ann = build(nodes, graph.edges, graph.metadata)
    for name in relays:
        ann = _with_max_pooling(ann, name)
    for name in (*readouts, *names_of(graph, nir.Delay)):
        ann = without_node(ann, name)
    return ann


def _rectifier(name: str, node: nir.IF) -> QuantReLU:
    try:
        theta, scale = int(node.metadata["theta"]), float(node.metadata["scale"])
        levels = int(node.metadata["levels"])
    except KeyError as error:
        raise InvalidGraph(name, f"it has no {error} in its metadata", "Only converted networks have a quantised ANN") from None
    return QuantReLU(theta * scale, levels, 1.0, metadata={"theta": theta, "scale": scale})


def max_pool_of(graph: Graph, relay: str) -> MaxPool2d:
    """The max pooling that a relay and the sum of its windows, the node before it, stand for."""
    node: Any = graph.nodes[predecessors(graph, relay)[0]]
    return max_windows(node)


def _with_max_pooling(graph: Graph, name: str) -> Graph:
    window, pool = predecessors(graph, name)[0], max_pool_of(graph, name)
    nodes = {key: pool if key == name else value for key, value in graph.nodes.items() if key != window}
    source = predecessors(graph, window)[0]
    edges = [(source if a == window else a, b) for a, b in graph.edges if b != window]
    return build(nodes, edges, graph.metadata)
