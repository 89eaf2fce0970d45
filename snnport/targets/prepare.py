"""Which passes a graph still needs before a target can judge it."""

from __future__ import annotations

from snnport.convention import coding_of
from snnport.graph import Graph, names_of
from snnport.nodes import NEURON_NODES, WEIGHTED_NODES
from snnport.passes.base import Pass
from snnport.passes.quantize_snn import QuantizeSnn
from snnport.targets.synapses import scale_of


def quantising(graph: Graph, *, bits: int, threshold_bits: int, bias_bits: int = 0) -> tuple[Pass, ...]:
    """QuantizeSnn with the target's widths for a spiking graph in real numbers; nothing for one that has its scales."""
    neurons = names_of(graph, *NEURON_NODES)
    if not neurons or coding_of(graph.metadata) is not None:
        return ()
    if all(scale_of(graph.nodes[name]) is not None for name in (*neurons, *names_of(graph, *WEIGHTED_NODES))):
        return ()
    return (QuantizeSnn(bits, threshold_bits, bias_bits),)
