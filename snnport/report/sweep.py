"""The result of `snnport sweep` as plain data: one row a cell of the grid, and which rows no other row beats.

Latency, energies, cycles, spikes and operations are means over the samples; every total they come from is an exact integer or a
sum in a fixed order, so that a row is the same wherever and how often it is computed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from snnport.errors import InvalidInput
from snnport.report.plain import read, write
from snnport.report.report import DataFile, Source

SCHEMA = 1
OBJECTIVES: Mapping[str, Literal["high", "low"]] = {
    "accuracy": "high",
    "energy_j": "low",
    "latency": "low",
    "synaptic_operations": "low",
}
"""What a cell is judged by, and whether high or low is better. The accuracy is the agreement where there are no labels."""
DONE, UNFIT, FAILED = "done", "does not fit", "failed"


@dataclass(frozen=True)
class Row:
    """One cell: its place in the grid, whether it ran (status) or why not (reason), and what was measured.

    agreement: share of samples with the float network's arg-max, where the data has no labels. energy_j: mid of the target's
    first price model, low and high its range, joules. latency_s: None where the target has no clock; steps are always known.
    """

    target: str
    code: str
    levels: int
    bits: int
    thresholds: str
    status: str
    reason: str = ""
    samples: int = 0
    correct: int | None = None
    accuracy: float | None = None
    agreement: float | None = None
    steps: int | None = None
    latency_s: float | None = None
    cycles: float | None = None
    energy_model: str = ""
    energy_j: float | None = None
    energy_low_j: float | None = None
    energy_high_j: float | None = None
    synaptic_operations: float | None = None
    spikes: float | None = None
    chips: int | None = None
    pareto: bool = False

    @property
    def name(self) -> str:
        """The cell in words."""
        levels = f", {self.levels} levels" if self.levels else ""
        bits = f", {self.bits} bits" if self.bits else ""
        chosen = f", thresholds {self.thresholds}" if self.thresholds not in ("", "mse") else ""
        return f"{self.target}: {self.code}{levels}{bits}{chosen}"

    def objective(self, name: str) -> float | None:
        """The figure a row is judged by; latency falls back on steps where there is no clock."""
        if name == "accuracy":
            return self.agreement if self.accuracy is None else self.accuracy
        if name == "latency":
            return self.latency_s
        value: float | None = getattr(self, name)
        return value


@dataclass(frozen=True)
class SweepReport:
    """All rows of a sweep in the order of the grid. reading, inputs: as on the command line. seeds: of every random choice."""

    source: Source
    data: tuple[DataFile, ...]
    versions: Mapping[str, str]
    inputs: Mapping[str, Any]
    rows: tuple[Row, ...]
    cost_models: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data that from_text takes back."""
        return {"schema": SCHEMA, "kind": "sweep", **write(self)}

    def to_text(self) -> str:
        """The JSON document."""
        return json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_text(cls, text: str, where: str = "sweep") -> SweepReport:
        """The sweep in a JSON document. Raises InvalidInput if it is none or damaged."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(where, f"it is no JSON document: {error}", "Give the sweep.json of snnport sweep") from None
        if not isinstance(data, Mapping) or (data.get("schema"), data.get("kind")) != (SCHEMA, "sweep"):
            raise InvalidInput(where, f"it is no sweep of schema {SCHEMA}", "Give the sweep.json of snnport sweep")
        return read(cls, data, where)


def marked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """`rows` with `pareto` set on those that no other row beats in every objective.

    A row beats another if it knows every objective that the other knows, is nowhere worse and somewhere better. What is unknown
    neither wins nor loses. Rows that did not run take no part.
    """
    ran = [row for row in rows if row.status == DONE]
    return tuple(replace(row, pareto=row.status == DONE and not any(beats(other, row) for other in ran)) for row in rows)


def beats(a: Row, b: Row) -> bool:
    """Whether `a` is at least as good as `b` in all that `b` knows, and better in something."""
    better = False
    for name, wish in OBJECTIVES.items():
        mine, theirs = a.objective(name), b.objective(name)
        if theirs is None:
            continue
        if mine is None:
            return False
        gain = mine - theirs if wish == "high" else theirs - mine
        if gain < 0:
            return False
        better = better or gain > 0
    return better
