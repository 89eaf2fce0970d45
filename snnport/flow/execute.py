"""The verbs run and validate: one model, one set of samples, one engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from snnport.convention import coding_of, convention_of
from snnport.datasets import Samples
from snnport.errors import InvalidInput
from snnport.flow.check import own_program
from snnport.flow.compare import (
    Comparison,
    aligned,
    compare_traces,
    expected_trace,
    matching,
    settled,
    without_end,
    without_probe,
)
from snnport.flow.convert import ConvertOptions
from snnport.flow.curve import CurveOptions, curve_of
from snnport.flow.explain import explained, with_cause
from snnport.flow.model import Model
from snnport.flow.orders import EventOptions
from snnport.flow.outcome import Outcome, RunOptions
from snnport.flow.port import last_stage, quantised_of, stages_of
from snnport.flow.prepare import InputOptions, for_target, spiking
from snnport.flow.run import read_nodes, run_program, run_reference, run_vendor
from snnport.flow.silence import SAMPLES as ACTIVITY_SAMPLES
from snnport.flow.silence import activity_of
from snnport.flow.validate import Expectation, Validation, expect, judge, with_stage
from snnport.flow.waterfall import losses_of, spiking_stage
from snnport.graph import names_of
from snnport.nodes import NEURON_NODES
from snnport.passes.unspike import quantised_ann
from snnport.program import Program
from snnport.targets.base import Target, resolve_target
from snnport.trace import Trace

STIMULI = ("input", "generator")
ENGINES = ("sim", "reference", "vendor")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Request:
    """What `run` was asked for, as on the command line."""

    target: str = "cpu"
    engine: str = "sim"
    readout: str | None = None
    record: str = ""
    expect: Path | None = None
    delay: int | None = None
    threads: int | None = None
    prices: tuple[Path, ...] = ()
    events: EventOptions = field(default_factory=EventOptions)
    dt: float | None = None


def execute(
    model: Model,
    input_: Path,
    inputs: InputOptions,
    options: ConvertOptions,
    request: Request,
    progress: Progress | None = None,
) -> tuple[Outcome, Comparison | None, tuple[str, ...]]:
    """Run `model` on the samples of `input_`. Returns the outcome, the comparison if one was asked for, what was applied."""
    if request.engine not in ENGINES:
        raise InvalidInput(f"--engine {request.engine}", "there is no such engine", f"Known: {', '.join(ENGINES)}")
    if request.engine == "reference" and model.program is not None:
        raise InvalidInput("--engine reference", "it runs graphs, and this is a program", "Give the .nir or .onnx")
    samples = inputs.load(input_, model, labels=inputs.labels)
    prepared = None if model.program is not None else spiking(model, inputs, options, samples)
    if prepared is not None and request.engine == "reference":
        graph = prepared.graph
        chosen, expected = _recording(request, names_of(graph, *NEURON_NODES), read_nodes(graph)[0])
        outcome = run_reference(graph, samples, chosen)
        own = 0 if coding_of(graph.metadata) else convention_of(graph.metadata).synapse_delay
        return replace(outcome, seeds=prepared.seeds), _compared(outcome.trace, expected, request.delay, own), prepared.done
    target = resolve_target(request.target)
    runner = _runner(target, request.engine)
    if prepared is not None:
        ready = for_target(prepared, target)
        program, done = target.lower(ready.graph), ready.done
    else:
        program, done = own_program(model, target), ()
    running = tuple(p.name for p in program.populations if p.neuron.family not in STIMULI)
    chosen, expected = _recording(request, running, program.outputs[0], tuple(p.name for p in program.populations))
    if expected is not None and "probe_at_spike" in program.chip.numbers and request.engine == "sim":
        expected, read = without_probe(expected, int(program.chip["probe_at_spike"]))
        if read:
            done = (*done, f"{read} potentials of --expect are what the probe reads in the step of a spike; the state is 0")
    outcome = runner(program, samples, chosen, progress)
    if prepared is not None:
        outcome = replace(outcome, seeds=ready.seeds)
    if prepared is not None and coding_of(prepared.graph.metadata) is not None and not samples.n_steps:
        counted = activity_of(quantised_ann(prepared.graph), samples.batch(0, min(samples.n_samples, ACTIVITY_SAMPLES)))
        outcome = replace(outcome, activity=counted)
    starts = program.meta.get("starts") or {}
    ran = outcome.trace if expected is None else without_end(outcome.trace, expected, program.answer_delay)
    found = _compared(ran, expected, request.delay, latency(program), starts)
    if found is not None and expected is not None and request.delay in (None, latency(program)):
        found = explained(found, program, samples, *settled(*aligned(expected, ran, 0), starts, 0))
    return outcome, found, done


def validate_model(
    model: Model,
    against: Model | None,
    target: str,
    input_: Path,
    inputs: InputOptions,
    options: ConvertOptions,
    threads: int | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda stage: None,
    engine: str = "sim",
    events: EventOptions | None = None,
    curve: CurveOptions | None = None,
) -> Validation:
    """The waterfall of `model` on `target` over the samples of `input_`; `against` supplies the float network of a .nir."""
    if model.program is not None:
        raise InvalidInput(str(model.path), "a program does not hold the network it came from", "Give the .nir or .onnx")
    samples = inputs.load(input_, model, labels=inputs.labels)
    chip = resolve_target(target)
    runner = _runner(chip, engine)
    source = spiking(model, inputs, options, samples, say)
    prepared = for_target(source, chip)
    program = chip.lower(prepared.graph)
    say("run")
    outcome = runner(program, samples, RunOptions(threads=threads, events=events or EventOptions()), progress)
    trained = source.conversion is None and coding_of(source.graph.metadata) is None
    if trained and (against is None or names_of(against.graph, *NEURON_NODES)):
        say("float")
        float_classes = run_reference((against or source).graph, samples).predictions
        found = judge(Expectation({"float": float_classes}, None), outcome, samples)
        return replace(found, done=prepared.done, seeds=prepared.seeds)
    stages = stages_of(prepared)
    if against is not None:
        if against.input_shape != model.input_shape:
            raise InvalidInput(str(against.path), f"it takes {against.input_shape}, the network {model.input_shape}")
        stages = {"float": against.graph, **{name: graph for name, graph in stages.items() if name != "float"}}
    expected = expect(stages, quantised_of(prepared), samples, say, last_stage(prepared))
    found = with_cause(judge(expected, outcome, samples), expected, program, samples, outcome)
    say("spiking")
    found = with_stage(found, spiking_stage(prepared.graph, samples, next(iter(expected.classes.values()))))
    losses = losses_of(prepared, against, samples, found.stages, say)
    if curve is not None and losses is not None:
        losses = replace(losses, curve=curve_of(against or model, inputs, options, curve, samples, say))
    return replace(found, losses=losses, seeds=prepared.seeds)


def _runner(target: Target, engine: str) -> Callable[[Program, Samples, RunOptions, Progress | None], Outcome]:
    """What runs programs: the engine, or the simulator of the target's vendor. Raises InvalidInput where there is none."""
    if engine == "sim":
        return run_program
    if engine != "vendor" or target.vendor is None:
        what = f"target '{target.name}' has no vendor's simulator here" if engine == "vendor" else "it runs no programs"
        raise InvalidInput(f"--engine {engine}", what, "Use --engine sim")
    return partial(run_vendor, target.vendor)


def _recording(
    request: Request, running: tuple[str, ...], output: str, known: tuple[str, ...] = ()
) -> tuple[RunOptions, Trace | None]:
    """What to record, and the trace to expect. --record without a name means every population in `running`.

    known: the populations that a recording may name; those in `running` if it is empty.
    """
    chosen: dict[str, list[str]] = {"spikes": [], "v": []}
    for part in filter(None, (p.strip() for p in request.record.split(","))):
        quantity, _, name = part.partition(":")
        if quantity not in chosen:
            raise InvalidInput(f"--record {part}", f"'{quantity}' cannot be recorded", "Known: spikes[:POP], v[:POP]")
        chosen[quantity] += [name] if name else list(running)
    expected = None if request.expect is None else expected_trace(request.expect, output)
    if expected is not None:
        matching(expected, known or running, str(request.expect))
        chosen["spikes"] += list(expected.spikes)
        chosen["v"] += list(expected.v)
    unique = {quantity: tuple(dict.fromkeys(names)) for quantity, names in chosen.items()}
    told = request.readout, request.threads, request.prices, request.events, request.dt
    return RunOptions(unique["spikes"], unique["v"], *told), expected


def latency(program: Program) -> int:
    """Steps from a spike of an input to the first step in which it acts on a population."""
    return min((q.delay for q in program.projections if q.source in program.inputs), default=0)


def _compared(
    actual: Trace, expected: Trace | None, delay: int | None, own: int, starts: Mapping[str, int] = MappingProxyType({})
) -> Comparison | None:
    """The comparison with a recording whose inputs take `delay` steps (None: as many as in the run, `own`).

    starts: the step of the run in which a population's sample begins, where that is not 0.
    """
    if expected is None:
        return None
    shift = 0 if delay is None else delay - own
    return compare_traces(*settled(*aligned(expected, actual, shift), starts, max(-shift, 0)))
