"""What a verb hands to the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shown:
    """A verb's result.

    found: the document of --json.
    table: makes what a terminal shows of the same; called only where a person reads.
    good: exit code 0, else 1.
    """

    found: dict[str, Any]
    table: Callable[[], Any]
    good: bool = True
