"""Two traces: the first difference and its class. Two reports: what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.trace import Divergence, Trace, first_divergence, spikes_compared

MAX_SHIFT = 8


@dataclass(frozen=True)
class Comparison:
    """first: None if equal. cause: its class, a statement about the two traces, not a guess at their makers."""

    first: Divergence | None
    cause: str
    spikes_compared: int

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
            },
            "spikes_compared": self.spikes_compared,
        }


def compare_traces(expected: Trace, actual: Trace) -> Comparison:
    """The first divergence between two traces of the same populations, samples and steps."""
    first = first_divergence(expected, actual)
    if first is None:
        return Comparison(None, "", spikes_compared(expected))
    a, b = (getattr(trace, first.quantity)[first.population] for trace in (expected, actual))
    return Comparison(first, _cause(first, a, b), spikes_compared(expected))


def _cause(first: Divergence, expected: npt.NDArray[Any], actual: npt.NDArray[Any]) -> str:
    for shift in range(1, min(MAX_SHIFT, expected.shape[1] - 1) + 1):
        if expected.any() and np.array_equal(expected[:, :-shift], actual[:, shift:]) and not actual[:, :shift].any():
            return f"delay: the actual trace is {shift} step{'s' * (shift > 1)} late"
        if expected.any() and np.array_equal(expected[:, shift:], actual[:, :-shift]) and not expected[:, :shift].any():
            return f"delay: the actual trace is {shift} step{'s' * (shift > 1)} early"
    if first.quantity == "v":
        return f"potential: off by {first.actual - first.expected:+g}"
    return "missing spike" if first.actual < first.expected else "extra spike"


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
        changes = [{"entry": entry, "a": left, "b": right} for entry, left, right in changed]
        return {"schema": 1, "equal": not changed, "changes": changes}
    return compare_traces(Trace.load(a), Trace.load(b)).to_json()


def compare_reports(a: Path, b: Path) -> list[tuple[str, Any, Any]]:
    """Every number and text in which two JSON reports differ: (path of the entry, value in a, value in b)."""
    left, right = (_flat(_json(path)) for path in (a, b))
    keys = [*left, *(key for key in right if key not in left)]
    return [(key, left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such file") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(str(path), f"it is no JSON report: {error}") from None


def _flat(data: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(data, dict):
        return {k: v for key, value in data.items() for k, v in _flat(value, f"{prefix}.{key}" if prefix else key).items()}
    if isinstance(data, list):
        return {k: v for i, value in enumerate(data) for k, v in _flat(value, f"{prefix}[{i}]").items()}
    return {prefix: data}
