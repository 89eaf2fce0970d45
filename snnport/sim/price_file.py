"""Price models from TOML files (docs/energy.md, "A price file"). Every refusal names the file and the entry."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snnport.errors import InvalidInput, UnknownName
from snnport.sim.counts import TOTALS
from snnport.sim.price_model import CORE_COUNTS, PROVENANCES, Analytic, Band, Price, PriceModel, TimeModel
from snnport.sim.workload import DERIVED

SHIPPED = Path(__file__).parent / "prices"
KNOWN = (
    *("name", "provenance", "node_nm", "voltage", "targets", "what_if", "unpriced"),
    *("terms", "static", "time", "analytic", "multiply"),
)
TIME_ENTRIES = ("barrier", "barrier_chips", *CORE_COUNTS)


def load_model(path: Path) -> PriceModel:
    """The price model in the TOML file at `path`. Raises InvalidInput, naming the entry, if it is missing or malformed."""
    where, data = str(path), _read(path)
    unknown = sorted(set(data) - set(KNOWN))
    if unknown:
        raise InvalidInput(where, f"it has unknown entries {unknown}", f"Known: {', '.join(sorted(KNOWN))}")
    provenance = _text(where, data, "provenance")
    if provenance not in PROVENANCES:
        raise UnknownName.among("provenance", provenance, PROVENANCES)
    static, time, analytic, multiply = (_table(where, data, key) for key in ("static", "time", "analytic", "multiply"))
    terms = {name: _price(f"{where}: terms.{name}", name, entry) for name, entry in _table(where, data, "terms").items()}
    if not (terms or static or analytic):
        raise InvalidInput(where, "it prices nothing", "Add a [terms.NAME], [static] or [analytic]")
    return PriceModel(
        _text(where, data, "name"),
        provenance,
        _optional_number(where, data, "node_nm"),
        _optional_number(where, data, "voltage"),
        _texts(where, data, "targets"),
        MappingProxyType(terms),
        _texts(where, data, "unpriced"),
        _band(f"{where}: static", static, "w") if static else None,
        _texts(where, data, "what_if"),
        _time(f"{where}: time", time) if time else None,
        _analytic(f"{where}: analytic", analytic) if analytic else None,
        _band(f"{where}: multiply", multiply, "pj") if multiply else None,
    )


@cache
def shipped() -> tuple[PriceModel, ...]:
    """The models that come with snnport, in order of their file names."""
    return tuple(load_model(path) for path in sorted(SHIPPED.glob("*.toml")))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such price file", "Give the path of a .toml") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(str(path), f"it is no readable TOML file: {error}") from None


def _price(where: str, name: str, entry: Any) -> Price:
    if not isinstance(entry, Mapping):
        raise InvalidInput(where, "it is no table", f"Write [terms.{name}]")
    count = _text(where, entry, "count")
    if count not in (*TOTALS, *DERIVED):
        raise UnknownName.among("count", count, (*TOTALS, *DERIVED))
    return Price(count, _band(where, entry, "pj"))


def _time(where: str, data: Mapping[str, Any]) -> TimeModel:
    bands: dict[str, Band] = {}
    for name, entry in data.items():
        if name not in TIME_ENTRIES:
            raise UnknownName.among("entry of [time]", name, TIME_ENTRIES)
        if not isinstance(entry, Mapping):
            raise InvalidInput(f"{where}.{name}", "it is no table", f"Write [time.{name}]")
        bands[name] = _band(f"{where}.{name}", entry, "ns")
    if "barrier" not in bands:
        raise InvalidInput(where, "it has no 'barrier'", "Add [time.barrier], of zeros if the machine waits for nothing")
    barrier, chips = bands.pop("barrier"), bands.pop("barrier_chips", None)
    return TimeModel(barrier, MappingProxyType(bands), chips)


def _analytic(where: str, data: Mapping[str, Any]) -> Analytic:
    numbers = {key: data.get(key) for key in ("add_pj", "multiply_pj", "word_bits", "queue_messages")}
    wrong = [key for key, value in numbers.items() if not _is_number(value)]
    if wrong:
        raise InvalidInput(where, f"{', '.join(wrong)} must be numbers of at least 0", "Add them")
    points = [data.get("memory_bytes"), data.get("memory_pj")]
    if not all(isinstance(p, list) and p and all(_is_number(v) for v in p) for p in points):
        raise InvalidInput(where, "memory_bytes and memory_pj must be lists of numbers of at least 0")
    sizes, energies = (tuple(float(v) for v in p or ()) for p in points)
    if len(sizes) != len(energies) or list(sizes) != sorted(set(sizes)):
        raise InvalidInput(where, f"memory_bytes {sizes} and memory_pj {energies} must be equally long, the sizes ascending")
    word_bits, queue = int(numbers["word_bits"] or 0), int(numbers["queue_messages"] or 0)
    if word_bits < 1:
        raise InvalidInput(where, f"word_bits is {word_bits}, at least 1 is needed")
    add, multiply = float(numbers["add_pj"] or 0), float(numbers["multiply_pj"] or 0)
    return Analytic(add, multiply, word_bits, sizes, energies, queue, _text(where, data, "source"))


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
