"""Counts without an upper bound, for codes that cannot clip: the quantised ANN then has none either."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir

from snnport.errors import PassFailed
from snnport.graph import Graph, names_of, with_nodes
from snnport.nodes import QuantReLU
from snnport.passes.base import Context, Pass

UNCLIPPED = 1 << 30
"""Levels of a rectifier that does not clip: more than any count that is exact."""


@dataclass(frozen=True)
class Unclip(Pass):
    """Take the upper bound off every counting rectifier."""

    name: ClassVar[str] = "unclip"

    def requires(self, graph: Graph) -> None:
        """No rectifier of the source network was clipped itself."""
        clipped = [name for name in names_of(graph, QuantReLU) if "maximum" in graph.nodes[name].metadata]
        if clipped:
            what = f"the source network clips {len(clipped)} rectifiers, and this code counts without end"
            raise PassFailed(f"{self.name}: {', '.join(clipped)}", what, "Use --code gate, ramp, ttfs or graded")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with the same steps and no clip."""
        changed: dict[str, nir.NIRNode] = {}
        for name in names_of(graph, QuantReLU):
            node: Any = copy(graph.nodes[name])
            node.levels = UNCLIPPED
            changed[name] = node
        return with_nodes(graph, changed)
