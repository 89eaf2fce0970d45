"""The conversion ledger: every node of the source, and what became of it.

An importer opens the ledger with one entry a source node; each pass adds an entry for every node that it folds, merges,
replaces or drops. `settle` follows the entries to the end and refuses a conversion that cannot account for a node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from snnport.errors import PassFailed

FATES = ("became", "folded", "merged", "dropped")


@dataclass(frozen=True)
class Entry:
    """One step in the life of a node.

    node: name of the node (of the source file for the importer's entries, of the graph for a pass's).
    kind: its operator or node type. fate: one of FATES. into: names of the graph nodes that carry on its work; empty if
    it is dropped. why: the reason, for people. by: the importer or the pass, spelled as on the command line.
    """

    node: str
    kind: str
    fate: str
    into: tuple[str, ...]
    why: str
    by: str


@dataclass(frozen=True)
class Settled:
    """The end of one source node: the nodes of the final graph that do its work, and every step on the way."""

    node: str
    kind: str
    final: tuple[str, ...]
    steps: tuple[Entry, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for reports."""
        return {"node": self.node, "kind": self.kind, "final": list(self.final), "steps": [asdict(s) for s in self.steps]}


def settle(source: Iterable[Entry], passes: Iterable[Entry], final: Collection[str]) -> tuple[Settled, ...]:
    """Follow every `source` entry through the entries of the `passes` (in order) to nodes of the `final` graph.

    Raises PassFailed, naming every node that neither reaches the final graph nor was dropped for a reason.
    """
    later: dict[str, list[Entry]] = {}
    for entry in passes:
        later.setdefault(entry.node, []).append(entry)
    result, lost = [], []
    for opening in source:
        steps, ends, seen = [opening], set[str](), set[str]()
        frontier = list(opening.into)
        dropped = opening.fate == "dropped" and bool(opening.why)
        while frontier:
            name = frontier.pop(0)
            if name in seen:
                continue
            seen.add(name)
            entries = later.get(name, [])
            steps.extend(entries)
            for entry in entries:
                frontier.extend(entry.into)
                dropped = dropped or (entry.fate == "dropped" and bool(entry.why))
            if name in final:
                ends.add(name)
        if not ends and not dropped:
            lost.append(f"{opening.node} ({opening.kind})")
        result.append(Settled(opening.node, opening.kind, tuple(sorted(ends)), tuple(steps)))
    if lost:
        raise PassFailed(
            "ledger", f"{len(lost)} source nodes are not accounted for: {', '.join(lost)}", "Report this as a fault"
        )
    return tuple(result)
