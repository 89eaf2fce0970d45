"""The kinds of error a user can meet. Each names the place, what is wrong with its number and limit, and the remedy.

The command line prints one line for any of them and exits with 1; every other exception is a fault of snnport.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


class SnnportError(Exception):
    """Base of every error that is the input's and not ours.

    Attributes:
        where: the node, file, option or pass the error is about.
        what: what is wrong, with its number and the limit.
        remedy: what to do next; empty where nothing can be done.
    """

    def __init__(self, where: str, what: str, remedy: str = "") -> None:
        self.where = where
        self.what = what
        self.remedy = remedy
        super().__init__(str(self))

    @property
    def kind(self) -> str:
        """The name of the kind, as it stands in `--json` output."""
        return type(self).__name__

    def __str__(self) -> str:
        parts = [f"{self.where}: {_sentence(self.what)}"]
        if self.remedy:
            parts.append(_sentence(self.remedy))
        return " ".join(parts)

    def __reduce__(self) -> tuple[type[SnnportError], tuple[str, str, str]]:
        return type(self), (self.where, self.what, self.remedy)


class UnsupportedNode(SnnportError):
    """A node, operator or option of a source file that has no counterpart here."""


class InvalidGraph(SnnportError):
    """A model file or graph that contradicts itself, is damaged, or holds impossible numbers."""


class InvalidInput(SnnportError):
    """Data given beside the model (samples, labels, traces, chip files) that is missing, damaged or of the wrong shape."""


class PassFailed(SnnportError):
    """A pass whose precondition or promise does not hold."""


class DoesNotFit(SnnportError):
    """A network that breaks a rule of its target."""


class UnknownName(SnnportError):
    """A name that is in no registry."""

    @classmethod
    def among(cls, kind: str, name: str, known: Sequence[str]) -> UnknownName:
        """The error for `name`, with the nearest of the `known` names, or all of them, as the remedy."""
        near = get_close_matches(name, known, n=1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(sorted(known))}"
        return cls(f"{kind} '{name}'", "there is no such name", remedy)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
