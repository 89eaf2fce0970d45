"""The verbs that go the whole road, from a trained network to a report: port, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snnport.commands.shown import Shown
from snnport.options import (
    Conversion,
    CurveLevels,
    Events,
    Json,
    MaybeFile,
    MaybeInputs,
    Reading,
    Samples,
    TargetNames,
    Tolerance,
)
from snnport.progress import Progress

if TYPE_CHECKING:
    from snnport.flow.convert import ConvertOptions
    from snnport.flow.curve import CurveOptions
    from snnport.flow.model import Model, ReadOptions
    from snnport.flow.orders import EventOptions
    from snnport.flow.prepare import InputOptions


def port(
    inputs: Samples,
    options: Conversion,
    reading: Reading,
    events: Events,
    file: MaybeFile = None,
    input_: MaybeInputs = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The folder to write.")] = None,
    target: TargetNames = "cpu",
    report: Annotated[Path | None, typer.Option("--report", help="Write the HTML report here too.")] = None,
    curve: CurveLevels = None,
    tolerance: Tolerance = 0.01,
    replay: Annotated[Path | None, typer.Option("--replay", help="A report.json: compute it again and compare.")] = None,
    json_output: Json = False,
) -> Shown:
    """Go the whole road: convert, check, lower, run, validate, and report (JSON, Markdown, HTML) for one chip or several."""
    from snnport.flow.curve import curve_options
    from snnport.flow.model import open_model

    if replay is not None:
        return _replayed(replay, file, input_)
    if file is None or input_ is None or output is None:
        raise typer.BadParameter("give FILE, --input and -o, or --replay and a report")
    points = curve_options(curve, tolerance)
    return _delivered(open_model(file, reading), target, input_, inputs, options, output, report, reading, events, points)


def _replayed(path: Path, file: Path | None, input_: Path | None) -> Shown:
    from snnport.flow.replay import replay
    from snnport.report.terminal import replayed

    with Progress() as progress:
        result = replay(path, file, input_, progress.say, progress.update)
    found = result.to_json()
    return Shown(found, lambda: replayed(found), result.equal)


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
    return _delivered(open_model(DIGITS.onnx), "cpu,loihi2,speck2f", DIGITS.test, inputs, ConvertOptions(), output, None, None)


def _delivered(
    model: Model,
    target: str,
    input_: Path,
    inputs: InputOptions,
    options: ConvertOptions,
    folder: Path,
    page: Path | None,
    reading: ReadOptions | None,
    events: EventOptions | None = None,
    curve: CurveOptions | None = None,
) -> Shown:
    from snnport.flow.deliver import deliver
    from snnport.flow.outcome import RunOptions
    from snnport.report.terminal import port_summary

    with Progress() as progress:
        running = None if events is None else RunOptions(events=events, dt=None if reading is None else reading.dt)
        show = (progress.say, progress.update)
        delivery = deliver(model, target, input_, inputs, options, folder, page, reading, *show, running, curve)
    found = {**delivery.report.to_json(), "files": [str(path) for path in delivery.files]}
    return Shown(found, lambda: port_summary(delivery.report, delivery.files), delivery.good)
