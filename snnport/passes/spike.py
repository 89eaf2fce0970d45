"""Counting rectifiers become integrate-and-fire neurons, max pooling becomes an OR of spikes: the graph is an SNN.

Gate code: a population integrates while it is closed and fires for L steps from the step of its last arrival, so that a
count n is n spikes in a row from the first step of the window. Hence max over counts is an OR in every step.
Schedule (a spike of step t arrives at t + 1):
    input            open 0
    weighted layer   open = max over sources (open_k + levels_k), arrival = min over sources (open_k + 1)
    max pooling      open = open_source + 1, same levels
    readout          as a weighted layer; the logit is its potential after step `open`
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.convention import CODED, Coding, Window
from snnport.encoders import CountEncoder
from snnport.errors import PassFailed
from snnport.graph import Graph, build, fresh_name, names_of, predecessors, shapes, the_input, the_output, topological_order
from snnport.ledger import Entry
from snnport.nodes import MaxPool2d, QuantReLU
from snnport.passes.base import Context, Pass

CODES = ("gate", "rate")


@dataclass(frozen=True)
class Spike(Pass):
    """Write the quantised network in spikes.

    code: "gate" is lossless. "rate" leaves every population open, adds the bias once in as many steps as the input has
    levels, and is an approximation; it needs no schedule, so chips without a time base carry it, but it has no max pooling.
    steps: of a sample in the rate code, 0 for 4 * levels; the gate code computes its own.
    """

    name: ClassVar[str] = "spike"
    code: str = "gate"
    steps: int = 0

    def requires(self, graph: Graph) -> None:
        """Weights are quantised, and the code can carry every node."""
        if self.code not in CODES:
            raise PassFailed(self.spelling, f"there is no code '{self.code}' here", f"Known: {', '.join(CODES)}")
        unquantised = [name for name in names_of(graph, QuantReLU) if "theta" not in graph.nodes[name].metadata]
        if unquantised:
            raise PassFailed(self.spelling, f"{', '.join(unquantised)} have no integer threshold", "Run quantize-weights first")
        pools = names_of(graph, MaxPool2d)
        if self.code == "rate" and pools:
            raise PassFailed(
                f"{self.spelling}: {', '.join(pools)}",
                "max pooling is an OR of spikes only where trains are consecutive, and the rate code's are not",
                "Use --code gate, or average pooling",
            )

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The spiking graph; metadata "snnport" holds coding, convention and encoder."""
        sizes = shapes(graph)
        nodes: dict[str, nir.NIRNode] = {}
        edges = list(graph.edges)
        for name, node in graph.nodes.items():
            if isinstance(node, QuantReLU):
                nodes[name] = _integrate_and_fire(node, sizes[name])
                ctx.note(Entry(name, "QuantReLU", "became", (name,), "integrate and fire, subtracting reset", self.spelling))
            elif isinstance(node, MaxPool2d):
                window = fresh_name(graph, f"{name}.window")
                nodes[window] = _window(node, sizes[predecessors(graph, name)[0]])
                nodes[name] = _relay(sizes[name])
                edges = [(a, window if b == name else b) for a, b in edges] + [(window, name)]
                ctx.note(Entry(name, "MaxPool2d", "became", (window, name), "an OR of spikes in each step", self.spelling))
            else:
                nodes[name] = node
        output = the_output(graph)
        if not isinstance(nodes[predecessors(graph, output)[0]], nir.IF):
            nodes, edges = _with_readout(graph, nodes, edges, output, sizes[output])
        spiking = build(nodes, edges, graph.metadata)
        encoder = CountEncoder.from_json(json.loads(graph.metadata["snnport"])["encoder"])
        coding = _gate(spiking, encoder) if self.code == "gate" else _rate(spiking, encoder, self.steps)
        header = {"version": 1, "coding": coding.to_json(), "convention": CODED.to_json(), "encoder": coding.encoder}
        return build(nodes, edges, {**graph.metadata, "snnport": json.dumps(header)})


def _integrate_and_fire(node: QuantReLU, shape: tuple[int, ...]) -> nir.IF:
    theta, scale = int(node.metadata["theta"]), float(node.metadata["scale"])
    metadata = {"theta": theta, "scale": scale, "levels": node.levels}
    return nir.IF(np.ones(shape), np.full(shape, theta * scale), np.zeros(shape), metadata=metadata)


def _relay(shape: tuple[int, ...]) -> nir.IF:
    return nir.IF(np.ones(shape), np.ones(shape), np.zeros(shape), metadata={"theta": 1, "scale": 1.0, "relay": 1})


def _window(node: MaxPool2d, shape: tuple[int, ...]) -> nir.NIRNode:
    """The sum of a window's spikes; padding that NIR's pooling cannot say becomes a convolution with ones."""
    top, left, bottom, right = node.padding
    if (top, left) == (bottom, right):
        return nir.SumPool2d(np.array(node.kernel_size), np.array(node.stride), np.array([top, left]))
    height, width = max(top, bottom), max(left, right)
    ones = np.ones((shape[0], 1, *node.kernel_size))
    extension = ((0, 0), (0, 0), (height - top, height - bottom), (width - left, width - right))
    kernel = np.pad(ones, extension)
    metadata = {"scale": 1.0, "bits": 2}
    zeros = np.zeros(shape[0])
    return nir.Conv2d((shape[1], shape[2]), kernel, node.stride, (height, width), (1, 1), shape[0], zeros, metadata=metadata)


def _with_readout(
    graph: Graph, nodes: Mapping[str, nir.NIRNode], edges: list[tuple[str, str]], output: str, shape: tuple[int, ...]
) -> tuple[dict[str, nir.NIRNode], list[tuple[str, str]]]:
    name = fresh_name(graph, "readout")
    layer: Any = graph.nodes[predecessors(graph, output)[0]]
    while "scale" not in layer.metadata:
        layer = graph.nodes[predecessors(graph, next(n for n, node in graph.nodes.items() if node is layer))[0]]
    readout = nir.I(np.ones(shape), metadata={"scale": float(layer.metadata["scale"])})
    return {**nodes, name: readout}, [(a, name if b == output else b) for a, b in edges] + [(name, output)]


def _gate(graph: Graph, encoder: CountEncoder) -> Coding:
    windows: dict[str, Window] = {the_input(graph): Window("input", 0, 0, encoder.levels)}
    for name in topological_order(graph):
        node = graph.nodes[name]
        if not isinstance(node, nir.IF | nir.I):
            continue
        sources = [windows[source] for source in _populations_before(graph, name)]
        arrival = min(window.open for window in sources) + 1
        if "relay" in node.metadata:
            windows[name] = Window("relay", arrival, sources[0].open + 1, sources[0].levels)
            continue
        opening = max(window.open + window.levels for window in sources)
        if isinstance(node, nir.I):
            windows[name] = Window("readout", arrival, opening, 1)
        else:
            windows[name] = Window("gated", arrival, opening, int(node.metadata["levels"]))
    last = max(windows[name].open + windows[name].levels for name in windows)
    return Coding("gate", last, encoder.to_json(), windows)


def _rate(graph: Graph, encoder: CountEncoder, steps: int) -> Coding:
    neurons = names_of(graph, nir.IF, nir.I)
    levels = [int(graph.nodes[name].metadata["levels"]) for name in neurons if isinstance(graph.nodes[name], nir.IF)]
    total = steps or 4 * max([encoder.levels, *levels])
    windows = {the_input(graph): Window("input", 0, 0, encoder.levels)}
    for name in neurons:
        role = "readout" if isinstance(graph.nodes[name], nir.I) else "free"
        windows[name] = Window(role, 0, 0, total)
    spread = CountEncoder("even", encoder.step, encoder.levels, encoder.signed)
    return Coding("rate", total, spread.to_json(), windows)


def _populations_before(graph: Graph, name: str) -> list[str]:
    found, stack = [], list(predecessors(graph, name))
    while stack:
        here = stack.pop()
        if isinstance(graph.nodes[here], nir.Input | nir.IF):
            found.append(here)
        else:
            stack.extend(predecessors(graph, here))
    return found
