"""What a run leaves behind, and how the chunks of samples put their parts together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.program import Program
from snnport.sim.counts import Counts, Ints, code_bytes, memory_traffic
from snnport.sim.families.base import U_WRAPS, V_SATURATIONS
from snnport.sim.neurons import HOST_FAMILIES, family_of
from snnport.sim.plan import Plan
from snnport.trace import Trace


@dataclass(frozen=True, eq=False)
class RunResult:
    """trace: what was asked to be recorded. The others: output population -> (n_samples, n) int64.

    final_v is v after the last step (0 for populations without v), spike_counts the spikes of all steps, payload_sums the
    sum of what they carried; it names the populations alone that send numbers.
    """

    trace: Trace
    final_v: Mapping[str, Ints]
    spike_counts: Mapping[str, Ints]
    counts: Counts
    payload_sums: Mapping[str, Ints] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Results:
    """Where the chunks put their part, all (n_samples, ...)."""

    spikes: dict[str, npt.NDArray[Any]]
    v: dict[str, npt.NDArray[Any]]
    final_v: dict[str, Ints]
    spike_counts: dict[str, Ints]
    payload_sums: dict[str, Ints]
    cycles: Ints


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over the samples of one chunk; queue_peak is a maximum."""

    flags: Ints
    neuron_spikes: Ints
    step_spikes: Ints
    messages: Ints
    operations: Ints
    busy_cycles: Ints
    queue_peak: Ints

    def arrays(self) -> tuple[Ints, ...]:
        """All of them, in the order in which the kernel takes them."""
        names = self.flags, self.neuron_spikes, self.step_spikes, self.messages, self.operations, self.busy_cycles
        return (*names, self.queue_peak)

    def add(self, other: Tally) -> None:
        """Take up what another chunk counted."""
        for mine, theirs in zip(self.arrays()[:-1], other.arrays()[:-1], strict=True):
            mine += theirs
        np.maximum(self.queue_peak, other.queue_peak, out=self.queue_peak)


def empty_tally(plan: Plan) -> Tally:
    """Zeros."""
    p, q, k = len(plan.order), len(plan.links), len(plan.cores.names)
    shapes = ((p, 3), plan.n_neurons, (p, plan.steps), p, q, k, k)
    return Tally(*(np.zeros(shape, np.int64) for shape in shapes))


def empty_results(program: Program, plan: Plan, n: int, spikes_of: Collection[str], v_of: Collection[str]) -> Results:
    """Zeros for n samples."""
    size = {p.name: p.size for p in plan.order}
    return Results(
        {name: np.zeros((n, plan.steps, size[name]), type_of_spikes(plan, name)) for name in spikes_of},
        {name: np.zeros((n, plan.steps, size[name]), plan.initial.dtype) for name in v_of},
        {name: np.zeros((n, size[name]), np.int64) for name in program.outputs},
        {name: np.zeros((n, size[name]), np.int64) for name in program.outputs},
        {name: np.zeros((n, size[name]), np.int64) for name in program.outputs if name in plan.payloads},
        np.zeros(n, np.int64),
    )


def type_of_spikes(plan: Plan, name: str) -> type[np.uint8] | type[np.int32]:
    """The type in which the spikes of a population are recorded."""
    return np.uint8 if plan.most[name] <= 255 and name not in plan.payloads else np.int32


@dataclass(frozen=True)
class Constants:
    """What every sample counts alike: neuron updates, and the words of state that they take.

    code_bytes: bytes of a code of every projection. neurons: where Tally.neuron_spikes has those of a population, in C order.
    """

    updates: int
    update_words: int
    code_bytes: Mapping[str, int]
    neurons: Mapping[str, Ints | slice]


def constants_of(program: Program, plan: Plan) -> Constants:
    """For runs of a plan."""
    steps = plan.steps
    places: dict[str, Ints | slice] = {}
    for p, first in zip(plan.order, plan.cell_records["neuron"].tolist(), strict=True):
        inside = plan.inside[p.name]
        places[p.name] = slice(first, first + p.size) if np.all(np.diff(inside) == 1) else first + inside
    placed = [p for p in program.populations if p.neuron.family not in HOST_FAMILIES]
    words = sum(p.size * family_of(p).state_words for p in placed)
    return Constants(steps * sum(p.size for p in placed), steps * words, code_bytes(program), places)


def counted(program: Program, plan: Plan, constants: Constants, cycles: Ints, tally: Tally) -> Counts:
    """The counts of all samples. cycles (n_samples,)."""
    n = len(cycles)
    position = {population.name: i for i, population in enumerate(plan.order)}
    totals = tally.step_spikes.sum(axis=1).tolist()
    by_link = dict(zip((q.name for q in plan.links), tally.operations.tolist(), strict=True))
    operations = {q.name: by_link[q.name] for q in program.projections}
    weights, read, written = memory_traffic(program, operations, n * constants.update_words, constants.code_bytes)
    flags, messages = tally.flags.tolist(), tally.messages.tolist()
    return Counts(
        samples=n,
        steps=plan.steps,
        spikes={p.name: totals[position[p.name]] for p in program.populations},
        synaptic_operations=operations,
        neuron_updates=n * constants.updates,
        v_saturations={name: flags[i][V_SATURATIONS] for name, i in position.items()},
        u_wraps={name: flags[i][U_WRAPS] for name, i in position.items()},
        messages={name: messages[i] for name, i in position.items()},
        cycles=cycles if plan.clock else None,
        weight_read_bytes=weights,
        state_read_bytes=read,
        state_write_bytes=written,
        chips=plan.cores.chips,
        core_cycles=plan.cores.spread(tally.busy_cycles),
        queue_peak=plan.cores.spread(tally.queue_peak),
        spikes_per_step={p.name: tally.step_spikes[position[p.name]] for p in program.populations},
        spikes_per_neuron={p.name: tally.neuron_spikes[constants.neurons[p.name]] for p in program.populations},
    )
