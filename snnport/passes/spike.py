"""The quantised ANN becomes a spiking network, in the code that is asked for (passes/codes)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from snnport.encoders import encoder_of
from snnport.errors import PassFailed
from snnport.graph import Graph, build, names_of
from snnport.nodes import QuantReLU
from snnport.passes.base import Context, Pass
from snnport.passes.codes.base import Order
from snnport.passes.codes.table import CODES


@dataclass(frozen=True)
class Spike(Pass):
    """Write the quantised network in spikes.

    code: its name, of CODES. steps: of a sample in the rate code, 0 for 4 * levels; of every window of the delay code at least.
    """

    name: ClassVar[str] = "spike"
    code: str = "gate"
    steps: int = 0

    def requires(self, graph: Graph) -> None:
        """Weights are quantised, and the code can carry every node."""
        if self.code not in CODES:
            raise PassFailed(self.spelling, f"there is no code '{self.code}' here", f"Known: {', '.join(CODES)}")
        unquantised = [name for name in names_of(graph, QuantReLU) if "theta" not in graph.nodes[name].metadata]
        if unquantised:
            raise PassFailed(self.spelling, f"{', '.join(unquantised)} have no integer threshold", "Run quantize-weights first")
        CODES[self.code].refuse(graph, self.spelling)

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The spiking graph; metadata "snnport" holds coding, convention and encoder."""
        encoder = encoder_of(graph.metadata)
        code = CODES[self.code]
        spiking, coding = code.write(graph, Order(encoder, self.steps, ctx, self.spelling))
        header = {
            "version": 1,
            "coding": coding.to_json(),
            "convention": code.convention.to_json(),
            "encoder": coding.encoder,
        }
        return build(spiking.nodes, spiking.edges, {**graph.metadata, "snnport": json.dumps(header)})
