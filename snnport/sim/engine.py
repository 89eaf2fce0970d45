"""Run a Program: event-driven, in integers, the same spikes for any number of threads.

Samples are independent; a pool of threads takes them in chunks, and the compiled kernel (kernel.py) takes each chunk through
all of its steps. docs/semantics.md defines what is computed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.encoders import Stimulus
from snnport.errors import InvalidInput, UnknownName
from snnport.program import Program
from snnport.sim.dense import FAST
from snnport.sim.kernel import run_samples
from snnport.sim.neurons import HOST_FAMILIES
from snnport.sim.plan import Plan, make_plan
from snnport.sim.results import Results, RunResult, Tally, constants_of, counted, empty_results, empty_tally
from snnport.sim.room import Space, make_room
from snnport.sim.stimuli import CHUNK_BYTES, MOST_SAMPLES, greatest_count, stimulus_events
from snnport.trace import Trace

Widths = tuple[int, int, int]
"""Columns of what is recorded: spikes, v, outputs."""
_counts = counted


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
    return Prepared(program).run(
        stimulus, record_spikes=record_spikes, record_v=record_v, threads=threads, progress=progress, chunk=chunk
    )


def prepare(program: Program) -> Prepared:
    """`program` for several runs: it is laid out in the first of them, and again only for stimuli with larger counts."""
    return Prepared(program)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Prepared:
    """A program with what its runs share: its layouts, and scratch space. Runs may overlap, in any number of threads."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._layouts: dict[tuple[int, int], _Layout] = {}

    def run(
        self,
        stimulus: Stimulus,
        *,
        record_spikes: Collection[str] = (),
        record_v: Collection[str] = (),
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        chunk: int | None = None,
    ) -> RunResult:
        """As `run`."""
        program, n = self.program, stimulus.n_samples
        steps = program.n_steps or stimulus.n_steps
        if stimulus.n_steps > steps:
            raise InvalidInput("stimulus", f"it has {stimulus.n_steps} steps, the program runs {steps}", "Shorten it")
        _check_recorded(program, record_spikes, record_v)
        layout = self._layout(steps, greatest_count(program, stimulus))
        plan = layout.plan
        spikes_of = tuple(p.name for p in program.populations if p.name in record_spikes)
        v_of = tuple(p.name for p in program.populations if p.name in record_v)
        cells, widths = layout.recording(spikes_of, v_of)
        results = empty_results(program, plan, n, spikes_of, v_of)
        n_threads = threads or available_cores()
        size = chunk or _chunk_size(program, plan, n, n_threads, widths)
        chunks = [(start, min(start + size, n)) for start in range(0, n, size)]

        def take(part: tuple[int, int]) -> Tally:
            return _run_chunk(layout, cells, widths, stimulus, part, results)

        tally, done = empty_tally(plan), 0
        for samples, found in _each(take, chunks, n_threads):
            tally.add(found)
            done += samples
            if progress is not None:
                progress(done, n)
        counts = _counts(program, plan, layout.constants, results.cycles, tally)
        trace = Trace(results.spikes, results.v)
        return RunResult(trace, results.final_v, results.spike_counts, counts, results.payload_sums)

    def _layout(self, steps: int, count: int) -> _Layout:
        found = self._layouts.get((steps, count))
        if found is None:
            found = self._layouts[steps, count] = _Layout(self.program, make_plan(self.program, steps, count))
        return found


class _Layout:
    """A plan, and the scratch space of finished chunks for those to come."""

    def __init__(self, program: Program, plan: Plan) -> None:
        self.program, self.plan, self.constants = program, plan, constants_of(program, plan)
        self._recording: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[npt.NDArray[Any], Widths]] = {}
        self._free: list[Space] = []

    def recording(self, spikes_of: tuple[str, ...], v_of: tuple[str, ...]) -> tuple[npt.NDArray[Any], Widths]:
        """The cell records with columns for what is recorded, and how many columns there are."""
        if (spikes_of, v_of) not in self._recording:
            self._recording[spikes_of, v_of] = _with_records(self.program, self.plan, spikes_of, v_of)
        return self._recording[spikes_of, v_of]

    def space(self, samples: int) -> Space:
        """Space for `samples` samples side by side, or for as many as the plan takes at once."""
        try:
            space = self._free.pop()
        except IndexError:
            space = None
        if space is None or space.samples < min(samples, self.plan.pace.samples):
            return make_room(self.plan, samples)
        return space

    def give_back(self, space: Space) -> None:
        """Let another chunk have it."""
        self._free.append(space)


def _each(
    take: Callable[[tuple[int, int]], Tally], chunks: list[tuple[int, int]], n_threads: int
) -> Iterator[tuple[int, Tally]]:
    """What each chunk found, as it is done, and its number of samples."""
    if n_threads == 1 or len(chunks) == 1:
        yield from ((stop - start, take((start, stop))) for start, stop in chunks)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        tasks: dict[Future[Tally], int] = {pool.submit(take, chunk): chunk[1] - chunk[0] for chunk in chunks}
        try:
            for task in as_completed(tuple(tasks)):
                # What a task found is handed on at once and forgotten, so that memory does not grow with the chunks.
                yield tasks.pop(task), task.result()
                del task
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _check_recorded(program: Program, record_spikes: Collection[str], record_v: Collection[str]) -> None:
    known = {p.name: p.neuron.family for p in program.populations}
    for name in (*record_spikes, *record_v):
        if name not in known:
            raise UnknownName.among("population", name, list(known))
    for name in record_v:
        if known[name] in HOST_FAMILIES:
            raise InvalidInput(f"v:{name}", f"a population of family '{known[name]}' has no v", "Record its spikes instead")


def _with_records(
    program: Program, plan: Plan, spikes_of: Collection[str], v_of: Collection[str]
) -> tuple[npt.NDArray[Any], Widths]:
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


def _chunk_size(program: Program, plan: Plan, n_samples: int, n_threads: int, widths: Widths) -> int:
    inputs = sum(program.population(name).size for name in program.inputs)
    row = inputs + 4 * widths[0] + plan.initial.itemsize * widths[1]
    fitting = CHUNK_BYTES // max(1, plan.steps * row)
    fair = -(-n_samples // n_threads)
    return max(1, min(MOST_SAMPLES, fitting, fair))


def _run_chunk(
    layout: _Layout,
    cells: npt.NDArray[Any],
    widths: Widths,
    stimulus: Stimulus,
    part: tuple[int, int],
    results: Results,
) -> Tally:
    """Run samples start..stop-1 and put what they leave behind into their rows of `results`."""
    plan, (start, stop) = layout.plan, part
    n, clock = stop - start, plan.clock
    events = stimulus_events(layout.program, plan, stimulus.raster(start, stop))
    spikes = np.zeros((n, plan.steps, widths[0]), np.int32)
    v = np.zeros((n, plan.steps, widths[1]), plan.initial.dtype)
    final_v = np.zeros((n, widths[2]), plan.initial.dtype)
    counts, sums = np.zeros((n, widths[2]), np.int64), np.zeros((n, widths[2]), np.int64)
    tally, space = empty_tally(plan), layout.space(n)
    message_cycles, barrier_cycles = (clock.message_cycles, clock.barrier_cycles) if clock else (0, 0)
    run_samples(
        (cells, plan.link_records, plan.tables, plan.codes, plan.params),
        plan.initial,
        plan.groups,
        (n, plan.steps, space.samples, plan.pace.steps, message_cycles, barrier_cycles),
        events,
        plan.generated,
        plan.sweep,
        clock is not None,
        (spikes, v, final_v, counts, sums, results.cycles[start:stop]),
        tally.arrays(),
        space.room,
        space.work,
        FAST,
        plan.extended is not None or None,
    )
    layout.give_back(space)
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
