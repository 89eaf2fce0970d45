"""Loihi 2: hard-reset leaky integrate-and-fire neurons with synaptic currents, in the chip's own integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nir

from snnport.chip import Chip
from snnport.graph import Graph, names_of
from snnport.program import Neuron, Population, Program, placed
from snnport.targets.base import Target
from snnport.targets.loihi.cuba import NEURONS, doubled, fields_of, mixed_and_odd, population
from snnport.targets.loihi.memory import demand, limits
from snnport.targets.loihi.rules import GRAPH_RULES, PROGRAM_RULES
from snnport.targets.lowering import assemble, plan
from snnport.targets.placement import place_greedily
from snnport.targets.prepare import quantising
from snnport.targets.synapses import population_shape

SEMANTICS = "Loihi LIF in time steps, a spike arrives in the next step"


def lower(graph: Graph, chip: Chip) -> Program:
    """A program of family "cuba"; an nir.I readout stays an integrator, and every path takes one step.

    Codes into a population are doubled where its synapses have both signs and odd codes, and with them its thresholds,
    biases and potentials: meta "scale" is what one code of the program is worth.
    """
    what = plan(graph, forward_delay=1)
    factors: dict[str, int] = {}
    populations: list[Population] = []
    for name in names_of(graph, nir.Input, nir.I, *NEURONS):
        node, shape = graph.nodes[name], population_shape(what.shapes[name])
        if isinstance(node, nir.Input):
            populations.append(Population(name, shape, Neuron("input", {})))
        elif isinstance(node, nir.I):
            factors[name] = 2 if mixed_and_odd(what.into(name)) else 1
            populations.append(Population(name, shape, Neuron("integrator", {"bias": what.bias[name] * factors[name]})))
        elif (fields := fields_of(what, name)) is not None:
            factors[name] = fields.factor
            populations.append(population(what, name, fields))
    program = assemble(what, "loihi2", chip, tuple(populations), (), SEMANTICS)
    scale = {name: value / factors.get(name, 1) for name, value in what.scale.items()}
    projections = tuple(doubled(p, factors[p.target]) for p in program.projections)
    return replace(program, projections=projections, meta={**program.meta, "scale": scale})


def place(program: Program, chip: Chip) -> Program:
    """Fill one core after the other with neurons, input axons and synaptic memory."""
    return placed(program, place_greedily(program, demand(program, chip), limits(chip)))


LOIHI2 = Target(
    "loihi2",
    Path(__file__).with_name("chip.toml"),
    GRAPH_RULES,
    PROGRAM_RULES,
    lower,
    place,
    lambda graph, chip: quantising(
        graph,
        bits=int(chip["weight_bits"]),
        threshold_bits=int(chip["threshold_bits"]),
        bias_bits=int(chip["bias_bits"]),
    ),
)
