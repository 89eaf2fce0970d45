"""A graph of dialect lava-fixed in the integers that NIR's own nir_to_lava.py gives Loihi.

The scaling is that of reference/fixed.py, which runs such a graph as it was recorded; this pass writes it into the graph, so
that the program lowered from it holds exactly those integers: one code is 1/256, v_threshold and tau are those that the
registers stand for (tau = 4096 dt / dv). What is left is the plain convention: decay by dt / tau, reset to 0, strict >.
The step that Lava's Dense takes is the step that every spike takes on the chip.
"""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention, convention_of
from snnport.errors import PassFailed
from snnport.graph import Graph, build, names_of, shapes
from snnport.ledger import Entry
from snnport.nodes import Shape
from snnport.passes.base import Context, Pass
from snnport.reference.fixed import check, dense_codes, registers

SCALE = 1 / 256
"""Real value of one code: nir_to_lava multiplies weights by 256, thresholds by 131071 / 512."""
ENDLESS = 1e9
"""tau in steps of a neuron whose dv is 0: its decay rounds to 0 too."""


@dataclass(frozen=True)
class LavaScaling(Pass):
    """Give every weight and LIF of a lava-fixed graph the integers of nir_to_lava.py, truncated as there."""

    name: ClassVar[str] = "lava-scaling"

    def requires(self, graph: Graph) -> None:
        """A graph of dialect lava-fixed with nodes that nir_to_lava.py takes."""
        rule = convention_of(graph.metadata)
        if rule.dtype != "lava-fixed":
            raise PassFailed(self.spelling, f"the graph's convention is '{rule.name}'", "Give --dialect lava-fixed")
        check(graph, rule)

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with real values that are codes times 1/256, and metadata scale and bits."""
        rule, sizes = convention_of(graph.metadata), shapes(graph)
        nodes = dict(graph.nodes)
        for name in names_of(graph, nir.Affine, nir.Linear):
            codes = dense_codes(graph, name, rule)
            new: Any = copy(graph.nodes[name])
            new.weight = codes * SCALE
            new.metadata = {**new.metadata, "scale": SCALE, "bits": 10}
            nodes[name] = new
            what = f"codes {codes.min()}..{codes.max()}: int(W dt / tau * 256)"
            ctx.note(Entry(name, type(new).__name__, "became", (name,), what, self.spelling))
        for name in names_of(graph, nir.LIF):
            lif: Any = graph.nodes[name]
            dv, vth = registers(lif, rule)
            nodes[name] = _lif(lif, np.broadcast_to(dv, sizes[name]), np.broadcast_to(vth, sizes[name]), rule)
            decay = f"dv {dv.min()}..{dv.max()} = int(dt / tau * 4095)"
            what = f"{decay}, vth {vth.min()}..{vth.max()} = int(v_threshold * 131071) >> 9"
            ctx.note(Entry(name, "LIF", "became", (name,), what, self.spelling))
        header = json.loads(graph.metadata.get("snnport", "{}"))
        plain = Convention(rule.name, rule.dt, reset=rule.reset, recurrent_delay=rule.recurrent_delay)
        header["convention"] = plain.to_json()
        return build(nodes, graph.edges, {**graph.metadata, "snnport": json.dumps(header)})


def _lif(node: Any, dv: npt.NDArray[np.int64], vth: npt.NDArray[np.int64], rule: Convention) -> nir.NIRNode:
    new = copy(node)
    steps = np.where(dv > 0, 4096 / np.maximum(dv, 1), ENDLESS)
    zeros: Shape = dv.shape
    new.tau, new.r = steps * rule.dt, np.array(steps)
    new.v_threshold, new.v_leak, new.v_reset = vth * SCALE, np.zeros(zeros), np.zeros(zeros)
    new.metadata = {**node.metadata, "scale": SCALE}
    result: nir.NIRNode = new
    return result
