"""What every importer returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from snnport.convention import Coding, Convention
from snnport.graph import Graph
from snnport.ledger import Entry


@dataclass(frozen=True, eq=False)
class Imported:
    """A graph in canonical form and the story of the file it came from.

    format: "onnx", "nir" or "netx". dialect, evidence: for .nir, which framework wrote it and how one can tell.
    convention: how its neurons are meant (None for an ANN, or while something is ambiguous). coding: for networks that
    snnport converted. ambiguous: what the file leaves open; each entry names the flag that settles it. repairs: what was
    changed on reading. ledger: one entry a node of the source. input_layout: "as-is", or "nhwc" if the file's own input is
    (height, width, channels) and the graph's is (channels, height, width).
    """

    graph: Graph
    format: str
    ledger: tuple[Entry, ...] = ()
    dialect: str = ""
    evidence: tuple[str, ...] = ()
    convention: Convention | None = None
    coding: Coding | None = None
    ambiguous: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    input_layout: str = field(default="as-is")
