"""Sigma-delta: neurons add up changes and send the change of their own value, so that a stream costs what changes in it.

A layer computes relu(W n + b) in whole numbers and divides by nothing: a floor of changes is not the change of a floor, so a
shift would let an error grow from frame to frame. Values therefore gain bits with each layer; bound-counts proves that the
sums fit their registers or refuses the network with the numbers. The schedule is that of the graded code; a new frame may enter
in every step, and the logits of a frame are the sums of what the readout has sent until the step in which it sends for it.
"""

from __future__ import annotations

from snnport.convention import Coding
from snnport.errors import PassFailed
from snnport.graph import Graph, names_of
from snnport.nodes import QuantReLU
from snnport.passes.codes.base import Code, Order, encoded
from snnport.passes.codes.graded import graded_windows
from snnport.passes.codes.neurons import with_neurons


def _refuse(graph: Graph, spelling: str) -> None:
    """Nothing is divided, so thresholds are 1."""
    thetas = {name: int(graph.nodes[name].metadata["theta"]) for name in names_of(graph, QuantReLU)}
    other = [name for name, theta in thetas.items() if theta != 1]
    if other:
        what = f"its threshold is {thetas[other[0]]}, and changes cannot be divided without an error that grows"
        raise PassFailed(f"{spelling}: {', '.join(other)}", what, "Run align-steps{most_shift=0} before quantize-weights")


def _write(graph: Graph, order: Order) -> tuple[Graph, Coding]:
    encoder = encoded(order.encoder, "change")
    spiking = with_neurons(graph, order, "a sigma-delta neuron", "a tree of maxima, b + relu(a - b)")
    windows = graded_windows(spiking, encoder)
    steps = max(window.open for window in windows.values()) + 1
    return spiking, Coding("sigma-delta", steps, encoder.to_json(), windows)


SIGMA_DELTA = Code("sigma-delta", True, _refuse, _write, clips=False, levels=15, messages=True, divides=False)
