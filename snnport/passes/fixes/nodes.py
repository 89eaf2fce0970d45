"""Nodes that a core has not, written as nodes that it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.graph import Graph, shapes, successors, with_node_on_edge, with_nodes
from snnport.nodes import NEURON_NODES, WEIGHTED_NODES, flatten_node, input_node, pair
from snnport.passes.base import Context
from snnport.passes.fixes.base import Rewrite, altered, neurons, open_outputs, paths_into
from snnport.passes.paths import walk


@dataclass(frozen=True)
class AverageToSum(Rewrite):
    """Average pooling as sum pooling; the weights behind it are divided by the size of its windows. Exact in real numbers.

    Integers stay as they are: where the weights have codes, their scale shrinks, and the threshold's code grows as much.
    """

    name: ClassVar[str] = "average-to-sum"
    node: str = ""

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with a SumPool2d. Raises PassFailed where more than one node with weights follows, or codes cannot grow."""
        node = self.node_of(graph, self.node, nir.AvgPool2d)
        kernel = pair(node.kernel_size)
        size = kernel[0] * kernel[1]
        pool = nir.SumPool2d(np.array(kernel), np.array(pair(node.stride)), np.array(pair(node.padding)))
        changed: dict[str, nir.NIRNode] = {self.node: pool}
        layer = self._weights(graph)
        weighted: Any = graph.nodes[layer]
        changed[layer] = altered(weighted, weight=np.asarray(weighted.weight, np.float64) / size)
        if "scale" in weighted.metadata:
            scale = float(weighted.metadata["scale"]) / size
            changed[layer].metadata = {**weighted.metadata, "scale": scale}
            pooled = with_nodes(graph, {self.node: pool})
            for target in _ends(pooled, layer):
                changed[target] = self._rescaled(pooled, target, scale, size)
        why = f"sums; 1/{size} moved into the weights of '{layer}'"
        self.noted(ctx, self.node, "AvgPool2d", (self.node, layer), why)
        return with_nodes(graph, changed)

    def _rescaled(self, graph: Graph, target: str, scale: float, size: int) -> Any:
        into = {p.weighted for p in paths_into(graph, target)}
        if len(into) > 1:
            raise self.refuse(
                target, f"{len(into)} weighted nodes lead into it, and their codes would have to grow {size} times"
            )
        neuron: Any = graph.nodes[target]
        counted = [key for key in ("theta", "v_min") if neuron.metadata.get(key) is not None]
        more = {key: int(neuron.metadata[key]) * size for key in counted}
        return altered(neuron, metadata={**neuron.metadata, "scale": scale, **more})

    def _weights(self, graph: Graph) -> str:
        here = self.node
        while not isinstance(graph.nodes[here], WEIGHTED_NODES):
            following = successors(graph, here)
            if len(following) != 1 or isinstance(graph.nodes[following[0]], NEURON_NODES):
                raise self.refuse(self.node, f"{len(following)} ways lead on from '{here}', 1 with weights is needed")
            here = following[0]
        if isinstance(graph.nodes[here], nir.Scale):
            raise self.refuse(here, "it is a Scale, which has no weights to divide")
        return here


@dataclass(frozen=True)
class Conv1dTo2d(Rewrite):
    """Convolutions along one axis as convolutions of maps of height 1. Exact."""

    name: ClassVar[str] = "conv1d-to-2d"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with maps (channels, 1, length) where it had (channels, length)."""
        sizes = shapes(graph)
        changed: dict[str, nir.NIRNode] = {}
        for name, node in graph.nodes.items():
            shape = sizes[name]
            if isinstance(node, nir.Conv1d):
                changed[name] = self._wide(graph, name, node)
                self.noted(ctx, name, "Conv1d", (name,), "a convolution of maps of height 1")
            elif len(shape) == 2 and isinstance(node, nir.Input):
                changed[name] = input_node((shape[0], 1, shape[1]))
            elif len(shape) == 2 and isinstance(node, NEURON_NODES):
                full: Any = neurons(node, shape, range(shape[0]))
                values = {k: v[:, None] for k, v in vars(full).items() if isinstance(v, np.ndarray) and v.shape == shape}
                changed[name] = altered(full, **values)
            elif isinstance(node, nir.Flatten):
                before = sizes[next(a for a, b in graph.edges if b == name)]
                if len(before) == 2:
                    changed[name] = flatten_node((before[0], 1, before[1]))
        return open_outputs(with_nodes(graph, changed))

    def _wide(self, graph: Graph, name: str, node: Any) -> nir.Conv2d:
        weight = np.asarray(node.weight)[:, :, None]
        stride, dilation = (1, pair(node.stride)[0]), (1, pair(node.dilation)[0])
        padding = (0, pair(node.padding)[0]) if not isinstance(node.padding, str) else node.padding
        bias = np.broadcast_to(node.bias, (len(weight),))
        result = nir.Conv2d(None, weight, stride, padding, dilation, int(np.asarray(node.groups)), bias)
        result.metadata = node.metadata
        return result


@dataclass(frozen=True)
class ScaleToConv(Rewrite):
    """A Scale, or a way without weights, as a 1x1 convolution (a dense node between vectors). Exact.

    node: the Scale, or the population that spikes reach without weights.
    """

    name: ClassVar[str] = "scale-to-conv"
    node: str = ""

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with that convolution. Raises PassFailed for a Scale that differs within a channel."""
        node = self.node_of(graph, self.node, nir.Scale, *NEURON_NODES)
        if isinstance(node, nir.Scale):
            shape = shapes(graph)[self.node]
            factors = np.broadcast_to(node.scale, shape).reshape(shape[0], -1)
            if np.any(factors != factors[:, :1]):
                raise self.refuse(self.node, "its factors differ within a channel, a kernel has one for each")
            self.noted(ctx, self.node, "Scale", (self.node,), "a convolution whose kernel is diagonal")
            return with_nodes(graph, {self.node: _diagonal(shape, factors[:, 0], node.metadata)})
        path = next((p for p in paths_into(graph, self.node) if p.weighted is None), None)
        if path is None:
            raise self.refuse(self.node, "no way without weights leads into it")
        edge = ((path.source, *path.nodes)[-1], self.node)
        shape = shapes(graph)[edge[0]]
        metadata = {k: node.metadata[k] for k in ("scale",) if k in node.metadata}
        name = f"{edge[0]}->{edge[1]}.unit"
        return with_node_on_edge(graph, edge, name, _diagonal(shape, np.ones(shape[0]), metadata))


def _diagonal(shape: Any, factors: Any, metadata: Any) -> nir.NIRNode:
    weight = np.diag(np.asarray(factors, np.float64))
    if len(shape) == 1:
        return nir.Linear(weight, metadata=metadata)
    bias = np.zeros(len(weight))
    return nir.Conv2d(shape[1:], weight[:, :, None, None], (1, 1), (0, 0), (1, 1), 1, bias, metadata=metadata)


def _ends(graph: Graph, weighted: str) -> tuple[str, ...]:
    """The populations that a weighted node drives."""
    return tuple(dict.fromkeys(p.target for p in walk(graph)[0] if p.weighted == weighted))
