"""What `port` leaves in a folder: the report three times over, the spiking network, a program a chip, nothing half written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from snnport.errors import InvalidInput
from snnport.events import write_bytes
from snnport.exporters.nir import write_nir
from snnport.flow.convert import ConvertOptions
from snnport.flow.curve import CurveOptions
from snnport.flow.model import Model, ReadOptions
from snnport.flow.outcome import RunOptions
from snnport.flow.port import port
from snnport.flow.prepare import InputOptions
from snnport.flow.replay import invocation_of
from snnport.report.html import render as render_html
from snnport.report.markdown import render as render_markdown
from snnport.report.report import Report
from snnport.targets.base import resolve_target


@dataclass(frozen=True)
class Delivery:
    """The report, the files that were written, and whether all went well."""

    report: Report
    files: tuple[Path, ...]
    good: bool


def deliver(
    model: Model,
    target: str,
    input_: Path,
    inputs: InputOptions,
    options: ConvertOptions,
    folder: Path,
    page: Path | None = None,
    reading: ReadOptions | None = None,
    say: Callable[[str], None] = lambda message: None,
    progress: Callable[[int, int], None] | None = None,
    running: RunOptions | None = None,
    curve: CurveOptions | None = None,
) -> Delivery:
    """Port `model` to the targets named in `target` (commas between) and write everything into `folder`.

    Good is: one target fits and is exact; or, of several targets, every one was judged and what runs is exact.
    """
    names = [name.strip() for name in target.split(",") if name.strip()]
    if not names:
        raise InvalidInput("--target", "it names no target", "snnport targets lists them")
    targets = [resolve_target(name) for name in names]
    samples = inputs.load(input_, model, labels=inputs.labels)
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(str(folder), f"it cannot be made: {error.strerror}", "Choose another folder") from None
    data_files = [input_, *([inputs.labels] if inputs.labels else []), *([inputs.calibration] if inputs.calibration else [])]
    asked = invocation_of(model.path, input_, tuple(names), inputs, reading or ReadOptions(), running, curve)
    try:
        report, programs, prepared = port(model, targets, samples, data_files, inputs, options, say, progress, running, curve)
    except BaseException:
        if made:  # nothing is in it yet
            folder.rmdir()
        raise
    report = replace(report, invocation=asked)
    say("write")
    files = []
    if prepared.conversion is not None:
        files.append(folder / f"{model.path.stem}.nir")
        write_nir(prepared.graph, files[-1])
    for name, program in programs.items():
        files.append(folder / f"{model.path.stem}.{name}.npz")
        program.save(files[-1])
    html = render_html(report).encode()
    texts = {"report.json": report.to_text().encode(), "report.md": render_markdown(report).encode(), "report.html": html}
    for name, content in texts.items():
        files.append(folder / name)
        write_bytes(files[-1], content)
    if page is not None:
        files.append(page)
        write_bytes(page, html)
    inexact = report.logits_equal is False
    fits = all(result.check.fits for result in report.targets)
    return Delivery(report, tuple(files), not inexact and (fits or len(targets) > 1))
