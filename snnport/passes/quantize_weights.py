"""Weights become integers of `bits` bits: the threshold is chosen first, as an even integer, and nothing rounds it.

For a rectifier with step s_out and incoming weights W_k on sources of unit s_k (the real value of one count):
    theta = the largest even integer with theta <= (2^(bits-1) - 1) * s_out / max_k(max|W_k| * s_k),  q = s_out / theta,
    W_int = rint(W_k * s_k / q),  b_int = rint(b / q).
Where align-steps has chosen a power of two, 2^shift, that is theta. Where theta would be 0, because a rectifier is nearly
silent beside the weights into it, its step grows to that of theta = 2: its counts are fewer, and the finding says so.
From then on weights take counts: the graph computes q times its integers.
"""

from __future__ import annotations

import json
import math
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.encoders import encoder_of
from snnport.errors import PassFailed
from snnport.graph import Graph, names_of, predecessors, the_input, topological_order, with_nodes
from snnport.ledger import Entry
from snnport.nodes import WEIGHTED_NODES, QuantReLU
from snnport.passes.base import Context, Pass
from snnport.quant import QTensor, codes_of, round_half_even

COARSE_THETA = 16
"""Below this threshold, in weight codes, rounding the weights costs accuracy: reported as a finding."""


@dataclass(frozen=True)
class QuantizeWeights(Pass):
    """Give every weighted node integer codes, every rectifier its threshold, the output its unit."""

    name: ClassVar[str] = "quantize-weights"
    bits: int = 8

    def requires(self, graph: Graph) -> None:
        """Bits make sense, and activations are counts already."""
        if not 2 <= self.bits <= 16:
            raise PassFailed(self.spelling, f"{self.bits} bits are outside 2..16", "The default is 8")
        if "encoder" not in json.loads(graph.metadata.get("snnport", "{}")):
            raise PassFailed(self.spelling, "activations are not counts yet", "Run quantize-activations first")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph on counts, with metadata scale and bits on weighted nodes and theta on rectifiers."""
        top = (1 << (self.bits - 1)) - 1
        graph, widened = _widened(graph, top)
        units = real_units(graph)
        changed: dict[str, nir.NIRNode] = {}
        thetas: dict[str, int] = {}
        zeroed: dict[str, int] = {}
        for target in names_of(graph, QuantReLU, nir.Output):
            layers = layers_into(graph, target)
            peak = max((float(np.abs(weights_of(graph.nodes[n])).max(initial=0.0)) * units[n] for n in layers), default=0.0)
            node = graph.nodes[target]
            if isinstance(node, QuantReLU):
                theta = 2 * int(top * node.step / peak / 2) if peak else 2 * top
                if "shift" in node.metadata:
                    theta = 1 << int(node.metadata["shift"])
                scale = node.step / theta
                thetas[target] = theta
                kept = {**node.metadata, "theta": theta, "scale": scale}
                changed[target] = QuantReLU(node.step, node.levels, 1.0, metadata=kept)
            else:
                scale = peak / top if peak else 1.0
            for layer in layers:
                changed[layer] = _on_codes(graph.nodes[layer], units[layer], scale, self.bits)
                weight = weights_of(graph.nodes[layer])
                zeroed[layer] = int(np.count_nonzero(weight) - np.count_nonzero(weights_of(changed[layer])))
                why = f"{self.bits}-bit codes, scale {scale:.6g}"
                ctx.note(Entry(layer, type(node).__name__, "became", (layer,), why, self.spelling))
        coarse = {name: theta for name, theta in thetas.items() if theta < COARSE_THETA}
        ctx.find(self.spelling, thetas=thetas, coarse_thetas=coarse, zeroed_weights=zeroed, widened_steps=widened)
        return with_nodes(graph, changed)

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Every code fits its bits and comes back from its real value, and no weight moved by more than half a code."""
        before, _ = _widened(before, (1 << (self.bits - 1)) - 1)
        units = real_units(before)
        for name in names_of(after, *WEIGHTED_NODES):
            scale = float(after.nodes[name].metadata["scale"])
            QTensor(codes_of(weights_of(after.nodes[name]), scale, name, tolerance=1e-6), scale, self.bits)
            change = weights_of(before.nodes[name]) * units[name] - weights_of(after.nodes[name])
            moved = np.abs(change).max(initial=0.0) / scale
            if not moved <= 0.5 + 1e-6:
                raise PassFailed(f"{self.spelling}: {name}", f"a weight moved by {moved:.3g} codes, the bound is 1/2")


def _widened(graph: Graph, top: int) -> tuple[Graph, dict[str, float]]:
    """`graph` with steps for which theta is 2 at least, and by how much each of those that grew has grown."""
    grown: dict[str, float] = {}
    for target in names_of(graph, QuantReLU):
        node = graph.nodes[target]
        assert isinstance(node, QuantReLU)
        units = real_units(graph)
        peaks = [float(np.abs(weights_of(graph.nodes[n])).max(initial=0.0)) * units[n] for n in layers_into(graph, target)]
        peak = max(peaks, default=0.0)
        if "shift" in node.metadata or not peak or top * node.step / peak >= 2:
            continue
        step = math.nextafter(2 * peak / top, math.inf)
        maximum = float(node.metadata.get("maximum", math.inf))
        levels = node.levels if math.isinf(maximum) else max(1, min(node.levels, math.floor(maximum / step + 0.5)))
        graph = with_nodes(graph, {target: QuantReLU(step, levels, step, metadata=node.metadata)})
        grown[target] = step / node.step
    return graph, grown


def output_scale(graph: Graph) -> float:
    """The real value of one unit of the integer output."""
    layers = [name for output in names_of(graph, nir.Output) for name in layers_into(graph, output)]
    return float(graph.nodes[layers[0]].metadata["scale"]) if layers else 1.0


def real_units(graph: Graph) -> dict[str, float]:
    """The real value of one count that enters or leaves each node, carried along linear nodes and max pooling."""
    encoder = encoder_of(graph.metadata)
    units = {the_input(graph): encoder.step}
    for name in topological_order(graph):
        node = graph.nodes[name]
        if isinstance(node, QuantReLU):
            units[name] = node.gain
        elif name not in units:
            units[name] = units[predecessors(graph, name)[0]]
    return units


def layers_into(graph: Graph, target: str) -> list[str]:
    """The weighted nodes whose sums arrive at `target`."""
    layers = []
    for source in predecessors(graph, target):
        while isinstance(graph.nodes[source], nir.Flatten):
            source = predecessors(graph, source)[0]
        if isinstance(graph.nodes[source], WEIGHTED_NODES):
            layers.append(source)
    return layers


def weights_of(node: Any) -> np.ndarray[Any, Any]:
    """The weights of a weighted node, whatever its field is called."""
    return np.asarray(node.scale if isinstance(node, nir.Scale) else node.weight, np.float64)


def _on_codes(node: nir.NIRNode, unit: float, scale: float, bits: int) -> nir.NIRNode:
    new: Any = copy(node)
    codes = round_half_even(weights_of(node) * unit / scale)
    setattr(new, "scale" if isinstance(node, nir.Scale) else "weight", codes * scale)
    if getattr(node, "bias", None) is not None:
        new.bias = round_half_even(np.asarray(new.bias, np.float64) / scale) * scale
    new.metadata = {**node.metadata, "scale": scale, "bits": bits}
    coded: nir.NIRNode = new
    return coded
