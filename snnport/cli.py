"""The command line: registers the verbs, parses their options, prints their results. docs/cli.md is its contract.

Nothing heavy is imported at module level, so that `snnport --help` answers at once. This is the only file that prints.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnport import __version__
from snnport.errors import SnnportError
from snnport.options import (
    Conversion,
    File,
    Files,
    Inputs,
    Json,
    MaybeInputs,
    MaybeOut,
    Out,
    Reading,
    Readout,
    Samples,
    Scaling,
    TargetName,
    TargetNames,
    Threads,
    expand_groups,
)
from snnport.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from snnport.flow.convert import ConvertOptions
    from snnport.flow.model import Model, ReadOptions
    from snnport.flow.prepare import InputOptions

app = typer.Typer(
    name="snnport",
    help="Port a trained network to neuromorphic hardware, exactly: convert, check, lower, run, prove, price.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    app()


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Register `function` as a verb: its SnnportErrors become one line (or one JSON document) and exit code 1."""

    expanded = expand_groups(function)

    @wraps(expanded)
    def guarded(**values: Any) -> None:
        try:
            expanded(**values)
        except SnnportError as error:
            _refuse(error, bool(values.get("json_output")))
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from None

    app.command()(guarded)
    return function


def _refuse(error: SnnportError, as_json: bool) -> None:
    if as_json:
        body = {"kind": error.kind, "where": error.where, "message": error.what, "remedy": error.remedy}
        _document({"schema": 1, "error": body})
    else:
        typer.echo(f"snnport: {error}", err=True)
    raise typer.Exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"snnport {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Port a trained network to neuromorphic hardware, exactly: convert, check, lower, run, prove, price."""


@verb
def inspect(file: File, reading: Reading, json_output: Json = False) -> None:
    """Show what a model file holds: nodes, shapes, dialect and why, repairs, what stays ambiguous."""
    from snnport.flow.inspect import inspect as look
    from snnport.report.terminal import inspection

    found = look(_open(file, reading))
    _show(found, json_output, lambda: inspection(found))


@verb
def convert(
    file: File,
    output: Out,
    inputs: Scaling,
    options: Conversion,
    reading: Reading,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="Write what became of every node (.json) here.")] = None,
    json_output: Json = False,
) -> None:
    """Turn a trained ANN (.onnx) into a spiking network (.nir)."""
    from snnport.flow.write import write_conversion
    from snnport.report.terminal import conversion

    with Progress() as progress:
        found = write_conversion(_open(file, reading), output, ledger, inputs, options, progress.say)
    _show(found, json_output, lambda: conversion(found))


@verb
def quantize(
    file: File,
    output: Out,
    reading: Reading,
    target: Annotated[str | None, typer.Option("--target", help="Quantise for this target.")] = None,
    bits: Annotated[int | None, typer.Option("--bits", help="Bits of a weight, without --target; default 8.")] = None,
    json_output: Json = False,
) -> None:
    """Give a spiking network (.nir) integer codes; the file stays a valid float graph."""
    from snnport.flow.write import write_quantised
    from snnport.report.terminal import steps_done

    found = write_quantised(_open(file, reading), output, target, bits)
    _show(found, json_output, lambda: steps_done(found))


@verb
def check(
    file: File, target: TargetName, inputs: Scaling, options: Conversion, reading: Reading, json_output: Json = False
) -> None:
    """Say whether a network fits a chip: usage, all violations and warnings, each with its remedy. Exit 1 if it does not."""
    from snnport.flow.check import check as work
    from snnport.report.terminal import check_result

    result, done = work(_open(file, reading), target, inputs, options)
    found = {"schema": 1, **result.to_json(), "done": list(done)}
    _show(found, json_output, lambda: check_result(found))
    if not result.fits:
        raise typer.Exit(1)


@verb
def lower(
    file: File,
    target: TargetName,
    output: Out,
    inputs: Scaling,
    options: Conversion,
    reading: Reading,
    json_output: Json = False,
) -> None:
    """Write the integers that a chip runs: a placed Program (.npz)."""
    from snnport.flow.write import write_program
    from snnport.report.terminal import steps_done

    found = write_program(_open(file, reading), output, target, inputs, options)
    _show(found, json_output, lambda: steps_done(found))


@verb
def export(
    file: File,
    output: Out,
    inputs: Samples,
    options: Conversion,
    reading: Reading,
    input_: MaybeInputs = None,
    target: Annotated[str | None, typer.Option("--target", help="Write what this chip's own tools load.")] = None,
    form: Annotated[str | None, typer.Option("--format", help="Write the network in this format: nir or netx.")] = None,
    source: Annotated[str | None, typer.Option("--source-dialect", help="As --dialect, where that names the reader.")] = None,
    json_output: Json = False,
) -> None:
    """Write files for other tools: a chip's memory images, or a network that the framework --dialect loads with its spikes."""
    from snnport.flow.write import write_export
    from snnport.report.terminal import exported

    dialect, reading = (None, reading) if form is None else (reading.dialect, replace(reading, dialect=source))
    found = write_export(_open(file, reading), output, target, form, input_, inputs, options, dialect)
    _show(found, json_output, lambda: exported(found))


@verb
def run(
    files: Files,
    inputs: Samples,
    options: Conversion,
    reading: Reading,
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
) -> None:
    """Run a network on samples: predictions, spikes, synaptic operations, cycles, energy. Or replay recorded runs."""
    if recorded:
        return _replay(files, target, json_output)
    if len(files) != 1 or input_ is None:
        raise typer.BadParameter("give one FILE and --input, or --recorded and recorded runs")
    from snnport.flow.execute import Request, execute
    from snnport.report.terminal import run_result

    request = Request(target, engine, readout, record, expect, delay, threads, tuple(price or ()))
    with Progress() as progress:
        outcome, comparison, done = execute(_open(files[0], reading), input_, inputs, options, request, progress.update)
    if output is not None:
        outcome.trace.save(output)
    found = {**outcome.to_json(), "done": list(done), "comparison": comparison.to_json() if comparison else None}
    _show(found, json_output, lambda: run_result(found))
    if comparison is not None and comparison.first is not None:
        raise typer.Exit(1)
    return None


def _replay(files: list[Path], target: str, json_output: bool) -> None:
    from snnport.flow.recorded import replay_recorded
    from snnport.report.recorded_table import recorded_runs

    with Progress() as progress:
        found = replay_recorded(files, target, progress.update)
    _show(found, json_output, lambda: recorded_runs(found))
    if not found["equal"]:
        raise typer.Exit(1)


@verb
def compare(
    a: Annotated[Path, typer.Argument(metavar="A")],
    b: Annotated[Path, typer.Argument(metavar="B")],
    json_output: Json = False,
) -> None:
    """Compare two traces (.npz) or two reports (.json). Exit 1 if they differ."""
    from snnport.flow.compare import compare_files
    from snnport.report.terminal import comparison

    found = compare_files(a, b)
    _show(found, json_output, lambda: comparison(found))
    if not found["equal"]:
        raise typer.Exit(1)


@verb
def validate(
    file: File,
    input_: Inputs,
    inputs: Samples,
    options: Conversion,
    reading: Reading,
    target: TargetName = "cpu",
    engine: Annotated[str, typer.Option("--engine", help="What runs the program: sim or vendor.")] = "sim",
    against: Annotated[Path | None, typer.Option("--against", help="The ANN (.onnx) that a .nir was converted from.")] = None,
    threads: Threads = None,
    json_output: Json = False,
) -> None:
    """Show accuracy and agreement at every stage, and whether the logits equal the quantised ANN's. Exit 1 if they do not."""
    from snnport.flow.execute import validate_model
    from snnport.report.terminal import validation

    source = _open(against) if against is not None else None
    with Progress() as progress:
        model, show = _open(file, reading), (progress.update, progress.say)
        result = validate_model(model, source, target, input_, inputs, options, threads, *show, engine)
    found = result.to_json()
    _show(found, json_output, lambda: validation(found))
    if result.logits_equal is False:
        raise typer.Exit(1)


@verb
def port(
    file: File,
    input_: Inputs,
    output: Out,
    inputs: Samples,
    options: Conversion,
    reading: Reading,
    target: TargetNames = "cpu",
    report: Annotated[Path | None, typer.Option("--report", help="Write the HTML report here too.")] = None,
    json_output: Json = False,
) -> None:
    """Go the whole road: convert, check, lower, run, validate, and report (JSON, Markdown, HTML) for one chip or several."""
    _port(_open(file, reading), target, input_, inputs, options, output, report, json_output)


@verb
def targets(
    name: Annotated[str | None, typer.Argument(help="One target, with its numbers, sources and rules.")] = None,
    json_output: Json = False,
) -> None:
    """List the targets, or everything about one."""
    from snnport.flow.targets import describe, listing
    from snnport.report.terminal import target_card, target_list

    found = listing() if name is None else describe(name)
    _show(found, json_output, lambda: target_list(found) if name is None else target_card(found))


@verb
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the report.")] = Path("demo-report"),
    json_output: Json = False,
) -> None:
    """Port the small network that ships with snnport to three chips, and report."""
    from snnport.flow.convert import ConvertOptions
    from snnport.flow.prepare import InputOptions
    from snnport.models.digits import DIGITS

    inputs = InputOptions(scale=DIGITS.scale, calibration=DIGITS.calibration)
    _port(_open(DIGITS.onnx), "cpu,loihi2,speck2f", DIGITS.test, inputs, ConvertOptions(), output, None, json_output)


@verb
def doctor(json_output: Json = False) -> None:
    """Say what is installed, what is missing, and the command that adds it. Exit 1 if snnport itself cannot work."""
    from snnport.flow.doctor import doctor as examine
    from snnport.report.terminal import health

    parts = examine()
    found = {"schema": 1, "parts": [vars(part) for part in parts]}
    _show(found, json_output, lambda: health(found))
    if any(part.required and not part.version for part in parts):
        raise typer.Exit(1)


def _port(
    model: Model,
    target: str,
    input_: Path,
    inputs: InputOptions,
    options: ConvertOptions,
    folder: Path,
    page: Path | None,
    json_output: bool,
) -> None:
    from snnport.flow.deliver import deliver
    from snnport.report.terminal import port_summary

    with Progress() as progress:
        delivery = deliver(model, target, input_, inputs, options, folder, page, progress.say, progress.update)
    found = {**delivery.report.to_json(), "files": [str(path) for path in delivery.files]}
    _show(found, json_output, lambda: port_summary(delivery.report, delivery.files))
    if not delivery.good:
        raise typer.Exit(1)


def _open(file: Path, reading: ReadOptions | None = None) -> Model:
    from snnport.flow.model import open_model

    return open_model(file, reading)


def _show(found: dict[str, Any], as_json: bool, table: Callable[[], Any]) -> None:
    if as_json:
        _document(found)
    else:
        _console().print(table())


def _document(data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(data, allow_nan=False) + "\n")


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)
