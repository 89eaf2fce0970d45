"""The quantised ANN that a converted spiking graph stands for, from the graph and its metadata alone."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph
from snnport.graph import Graph, build, predecessors, without_node
from snnport.nodes import MaxPool2d, QuantReLU, pair


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
    for name in readouts:
        ann = without_node(ann, name)
    return ann


def _rectifier(name: str, node: nir.IF) -> QuantReLU:
    try:
        theta, scale = int(node.metadata["theta"]), float(node.metadata["scale"])
        levels = int(node.metadata["levels"])
    except KeyError as error:
        raise InvalidGraph(name, f"it has no {error} in its metadata", "Only converted networks have a quantised ANN") from None
    return QuantReLU(theta * scale, levels, 1.0, metadata={"theta": theta, "scale": scale})


def _with_max_pooling(graph: Graph, name: str) -> Graph:
    window = predecessors(graph, name)[0]
    node: Any = graph.nodes[window]
    if isinstance(node, nir.SumPool2d):
        height, width = pair(node.padding)
        pool = MaxPool2d(pair(node.kernel_size), pair(node.stride), (height, width, height, width))
    else:
        pool = _pool_of_ones(node)
    nodes = {key: pool if key == name else value for key, value in graph.nodes.items() if key != window}
    source = predecessors(graph, window)[0]
    edges = [(source if a == window else a, b) for a, b in graph.edges if b != window]
    return build(nodes, edges, graph.metadata)


def _pool_of_ones(node: nir.Conv2d) -> MaxPool2d:
    """The window whose zero-extended kernel of ones `node` is."""
    used: npt.NDArray[np.bool_] = np.any(node.weight != 0, axis=(0, 1))
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    height, width = pair(node.padding)
    padding = (
        height - int(rows[0]),
        width - int(columns[0]),
        height - (len(used) - 1 - int(rows[-1])),
        width - (used.shape[1] - 1 - int(columns[-1])),
    )
    kernel = (int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1)
    return MaxPool2d(kernel, pair(node.stride), padding)
