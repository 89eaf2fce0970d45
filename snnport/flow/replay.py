"""A report asked for again: the same files by their hashes, the same options, and every number compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from snnport.errors import InvalidInput
from snnport.flow.convert import ConvertOptions
from snnport.flow.curve import CurveOptions
from snnport.flow.model import ReadOptions, open_model
from snnport.flow.orders import EventOptions
from snnport.flow.outcome import RunOptions
from snnport.flow.port import port
from snnport.flow.prepare import InputOptions
from snnport.flow.provenance import cost_models, sha256_of, versions
from snnport.report.changes import Change, changes
from snnport.report.evidence import Invocation
from snnport.report.report import Report
from snnport.targets.base import resolve_target


@dataclass(frozen=True)
class Replay:
    """What a replay found. changed: entries that differ. noted: versions and cost models that differ, which may be why.

    again: the new report; None where a file is not the recorded one, so that nothing was computed.
    """

    changed: tuple[Change, ...]
    noted: tuple[Change, ...]
    again: Report | None

    @property
    def equal(self) -> bool:
        """Whether every number is the recorded one."""
        return not self.changed

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `port --replay --json` prints it."""
        return {
            "schema": 1,
            "equal": self.equal,
            "changes": [vars(change) for change in self.changed],
            "notes": [vars(change) for change in self.noted],
        }


def invocation_of(
    file: Path,
    input_: Path,
    targets: tuple[str, ...],
    inputs: InputOptions,
    reading: ReadOptions,
    running: RunOptions | None = None,
    curve: CurveOptions | None = None,
) -> Invocation:
    """What a report records of how it was asked for."""
    values = asdict(inputs)
    files = {name: None if (path := values.pop(name)) is None else str(path) for name in ("labels", "calibration")}
    events, points = None if running is None else _plain(running.events), None if curve is None else _plain(curve)
    own = files["labels"], files["calibration"], asdict(reading)
    return Invocation(str(file), str(input_), targets, *own, _listed(values), events, points)


def _plain(options: Any) -> dict[str, Any]:
    return _listed(asdict(options))


def _listed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def replay(
    path: Path,
    file: Path | None = None,
    input_: Path | None = None,
    say: Callable[[str], None] = lambda message: None,
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Compute the report at `path` again and compare. Files are looked for as typed then, beside the report, or as given now.

    Raises InvalidInput if it is no report, if it does not say how it was made, or if a file cannot be found.
    """
    recorded = Report.from_text(_text(path), str(path))
    asked = recorded.invocation
    if asked is None:
        what = "it does not say how it was made: an older snnport wrote it"
        raise InvalidInput(str(path), what, "Make the report again with snnport port")
    say("replay: hash the files")
    model = file or _found(asked.file, path, "FILE")
    data = input_ or _found(asked.input, path, "--input")
    labels, calibration = (
        None if name is None else _found(name, path, option)
        for name, option in ((asked.labels, "--labels"), (asked.calibration, "--calibration"))
    )
    files = [data, *(extra for extra in (labels, calibration) if extra is not None)]
    other = _other_files(recorded, model, files)
    targets = tuple(resolve_target(name) for name in asked.targets)
    noted = _noted(recorded, cost_models(targets))
    if other:
        return Replay(other, noted, None)
    inputs = replace(_of(InputOptions, asked.inputs, str(path)), labels=labels, calibration=calibration)
    opened = open_model(model, _of(ReadOptions, asked.reading, str(path)))
    samples = inputs.load(data, opened, labels=labels)
    options = _of(ConvertOptions, recorded.options, str(path), skip=("calibration",))
    events = None if asked.events is None else _of(EventOptions, asked.events, str(path))
    running = None if events is None else RunOptions(events=events, dt=asked.reading.get("dt"))
    curve = None if asked.curve is None else _of(CurveOptions, asked.curve, str(path))
    again, _, _ = port(opened, targets, samples, files, inputs, options, say, progress, running, curve)
    names = {f.sha256: f.file for f in recorded.data.files}
    same = replace(again.data, files=tuple(replace(f, file=names.get(f.sha256, f.file)) for f in again.data.files))
    again = replace(again, invocation=asked, data=same, source=replace(again.source, file=recorded.source.file))
    ignored = ("versions", "cost_models", "next_steps")
    return Replay(changes(recorded.to_json(), again.to_json(), ignored), noted, again)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such file", "Give the report.json of snnport port") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), f"it is no readable report: {error}") from None


def _found(name: str, report: Path, option: str) -> Path:
    """A recorded file: as it was typed, or of the same name beside the report."""
    for candidate in (Path(name), report.parent / name, report.parent / Path(name).name):
        if candidate.exists():
            return candidate
    what = "the report was made with it, and there is no such file here or beside the report"
    raise InvalidInput(name, what, f"Put it there, or say where it is with {option}" if option in ("FILE", "--input") else "")


def _other_files(recorded: Report, model: Path, files: list[Path]) -> tuple[Change, ...]:
    """Files whose bytes are not the recorded ones."""
    found = []
    now = sha256_of(model)
    if now != recorded.source.sha256:
        found.append(Change(f"sha256 of {recorded.source.file}", recorded.source.sha256, now))
    known = [f.sha256 for f in recorded.data.files]
    for i, file in enumerate(files):
        now = sha256_of(file)
        if i >= len(known) or now != known[i]:
            found.append(Change(f"sha256 of {file.name}", known[i] if i < len(known) else None, now))
    return tuple(found)


def _noted(recorded: Report, prices: Mapping[str, str]) -> tuple[Change, ...]:
    own = {"versions": dict(recorded.versions), "cost_models": dict(recorded.cost_models)}
    return changes(own, {"versions": versions(), "cost_models": dict(prices)}, ())


def _of(kind: Any, values: Mapping[str, Any], where: str, skip: tuple[str, ...] = ()) -> Any:
    """The options `kind` from plain data; what a newer or older snnport does not know is refused, not dropped."""
    names = {f.name for f in fields(kind)}
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items() if key not in skip}
    strange = sorted(set(given) - names)
    if strange:
        raise InvalidInput(where, f"it has options that this snnport does not know: {', '.join(strange)}", "Update snnport")
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise InvalidInput(where, f"its options cannot be used: {error}") from None
