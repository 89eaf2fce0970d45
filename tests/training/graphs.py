"""Small random spiking graphs for the tests of training: every kind of neuron, loops, delays, skips, convolutions, poolings."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np

from snnport.convention import Convention
from snnport.graph import Graph, build
from snnport.nodes import AdaptiveLIF, flatten_node, input_node, output_node

KINDS = ("IF", "LIF", "CubaLIF", "AdaptiveLIF")
RULE = Convention("test", dt=1e-3, membrane_gain="unit", integrator_gain="unit", synapse_gain="unit", dtype="float64")


def neuron(rng: np.random.Generator, kind: str, shape: Any, *, same: bool = False) -> Any:
    """Parameters of their own for every neuron, or one for all."""

    def draw(low: float, high: float) -> Any:
        return np.full(shape, rng.uniform(low, high)) if same else rng.uniform(low, high, shape)

    tau, r, leak = draw(0.003, 0.02), draw(0.5, 2), draw(-0.1, 0.1)
    threshold, back = draw(0.5, 1), draw(-0.2, 0.2)
    return {
        "I": lambda: nir.I(r),
        "IF": lambda: nir.IF(r, threshold, back),
        "LI": lambda: nir.LI(tau, r, leak),
        "LIF": lambda: nir.LIF(tau, r, leak, threshold, back),
        "CubaLI": lambda: nir.CubaLI(draw(0.003, 0.02), tau, r, leak, draw(0.5, 2)),
        "CubaLIF": lambda: nir.CubaLIF(draw(0.003, 0.02), tau, r, leak, threshold, back, draw(0.5, 2)),
        "AdaptiveLIF": lambda: AdaptiveLIF(tau, r, leak, threshold, back, draw(0.02, 0.1), draw(0.5, 2)),
    }[kind]()


def dense(rng: np.random.Generator, inputs: int, outputs: int, gain: float = 1.0, *, bias: bool = True) -> Any:
    weight = rng.normal(0, gain, (outputs, inputs)) / np.sqrt(inputs) * 2
    return nir.Affine(weight, rng.normal(0, 0.2, outputs)) if bias else nir.Linear(weight)


def small(
    rng: np.random.Generator, kind: str, *, loop: str = "", same: bool = False, inputs: int = 5, hidden: int = 6
) -> Graph:
    """inputs - hidden neurons of `kind` - 3 readouts. loop: "" for none, "all" for a dense one, "one" for a Scale."""
    nodes: dict[str, nir.NIRNode] = {
        "input": input_node((inputs,)),
        "fc1": dense(rng, inputs, hidden),
        "n": neuron(rng, kind, (hidden,), same=same),
        "fc2": dense(rng, hidden, 3, bias=False),
        "out": neuron(rng, "LI", (3,)),
        "output": output_node(),
    }
    edges = [("input", "fc1"), ("fc1", "n"), ("n", "fc2"), ("fc2", "out"), ("out", "output")]
    if loop:
        nodes["again"] = dense(rng, hidden, hidden, 0.5) if loop == "all" else nir.Scale(rng.normal(0, 0.5, hidden))
        edges += [("n", "again"), ("again", "n")]
    return build(nodes, edges)


def tangled(rng: np.random.Generator) -> Graph:
    """A skip, delays that differ from neuron to neuron, a loop through a delay, two populations in one loop."""
    nodes: dict[str, nir.NIRNode] = {
        "input": input_node((4,)),
        "a": dense(rng, 4, 6),
        "n1": neuron(rng, "LIF", (6,)),
        "late": nir.Delay(rng.integers(0, 4, 6) * 1e-3),
        "b": dense(rng, 6, 6),
        "n2": neuron(rng, "CubaLIF", (6,)),
        "back": dense(rng, 6, 6, 0.4),
        "slow": nir.Delay(np.full(6, 2e-3)),
        "skip": nir.Scale(rng.normal(0, 1, 6)),
        "gate": nir.Threshold(np.full(6, 0.4)),
        "c": dense(rng, 6, 3),
        "out": neuron(rng, "LIF", (3,)),
        "output": output_node(),
    }
    edges = [("input", "a"), ("a", "n1"), ("n1", "late"), ("late", "b"), ("b", "n2"), ("n2", "back"), ("back", "slow")]
    edges += [("slow", "n1"), ("n1", "skip"), ("skip", "n2"), ("n2", "gate"), ("gate", "c"), ("n2", "c"), ("c", "out")]
    return build(nodes, [*edges, ("out", "output")])


def maps(rng: np.random.Generator) -> Graph:
    """Two convolutions, one grouped and with a stride, sum and average pooling, a dense layer."""
    nodes: dict[str, nir.NIRNode] = {
        "input": input_node((2, 8, 8)),
        "conv1": nir.Conv2d((8, 8), rng.normal(0, 0.5, (4, 2, 3, 3)), 1, "same", 1, 1, rng.normal(0, 0.1, 4)),
        "n1": neuron(rng, "LIF", (4, 8, 8)),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "conv2": nir.Conv2d((4, 4), rng.normal(0, 0.5, (4, 2, 3, 2)), (2, 1), (1, 1), 1, 2, rng.normal(0, 0.1, 4)),
        "n2": neuron(rng, "IF", (4, 2, 5)),
        "mean": nir.AvgPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0])),
        "flat": flatten_node((4, 1, 4)),
        "fc": dense(rng, 16, 3),
        "out": neuron(rng, "CubaLIF", (3,)),
        "output": output_node(),
    }
    names = list(nodes)
    return build(nodes, pairwise(names))
