"""Run a Program: event-driven, in integers, the same spikes for any number of threads.

Samples are independent; a pool of threads takes them in chunks, and the compiled kernel (kernel.py) runs one sample after
another through all of its steps. docs/semantics.md defines what is computed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.encoders import Stimulus
from snnport.errors import InvalidInput, UnknownName
from snnport.program import Program
from snnport.sim.counts import Counts, Ints, memory_traffic
from snnport.sim.families.base import MOST_PAYLOAD, U_WRAPS, V_SATURATIONS
from snnport.sim.kernel import events_of, run_samples
from snnport.sim.neurons import HOST_FAMILIES, family_of, sends_payloads
from snnport.sim.plan import Plan, make_plan
from snnport.trace import Trace

CHUNK_BYTES = 8 << 20
"""Rasters and recordings of one chunk of samples stay below this, if one sample does."""
MOST_SAMPLES = 64


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
class _Results:
    """Where the chunks put their part, all (n_samples, ...)."""

    spikes: dict[str, npt.NDArray[Any]]
    v: dict[str, npt.NDArray[Any]]
    final_v: dict[str, Ints]
    spike_counts: dict[str, Ints]
    payload_sums: dict[str, Ints]
    cycles: Ints


@dataclass(frozen=True, eq=False)
class _Tally:
    """Sums over the samples of one chunk; queue_peak is a maximum."""

    flags: Ints
    neuron_spikes: Ints
    step_spikes: Ints
    messages: Ints
    operations: Ints
    busy_cycles: Ints
    queue_peak: Ints

    def add(self, other: _Tally) -> None:
        """Take up what another chunk counted."""
        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if name == "queue_peak":
                np.maximum(mine, theirs, out=mine)
            else:
                mine += theirs


def _empty_tally(plan: Plan) -> _Tally:
    p, q, k = len(plan.order), len(plan.links), len(plan.cores.names)
    shapes = ((p, 3), plan.n_neurons, (p, plan.steps), p, q, k, k)
    return _Tally(*(np.zeros(shape, np.int64) for shape in shapes))


def run(
    program: Program,
    stimulus: Stimulus,
    *,
    record_spikes: Collection[str] = (),
    record_v: Collection[str] = (),
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    chunk: int | None = None,
) -> RunResult:
    """Run every sample of `stimulus` through `program` for program.n_steps steps (or the stimulus's, if that is 0).

    The stimulus's neurons are those of program.inputs, one population behind the other; a stimulus shorter than the run is
    followed by silence. record_spikes, record_v: populations whose spikes and v are kept for every step; the trace lists
    them in the program's order. threads: default one a core. progress: called with (samples done, samples). chunk: samples
    a task, chosen by size if None.

    Raises InvalidInput for a stimulus that does not fit, UnknownName for a population that is not there, and what
    plan.make_plan raises.
    """
    steps = program.n_steps or stimulus.n_steps
    if stimulus.n_steps > steps:
        raise InvalidInput("stimulus", f"it has {stimulus.n_steps} steps, the program runs {steps}", "Shorten it")
    _check_recorded(program, record_spikes, record_v)
    plan = make_plan(program, steps, _greatest_count(program, stimulus))
    spikes_of = tuple(p.name for p in program.populations if p.name in record_spikes)
    v_of = tuple(p.name for p in program.populations if p.name in record_v)
    cells, widths = _with_records(program, plan, spikes_of, v_of)
    results = _room(program, plan, stimulus.n_samples, spikes_of, v_of)
    n_threads = threads or available_cores()
    size = chunk or _chunk_size(program, plan, stimulus.n_samples, n_threads, widths)
    tally = _empty_tally(plan)
    starts = range(0, stimulus.n_samples, size)
    with ThreadPoolExecutor(n_threads) as pool:
        tasks: dict[Future[_Tally], int] = {}
        for start in starts:
            stop = min(start + size, stimulus.n_samples)
            tasks[pool.submit(_run_chunk, program, plan, cells, widths, stimulus, start, stop, results)] = stop - start
        done = 0
        try:
            for task in as_completed(tuple(tasks)):
                # What a task found is added at once and forgotten, so that memory does not grow with the chunks.
                tally.add(task.result())
                done += tasks.pop(task)
                del task
                if progress is not None:
                    progress(done, stimulus.n_samples)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    trace = Trace(results.spikes, results.v)
    counts = _counts(program, plan, results, tally)
    return RunResult(trace, results.final_v, results.spike_counts, counts, results.payload_sums)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_recorded(program: Program, record_spikes: Collection[str], record_v: Collection[str]) -> None:
    known = {p.name: p.neuron.family for p in program.populations}
    for name in (*record_spikes, *record_v):
        if name not in known:
            raise UnknownName.among("population", name, list(known))
    for name in record_v:
        if known[name] in HOST_FAMILIES:
            raise InvalidInput(f"v:{name}", f"a population of family '{known[name]}' has no v", "Record its spikes instead")


def _greatest_count(program: Program, stimulus: Stimulus) -> int:
    """Most spikes of one neuron in one step, or its largest |payload|.

    Raises InvalidInput unless the stimulus holds integers (n_samples, n_steps, ...), not negative where they are counts.
    """
    if stimulus.encoder is not None:
        return 1
    counting = _counting(program)
    low, high = 0, 1
    block = max(1, min(MOST_SAMPLES, CHUNK_BYTES // max(1, len(counting) * stimulus.n_steps)))
    for start in range(0, stimulus.n_samples, block):
        x = stimulus.x[start : start + block]
        if not (np.issubdtype(x.dtype, np.integer) or x.dtype == np.bool_):
            raise InvalidInput("stimulus", f"its spikes have type {x.dtype}, integers are needed", "Give spike counts")
        if x.ndim < 2 or x.shape[1] != stimulus.n_steps:
            raise InvalidInput("stimulus", f"its shape is {x.shape}, (n_samples, {stimulus.n_steps}, n_neurons) is needed")
        high = max(high, int(x.max(initial=0)))
        if counting.all():
            low = min(low, int(x.min(initial=0)))
        else:
            flat = x.reshape(*x.shape[:2], -1)
            high = max(high, -int(flat.min(initial=0)))
            fitting = counting[: flat.shape[2]]
            low = min(low, int(flat[:, :, : len(fitting)][:, :, fitting].min(initial=0)))
    if low < 0 or high > MOST_PAYLOAD:
        raise InvalidInput("stimulus", f"its spike counts span {low}..{high}, 0..2^31-1 is needed")
    return high


def _counting(program: Program) -> npt.NDArray[np.bool_]:
    """Which neurons of the stimulus have spike counts rather than payloads."""
    inputs = [program.population(name) for name in program.inputs]
    return np.concatenate([np.full(p.size, not sends_payloads(p)) for p in inputs]) if inputs else np.ones(0, bool)


def _with_records(
    program: Program, plan: Plan, spikes_of: Collection[str], v_of: Collection[str]
) -> tuple[npt.NDArray[Any], tuple[int, int, int]]:
    """The cell records with columns for what is recorded, and how many columns there are: spikes, v, outputs."""
    cells = plan.cell_records.copy()
    widths = [0, 0, 0]
    chosen = ((spikes_of, "record_spikes"), (v_of, "record_v"), (program.outputs, "output"))
    for i, p in enumerate(plan.order):
        for column, (names, key) in enumerate(chosen):
            if p.name in names:
                cells[key][i] = widths[column]
                widths[column] += p.size
    return cells, (widths[0], widths[1], widths[2])


def _room(program: Program, plan: Plan, n: int, spikes_of: Collection[str], v_of: Collection[str]) -> _Results:
    size = {p.name: p.size for p in plan.order}
    return _Results(
        {name: np.zeros((n, plan.steps, size[name]), _type_of_spikes(plan, name)) for name in spikes_of},
        {name: np.zeros((n, plan.steps, size[name]), plan.initial.dtype) for name in v_of},
        {name: np.zeros((n, size[name]), np.int64) for name in program.outputs},
        {name: np.zeros((n, size[name]), np.int64) for name in program.outputs},
        {name: np.zeros((n, size[name]), np.int64) for name in program.outputs if name in plan.payloads},
        np.zeros(n, np.int64),
    )


def _type_of_spikes(plan: Plan, name: str) -> type[np.uint8] | type[np.int32]:
    return np.uint8 if plan.most[name] <= 255 and name not in plan.payloads else np.int32


def _chunk_size(program: Program, plan: Plan, n_samples: int, n_threads: int, widths: tuple[int, int, int]) -> int:
    inputs = sum(program.population(name).size for name in program.inputs)
    row = inputs + 4 * widths[0] + plan.initial.itemsize * widths[1]
    fitting = CHUNK_BYTES // max(1, plan.steps * row)
    fair = -(-n_samples // n_threads)
    return max(1, min(MOST_SAMPLES, fitting, fair))


def _stimulus_events(program: Program, plan: Plan, raster: npt.NDArray[Any]) -> tuple[Ints, Any, Any]:
    """Event lists of raster (n_samples, n_steps, n_inputs): one an input population, sample and step of the run."""
    sizes = [program.population(name).size for name in program.inputs]
    if raster.shape[2] != sum(sizes):
        raise InvalidInput("stimulus", f"it has {raster.shape[2]} neurons, the inputs of the program have {sum(sizes)}")
    narrow = all(_type_of_spikes(plan, name) is np.uint8 for name in program.inputs)
    raster = np.ascontiguousarray(raster, np.uint8 if narrow else np.int32)
    n, given, _ = raster.shape
    if given < plan.steps:
        raster = np.concatenate([raster, np.zeros((n, plan.steps - given, raster.shape[2]), raster.dtype)], axis=1)
    spikes = np.count_nonzero(raster)
    starts = np.zeros(len(sizes) * n * plan.steps + 1, np.int64)
    index, count = np.empty(spikes + 1, np.int32), np.empty(spikes + 1, np.int32)
    used = first = 0
    for i, (name, size) in enumerate(zip(program.inputs, sizes, strict=True)):
        used = events_of(raster, first, plan.inside[name], starts, index, count, i * n * plan.steps, used)
        first += size
    return starts, index, count


def _run_chunk(
    program: Program,
    plan: Plan,
    cells: npt.NDArray[Any],
    widths: tuple[int, int, int],
    stimulus: Stimulus,
    start: int,
    stop: int,
    results: _Results,
) -> _Tally:
    """Run samples start..stop-1 and put what they leave behind into their rows of `results`."""
    n = stop - start
    events = _stimulus_events(program, plan, stimulus.raster(start, stop))
    clock = plan.clock
    spikes = np.zeros((n, plan.steps, widths[0]), np.int32)
    v = np.zeros((n, plan.steps, widths[1]), plan.initial.dtype)
    final_v = np.zeros((n, widths[2]), plan.initial.dtype)
    counts, sums = np.zeros((n, widths[2]), np.int64), np.zeros((n, widths[2]), np.int64)
    cycles = results.cycles[start:stop]
    tally = _empty_tally(plan)
    run_samples(
        cells,
        plan.link_records,
        plan.tables,
        plan.codes,
        plan.params,
        plan.initial,
        (
            n,
            plan.steps,
            plan.ring_size,
            int(cells["slots"].max(initial=1)),
            plan.pooled_size,
            clock.message_cycles if clock else 0,
            clock.barrier_cycles if clock else 0,
        ),
        events,
        plan.generated,
        plan.sweep,
        clock is not None,
        (spikes, v, final_v, counts, sums, cycles),
        tuple(getattr(tally, name) for name in tally.__dataclass_fields__),
        plan.extended,
    )
    for i, population in enumerate(plan.order):
        name, inside = population.name, plan.inside[population.name]
        if name in results.spikes:
            results.spikes[name][start:stop] = spikes[:, :, cells["record_spikes"][i] + inside]
        if name in results.v:
            results.v[name][start:stop] = v[:, :, cells["record_v"][i] + inside]
        if name in results.final_v:
            results.final_v[name][start:stop] = final_v[:, cells["output"][i] + inside]
            results.spike_counts[name][start:stop] = counts[:, cells["output"][i] + inside]
        if name in results.payload_sums:
            results.payload_sums[name][start:stop] = sums[:, cells["output"][i] + inside]
    return tally


def _counts(program: Program, plan: Plan, results: _Results, tally: _Tally) -> Counts:
    n = len(results.cycles)
    position = {population.name: i for i, population in enumerate(plan.order)}
    spikes, per_step, per_neuron = {}, {}, {}
    updates = update_words = 0
    for population in program.populations:
        name, i = population.name, position[population.name]
        per_step[name] = tally.step_spikes[i]
        per_neuron[name] = tally.neuron_spikes[plan.cell_records["neuron"][i] + plan.inside[name]]
        spikes[name] = int(tally.step_spikes[i].sum())
        if population.neuron.family not in HOST_FAMILIES:
            updates += population.size * plan.steps * n
            update_words += population.size * plan.steps * n * family_of(population).state_words
    by_link = dict(zip((q.name for q in plan.links), tally.operations.tolist(), strict=True))
    operations = {q.name: by_link[q.name] for q in program.projections}
    weights, read, written = memory_traffic(program, operations, update_words)
    return Counts(
        samples=n,
        steps=plan.steps,
        spikes=spikes,
        synaptic_operations=operations,
        neuron_updates=updates,
        v_saturations={name: int(tally.flags[i, V_SATURATIONS]) for name, i in position.items()},
        u_wraps={name: int(tally.flags[i, U_WRAPS]) for name, i in position.items()},
        messages={name: int(tally.messages[i]) for name, i in position.items()},
        cycles=results.cycles if plan.clock else None,
        weight_read_bytes=weights,
        state_read_bytes=read,
        state_write_bytes=written,
        chips=plan.cores.chips,
        core_cycles=plan.cores.spread(tally.busy_cycles),
        queue_peak=plan.cores.spread(tally.queue_peak),
        spikes_per_step=per_step,
        spikes_per_neuron=per_neuron,
    )
