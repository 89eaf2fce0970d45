"""What a shell completes: names that registries know, also behind a comma. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Callable

from snnport.registry import BUILDERS, PASSES, TARGETS

CODES = ("gate", "ramp", "rate", "ttfs", "delay", "graded", "sigma-delta")
"""The codes of passes/codes/table.py, which is too heavy to import for a key press; a test compares them."""
ENGINES = ("sim", "reference", "vendor")
READOUTS = ("count", "last", "max", "sum")
LAYOUTS = ("ntc", "tnc", "nct")

Completer = Callable[[str], list[str]]


def among(names: tuple[str, ...]) -> Completer:
    """Completes one of `names`, each after what stands before the last comma."""

    def complete(incomplete: str) -> list[str]:
        head, comma, start = incomplete.rpartition(",")
        taken = head.split(",")
        return [f"{head}{comma}{name}" for name in names if name.startswith(start) and name not in taken]

    return complete


def targets(incomplete: str) -> list[str]:
    """Names of targets."""
    return among(TARGETS.names())(incomplete)


def builders(incomplete: str) -> list[str]:
    """Names of builders of networks."""
    return among(BUILDERS.names())(incomplete)


def passes(incomplete: str) -> list[str]:
    """Names of passes."""
    return among(PASSES.names())(incomplete)


codes, engines, readouts, layouts = (among(names) for names in (CODES, ENGINES, READOUTS, LAYOUTS))
