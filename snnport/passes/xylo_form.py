"""A network of CubaLIF neurons in the form that Xylo computes: decays by powers of two, no bias in the weights.

Xylo takes x >> dash off a state in a step, so that 1 - 2^-dash of it is left (xylosim 0.1.3; rounding aside). Each time
constant becomes dt * 2^dash with dash = round(log2(1 / (1 - a))), a what one step leaves. What stays the same, where that
changes a time constant, is a choice:
  level   what a current that does not change leads to in the end: NIR's neurons have a gain of 1 there, so nothing moves;
  charge  what one spike adds to v at once, (1 - a_syn) w_in (1 - a_mem) r. With a reset that subtracts, charge is what counts
          spikes, and a current at rest is rare; r, w_in and v_leak make up for the other time constants.
A bias before a synapse reaches v as the constant r * w_in * bias in the end; on the chip it is added to v from the first step
on: v_leak takes it. When a neuron resets is the chip's affair (DROPPED): a framework that resets in the next step loses that
here.
"""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.convention import Convention, convention_of
from snnport.errors import PassFailed
from snnport.graph import Graph, build, names_of, predecessors, shapes
from snnport.ledger import Entry
from snnport.nodes import Real, Shape
from snnport.passes.base import Context, Pass
from snnport.passes.fold_convention import folded
from snnport.passes.quantize_snn import decays

KEEPS = ("level", "charge")
DROPPED = ("reset_when",)
"""Rules of a framework that the chip does not have: it takes the threshold off at once, as often as it fits."""
LEAST_SYNAPSE, LEAST_MEMBRANE, MOST = 1, 0, 15
"""Ranges of dash. A synapse with dash 0 would lose its current before the membrane sees it."""


@dataclass(frozen=True)
class XyloForm(Pass):
    """Time constants that are dt times a power of two, biases as constants of the neurons, Euler's decay.

    keep: what a spike keeps where a time constant changes, of KEEPS. gain: a factor of what every spike adds.
    """

    name: ClassVar[str] = "xylo-form"
    keep: str = "level"
    gain: float = 1.0

    def requires(self, graph: Graph) -> None:
        """A spiking network of CubaLIF neurons, and options that mean something."""
        if self.keep not in KEEPS or not 0.0 < self.gain < np.inf:
            raise PassFailed(self.spelling, f"keep is one of {', '.join(KEEPS)}, gain a positive number")
        other = names_of(graph, nir.IF, nir.LIF, nir.I, nir.LI, nir.CubaLI)
        if other or not names_of(graph, nir.CubaLIF):
            found = f"{', '.join(other)}: no CubaLIF" if other else "it has no CubaLIF neuron"
            raise PassFailed(self.spelling, found, "Xylo's neurons have a synaptic current and a threshold: use nir.CubaLIF")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with other time constants, and without biases in front of neurons."""
        when = convention_of(graph.metadata).reset_when
        graph = folded(graph, self.spelling, DROPPED)
        rule, sizes = convention_of(graph.metadata), shapes(graph)
        nodes: dict[str, nir.NIRNode] = dict(graph.nodes)
        errors = {}
        for name in names_of(graph, nir.CubaLIF):
            bias = np.zeros(sizes[name])
            for source in predecessors(graph, name):
                nodes[source], own = _without_bias(nodes[source], sizes[name])
                bias = bias + own
            nodes[name], errors[name] = self._with_dashes(graph.nodes[name], sizes[name], bias, rule)
            ctx.note(Entry(name, "CubaLIF", "became", (name,), "time constants of dt times a power of two", self.spelling))
        ctx.find(self.spelling, largest_relative_error_of_a_time_constant=errors, resets_were=when)
        header = json.loads(graph.metadata.get("snnport", "{}"))
        header["convention"] = rule.having(decay="euler").to_json()
        return build(nodes, graph.edges, {**graph.metadata, "snnport": json.dumps(header)})

    def _with_dashes(self, node: Any, shape: Shape, bias: Real, rule: Convention) -> tuple[nir.NIRNode, float]:
        """The neuron with dashes, and the largest relative error of its time constants."""
        synapse, membrane = (np.broadcast_to(lost, shape) for lost in decays(node, rule))
        new: Any = copy(node)
        new.tau_syn = rule.dt * 2.0 ** dash_of(synapse, LEAST_SYNAPSE)
        new.tau_mem = rule.dt * 2.0 ** dash_of(membrane, LEAST_MEMBRANE)
        new.v_leak = np.asarray(node.v_leak) + np.asarray(node.r) * np.asarray(node.w_in) * bias
        if self.keep == "charge":
            new.w_in = np.asarray(node.w_in) * synapse * (new.tau_syn / rule.dt)
            new.r = np.asarray(node.r) * membrane * (new.tau_mem / rule.dt)
            new.v_leak = new.v_leak * membrane * (new.tau_mem / rule.dt)
        if self.gain != 1.0:
            new.r = np.asarray(new.r) * self.gain
        pairs = ((new.tau_syn, rule.dt / synapse), (new.tau_mem, rule.dt / membrane))
        worst = max(float(np.abs(made / wanted - 1).max(initial=0.0)) for made, wanted in pairs)
        result: nir.NIRNode = new
        return result, worst


def dash_of(lost: Any, least: int) -> Any:
    """The dash whose 2^-dash is nearest to what a step loses, by ratio; int64."""
    return np.clip(np.rint(-np.log2(np.maximum(lost, 2.0**-60))), least, MOST).astype(np.int64)


def _without_bias(node: nir.NIRNode, shape: Shape) -> tuple[nir.NIRNode, Real]:
    """The node without a bias, and the bias it had, for every neuron."""
    new: Any = copy(node)
    bias = getattr(node, "bias", None)
    if bias is None:
        return node, np.zeros(shape)
    wide = np.asarray(bias, np.float64).reshape(-1, *[1] * (len(shape) - 1))
    new.bias = np.zeros_like(np.asarray(bias, np.float64))
    return new, np.broadcast_to(wide, shape)
