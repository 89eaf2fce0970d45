"""The verbs that go the whole road, from a trained network to a report: port, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snnport.commands.shown import Shown
from snnport.options import Conversion, File, Inputs, Json, Out, Reading, Samples, TargetNames
from snnport.progress import Progress

if TYPE_CHECKING:
    from snnport.flow.convert import ConvertOptions
    from snnport.flow.model import Model
    from snnport.flow.prepare import InputOptions


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
) -> Shown:
    """Go the whole road: convert, check, lower, run, validate, and report (JSON, Markdown, HTML) for one chip or several."""
    from snnport.flow.model import open_model

    return _delivered(open_model(file, reading), target, input_, inputs, options, output, report)


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the report.")] = Path("demo-report"),
    json_output: Json = False,
) -> Shown:
    """Port the small network that ships with snnport to three chips, and report."""
    from snnport.flow.convert import ConvertOptions
    from snnport.flow.model import open_model
    from snnport.flow.prepare import InputOptions
    from snnport.models.digits import DIGITS

    inputs = InputOptions(scale=DIGITS.scale, calibration=DIGITS.calibration)
    return _delivered(open_model(DIGITS.onnx), "cpu,loihi2,speck2f", DIGITS.test, inputs, ConvertOptions(), output, None)


def _delivered(
    model: Model,
    target: str,
    input_: Path,
    inputs: InputOptions,
    options: ConvertOptions,
    folder: Path,
    page: Path | None,
) -> Shown:
    from snnport.flow.deliver import deliver
    from snnport.report.terminal import port_summary

    with Progress() as progress:
        delivery = deliver(model, target, input_, inputs, options, folder, page, progress.say, progress.update)
    found = {**delivery.report.to_json(), "files": [str(path) for path in delivery.files]}
    return Shown(found, lambda: port_summary(delivery.report, delivery.files), delivery.good)
