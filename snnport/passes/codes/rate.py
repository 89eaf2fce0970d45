"""The rate code: every population is open all the time, and a count is a number of spikes at any time. An approximation.

The bias enters once in as many steps as the input has levels. It needs no schedule, so chips without a time base carry it.
"""

from __future__ import annotations

import nir

from snnport.convention import Coding, Window
from snnport.errors import PassFailed
from snnport.graph import Graph, names_of, the_input
from snnport.nodes import MaxPool2d
from snnport.passes.codes.base import Code, Order, encoded
from snnport.passes.codes.neurons import SUBTRACTING, with_neurons


def refuse_pooling(graph: Graph, spelling: str, code: str) -> None:
    """Max pooling is an OR of spikes only where trains are consecutive from a common step."""
    pools = names_of(graph, MaxPool2d)
    if pools:
        raise PassFailed(
            f"{spelling}: {', '.join(pools)}",
            f"max pooling is an OR of spikes only where trains are consecutive, and the {code} code's are not",
            "Use --code gate, or average pooling",
        )


def _refuse(graph: Graph, spelling: str) -> None:
    refuse_pooling(graph, spelling, "rate")


def _write(graph: Graph, order: Order) -> tuple[Graph, Coding]:
    spiking = with_neurons(graph, order, SUBTRACTING)
    encoder = order.encoder
    neurons = names_of(spiking, nir.IF, nir.I)
    levels = [int(spiking.nodes[name].metadata["levels"]) for name in neurons if isinstance(spiking.nodes[name], nir.IF)]
    total = order.steps or 4 * max([encoder.levels, *levels])
    windows = {the_input(spiking): Window("input", 0, 0, encoder.levels)}
    for name in neurons:
        role = "readout" if isinstance(spiking.nodes[name], nir.I) else "free"
        windows[name] = Window(role, 0, 0, total)
    return spiking, Coding("rate", total, encoded(encoder, "even").to_json(), windows)


RATE = Code("rate", False, _refuse, _write, own_input_levels=False)
