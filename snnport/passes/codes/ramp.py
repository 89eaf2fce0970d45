"""The ramp code: the gate code for neurons that go back to zero when they fire. Same windows, spikes at their ends.

A window opens below the threshold by as many thresholds as it has steps to come, and every later step adds one: a neuron
of count n reaches its threshold n steps before the end, goes back to zero, and the ramp alone fires it in every step from
then on. So n spikes stand in the last n steps of the window, an OR in every step is still the maximum, and the clip at L
needs nothing: the window has no more steps. The input is encoded in the same way.
"""

from __future__ import annotations

from snnport.convention import Coding
from snnport.graph import Graph
from snnport.passes.codes.base import CODED_TO_ZERO, Code, Order, carry_everything, encoded
from snnport.passes.codes.gate import gate_windows, last_step
from snnport.passes.codes.neurons import TO_ZERO, with_neurons


def _write(graph: Graph, order: Order) -> tuple[Graph, Coding]:
    spiking = with_neurons(graph, order, TO_ZERO)
    windows = gate_windows(spiking, order.encoder)
    return spiking, Coding("ramp", last_step(windows), encoded(order.encoder, "late").to_json(), windows)


RAMP = Code("ramp", True, carry_everything, _write, convention=CODED_TO_ZERO)
