"""A chip's numbers, each written once, in a chip.toml, with its source and how far to trust it.

The file (docs/formats.md):

    target = "cpu"                # the registered target whose rules and lowering apply
    name = "cpu"
    description = "..."
    extends = "cpu"               # optional: start from a shipped chip and change some numbers

    [numbers.cores]
    value = 64
    unit = "cores"
    source = "docs/semantics.md, section 4"
    confidence = "defined"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snnport.errors import InvalidInput, UnknownName

CONFIDENCES = ("defined", "measured", "documented", "secondary", "low")
"""defined: ours to choose; measured: on silicon or RTL; documented: by the maker; secondary: quoted by others; low: guessed."""


@dataclass(frozen=True)
class Number:
    """One number of a chip. `value` is an int, a float, or a tuple of them (one a core)."""

    value: Any
    unit: str
    source: str
    confidence: str


@dataclass(frozen=True)
class Chip:
    """The numbers of one chip, by name. `chip["cores"]` is the bare value, `chip.numbers["cores"]` has its source."""

    name: str
    target: str
    description: str
    numbers: Mapping[str, Number]

    def __getitem__(self, name: str) -> Any:
        if name not in self.numbers:
            raise UnknownName.among(f"number of chip {self.name}", name, list(self.numbers))
        return self.numbers[name].value

    def to_json(self) -> dict[str, Any]:
        """Plain data that from_json takes back."""
        return {
            "name": self.name,
            "target": self.target,
            "description": self.description,
            "numbers": {
                key: {"value": _plain(n.value), "unit": n.unit, "source": n.source, "confidence": n.confidence}
                for key, n in self.numbers.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "chip") -> Chip:
        """The chip that `data` describes. Raises InvalidInput, naming `where` and the entry, if it is malformed."""
        for key in ("name", "target"):
            if not isinstance(data.get(key), str):
                raise InvalidInput(where, f"it has no text entry '{key}'", f'Add {key} = "..." at the top')
        entries = data.get("numbers", {})
        if not isinstance(entries, Mapping):
            raise InvalidInput(where, "'numbers' is not a table", "Write one [numbers.NAME] table a number")
        return cls(
            str(data["name"]),
            str(data["target"]),
            str(data.get("description", "")),
            MappingProxyType({key: _number(where, key, entry) for key, entry in entries.items()}),
        )


def load_chip(path: Path, shipped: Mapping[str, Path] | None = None) -> Chip:
    """The chip described by the TOML file at `path`; a file with `extends` takes its other numbers from a shipped chip.

    `shipped` maps names to the files of the chips that come with snnport. Raises InvalidInput on a damaged file.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such chip file", "Give a chip name or the path of a .toml") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(str(path), f"it is no readable TOML file: {error}") from None
    base = data.get("extends")
    if base is None:
        return Chip.from_json(data, str(path))
    known = shipped or {}
    if not isinstance(base, str) or base not in known:
        raise UnknownName.among("chip", str(base), list(known))
    parent = load_chip(known[base])
    own = Chip.from_json({"target": parent.target, **data}, str(path))
    unknown = sorted(set(own.numbers) - set(parent.numbers))
    if unknown:
        raise InvalidInput(str(path), f"chip '{base}' has no number {', '.join(unknown)}", "Remove it or mend its name")
    return Chip(own.name, own.target, own.description, MappingProxyType({**parent.numbers, **own.numbers}))


def _number(where: str, key: str, entry: Any) -> Number:
    if not isinstance(entry, Mapping) or "value" not in entry:
        raise InvalidInput(f"{where}: numbers.{key}", "it has no 'value'", "Write value = ... under it")
    value = entry["value"]
    parts = value if isinstance(value, list | tuple) else [value]
    if not parts or not all(isinstance(p, int | float) and not isinstance(p, bool) for p in parts):
        raise InvalidInput(f"{where}: numbers.{key}", f"its value {value!r} is no number or list of numbers")
    confidence = str(entry.get("confidence", "low"))
    if confidence not in CONFIDENCES:
        raise UnknownName.among("confidence", confidence, CONFIDENCES)
    return Number(
        tuple(value) if isinstance(value, list) else value,
        str(entry.get("unit", "")),
        str(entry.get("source", "the user's chip file")),
        confidence,
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
