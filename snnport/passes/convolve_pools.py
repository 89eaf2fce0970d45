"""Average poolings in a row that are not one pooling: the later one becomes a depthwise convolution.

A path from population to population has one pooling and then weights. Two poolings are one where the first one's windows lie
side by side; where they overlap, or zeros are padded, the second is weights, which merge-linear joins with those behind. Exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import nir

from snnport.graph import Graph, names_of, predecessors, shapes, with_nodes
from snnport.ledger import Entry
from snnport.nodes import pair
from snnport.passes.base import Context, Pass
from snnport.passes.merge_linear import as_convolution
from snnport.passes.proof import same_output

POOLS = (nir.AvgPool2d, nir.SumPool2d)


@dataclass(frozen=True)
class ConvolvePools(Pass):
    """Give weights to every pooling behind one with which it is no single pooling."""

    name: ClassVar[str] = "convolve-pools"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with depthwise convolutions in place of such poolings."""
        sizes = shapes(graph)
        for name in names_of(graph, *POOLS):
            node, before = graph.nodes[name], predecessors(graph, name)
            pools = [graph.nodes[b] for b in before if isinstance(graph.nodes[b], POOLS)]
            if any(not _side_by_side(pool) or _padded(node) for pool in pools):
                kind = type(node).__name__
                ctx.note(Entry(name, kind, "became", (name,), "depthwise weights behind another pooling", self.spelling))
                graph = with_nodes(graph, {name: as_convolution(node, sizes[before[0]])})
        return graph

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Outputs are equal."""
        same_output(before, after, ctx, self.spelling)


def _side_by_side(pool: Any) -> bool:
    return pair(pool.stride) == pair(pool.kernel_size) and not _padded(pool)


def _padded(pool: Any) -> bool:
    return any(pair(pool.padding))
