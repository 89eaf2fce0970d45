"""A grid of cells, run by a pool, resumed from what is there: targets x codes x levels x bits x thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

from snnport.errors import InvalidInput, SnnportError
from snnport.events import write_bytes
from snnport.flow.cells import FOLDER, Job, do, kept
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import Model, ReadOptions
from snnport.flow.pool import default_workers, parallel, serial
from snnport.flow.prepare import InputOptions
from snnport.flow.provenance import cost_models, sha256_of, versions
from snnport.report.report import DataFile, Source
from snnport.report.sweep import FAILED, Row, SweepReport, marked
from snnport.report.sweep_csv import render as render_csv
from snnport.report.sweep_page import render as render_page
from snnport.report.sweep_picture import picture
from snnport.targets.base import Target, resolve_target

MOST_CELLS = 1_000_000
DEFAULT_THRESHOLDS = "mse"


@dataclass(frozen=True)
class Grid:
    """What is swept. levels, bits: 0 and 8 are what convert takes by itself."""

    targets: tuple[str, ...] = ("cpu",)
    codes: tuple[str, ...] = ("gate",)
    levels: tuple[int, ...] = (0,)
    bits: tuple[int, ...] = (8,)
    thresholds: tuple[str, ...] = (DEFAULT_THRESHOLDS,)

    def __post_init__(self) -> None:
        for axis in fields(self):
            if not getattr(self, axis.name):
                raise InvalidInput(f"--{axis.name}", "it names nothing", "Give one value or several, with commas between")
        if self.size > MOST_CELLS:
            raise InvalidInput("sweep", f"the grid has {self.size} cells, the limit is {MOST_CELLS}", "Sweep part of it")

    @property
    def size(self) -> int:
        """How many cells there are."""
        return math.prod(len(getattr(self, axis.name)) for axis in fields(self))

    def cells(self) -> Iterator[tuple[str, str, int, int, str]]:
        """(target, code, levels, bits, thresholds), each once; targets vary fastest, since they share a conversion."""
        seen: dict[tuple[str, str, int, int, str], None] = {}
        for thresholds, bits, levels, code, target in product(
            self.thresholds, self.bits, self.levels, self.codes, self.targets
        ):
            seen[target, code, levels, bits, thresholds] = None
        yield from seen


@dataclass(frozen=True)
class Swept:
    """The sweep's report, the files it wrote, how many cells were there before, and how many could not be computed."""

    report: SweepReport
    files: tuple[Path, ...]
    resumed: int
    faults: int


def sweep(
    model: Model,
    grid: Grid,
    input_: Path,
    inputs: InputOptions,
    options: ConvertOptions,
    folder: Path,
    reading: ReadOptions | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    say: Callable[[str], None] = lambda message: None,
    progress: Callable[[int, int], None] | None = None,
) -> Swept:
    """Run every cell of `grid` that `folder` does not hold yet, and write the table and the picture of all of them.

    workers: processes of this machine; 0: this process alone, without dask. scheduler: the address of a Dask scheduler, whose
    workers see the same files under the same paths. Raises InvalidInput where the sweep as a whole cannot work; a cell that
    fails is a row with its reason.
    """
    if workers is not None and workers < 0:
        raise InvalidInput("--workers", f"{workers} is below 0", "Give 1 or more, or 0 for this process alone")
    targets = {name: resolve_target(name) for name in grid.targets}
    samples = inputs.load(input_, model, labels=inputs.labels)
    n_samples = samples.n_samples
    del samples
    _make(folder)
    say("sweep: hash the data")
    files = {"model": model.path, "input": input_, "labels": inputs.labels, "calibration": inputs.calibration}
    hashes = tuple((role, sha256_of(path)) for role, path in files.items() if path is not None)
    base = Job(
        model.path.resolve(),
        reading or ReadOptions(),
        input_.resolve(),
        replace(inputs, labels=_whole(inputs.labels), calibration=_whole(inputs.calibration)),
        options,
        "",
        folder.resolve(),
        hashes,
    )
    jobs, cells = _jobs(base, grid)
    found = {job: row for job in jobs if (row := kept(job)) is not None}
    left = [job for job in jobs if job not in found]
    say("sweep: start the workers" if left and workers != 0 else "sweep")
    faults = 0
    for i, (job, result) in enumerate(_results(left, workers, scheduler)):
        if i == 0:
            say("sweep")
        if isinstance(result, Exception):
            faults += 1
            found[job] = replace(job.empty, status=FAILED, reason=_words(result))
        else:
            found[job] = result
        if progress is not None:
            progress(len(found), len(jobs))
    rows = marked([found[cell] if isinstance(cell, Job) else cell for cell in cells])
    data = tuple(DataFile(path.name, dict(hashes)[role]) for role, path in files.items() if path and role != "model")
    report = SweepReport(
        Source(model.path.name, model.path.suffix.lstrip("."), model.sha256, model.input_shape),
        data,
        versions(),
        {**_plain(asdict(inputs)), **_plain(asdict(options)), "samples": n_samples},
        rows,
        cost_models(tuple(targets.values())),
        _seeds(model, targets.values()),
    )
    say("write")
    return Swept(report, _written(report, folder), len(jobs) - len(left), faults)


def _seeds(model: Model, targets: Iterable[Target]) -> dict[str, int]:
    """Of what cells draw at random: nothing where they convert; a chip's passes where they fit a trained network to it."""
    if model.is_ann:
        return {}
    return {what: seed for target in targets for what, seed in target.draws.items()}


def _jobs(base: Job, grid: Grid) -> tuple[list[Job], list[Job | Row]]:
    """The jobs, and every cell of the grid in order: its job, or its row where the options themselves are refused."""
    cells: list[Job | Row] = []
    known = {axis.name for axis in fields(ConvertOptions)}
    for target, code, levels, bits, thresholds in grid.cells():
        chosen: dict[str, Any] = {"code": code, "levels": levels, "bits": bits}
        try:
            if "thresholds" in known:
                chosen["thresholds"] = thresholds
            elif thresholds != DEFAULT_THRESHOLDS:
                raise InvalidInput("--thresholds", f"there is no way '{thresholds}'", f"Known: {DEFAULT_THRESHOLDS}")
            cells.append(replace(base, target=_target(target), options=replace(base.options, **chosen), thresholds=thresholds))
        except SnnportError as error:
            name = resolve_target(target).chip.name
            cells.append(Row(name, code, levels, bits, thresholds, FAILED, " ".join(str(error).split())))
    return [cell for cell in cells if isinstance(cell, Job)], cells


def _results(jobs: Sequence[Job], workers: int | None, scheduler: str | None) -> Iterator[tuple[Job, Row | Exception]]:
    """Every job with its row, in the order in which they finish. Nothing is started where nothing is left to do."""
    if not jobs:
        return
    if workers == 0 and scheduler is None:
        yield from serial(do, jobs)
        return
    count = min(workers or default_workers(), len(jobs))
    with closing(parallel(do, jobs, count, scheduler, [f"snnport-{job.key}" for job in jobs])) as results:
        yield from results


def _target(name: str) -> str:
    """A target as every worker finds it: names as they are, files by their whole path."""
    return str(Path(name).resolve()) if Path(name).suffix in (".toml", ".yaml", ".yml") else name


def _whole(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()


def _words(error: Exception) -> str:
    """What a user needs of an error; a fault of snnport's own says its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, SnnportError) else f"a fault of snnport, please report it: {type(error).__name__}: {text}"


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value.name if isinstance(value, Path) else value for key, value in values.items()}


def _make(folder: Path) -> None:
    try:
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(str(folder), f"it cannot be made: {error.strerror}", "Choose another folder") from None


def _written(report: SweepReport, folder: Path) -> tuple[Path, ...]:
    """The report as JSON, CSV, HTML and SVG."""
    contents = {
        "sweep.json": report.to_text(),
        "sweep.csv": render_csv(report),
        "sweep.svg": picture(report.rows),
        "sweep.html": render_page(report),
    }
    for name, content in contents.items():
        write_bytes(folder / name, content.encode("utf-8", "replace"))
    return tuple(folder / name for name in contents)
