"""The delay code: inhibition first, excitation after. No gate, no control neuron, no clip.

Every weighted node is split by the sign of its weights; what its excitatory half gets waits until the last inhibitory spike
has arrived. From then on a subtracting neuron only gains charge, so it has fired floor((theta/2 + charge) / theta) times in
the end, in whatever order the excitatory spikes come: the quantised rectifier without its upper bound. Schedule:
    open = max over sources (open_k + levels_k), the wait of source k = open - open_k - 1
levels, here the length of the window, is found by drain.py; a run checks that no population fires after its own.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import nir
import numpy as np

from snnport.convention import Coding, Window
from snnport.graph import Graph, build, fresh_name, predecessors, successors, the_input
from snnport.ledger import Entry
from snnport.passes.codes.base import Code, Order, populations_before
from snnport.passes.codes.drain import drains
from snnport.passes.codes.gate import last_step
from snnport.passes.codes.neurons import SUBTRACTING, with_neurons
from snnport.passes.codes.rate import refuse_pooling
from snnport.passes.codes.waits import with_wait
from snnport.passes.paths import walk


def _refuse(graph: Graph, spelling: str) -> None:
    refuse_pooling(graph, spelling, "delay")


def _write(graph: Graph, order: Order) -> tuple[Graph, Coding]:
    spiking, excitatory = _split(with_neurons(graph, order, SUBTRACTING), order)
    found = drains(spiking, excitatory, order.encoder, order.ctx.calibration)
    windows = {the_input(spiking): Window("input", 0, 0, order.encoder.levels)}
    facts = {}
    for name in found:
        sources = [windows[source] for source in populations_before(spiking, name)]
        arrival, opening = min(w.open for w in sources) + 1, max(w.open + w.levels for w in sources)
        if isinstance(spiking.nodes[name], nir.I):
            windows[name] = Window("readout", arrival, opening, 1)
            continue
        bound = max(w.levels for w in sources) + found[name].greatest - 1
        levels = max(1, min(bound, max(found[name].measured, order.steps)))
        windows[name] = Window("free", arrival, opening, levels)
        facts[name] = {"steps": levels, "bound": bound, "proven": levels == bound}
    order.ctx.find(order.spelling, windows=facts)
    for path in walk(spiking)[0]:
        if path.weighted in excitatory:
            spiking = with_wait(spiking, path.weighted, windows[path.target].open - windows[path.source].open - 1)
    return spiking, Coding("delay", last_step(windows), order.encoder.to_json(), windows)


def _split(graph: Graph, order: Order) -> tuple[Graph, frozenset[str]]:
    """`graph` with the weights into every firing neuron split by sign, and the names of the excitatory halves."""
    excitatory: set[str] = set()
    for path in walk(graph)[0]:
        if path.weighted is None or isinstance(graph.nodes[path.target], nir.I):
            continue
        name = path.weighted
        node: Any = graph.nodes[name]
        field = "scale" if isinstance(graph.nodes[name], nir.Scale) else "weight"
        weight = np.asarray(getattr(node, field))
        if weight.min(initial=0) >= 0:
            excitatory.add(name)
        elif weight.max(initial=0) > 0:
            inhibits, excites = copy(node), copy(node)
            setattr(inhibits, field, np.minimum(weight, 0))
            setattr(excites, field, np.maximum(weight, 0))
            if getattr(node, "bias", None) is not None:
                excites.bias = np.zeros_like(node.bias)
            twin = fresh_name(graph, f"{name}.excite")
            ends = [(a, twin) for a in predecessors(graph, name)] + [(twin, b) for b in successors(graph, name)]
            graph = build({**graph.nodes, name: inhibits, twin: excites}, [*graph.edges, *ends], graph.metadata)
            excitatory.add(twin)
            why = "its inhibition comes at once, its excitation after that of all others"
            order.ctx.note(Entry(name, type(node).__name__, "became", (name, twin), why, order.spelling))
    return graph, frozenset(excitatory)


DELAY = Code("delay", True, _refuse, _write, clips=False)
