"""How long the populations of the delay code fire: a bound from the weights, and a measure from the calibration samples.

After its window opens a neuron fires in every step in which it still holds a threshold. What it fires, counted from that
step, depends on its sources' trains counted from theirs, and on no schedule; so trains are followed layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.encoders import CountEncoder
from snnport.graph import Graph, names_of, shapes, the_input
from snnport.passes.paths import Path, walk
from snnport.reference.ann import node_function
from snnport.reference.coded import bias_into

Array = npt.NDArray[Any]
SAMPLES = 256
"""Calibration samples that are followed at most."""
TOGETHER = 32
"""Of these at a time: their trains are held in memory."""
MOST_STEPS = 1 << 12
"""A train that goes on longer is given up; the bound or --steps then decide."""


@dataclass(frozen=True)
class Drain:
    """Of one population: the greatest count that its weights allow, and a quarter more steps than the samples need."""

    greatest: int
    measured: int


@dataclass(frozen=True, eq=False)
class _Layer:
    """One firing population: (source, its charge through the path), inhibition and excitation apart; bias, threshold."""

    inhibition: list[tuple[str, Callable[[Array], Array]]]
    excitation: list[tuple[str, Callable[[Array], Array]]]
    start: Array
    theta: float

    def greatest(self, most: dict[str, Array]) -> Array:
        """The greatest count of every neuron, (1, *shape), if source k counts `most[k]` at most."""
        charge = self.start + sum(through(most[source]) for source, through in self.excitation)
        return np.maximum(0, charge // self.theta)

    def train(self, trains: dict[str, Array]) -> Array:
        """Spikes (n_samples, steps, *shape) from the step in which the window opens, until all has been fired."""
        v = self.start + sum(through(trains[source].sum(axis=1)) for source, through in self.inhibition)
        fired: list[Array] = []
        last = max((trains[source].shape[1] for source, _ in self.excitation), default=0)
        while len(fired) < MOST_STEPS:
            step = len(fired)
            v = v + sum(through(trains[s][:, step]) for s, through in self.excitation if step < trains[s].shape[1])
            spikes = v >= self.theta
            if step >= last and not spikes.any():
                break
            v = v - self.theta * spikes
            fired.append(spikes.astype(np.uint8))
        quiet = np.zeros((len(next(iter(trains.values()))), 1, *self.start.shape[1:]), np.uint8)
        return np.stack([np.broadcast_to(f, quiet[:, 0].shape) for f in fired], axis=1) if fired else quiet


def drains(graph: Graph, excitatory: frozenset[str], encoder: CountEncoder, samples: Array | None) -> dict[str, Drain]:
    """What every neuron of `graph` needs, in topological order; `excitatory` names the weighted nodes that come late."""
    source, shape = the_input(graph), shapes(graph)[the_input(graph)]
    paths, _ = walk(graph)
    order = names_of(graph, nir.IF, nir.I)
    layers = {
        name: _layer(graph, [path for path in paths if path.target == name], excitatory, name)
        for name in order
        if not isinstance(graph.nodes[name], nir.I)
    }
    most: dict[str, Array] = {source: np.full((1, *shape), float(encoder.levels))}
    used = dict.fromkeys(layers, 0)
    for name, layer in layers.items():
        most[name] = layer.greatest(most)
    for start in range(0, 0 if samples is None else min(len(samples), SAMPLES), TOGETHER):
        assert samples is not None
        counts = encoder.counts(samples[start : min(start + TOGETHER, SAMPLES)])
        counts = counts.reshape(len(counts), *shape)
        trains = {source: encoder.raster(counts, encoder.levels).reshape(len(counts), encoder.levels, *shape)}
        for name, layer in layers.items():
            trains[name] = layer.train(trains)
            fired = trains[name].any(axis=(0, *range(2, trains[name].ndim)))
            used[name] = max(used[name], int(np.flatnonzero(fired).max(initial=-1)) + 1)
    unknown = samples is None
    measured = {name: MOST_STEPS if unknown else steps + max(2, steps // 4) for name, steps in used.items()}
    return {name: Drain(int(most[name].max()), measured[name]) if name in layers else Drain(0, 1) for name in order}


def _layer(graph: Graph, paths: list[Path], excitatory: frozenset[str], name: str) -> _Layer:
    sizes = shapes(graph)
    functions = {node: node_function(node, graph.nodes[node], integers=True) for node in graph.nodes}
    theta = float(graph.nodes[name].metadata["theta"])
    start = theta // 2 + bias_into(graph, name, functions, sizes)
    halves: tuple[list[Any], list[Any]] = ([], [])
    for path in paths:
        halves[path.weighted in excitatory].append((path.source, _through(path, functions, sizes[path.source])))
    return _Layer(*halves, start, theta)


def _through(path: Path, functions: dict[str, Callable[[Array], Array]], shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """What spikes (n_samples, *shape) of the source bring to the target, biases left out."""

    def along(x: Array) -> Array:
        for node in path.nodes:
            x = functions[node](x)
        return x

    rest = along(np.zeros((1, *shape)))
    return lambda x: along(x.astype(np.float64)) - rest
