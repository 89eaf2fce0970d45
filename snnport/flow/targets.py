"""The targets, and everything about one: numbers with sources, rules with their texts."""

from __future__ import annotations

from typing import Any

from snnport.registry import TARGETS
from snnport.targets.base import resolve_target


def listing() -> dict[str, Any]:
    """Every registered target with its description."""
    chips = [resolve_target(name).chip for name in TARGETS.names()]
    return {"schema": 1, "targets": [{"name": chip.name, "description": chip.description} for chip in chips]}


def describe(name: str) -> dict[str, Any]:
    """One target: its chip's numbers, each with unit, source and confidence, and its rules."""
    target = resolve_target(name)
    rules = [{"name": rule, "text": text} for rule, text in target.rules()]
    return {"schema": 1, **target.chip.to_json(), "rules": rules}
