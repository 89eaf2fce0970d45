"""Average pooling becomes sum pooling; 1 / (kernel height * width) moves into the weights behind it. Exact."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.errors import PassFailed
from snnport.graph import Graph, names_of, successors, with_nodes
from snnport.ledger import Entry
from snnport.nodes import WEIGHTED_NODES, pair
from snnport.passes.base import Context, Pass
from snnport.passes.proof import same_output


@dataclass(frozen=True)
class SumPool(Pass):
    """Replace every AvgPool2d by a SumPool2d and rescale the next weights."""

    name: ClassVar[str] = "sum-pool"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph without AvgPool2d nodes."""
        for name in names_of(graph, nir.AvgPool2d):
            node: Any = graph.nodes[name]
            kernel = pair(node.kernel_size)
            layer = _next_weights(graph, name)
            scaled: Any = copy(graph.nodes[layer])
            field = "scale" if isinstance(scaled, nir.Scale) else "weight"
            setattr(scaled, field, np.asarray(getattr(scaled, field), np.float64) / (kernel[0] * kernel[1]))
            pool = nir.SumPool2d(np.array(kernel), np.array(pair(node.stride)), np.array(pair(node.padding)))
            graph = with_nodes(graph, {name: pool, layer: scaled})
            why = f"sums; 1/{kernel[0] * kernel[1]} moved into the weights of '{layer}'"
            ctx.note(Entry(name, "AvgPool2d", "became", (name, layer), why, self.spelling))
        return graph

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Outputs are equal."""
        same_output(before, after, ctx, self.spelling)


def _next_weights(graph: Graph, name: str) -> str:
    here = name
    while not isinstance(graph.nodes[here], WEIGHTED_NODES):
        following = successors(graph, here)
        if len(following) != 1:
            raise PassFailed(
                f"sum-pool: {name}", f"{len(following)} ways lead on from it, 1 with weights is needed", "Report this"
            )
        here = following[0]
    return here
