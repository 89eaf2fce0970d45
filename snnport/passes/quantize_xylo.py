"""Xylo's integers: weights of 8 bits, shifted left by one number for each of the chip's three matrices; thresholds of 16.

The potential of a population is counted in q = v_threshold / theta. With A what one spike adds to the potential through
NIR's gains, a what a step leaves of the current: the chip lets a spike decay in the step in which it arrives, so
    W = A / a,  W_int = rint(W / (q 2^e)) 2^e,  |W_int / 2^e| <= 127,
with the least e for which all weights of a matrix fit: from the inputs, between hidden neurons, to the output neurons. Where
the chip's greatest e is not enough, larger weights are clipped. A constant v_leak becomes
bias = rint((1 - a_mem) v_leak / q).
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.convention import Convention, convention_of
from snnport.errors import PassFailed
from snnport.graph import Graph, names_of, shapes, with_nodes
from snnport.ledger import Entry
from snnport.nodes import Real, Shape
from snnport.passes.base import Context, Pass
from snnport.passes.paths import output_populations, walk
from snnport.passes.quantize_snn import charged_by, coded, decays, gain, with_units
from snnport.quant import round_half_even

WEIGHT_TOP = 127
MATRICES = ("input", "recurrent", "output")


@dataclass(frozen=True)
class QuantizeXylo(Pass):
    """Codes for a network that xylo-form has prepared.

    theta: codes of the least threshold of a population. most_shift: greatest left shift of a matrix.
    """

    name: ClassVar[str] = "quantize-xylo"
    theta: int = 4096
    most_shift: int = 15

    def requires(self, graph: Graph) -> None:
        """CubaLIF neurons, a threshold that 16 bits hold, weights of one population each."""
        if not 1 <= self.theta < 1 << 15:
            raise PassFailed(self.spelling, f"theta = {self.theta}, 1..32767 are possible", "The default is 4096")
        if not 0 <= self.most_shift <= 15:
            raise PassFailed(self.spelling, f"most_shift = {self.most_shift}, 0..15 are possible", "Xylo's chips have 7")
        seen: dict[str, str] = {}
        for path in walk(graph)[0]:
            if path.weighted is not None and seen.setdefault(path.weighted, path.target) != path.target:
                what = f"it feeds {seen[path.weighted]} and {path.target}"
                raise PassFailed(f"{self.spelling}: {path.weighted}", what, "Run separate-paths first")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph in codes, its neurons with the chip's gains: a / (1 - a) for the current, 1 / (1 - a) for v."""
        graph = with_units(graph, self.spelling)
        rule, sizes = convention_of(graph.metadata), shapes(graph)
        real: dict[str, Real] = {}
        matrix: dict[str, str] = {}
        q = {name: float(np.min(_cuba(graph, name).v_threshold)) / self.theta for name in names_of(graph, nir.CubaLIF)}
        outputs = output_populations(graph)
        for path in walk(graph)[0]:
            if path.weighted is None or path.target not in q:
                continue
            node = graph.nodes[path.target]
            gains = np.broadcast_to(gain(node, rule) / (1.0 - decays(node, rule)[0]), sizes[path.target])
            real[path.weighted] = (
                charged_by(self.spelling, path.weighted, graph.nodes[path.weighted], gains)[0] / q[path.target]
            )
            source = isinstance(graph.nodes[path.source], nir.Input)
            matrix[path.weighted] = "input" if source else "output" if path.target in outputs else "recurrent"
        shifts = {
            kind: min(_shift([codes for name, codes in real.items() if matrix[name] == kind]), self.most_shift)
            for kind in MATRICES
        }
        targets = {path.weighted: path.target for path in walk(graph)[0] if path.weighted is not None}
        changed: dict[str, nir.NIRNode] = {}
        clipped: dict[str, int] = {}
        for name, codes in real.items():
            e = shifts[matrix[name]]
            clipped[name] = int(np.count_nonzero(np.abs(round_half_even(codes / (1 << e))) > WEIGHT_TOP))
            whole = np.clip(round_half_even(codes / (1 << e)), -WEIGHT_TOP, WEIGHT_TOP) << e
            changed[name] = coded(graph.nodes[name], whole, None, q[targets[name]], 8 + e)
            why = f"8-bit codes shifted by {e}, scale {q[targets[name]]:.6g}"
            ctx.note(Entry(name, type(graph.nodes[name]).__name__, "became", (name,), why, self.spelling))
        for name, unit in q.items():
            changed[name] = _on_codes(_cuba(graph, name), sizes[name], unit, rule)
        ctx.find(self.spelling, shifts=shifts, scales=q, clipped=clipped)
        return with_nodes(graph, changed)


def _cuba(graph: Graph, name: str) -> Any:
    return graph.nodes[name]


def _shift(codes: list[Real]) -> int:
    """The least shift with which 8 bits hold all `codes`."""
    most = max((float(np.abs(values).max(initial=0.0)) for values in codes), default=0.0)
    e = 0
    while round(most / (1 << e)) > WEIGHT_TOP:
        e += 1
    return e


def _on_codes(node: Any, shape: Shape, q: float, rule: Convention) -> nir.NIRNode:
    synapse, membrane = (np.broadcast_to(lost, shape) for lost in decays(node, rule))
    new: Any = copy(node)
    theta = round_half_even(np.broadcast_to(np.asarray(node.v_threshold) / q, shape))
    new.v_threshold = theta * q
    new.v_reset = np.zeros(shape)
    new.v_leak = round_half_even(membrane * np.asarray(node.v_leak) / q) * q / membrane
    new.w_in = (1.0 - synapse) / synapse
    new.r = 1.0 / membrane
    new.metadata = {**node.metadata, "scale": q}
    result: nir.NIRNode = new
    return result
