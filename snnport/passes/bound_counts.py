"""How large counts and sums can become, whatever the input; and a clip only where they would become too large.

Interval arithmetic on the integers, node by node: a sum lies between the codes' positive parts on the least and their negative
parts on the greatest counts, and the other way round. A rectifier without a clip sends up to floor((z + theta/2) / theta).
Where a sum would leave its range, the rectifiers that feed it keep their clip at `levels`; every other gets as `levels` the
bound that was found, so that its clip never acts. A rectifier with a maximum of its own (ReLU6) keeps its clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
import numpy.typing as npt

from snnport.encoders import encoder_of
from snnport.errors import PassFailed
from snnport.graph import Graph, names_of, predecessors, shapes, the_input, topological_order, with_nodes
from snnport.ledger import Entry
from snnport.nodes import WEIGHTED_NODES, QuantReLU
from snnport.passes.base import Context, Pass
from snnport.reference import node_function

Array = npt.NDArray[np.float64]
Range = tuple[Array, Array]
"""Least and greatest, each (1, *shape)."""


@dataclass(frozen=True)
class BoundCounts(Pass):
    """Set the levels of every rectifier so that no sum needs more than `sum_bits` bits, sign included.

    clip: rectifiers may keep their clip; else a network that needs one is refused.
    """

    name: ClassVar[str] = "bound-counts"
    sum_bits: int = 23
    clip: bool = True

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with other levels. Raises PassFailed if a sum is too large although all that feeds it is clipped."""
        kept = {n for n in names_of(graph, QuantReLU) if "maximum" in graph.nodes[n].metadata}
        if kept and not self.clip:
            where = f"{self.spelling}: {', '.join(sorted(kept))}"
            what = f"{len(kept)} rectifiers have a maximum, which no neuron of this code keeps"
            raise PassFailed(where, what, "Use --code graded")
        found = bounds(graph, self.sum_bits, clip=self.clip)
        ranges, clipped = found.ranges, found.clipped
        if found.excess is not None:
            reach = f"its sum may reach {found.worst:.0f} (2^{math.log2(found.worst):.1f})"
            what = f"{reach}, {self.sum_bits} bits hold up to {(1 << (self.sum_bits - 1)) - 1}"
            remedies = (
                "Use fewer levels or bits, or leave --levels out",
                "Use fewer levels, bits or layers: --levels 15 --bits 4",
            )
            raise PassFailed(f"{self.spelling}: {found.excess}", what, remedies[0] if self.clip else remedies[1])
        changed: dict[str, nir.NIRNode] = {}
        for name in names_of(graph, QuantReLU):
            node: Any = graph.nodes[name]
            levels = max(1, int(ranges[name][1].max(initial=0)))
            changed[name] = QuantReLU(node.step, levels, node.gain, metadata=node.metadata)
            how = f"at most {levels}, clipped" if name in clipped else f"at most {levels}, never clipped"
            ctx.note(Entry(name, "QuantReLU", "became", (name,), f"counts of {levels.bit_length()} bits: {how}", self.spelling))
        bits = {name: int(node.levels).bit_length() for name, node in changed.items() if isinstance(node, QuantReLU)}
        ctx.find(self.spelling, message_bits=bits, clipped=sorted(clipped))
        return with_nodes(graph, changed)


@dataclass(frozen=True, eq=False)
class Bounds:
    """What sums and counts may be. ranges: of every node up to `excess`, the first whose sum leaves its bits however its
    rectifiers are clipped, or None; there the sum itself. clipped: the rectifiers that keep their clip.
    """

    ranges: Mapping[str, Range]
    clipped: frozenset[str]
    excess: str | None

    @property
    def worst(self) -> float:
        """The greatest magnitude of the sum of `excess`."""
        return 0.0 if self.excess is None else float(max(np.abs(part).max() for part in self.ranges[self.excess]))


def bounds(graph: Graph, sum_bits: int, *, clip: bool = True) -> Bounds:
    """What the sums of a quantised ANN and its counts may be, with as few clips as keep sums in `sum_bits` bits."""
    steps, clipped = _steps(graph), {n for n in names_of(graph, QuantReLU) if "maximum" in graph.nodes[n].metadata}
    while True:
        ranges, excess = _ranges(graph, steps, clipped, 1 << (sum_bits - 1))
        feeding = counting_before(graph, excess) - clipped - {the_input(graph)} if clip and excess is not None else set()
        if not feeding:
            return Bounds(ranges, frozenset(clipped), excess)
        clipped |= feeding


def _steps(graph: Graph) -> dict[str, Callable[[Range], Range]]:
    """What every node does to a range; the functions are prepared once."""
    return {name: _step(name, node) for name, node in graph.nodes.items() if not isinstance(node, QuantReLU)}


def _step(name: str, node: Any) -> Callable[[Range], Range]:
    if not isinstance(node, WEIGHTED_NODES):
        same = node_function(name, node, integers=True)
        return lambda r: (same(r[0]), same(r[1]))
    field = "scale" if isinstance(node, nir.Scale) else "weight"
    parts = []
    for keep in (np.maximum, np.minimum):
        part = copy(node)
        setattr(part, field, keep(np.asarray(getattr(node, field), np.float64), 0.0))
        bias = getattr(node, "bias", None)
        if bias is not None:
            setattr(part, "bias", np.zeros_like(np.asarray(bias, np.float64)))  # noqa: B010
        parts.append(node_function(name, part, integers=True))
    up, down = parts
    whole = node_function(name, node, integers=True)
    return lambda r: (
        up(r[0]) + down(r[1]) + whole(np.zeros_like(r[0])),
        up(r[1]) + down(r[0]) + whole(np.zeros_like(r[0])),
    )


def _ranges(
    graph: Graph, steps: Mapping[str, Callable[[Range], Range]], clipped: set[str], limit: int
) -> tuple[dict[str, Range], str | None]:
    """The range of every node up to the first whose sum reaches `limit`, and its name; there the sum itself."""
    encoder = encoder_of(graph.metadata)
    shape = shapes(graph)[the_input(graph)]
    least = -encoder.levels if encoder.signed and not encoder.doubles else 0
    found: dict[str, Range] = {}
    for name in topological_order(graph):
        node: Any = graph.nodes[name]
        if isinstance(node, nir.Input):
            found[name] = np.full((1, *shape), float(least)), np.full((1, *shape), float(encoder.levels))
            continue
        sources = [found[source] for source in predecessors(graph, name)]
        low, high = (np.sum([source[i] for source in sources], axis=0) for i in (0, 1))
        if not isinstance(node, QuantReLU):
            found[name] = steps[name]((low, high))
            if not isinstance(node, nir.Output):
                continue
        theta = float(node.metadata["theta"]) if isinstance(node, QuantReLU) else 0.0
        found[name] = low + theta // 2, high + theta // 2
        if max(-found[name][0].min(), found[name][1].max()) >= limit:
            return found, name
        if isinstance(node, QuantReLU):
            top = float(node.levels) if name in clipped else np.inf
            low, high = (np.clip(np.floor(part / theta), 0, top) for part in found[name])
            found[name] = low, high
    return found, None


def counting_before(graph: Graph, name: str) -> set[str]:
    """The rectifiers, and the input, whose counts reach the sum that enters `name`."""
    found, stack = set(), list(predecessors(graph, name))
    while stack:
        here = stack.pop()
        if isinstance(graph.nodes[here], QuantReLU | nir.Input):
            found.add(here)
        else:
            stack.extend(predecessors(graph, here))
    return found
