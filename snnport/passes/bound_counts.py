"""How large counts and sums can become, whatever the input; and a clip only where they would become too large.

Interval arithmetic on the integers, node by node: a sum lies between the codes' positive parts on the least and their negative
parts on the greatest counts, and the other way round. A rectifier without a clip sends up to floor((z + theta/2) / theta).
Where a sum would leave its range, the rectifiers that feed it keep their clip at `levels`; every other gets as `levels` the
bound that was found, so that its clip never acts. A rectifier with a maximum of its own (ReLU6) keeps its clip.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
import numpy.typing as npt

from snnport.encoders import CountEncoder
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
        limit = 1 << (self.sum_bits - 1)
        clipped = {n for n in names_of(graph, QuantReLU) if "maximum" in graph.nodes[n].metadata}
        if clipped and not self.clip:
            where = f"{self.spelling}: {', '.join(sorted(clipped))}"
            what = f"{len(clipped)} rectifiers have a maximum, which no neuron of this code keeps"
            raise PassFailed(where, what, "Use --code graded")
        steps = _steps(graph)
        while True:
            ranges, excess = _ranges(graph, steps, clipped, limit)
            if excess is None:
                break
            feeding = _rectifiers_before(graph, excess) - clipped if self.clip else set()
            if not feeding:
                worst = float(max(np.abs(part).max() for part in ranges[excess]))
                raise PassFailed(
                    f"{self.spelling}: {excess}",
                    f"its sum may reach {worst:.0f} (2^{math.log2(worst):.1f}), {self.sum_bits} bits hold up to {limit - 1}",
                    "Use fewer levels or bits" if self.clip else "Use fewer levels, bits or layers: --levels 15 --bits 4",
                )
            clipped |= feeding
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
    encoder = CountEncoder.from_json(json.loads(graph.metadata["snnport"])["encoder"])
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


def _rectifiers_before(graph: Graph, name: str) -> set[str]:
    """The rectifiers whose counts reach `name` without another between."""
    found, stack = set(), list(predecessors(graph, name))
    while stack:
        here = stack.pop()
        if isinstance(graph.nodes[here], QuantReLU):
            found.add(here)
        else:
            stack.extend(predecessors(graph, here))
    return found
