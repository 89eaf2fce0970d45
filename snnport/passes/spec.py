"""Passes from their spelling, `quantize-weights{bits=8}`, so that a report can be replayed."""

from __future__ import annotations

from snnport.passes.base import Pass
from snnport.registry import PASSES
from snnport.spelling import parse


def parse_pass(text: str) -> Pass:
    """The pass that `text` spells. Raises UnknownName or InvalidInput, naming the part that is wrong."""
    result = parse("pass", PASSES.load, text)
    assert isinstance(result, Pass)
    return result
