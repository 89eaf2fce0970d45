"""Rectify before max pooling: max(relu(x)) = relu(max(x)), and only the first form has a population to pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir

from snnport.graph import Graph, build, names_of, predecessors, successors, with_nodes, without_node
from snnport.ledger import Entry
from snnport.nodes import MaxPool2d, ReLU
from snnport.passes.base import Context, Pass
from snnport.passes.proof import same_output


@dataclass(frozen=True)
class HoistReLU(Pass):
    """Move every ReLU in front of the max pooling and flattening before it; two ReLUs in a row become one."""

    name: ClassVar[str] = "hoist-relu"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with its ReLUs hoisted."""
        while (found := _movable(graph)) is not None:
            name, before = found
            if isinstance(graph.nodes[before], ReLU):
                graph = _join(graph, name, before)
                ctx.note(Entry(name, "ReLU", "merged", (before,), "rectifying twice is rectifying once", self.spelling))
            else:
                graph = _swap(graph, before, name)
        return graph

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Outputs are equal."""
        same_output(before, after, ctx, self.spelling)


def _movable(graph: Graph) -> tuple[str, str] | None:
    for name in names_of(graph, ReLU):
        sources = predecessors(graph, name)
        if len(sources) != 1:
            continue
        before = sources[0]
        alone = successors(graph, before) == (name,) and len(predecessors(graph, before)) == 1
        if alone and isinstance(graph.nodes[before], MaxPool2d | nir.Flatten | ReLU):
            return name, before
    return None


def _swap(graph: Graph, first: str, second: str) -> Graph:
    source = predecessors(graph, first)[0]
    rewired = {(source, first): (source, second), (first, second): (second, first)}
    edges = [rewired.get(e, (first, e[1]) if e[0] == second else e) for e in graph.edges]
    return build(graph.nodes, edges, graph.metadata)


def _join(graph: Graph, second: str, first: str) -> Graph:
    limits = [node.maximum for node in (graph.nodes[first], graph.nodes[second]) if isinstance(node, ReLU)]
    graph = with_nodes(graph, {first: ReLU(min(limits))})
    return without_node(graph, second)
