"""What a code is: what it refuses, and how it writes a quantised network in spikes.

To add one: a file here with one Code, its line in table.py; its neuron in reference/codes/ (one step of it, the oracle);
its engine neurons in targets/codes/; its row and its proof in docs/codes.md; its line in the tests of passes/test_road.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import nir

from snnport.convention import CODED, Coding, Convention
from snnport.encoders import CountEncoder
from snnport.graph import Graph, predecessors
from snnport.passes.base import Context


@dataclass(frozen=True, eq=False)
class Order:
    """What a code is asked for. encoder: of the input, as the quantised graph has it. steps: 0 for the code's own choice.

    spelling: of the pass that asks, for messages. ctx: where it notes what became of the nodes.
    """

    encoder: CountEncoder
    steps: int
    ctx: Context
    spelling: str


@dataclass(frozen=True)
class Code:
    """One code. lossless: its programs give the integers of the quantised ANN, on every sample.

    clips: the quantised ANN's counts end at its levels; else they have no bound. own_input_levels: the input may have another
    number of levels than the layers. refuse: raises PassFailed, naming nodes, for a graph that it cannot carry.
    write: the spiking graph without its header, and its coding. convention: what its neurons mean beside their windows.
    levels: the default. messages: a count travels in one piece, so that signed input needs no second population, thresholds are
    powers of two and counts are clipped only where sums would grow too large. divides: else all thresholds are 1.
    """

    name: str
    lossless: bool
    refuse: Callable[[Graph, str], None]
    write: Callable[[Graph, Order], tuple[Graph, Coding]]
    clips: bool = True
    own_input_levels: bool = True
    convention: Convention = CODED
    levels: int = 16
    messages: bool = False
    divides: bool = True


CODED_TO_ZERO = CODED.having(reset="zero")
"""The convention of codes whose neurons go back to zero when they fire."""


def carry_everything(graph: Graph, spelling: str) -> None:
    """Refuse nothing."""


def encoded(encoder: CountEncoder, kind: str) -> CountEncoder:
    """`encoder` with another way to spread the spikes of a count."""
    return CountEncoder(kind, encoder.step, encoder.levels, encoder.signed)


def populations_before(graph: Graph, name: str) -> list[str]:
    """The Input and the firing neurons whose spikes reach node `name` without another neuron between."""
    found, stack = [], list(predecessors(graph, name))
    while stack:
        here = stack.pop()
        if isinstance(graph.nodes[here], nir.Input | nir.IF):
            found.append(here)
        else:
            stack.extend(predecessors(graph, here))
    return found
