"""The simulated chip "cpu": everything the engine runs, on cores whose numbers are in chip.toml."""

from __future__ import annotations

from pathlib import Path

from snnport.chip import Chip
from snnport.convention import coding_of
from snnport.fixed import signed_range
from snnport.graph import Graph
from snnport.program import Program, placed
from snnport.targets.base import Target
from snnport.targets.cpu.rules import GRAPH_RULES, PROGRAM_RULES, WEIGHT_BITS, demand, limits
from snnport.targets.graded import NUMBERS, graded_program
from snnport.targets.lowering import Cell, assemble, neurons, plan
from snnport.targets.placement import place_greedily
from snnport.targets.prepare import quantising

SEMANTICS = "integrate and fire in time steps"
MESSAGES = "numbers as messages, a layer a step"


def lower(graph: Graph, chip: Chip) -> Program:
    """A program of engine neurons. In a converted network a spike takes one step to the next layer, in every other none.

    Potentials of neurons that are always open saturate at the width of the state register.
    """
    what = plan(graph, forward_delay=0 if coding_of(graph.metadata) is None else 1)
    if what.coding is not None and what.coding.code in NUMBERS:
        return graded_program(what, "cpu", chip, MESSAGES, clips=True)
    populations, controls = neurons(what, Cell(v_range=signed_range(int(chip["state_bits"]))))
    return assemble(what, "cpu", chip, populations, controls, SEMANTICS)


def place(program: Program, chip: Chip) -> Program:
    """Fill one core after the other."""
    return placed(program, place_greedily(program, demand(program), limits(chip)))


CPU = Target(
    "cpu",
    Path(__file__).with_name("chip.toml"),
    GRAPH_RULES,
    PROGRAM_RULES,
    lower,
    place,
    lambda graph, chip: quantising(graph, bits=WEIGHT_BITS, threshold_bits=int(chip["state_bits"])),
)
