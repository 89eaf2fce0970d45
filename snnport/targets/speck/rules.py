"""The rules of dynapcnn, speck2e and speck2f that concern the graph. Sinabs itself checks only part of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.convention import coding_of, convention_of
from snnport.graph import Graph, names_of, shapes
from snnport.passes.paths import output_populations, walk
from snnport.targets import rules
from snnport.targets.base import Findings, Violation, finding
from snnport.targets.graded_rules import no_messages
from snnport.targets.speck.geometry_rules import FIX, GEOMETRY_RULES
from snnport.targets.synapses import map_shape

NODES = (
    nir.Input,
    nir.Output,
    nir.IF,
    nir.I,
    nir.Affine,
    nir.Linear,
    nir.Conv2d,
    nir.SumPool2d,
    nir.Flatten,
)
REWRITTEN: dict[type[nir.NIRNode], str] = {
    nir.AvgPool2d: f"Sum, and divide the weights behind it by its size; {FIX}average-to-sum",
    nir.Conv1d: f"Write it as a 2-D convolution on maps of height 1; {FIX}conv1d-to-2d",
    nir.Scale: f"Write it as a 1x1 convolution; {FIX}scale-to-conv",
}


def supported_nodes(graph: Graph, chip: Chip) -> Findings:
    """A core is a 2-D convolution (a dense layer is one too), integrate-and-fire neurons, and a sum pooling behind them."""
    found = rules.unsupported(graph, chip, NODES)

    def named(violation: Violation) -> Violation:
        remedy = REWRITTEN.get(type(graph.nodes[violation.where]))
        return violation if remedy is None else replace(violation, remedy=remedy)

    return Findings(violations=tuple(named(v) for v in found.violations))


def path_form(graph: Graph, chip: Chip) -> Findings:
    """Between two populations: sum poolings that are one pooling, then one weighted node."""
    return rules.malformed_paths(graph, chip)


def integer_weights(graph: Graph, chip: Chip) -> Findings:
    """Weights, biases and thresholds are integer multiples of one scale a population."""
    return rules.non_integers(graph, chip)


def time_base(graph: Graph, chip: Chip) -> Findings:
    """The chip is asynchronous: it has no clock that could open and close populations."""
    coding = coding_of(graph.metadata)
    if coding is None or coding.code == "rate":
        return Findings()
    gated = [name for name, window in coding.windows.items() if window.role in ("gated", "free")]
    if not gated:
        return Findings()
    message = f"the {coding.code} code opens and closes {len(gated)} populations at set steps, the chip has no clock"
    return Findings(violations=(finding(", ".join(gated), message, "Convert with --code rate"),))


def graded_spikes(graph: Graph, chip: Chip) -> Findings:
    """A spike is an event without a number."""
    return no_messages(graph, chip)


def max_pooling(graph: Graph, chip: Chip) -> Findings:
    """Max pooling is an OR of the spikes of one step, and the chip has no steps."""
    coding = coding_of(graph.metadata)
    relays = [name for name, window in (coding.windows if coding else {}).items() if window.role == "relay"]
    found = [
        finding(name, "max pooling needs steps in which it takes the OR of spikes, the chip has none", "Use average pooling")
        for name in relays
    ]
    return Findings(violations=tuple(found))


def recurrence(graph: Graph, chip: Chip) -> Findings:
    """Cores must not drive one another in a loop: the chip can deadlock."""
    found = [
        finding(p.target, f"'{p.source}' drives it in a loop, the chip can deadlock", "Use a network without recurrence")
        for p in walk(graph)[0]
        if p.back
    ]
    return Findings(violations=tuple(found))


def weighted_paths(graph: Graph, chip: Chip) -> Findings:
    """A core begins with a convolution: no spike reaches a neuron without a weight."""
    paths = walk(graph)[0]
    found = [
        finding(
            name,
            "spikes reach it without weights, a core begins with a convolution",
            f"Put a 1x1 convolution before it; {FIX}scale-to-conv",
        )
        for name in names_of(graph, nir.IF, nir.I)
        if any(path.target == name and path.weighted is None for path in paths)
    ]
    return Findings(violations=tuple(found))


def fan_out(graph: Graph, chip: Chip) -> Findings:
    """A core sends its spikes to at most 2 cores, and so does the event pre-processing."""
    limit = int(chip["fan_out"])
    targets: dict[str, set[str]] = {}
    for path in walk(graph)[0]:
        targets.setdefault(path.source, set()).add(path.target)
    found = []
    for name, ends in targets.items():
        outside = isinstance(graph.nodes[name], nir.Input)
        remedy = "Use fewer branches" if outside else f"Use fewer branches, or compute it twice; {FIX}duplicate-layer"
        if len(ends) > limit:
            found.append(finding(name, f"it sends spikes to {len(ends)} populations, the limit is {limit}", remedy))
    return Findings(violations=tuple(found))


def scalar_thresholds(graph: Graph, chip: Chip) -> Findings:
    """All neurons of a core share one threshold."""
    found = []
    for name in names_of(graph, nir.IF):
        node: Any = graph.nodes[name]
        count = len(np.unique(node.v_threshold))
        if count > 1:
            remedy = f"Train with one a layer; where they differ by channel, {FIX}fold-thresholds"
            found.append(finding(name, f"its neurons have {count} different thresholds, a core has 1", remedy))
    return Findings(violations=tuple(found))


def reset_value(graph: Graph, chip: Chip) -> Findings:
    """A neuron that fires subtracts its threshold or goes back to 0."""
    if convention_of(graph.metadata).reset != "value":
        return Findings()
    found = []
    for name in names_of(graph, nir.IF):
        node: Any = graph.nodes[name]
        if np.any(node.v_reset != 0):
            worst = float(np.abs(node.v_reset).max())
            found.append(finding(name, f"it resets to {worst:.6g}, the chip to 0", "Train with a reset to zero"))
    return Findings(violations=tuple(found))


def bias(graph: Graph, chip: Chip) -> Findings:
    """A bias is added at each tick of a slow clock, not at a step of the input; the maker advises against biases."""
    found = []
    for name in names_of(graph, nir.Conv2d, nir.Affine):
        node: Any = graph.nodes[name]
        if np.any(node.bias):
            message = f"{np.count_nonzero(node.bias)} of its biases are not 0; the chip adds them at each tick of a slow clock"
            remedy = "Train without biases, or let the slow clock tick once a step of the network"
            found.append(finding(name, message, remedy))
    return Findings(warnings=tuple(found))


def readout(graph: Graph, chip: Chip) -> Findings:
    """The readout block has 15 classes; on speck2e and speck2f it takes channel 4k of the last core for class k + 1."""
    sizes = shapes(graph)
    limit, spread = int(chip["readout_classes"]), int(chip["readout_spread"])
    found = []
    for name in output_populations(graph):
        classes = map_shape(sizes[name])[0]
        ready = int(graph.nodes[name].metadata.get("readout_spread", 1)) == spread
        if spread > 1 and not ready:
            message = f"it has {classes} channels, and the readout block takes channel {spread}k for class k + 1"
            remedy = "Read the core's own spikes, or spread its channels: check --fix --fixes extend-readout"
            if classes > limit:
                message = f"it has {classes} channels, the readout block has {limit} classes"
                remedy = "Read the core's own spikes"
            found.append(finding(name, message, remedy))
        elif (classes - 1) // spread + 1 > limit:
            message = f"it has {(classes - 1) // spread + 1} classes, the readout block has {limit}"
            found.append(finding(name, message, "Read the core's own spikes"))
        if isinstance(graph.nodes[name], nir.I):
            message = "it never fires, and the chip is read by spikes: it gets a threshold one above its largest weight"
            found.append(finding(name, message, "End with integrate-and-fire neurons to choose the threshold"))
    return Findings(warnings=tuple(found))


GRAPH_RULES = (
    supported_nodes,
    path_form,
    integer_weights,
    time_base,
    graded_spikes,
    max_pooling,
    recurrence,
    weighted_paths,
    *GEOMETRY_RULES,
    fan_out,
    scalar_thresholds,
    reset_value,
    bias,
    readout,
)
