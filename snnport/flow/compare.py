"""Two traces: the first difference and its class. Two reports: what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.report.changes import Change, changes
from snnport.sim.causes import UNKNOWN
from snnport.trace import Divergence, Trace, first_divergence, spikes_compared

MAX_SHIFT, AROUND = 8, 8
"""Steps by which a trace may be late to be called late, and steps shown before and after the first difference."""


@dataclass(frozen=True)
class Window:
    """Both traces of the diverging neuron around the first difference: spikes, and potentials where both recorded them.

    first_step: of the windows, which are cut at the ends of the traces.
    """

    first_step: int
    expected_spikes: tuple[float, ...]
    actual_spikes: tuple[float, ...]
    expected_v: tuple[float, ...]
    actual_v: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """first: None if equal. cause: its class, one of sim.causes.CAUSES or "unknown"; it comes of running the program again
    (flow/explain.py), and without a program only "delay" can be told. detail: in words, what differs or what the other
    executor does. also: other causes that give the very same trace. around: both traces there.
    """

    first: Divergence | None
    cause: str
    spikes_compared: int
    detail: str = ""
    also: tuple[str, ...] = ()
    around: Window | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `compare --json` prints it."""
        first = self.first
        return {
            "schema": 1,
            "equal": first is None,
            "first": None
            if first is None
            else {
                "quantity": first.quantity,
                "population": first.population,
                "sample": first.sample,
                "step": first.step,
                "neuron": first.neuron,
                "expected": first.expected,
                "actual": first.actual,
                "cause": self.cause,
                "detail": self.detail,
                "also": list(self.also),
            },
            "around": None if self.around is None else asdict(self.around),
            "spikes_compared": self.spikes_compared,
        }


def compare_traces(expected: Trace, actual: Trace) -> Comparison:
    """The first divergence between two traces of the same populations, samples and steps."""
    first = first_divergence(expected, actual)
    if first is None:
        return Comparison(None, "", spikes_compared(expected))
    a, b = (getattr(trace, first.quantity)[first.population] for trace in (expected, actual))
    shift = _shift(a, b)
    cause, detail = ("delay", shift) if shift else (UNKNOWN, _difference(first))
    return Comparison(first, cause, spikes_compared(expected), detail, (), _around(first, expected, actual))


def _shift(expected: npt.NDArray[Any], actual: npt.NDArray[Any]) -> str:
    """How late or early the actual array (n_samples, n_steps, n) is, if it is the expected one otherwise; else ""."""
    for shift in range(1, min(MAX_SHIFT, expected.shape[1] - 1) + 1):
        if expected.any() and np.array_equal(expected[:, :-shift], actual[:, shift:]) and not actual[:, :shift].any():
            return f"the actual trace is {shift} step{'s' * (shift > 1)} late"
        if expected.any() and np.array_equal(expected[:, shift:], actual[:, :-shift]) and not expected[:, :shift].any():
            return f"the actual trace is {shift} step{'s' * (shift > 1)} early"
    return ""


def _difference(first: Divergence) -> str:
    if first.quantity == "v":
        return f"the potential is off by {first.actual - first.expected:+g}"
    return "a spike is missing" if first.actual < first.expected else "there is an extra spike"


def _around(first: Divergence, expected: Trace, actual: Trace) -> Window:
    start = max(0, first.step - AROUND)
    place = (first.sample, slice(start, first.step + AROUND + 1), first.neuron)

    def cut(arrays: Mapping[str, Any], others: Mapping[str, Any]) -> tuple[float, ...]:
        both = first.population in arrays and first.population in others
        return tuple(float(value) for value in arrays[first.population][place]) if both else ()

    spikes, v = (expected.spikes, actual.spikes), (expected.v, actual.v)
    return Window(start, cut(*spikes), cut(*spikes[::-1]), cut(*v), cut(*v[::-1]))


def expected_trace(path: Path, population: str) -> Trace:
    """The recording at `path`: a trace .npz, or a .csv without header (input, v, spike; one neuron, one row a step).

    Raises InvalidInput if the file is neither. The columns of a .csv are taken for those of `population`.
    """
    return _csv(path, population) if path.suffix == ".csv" else Trace.load(path)


def without_probe(expected: Trace, reading: int) -> tuple[Trace, int]:
    """`expected` with 0 for what a chip's probe reads of v in the step of a spike, and how many readings that were.

    Loihi 2's probe shows 128 in exactly those steps (see chip.toml: probe_at_spike). A population in which one spike has
    another reading was not recorded by that probe, and stays as it is.
    """
    v, total = dict(expected.v), 0
    for name in expected.v.keys() & expected.spikes.keys():
        fired = expected.spikes[name] > 0
        if fired.any() and np.all(expected.v[name][fired] == reading):
            v[name] = np.where(fired, 0, expected.v[name])
            total += int(np.count_nonzero(fired))
    return Trace(expected.spikes, v, expected.meta), total


def aligned(expected: Trace, actual: Trace, delay: int) -> tuple[Trace, Trace]:
    """Both traces, cut to the steps that have a partner: step t of `actual` stands beside step t + delay of `expected`.

    What `expected` did not record is left out of `actual`. Raises InvalidInput if no step is left.
    """
    late, early = max(delay, 0), max(-delay, 0)
    steps = [a.shape[1] for a in (*expected.spikes.values(), *expected.v.values())]
    if steps and max(late, early) >= min(steps):
        raise InvalidInput(f"--delay {delay}", f"the recording has only {min(steps)} steps")

    def cut(arrays: Mapping[str, Any], wanted: Mapping[str, Any], first: int, last: int) -> dict[str, Any]:
        return {name: a[:, first : a.shape[1] - last] for name, a in arrays.items() if name in wanted}

    return (
        Trace(cut(expected.spikes, expected.spikes, late, early), cut(expected.v, expected.v, late, early), expected.meta),
        Trace(cut(actual.spikes, expected.spikes, early, late), cut(actual.v, expected.v, early, late), actual.meta),
    )


def without_end(actual: Trace, expected: Trace, late: int) -> Trace:
    """`actual` without its last `late` steps, in which an answer is still on its way, where the recording ends before them."""
    recorded, steps = (
        {array.shape[1] for array in (*trace.spikes.values(), *trace.v.values())} for trace in (expected, actual)
    )
    if not late or steps != {n + late for n in recorded}:
        return actual
    cut = [{name: array[:, :-late] for name, array in part.items()} for part in (actual.spikes, actual.v)]
    return Trace(cut[0], cut[1], actual.meta)


def matching(expected: Trace, known: Sequence[str], where: str) -> None:
    """Raises InvalidInput where the recording names populations that the network does not have, with those it has."""
    strange = [name for name in dict.fromkeys((*expected.spikes, *expected.v)) if name not in known]
    if strange:
        what = f"it records {', '.join(strange)}, and the network has no such population"
        raise InvalidInput(where, what, f"Its populations are {', '.join(known)}")


def settled(expected: Trace, actual: Trace, starts: Mapping[str, int], early: int) -> tuple[Trace, Trace]:
    """Both traces, equal before the step in which a population's sample begins: what came before belongs to no sample.

    starts: that step of the run, by population. early: steps that `aligned` cut off the run.
    """
    spikes, v = dict(expected.spikes), dict(expected.v)
    for name, start in starts.items():
        for wanted, own in ((spikes, actual.spikes), (v, actual.v)):
            first = max(start - early, 0)
            if name in wanted and wanted[name].shape == own[name].shape:
                wanted[name] = np.concatenate((own[name][:, :first], wanted[name][:, first:]), axis=1)
    return Trace(spikes, v, expected.meta), actual


def _csv(path: Path, population: str) -> Trace:
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise InvalidInput(str(path), f"it is no readable table of numbers: {error}") from None
    if table.shape[1] != 3:
        raise InvalidInput(str(path), f"it has {table.shape[1]} columns, input, v and spike are 3")
    return Trace({population: table[None, :, 2:].astype(np.int64)}, {population: table[None, :, 1:2]})


def compare_files(a: Path, b: Path) -> dict[str, Any]:
    """Two traces (.npz) or two reports (.json), as `compare --json` prints it."""
    if a.suffix == b.suffix == ".json":
        changed = compare_reports(a, b)
        return {"schema": 1, "equal": not changed, "changes": [vars(change) for change in changed]}
    return compare_traces(Trace.load(a), Trace.load(b)).to_json()


def compare_reports(a: Path, b: Path) -> tuple[Change, ...]:
    """Every number and text in which two JSON reports differ; when they were made and how long that took is no difference."""
    return changes(_json(a), _json(b), ())


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(str(path), f"it is no JSON report: {error}") from None
