"""Neurons of networks that snnport converted: integers, with windows that open and close (convention.Coding)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import nir
import numpy as np

from snnport.convention import Coding
from snnport.errors import InvalidGraph
from snnport.graph import Graph, names_of, predecessors
from snnport.nodes import NEURON_NODES, Shape
from snnport.reference.ann import node_function
from snnport.reference.codes.base import Array, CodedCell, Setup
from snnport.reference.codes.delay import delay_cell
from snnport.reference.codes.gate import gate_cell
from snnport.reference.codes.graded import graded_cell, maxima
from snnport.reference.codes.ramp import ramp_cell
from snnport.reference.codes.rate import rate_cell
from snnport.reference.codes.sigma_delta import RunningMax, sigma_delta_cell
from snnport.reference.codes.ttfs import ttfs_cell

CELLS: Mapping[str, Callable[[Setup], CodedCell]] = {
    "gate": gate_cell,
    "rate": rate_cell,
    "ramp": ramp_cell,
    "ttfs": ttfs_cell,
    "delay": delay_cell,
    "graded": graded_cell,
    "sigma-delta": sigma_delta_cell,
}
"""The cell of a neuron, by the name of the code."""
MESSAGES = ("graded", "sigma-delta")
"""Codes whose counts travel in one piece: a max pooling sees counts, not spikes."""


def coded_cell(setup: Setup) -> CodedCell:
    """The cell of one neuron node. Raises InvalidGraph if there is no such code."""
    code = setup.coding.code
    if code not in CELLS:
        raise InvalidGraph("metadata 'snnport'", f"there is no code '{code}'", f"Known: {', '.join(CELLS)}")
    return CELLS[code](setup)


def coded_functions(graph: Graph, coding: Coding) -> dict[str, Callable[[Array], Array]]:
    """What every node without a state does to integers; a Delay, whose line is its state, passes them on."""
    found = {name: node_function(name, node, integers=True) for name, node in graph.nodes.items()}
    found |= {name: lambda x: x for name in names_of(graph, nir.Delay)}
    if coding.code not in MESSAGES:
        return found
    pools = maxima(graph)
    return {**found, **(pools if coding.code == "graded" else {name: RunningMax(pool) for name, pool in pools.items()})}


def bias_into(graph: Graph, name: str, functions: Mapping[str, Callable[[Array], Array]], sizes: Mapping[str, Shape]) -> Array:
    """What enters neuron `name` when nothing fires: the sum of the biases on its ways, (1, *shape)."""

    def answer(node: str) -> Array:
        if isinstance(graph.nodes[node], (nir.Input, *NEURON_NODES)):
            return np.zeros((1, *sizes[node]))
        parts = [answer(source) for source in predecessors(graph, node)]
        return functions[node](np.sum(parts, axis=0))

    return np.asarray(np.sum([answer(source) for source in predecessors(graph, name)], axis=0), np.float64)
