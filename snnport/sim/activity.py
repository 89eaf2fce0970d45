"""Which neurons were driven: neuron updates of steps in which at least one event arrived, from recorded spikes.

Chips skip or cheapen the update of a neuron to which nothing came. Whether anything came depends on which spikes share a
step, so that no total of spikes tells it; the rasters do. A synapse with code 0 delivers an event like any other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.program import Conv, Dense, Program, Projection, Sparse
from snnport.sim.geometry import Taps, map_taps
from snnport.sim.neurons import HOST_FAMILIES
from snnport.trace import Trace

Flags = npt.NDArray[np.bool_]


def driven(program: Program, trace: Trace) -> dict[str, int]:
    """Population -> pairs of sample, step and neuron in which an event arrived; for populations that sit on a chip.

    Raises InvalidInput if the spikes of a source were not recorded.
    """
    return {
        p.name: int(sum(np.count_nonzero(flags) for flags in _by_sample(program, trace, p.name)))
        for p in program.populations
        if p.neuron.family not in HOST_FAMILIES
    }


def arrivals(program: Program, trace: Trace, name: str, start: int, stop: int) -> Flags:
    """Whether an event arrived at each neuron of population `name` (stop - start, n_steps, n), samples start..stop-1.

    Raises InvalidInput if the spikes of a source were not recorded.
    """
    links = program.into(name)
    for q in links:
        if q.source not in trace.spikes:
            raise InvalidInput("driven updates", f"the spikes of '{q.source}' were not recorded", f"Record spikes:{q.source}")
    size = program.population(name).size
    steps = next(iter(trace.spikes.values())).shape[1] if trace.spikes else 0
    result = np.zeros((stop - start, steps, size), bool)
    for q in links:
        raster = trace.spikes[q.source][start:stop] != 0
        result[:, q.delay :] |= reached(q, raster)[:, : max(0, steps - q.delay)]
    return result


def reached(projection: Projection, fired: Flags) -> Flags:
    """Targets of the spikes `fired` (n_samples, n_steps, n_sources): (n_samples, n_steps, n_targets), or 1 for all of them."""
    synapse, where = projection.synapse, projection.name
    if projection.pool is not None:
        maps = fired.reshape(*fired.shape[:2], *projection.pool.input_shape)
        fired = _spread(maps, *map_taps(projection.pool, where)).reshape(*fired.shape[:2], -1)
    if isinstance(synapse, Dense):
        return np.asarray(fired.any(axis=2, keepdims=True))
    if isinstance(synapse, Sparse):
        result = np.zeros((synapse.shape[0], *fired.shape[:2]), bool)
        np.logical_or.at(result, synapse.target, np.moveaxis(fired, 2, 0)[synapse.source])
        return np.moveaxis(result, 0, 2)
    if not isinstance(synapse, Conv):
        return fired
    channels, height, width = synapse.input_shape
    by_group = fired.reshape(*fired.shape[:2], synapse.groups, channels // synapse.groups, height, width)
    grouped = np.asarray(by_group.any(axis=3), np.bool_)
    places = _spread(grouped, *map_taps(synapse, where))
    per_group = synapse.codes.shape[0] // synapse.groups
    return np.repeat(places, per_group, axis=2).reshape(*fired.shape[:2], -1)


def _by_sample(program: Program, trace: Trace, name: str) -> list[Flags]:
    n = len(next(iter(trace.spikes.values()))) if trace.spikes else 0
    if not n and program.into(name):
        return [arrivals(program, trace, name, 0, 0)]
    return [arrivals(program, trace, name, i, i + 1) for i in range(n)]


def _spread(maps: Flags, y: Taps, x: Taps) -> Flags:
    """Positions (..., y.targets, x.targets) that any position of maps (..., y.sources, x.sources) reaches."""
    rows = np.zeros((*maps.shape[:-2], y.targets, x.sources), bool)
    for k in np.unique(y.kernel):
        chosen = y.kernel == k
        rows[..., y.target[chosen], :] |= maps[..., y.source[chosen], :]
    result = np.zeros((*maps.shape[:-2], y.targets, x.targets), bool)
    for k in np.unique(x.kernel):
        chosen = x.kernel == k
        result[..., x.target[chosen]] |= rows[..., x.source[chosen]]
    return result
