"""The gate code: a population integrates while it is closed and fires for L steps from the step of its last arrival.

A count n is n spikes in a row from the first step of the window. Hence max over counts is an OR in every step.
Schedule (a spike of step t arrives at t + 1):
    input            open 0
    weighted layer   open = max over sources (open_k + levels_k), arrival = min over sources (open_k + 1)
    max pooling      open = open_source + 1, same levels
    readout          as a weighted layer; the logit is its potential after step `open`
"""

from __future__ import annotations

import nir

from snnport.convention import Coding, Window
from snnport.encoders import CountEncoder
from snnport.graph import Graph, the_input, topological_order
from snnport.passes.codes.base import Code, Order, carry_everything, populations_before
from snnport.passes.codes.neurons import SUBTRACTING, with_neurons


def gate_windows(graph: Graph, encoder: CountEncoder, hop: int = 0) -> dict[str, Window]:
    """The schedule above. hop: steps between the last step of a source's window and its last arrival, beyond the one."""
    windows: dict[str, Window] = {the_input(graph): Window("input", 0, 0, encoder.levels)}
    for name in topological_order(graph):
        node = graph.nodes[name]
        if not isinstance(node, nir.IF | nir.I):
            continue
        sources = [windows[source] for source in populations_before(graph, name)]
        arrival = min(window.open for window in sources) + 1
        if "relay" in node.metadata:
            windows[name] = Window("relay", arrival, sources[0].open + 1, sources[0].levels)
            continue
        opening = max(window.open + window.levels for window in sources) + hop
        if isinstance(node, nir.I):
            windows[name] = Window("readout", arrival, opening, 1)
        else:
            windows[name] = Window("gated", arrival, opening, int(node.metadata["levels"]))
    return windows


def last_step(windows: dict[str, Window]) -> int:
    """Steps of a sample: until the last window has closed."""
    return max(window.open + window.levels for window in windows.values())


def least_period(coding: Coding) -> int:
    """Steps from one sample to the next, at least, if samples stream: a neuron must be done before new charge arrives.

    The input plays its levels; a population is busy from its first arrival to the end of its window, a readout to the step
    in which it is read. In the ttfs code by twins two steps more: a twin's spike, and the reset behind it.
    """
    busy = [int(coding.encoder["levels"])]
    for window in coding.windows.values():
        if window.role == "readout":
            busy.append(window.open - window.arrival + 1)
        elif window.role in ("gated", "free"):
            busy.append(window.open + window.levels - window.arrival)
    return max(busy)


def _write(graph: Graph, order: Order) -> tuple[Graph, Coding]:
    spiking = with_neurons(graph, order, SUBTRACTING)
    windows = gate_windows(spiking, order.encoder)
    return spiking, Coding("gate", last_step(windows), order.encoder.to_json(), windows)


GATE = Code("gate", True, carry_everything, _write)
