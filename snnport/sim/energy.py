"""Prices on counts: exact integers times published energies, with a low, a middle and a high figure each.

A price model is a TOML file (docs/formats.md); the shipped ones lie in sim/prices. What a model has no price for is listed,
never guessed.

    name = "..."                    # shown beside every figure
    provenance = "analytic"         # one of PROVENANCES
    node_nm = 45                    # left out where unknown
    voltage = 0.9                   # likewise
    targets = ["cpu"]
    unpriced = ["clock tree"]

    [terms.synaptic-additions]
    count = "synaptic_operations"   # one of snnport.sim.counts.TOTALS
    low_pj = 0.1
    mid_pj = 0.1
    high_pj = 0.1
    source = "..."

    [static]                        # optional; power of one chip, multiplied with time and chips
    low_w = 0.1
    mid_w = 0.1
    high_w = 0.1
    source = "..."
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snnport.errors import InvalidInput, UnknownName
from snnport.sim.counts import TOTALS, Counts

PROVENANCES = ("measured", "calibrated", "pre-silicon", "analytic")
"""measured: on silicon; calibrated: fitted to silicon; pre-silicon: simulated circuits; analytic: operation counts times a
table of operation energies."""
STATIC = "static power"
PICO = 1e-12
SHIPPED = Path(__file__).parent / "prices"


@dataclass(frozen=True)
class Band:
    """A low, a middle and a high figure, and where they come from."""

    low: float
    mid: float
    high: float
    source: str


@dataclass(frozen=True)
class Price:
    """`pj` picojoules for each unit of the count called `count`."""

    count: str
    pj: Band


@dataclass(frozen=True)
class PriceModel:
    """Prices of one machine. node_nm, voltage: None where unknown. static_w: power of a chip at rest, None if not known."""

    name: str
    provenance: str
    node_nm: float | None
    voltage: float | None
    targets: tuple[str, ...]
    terms: Mapping[str, Price]
    unpriced: tuple[str, ...]
    static_w: Band | None


@dataclass(frozen=True)
class Term:
    """One priced count, in joules for the whole run. The count of static power is chips x nanoseconds."""

    count: int
    low_j: float
    mid_j: float
    high_j: float


@dataclass(frozen=True)
class EnergyEstimate:
    """Energy of a whole run by one model, in joules, and what the model leaves out."""

    model: str
    provenance: str
    node_nm: float | None
    low_j: float
    mid_j: float
    high_j: float
    terms: Mapping[str, Term]
    unpriced: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `run --json` prints it."""
        return {
            "model": self.model,
            "provenance": self.provenance,
            "node_nm": self.node_nm,
            "low_j": self.low_j,
            "mid_j": self.mid_j,
            "high_j": self.high_j,
            "terms": {name: vars(term) for name, term in self.terms.items()},
            "unpriced": list(self.unpriced),
        }


def price(counts: Counts, model: PriceModel, time_s: float | None) -> EnergyEstimate:
    """Energy of what was counted. time_s: modelled seconds of all samples, for static power; None or 0 where unknown.

    The static term's count is chips x nanoseconds, rounded down. Without a time static power moves to `unpriced`.
    """
    unknown = {name for name, p in model.terms.items() if p.count == "cycles" and counts.cycles is None}
    terms = {name: _term(counts.total(p.count), p.pj, PICO) for name, p in model.terms.items() if name not in unknown}
    unpriced = [*model.unpriced, *(f"{name} (the cycles of the run are not known)" for name in sorted(unknown))]
    if model.static_w is not None and time_s:
        watt_seconds = counts.chips * time_s
        band = model.static_w
        nanoseconds = math.floor(watt_seconds * 1e9)
        terms[STATIC] = Term(nanoseconds, *(w * watt_seconds for w in (band.low, band.mid, band.high)))
    elif model.static_w is not None:
        unpriced.append(f"{STATIC} (the time of the run is not known)")
    low, mid, high = (math.fsum(getattr(t, name) for t in terms.values()) for name in ("low_j", "mid_j", "high_j"))
    frozen = MappingProxyType(terms)
    return EnergyEstimate(model.name, model.provenance, model.node_nm, low, mid, high, frozen, tuple(unpriced))


def _term(count: int, band: Band, unit: float) -> Term:
    return Term(count, count * band.low * unit, count * band.mid * unit, count * band.high * unit)


def models_for(target_name: str) -> tuple[PriceModel, ...]:
    """The shipped models whose `targets` name this target, in order of their file names; () if there are none."""
    return tuple(model for model in _shipped() if target_name in model.targets)


@cache
def _shipped() -> tuple[PriceModel, ...]:
    return tuple(load_model(path) for path in sorted(SHIPPED.glob("*.toml")))


def load_model(path: Path) -> PriceModel:
    """The price model in the TOML file at `path`. Raises InvalidInput, naming the entry, if it is missing or malformed."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such price file", "Give the path of a .toml") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(str(path), f"it is no readable TOML file: {error}") from None
    where = str(path)
    known = {"name", "provenance", "node_nm", "voltage", "targets", "unpriced", "terms", "static"}
    unknown = sorted(set(data) - known)
    if unknown:
        raise InvalidInput(where, f"it has unknown entries {unknown}", f"Known: {', '.join(sorted(known))}")
    provenance = _text(where, data, "provenance")
    if provenance not in PROVENANCES:
        raise UnknownName.among("provenance", provenance, PROVENANCES)
    terms = {}
    for name, entry in _table(where, data, "terms").items():
        place = f"{where}: terms.{name}"
        if not isinstance(entry, Mapping):
            raise InvalidInput(place, "it is no table", f"Write [terms.{name}]")
        count = _text(place, entry, "count")
        if count not in TOTALS:
            raise UnknownName.among("count", count, TOTALS)
        terms[name] = Price(count, _band(place, entry, "pj"))
    static = _table(where, data, "static")
    return PriceModel(
        _text(where, data, "name"),
        provenance,
        _optional_number(where, data, "node_nm"),
        _optional_number(where, data, "voltage"),
        _texts(where, data, "targets"),
        MappingProxyType(terms),
        _texts(where, data, "unpriced"),
        _band(f"{where}: static", static, "w") if static else None,
    )


def _table(where: str, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, Mapping):
        raise InvalidInput(where, f"'{key}' is no table", f"Write [{key}]")
    return value


def _text(where: str, data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidInput(where, f"it has no text '{key}'", f'Add {key} = "..."')
    return value


def _texts(where: str, data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise InvalidInput(where, f"'{key}' is no list of texts", f'Write {key} = ["..."]')
    return tuple(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _optional_number(where: str, data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    if value is not None and not _is_number(value):
        raise InvalidInput(where, f"'{key}' is {value!r}, a number of at least 0 is needed")
    return value


def _band(where: str, entry: Mapping[str, Any], unit: str) -> Band:
    values = [entry.get(f"{level}_{unit}") for level in ("low", "mid", "high")]
    if not all(_is_number(value) for value in values):
        raise InvalidInput(
            where, f"low_{unit}, mid_{unit} and high_{unit} are {values}, three numbers of at least 0 are needed"
        )
    low, mid, high = (float(value or 0) for value in values)
    if not low <= mid <= high:
        raise InvalidInput(where, f"low {low}, mid {mid} and high {high} are not in order", "Sort them")
    return Band(low, mid, high, _text(where, entry, "source"))
