"""The simulated chip "cpu": everything the engine runs, on cores whose numbers are in chip.toml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from snnport.chip import Chip
from snnport.convention import coding_of
from snnport.fixed import signed_range
from snnport.graph import Graph, names_of
from snnport.passes.alif_to_nir import NirToAlif, taken_together
from snnport.passes.base import Pass
from snnport.passes.quantize_shifts import QuantizeShifts
from snnport.program import Program, placed
from snnport.targets.base import Target
from snnport.targets.cpu.leaky import FRACTION, LEAKY, leaky_neurons, shifted, unit_of
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
    cell = Cell(v_range=signed_range(int(chip["state_bits"])))
    populations, controls = neurons(what, cell)
    leaky, biases = leaky_neurons(what, cell)
    if not leaky:
        return assemble(what, "cpu", chip, populations, controls, SEMANTICS)
    program = assemble(what, "cpu", chip, (*populations, *leaky), (*controls, *biases), SEMANTICS)
    families = {p.name: p.neuron.family for p in program.populations}
    held = tuple(shifted(projection, families, WEIGHT_BITS) for projection in program.projections)
    scale = {p.name: what.scale[p.name] / unit_of(p.neuron) for p in program.populations if p.name in what.scale}
    return replace(program, projections=held, meta={**program.meta, "scale": scale})


def prepare(graph: Graph, chip: Chip) -> tuple[Pass, ...]:
    """Codes for a spiking network in real numbers; of one with leaky neurons each projection may have a shift of its own.

    An adaptive neuron in NIR's own nodes is taken together first.
    """
    whole = taken_together(graph)
    first = () if whole is graph else (NirToAlif(),)
    found = quantising(whole, bits=WEIGHT_BITS, threshold_bits=int(chip["state_bits"]))
    if found and names_of(whole, *LEAKY):
        return (*first, QuantizeShifts(WEIGHT_BITS, int(chip["state_bits"]) - FRACTION))
    return (*first, *found)


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
    prepare,
)
