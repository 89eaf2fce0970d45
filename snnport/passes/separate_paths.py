"""Give every way from one population to the next its own linear nodes, so that each can be scaled for its own target.

A linear node that adds several inputs is copied once an input (the bias stays with the first copy), one that feeds several
nodes once a target; a way without any weight (a skip connection, a pooling into an add) gets a Scale of ones.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.errors import PassFailed
from snnport.graph import Graph, build, fresh_name, names_of, predecessors, shapes, successors, with_node_on_edge
from snnport.ledger import Entry
from snnport.nodes import LINEAR_NODES, WEIGHTED_NODES, MaxPool2d, ReLU
from snnport.passes.base import Context, Pass
from snnport.passes.proof import same_output


@dataclass(frozen=True)
class SeparatePaths(Pass):
    """One chain of linear nodes from each source population to each target."""

    name: ClassVar[str] = "separate-paths"

    def requires(self, graph: Graph) -> None:
        """Max pooling must see one rectified or input population: an OR of spikes says nothing of signed sums."""
        for name in names_of(graph, MaxPool2d):
            sources = predecessors(graph, name)
            if len(sources) != 1 or not isinstance(graph.nodes[sources[0]], ReLU | MaxPool2d | nir.Input):
                raise PassFailed(
                    f"{self.name}: {name}",
                    f"max pooling of {', '.join(type(graph.nodes[s]).__name__ for s in sources)} is not of one rectified map",
                    "Put a ReLU in front of it or use average pooling",
                )

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph in which every linear node has one input and one target, and every way one weight at least."""
        while (shared := _shared(graph)) is not None:
            graph = _copied(graph, shared, ctx, self.spelling)
        for target in names_of(graph, ReLU, nir.Output):
            for source in predecessors(graph, target):
                if not _has_weight(graph, source, target):
                    name = fresh_name(graph, f"{target}.skip")
                    ones = nir.Scale(np.ones(shapes(graph)[source]))
                    graph = with_node_on_edge(graph, (source, target), name, ones)
        return graph

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Outputs are equal."""
        same_output(before, after, ctx, self.spelling)


def _shared(graph: Graph) -> str | None:
    for name in reversed(names_of(graph, *LINEAR_NODES)):
        if len(successors(graph, name)) > 1:
            return name
    for name in names_of(graph, *LINEAR_NODES):
        if len(predecessors(graph, name)) > 1:
            return name
    return None


def _copied(graph: Graph, name: str, ctx: Context, spelling: str) -> Graph:
    node: Any = graph.nodes[name]
    ways = [(a, b) for a in predecessors(graph, name) for b in successors(graph, name)]
    edges = [edge for edge in graph.edges if name not in edge]
    nodes = dict(graph.nodes)
    del nodes[name]
    copies = []
    for number, (source, target) in enumerate(ways):
        twin = copy(node)
        if getattr(node, "bias", None) is not None and source != ways[0][0]:
            twin.bias = np.zeros_like(node.bias)
        label = name if number == 0 else fresh_name(build(nodes, []), f"{name}.{number + 1}")
        nodes[label] = twin
        edges += [(source, label), (label, target)]
        copies.append(label)
    ctx.note(Entry(name, type(node).__name__, "became", tuple(copies), "one copy for each way through it", spelling))
    return build(nodes, edges, graph.metadata)


def _has_weight(graph: Graph, source: str, target: str) -> bool:
    """Whether the chain that ends with `source` holds a weight. A way to the output may end in a population as it is."""
    while isinstance(graph.nodes[source], LINEAR_NODES):
        if isinstance(graph.nodes[source], WEIGHTED_NODES):
            return True
        source = predecessors(graph, source)[0]
    whole_output = isinstance(graph.nodes[target], nir.Output) and predecessors(graph, target) == (source,)
    return whole_output and isinstance(graph.nodes[source], ReLU)
