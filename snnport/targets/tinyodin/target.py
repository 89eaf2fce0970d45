"""Target tinyodin: a spiking network of hard-reset integrate-and-fire neurons on one event-driven core."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.exporters.memory import write_images
from snnport.fixed import IntArray, signed_range
from snnport.graph import Graph, names_of
from snnport.program import Neuron, Population, Program, Slice, placed
from snnport.sim.tinyodin import STATE_BITS
from snnport.targets.base import Target
from snnport.targets.lowering import Plan, assemble, plan
from snnport.targets.prepare import quantising
from snnport.targets.synapses import population_shape
from snnport.targets.tinyodin.crossbar import core_of, image_of
from snnport.targets.tinyodin.rules import GRAPH_RULES, PROGRAM_RULES

SEMANTICS = "tinyODIN, events one by one; the host sends a step when the core is at rest after the one before"


def lower(graph: Graph, chip: Chip) -> Program:
    """A program of families "input", "if" and "integrator". Spikes arrive within their step: every delay is 0."""
    what = plan(graph, forward_delay=0)
    found = (_population(what, name) for name in names_of(graph, nir.Input, nir.IF, nir.I))
    program = assemble(what, "tinyodin", chip, tuple(p for p in found if p is not None), (), SEMANTICS)
    return replace(program, projections=tuple(replace(p, delay=0) for p in program.projections))


def place(program: Program, chip: Chip) -> Program:
    """Neurons from address 0 on, inputs behind them."""
    ordered = sorted(program.populations, key=lambda p: p.neuron.family == "input")
    return placed(program, tuple(Slice(p.name, 0, 0, p.size) for p in ordered))


def _population(what: Plan, name: str) -> Population | None:
    """The population of one node, or None if its threshold is no integer."""
    node: Any = what.graph.nodes[name]
    shape = population_shape(what.shapes[name])
    if isinstance(node, nir.Input):
        return Population(name, shape, Neuron("input", {}))
    low, high = signed_range(STATE_BITS)
    bounds = {"v_init": np.asarray(0), "v_min": np.asarray(low), "v_max": np.asarray(high)}
    if isinstance(node, nir.I):
        return Population(name, shape, Neuron("integrator", bounds))
    theta = what.codes(name, node.v_threshold)
    if theta is None:
        return None
    # The core fires on v >= thr; v > theta is v >= theta + 1 among integers.
    thr = theta if what.convention.comparison == ">=" else theta + 1
    fixed = {"v_threshold": thr, "reset": np.asarray(1), "v_reset": np.asarray(0)}
    return Population(name, shape, Neuron("if", {**bounds, **fixed}))


def export(program: Program, folder: Path, raster: IntArray | None) -> tuple[Path, ...]:
    """Memory and register images, with the event program of one sample where its raster is given."""
    from snnport.targets.tinyodin.runner import event_program  # brings the compiler

    inputs = core_of(program) if raster is None else event_program(program, raster)
    return write_images(image_of(inputs), folder)


TINYODIN = Target(
    "tinyodin",
    Path(__file__).with_name("chip.toml"),
    GRAPH_RULES,
    PROGRAM_RULES,
    lower,
    place,
    lambda graph, chip: quantising(graph, bits=int(chip["weight_bits"]), threshold_bits=int(chip["threshold_bits"])),
    export=export,
)
