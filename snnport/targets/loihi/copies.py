"""Many samples at once: a program as several copies of itself beside one another, that know nothing of each other.

Lava spends most of a step on passing messages between its processes, however many neurons each of them holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.program import Neuron, Population, Program, Projection, Sparse
from snnport.targets.unrolled import unrolled
from snnport.trace import Trace

MOST_SYNAPSES = 4_000_000
"""Synapses of all copies together: tens of megabytes, a few milliseconds a step."""
FEWEST = 8
"""Samples below which one after the other is as good."""


def copies_for(program: Program, n_samples: int) -> int:
    """How many copies run that many samples best."""
    synapses = sum(_listed(unrolled(q)).codes.size for q in program.projections)
    return 1 if n_samples < FEWEST else max(1, min(n_samples, MOST_SYNAPSES // max(1, synapses)))


def copied(program: Program, count: int) -> Program:
    """`count` copies: neuron i of copy k is neuron k * n + i of a population of count * n. Every projection becomes a list."""
    return replace(
        program,
        populations=tuple(_population(p, count) for p in program.populations),
        projections=tuple(_projection(q, count) for q in program.projections),
        placements=(),
    )


def gathered(program: Program, x: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """The stimulus of `count` copies (n_groups, n_steps, count * n_inputs), of x (n_samples, n_steps, n_inputs).

    Sample s goes to copy s % count of group s // count; copies that are left over get silence.
    """
    groups = -(-len(x) // count)
    filled = np.zeros((groups * count, *x.shape[1:]), x.dtype)
    filled[: len(x)] = x
    cuts = np.cumsum([program.population(name).size for name in program.inputs])[:-1]
    parts = np.split(filled.reshape(groups, count, *x.shape[1:]), cuts, axis=3)
    return np.concatenate([part.transpose(0, 2, 1, 3).reshape(groups, x.shape[1], -1) for part in parts], axis=2)


def scattered(trace: Trace, count: int, n_samples: int) -> Trace:
    """The trace of the samples, of the trace of `count` copies."""

    def apart(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        found = {}
        for name, array in arrays.items():
            groups, steps, n = array.shape
            by_copy = array.reshape(groups, steps, count, n // count).transpose(0, 2, 1, 3)
            found[name] = by_copy.reshape(groups * count, steps, n // count)[:n_samples]
        return found

    return Trace(apart(trace.spikes), apart(trace.v), {**trace.meta, "copies": count})


def _population(population: Population, count: int) -> Population:
    n, params = population.size, population.neuron.params
    if population.neuron.family == "generator":
        times = {key: np.tile(value, count) if value.ndim else value for key, value in params.items()}
        times["index"] = (params["index"][None] + n * np.arange(count)[:, None]).reshape(-1)
        neuron = Neuron("generator", times)
    else:
        neuron = Neuron(population.neuron.family, {k: np.tile(v, count) if v.ndim else v for k, v in params.items()})
    return replace(population, shape=(count * n,), neuron=neuron)


def _projection(projection: Projection, count: int) -> Projection:
    one = _listed(unrolled(projection))
    targets, sources = one.shape
    which = np.arange(count, dtype=np.int64)[:, None]
    target, source = ((end[None] + size * which).reshape(-1) for end, size in ((one.target, targets), (one.source, sources)))
    every = Sparse(np.tile(one.codes, count), target, source, (targets * count, sources * count))
    return replace(projection, synapse=every, pool=None)


def _listed(projection: Projection) -> Sparse:
    assert isinstance(projection.synapse, Sparse)
    return projection.synapse
