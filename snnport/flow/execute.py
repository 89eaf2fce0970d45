"""The verbs run and validate: one model, one set of samples, one engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snnport.errors import InvalidInput
from snnport.flow.check import own_program
from snnport.flow.compare import Comparison, aligned, compare_traces, expected_trace
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import Model
from snnport.flow.port import quantised_of, stages_of
from snnport.flow.prepare import InputOptions, for_target, spiking
from snnport.flow.run import Outcome, RunOptions, read_nodes, run_program, run_reference
from snnport.flow.validate import Validation, expect, judge
from snnport.graph import names_of
from snnport.nodes import NEURON_NODES
from snnport.targets.base import resolve_target
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
    delay: int = 0
    threads: int | None = None
    prices: tuple[Path, ...] = ()


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
    if request.engine == "vendor":
        what = f"target '{request.target}' has no vendor's simulator here"
        raise InvalidInput("--engine vendor", what, "Use --engine sim or --engine reference")
    if request.engine == "reference" and model.program is not None:
        raise InvalidInput("--engine reference", "it runs graphs, and this is a program", "Give the .nir or .onnx")
    samples = inputs.load(input_, model, labels=inputs.labels)
    prepared = None if model.program is not None else spiking(model, inputs, options, samples)
    if prepared is not None and request.engine == "reference":
        graph = prepared.graph
        chosen, expected = _recording(request, names_of(graph, *NEURON_NODES), read_nodes(graph)[0])
        outcome = run_reference(graph, samples, chosen)
        return outcome, _compared(outcome.trace, expected, request.delay), prepared.done
    target = resolve_target(request.target)
    if prepared is not None:
        ready = for_target(prepared, target)
        program, done = target.lower(ready.graph), ready.done
    else:
        program, done = own_program(model, target), ()
    running = tuple(p.name for p in program.populations if p.neuron.family not in STIMULI)
    chosen, expected = _recording(request, running, program.outputs[0])
    outcome = run_program(program, samples, chosen, progress)
    return outcome, _compared(outcome.trace, expected, request.delay), done


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
) -> Validation:
    """The waterfall of `model` on `target` over the samples of `input_`; `against` supplies the float network of a .nir."""
    if model.program is not None:
        raise InvalidInput(str(model.path), "a program does not hold the network it came from", "Give the .nir or .onnx")
    samples = inputs.load(input_, model, labels=inputs.labels)
    chip = resolve_target(target)
    prepared = for_target(spiking(model, inputs, options, samples, say), chip)
    program = chip.lower(prepared.graph)
    say("run")
    outcome = run_program(program, samples, RunOptions(threads=threads), progress)
    stages = stages_of(prepared)
    if against is not None:
        if against.input_shape != model.input_shape:
            raise InvalidInput(str(against.path), f"it takes {against.input_shape}, the network {model.input_shape}")
        stages = {"float": against.graph, **{name: graph for name, graph in stages.items() if name != "float"}}
    return judge(expect(stages, quantised_of(prepared), samples, say), outcome, samples)


def _recording(request: Request, running: tuple[str, ...], output: str) -> tuple[RunOptions, Trace | None]:
    """What to record, and the trace to expect. --record without a name means every population in `running`."""
    chosen: dict[str, list[str]] = {"spikes": [], "v": []}
    for part in filter(None, (p.strip() for p in request.record.split(","))):
        quantity, _, name = part.partition(":")
        if quantity not in chosen:
            raise InvalidInput(f"--record {part}", f"'{quantity}' cannot be recorded", "Known: spikes[:POP], v[:POP]")
        chosen[quantity] += [name] if name else list(running)
    expected = None if request.expect is None else expected_trace(request.expect, output)
    if expected is not None:
        chosen["spikes"] += list(expected.spikes)
        chosen["v"] += list(expected.v)
    unique = {quantity: tuple(dict.fromkeys(names)) for quantity, names in chosen.items()}
    return RunOptions(unique["spikes"], unique["v"], request.readout, request.threads, request.prices), expected


def _compared(actual: Trace, expected: Trace | None, delay: int) -> Comparison | None:
    return None if expected is None else compare_traces(*aligned(expected, actual, delay))
