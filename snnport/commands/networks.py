"""The verbs about a network: inspect, convert, quantize, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnport.commands.shown import Shown
from snnport.options import Conversion, File, Json, Out, Reading, Scaling, TargetName
from snnport.progress import Progress


def inspect(file: File, reading: Reading, json_output: Json = False) -> Shown:
    """Show what a model file holds: nodes, shapes, dialect and why, repairs, what stays ambiguous."""
    from snnport.flow.inspect import inspect as look
    from snnport.flow.model import open_model
    from snnport.report.terminal import inspection

    found = look(open_model(file, reading))
    return Shown(found, lambda: inspection(found))


def convert(
    file: File,
    output: Out,
    inputs: Scaling,
    options: Conversion,
    reading: Reading,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="Write what became of every node (.json) here.")] = None,
    json_output: Json = False,
) -> Shown:
    """Turn a trained ANN (.onnx) into a spiking network (.nir)."""
    from snnport.flow.model import open_model
    from snnport.flow.write import write_conversion
    from snnport.report.terminal import conversion

    with Progress() as progress:
        found = write_conversion(open_model(file, reading), output, ledger, inputs, options, progress.say)
    return Shown(found, lambda: conversion(found))


def quantize(
    file: File,
    output: Out,
    reading: Reading,
    target: Annotated[str | None, typer.Option("--target", help="Quantise for this target.")] = None,
    bits: Annotated[int | None, typer.Option("--bits", help="Bits of a weight, without --target; default 8.")] = None,
    json_output: Json = False,
) -> Shown:
    """Give a spiking network (.nir) integer codes; the file stays a valid float graph."""
    from snnport.flow.model import open_model
    from snnport.flow.write import write_quantised
    from snnport.report.terminal import steps_done

    found = write_quantised(open_model(file, reading), output, target, bits)
    return Shown(found, lambda: steps_done(found))


def check(
    file: File, target: TargetName, inputs: Scaling, options: Conversion, reading: Reading, json_output: Json = False
) -> Shown:
    """Say whether a network fits a chip: usage, all violations and warnings, each with its remedy. Exit 1 if it does not."""
    from snnport.flow.check import check as judge
    from snnport.flow.model import open_model
    from snnport.report.terminal import check_result

    result, done = judge(open_model(file, reading), target, inputs, options)
    found = {"schema": 1, **result.to_json(), "done": list(done)}
    return Shown(found, lambda: check_result(found), result.fits)
