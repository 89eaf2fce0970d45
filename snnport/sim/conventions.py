"""Synaptic operations as others count them, beside our own: one event times the synapses that it reaches.

Tools look at the tensor that reaches a layer, not at the spikes that were fired, so that pooling, several spikes in a step
and zero weights move their figures apart (docs/energy.md, "What is counted", shows by how much). Definitions were read from
NeuroBench 2.3.0 (SynapticOperations), Sinabs 3.1.3 (sinabs.hooks) and SpikingJelly 2.0.0 (SynOpCounter), and the tests
compare with figures that these tools gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, InvalidInput
from snnport.program import Conv, Dense, Diagonal, Program, Projection, Sparse, SumPool, Synapse
from snnport.sim.geometry import Ints, Taps, map_taps, output_shape
from snnport.sim.neurons import sends_payloads
from snnport.trace import Trace

Raster: TypeAlias = npt.NDArray[Any]

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "exact": "events x synapses, zero weights included: what an event-driven chip executes",
        "neurobench_acs": "NeuroBench Effective_ACs: non-zero inputs x non-zero weights, calls whose input is all -1, 0 or 1",
        "neurobench_macs": "NeuroBench Effective_MACs: the same, calls with any other value",
        "neurobench_dense": "NeuroBench Dense: every synapse in every step",
        "sinabs": "Sinabs, hook of the model: input x fan-out, times the window behind an average pooling",
        "sinabs_layer": "Sinabs, hook of the layer: input x fan-out, as the tensor comes",
        "spikingjelly": "SpikingJelly SynOpCounter: spikes x fan-out, nothing for calls whose input is not all 0 or 1",
        "rate_flops": "steps x rate x FLOPs: share of non-zero inputs x multiplications of the layer, padding included",
    }
)
"""What each field of Conventions means, in one line."""


@dataclass(frozen=True)
class Conventions:
    """Synaptic operations of one projection over all samples and steps, by every convention in LABELS.

    NeuroBench prints means over samples, Sinabs means over samples and steps; these are totals.
    """

    exact: int
    neurobench_acs: int
    neurobench_macs: int
    neurobench_dense: int
    sinabs: int
    sinabs_layer: float
    spikingjelly: int
    rate_flops: float

    def __add__(self, other: Conventions) -> Conventions:
        return Conventions(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def to_json(self) -> dict[str, int | float]:
        """Plain data, in the order of LABELS."""
        return asdict(self)


ZERO = Conventions(0, 0, 0, 0, 0, 0.0, 0, 0.0)


@dataclass(frozen=True)
class Calls:
    """How a tool was called: `batch` samples together, and each step by itself or, `one_call`, all steps as one batch.

    NeuroBench and SpikingJelly judge a call by its whole input, so that their figures depend on it. average: the pooling
    divides by its window, as in torch, where the chip sums. graded: the spikes carry numbers; each is one event.
    """

    batch: int = 1
    one_call: bool = False
    average: bool = False
    graded: bool = False


def exact(projection: Projection, raster: Raster, graded: bool = False) -> int:
    """Events x synapses of `raster` (n_samples, n_steps, n_sources), spike counts of the source population.

    A count of c is c events; where `graded`, any payload is one event. A spike behind a sum pooling is an event in every
    window that holds it. Raises InvalidInput for counts that are no integers or do not fit the projection.
    """
    events = _integers(projection, raster)
    sizes = np.count_nonzero(events, axis=(0, 1)) if graded else np.abs(events).sum(axis=(0, 1))
    return int(sizes @ _through_pool(projection, fan_out(projection.synapse, projection.name)))


def conventions(projection: Projection, raster: Raster, calls: Calls = Calls()) -> Conventions:
    """All conventions for `raster` (n_samples, n_steps, n_sources) of the source population.

    A Diagonal is a scaling, which no tool counts: only `exact` is then above 0. Sparse synapses are to the tools a linear
    layer with many zeros. Raises InvalidInput as `exact` does.
    """
    events = _integers(projection, raster)
    own = exact(projection, events, calls.graded)
    if isinstance(projection.synapse, Diagonal):
        return Conventions(own, *list(vars(ZERO).values())[1:])
    total = Conventions(own, *list(vars(ZERO).values())[1:])
    layer = _Layer.of(projection, calls)
    for call in _batches(events, calls.batch):
        total += layer.count(pooled(call, projection.pool, projection.name), calls)
    return total


def of_run(program: Program, trace: Trace, calls: Calls = Calls()) -> dict[str, Conventions]:
    """Conventions of every projection, from the recorded spikes of every source population (a delay shifts them).

    `exact` equals the engine's synaptic_operations. Raises InvalidInput if a source was not recorded.
    """
    result = {}
    for q in program.projections:
        if q.source not in trace.spikes:
            raise InvalidInput("conventions", f"the spikes of '{q.source}' were not recorded", f"Record spikes:{q.source}")
        raster = trace.spikes[q.source]
        arriving = np.zeros_like(raster)
        arriving[:, q.delay :] = raster[:, : max(0, raster.shape[1] - q.delay)]
        graded = sends_payloads(program.population(q.source))
        result[q.name] = conventions(q, arriving, replace(calls, graded=graded))
    return result


def fan_out(synapse: Synapse, where: str, zeros: bool = True) -> Ints:
    """Synapses that an event at each position reaches, C order; without `zeros` only those with a code other than 0."""
    used = np.ones_like(synapse.codes, bool) if zeros else synapse.codes != 0
    if isinstance(synapse, Dense):
        return np.asarray(used.sum(axis=0), np.int64)
    if isinstance(synapse, Diagonal):
        return used.astype(np.int64)
    if isinstance(synapse, Sparse):
        return np.bincount(synapse.source[used], minlength=synapse.shape[1])
    y, x = map_taps(synapse, where)
    out, per_group, kh, kw = used.shape
    kernel = used.reshape(synapse.groups, out // synapse.groups, per_group, kh, kw).sum(axis=1, dtype=np.int64)
    kernel = kernel.reshape(-1, kh, kw)
    rows = np.zeros((len(kernel), y.sources, kw), np.int64)
    for k, sources, _ in _by_entry(y):
        rows[:, sources] += kernel[:, None, k]
    result = np.zeros((len(kernel), y.sources, x.sources), np.int64)
    for k, sources, _ in _by_entry(x):
        result[:, :, sources] += rows[:, :, k, None]
    return result.ravel()


def pooled(raster: Raster, pool: SumPool | None, where: str) -> Raster:
    """Sums over the windows of `pool`: (n_samples, n_steps, n_pooled); `raster` itself without a pooling."""
    if pool is None:
        return raster
    y, x = map_taps(pool, where)
    maps = raster.reshape(*raster.shape[:2], *pool.input_shape)
    rows = np.zeros((*maps.shape[:3], y.targets, x.sources), np.int64)
    for _, sources, targets in _by_entry(y):
        rows[..., targets, :] += maps[..., sources, :]
    result = np.zeros((*maps.shape[:3], y.targets, x.targets), np.int64)
    for _, sources, targets in _by_entry(x):
        result[..., targets] += rows[..., sources]
    return result.reshape(*raster.shape[:2], -1)


@dataclass(frozen=True, eq=False)
class _Layer:
    """What the tools' formulas need of a layer. macs: multiplications of one call and sample, padding included."""

    fan: Ints
    fan_used: Ints
    weights_binary: bool
    weights_used: int
    positions: int
    macs: int
    window: int

    @classmethod
    def of(cls, projection: Projection, calls: Calls) -> _Layer:
        synapse, where = projection.synapse, projection.name
        height, width = output_shape(synapse, where)[1:] if isinstance(synapse, Conv) else (1, 1)
        codes = synapse.codes
        fan, weights = fan_out(synapse, where), int(codes.size)
        if isinstance(synapse, Sparse):
            fan, weights = np.full(synapse.shape[1], synapse.shape[0], np.int64), synapse.shape[0] * synapse.shape[1]
        window = int(np.prod(projection.pool.kernel_size)) if projection.pool and calls.average else 1
        return cls(
            fan,
            fan_out(synapse, where, zeros=False),
            bool(np.all((codes == 0) | (codes == 1))),
            int(np.count_nonzero(codes)),
            height * width,
            weights * height * width,
            window,
        )

    def count(self, x: Raster, calls: Calls) -> Conventions:
        """Everything but `exact` of sums x (samples of one call, n_steps, n); a tool sees x / window."""
        n_calls = x.shape[0] * x.shape[1]
        if not n_calls:
            return ZERO
        used = x != 0
        effective = (used @ self.fan_used).sum(axis=0)
        all_synapses = (used @ self.fan).sum(axis=0)
        one = x == self.window
        spikes, signed = _each_call(~used | one, calls), _each_call(~used | one | (x == -self.window), calls)
        jelly = np.where(spikes, effective if self.weights_binary else all_synapses, 0)
        if self.weights_binary:
            jelly = np.where(spikes, jelly, self.weights_used * self.positions * x.shape[0])
        events = int((x @ self.fan).sum())
        return Conventions(
            0,
            int(effective[signed].sum()),
            int(effective[~signed].sum()),
            int(self.fan.sum()) * n_calls,
            events,
            events / self.window,
            int(jelly.sum()),
            int(np.count_nonzero(used)) * self.macs / x.shape[2],
        )


def _each_call(good: npt.NDArray[np.bool_], calls: Calls) -> npt.NDArray[np.bool_]:
    """Whether all inputs of the call that holds a step are good, one entry a step. good (samples of a call, n_steps, n)."""
    by_step = np.asarray(good.all(axis=(0, 2)), np.bool_)
    return np.full_like(by_step, by_step.all()) if calls.one_call else by_step


def _integers(projection: Projection, raster: Raster) -> Raster:
    where, synapse = projection.name, projection.synapse
    if raster.ndim != 3 or not (np.issubdtype(raster.dtype, np.integer) or raster.dtype == np.bool_):
        what = f"its input is {raster.dtype} {raster.shape}, integers (n_samples, n_steps, n_sources) are needed"
        raise InvalidInput(where, what, "Give the spikes of the source, before any pooling")
    if isinstance(synapse, Conv | Sparse):
        seen = int(np.prod(synapse.input_shape)) if isinstance(synapse, Conv) else synapse.shape[1]
    else:
        seen = synapse.codes.shape[-1]
    pool = projection.pool
    if pool is not None and int(np.prod(output_shape(pool, where))) != seen:
        raise InvalidGraph(where, f"its pooling gives {output_shape(pool, where)}, its synapses take {seen}")
    sources = seen if pool is None else int(np.prod(pool.input_shape))
    if raster.shape[2] != sources:
        raise InvalidInput(where, f"its input has {raster.shape[2]} neurons, it takes {sources}")
    return raster.astype(np.int64)


def _through_pool(projection: Projection, fan: Ints) -> Ints:
    """Synapses of one event of every source neuron: the sum over the windows that hold it."""
    if projection.pool is None:
        return fan
    y, x = map_taps(projection.pool, projection.name)
    table = fan.reshape(-1, y.targets, x.targets)
    return x.gathered(y.gathered(table, 1), 2).ravel()


def _by_entry(taps: Taps) -> Iterator[tuple[int, Ints, Ints]]:
    """(entry of the kernel, sources, targets): through one entry a source reaches one target, and a target has one source."""
    for k in np.unique(taps.kernel):
        chosen = taps.kernel == k
        yield int(k), taps.source[chosen], taps.target[chosen]


def _batches(raster: Raster, batch: int) -> Iterator[Raster]:
    if batch < 1:
        raise InvalidInput("conventions", f"a batch of {batch} samples, at least 1 is needed")
    return (raster[start : start + batch] for start in range(0, len(raster), batch))
