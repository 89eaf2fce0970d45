"""The verbs about a network: inspect, convert, quantize, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnport.commands.shown import Shown
from snnport.options import Checking, Conversion, File, Json, MaybeInputs, Out, Reading, Scaling, TargetName
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
    finetune: Annotated[
        str | None, typer.Option("--finetune", help="EPOCHS, weights{rate=..} or thresholds{epochs=2} (docs/finetune.md).")
    ] = None,
    train_data: Annotated[
        list[Path] | None, typer.Option("--train-data", help="Samples for --finetune, labels not needed; may be repeated.")
    ] = None,
    train_labels: Annotated[
        Path | None, typer.Option("--train-labels", help="Labels of all of them: for accuracy, and recipes with labels.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option("--checkpoint", help="Folder from which --finetune goes on.")] = None,
    json_output: Json = False,
) -> Shown:
    """Turn a trained ANN (.onnx) into a spiking network (.nir)."""
    from snnport.flow.finetune import FinetuneOptions
    from snnport.flow.model import open_model
    from snnport.flow.write import write_conversion
    from snnport.report.terminal import conversion

    if finetune is None and (train_data or train_labels or checkpoint):
        raise typer.BadParameter("--train-data, --train-labels and --checkpoint belong to --finetune")
    tuning = None if finetune is None else FinetuneOptions(finetune, tuple(train_data or ()), train_labels, checkpoint)
    with Progress() as progress:
        show = (progress.say, tuning, progress.batches)
        found = write_conversion(open_model(file, reading), output, ledger, inputs, options, *show)
    return Shown(found, lambda: conversion(found))


def quantize(
    file: File,
    output: Out,
    reading: Reading,
    target: Annotated[str | None, typer.Option("--target", help="Quantise for this target.")] = None,
    bits: Annotated[int | None, typer.Option("--bits", help="Bits of a weight, without --target; default 8.")] = None,
    spelled: Annotated[
        list[str] | None,
        typer.Option("--pass", help="By this pass: quantize-speck{method=sinabs}; repeatable."),
    ] = None,
    json_output: Json = False,
) -> Shown:
    """Give a spiking network (.nir) integer codes; the file stays a valid float graph."""
    from snnport.flow.model import open_model
    from snnport.flow.write import write_quantised
    from snnport.report.terminal import steps_done

    found = write_quantised(open_model(file, reading), output, target, bits, spelled or ())
    return Shown(found, lambda: steps_done(found))


def check(
    file: File,
    target: TargetName,
    inputs: Checking,
    options: Conversion,
    reading: Reading,
    fix: Annotated[bool, typer.Option("--fix", help="Rewrite what keeps the network off the chip, and check again.")] = False,
    fixes: Annotated[str, typer.Option("--fixes", help="NAME,..: with --fix, these too: extend-readout, clip-channels.")] = "",
    input_: MaybeInputs = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="With --fix: write the network (.nir) here.")] = None,
    json_output: Json = False,
) -> Shown:
    """Say whether a network fits a chip: usage, all violations and warnings, each with its remedy. Exit 1 if it does not.

    With --fix every exact rewriting that a broken rule asks for is done, and proved by running both networks.
    """
    from snnport.flow.fix import check_fixed, check_offering
    from snnport.flow.model import open_model
    from snnport.report.terminal import check_result

    if not fix and (fixes or output is not None or input_ is not None):
        raise typer.BadParameter("--fixes, --input and -o belong to --fix")
    model = open_model(file, reading)
    if fix:
        names = [name.strip() for name in fixes.split(",") if name.strip()]
        found = check_fixed(model, target, inputs, options, names, input_, output)
    else:
        found = check_offering(model, target, inputs, options)
    return Shown(found, lambda: check_result(found), found["fits"])
