"""The verbs that write files for chips and for other tools: lower, export."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from snnport.commands.shown import Shown
from snnport.options import Conversion, File, Json, MaybeInputs, Out, Reading, Samples, Scaling, TargetName


def lower(
    file: File,
    target: TargetName,
    output: Out,
    inputs: Scaling,
    options: Conversion,
    reading: Reading,
    json_output: Json = False,
) -> Shown:
    """Write the integers that a chip runs: a placed Program (.npz)."""
    from snnport.flow.model import open_model
    from snnport.flow.write import write_program
    from snnport.report.terminal import steps_done

    found = write_program(open_model(file, reading), output, target, inputs, options)
    return Shown(found, lambda: steps_done(found))


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
) -> Shown:
    """Write files for other tools: a chip's memory images, or a network that the framework --dialect loads with its spikes."""
    from snnport.flow.model import open_model
    from snnport.flow.write import ExportOptions, write_export
    from snnport.report.terminal import exported

    dialect, reading = (None, reading) if form is None else (reading.dialect, replace(reading, dialect=source))
    wanted = ExportOptions(target, form, dialect, input_)
    found = write_export(open_model(file, reading), output, wanted, inputs, options)
    return Shown(found, lambda: exported(found))
