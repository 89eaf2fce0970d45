"""How long the busiest core of every step is busy, from recorded spikes: for machines that wait for one another each step.

All that a step's spikes cause belongs to that step: its neurons are updated, spikes are sent, and every message is received
and its synapses are worked through before the barrier that ends the step lets the next one begin (Davies et al., IEEE Micro
38(1), 2018, "mesh operation"). What a projection delays waits as a sum in the target, not as a message. So the spikes of
the last step cost what all others cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnport.program import Population, Program
from snnport.sim import timing
from snnport.sim.fanout import FanOut, entries, fan_out, reached_cores
from snnport.sim.geometry import Ints
from snnport.sim.neurons import sends_payloads
from snnport.trace import Trace

BLOCK = 1 << 20
"""Entries of samples x steps x cores that are worked on at once, if one sample has fewer."""


@dataclass(frozen=True, eq=False)
class _Sender:
    """What a spike of every neuron of a population causes. of: its core, n_cores for none.

    fans: one a projection. kind_of, start, core: messages; kind k goes to core[start[k] : start[k + 1]].
    """

    name: str
    counts: bool
    of: Ints
    fans: Sequence[FanOut]
    messages: FanOut


def longest_steps(program: Program, trace: Trace, prices: Sequence[Mapping[str, float]]) -> list[float]:
    """For each of `prices` (name of price_model.CORE_COUNTS -> nanoseconds for each) the sum over all samples and steps of the
    busiest core's time, in nanoseconds. trace: spikes of every population of the program."""
    cores = timing.cores_of(program, whole=False)
    n = len(cores.names)
    senders = [_sender(program, p, cores.of, n) for p in program.populations]
    neurons = np.zeros(n, np.int64)
    for of in cores.of.values():
        neurons += np.bincount(of[of >= 0], minlength=n)
    samples, steps = next(iter(trace.spikes.values())).shape[:2] if trace.spikes else (0, 0)
    size = max(1, BLOCK // max(1, steps * n))
    totals = [0.0] * len(prices)
    for first in range(0, samples if n else 0, size):
        stop = min(first + size, samples)
        work = {name: np.zeros((stop - first) * steps * n, np.int64) for name in ("operations", "sent", "received", "spikes")}
        for sender in senders:
            _add(work, sender, trace.spikes[sender.name][first:stop].reshape((stop - first) * steps, -1), n)
        for i, price in enumerate(prices):
            busy = np.tile(neurons * price.get("neurons", 0.0), (stop - first) * steps)
            for name, values in work.items():
                busy += values * price.get(name, 0.0)
            totals[i] += float(busy.reshape(-1, n).max(axis=1).sum())
    return totals


def _sender(program: Program, p: Population, of: Mapping[str, Ints], n: int) -> _Sender:
    fans = [fan_out(q, p.size, of[q.target], n).placed() for q in program.projections if q.source == p.name]
    here = np.where(of[p.name] < 0, n, of[p.name])
    kind_of, kind, core = reached_cores(fans, np.zeros(p.size, np.int64))
    start = np.concatenate(([0], np.cumsum(np.bincount(kind, minlength=int(kind_of.max(initial=-1)) + 1))))
    return _Sender(p.name, not sends_payloads(p), here, fans, FanOut(kind_of, start, core, np.ones_like(core), n))


def _add(work: Mapping[str, Ints], sender: _Sender, raster: npt.NDArray[np.integer], n: int) -> None:
    """Add what the spikes of raster (rows, n_neurons) cause to the entries row * n + core of `work`."""
    row, neuron = np.nonzero(raster)
    times = raster[row, neuron].astype(np.int64) if sender.counts else np.ones(len(row), np.int64)
    source = sender.of[neuron]
    placed = source < n
    _count(work["spikes"], row[placed] * n + source[placed], times[placed])
    for fan in sender.fans:
        place, core, synapses = entries(fan, fan.row_of[neuron])
        _count(work["operations"], row[place] * n + core, times[place] * synapses)
    place, core, _ = entries(sender.messages, sender.messages.row_of[neuron])
    _count(work["received"], row[place] * n + core, times[place])
    sent = placed[place]
    _count(work["sent"], row[place][sent] * n + source[place][sent], times[place][sent])


def _count(total: Ints, index: Ints, weight: Ints) -> None:
    total += np.rint(np.bincount(index, weights=weight, minlength=len(total))).astype(np.int64)
