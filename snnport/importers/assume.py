"""Rules of a convention that the user states: what a framework did and its file does not say, as `--rules NAME=VALUE,...`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from snnport.convention import CHOICES, Convention
from snnport.errors import InvalidInput, UnknownName

FLAGS = MappingProxyType({"yes": True, "no": False})
COUNTS = ("recurrent_delay", "spike_delay", "synapse_delay")
OWN_OPTION = ("reset", "reset_when")
"""Rules that --reset and --reset-delay state."""
RULES = tuple(sorted({*CHOICES, *COUNTS, "multi_spike", "v_min"} - set(OWN_OPTION)))


def assumed(convention: Convention, text: str) -> Convention:
    """`convention` with the rules in `text`, "multi_spike=no,v_min=none". Raises UnknownName or InvalidInput on wrong ones."""
    changes = parsed(text)
    if "v_min" in changes:
        changes = {**changes, "unbounded": ()}
    return convention.having(**changes)


def parsed(text: str) -> dict[str, Any]:
    """Rule -> value, in Python's types."""
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in RULES:
            raise UnknownName.among("rule", name, RULES)
        found[name] = _value(name, value)
    return found


def _value(name: str, value: str) -> Any:
    if name == "multi_spike":
        return _word(name, value, FLAGS)
    if name in CHOICES:
        return _word(name, value, {word: word for word in CHOICES[name]})
    if name == "v_min" and value == "none":
        return None
    if name in COUNTS and value.isdecimal():
        return int(value)
    try:
        return float(value) if name == "v_min" else _refused(name, value, "a number of steps")
    except ValueError:
        return _refused(name, value, "a number, in units of the threshold, or none")


def _word(name: str, value: str, words: Mapping[str, Any]) -> Any:
    return words[value] if value in words else _refused(name, value, " or ".join(words))


def _refused(name: str, value: str, wanted: str) -> Any:
    raise InvalidInput(f"--rules {name}", f"'{value}' is no value of it", f"Give {wanted}")
