"""Run a model on samples: by the engine or the vendor's simulator (a program, integers), or by the reference (a graph)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import coding_of, convention_of
from snnport.datasets import Samples
from snnport.datasets.label_codes import code_of, readout_of
from snnport.encoders import CountEncoder, Stimulus
from snnport.errors import InvalidInput
from snnport.flow.orders import EventOptions, Events, asynchronous, events_of, running
from snnport.flow.rows import Frames, Lazy
from snnport.flow.silence import activity_of_spikes, never_firing
from snnport.flow.windows import require_silence
from snnport.graph import Graph, names_of, predecessors, shapes
from snnport.nodes import NEURON_NODES
from snnport.program import Program
from snnport.reference import run_spiking
from snnport.registry import RUNNERS
from snnport.report.losses import Activity
from snnport.sim.baseline import Comparison, compare
from snnport.sim.counts import Counts
from snnport.sim.energy import EnergyEstimate, estimates, load_model, models_for, what_ifs_for
from snnport.sim.engine import run
from snnport.sim.neurons import sends_payloads
from snnport.sim.sanafe_chip import chip_prices
from snnport.sim.workload import workload_of
from snnport.targets.base import Running
from snnport.trace import Trace

READOUTS = ("count", "last", "max", "sum")
REFERENCE_CHUNK = 32
EXACT_UPDATES = 1 << 28
"""Entries of all rasters up to which they are kept, so that driven and idle updates can be told apart exactly."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gave. scores (n_samples, n_outputs): whole numbers whose arg max, ties to the lowest, is the prediction.

    counts, energy: None and empty for the reference, which has no clock. time_s: modelled time of all samples.
    activity: of each population; none where spikes were not kept. never_fire: populations that are meant never to.
    seeds: of what was drawn at random to make the program from a file.
    """

    target: str
    engine: str
    n_steps: int
    readout: str
    scores: npt.NDArray[Any]
    labels: npt.NDArray[np.int64] | None
    trace: Trace
    counts: Counts | None
    energy: tuple[EnergyEstimate, ...]
    time_s: float | None
    wall_s: float
    baselines: tuple[Comparison, ...] = ()
    traffic: Mapping[str, int | None] | None = None
    events: Events | None = None
    activity: tuple[Activity, ...] = ()
    never_fire: tuple[str, ...] = ()
    seeds: Mapping[str, int] = field(default_factory=dict)

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """Class of every sample."""
        return np.asarray(self.scores.argmax(axis=1), np.int64)

    @property
    def correct(self) -> int | None:
        """How many predictions equal the labels; None without labels."""
        return None if self.labels is None else int(np.count_nonzero(self.predictions == self.labels))

    @property
    def accuracy(self) -> float | None:
        """Fraction of correct predictions; None without labels."""
        return None if self.correct is None else self.correct / len(self.predictions)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `run --json` prints it."""
        counts = self.counts
        return {
            "schema": 1,
            "target": self.target,
            "engine": self.engine,
            "samples": len(self.predictions),
            "steps": self.n_steps,
            "readout": self.readout,
            "predictions": self.predictions.tolist(),
            "accuracy": self.accuracy,
            "correct": self.correct,
            "spikes": _totals(self.trace) if counts is None else dict(counts.spikes),
            "synaptic_operations": {} if counts is None else dict(counts.synaptic_operations),
            "neuron_updates": None if counts is None else counts.neuron_updates,
            "cycles": None if counts is None else counts.total_cycles,
            "time_s": self.time_s,
            "energy": [estimate.to_json() for estimate in self.energy],
            "baselines": [found.to_json() for found in self.baselines],
            "traffic": None if self.traffic is None else dict(self.traffic),
            "v_saturations": None if counts is None else {k: n for k, n in counts.v_saturations.items() if n},
            "u_wraps": None if counts is None else {k: n for k, n in counts.u_wraps.items() if n},
            "events": None if self.events is None else self.events.to_json(),
            "activity": [asdict(a) for a in self.activity],
            "never_fire": list(self.never_fire),
            "wall_s": self.wall_s,
            "seeds": dict(self.seeds),
        }


@dataclass(frozen=True)
class RunOptions:
    """record: populations whose spikes and potentials to keep beside the outputs' spikes. readout: None for the default.

    prices: energy models beside the shipped ones. events: of asynchronous chips. dt: seconds a step, where told.
    """

    record_spikes: tuple[str, ...] = ()
    record_v: tuple[str, ...] = ()
    readout: str | None = None
    threads: int | None = None
    prices: tuple[Path, ...] = ()
    events: EventOptions = field(default_factory=EventOptions)
    dt: float | None = None


def run_program(
    program: Program,
    samples: Samples,
    options: RunOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Run `program` on all samples with the engine. Raises InvalidInput where input, readout or record do not fit it."""
    options = options or RunOptions()
    stimulus = stimulus_of(program, samples)
    readout = _readout(options.readout, str(program.meta["readout"]))
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
    unit = int((program.meta.get("v_unit") or {}).get(program.outputs[0], 1))
    scores = (
        _sent(readout, result.trace.spikes[program.outputs[0]])
        if sends
        else _scores(readout, program.outputs[0], result.spike_counts, result.final_v, result.trace, unit, program.answer_delay)
    )
    trace = _without_helpers(result.trace, options, program.outputs)
    cycles = result.counts.total_cycles
    seconds = None if cycles is None else cycles / float(program.chip["clock_hz"])
    work = workload_of(program, result.counts, result.trace)
    extra = tuple(load_model(path) for path in options.prices)
    own = chip_prices(program.chip)
    models = (*(models_for(program.target) if own is None else (own,)), *extra)
    energy = estimates(work, models, seconds, what_ifs_for(program.target) if own is None else ())
    baselines = tuple(found for model in models if (found := compare(work, model)))
    meta = {**result.trace.meta, "target": program.target, "engine": "sim", "readout": readout, "steps": stimulus.n_steps}
    meta["dt"] = (program.meta.get("convention") or {}).get("dt")
    return Outcome(
        program.chip.name,
        "sim",
        stimulus.n_steps,
        readout,
        _labelled(
            program, readout, scores[:, program.meta.get("classes", slice(None))], stimulus.n_steps - program.answer_delay
        ),
        samples.y,
        replace(trace, meta=meta),
        result.counts,
        energy,
        seconds,
        wall,
        baselines,
        {
            "messages": work.network.messages,
            "chip_messages": work.network.chip_messages,
            "hops": None if work.network.hops is None else work.network.hops.total,
            "barriers": result.counts.steps * result.counts.samples,
            "chips": result.counts.chips,
        },
        events_of(program, stimulus, result, options.events, options.dt),
        activity_of_spikes(program, result.trace),
        never_firing(program),
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
    readout = _readout(options.readout, str(program.meta["readout"]))
    sends = sends_payloads(program.population(program.outputs[0]))
    wanted_v = {*options.record_v, *(() if readout == "count" or sends else program.outputs)}
    wanted_spikes = {*options.record_spikes, *program.outputs}
    _known({*wanted_v, *wanted_spikes}, {p.name for p in program.populations})
    start = time.perf_counter()
    whole = vendor(replace(program, n_steps=stimulus.n_steps), stimulus, wanted_spikes, wanted_v, progress)
    wall = time.perf_counter() - start
    output = program.outputs[0]
    spikes = whole.spikes[output].astype(np.int64)
    final = {name: v[:, -1] for name, v in whole.v.items()}
    unit = int((program.meta.get("v_unit") or {}).get(output, 1))
    late = program.answer_delay
    counts = {output: spikes.sum(axis=1)}
    scores = _sent(readout, spikes) if sends else _scores(readout, output, counts, final, whole, unit, late)
    scores = _labelled(program, readout, scores, stimulus.n_steps - late)
    trace = _without_helpers(whole, options, program.outputs)
    meta = {**whole.meta, "target": program.target, "engine": "vendor", "readout": readout, "steps": stimulus.n_steps}
    meta["dt"] = (program.meta.get("convention") or {}).get("dt")
    name, kept = program.chip.name, replace(trace, meta=meta)
    return Outcome(name, "vendor", stimulus.n_steps, readout, scores, samples.y, kept, None, (), None, wall)


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
    readout = _readout(options.readout, "count" if spiking else readout_of(graph.metadata) if coding is None else "last")
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
    scores = _scores(readout, output, counts, final, whole)[:, :: int(graph.nodes[output].metadata.get("readout_spread", 1))]
    if (code := code_of(graph.metadata)) is not None:
        scores = code.scores(scores, stimulus.n_steps)
    trace = _without_helpers(whole, options, outputs)
    meta = {"engine": "reference", "readout": readout, "steps": stimulus.n_steps, "dt": convention.dt}
    return Outcome(
        "reference", "reference", stimulus.n_steps, readout, scores, samples.y, replace(trace, meta=meta), None, (), None, wall
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


def stimulus_of(program: Program, samples: Samples) -> Stimulus:
    """The stimulus that `samples` are for `program`, with as many silent steps behind spikes as the answer is late."""
    stimulus = stimulus_for(program.meta.get("encoder"), samples, program.n_steps)
    return stimulus.followed_by(program.answer_delay) if stimulus.encoder is None else stimulus


def stimulus_for(encoder: Mapping[str, Any] | None, samples: Samples, n_steps: int) -> Stimulus:
    """The stimulus that `samples` are for a model with this encoder (None: the samples must be spikes themselves)."""
    if encoder is None:
        if not samples.n_steps:
            raise InvalidInput(
                "input", "x is images, and this network has no encoder", "Give spikes (n_samples, n_steps, ...), or convert it"
            )
        return Stimulus(Lazy(samples), None, samples.n_steps)
    if samples.n_steps and encoder.get("kind") == "change":
        return Stimulus(Frames(samples, CountEncoder.from_json(encoder), n_steps - 1), None, samples.n_steps + n_steps - 1)
    if samples.n_steps:
        if samples.n_steps != n_steps:
            raise InvalidInput("input", f"x has {samples.n_steps} steps, the network's schedule takes {n_steps}")
        return Stimulus(Lazy(samples), None, n_steps)
    return Stimulus(Lazy(samples), CountEncoder.from_json(encoder), n_steps)


def _readout(wanted: str | None, default: str) -> str:
    """The readout asked for, or the default: counts of spikes, or the last or summed potential of what never fires."""
    if wanted is None:
        return default
    if wanted not in READOUTS:
        raise InvalidInput(f"--readout {wanted}", "there is no such readout", f"Known: {', '.join(READOUTS)}")
    if wanted == "count" and default != "count":
        raise InvalidInput("--readout count", "the output neurons never fire", "Use last, max or sum")
    return wanted


def _known(wanted: Collection[str], names: Collection[str]) -> None:
    missing = sorted(set(wanted) - set(names))
    if missing:
        raise InvalidInput(
            f"--record {', '.join(missing)}", "there is no such population", f"Known: {', '.join(sorted(names))}"
        )


def _sent(readout: str, payloads: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same of an output that sends numbers, from payloads (n_samples, n_steps, n): how many, the last, the greatest, or
    their sum."""
    numbers = payloads.astype(np.int64)
    found: dict[str, npt.NDArray[np.int64]] = {
        "count": np.count_nonzero(numbers, axis=1).astype(np.int64),
        "last": numbers[:, -1],
        "max": numbers.max(axis=1),
        "sum": numbers.sum(axis=1),
    }
    return found[readout]


def _scores(
    readout: str,
    output: str,
    spike_counts: Mapping[str, npt.NDArray[Any]],
    final_v: Mapping[str, npt.NDArray[Any]],
    trace: Trace,
    unit: int = 1,
    late: int = 0,
) -> npt.NDArray[Any]:
    """What the prediction is the arg max of. unit: units of v that one integer of the quantised ANN is. late: steps before the
    first one that counts, in which what cannot have heard of the input stays silent."""
    if readout == "count":
        return spike_counts[output]
    if readout == "last":
        return final_v[output] if unit == 1 else final_v[output] / unit
    v = trace.v[output][:, late:]
    totals: npt.NDArray[Any] = v.max(axis=1) if readout == "max" else v.sum(axis=1)
    return totals


def _labelled(program: Program, readout: str, scores: npt.NDArray[Any], n_steps: int) -> npt.NDArray[Any]:
    """The scores of labels where the outputs spell them in a code; the scores of outputs elsewhere."""
    code = code_of(program.meta)
    if code is None:
        return scores
    unit = 1.0 if readout == "count" else float((program.meta.get("scale") or {}).get(program.outputs[0], 1.0))
    return code.scores(scores, n_steps, unit)


def _without_helpers(trace: Trace, options: RunOptions, outputs: Collection[str]) -> Trace:
    """The trace without what was recorded only for the readout."""
    spikes = {k: v for k, v in trace.spikes.items() if k in options.record_spikes or k in outputs}
    return Trace(spikes, {k: v for k, v in trace.v.items() if k in options.record_v}, trace.meta)


def _joined(parts: Sequence[Trace]) -> Trace:
    """One trace of traces of consecutive samples."""
    spikes = {name: np.concatenate([part.spikes[name] for part in parts]) for name in parts[0].spikes}
    return Trace(spikes, {name: np.concatenate([part.v[name] for part in parts]) for name in parts[0].v})


def _totals(trace: Trace) -> dict[str, int]:
    return {name: int(spikes.sum(dtype=np.int64)) for name, spikes in trace.spikes.items()}
