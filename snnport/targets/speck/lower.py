"""From a quantised graph to a placed program for the cores of dynapcnn, speck2e and speck2f.

The chip is asynchronous: it handles one event at a time and a neuron sends one spike an event. The program has the
time-stepped order in which Sinabs, the vendor's own tool, models it: all events of a step are added up, a neuron sends
floor(v / threshold) spikes, layers follow one another within the step, and potentials saturate at 16 bits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snnport.chip import Chip
from snnport.fixed import signed_range
from snnport.graph import Graph
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Slice, placed
from snnport.targets.lowering import MANY_SPIKES, Cell, assemble, neurons, plan
from snnport.targets.speck.cores import assign, memories, needs_of
from snnport.targets.synapses import map_shape, pool_output

SEMANTICS = "time-stepped as Sinabs: layers follow one another within a step, floor(v / threshold) spikes a step"


def lower(graph: Graph, chip: Chip) -> Program:
    """A program of convolutions, dense layers among them, whose spikes arrive in the same step.

    The chip is read by spikes, so a readout that would never fire becomes a neuron that does: its threshold is one above
    the largest weight into it, so that no event owes two spikes, and its spikes are counted.
    """
    what = plan(graph, forward_delay=0, trim=False)
    cell = Cell(many=True, v_range=signed_range(int(chip["state_bits"])), bias_at_start=True)
    populations, pulses = neurons(what, cell)
    firing = tuple(_firing(p, what.into(p.name), cell) if p.neuron.family == "integrator" else p for p in populations)
    program = assemble(what, chip.target, chip, firing, pulses, SEMANTICS)
    shapes = {p.name: p.shape for p in populations if p.neuron.family != "generator"}
    projections = tuple(_as_convolution(p, shapes) for p in program.projections)
    meta = {**program.meta, "readout": "count", **_classes(graph, program, int(chip["readout_spread"]))}
    return replace(program, projections=projections, meta=meta)


def _classes(graph: Graph, program: Program, spread: int) -> dict[str, Any]:
    """Which neurons of an output whose channels were spread for the readout block are its classes, else nothing."""
    for name in program.outputs[:1]:
        if int(graph.nodes[name].metadata.get("readout_spread", 0)) == spread:
            return {"readout_block": True, "classes": list(range(0, program.population(name).size, spread))}
    return {}


def place(program: Program, chip: Chip) -> Program:
    """One layer a core, by matching; layers for which no core is left get numbers beyond the last core."""
    cores, needs = memories(chip), needs_of(program)
    core_of = assign(needs, cores)
    spare = len(cores)
    slices = []
    for name in needs:
        if name not in core_of:
            core_of[name], spare = spare, spare + 1
        slices.append(Slice(name, core_of[name], 0, program.population(name).size))
    return placed(program, tuple(slices))


def _firing(population: Population, into: tuple[Projection, ...], cell: Cell) -> Population:
    """An integrator as a neuron that fires."""
    theta = 1 + max((int(p.synapse.codes.max(initial=0)) for p in into), default=0)
    low, high = cell.v_range if cell.v_range is not None else (-MANY_SPIKES, MANY_SPIKES - 1)
    fixed = {"v_threshold": theta, "reset": 0, "max_spikes": MANY_SPIKES, "v_min": low, "v_max": high}
    params = {**population.neuron.params, **{key: np.asarray(value) for key, value in fixed.items()}}
    return replace(population, neuron=Neuron("if", params))


def _as_convolution(projection: Projection, shapes: dict[str, tuple[int, ...]]) -> Projection:
    """A dense projection as the convolution whose kernel is the whole map."""
    if not isinstance(projection.synapse, Dense) or projection.source not in shapes:
        return projection
    pool = projection.pool
    source = pool_output(pool) if pool is not None else map_shape(shapes[projection.source])
    codes = projection.synapse.codes
    return replace(projection, synapse=Conv(codes.reshape(len(codes), *source), source, (1, 1), (0, 0, 0, 0)))
