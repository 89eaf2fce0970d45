"""Passes as text: `quantize-weights{bits=8}` to a pass and back, so that a report can be replayed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from snnport.errors import InvalidInput, UnknownName
from snnport.passes.base import Pass
from snnport.registry import PASSES

_BOOLEANS = {"true": True, "false": False}
_SPELLING = re.compile(r"(?P<name>[a-z][a-z0-9-]*)(?:\{(?P<options>[^{}]*)\})?")


def parse_pass(text: str) -> Pass:
    """The pass that `text` spells. Raises UnknownName or InvalidInput, naming the part that is wrong."""
    match = _SPELLING.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"pass '{text}'", "it is not spelled name{option=value,...}")
    kind = PASSES.load(match["name"])
    known = {f.name: f.type for f in fields(kind)}
    options: dict[str, Any] = {}
    for part in filter(None, (match["options"] or "").split(",")):
        key, separator, value = part.partition("=")
        if not separator:
            raise InvalidInput(f"pass '{text}'", f"option '{part}' has no value", "Write option=value")
        if key.strip() not in known:
            raise UnknownName.among(f"option of {match['name']}", key.strip(), list(known))
        options[key.strip()] = _value(text, str(known[key.strip()]), value.strip())
    result = kind(**options)
    assert isinstance(result, Pass)
    return result


def _value(text: str, type_name: str, value: str) -> Any:
    readers: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str, "bool": _BOOLEANS.__getitem__}
    try:
        if type_name.endswith("| None"):
            return None if value == "None" else readers[type_name.removesuffix(" | None")](value)
        return readers[type_name](value)
    except (KeyError, ValueError):
        raise InvalidInput(f"pass '{text}'", f"'{value}' is no {type_name}") from None
