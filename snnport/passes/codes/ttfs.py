"""One spike a neuron, time to first spike: a count n is a spike n steps before the end of the window, 0 is silence.

A spike starts a current that stays: n steps before it ends it has brought n times its weight. It ends in the step in which
the window of the target opens, by a twin of the source or by the target's own clock. From then on the target climbs by one
threshold a step from L - 1 thresholds below its charge, and the step in which it first reaches its threshold is the code.
Schedule: as the gate code's, one step more a layer, for the step in which the currents end. A source that is done earlier
than another waits (a Delay node), so that all currents of a layer end in the same step.
"""

from __future__ import annotations

import nir
import numpy as np

from snnport.convention import Coding
from snnport.graph import Graph, fresh_name, predecessors, shapes, the_output, with_node_on_edge
from snnport.passes.codes.base import CODED_TO_ZERO, Code, Order, carry_everything, encoded
from snnport.passes.codes.gate import gate_windows, last_step
from snnport.passes.codes.neurons import with_neurons
from snnport.passes.codes.waits import with_wait
from snnport.passes.paths import walk

ONE_SPIKE = "integrate and fire on a current that stays, once"


def _write(graph: Graph, order: Order) -> tuple[Graph, Coding]:
    spiking = _with_integrator(with_neurons(graph, order, ONE_SPIKE))
    windows = gate_windows(spiking, order.encoder, hop=1)
    for path in walk(spiking)[0]:
        relay = isinstance(spiking.nodes[path.target], nir.IF) and "relay" in spiking.nodes[path.target].metadata
        if not relay and path.weighted is not None:
            done = windows[path.source].open + windows[path.source].levels + 1
            spiking = with_wait(spiking, path.weighted, windows[path.target].open - done)
    return spiking, Coding("ttfs", last_step(windows), encoded(order.encoder, "once").to_json(), windows)


def _with_integrator(graph: Graph) -> Graph:
    """`graph` with integrators behind output neurons that fire: one spike is no count, its current adds up to one."""
    output = the_output(graph)
    last = predecessors(graph, output)[0]
    if not isinstance(graph.nodes[last], nir.IF):
        return graph
    shape = shapes(graph)[last]
    ones = nir.Scale(np.ones(shape), metadata={"scale": 1.0, "bits": 2})
    readout = nir.I(np.ones(shape), metadata={"scale": 1.0})
    weight, name = fresh_name(graph, f"{last}.read"), fresh_name(graph, "readout")
    graph = with_node_on_edge(graph, (last, output), weight, ones)
    return with_node_on_edge(graph, (weight, output), name, readout)


TTFS = Code("ttfs", True, carry_everything, _write, convention=CODED_TO_ZERO)
