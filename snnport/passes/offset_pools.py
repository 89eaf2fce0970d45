"""Max pooling of signed maps: the greatest of x is the least value plus the greatest of x less that, and this can spike.

A max pooling is an OR of spikes, which says nothing of sums that may be negative. In front of one that has no rectified map
before it goes a population of its own, which counts from the lowest value of each channel on the calibration samples: a
rectifier commutes with a maximum, and the layer behind takes the lowest value off again in its bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
import numpy.typing as npt

from snnport.graph import Graph, build, fresh_name, names_of, predecessors, successors
from snnport.ledger import Entry
from snnport.nodes import BatchNorm, MaxPool2d, ReLU
from snnport.passes.base import Context, Pass
from snnport.passes.proof import same_output
from snnport.reference import values_at

SAMPLES = 256
"""Calibration samples that tell the lowest value."""


@dataclass(frozen=True)
class OffsetPools(Pass):
    """Give every max pooling a rectified map to pool."""

    name: ClassVar[str] = "offset-pools"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph in which max pooling follows rectifiers and max poolings, or an input that is never negative."""
        for name in names_of(graph, MaxPool2d):
            sources = predecessors(graph, name)
            if _rectified(graph, sources, ctx):
                continue
            lowest = _lowest(graph, sources, ctx.samples(self.spelling)[:SAMPLES])
            graph = _with_offset(graph, name, sources, lowest)
            why = f"its map is signed: counted from its lowest value on the samples, {float(lowest.min()):.4g}"
            ctx.note(Entry(name, "MaxPool2d", "became", (f"{name}.from", name), why, self.spelling))
        return graph

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Outputs are equal."""
        same_output(before, after, ctx, self.spelling)


def _rectified(graph: Graph, sources: tuple[str, ...], ctx: Context) -> bool:
    if len(sources) != 1:
        return False
    node = graph.nodes[sources[0]]
    if isinstance(node, nir.Input):
        return ctx.calibration is None or not len(ctx.calibration) or float(ctx.calibration.min()) >= 0
    return isinstance(node, ReLU | MaxPool2d)


def _lowest(graph: Graph, sources: tuple[str, ...], x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The lowest value of each channel, 0 at most."""
    values = values_at(graph, x, sources)
    total = np.sum([values[source] for source in sources], axis=0)
    return np.asarray(np.minimum(total.min(axis=(0, 2, 3)), 0.0))


def _with_offset(graph: Graph, name: str, sources: tuple[str, ...], lowest: npt.NDArray[np.float64]) -> Graph:
    down, count, up = (fresh_name(graph, f"{name}.{word}") for word in ("down", "from", "up"))
    ones = np.ones_like(lowest)
    nodes = {**graph.nodes, down: BatchNorm(ones, -lowest), count: ReLU(), up: BatchNorm(ones, lowest)}
    after = successors(graph, name)
    kept = [edge for edge in graph.edges if name not in edge]
    before = [*((source, down) for source in sources), (down, count), (count, name)]
    return build(nodes, [*kept, *before, (name, up), *((up, target) for target in after)], graph.metadata)
