"""What a report shows of single spikes: those of a sample, and where the program leaves the reference executor of its graph."""

from __future__ import annotations

import math
from dataclasses import replace

import nir
import numpy as np

from snnport.convention import coding_of
from snnport.datasets import Samples
from snnport.errors import SnnportError
from snnport.flow.compare import Comparison, aligned, compare_traces, settled, without_end
from snnport.flow.outcome import RunOptions
from snnport.flow.run import run_program, run_reference
from snnport.flow.stimuli import input_spikes
from snnport.graph import Graph, names_of
from snnport.nodes import NEURON_NODES
from snnport.program import Program
from snnport.report.evidence import Agreement, Dots, Parting, Raster
from snnport.sim.causes import UNKNOWN, find_cause
from snnport.trace import Trace

SAMPLES = 4
MOST_ENTRIES = 40_000_000
"""Neurons x steps that the reference executor is asked for at most: some ten seconds."""
MOST_DOTS = 6000
"""Spikes in a raster, so that a page stays light; above it every k-th neuron is shown."""
CAUSE_S = 5.0
"""Seconds that the search for the cause of a difference may take."""
AROUND = 12
"""Steps of both traces before and after the first difference."""


def raster_of(program: Program, samples: Samples, sample: int = 0) -> Raster | None:
    """Spikes of one sample in every population; None where its raster is larger than MOST_ENTRIES."""
    if sum(p.size for p in program.populations) * max(samples.n_steps, program.n_steps, 1) > MOST_ENTRIES:
        return None
    names = tuple(p.name for p in program.populations)
    outcome = run_program(program, samples.part(sample, sample + 1), RunOptions(record_spikes=names))
    spikes = {name: outcome.trace.spikes[name][0] for name in names}
    total = sum(int(np.count_nonzero(fired)) for fired in spikes.values())
    every = max(1, math.ceil(total / MOST_DOTS))
    return Raster(sample, outcome.n_steps, tuple(_dots(name, fired, every) for name, fired in spikes.items()))


def _dots(name: str, fired: np.ndarray[tuple[int, ...], np.dtype[np.generic]], every: int) -> Dots:
    """The spikes of a population (n_steps, n): of each `every`-th neuron, of all where it has no more than a few."""
    kept = every if fired.shape[1] > 32 else 1
    steps, neurons = np.nonzero(fired[:, ::kept])
    return Dots(name, int(fired.shape[1]), kept, tuple(steps.tolist()), tuple((neurons * kept).tolist()))


def agreement_of(graph: Graph, program: Program, samples: Samples) -> Agreement:
    """The program on the first samples beside the reference executor of `graph`, spike for spike in every population."""
    entries = sum(p.size for p in program.populations) * max(samples.n_steps, program.n_steps, 1)
    if entries > MOST_ENTRIES:
        return Agreement(0, 0, 0, None, f"one sample has {entries} neurons x steps, more than {MOST_ENTRIES}")
    few = samples.part(0, min(SAMPLES, max(1, MOST_ENTRIES // max(entries, 1))))
    running = {p.name for p in program.populations}
    names = tuple(name for name in names_of(graph, *NEURON_NODES, nir.Threshold) if name in running)
    try:
        expected = run_reference(graph, few, RunOptions(record_spikes=names)).trace
        actual = run_program(program, few, RunOptions(record_spikes=names)).trace
        found, windows = _compared(expected, actual, program, names)
    except SnnportError as error:
        return Agreement(0, 0, 0, None, " ".join(str(error).split()))
    parting = None if found.first is None else _explained(_parting(found, *windows), graph, program, few, windows)
    return Agreement(few.n_samples, program.n_steps or few.n_steps, found.spikes_compared, parting)


def _compared(
    expected: Trace, actual: Trace, program: Program, names: tuple[str, ...]
) -> tuple[Comparison, tuple[Trace, Trace]]:
    starts = program.meta.get("starts") or {}
    ran = without_end(_only(actual, names), _only(expected, names), program.answer_delay)
    both = settled(*aligned(_only(expected, names), ran, 0), starts, 0)
    return compare_traces(*both), both


def _only(trace: Trace, names: tuple[str, ...]) -> Trace:
    return Trace({name: trace.spikes[name] for name in names if name in trace.spikes}, {}, trace.meta)


def _explained(parting: Parting, graph: Graph, program: Program, samples: Samples, traces: tuple[Trace, Trace]) -> Parting:
    """`parting` with its cause, found by running the program again with one rule changed at a time, and with its potential."""
    alone = samples.part(parting.sample, parting.sample + 1)
    v = run_program(program, alone, RunOptions(record_v=(parting.population,))).trace.v.get(parting.population)
    window = slice(parting.first_step, parting.first_step + len(parting.actual_spikes))
    seen = () if v is None else tuple(float(n) for n in v[0, window, parting.neuron])
    if coding_of(graph.metadata) is None:
        detail = (
            "The reference computes in real numbers, the program in integers: their rounding is no rule that can be changed."
        )
        return replace(parting, detail=detail, actual_v=seen)
    cause = find_cause(program, input_spikes(program, samples), *traces, CAUSE_S)
    if cause.cause == UNKNOWN:
        return replace(parting, actual_v=seen)
    also = f" The same trace comes of {', '.join(cause.also)}." if cause.also else ""
    return replace(parting, cause=cause.cause, detail=f"The other executor {cause.what}.{also}", actual_v=seen)


def _parting(found: Comparison, expected: Trace, actual: Trace) -> Parting:
    first = found.first
    assert first is not None
    start = max(0, first.step - AROUND)
    place = (first.sample, slice(start, first.step + AROUND + 1), first.neuron)
    before, after = (tuple(float(v) for v in trace.spikes[first.population][place]) for trace in (expected, actual))
    return Parting(**vars(first), cause=found.cause, detail="", first_step=start, expected_spikes=before, actual_spikes=after)
