"""Run a Program event after event, as asynchronous chips do: depth-first, breadth-first, or time-stepped, chosen by name.

docs/semantics.md, "Event after event", defines the three orders. Samples are independent; threads take them in chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.encoders import Stimulus
from snnport.errors import InvalidInput, UnknownName
from snnport.program import Population, Program
from snnport.sim.async_kernel import CLIPPED, FIRED, OPERATIONS, TICKED, run_samples
from snnport.sim.async_plan import AsyncPlan, make_async_plan
from snnport.sim.counts import Counts, Ints, memory_traffic
from snnport.sim.engine import available_cores
from snnport.sim.families.base import MOST_PAYLOAD
from snnport.sim.neurons import HOST_FAMILIES
from snnport.sim.results import RunResult
from snnport.trace import Trace

ORDERS = ("depth-first", "breadth-first", "time-stepped")
"""As the chip; as the vendor's simulator specksim is documented; as Sinabs."""
CHUNK_BYTES = 32 << 20
MOST_SAMPLES = 128


@dataclass(frozen=True, eq=False)
class AsyncResult(RunResult):
    """What `run` gives: a RunResult, whose spike_counts are those of every population.

    order: of ORDERS. window: steps. operations, worst, worst_at: population -> (n_samples,): synaptic operations into it in the
    whole sample, in the worst `window` steps in a row, and the last step of those.
    """

    order: str = ORDERS[0]
    window: int = 1
    operations: Mapping[str, Ints] = None  # type: ignore[assignment]
    worst: Mapping[str, Ints] = None  # type: ignore[assignment]
    worst_at: Mapping[str, Ints] = None  # type: ignore[assignment]


def run(
    program: Program,
    stimulus: Stimulus,
    *,
    order: str = ORDERS[0],
    record_spikes: Collection[str] = (),
    record_v: Collection[str] = (),
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    chunk: int | None = None,
    window: int = 1,
    all_counts: bool = False,
) -> AsyncResult:
    """Run every sample of `stimulus` through `program`, in `order`. The other arguments are those of engine.run.

    window: steps whose synaptic operations are added up for the worst window. all_counts: spike_counts of every population, not
    of the outputs alone.

    Raises UnknownName for an order or a population that is not there, InvalidInput for a stimulus that does not fit and what
    async_plan.make_async_plan refuses.
    """
    if order not in ORDERS:
        raise UnknownName.among("order", order, ORDERS)
    steps = program.n_steps or stimulus.n_steps
    if stimulus.n_steps > steps:
        raise InvalidInput("stimulus", f"it has {stimulus.n_steps} steps, the program runs {steps}", "Shorten it")
    if window < 1:
        raise InvalidInput("--window", f"{window} steps", "Give 1 or more")
    plan = make_async_plan(program)
    _known(program, record_spikes, record_v)
    kept = program.populations if all_counts else tuple(program.population(name) for name in program.outputs)
    job = _Job(
        program,
        plan,
        ORDERS.index(order),
        steps,
        min(window, max(steps, 1)),
        tuple(p.name for p in program.populations if p.name in record_spikes),
        tuple(p.name for p in program.populations if p.name in record_v),
        tuple(p.name for p in kept),
        _pulses(program, plan, steps),
    )
    n = stimulus.n_samples
    n_threads = threads or available_cores()
    size = chunk or _chunk_size(job, n, n_threads)
    parts = [(start, min(start + size, n)) for start in range(0, n, size)]
    found: list[_Part] = []
    done = 0

    def take(part: tuple[int, int]) -> _Part:
        return _run_chunk(job, stimulus, *part)

    with ThreadPoolExecutor(n_threads) as pool:
        for part, (start, stop) in zip(pool.map(take, parts) if n_threads > 1 else map(take, parts), parts, strict=True):
            found.append(part)
            done += stop - start
            if progress is not None:
                progress(done, n)
    return _result(job, found, n, order, window)


@dataclass(frozen=True, eq=False)
class _Job:
    program: Program
    plan: AsyncPlan
    order: int
    steps: int
    window: int
    spikes_of: tuple[str, ...]
    v_of: tuple[str, ...]
    counts_of: tuple[str, ...]
    pulses: Ints


@dataclass(frozen=True, eq=False)
class _Part:
    spikes: Mapping[str, npt.NDArray[Any]]
    v: Mapping[str, npt.NDArray[Any]]
    final_v: Mapping[str, Ints]
    counts: Mapping[str, Ints]
    neuron_spikes: Ints
    step_spikes: Ints
    tallies: Ints
    operations: Ints
    worst: Ints
    worst_at: Ints


def _known(program: Program, record_spikes: Collection[str], record_v: Collection[str]) -> None:
    names = {p.name: p.neuron.family for p in program.populations}
    for name in (*record_spikes, *record_v):
        if name not in names:
            raise UnknownName.among("population", name, list(names))
    for name in record_v:
        if names[name] in HOST_FAMILIES:
            raise InvalidInput(f"v:{name}", f"a population of family '{names[name]}' has no v", "Record its spikes instead")


def _pulses(program: Program, plan: AsyncPlan, steps: int) -> Ints:
    """Spikes of generators that arrive: (step, link, neuron); of a step by the program's projections, then ascending."""
    rows = []
    for k, (source, _, _, _, delay, position) in enumerate(plan.links.tolist()):
        population = plan.order[source]
        if population.neuron.family == "generator":
            time = np.asarray(population.neuron["time"], np.int64).reshape(-1) + delay
            index = np.asarray(population.neuron["index"], np.int64).reshape(-1)
            rows += [
                (t, position, int(plan.place[population.name][i]), k) for t, i in zip(time, index, strict=True) if t < steps
            ]
    ordered = sorted(rows)
    return np.array([(t, k, place) for t, _, place, k in ordered], np.int64).reshape(-1, 3)


def _chunk_size(job: _Job, n: int, n_threads: int) -> int:
    inputs = sum(job.program.population(name).size for name in job.program.inputs)
    recorded = sum(job.program.population(name).size for name in (*job.spikes_of, *job.v_of))
    bytes_each = job.steps * (9 * inputs + 8 * recorded) + 8 * job.plan.n_neurons
    return max(1, min(MOST_SAMPLES, CHUNK_BYTES // max(1, bytes_each), -(-n // n_threads)))


def _events(job: _Job, raster: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """Input events (n_events, 4): sample, step, neuron, count, and where those of each step of each sample begin."""
    program, plan = job.program, job.plan
    inputs = [plan.place[name] for name in program.inputs]
    places = np.concatenate([np.zeros(0, np.int64), *inputs])
    if raster.shape[2] != len(places):
        what = f"it has {raster.shape[2]} neurons, the program's inputs {len(places)}"
        raise InvalidInput("stimulus", what, "Give one column for each input neuron")
    if raster.dtype.kind not in "iub":
        raise InvalidInput("stimulus", f"its spikes have type {raster.dtype}, integers are needed", "Give spike counts")
    if raster.size and (int(raster.min()) < 0 or int(raster.max()) > MOST_PAYLOAD):
        raise InvalidInput("stimulus", f"its spike counts span {raster.min()}..{raster.max()}, 0..2^31-1 is needed")
    sample, step, neuron = np.nonzero(raster)
    events = np.stack([sample, step, places[neuron], raster[sample, step, neuron].astype(np.int64)], axis=1).astype(np.int64)
    per_step = np.bincount(sample * job.steps + step, minlength=len(raster) * job.steps)
    return events, np.concatenate([[0], np.cumsum(per_step)]).astype(np.int64)


def _run_chunk(job: _Job, stimulus: Stimulus, start: int, stop: int) -> _Part:
    plan, n, steps = job.plan, stop - start, job.steps
    given, first_event = _events(job, stimulus.raster(start, stop))
    spike_places, v_places = (
        np.concatenate([np.zeros(0, np.int64), *(plan.place[name] for name in names)]) for names in (job.spikes_of, job.v_of)
    )
    spikes, potentials = np.zeros((n, steps, len(spike_places)), np.int32), np.zeros((n, steps, len(v_places)), np.int32)
    counts, final = np.zeros((n, plan.n_neurons), np.int32), np.zeros((n, plan.n_neurons), np.int32)
    populations = len(plan.order)
    per_step, tallies = np.zeros((populations, steps), np.int64), np.zeros((populations + len(plan.links), 4), np.int64)
    operations, worst, worst_at = (np.zeros((n, populations), np.int64) for _ in range(3))
    net = (
        plan.links,
        plan.row_of,
        plan.add_of,
        plan.run_start,
        plan.runs,
        plan.codes,
        plan.params,
        plan.first[:-1].copy(),
        plan.shared,
    )
    pop_of = np.repeat(np.arange(populations), np.diff(plan.first))
    ways = (plan.first, plan.leaving, pop_of, plan.entering, plan.enter_start, plan.fan_out)
    run_samples(
        job.order,
        steps,
        job.window,
        given,
        first_event,
        job.pulses,
        net,
        ways,
        (plan.most, plan.kinds),
        (spike_places, v_places),
        (spikes, potentials, counts, final, per_step, tallies, operations, worst, worst_at),
    )
    recorded = _split(job, spikes, job.spikes_of)
    for name in job.spikes_of:
        population = job.program.population(name)
        if population.neuron.family == "generator":
            times = np.zeros((steps, population.size), np.int32)
            np.add.at(times, _generated(population, steps), 1)
            recorded[name][:] = times
    return _Part(
        {name: _narrow(part) for name, part in recorded.items()},
        _split(job, potentials, job.v_of),
        {name: final[:, plan.place[name]].astype(np.int64) for name in job.program.outputs},
        {name: counts[:, plan.place[name]].astype(np.int64) for name in job.counts_of},
        counts.sum(axis=0, dtype=np.int64),
        per_step,
        tallies,
        operations,
        worst,
        worst_at,
    )


def _generated(population: Population, steps: int) -> tuple[Ints, Ints]:
    """Step and neuron of every spike that a generator sends in `steps` steps."""
    time, index = (np.asarray(population.neuron[key], np.int64).reshape(-1) for key in ("time", "index"))
    return time[time < steps], index[time < steps]


def _split(job: _Job, recorded: npt.NDArray[Any], names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    ends = np.cumsum([job.program.population(name).size for name in names]).astype(int).tolist()
    starts = [end - job.program.population(name).size for name, end in zip(names, ends, strict=True)]
    return {name: recorded[:, :, a:b] for name, a, b in zip(names, starts, ends, strict=True)}


def _result(job: _Job, found: list[_Part], n: int, order: str, window: int) -> AsyncResult:
    program, plan = job.program, job.plan
    position = {p.name: i for i, p in enumerate(plan.order)}

    def joined(field: str, name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(part, field)[name] for part in found])

    def of_populations(field: str) -> dict[str, Ints]:
        rows = np.concatenate([np.zeros((0, len(position)), np.int64), *(getattr(part, field) for part in found)])
        return {name: rows[:, i] for name, i in position.items() if plan.kinds[i] == 2}

    trace = Trace({name: joined("spikes", name) for name in job.spikes_of}, {name: joined("v", name) for name in job.v_of})
    counts_of = {
        name: joined("counts", name) if found else np.zeros((0, program.population(name).size), np.int64)
        for name in job.counts_of
    }
    final = {name: joined("final_v", name) for name in program.outputs} if found else {}
    return AsyncResult(
        trace,
        final,
        counts_of,
        _counts(job, found, n),
        {},
        order,
        window,
        of_populations("operations"),
        of_populations("worst"),
        of_populations("worst_at"),
    )


def _narrow(spikes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return spikes.astype(np.uint8) if spikes.max(initial=0) <= 255 else spikes


def _counts(job: _Job, found: list[_Part], n: int) -> Counts:
    """The counts of all samples. An update of a neuron is a bias that it met; events are synaptic operations."""
    program, plan = job.program, job.plan
    position = {p.name: i for i, p in enumerate(plan.order)}
    populations = len(plan.order)
    tallies = sum((part.tallies for part in found), np.zeros((populations + len(plan.links), 4), np.int64))
    neuron_spikes = sum((part.neuron_spikes for part in found), np.zeros(plan.n_neurons, np.int64))
    step_spikes = sum((part.step_spikes for part in found), np.zeros((populations, job.steps), np.int64))
    for i, population in enumerate(plan.order):
        if plan.kinds[i] == 1:
            time, index = _generated(population, job.steps)
            np.add.at(step_spikes[i], time, n)
            np.add.at(neuron_spikes, plan.place[population.name][index], n)
            tallies[i, FIRED] = n * len(time)
    link_of = {int(row[5]): k for k, row in enumerate(plan.links)}
    operations = {q.name: int(tallies[populations + link_of[i], OPERATIONS]) for i, q in enumerate(program.projections)}
    spikes = {p.name: int(tallies[position[p.name], FIRED]) for p in program.populations}
    updates = int(tallies[:populations, TICKED].sum())
    weights, read, written = memory_traffic(program, operations, updates)
    cores = max((s.core for s in program.placements), default=-1) + 1
    return Counts(
        samples=n,
        steps=job.steps,
        spikes=spikes,
        synaptic_operations=operations,
        neuron_updates=updates,
        v_saturations={p.name: int(tallies[position[p.name], CLIPPED]) for p in program.populations},
        u_wraps=dict.fromkeys((p.name for p in program.populations), 0),
        messages={p.name: spikes[p.name] * _destinations(program, p.name) for p in program.populations},
        cycles=None,
        weight_read_bytes=weights,
        state_read_bytes=read,
        state_write_bytes=written,
        chips=1 if program.placements else 0,
        core_cycles=np.zeros(cores, np.int64),
        queue_peak=np.zeros(cores, np.int64),
        spikes_per_step={p.name: step_spikes[position[p.name]] for p in program.populations},
        spikes_per_neuron={p.name: neuron_spikes[plan.place[p.name]] for p in program.populations},
    )


def _destinations(program: Program, name: str) -> int:
    """Cores that the spikes of a population go to."""
    targets = {q.target for q in program.projections if q.source == name}
    return len({(s.chip, s.core) for s in program.placements if s.population in targets})
