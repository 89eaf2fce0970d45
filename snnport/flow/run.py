"""Run a model on samples: by the engine or the vendor's simulator (a program, integers), or by the reference (a graph)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import coding_of, convention_of
from snnport.datasets import Samples
from snnport.datasets.label_codes import code_of, readout_of
from snnport.errors import InvalidInput
from snnport.flow.orders import asynchronous, events_of, running
from snnport.flow.outcome import Outcome, RunOptions
from snnport.flow.scores import read, readout_by, scores_of
from snnport.flow.silence import activity_of_spikes, never_firing
from snnport.flow.stimuli import stimulus_for, stimulus_of
from snnport.flow.windows import require_silence
from snnport.graph import Graph, names_of, predecessors, shapes
from snnport.nodes import NEURON_NODES
from snnport.program import Program
from snnport.reference import run_spiking
from snnport.registry import RUNNERS
from snnport.sim.baseline import Comparison, compare
from snnport.sim.counts import Counts
from snnport.sim.energy import EnergyEstimate, estimates, load_model, models_for, what_ifs_for
from snnport.sim.engine import run
from snnport.sim.neurons import sends_payloads
from snnport.sim.sanafe_chip import chip_prices
from snnport.sim.workload import Workload, workload_of
from snnport.targets.base import Running
from snnport.trace import Trace

REFERENCE_CHUNK = 32
EXACT_UPDATES = 1 << 28
"""Entries of all rasters up to which they are kept, so that driven and idle updates can be told apart exactly."""


def run_program(
    program: Program,
    samples: Samples,
    options: RunOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Run `program` on all samples with the engine. Raises InvalidInput where input, readout or record do not fit it."""
    options = options or RunOptions()
    stimulus = stimulus_of(program, samples)
    readout = readout_by(options.readout, str(program.meta["readout"]))
    names = {p.name for p in program.populations}
    sends = sends_payloads(program.population(program.outputs[0]))
    wanted_v = {*options.record_v, *(program.outputs if readout in ("max", "sum") and not sends else ())}
    wanted_spikes = {*options.record_spikes, *program.outputs}
    _known({*wanted_v, *wanted_spikes}, names)
    entries = samples.n_samples * stimulus.n_steps * sum(p.size for p in program.populations)
    if entries <= EXACT_UPDATES and not asynchronous(program):
        wanted_spikes |= names
    start = time.perf_counter()
    runner = RUNNERS.load(program.target) if program.target in RUNNERS.entries else run
    result = runner(
        replace(program, n_steps=stimulus.n_steps),
        stimulus,
        **running(program, options.events),
        record_spikes=wanted_spikes,
        record_v=wanted_v,
        threads=options.threads,
        progress=progress,
    )
    wall = time.perf_counter() - start
    require_silence(program, result.counts)
    cycles = result.counts.total_cycles
    seconds = None if cycles is None else cycles / float(program.chip["clock_hz"])
    work = workload_of(program, result.counts, result.trace)
    energy, baselines = _priced(program, work, options, seconds)
    return Outcome(
        target=program.chip.name,
        engine="sim",
        n_steps=stimulus.n_steps,
        readout=readout,
        scores=scores_of(program, readout, result.spike_counts, result.final_v, result.trace),
        labels=samples.y,
        trace=_kept(result.trace, options, program, engine="sim", readout=readout, steps=stimulus.n_steps),
        counts=result.counts,
        energy=energy,
        time_s=seconds,
        wall_s=wall,
        baselines=baselines,
        traffic=_traffic(work, result.counts),
        events=events_of(program, stimulus, result, options.events, options.dt),
        activity=activity_of_spikes(program, result.trace),
        never_fire=never_firing(program),
    )


def run_vendor(
    vendor: Running,
    program: Program,
    samples: Samples,
    options: RunOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Run `program` on the vendor's simulator. Raises what run_program raises, and what `vendor` does.

    The simulator counts no operations and has no clock, so that counts, energy and time are those of nobody: none.
    """
    options = options or RunOptions()
    stimulus = stimulus_of(program, samples)
    readout = readout_by(options.readout, str(program.meta["readout"]))
    sends = sends_payloads(program.population(program.outputs[0]))
    wanted_v = {*options.record_v, *(() if readout == "count" or sends else program.outputs)}
    wanted_spikes = {*options.record_spikes, *program.outputs}
    _known({*wanted_v, *wanted_spikes}, {p.name for p in program.populations})
    start = time.perf_counter()
    whole = vendor(replace(program, n_steps=stimulus.n_steps), stimulus, wanted_spikes, wanted_v, progress)
    wall = time.perf_counter() - start
    counts = {name: whole.spikes[name].sum(axis=1, dtype=np.int64) for name in program.outputs}
    final = {name: v[:, -1] for name, v in whole.v.items()}
    return Outcome(
        target=program.chip.name,
        engine="vendor",
        n_steps=stimulus.n_steps,
        readout=readout,
        scores=scores_of(program, readout, counts, final, whole),
        labels=samples.y,
        trace=_kept(whole, options, program, engine="vendor", readout=readout, steps=stimulus.n_steps),
        counts=None,
        energy=(),
        time_s=None,
        wall_s=wall,
    )


def run_reference(graph: Graph, samples: Samples, options: RunOptions | None = None) -> Outcome:
    """Run a spiking graph with the reference executor, by the coding and convention in its metadata.

    Raises InvalidInput where input, readout or record do not fit it.
    """
    options = options or RunOptions()
    coding, convention = coding_of(graph.metadata), convention_of(graph.metadata)
    stimulus = stimulus_for(coding.encoder if coding else None, samples, coding.n_steps if coding else 0)
    outputs = read_nodes(graph)
    output = outputs[0]
    spiking = hasattr(graph.nodes[output], "v_threshold") or isinstance(graph.nodes[output], nir.Threshold)
    readout = readout_by(options.readout, "count" if spiking else readout_of(graph.metadata) if coding is None else "last")
    _known(options.record_v, set(graph.nodes))
    _known(options.record_spikes, names_of(graph, *NEURON_NODES, nir.Threshold))
    start = time.perf_counter()
    parts: list[Trace] = []
    for first in range(0, stimulus.n_samples, REFERENCE_CHUNK):
        stop = min(first + REFERENCE_CHUNK, stimulus.n_samples)
        currents = samples.batch(first, stop) if coding is None else stimulus.raster(first, stop)
        by_input = _by_input(graph, currents.reshape(*currents.shape[:2], -1))
        parts.append(run_spiking(graph, by_input, convention, coding, {output, *options.record_v}))
    whole = Trace(
        *({k: np.concatenate([getattr(p, q)[k] for p in parts]) for k in getattr(parts[0], q)} for q in ("spikes", "v"))
    )
    wall = time.perf_counter() - start
    final = {output: whole.v[output][:, -1]}
    counts = {name: array.sum(axis=1) for name, array in whole.spikes.items() if name == output}
    scores = read(readout, output, counts, final, whole)[:, :: int(graph.nodes[output].metadata.get("readout_spread", 1))]
    if (code := code_of(graph.metadata)) is not None:
        scores = code.scores(scores, stimulus.n_steps)
    meta = {"engine": "reference", "readout": readout, "steps": stimulus.n_steps, "dt": convention.dt}
    return Outcome(
        target="reference",
        engine="reference",
        n_steps=stimulus.n_steps,
        readout=readout,
        scores=scores,
        labels=samples.y,
        trace=replace(_without_helpers(whole, options, outputs), meta=meta),
        counts=None,
        energy=(),
        time_s=None,
        wall_s=wall,
    )


def read_nodes(graph: Graph) -> tuple[str, ...]:
    """The node behind each Output, or the Output itself where it adds several; predictions are read from the first."""
    found = []
    for name in names_of(graph, nir.Output):
        sources = predecessors(graph, name)
        found.append(sources[0] if len(sources) == 1 else name)
    return tuple(dict.fromkeys(found))


def _by_input(graph: Graph, currents: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Currents (n_samples, n_steps, n) of all inputs, one after another, as (n_samples, n_steps, *shape) of each Input."""
    sizes = shapes(graph)
    result, first = {}, 0
    for name in names_of(graph, nir.Input):
        last = first + int(np.prod(sizes[name]))
        result[name] = currents[:, :, first:last].reshape(*currents.shape[:2], *sizes[name])
        first = last
    return result


def _known(wanted: Collection[str], names: Collection[str]) -> None:
    missing = sorted(set(wanted) - set(names))
    if missing:
        raise InvalidInput(
            f"--record {', '.join(missing)}", "there is no such population", f"Known: {', '.join(sorted(names))}"
        )


def _priced(
    program: Program, work: Workload, options: RunOptions, seconds: float | None
) -> tuple[tuple[EnergyEstimate, ...], tuple[Comparison, ...]]:
    """Energy by every model that prices the target; the same beside a network of values, where a model has its costs."""
    own = chip_prices(program.chip)
    models = (*(models_for(program.target) if own is None else (own,)), *map(load_model, options.prices))
    energy = estimates(work, models, seconds, what_ifs_for(program.target) if own is None else ())
    return energy, tuple(found for model in models if (found := compare(work, model)))


def _traffic(work: Workload, counts: Counts) -> dict[str, int | None]:
    """What the network on the chip carries: messages, and barriers at the end of steps."""
    network = work.network
    return {
        "messages": network.messages,
        "chip_messages": network.chip_messages,
        "hops": None if network.hops is None else network.hops.total,
        "barriers": counts.steps * counts.samples,
        "chips": counts.chips,
    }


def _kept(trace: Trace, options: RunOptions, program: Program, **how: Any) -> Trace:
    """The trace that a program's run gives: what was asked for, with how it came about."""
    dt = (program.meta.get("convention") or {}).get("dt")
    kept = _without_helpers(trace, options, program.outputs)
    return replace(kept, meta={**trace.meta, "target": program.target, **how, "dt": dt})


def _without_helpers(trace: Trace, options: RunOptions, outputs: Collection[str]) -> Trace:
    """The trace without what was recorded only for the readout."""
    spikes = {k: v for k, v in trace.spikes.items() if k in options.record_spikes or k in outputs}
    return Trace(spikes, {k: v for k, v in trace.v.items() if k in options.record_v}, trace.meta)
