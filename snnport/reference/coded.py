"""Neurons of networks that snnport converted: integers, with windows that open and close (convention.Coding)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Coding, Window
from snnport.graph import Graph, predecessors
from snnport.nodes import NEURON_NODES, Shape

Array = npt.NDArray[Any]


@dataclass
class CodedCell:
    """The state of one neuron node, and its step."""

    v: Array
    window: Window
    bias: Array
    theta: float
    period: int

    @classmethod
    def of(cls, node: Any, shape: Shape, coding: Coding, name: str, bias: Array) -> CodedCell:
        """The cell before the first step; `bias` is what enters it while nothing fires."""
        window = coding.windows[name]
        theta = float(node.metadata.get("theta", 0))
        start = 0.0 if window.role in ("relay", "readout") else theta // 2
        period = int(coding.encoder["levels"]) if coding.code == "rate" else 0
        return cls(np.zeros(shape) + start, window, bias, theta, period)

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step; returns spikes, zeros for a readout."""
        window = self.window
        biased = step % self.period == 0 if self.period else step == 0
        self.v = self.v + arriving - (0.0 if biased else self.bias)
        closed = window.role == "gated" and not window.open <= step < window.open + window.levels
        if window.role == "readout" or closed:
            return np.zeros_like(self.v)
        fired = (self.v >= self.theta).astype(np.float64)
        self.v = self.v * (1 - fired) if window.role == "relay" else self.v - fired * self.theta
        return fired


def bias_into(graph: Graph, name: str, functions: Mapping[str, Callable[[Array], Array]], sizes: Mapping[str, Shape]) -> Array:
    """What enters neuron `name` when nothing fires: the sum of the biases on its ways, (1, *shape)."""

    def answer(node: str) -> Array:
        if isinstance(graph.nodes[node], (nir.Input, *NEURON_NODES)):
            return np.zeros((1, *sizes[node]))
        parts = [answer(source) for source in predecessors(graph, node)]
        return functions[node](np.sum(parts, axis=0))

    return np.asarray(np.sum([answer(source) for source in predecessors(graph, name)], axis=0), np.float64)
