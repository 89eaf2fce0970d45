"""What a graph still needs before Loihi's rules and lowering, and how many codes a threshold gets.

Weights, thresholds and biases of a trained network are scaled together (passes/quantize_planes.py); the one number that is
free is theta, the codes of a threshold where planes are used. More codes round finer, and make everything larger: the
accumulator holds 16 bits, u may not wrap, and v saturates at 2^23.
- Without samples: the greatest theta for which interval analysis proves that nothing of this happens, whatever spikes.
- With samples (unlabelled spikes): of all theta for which nothing wraps, with one and with two planes a sign, the one whose
  answers agree most with the graph's own in real numbers, then the one with most coinciding spikes. There v may saturate
  downward, which moves a neuron that is far below its threshold; the run counts it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import product
from typing import Any

import nir
import numpy.typing as npt

from snnport.chip import Chip
from snnport.convention import convention_of
from snnport.graph import Graph, names_of
from snnport.passes.alif_to_nir import NirToAlif, taken_together
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.lava_scaling import LavaScaling
from snnport.passes.quantize_planes import PLANE_BITS, QuantizePlanes
from snnport.program import Program
from snnport.targets.agreement import Answers
from snnport.targets.intervals import LIF_UNIT, NEVER_FIRES, analyse
from snnport.targets.loihi import adaptive
from snnport.targets.loihi.ramp import fitting
from snnport.targets.loihi.trained import lower_trained
from snnport.targets.lowering import plan
from snnport.targets.prepare import quantising

THETAS = tuple(k << j for j in range(5, 14) for k in range(4, 8))
"""Codes of a threshold that are tried: four an octave, 128 .. 57344."""
READOUTS = (255, 127, 63, 31, 15, 7)
"""Largest codes into a population that is only read, from the finest on."""
Raster = npt.NDArray[Any]


def prepare(graph: Graph, chip: Chip) -> tuple[Pass, ...]:
    """The ramp for a converted network that would subtract or overflow; codes for one in real numbers."""
    fits = fitting(graph, int(chip["accumulator_bits"]), int(chip["state_bits"]))
    if fits:
        return fits
    if convention_of(graph.metadata).dtype == "lava-fixed":
        return (LavaScaling(),)
    whole = taken_together(graph)
    if whole is not graph:
        return (NirToAlif(), *prepare(whole, chip))
    scaling = _scaling(graph, chip)
    if scaling is not None and names_of(graph, nir.LI, nir.CubaLI):
        scaling = _with_room(graph, chip, scaling)
    if scaling is None or not _in_planes(run_passes(graph, (scaling,), Context())):
        return () if scaling is None else (scaling,)
    low, high = 0, len(THETAS)
    while high - low > 1:
        middle = (low + high) // 2
        program = _lowered(run_passes(graph, (replace(scaling, theta=THETAS[middle]),), Context()), chip)
        low, high = (middle, high) if _bounded(program, chip, below=True) else (low, middle)
    return (replace(scaling, theta=THETAS[low]),)


def calibrate(graph: Graph, chip: Chip, raster: Raster) -> tuple[Pass, ...]:
    """As `prepare`, with theta chosen by raster (n_samples, n_steps, n_neurons), spike counts of the one input."""
    whole = taken_together(graph)
    if whole is not graph:
        return (NirToAlif(), *calibrate(whole, chip, raster))
    found = prepare(graph, chip)
    if len(found) != 1 or not isinstance(found[0], QuantizePlanes) or not found[0].theta or not raster.size:
        return found
    if len(names_of(graph, nir.Input)) != 1:
        return found
    wanted = Answers.of_graph(graph, raster)
    best, most = found[0], -1.0
    coarser: dict[int, Graph] = {}
    for theta, planes in product((t for t in THETAS if t < 1 << int(chip["threshold_bits"])), (2, 4)):
        candidate = replace(found[0], theta=theta, planes=planes)
        coded = run_passes(graph, (candidate,), Context())
        program = _lowered(coded, chip)
        if not _bounded(program, chip, below=False):
            break
        if planes in coarser and _scales(coarser[planes]) == _scales(coded):
            continue  # every population has as many codes as the accumulator leaves it
        coarser[planes] = coded
        # Classes alone decide little on few samples, spikes alone overlook the readout.
        score = sum(wanted.met_by(Answers.of_program(program, raster, late(program))))
        if score > most:
            best, most = candidate, score
    return (best,)


def late(program: Program) -> dict[str, int]:
    """Steps that every population but the inputs is late."""
    return {name: steps for name, steps in program.meta["depth"].items() if steps}


def _scaling(graph: Graph, chip: Chip) -> QuantizePlanes | None:
    """The pass for a spiking graph in real numbers, with the fewest codes; None for one that has its scales."""
    widths = {key: int(chip[key]) for key in ("threshold_bits", "bias_bits")}
    if not quantising(graph, bits=int(chip["weight_bits"]), **widths):
        return None
    return QuantizePlanes(PLANE_BITS, **widths, accumulator_bits=int(chip["accumulator_bits"]), theta=0)


def _with_room(graph: Graph, chip: Chip, scaling: QuantizePlanes) -> QuantizePlanes:
    """`scaling` with the finest codes into readouts with which none of them can saturate; as it is where all are too fine."""
    for readout in READOUTS:
        candidate = replace(scaling, readout=readout)
        program = _lowered(run_passes(graph, (candidate,), Context()), chip)
        if _bounded(program, chip, below=True, without=_firing(program)):
            return candidate
    return scaling


def _firing(program: Program) -> set[str]:
    """The populations that fire: all with a cell but those that are only read."""
    read = {p.name for p in program.populations if p.neuron.family == "cuba" and int(p.neuron["vth"].min()) >= NEVER_FIRES}
    return {population.name for population in program.populations} - read


def _in_planes(graph: Graph) -> bool:
    return any(int(node.metadata.get("bits", 0)) > PLANE_BITS + 1 for node in graph.nodes.values())


def _lowered(coded: Graph, chip: Chip) -> Program:
    return lower_trained(plan(coded, forward_delay=1), chip, "")


def _scales(coded: Graph) -> dict[str, object]:
    return {name: node.metadata.get("scale") for name, node in coded.nodes.items()}


def _bounded(program: Program, chip: Chip, *, below: bool, without: Collection[str] = ()) -> bool:
    """Whether no arrival, current or upper potential can leave its register, whatever spikes; below: nor a lower one.

    without: populations that are not asked.
    """
    accumulator, state = (1 << (int(chip[key]) - 1) for key in ("accumulator_bits", "state_bits"))
    for name, bounds in analyse(program).items():
        population = program.population(name)
        neuron = population.neuron
        if name in without:
            continue
        if neuron.family == adaptive.FAMILY and not adaptive.bounded(population, bounds, accumulator, below=below):
            return False
        if neuron.family != "cuba":
            continue
        worst, kept = max(-bounds.step[0], bounds.step[1]), int(neuron["du"].min()) + 1
        if worst >= accumulator or (worst and (kept <= 0 or worst * LIF_UNIT * 4096 // kept >= state)):
            return False
        low, high = bounds.v
        if (high is not None and high >= state) or (below and low is not None and low <= -state):
            return False
    return True
