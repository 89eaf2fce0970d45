"""The adaptive neuron in NIR's own nodes: leaky integrators, scales, a threshold and feedback; and found again in them.

An AdaptiveLIF that takes its threshold off when it fires is linear but for one comparison:
    v = keep v + take x + pull - keep v_threshold s(t-1)      an LI, into which its spikes come back through a Scale
    b = rho b + (1 - rho) s(t-1)                              an LI on its spikes
    s = 1 where v - beta b > v_threshold                      a Threshold on the LI and a Scale of the other
Loops take a step (recurrent_delay 1), which makes the spike that comes back that of the step before.

A reset to a value multiplies v by s; no NIR node does. Such a neuron is written as one that takes its threshold off, with
the value in the Threshold's metadata: nir-to-alif makes it whole again, any other reader computes another network, and that
is told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.convention import Convention, convention_of
from snnport.errors import PassFailed
from snnport.graph import Edge, Graph, build, names_of, predecessors, shapes, successors
from snnport.ledger import Entry
from snnport.nodes import AdaptiveLIF
from snnport.passes.base import Context, Pass, run_passes
from snnport.reference.cell import gain, kept

PARTS = ("v", "trace", "raise", "take_off")
"""Names of the added nodes, behind that of the neuron and a dot; the Threshold keeps the neuron's own."""


VALUE = "v_reset"
"""Metadata of a Threshold that stands for a neuron which resets to a value: that value, or those of all neurons, as JSON."""
OTHER_READERS = (
    "{name}: it resets by '{reset}', which no NIR node does; snnport reads that from the file's metadata, another reader"
    " computes a reset by subtraction"
)


@dataclass(frozen=True)
class AlifToNir(Pass):
    """Write every AdaptiveLIF as NIR's own nodes: <name>.v, .trace, .raise, .take_off, and a Threshold of its name."""

    name: ClassVar[str] = "alif-to-nir"

    def requires(self, graph: Graph) -> None:
        """A reset at once, decays that multiply, loops of one step."""
        names = names_of(graph, AdaptiveLIF)
        if not names:
            return
        rule = convention_of(graph.metadata)
        where = f"{self.spelling}: {names[0]}"
        plain = rule.reset_when == "at_once" and rule.update == "product" and rule.v_min is None and not rule.multi_spike
        if (
            not plain
            or rule.recurrent_delay != 1
            or rule.spike_delay
            or rule.synapse_delay
            or "keep" in (rule.leaky_gain, rule.membrane_gain)
        ):
            what = (
                "its convention resets late, bounds potentials, fires several times a step, delays spikes or rounds otherwise"
            )
            raise PassFailed(where, what, "Use a convention of products, with resets at once and loops of one step")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph without AdaptiveLIFs."""
        rule = convention_of(graph.metadata)
        nodes: dict[str, nir.NIRNode] = {}
        edges: list[Edge] = list(graph.edges)
        sizes = shapes(graph)
        for name, node in graph.nodes.items():
            if not isinstance(node, AdaptiveLIF):
                nodes[name] = node
                continue
            v, trace, raised, taken = (f"{name}.{part}" for part in PARTS)
            nodes |= _parts(name, node, rule, sizes[name])
            if rule.reset != "subtract":
                ctx.find(self.spelling, warnings=[OTHER_READERS.format(name=name, reset=rule.reset)])
            edges = [(a, v if b == name else b) for a, b in edges]
            edges += [(v, name), (name, trace), (trace, raised), (raised, name), (name, taken), (taken, v)]
            ctx.note(Entry(name, "AdaptiveLIF", "became", (name, v, trace, raised, taken), "in NIR's own nodes", self.spelling))
        return build(nodes, edges, graph.metadata)


@dataclass(frozen=True)
class NirToAlif(Pass):
    """Take the nodes that alif-to-nir wrote together again, so that a chip with such a neuron can run it as one."""

    name: ClassVar[str] = "nir-to-alif"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with AdaptiveLIFs; what does not have their form stays as it is."""
        rule = convention_of(graph.metadata)
        nodes, edges = dict(graph.nodes), list(graph.edges)
        for name in names_of(graph, nir.Threshold):
            parts = tuple(f"{name}.{part}" for part in PARTS)
            if not _is_adaptive(graph, name, parts):
                continue
            v, trace, raised, taken = parts
            nodes[name] = _whole(graph, name, rule)
            inner = {(v, name), (name, trace), (trace, raised), (raised, name), (name, taken), (taken, v)}
            edges = [(a, name if b == v else b) for a, b in edges if (a, b) not in inner]
            nodes = {key: node for key, node in nodes.items() if key not in parts}
            ctx.note(Entry(name, "Threshold", "became", (name,), "an AdaptiveLIF with its four parts", self.spelling))
        return build(nodes, edges, graph.metadata)


def _parts(name: str, node: AdaptiveLIF, rule: Convention, shape: tuple[int, ...]) -> dict[str, nir.NIRNode]:
    v, trace, raised, taken = (f"{name}.{part}" for part in PARTS)

    def full(value: Any) -> Any:
        return np.array(np.broadcast_to(np.asarray(value, np.float64), shape))

    keep = kept(node.tau, rule)
    r = np.asarray(node.r, np.float64) if "r" not in rule.ignores else np.ones(())
    # An LI takes what arrives by the gain of leaky integrators, the neuron by that of membranes.
    want = gain(rule.membrane_gain, keep, r, rule)
    here = gain(rule.leaky_gain, keep, np.ones(()), rule)
    rho = kept(node.tau_adapt, rule)
    unit = gain(rule.leaky_gain, rho, np.ones(()), rule)
    return {
        v: nir.LI(full(node.tau), full(want / here), full(node.v_leak)),
        trace: nir.LI(full(node.tau_adapt), full((1.0 - rho) / unit), full(0.0)),
        raised: nir.Scale(full(-np.asarray(node.beta))),
        taken: nir.Scale(full(-keep * node.v_threshold / want)),
        name: nir.Threshold(full(node.v_threshold), metadata={**node.metadata, **_value(node, rule)}),
    }


def _value(node: AdaptiveLIF, rule: Convention) -> dict[str, str]:
    """The metadata that says what a reset to a value is; none for one by subtraction."""
    if rule.reset == "subtract":
        return {}
    return {
        VALUE: json.dumps(np.unique(node.v_reset).tolist() if np.ptp(node.v_reset) == 0 else np.ravel(node.v_reset).tolist())
    }


def taken_together(graph: Graph) -> Graph:
    """What nir-to-alif makes of `graph`; `graph` itself where it spells no adaptive neuron out."""
    whole = run_passes(graph, (NirToAlif(),), Context()) if names_of(graph, nir.Threshold) else graph
    return graph if names_of(whole, AdaptiveLIF) == names_of(graph, AdaptiveLIF) else whole


def holds_values(graph: Graph) -> bool:
    """Whether a graph has adaptive neurons that only nir-to-alif reads as they are meant."""
    return any(VALUE in graph.nodes[name].metadata for name in names_of(graph, nir.Threshold))


def _is_adaptive(graph: Graph, name: str, parts: tuple[str, ...]) -> bool:
    kinds = (nir.LI, nir.LI, nir.Scale, nir.Scale)
    if not all(part in graph.nodes and isinstance(graph.nodes[part], kind) for part, kind in zip(parts, kinds, strict=True)):
        return False
    v, trace, raised, taken = parts
    wired = (
        set(predecessors(graph, name)) == {v, raised}
        and predecessors(graph, trace) == (name,)
        and successors(graph, trace) == (raised,)
        and predecessors(graph, taken) == (name,)
        and successors(graph, taken) == (v,)
        and successors(graph, v) == (name,)
    )
    return bool(wired and taken in predecessors(graph, v))


def _whole(graph: Graph, name: str, rule: Convention) -> AdaptiveLIF:
    v, trace, raised, _ = (graph.nodes[f"{name}.{part}"] for part in PARTS)
    potential: Any = v
    keep = kept(potential.tau, rule)
    here = gain(rule.leaky_gain, keep, np.asarray(potential.r, np.float64), rule)
    r = here / gain(rule.membrane_gain, keep, np.ones(()), rule)
    threshold: Any = graph.nodes[name]
    other: Any = trace
    scale: Any = raised
    limit = np.asarray(threshold.threshold, np.float64)
    back = np.zeros_like(limit)
    if VALUE in threshold.metadata:
        given = np.array(json.loads(str(threshold.metadata[VALUE])), np.float64)
        back = np.array(np.broadcast_to(given if given.size == 1 else given.reshape(limit.shape), limit.shape))
    own = {key: value for key, value in threshold.metadata.items() if key != VALUE}
    return AdaptiveLIF(
        potential.tau, np.asarray(r), potential.v_leak, limit, back, other.tau, -np.asarray(scale.scale), metadata=own
    )
