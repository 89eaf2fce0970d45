"""The graded code: adds up what arrives, and sends it, divided, rounded and clipped, in the one step that is its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import nir
import numpy as np

from snnport.convention import Window
from snnport.graph import Graph, predecessors
from snnport.nodes import max_windows
from snnport.reference.ann import node_function
from snnport.reference.codes.base import Array, CodedCell, Setup


@dataclass
class MessageCell:
    """Sends clip(floor((v + theta/2) / theta), 0, levels) in step `open`; a relay and a readout send v itself.

    A readout keeps its v, which is where the reference reads it.
    """

    v: Array
    window: Window
    bias: Array
    theta: float

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step; returns payloads."""
        self.v = self.v + arriving - (0.0 if step == 0 else self.bias)
        if step != self.window.open:
            return np.zeros_like(self.v)
        sent = self.v
        if self.window.role == "readout":
            return sent
        self.v = np.zeros_like(self.v)
        if self.window.role == "relay":
            return sent
        return np.clip(np.floor((sent + self.theta // 2) / self.theta), 0, self.window.levels)


def graded_cell(setup: Setup) -> CodedCell:
    """The cell of a neuron of the graded code."""
    return MessageCell(np.zeros(setup.shape), setup.window, setup.bias, setup.theta)


def maxima(graph: Graph) -> dict[str, Any]:
    """For the node before each relay, which stands for the windows of a max pooling, the greatest message of each window."""
    found = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.IF) and "relay" in node.metadata:
            window = predecessors(graph, name)[0]
            found[window] = node_function(window, max_windows(cast(Any, graph.nodes[window])), integers=True)
    return found
