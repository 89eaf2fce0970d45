"""Targets xylo_audio2, xylo_audio3 and xylo_imu: spiking networks whose decays are bit shifts, on one core.

Hidden populations lie one behind the other in the chip's hidden neurons, in the order of the graph; the population that the
Output reads takes the output neurons. A spike of an input arrives in its step, every other in the next: a network of l
populations one behind the other shows at its outputs in step t + l - 1 what it got in step t.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.fixed import IntArray, narrowest, signed_range
from snnport.graph import Graph, names_of
from snnport.passes.distill_xylo import DistillXylo
from snnport.passes.paths import output_populations
from snnport.passes.quantize_snn import decays
from snnport.passes.xylo_form import LEAST_MEMBRANE, LEAST_SYNAPSE, dash_of
from snnport.program import Neuron, Population, Program, Projection, Slice, placed
from snnport.quant import round_half_even
from snnport.targets.base import Target
from snnport.targets.lowering import Plan, assemble, plan
from snnport.targets.synapses import population_shape
from snnport.targets.unrolled import unrolled
from snnport.targets.xylo.preparing import calibrate, prepare
from snnport.targets.xylo.rules import GRAPH_RULES, PROGRAM_RULES, matrix_of
from snnport.targets.xylo.vendor import run_xylosim

SEMANTICS = "Xylo: a step's inputs arrive at once, hidden spikes a step later; decays are bit shifts"


def lower(graph: Graph, chip: Chip) -> Program:
    """A program of families "input" and "xylo", its weights lists of synapses, one shift for each of the three matrices."""
    what = plan(graph, forward_delay=1)
    outputs = output_populations(graph)
    found = tuple(p for name in names_of(graph, nir.Input, nir.CubaLIF) if (p := _population(what, name, outputs, chip)))
    program = assemble(what, chip.target, chip, found, (), SEMANTICS)
    listed = tuple(unrolled(p) for p in program.projections)
    shifts = {
        kind: max(shift_of(p) for p in listed if matrix_of(program, p) == kind)
        for kind in {matrix_of(program, p) for p in listed}
    }
    projections = tuple(
        replace(_shifted(p, shifts[matrix_of(program, p)]), delay=int(p.source not in program.inputs)) for p in listed
    )
    return replace(program, projections=projections)


def shift_of(projection: Projection) -> int:
    """The least shift that leaves its codes 8 bits."""
    codes = projection.synapse.codes.astype(np.int64)
    low, high = signed_range(8)
    e = 0
    while codes.max(initial=0) >> e > high or codes.min(initial=0) >> e < low:
        e += 1
    return e


def _shifted(projection: Projection, shift: int) -> Projection:
    """The projection with its codes shifted right and its exponent to match, if they all are multiples of that."""
    codes = projection.synapse.codes.astype(np.int64)
    if np.any(codes & ((1 << shift) - 1)):
        return projection
    small = codes >> shift
    narrow = small.astype(narrowest(int(small.min(initial=0)), int(small.max(initial=0))))
    return replace(projection, synapse=replace(projection.synapse, codes=narrow), exponent=shift)


def _population(what: Plan, name: str, outputs: tuple[str, ...], chip: Chip) -> Population | None:
    """The population of one node, or None if its threshold is no integer."""
    node: Any = what.graph.nodes[name]
    shape = population_shape(what.shapes[name])
    if isinstance(node, nir.Input):
        return Population(name, shape, Neuron("input", {}))
    theta, q = what.codes(name, node.v_threshold), what.scale.get(name)
    if theta is None or q is None:
        return None
    synapse, membrane = (np.broadcast_to(lost, what.shapes[name]).reshape(-1) for lost in decays(node, what.convention))
    constant = round_half_even(membrane * np.broadcast_to(node.v_leak, what.shapes[name]).reshape(-1) / q)
    most = int(chip["output_spikes"] if name in outputs else chip["hidden_spikes"])
    params: dict[str, IntArray] = {
        "v_threshold": theta,
        "dash_mem": dash_of(membrane, LEAST_MEMBRANE),
        "dash_syn": dash_of(synapse, LEAST_SYNAPSE),
        "bias": constant + what.bias[name],
        "max_spikes": np.asarray(most),
    }
    return Population(name, shape, Neuron("xylo", params))


def place(program: Program, chip: Chip) -> Program:
    """Hidden populations one behind the other, the outputs behind them; all on the one core."""
    return placed(program, tuple(Slice(p.name, 0, 0, p.size) for p in program.populations if p.neuron.family == "xylo"))


def _target(device: str) -> Target:
    return Target(
        f"xylo_{device}",
        Path(__file__).with_name(f"chip_{device}.toml"),
        GRAPH_RULES,
        PROGRAM_RULES,
        lower,
        place,
        partial(prepare, lowering=lower),
        vendor=run_xylosim,
        calibrate=partial(calibrate, lowering=lower),
        draws=DistillXylo.seeds,
    )


AUDIO2, AUDIO3, IMU = (_target(device) for device in ("audio2", "audio3", "imu"))
