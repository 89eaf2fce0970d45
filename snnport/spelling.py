"""Frozen dataclasses as text, `name{option=value,...}`, and back: passes, losses, encoders, whatever a user chooses by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from snnport.errors import InvalidInput, UnknownName

_SPELLING = re.compile(r"(?P<name>[a-z][a-z0-9-]*)(?:\{(?P<options>[^{}]*)\})?")
_BOOLEANS = {"true": True, "false": False}


def spell(name: str, part: Any) -> str:
    """The text that stands for `part`: its name and all its options, in the order of the fields."""
    options = ",".join(f"{f.name}={_plain(getattr(part, f.name))}" for f in fields(part))
    return f"{name}{{{options}}}" if options else name


def parse(kind: str, load: Callable[[str], Any], text: str) -> Any:
    """What `text` spells. kind: the word for one of them in messages. load: the class of a name, or UnknownName.

    Raises UnknownName for a name or an option that is not known, InvalidInput where the spelling or a value is wrong.
    """
    match = _SPELLING.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{kind} '{text}'", "it is not spelled name{option=value,...}")
    made = load(match["name"])
    known = {f.name: str(f.type) for f in fields(made)}
    options: dict[str, Any] = {}
    for part in filter(None, (match["options"] or "").split(",")):
        key, separator, value = part.partition("=")
        if not separator:
            raise InvalidInput(f"{kind} '{text}'", f"option '{part}' has no value", "Write option=value")
        if key.strip() not in known:
            raise UnknownName.among(f"option of {match['name']}", key.strip(), list(known))
        options[key.strip()] = _value(f"{kind} '{text}'", known[key.strip()], value.strip())
    try:
        return made(**options)
    except TypeError:
        missing = ", ".join(name for name in known if name not in options)
        raise InvalidInput(f"{kind} '{text}'", f"it lacks one of its options: {missing}") from None


def parse_among(kind: str, table: Mapping[str, type[Any]], text: str) -> Any:
    """`parse` for the classes of `table`."""

    def load(name: str) -> type[Any]:
        if name not in table:
            raise UnknownName.among(kind, name, list(table))
        return table[name]

    return parse(kind, load, text)


def spell_among(table: Mapping[str, type[Any]], part: Any) -> str:
    """The text that `parse_among` turns into `part`."""
    return spell(next(name for name, made in table.items() if made is type(part)), part)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(where: str, type_name: str, value: str) -> Any:
    readers: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str, "bool": _BOOLEANS.__getitem__}
    try:
        if type_name.endswith("| None"):
            return None if value == "None" else readers[type_name.removesuffix(" | None")](value)
        return readers[type_name](value)
    except (KeyError, ValueError):
        raise InvalidInput(where, f"'{value}' is no {type_name}") from None
