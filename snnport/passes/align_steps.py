"""Thresholds become powers of two, so that a neuron can divide by a shift.

For a rectifier with incoming weights W_k on sources of unit s_k (the real value of one count):
    q = max_k(max|W_k| * s_k) / (2^(bits-1) - 1),   theta = 2^k with the greatest k >= 0 for which 2^k q <= its step,
    step = 2^k q: at most the step that was chosen, and more than half of it, unless that was below q already.
Weights keep all their bits, counts grow at most twofold. The clip stays where it was in real numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnport.errors import PassFailed
from snnport.graph import Graph, names_of, with_nodes
from snnport.nodes import QuantReLU
from snnport.passes.base import Context, Pass
from snnport.passes.quantize_weights import layers_into, real_units, weights_of


@dataclass(frozen=True)
class AlignSteps(Pass):
    """Give every rectifier a step that is a power of two, at most 2^most_shift, in codes of weights of `bits` bits."""

    name: ClassVar[str] = "align-steps"
    bits: int = 8
    most_shift: int = 30

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with other steps; metadata "shift" of each rectifier is its k."""
        top = (1 << (self.bits - 1)) - 1
        shifts: dict[str, int] = {}
        for name in names_of(graph, QuantReLU):
            node = graph.nodes[name]
            assert isinstance(node, QuantReLU)
            units = real_units(graph)
            peak = max(
                (float(np.abs(weights_of(graph.nodes[n])).max(initial=0.0)) * units[n] for n in layers_into(graph, name)),
                default=0.0,
            )
            unit = peak / top if peak else math.ldexp(node.step, -self.bits)
            shift = min(max(0, math.floor(math.log2(node.step / unit))), self.most_shift)
            step, shifts[name] = math.ldexp(unit, shift), shift
            top_value = float(node.metadata.get("maximum", node.levels * node.step))
            levels = max(1, math.floor(top_value / step + 0.5))
            graph = with_nodes(graph, {name: QuantReLU(step, levels, step, metadata={**node.metadata, "shift": shift})})
        ctx.find(self.spelling, shifts=shifts)
        return graph

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """No step grew but to one code."""
        for name in names_of(after, QuantReLU):
            old, new = (getattr(graph.nodes[name], "step") for graph in (before, after))  # noqa: B009
            if new > old * (1 + 1e-9) and after.nodes[name].metadata["shift"]:
                raise PassFailed(f"{self.spelling}: {name}", f"its step grew from {old:.6g} to {new:.6g}", "Report this")
