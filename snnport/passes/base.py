"""A pass: one change of a graph, checked before and after, never in place.

To add one: a frozen dataclass derived from Pass in a file of its own, its `name`, its options as fields, its line in
registry.PASSES. Its spelling `name{option=value}` is what reports record and the command line reads (spec.py).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from snnport.errors import PassFailed
from snnport.graph import Graph, shapes
from snnport.ledger import Entry
from snnport.spelling import spell


@dataclass
class Context:
    """What passes share beside the graph, and the one thing here that grows.

    calibration: unlabelled samples (n, *input shape) after input scaling, float64; None if no pass needs them.
    entries: what became of each node that a pass changed. findings: measured facts, one list a pass spelling.
    """

    calibration: npt.NDArray[np.float64] | None = None
    entries: list[Entry] = field(default_factory=list)
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, entry: Entry) -> None:
        """Add an entry to the ledger."""
        self.entries.append(entry)

    def find(self, spelling: str, **facts: Any) -> None:
        """Record measured facts about the pass spelled `spelling` (largest error, chosen thresholds)."""
        self.findings.setdefault(spelling, {}).update(facts)

    def samples(self, spelling: str) -> npt.NDArray[np.float64]:
        """The calibration samples. Raises PassFailed if there are none."""
        if self.calibration is None or not len(self.calibration):
            raise PassFailed(spelling, "it needs calibration samples and there are 0", "Give --calibration X.npz")
        return self.calibration


@dataclass(frozen=True)
class Pass(ABC):
    """One change of a graph. Fields are options."""

    name: ClassVar[str]
    seeds: ClassVar[Mapping[str, int]] = MappingProxyType({})
    """Of what `apply` draws at random, by what is drawn; numpy.random.default_rng takes the number."""

    @property
    def spelling(self) -> str:
        """`name{option=value,...}`: all options, in the order of the fields."""
        return spell(self.name, self)

    def requires(self, graph: Graph) -> None:  # noqa: B027
        """Raise if `graph` is not what this pass can work on."""

    @abstractmethod
    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The changed graph; `graph` itself stays as it was."""

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:  # noqa: B027
        """Raise PassFailed if the promise of this pass does not hold between the two graphs."""


def run_passes(graph: Graph, passes: Sequence[Pass], ctx: Context) -> Graph:
    """Apply `passes` in order. Raises what they raise, and PassFailed for one that edits its input or breaks shapes."""
    done: list[str] = []
    for step in passes:
        try:
            step.requires(graph)
            mark = fingerprint(graph)
            result = step.apply(graph, ctx)
            if fingerprint(graph) != mark:
                raise PassFailed(step.spelling, "it changed its input graph in place", "Return a new graph instead")
            shapes(result)
            step.ensures(graph, result, ctx)
        except PassFailed as error:
            if done:
                error.add_note(f"passes that had run: {', '.join(done)}")
            raise
        graph = result
        done.append(step.spelling)
    return graph


def fingerprint(graph: Graph) -> str:
    """A hash of every node, parameter, edge and metadata entry of `graph`."""
    digest = hashlib.sha256(repr((sorted(graph.edges), sorted(graph.metadata.items()))).encode())
    for name in sorted(graph.nodes):
        digest.update(name.encode())
        for key, value in sorted(vars(graph.nodes[name]).items()):
            digest.update(f"{key}:{type(value).__name__}".encode())
            digest.update(np.ascontiguousarray(value).tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.hexdigest()
