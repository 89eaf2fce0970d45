"""Activations become counts 0..levels: the step of each rectifier is the one with the least squared error on the samples.

The quantised network is built layer by layer on its own quantised inputs, so that a later step makes up for earlier ones.
Where a max pooling follows, the error is taken behind it (max commutes with rounding, so both orders are the same).
Values are float32 here: a step is a choice, and what it gives is exact whatever it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import nir
import numpy as np
import numpy.typing as npt

from snnport.encoders import CountEncoder
from snnport.errors import PassFailed
from snnport.graph import (
    Graph,
    build,
    names_of,
    predecessors,
    shapes,
    successors,
    the_input,
    the_output,
    topological_order,
    with_nodes,
)
from snnport.ledger import Entry
from snnport.nodes import MaxPool2d, QuantReLU, ReLU
from snnport.passes.base import Context, Pass
from snnport.passes.input_levels import enough_input_levels
from snnport.passes.steps import best_step, percentile_of, step_by
from snnport.reference import node_function

Array = npt.NDArray[np.float32]
CHUNK = 32
"""Samples that go through a node at a time, to bound memory."""


@dataclass(frozen=True)
class QuantizeActivations(Pass):
    """Replace every ReLU by a QuantReLU and choose the encoder of the input.

    correction: "on" also moves each bias so that the mean pre-activation of every channel is the float network's, "off"
    does not, "auto" takes what agrees with the float network on more samples (then: with the smaller squared error).
    input_kind: of the encoder; "message" takes signed input as it is, where others need its channels twice.
    thresholds: the rule of the steps: "mse", "max", or a percentile such as "99.9" (steps.py).
    input_levels: 0 for the fewest that leave the outputs as they are (input_levels.py).
    """

    name: ClassVar[str] = "quantize-activations"
    levels: int = 16
    input_levels: int = 16
    correction: str = "auto"
    input_kind: str = "consecutive"
    thresholds: str = "mse"

    def requires(self, graph: Graph) -> None:
        """The options are possible."""
        if self.levels < 1 or self.input_levels < 0:
            raise PassFailed(self.spelling, "levels must be at least 1", "The default is 16")
        if self.correction not in ("on", "off", "auto"):
            raise PassFailed(self.spelling, f"there is no correction '{self.correction}'", "Known: on, off, auto")
        percentile_of(self.thresholds)

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with counting rectifiers; metadata "snnport" holds the encoder."""
        x = ctx.samples(self.spelling)
        twice = shapes(graph)[the_input(graph)][0] == 2 * x.shape[1]
        signed = bool(x.min(initial=0) < 0) if self.input_kind == "message" else twice
        values = np.abs(x) if signed else np.maximum(x, 0.0)
        input_levels = self.input_levels or enough_input_levels(graph, x, self.levels, self.input_kind, signed)
        encoder = CountEncoder(self.input_kind, best_step(values, values, input_levels), input_levels, signed)
        tried = [_Variant(correct) for correct in {"on": (True,), "off": (False,), "auto": (False, True)}[self.correction]]
        _quantise(graph, x, encoder, self, tried)
        best = max(tried, key=lambda variant: (variant.agreement, -variant.error))
        facts = {"correction": best.correct, "agreement": best.agreement, "squared_error": best.error}
        ctx.find(self.spelling, **facts, encoder=encoder.to_json())
        for name in names_of(graph, ReLU):
            ctx.note(Entry(name, "ReLU", "became", (name,), f"counts 0..{self.levels}", self.spelling))
        metadata = {**graph.metadata, "snnport": json.dumps({"version": 1, "coding": None, "encoder": encoder.to_json()})}
        result = with_nodes(graph, best.changed)
        return build(result.nodes, result.edges, metadata)


@dataclass(eq=False)
class _Variant:
    """One of the networks that are tried. values: of its nodes, as far as they are needed still. changed: its own nodes.

    agreement: with the float network's arg max, error: squared, of its output.
    """

    correct: bool
    values: dict[str, Array] = field(default_factory=dict)
    changed: dict[str, nir.NIRNode] = field(default_factory=dict)
    agreement: float = 0.0
    error: float = 0.0


def _quantise(
    graph: Graph, x: npt.NDArray[np.float64], encoder: CountEncoder, options: QuantizeActivations, tried: list[_Variant]
) -> None:
    """Walk through the float network once, and through all variants beside it."""
    exact: dict[str, Array] = {}
    output = the_output(graph)
    for name, spent in _with_spent(graph):
        node = graph.nodes[name]
        if isinstance(node, nir.Input):
            both = np.concatenate([x, -x], axis=1) if encoder.doubles else x
            exact[name] = np.asarray(both if encoder.signed and not encoder.doubles else np.maximum(both, 0.0), np.float32)
            counted = np.asarray(encoder.counts(x) * encoder.step, np.float32)
            for variant in tried:
                variant.values[name] = counted
            continue
        f = _fan_in(graph, name, exact)
        for variant in tried:
            _advance(graph, name, f, variant, options)
        exact[name] = np.clip(f, 0, node.maximum) if isinstance(node, ReLU) else applied(name, node, f)
        for values in (exact, *(variant.values for variant in tried)):
            for done in spent:
                del values[done]
    answer = exact[output].reshape(len(x), -1)
    for variant in tried:
        own = variant.values[output].reshape(len(x), -1)
        variant.agreement = float((answer.argmax(1) == own.argmax(1)).mean())
        variant.error = float(np.square(answer - own).mean(dtype=np.float64))


def _advance(graph: Graph, name: str, f: Array, variant: _Variant, options: QuantizeActivations) -> None:
    """One node of a variant. f: what enters the same node of the float network."""
    node = graph.nodes[name]
    q = _fan_in(graph, name, variant.values)
    if variant.correct and isinstance(node, ReLU | nir.Output):
        shift = _mean_per_channel(f - q)
        layer = _layer_with_bias(graph, name)
        if layer is not None:
            variant.changed[layer] = _with_shifted_bias(variant.changed.get(layer, graph.nodes[layer]), shift)
            q = q + shift.reshape(-1, *[1] * (q.ndim - 2)).astype(np.float32)
    if isinstance(node, ReLU):
        step = _step_for(graph, name, node, f, q, options)
        bound = {} if np.isinf(node.maximum) else {"maximum": node.maximum}
        variant.changed[name] = QuantReLU(step, options.levels, step, metadata=bound)
        variant.values[name] = applied(name, variant.changed[name], q)
    else:
        variant.values[name] = applied(name, node, q)


def applied(name: str, node: nir.NIRNode, values: Array) -> Array:
    """`node` applied to `values` (n, *shape), a few samples at a time, in float32."""
    function = node_function(name, node, dtype="float32")
    return np.concatenate([np.asarray(function(values[i : i + CHUNK]), np.float32) for i in range(0, len(values), CHUNK)])


def _fan_in(graph: Graph, name: str, values: Mapping[str, Array]) -> Array:
    first, *others = (values[source] for source in predecessors(graph, name))
    return sum(others, start=first)


def _with_spent(graph: Graph) -> Iterator[tuple[str, list[str]]]:
    """Node names in order, each with the nodes whose values nobody needs after it."""
    order = topological_order(graph)
    last = {source: name for name in order for source in predecessors(graph, name)}
    for name in order:
        yield name, [source for source, user in last.items() if user == name]


def _step_for(graph: Graph, name: str, node: ReLU, f: Array, q: Array, options: QuantizeActivations) -> float:
    following = successors(graph, name)
    if len(following) == 1 and isinstance(graph.nodes[following[0]], MaxPool2d):
        f, q = (applied(following[0], graph.nodes[following[0]], values) for values in (f, q))
    return step_by(options.thresholds, np.clip(f, 0, node.maximum), q, options.levels, node.maximum)


def _mean_per_channel(values: Array) -> npt.NDArray[np.float64]:
    means: npt.NDArray[np.float64] = values.mean(axis=tuple(i for i in range(values.ndim) if i != 1), dtype=np.float64)
    return means


def _layer_with_bias(graph: Graph, name: str) -> str | None:
    """A layer right before `name` whose bias is one value a channel of `name`'s input."""
    return next((s for s in predecessors(graph, name) if isinstance(graph.nodes[s], nir.Conv2d | nir.Affine)), None)


def _with_shifted_bias(node: nir.NIRNode, shift: npt.NDArray[np.float64]) -> nir.NIRNode:
    new: Any = copy(node)
    bias = np.asarray(new.bias, np.float64)
    new.bias = bias + shift.reshape(-1, *[1] * (bias.ndim - 1))
    shifted: nir.NIRNode = new
    return shifted
