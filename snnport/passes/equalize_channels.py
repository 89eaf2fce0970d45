"""Channels of a population get one range, because one count stands for one value in all of them: narrow ones would waste it.

relu(x / r) = relu(x) / r for r > 0, and sums, poolings and flattenings keep channels or positions apart: the weights into a
channel are divided by r and those out of it multiplied by r, and the network computes what it did. r is the step that the
channel would choose for itself (passes/steps.py), counted in that of its population. Channel-wise normalisation: S. Kim et al.,
AAAI 2020; moving it into weights: M. Nagel et al., ICCV 2019.

The weights of a layer share their codes too, so r has a bound: no row of weights grows beyond the layer's greatest weight.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph
from snnport.graph import Graph, build, names_of, predecessors, shapes, successors, the_input, with_nodes
from snnport.nodes import WEIGHTED_NODES, MaxPool2d, ReLU, Shape
from snnport.passes.base import Context, Pass
from snnport.passes.proof import same_output
from snnport.passes.rescale import input_scaled, output_scaled
from snnport.passes.split_signed_input import entering
from snnport.passes.steps import best_step
from snnport.reference import values_at

Array = npt.NDArray[np.float64]
FACTORS = "channel_factors"
"""Key of the graph's metadata: name of a rectifier -> what its channels were divided by."""
BETWEEN = (MaxPool2d, nir.SumPool2d, nir.AvgPool2d, nir.Flatten)
"""What may stand between a rectifier and the weights behind it: none of them mixes channels."""
SAMPLES = 256
CHUNK = 32
VALUES = 8192
"""Values of a channel that a search looks at."""
ENOUGH = 64
"""Of them that must be above 0 to tell a range; a channel that shows fewer keeps its scale."""


@dataclass(frozen=True)
class EqualizeChannels(Pass):
    """Rescale the channels of every unbounded ReLU whose sources and targets are weights. levels: that steps are chosen for."""

    name: ClassVar[str] = "equalize-channels"
    levels: int = 16

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with rescaled weights."""
        seen = _values(graph, entering(graph, ctx.samples(self.spelling)[:SAMPLES]))
        units = {name: best_step(values, values, self.levels) for name, values in seen.items()}
        factors: dict[str, Array] = {}
        for name in names_of(graph, ReLU):
            behind = _weights_behind(graph, name)
            if behind:
                own = np.array([_step(channel, units[name], self.levels) for channel in seen[name]]) / units[name]
                factors[name] = np.maximum(own, _peaks(graph, name, units))
                graph = _rescaled(graph, name, behind, factors[name])
        ctx.find(self.spelling, widest_to_narrowest={name: float(f.max() / f.min()) for name, f in factors.items()})
        told = {name: factor.tolist() for name, factor in factors.items()}
        return build(graph.nodes, graph.edges, {**graph.metadata, FACTORS: json.dumps(told)})

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Outputs are equal."""
        same_output(before, after, ctx, self.spelling)


def as_equalized(graph: Graph, metadata: Mapping[str, str]) -> Graph:
    """The float `graph` with its channels scaled as those of the network that `metadata` comes from, which was made of it.

    Raises InvalidGraph where the metadata do not fit the graph.
    """
    try:
        told = json.loads(metadata.get(FACTORS, "{}"))
        for name, factor in told.items():
            behind = _weights_behind(graph, name)
            factors = np.asarray(factor, np.float64)
            if not behind or factors.shape != shapes(graph)[name][:1] or not (np.isfinite(factors) & (factors > 0)).all():
                raise ValueError(name)
            graph = _rescaled(graph, name, behind, factors)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidGraph(f"metadata '{FACTORS}'", f"they do not fit the network ({error})", "Convert it again") from None
    return graph


def _values(graph: Graph, x: Array) -> dict[str, Array]:
    """Of the input (its magnitudes) and of every ReLU, evenly thinned values (channels, values) on samples `x`."""
    wanted = [the_input(graph), *names_of(graph, ReLU)]
    parts: dict[str, list[Array]] = {name: [] for name in wanted}
    for start in range(0, len(x), CHUNK):
        for name, values in values_at(graph, x[start : start + CHUNK], wanted, dtype="float32").items():
            channels = np.abs(np.moveaxis(values, 1, 0)).reshape(values.shape[1], -1)
            keep = VALUES * CHUNK // SAMPLES
            parts[name].append(channels[:, :: channels.shape[1] // keep | 1])  # odd, so as not to stay in one column of a map
    return {name: np.concatenate(found, axis=1, dtype=np.float64) for name, found in parts.items()}


def _step(channel: Array, unit: float, levels: int) -> float:
    """The step that the values of one channel ask for; `unit`, that of its population, where too few are above 0."""
    positive = channel[channel > 0]
    return best_step(positive, positive, levels) if len(positive) >= ENOUGH else unit


def _peaks(graph: Graph, name: str, units: Mapping[str, float]) -> Array:
    """Of each channel of the ReLU `name`, the greatest weight into it as a part of the greatest into all, in counts' units."""
    channels = shapes(graph)[name][0]
    peaks = np.zeros(channels)
    for source in predecessors(graph, name):
        node: Any = graph.nodes[source]
        is_scale = isinstance(node, nir.Scale)
        weights = np.abs(
            np.broadcast_to(node.scale, shapes(graph)[source]) if is_scale else np.asarray(node.weight, np.float64)
        )
        rows = weights.reshape(channels, -1).max(1)
        peaks = np.maximum(peaks, rows * units[_population_before(graph, source)])
    greatest = float(peaks.max(initial=0.0))
    return peaks / greatest if greatest > 0 else peaks


def _population_before(graph: Graph, name: str) -> str:
    while not isinstance(graph.nodes[name], ReLU | nir.Input):
        name = predecessors(graph, name)[0]
    return name


def _rescaled(graph: Graph, name: str, behind: tuple[str, ...], factor: Array) -> Graph:
    """`graph` with the channels of the ReLU `name` divided by `factor`, and multiplied by it in the weights behind."""
    sizes = shapes(graph)
    divided = {n: output_scaled(graph.nodes[n], _along(1.0 / factor, sizes[n])) for n in predecessors(graph, name)}
    graph = with_nodes(graph, divided)
    into = {n: sizes[predecessors(graph, n)[0]] for n in behind}
    return with_nodes(graph, {n: input_scaled(graph.nodes[n], _along(factor, into[n])) for n in behind})


def _along(factor: Array, shape: Shape) -> Array:
    """`factor` along the first axis of `shape`; where a flattening made one axis of several, once a position."""
    return np.repeat(factor, shape[0] // len(factor)).reshape(-1, *[1] * (len(shape) - 1))


def _weights_behind(graph: Graph, name: str) -> tuple[str, ...] | None:
    """The weighted nodes that the ReLU `name` drives; None where it is none, or its channels cannot be rescaled."""
    node = graph.nodes[name]
    if not isinstance(node, ReLU) or node.maximum != np.inf:
        return None
    if not all(
        isinstance(graph.nodes[n], WEIGHTED_NODES) and successors(graph, n) == (name,) for n in predecessors(graph, name)
    ):
        return None
    found = list(_next_weights(graph, name))
    weights = tuple(n for n in found if n is not None)
    return weights if weights and len(weights) == len(found) else None


def _next_weights(graph: Graph, name: str) -> Iterator[str | None]:
    for target in successors(graph, name):
        node = graph.nodes[target]
        if len(predecessors(graph, target)) > 1:
            yield None
        elif isinstance(node, WEIGHTED_NODES):
            yield target
        else:
            yield from _next_weights(graph, target) if isinstance(node, BETWEEN) else (None,)
