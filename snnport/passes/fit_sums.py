"""Sums of messages that may leave their bits: what feeds them counts more coarsely, and nothing else does.

Where a sum would be too large although all rectifiers before it keep their clip, those count half as far in steps of twice the
size, and so does the input where it feeds the sum; then weights are rounded again and bounds are looked at again. Deep networks
keep 8-bit messages everywhere but before the few layers with very many synapses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import nir

from snnport.encoders import encoder_of
from snnport.graph import Graph, build, the_input, with_nodes
from snnport.ledger import Entry
from snnport.nodes import QuantReLU
from snnport.passes.align_steps import AlignSteps
from snnport.passes.base import Context, Pass
from snnport.passes.bound_counts import bounds, counting_before
from snnport.passes.quantize_weights import QuantizeWeights


@dataclass(frozen=True)
class FitSums(Pass):
    """Behind align-steps: fewer levels where weights of `bits` bits would make a sum of more than `sum_bits` bits."""

    name: ClassVar[str] = "fit-sums"
    bits: int = 8
    sum_bits: int = 23

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with fewer levels here and there. A sum that one level does not tame is left for bound-counts to refuse."""
        before = _levels(graph)
        while (excess := bounds(QuantizeWeights(self.bits).apply(graph, Context()), self.sum_bits).excess) is not None:
            coarser = AlignSteps(self.bits).apply(_halved(graph, counting_before(graph, excess)), Context())
            if _levels(coarser) == _levels(graph):
                break
            graph = coarser
        after = _levels(graph)
        fewer = {name: levels for name, levels in after.items() if levels != before[name]}
        for name, levels in fewer.items():
            why = f"counts 0..{levels} in place of 0..{before[name]}, so that sums behind it keep to {self.sum_bits} bits"
            ctx.note(Entry(name, type(graph.nodes[name]).__name__, "became", (name,), why, self.spelling))
        ctx.find(self.spelling, levels=fewer)
        return graph


def _halved(graph: Graph, names: set[str]) -> Graph:
    """`graph` with half the levels, in steps of twice the size, at `names`; one level stays."""
    changed: dict[str, nir.NIRNode] = {}
    metadata = json.loads(graph.metadata["snnport"])
    for name in names:
        node = graph.nodes[name]
        if isinstance(node, QuantReLU) and node.levels > 1:
            changed[name] = QuantReLU(2 * node.step, node.levels // 2, 2 * node.step, metadata=node.metadata)
        elif not isinstance(node, QuantReLU):
            encoder = encoder_of(graph.metadata)
            if encoder.levels > 1:
                metadata["encoder"] = replace(encoder, step=2 * encoder.step, levels=encoder.levels // 2).to_json()
    graph = with_nodes(graph, changed)
    return build(graph.nodes, graph.edges, {**graph.metadata, "snnport": json.dumps(metadata)})


def _levels(graph: Graph) -> dict[str, int]:
    """How far the input and every rectifier count."""
    rectifiers = {name: node.levels for name, node in graph.nodes.items() if isinstance(node, QuantReLU)}
    return {the_input(graph): encoder_of(graph.metadata).levels, **rectifiers}
