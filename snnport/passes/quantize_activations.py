"""Activations become counts 0..levels: the step of each rectifier is the one with the least squared error on the samples.

The quantised network is built layer by layer on its own quantised inputs, so that a later step makes up for earlier ones.
Where a max pooling follows, the error is taken behind it (max commutes with rounding, so both orders are the same).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
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
from snnport.reference import node_function

Array = npt.NDArray[np.float64]
MAX_VALUES = 500_000
"""Values a search looks at; more are thinned out evenly."""


@dataclass(frozen=True)
class QuantizeActivations(Pass):
    """Replace every ReLU by a QuantReLU and choose the encoder of the input.

    correction: "on" also moves each bias so that the mean pre-activation of every channel is the float network's, "off"
    does not, "auto" takes what agrees with the float network on more samples (then: with the smaller squared error).
    input_kind: of the encoder; "message" takes signed input as it is, where others need its channels twice.
    """

    name: ClassVar[str] = "quantize-activations"
    levels: int = 16
    input_levels: int = 16
    correction: str = "auto"
    input_kind: str = "consecutive"

    def requires(self, graph: Graph) -> None:
        """The options are possible."""
        if self.levels < 1 or self.input_levels < 1:
            raise PassFailed(self.spelling, "levels must be at least 1", "The default is 16")
        if self.correction not in ("on", "off", "auto"):
            raise PassFailed(self.spelling, f"there is no correction '{self.correction}'", "Known: on, off, auto")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with counting rectifiers; metadata "snnport" holds the encoder."""
        x = ctx.samples(self.spelling)
        twice = shapes(graph)[the_input(graph)][0] == 2 * x.shape[1]
        signed = bool(x.min(initial=0) < 0) if self.input_kind == "message" else twice
        values = np.abs(x) if signed else np.maximum(x, 0.0)
        encoder = CountEncoder(self.input_kind, best_step(values, values, self.input_levels), self.input_levels, signed)
        wanted = {"on": (True,), "off": (False,), "auto": (False, True)}[self.correction]
        tried = [_quantised(graph, x, encoder, self.levels, correct) for correct in wanted]
        best = max(range(len(tried)), key=lambda i: (tried[i][1], -tried[i][2]))
        result, agreement, error = tried[best]
        ctx.find(self.spelling, correction=wanted[best], agreement=agreement, squared_error=error, encoder=encoder.to_json())
        for name in names_of(graph, ReLU):
            ctx.note(Entry(name, "ReLU", "became", (name,), f"counts 0..{self.levels}", self.spelling))
        metadata = {**graph.metadata, "snnport": json.dumps({"version": 1, "coding": None, "encoder": encoder.to_json()})}
        return build(result.nodes, result.edges, metadata)


def best_step(target: Array, values: Array, levels: int, maximum: float = np.inf) -> float:
    """The step s that minimises sum (target - s * clip(floor(values / s + 1/2), 0, levels))^2, levels * s <= maximum."""
    target, values = _thinned(target), _thinned(values)
    top = min(max(float(target.max(initial=0.0)), float(values.max(initial=0.0))), maximum)
    if top <= 0:
        return 1.0 / levels

    def error(step: float) -> float:
        return float(np.square(target - step * np.clip(np.floor(values / step + 0.5), 0, levels)).sum())

    coarse = top / levels * np.linspace(0.1, 1.0, 46)
    best = min(coarse, key=error)
    fine = best + (coarse[1] - coarse[0]) * np.linspace(-1, 1, 21)
    return float(min((s for s in fine if 0 < s * levels <= maximum), key=error, default=best))


def _thinned(values: Array) -> Array:
    flat = values.reshape(-1)
    return flat[:: max(1, -(-flat.size // MAX_VALUES))]


def _quantised(graph: Graph, x: Array, encoder: CountEncoder, levels: int, correct: bool) -> tuple[Graph, float, float]:
    """The quantised graph, its arg-max agreement with the float graph, and the squared error of its output."""
    exact: dict[str, Array] = {}
    rounded: dict[str, Array] = {}
    changed: dict[str, nir.NIRNode] = {}
    output = the_output(graph)
    for name, spent in _with_spent(graph):
        node = graph.nodes[name]
        if isinstance(node, nir.Input):
            both = np.concatenate([x, -x], axis=1) if encoder.doubles else x
            exact[name] = np.asarray(both if encoder.signed and not encoder.doubles else np.maximum(both, 0.0), np.float64)
            rounded[name] = np.asarray(encoder.counts(x) * encoder.step, np.float64)
            continue
        f, q = (_fan_in(graph, name, values) for values in (exact, rounded))
        if correct and isinstance(node, ReLU | nir.Output):
            shift = _mean_per_channel(f - q)
            layer = _layer_with_bias(graph, name)
            if layer is not None:
                changed[layer] = _with_shifted_bias(changed.get(layer, graph.nodes[layer]), shift)
                q = q + shift.reshape(-1, *[1] * (q.ndim - 2))
        if isinstance(node, ReLU):
            step = _step_for(graph, name, node, f, q, levels)
            bound = {} if np.isinf(node.maximum) else {"maximum": node.maximum}
            changed[name] = QuantReLU(step, levels, step, metadata=bound)
            q = applied(name, changed[name], q)
            exact[name], rounded[name] = np.clip(f, 0, node.maximum), q
        else:
            exact[name], rounded[name] = (applied(name, node, values) for values in (f, q))
        for done in spent:
            del exact[done], rounded[done]
    f, q = exact[output], rounded[output]
    agreement = float((f.reshape(len(f), -1).argmax(1) == q.reshape(len(q), -1).argmax(1)).mean())
    return with_nodes(graph, changed), agreement, float(np.square(f - q).mean())


def applied(name: str, node: nir.NIRNode, values: Array) -> Array:
    """`node` applied to `values` (n, *shape), 64 samples at a time to bound memory."""
    function = node_function(name, node)
    return np.concatenate([function(values[i : i + 64]) for i in range(0, len(values), 64)])


def _fan_in(graph: Graph, name: str, values: Mapping[str, Array]) -> Array:
    first, *others = (values[source] for source in predecessors(graph, name))
    return sum(others, start=first)


def _with_spent(graph: Graph) -> Iterator[tuple[str, list[str]]]:
    """Node names in order, each with the nodes whose values nobody needs after it."""
    order = topological_order(graph)
    last = {source: name for name in order for source in predecessors(graph, name)}
    for name in order:
        yield name, [source for source, user in last.items() if user == name]


def _step_for(graph: Graph, name: str, node: ReLU, f: Array, q: Array, levels: int) -> float:
    following = successors(graph, name)
    if len(following) == 1 and isinstance(graph.nodes[following[0]], MaxPool2d):
        f, q = (applied(following[0], graph.nodes[following[0]], values) for values in (f, q))
    return best_step(np.clip(f, 0, node.maximum), q, levels, node.maximum)


def _mean_per_channel(values: Array) -> Array:
    means: Array = values.mean(axis=tuple(i for i in range(values.ndim) if i != 1))
    return means


def _layer_with_bias(graph: Graph, name: str) -> str | None:
    """A layer right before `name` whose bias is one value a channel of `name`'s input."""
    return next((s for s in predecessors(graph, name) if isinstance(graph.nodes[s], nir.Conv2d | nir.Affine)), None)


def _with_shifted_bias(node: nir.NIRNode, shift: Array) -> nir.NIRNode:
    new: Any = copy(node)
    new.bias = np.asarray(new.bias, np.float64) + shift
    shifted: nir.NIRNode = new
    return shifted
