"""The verbs that run a network and judge what came out: run, compare, validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnport.commands.shown import Shown
from snnport.options import (
    Conversion,
    CurveLevels,
    Events,
    File,
    Files,
    Inputs,
    Json,
    MaybeInputs,
    MaybeOut,
    Reading,
    Readout,
    Samples,
    TargetName,
    Threads,
    Tolerance,
)
from snnport.progress import Progress


def run(
    files: Files,
    inputs: Samples,
    options: Conversion,
    reading: Reading,
    events: Events,
    input_: MaybeInputs = None,
    target: TargetName = "cpu",
    recorded: Annotated[bool, typer.Option("--recorded", help="Every FILE is a recorded run of the chip: replay it.")] = False,
    engine: Annotated[str, typer.Option("--engine", help="sim, reference or vendor.")] = "sim",
    readout: Readout = None,
    record: Annotated[str, typer.Option("--record", help="spikes[:POP],v[:POP]: what to keep in the trace.")] = "",
    output: MaybeOut = None,
    expect: Annotated[Path | None, typer.Option("--expect", help="A trace (.npz, .csv); exit 1 at a difference.")] = None,
    delay: Annotated[
        int | None, typer.Option("--delay", help="Steps that the input takes to act in --expect; default: as in the run.")
    ] = None,
    threads: Threads = None,
    price: Annotated[list[Path] | None, typer.Option("--price", help="An energy model of your own (.toml).")] = None,
    json_output: Json = False,
) -> Shown:
    """Run a network on samples: predictions, spikes, synaptic operations, cycles, energy. Or replay recorded runs."""
    if recorded:
        return _replayed(files, target)
    if len(files) != 1 or input_ is None:
        raise typer.BadParameter("give one FILE and --input, or --recorded and recorded runs")
    from snnport.flow.execute import Request, execute
    from snnport.flow.model import open_model
    from snnport.report.terminal import run_result

    request = Request(target, engine, readout, record, expect, delay, threads, tuple(price or ()), events, reading.dt)
    with Progress() as progress:
        model = open_model(files[0], reading)
        outcome, comparison, done = execute(model, input_, inputs, options, request, progress.update)
    if output is not None:
        outcome.trace.save(output)
    found = {**outcome.to_json(), "done": list(done), "comparison": comparison.to_json() if comparison else None}
    return Shown(found, lambda: run_result(found), comparison is None or comparison.first is None)


def _replayed(files: list[Path], target: str) -> Shown:
    from snnport.flow.recorded import replay_recorded
    from snnport.report.recorded_table import recorded_runs

    with Progress() as progress:
        found = replay_recorded(files, target, progress.update)
    return Shown(found, lambda: recorded_runs(found), found["equal"])


def compare(
    a: Annotated[Path, typer.Argument(metavar="A")],
    b: Annotated[Path, typer.Argument(metavar="B")],
    inputs: Samples,
    program: Annotated[
        Path | None, typer.Option("--program", help="The lowered program that gave A or B: find the rule in which they differ.")
    ] = None,
    input_: MaybeInputs = None,
    json_output: Json = False,
) -> Shown:
    """Compare two traces (.npz) or two reports (.json). Exit 1 if they differ."""
    from snnport.flow.compare import compare_files
    from snnport.flow.explain import compare_on
    from snnport.report.terminal import comparison

    if (program is None) != (input_ is None):
        raise typer.BadParameter("--program and --input belong together: the program, and what both traces were recorded on")
    if program is None or input_ is None:
        found = compare_files(a, b)
    else:
        with Progress() as progress:
            progress.say("run with one rule changed at a time")
            found = compare_on(a, b, program, input_, inputs).to_json()
    return Shown(found, lambda: comparison(found), found["equal"])


def validate(
    file: File,
    input_: Inputs,
    inputs: Samples,
    options: Conversion,
    reading: Reading,
    events: Events,
    target: TargetName = "cpu",
    engine: Annotated[str, typer.Option("--engine", help="What runs the program: sim or vendor.")] = "sim",
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", help="What a .nir was made from: the ANN (weights with --builder), or the network in real numbers."
        ),
    ] = None,
    curve: CurveLevels = None,
    tolerance: Tolerance = 0.01,
    threads: Threads = None,
    json_output: Json = False,
) -> Shown:
    """Show accuracy and agreement at every stage, and whether the logits equal the quantised ANN's. Exit 1 if they do not."""
    from snnport.flow.curve import curve_options
    from snnport.flow.execute import validate_model
    from snnport.flow.model import open_model, open_source
    from snnport.report.terminal import validation

    points = curve_options(curve, tolerance)
    source, reading = open_source(against, file, reading)
    with Progress() as progress:
        model, show = open_model(file, reading), (progress.update, progress.say)
        result = validate_model(model, source, target, input_, inputs, options, threads, *show, engine, events, points)
    found = result.to_json()
    return Shown(found, lambda: validation(found), result.logits_equal is not False)
