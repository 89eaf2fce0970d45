"""The graded code: a neuron sends its count as the payload of one message; a layer takes one step, and keeps nothing.

Schedule (a message of step t arrives at t + 1 or, where branches of different length meet, later: a projection waits):
    input            open 0
    weighted layer   open = max over sources (open_k) + 1, the step in which all its messages arrive and its own leaves
    max pooling      open = open_source + hops, max(a, b) = b + relu(a - b) along a tree: one hop a level
    readout          as a weighted layer; the logit is what it sends
No state outlives a step, so a new sample may enter in every step.
"""

from __future__ import annotations

import nir

from snnport.convention import Coding, Window
from snnport.encoders import CountEncoder
from snnport.errors import PassFailed
from snnport.graph import Graph, names_of, the_input, topological_order
from snnport.nodes import MaxPool2d, QuantReLU
from snnport.passes.codes.base import Code, Order, encoded, populations_before
from snnport.passes.codes.neurons import with_neurons
from snnport.passes.unspike import max_pool_of


def pool_hops(pool: MaxPool2d) -> int:
    """Steps that a max pooling takes: the levels of a tree over its columns, then of one over its rows."""
    return max(1, sum((size - 1).bit_length() for size in pool.kernel_size))


def graded_windows(graph: Graph, encoder: CountEncoder) -> dict[str, Window]:
    """The schedule above."""
    windows = {the_input(graph): Window("input", 0, 0, encoder.levels)}
    for name in topological_order(graph):
        node = graph.nodes[name]
        if not isinstance(node, nir.IF | nir.I):
            continue
        sources = [windows[source] for source in populations_before(graph, name)]
        first, last = min(window.open for window in sources), max(window.open for window in sources)
        if "relay" in node.metadata:
            windows[name] = Window("relay", first + 1, first + pool_hops(max_pool_of(graph, name)), sources[0].levels)
        elif isinstance(node, nir.I):
            windows[name] = Window("readout", first + 1, last + 1, 1)
        else:
            windows[name] = Window("message", first + 1, last + 1, int(node.metadata["levels"]))
    return windows


def refuse_division(graph: Graph, spelling: str) -> None:
    """A neuron divides by shifting, so thresholds are powers of two."""
    thetas = {name: int(graph.nodes[name].metadata["theta"]) for name in names_of(graph, QuantReLU)}
    other = [name for name, theta in thetas.items() if theta & (theta - 1)]
    if other:
        what = f"its threshold {thetas[other[0]]} is no power of two, and a message is divided by a shift"
        raise PassFailed(f"{spelling}: {', '.join(other)}", what, "Run align-steps before quantize-weights")


def _write(graph: Graph, order: Order) -> tuple[Graph, Coding]:
    encoder = encoded(order.encoder, "message")
    spiking = with_neurons(graph, order, "one message a sample", "a tree of maxima, b + relu(a - b)")
    windows = graded_windows(spiking, encoder)
    return spiking, Coding("graded", max(window.open for window in windows.values()) + 1, encoder.to_json(), windows)


GRADED = Code("graded", True, refuse_division, _write, levels=255, messages=True)
