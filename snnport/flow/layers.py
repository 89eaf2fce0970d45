"""Which layer loses: every population of the quantised network beside the same one of the float network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import nir
import numpy as np
import numpy.typing as npt

from snnport.encoders import CountEncoder, encoder_of
from snnport.graph import Graph, names_of, predecessors, the_input, the_output, topological_order
from snnport.nodes import QuantReLU
from snnport.passes.quantize_weights import output_scale
from snnport.passes.split_signed_input import entering
from snnport.reference import node_function, values_at
from snnport.report.losses import Layer

Array = npt.NDArray[np.float32]
SAMPLES = 128
"""Samples that layers are compared on: each runs through the rest of the float network once for every population."""
NOTABLE = 0.005
"""The first population that loses is that at which more than this share of the answers has changed."""


def layer_losses(folded: Graph, quantised: Graph, x: npt.NDArray[np.float64]) -> tuple[Layer, ...]:
    """Of every population in order, the input first and the output last; empty where the two graphs have other names.

    folded: the float network, its batch norms folded. quantised: the ANN on counts, with integers. x: (n, *input shape).
    """
    populations = names_of(quantised, QuantReLU)
    if not len(x) or any(name not in folded.nodes for name in populations):
        return ()
    encoder = encoder_of(quantised.metadata)
    ours, theirs = _ours(quantised, encoder, x, populations), _theirs(folded, x)
    output = the_output(folded)
    functions = {name: node_function(name, node, dtype="float32") for name, node in folded.nodes.items()}
    fixed: dict[str, Array] = {}
    found = []
    for name in (the_input(folded), *populations):
        fixed[name] = ours[name]
        logits = _rest(folded, functions, fixed, output)
        found.append(_layer(name, ours[name], theirs[name], logits, theirs[output]))
    found.append(_layer(output, ours[output], theirs[output], ours[output], theirs[output]))
    return tuple(found)


def first_loss(layers: tuple[Layer, ...]) -> tuple[str | None, str | None]:
    """The first population at which the arg max of notably many samples has changed, and that which adds most to the error."""
    if not layers:
        return None, None
    first = next((layer.name for layer in layers if 1.0 - layer.agreement > NOTABLE), None)
    errors = [0.0, *(layer.output_error for layer in layers)]
    growth = [layer.output_error - old for layer, old in zip(layers, errors, strict=False)]
    return first, layers[int(np.argmax(growth))].name


def _ours(
    quantised: Graph, encoder: CountEncoder, x: npt.NDArray[np.float64], populations: tuple[str, ...]
) -> dict[str, Array]:
    """The real values that the integers of the quantised network stand for."""
    counts = encoder.counts(x)
    output = the_output(quantised)
    found = values_at(quantised, counts, [*populations, output], integers=True, chunk=32)
    real = {name: _as32(found[name] * _unit(quantised.nodes[name])) for name in populations}
    return {
        the_input(quantised): _as32(counts * encoder.step),
        **real,
        output: _as32(found[output] * output_scale(quantised)),
    }


def _unit(node: nir.NIRNode) -> float:
    """The real value of one count of a rectifier that takes integers."""
    return float(node.metadata["theta"]) * float(node.metadata["scale"])


def _theirs(folded: Graph, x: npt.NDArray[np.float64]) -> dict[str, Array]:
    found = values_at(folded, entering(folded, x), list(folded.nodes), chunk=32)
    return {name: _as32(values) for name, values in found.items()}


def _rest(graph: Graph, functions: Mapping[str, Callable[[Array], Array]], fixed: Mapping[str, Array], output: str) -> Array:
    """The output of the float network where the values of some of its populations are given."""
    needed, stack = set(), [output]
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack.extend(() if name in fixed else predecessors(graph, name))
    order = [name for name in topological_order(graph) if name in needed]
    parts = []
    for start in range(0, len(next(iter(fixed.values()))), 32):
        values: dict[str, Array] = {}
        for name in order:
            if name in fixed:
                values[name] = fixed[name][start : start + 32]
                continue
            first, *others = (values[source] for source in predecessors(graph, name))
            values[name] = functions[name](sum(others, start=first))
        parts.append(values[output])
    return np.concatenate(parts)


def _layer(name: str, ours: Array, theirs: Array, logits: Array, wanted: Array) -> Layer:
    same = logits.reshape(len(logits), -1).argmax(1) == wanted.reshape(len(wanted), -1).argmax(1)
    return Layer(name, _relative(ours, theirs), _correlation(ours, theirs), float(same.mean()), _relative(logits, wanted))


def _relative(ours: Array, theirs: Array) -> float:
    size = float(np.sqrt(np.square(theirs, dtype=np.float64).sum()))
    away = float(np.sqrt(np.square(ours - theirs, dtype=np.float64).sum()))
    return away / size if size else float(away > 0)


def _correlation(ours: Array, theirs: Array) -> float:
    a, b = (values.reshape(-1).astype(np.float64) - values.mean(dtype=np.float64) for values in (ours, theirs))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else float(not (a.any() or b.any()))


def _as32(values: npt.NDArray[np.floating]) -> Array:
    return np.asarray(values, np.float32)
