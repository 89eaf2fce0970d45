"""What changed between two documents: entries named by what they are about, not by their place in a list."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snnport.report.units import number

PASSING = ("created", "wall_s")
"""Entries that two runs of one thing never share."""
NAMES = ("target", "name", "model", "node", "rule", "population", "file", "against")
"""Keys that name an entry of a list, the first that is there."""
_MISSING = object()
_NUMBERED = re.compile(r"\[\d+\]$")


@dataclass(frozen=True)
class Change:
    """An entry, and its value in the first and the second document; None where one of them lacks it."""

    entry: str
    a: Any
    b: Any


def changes(a: Any, b: Any, ignored: Collection[str]) -> tuple[Change, ...]:
    """Every number and text in which two documents differ, in the order of the first. ignored: top entries left out."""
    left, right = flat(a, ignored), flat(b, ignored)
    keys = [*left, *(key for key in right if key not in left)]
    found = [(key, left.get(key, _MISSING), right.get(key, _MISSING)) for key in keys]
    return tuple(
        Change(key, None if x is _MISSING else x, None if y is _MISSING else y) for key, x, y in found if not _same(x, y)
    )


def lines(changed: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(entry, before, after) for people: numbered entries of one list that changed together are one line."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for change in changed:
        groups.setdefault(_NUMBERED.sub("[..]", change["entry"]), []).append(change)
    found: list[tuple[str, str, str]] = []
    for name, group in groups.items():
        if len(group) == 1:
            found.append((group[0]["entry"], _text(group[0]["a"]), _text(group[0]["b"])))
            continue
        found.append((name, _told(group, "a"), _told(group, "b")))
    return found


def _told(group: Sequence[Mapping[str, Any]], side: str) -> str:
    n = sum(change[side] is not None for change in group)
    return f"{n} other values" if n else "none"


def _text(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value, 6)
    return value if isinstance(value, str) else json.dumps(value)


def flat(data: Any, ignored: Collection[str] = ()) -> dict[str, Any]:
    """Entry -> value of every number and text of a document, without what two runs never share."""
    found: dict[str, Any] = {}
    stack: list[tuple[str, Any]] = [("", data)]
    while stack:
        prefix, value = stack.pop()
        if isinstance(value, Mapping):
            skipped = {*PASSING, *(ignored if not prefix else ())}
            inner = [(f"{prefix}.{key}" if prefix else str(key), v) for key, v in value.items() if key not in skipped]
        elif isinstance(value, list | tuple):
            inner = list(zip(_named(prefix, value), value, strict=True))
        else:
            found[prefix] = value
            continue
        stack.extend(reversed(inner))
    return found


def _named(prefix: str, items: Sequence[Any]) -> list[str]:
    """A name for every entry of a list: by what it calls itself where that is unique, else by its place."""
    key = next((k for k in NAMES if items and all(isinstance(i, Mapping) and isinstance(i.get(k), str) for i in items)), None)
    own = [str(i) for i in range(len(items))] if key is None else [str(item[key]) for item in items]
    if len(set(own)) < len(own):
        own = [str(i) for i in range(len(items))]
    return [f"{prefix}[{name}]" for name in own]


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b if isinstance(a, bool) or isinstance(b, bool) else bool(a == b)
