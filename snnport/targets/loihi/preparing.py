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

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.chip import Chip
from snnport.convention import convention_of
from snnport.encoders import Stimulus
from snnport.graph import Graph, names_of
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.lava_scaling import LavaScaling
from snnport.passes.paths import output_populations
from snnport.passes.quantize_planes import PLANE_BITS, QuantizePlanes
from snnport.program import Program
from snnport.reference import run_spiking
from snnport.sim.engine import run
from snnport.targets.intervals import LIF_UNIT, analyse
from snnport.targets.loihi.ramp import fitting
from snnport.targets.loihi.trained import lower_trained
from snnport.targets.lowering import plan
from snnport.targets.prepare import quantising

THETAS = tuple(k << j for j in range(5, 14) for k in range(4, 8))
"""Codes of a threshold that are tried: four an octave, 128 .. 57344."""
Raster = npt.NDArray[Any]


def prepare(graph: Graph, chip: Chip) -> tuple[Pass, ...]:
    """The ramp for a converted network that would subtract or overflow; codes for one in real numbers."""
    fits = fitting(graph, int(chip["accumulator_bits"]), int(chip["state_bits"]))
    if fits:
        return fits
    if convention_of(graph.metadata).dtype == "lava-fixed":
        return (LavaScaling(),)
    scaling = _scaling(graph, chip)
    if scaling is None or not _in_planes(run_passes(graph, (scaling,), Context())):
        return () if scaling is None else (scaling,)
    low, high = 0, len(THETAS)
    while high - low > 1:
        middle = (low + high) // 2
        program = _lowered(graph, chip, replace(scaling, theta=THETAS[middle]))
        low, high = (middle, high) if _bounded(program, chip, below=True) else (low, middle)
    return (replace(scaling, theta=THETAS[low]),)


def calibrate(graph: Graph, chip: Chip, raster: Raster) -> tuple[Pass, ...]:
    """As `prepare`, with theta chosen by raster (n_samples, n_steps, n_neurons), spike counts of the one input."""
    found = prepare(graph, chip)
    if len(found) != 1 or not isinstance(found[0], QuantizePlanes) or not found[0].theta or not raster.size:
        return found
    if len(names_of(graph, nir.Input)) != 1:
        return found
    wanted = Answers.of_graph(graph, raster)
    best, most = found[0], (-1.0, -1.0)
    for theta, planes in product((t for t in THETAS if t < 1 << int(chip["threshold_bits"])), (2, 4)):
        candidate = replace(found[0], theta=theta, planes=planes)
        program = _lowered(graph, chip, candidate)
        if not _bounded(program, chip, below=False):
            break
        score = wanted.met_by(Answers.of_program(program, raster))
        if score > most:
            best, most = candidate, score
    return (best,)


@dataclass(frozen=True, eq=False)
class Answers:
    """classes (n_samples,), and of every spiking population the spikes (n_samples, n_steps, n), from its first step on."""

    classes: Raster
    spikes: dict[str, Raster]

    @classmethod
    def of_graph(cls, graph: Graph, raster: Raster) -> Answers:
        """What the graph says in real numbers."""
        output = output_populations(graph)[0]
        (name,) = names_of(graph, nir.Input)
        shaped = raster.reshape(*raster.shape[:2], *np.atleast_1d(graph.nodes[name].input_type["input"]))
        trace = run_spiking(graph, shaped, convention_of(graph.metadata), record_v=[output])
        spiking = {key for key, node in graph.nodes.items() if hasattr(node, "v_threshold")}
        read = trace.spikes[output] if output in spiking else trace.v[output]
        return cls(_classes(read), {key: trace.spikes[key] for key in sorted(spiking)})

    @classmethod
    def of_program(cls, program: Program, raster: Raster) -> Answers:
        """What a program says, every population moved to its first step."""
        output, depth = program.outputs[0], program.meta["depth"]
        silent = program.meta["readout"] != "count"
        names = [name for name, steps in depth.items() if steps]
        stimulus = Stimulus(raster, None, raster.shape[1])
        result = run(program, stimulus, record_spikes=names, record_v=[output] if silent else [])
        read = result.trace.v[output] if silent else result.trace.spikes[output]
        return cls(_classes(read), {name: result.trace.spikes[name][:, depth[name] :] for name in names})

    def met_by(self, other: Answers) -> tuple[float, float]:
        """Fraction of classes that agree, and spikes that coincide among those of either."""
        same = either = 0
        for name, spikes in self.spikes.items():
            theirs = other.spikes[name] > 0
            ours = spikes[:, : theirs.shape[1]] > 0
            same += int(np.count_nonzero(ours & theirs))
            either += int(np.count_nonzero(ours | theirs))
        return float(np.mean(self.classes == other.classes)), same / max(either, 1)


def _classes(values: Raster) -> Raster:
    return np.asarray(values.sum(axis=1, dtype=np.float64).argmax(axis=1))


def _scaling(graph: Graph, chip: Chip) -> QuantizePlanes | None:
    """The pass for a spiking graph in real numbers, with the fewest codes; None for one that has its scales."""
    widths = {key: int(chip[key]) for key in ("threshold_bits", "bias_bits")}
    if not quantising(graph, bits=int(chip["weight_bits"]), **widths):
        return None
    return QuantizePlanes(PLANE_BITS, widths["threshold_bits"], widths["bias_bits"], theta=0)


def _in_planes(graph: Graph) -> bool:
    return any(int(node.metadata.get("bits", 0)) > PLANE_BITS + 1 for node in graph.nodes.values())


def _lowered(graph: Graph, chip: Chip, scaling: Pass) -> Program:
    return lower_trained(plan(run_passes(graph, (scaling,), Context()), forward_delay=1), chip, "")


def _bounded(program: Program, chip: Chip, *, below: bool) -> bool:
    """Whether no arrival, current or upper potential can leave its register, whatever spikes; below: nor a lower one."""
    accumulator, state = (1 << (int(chip[key]) - 1) for key in ("accumulator_bits", "state_bits"))
    for name, bounds in analyse(program).items():
        neuron = program.population(name).neuron
        if neuron.family != "cuba":
            continue
        worst, kept = max(-bounds.step[0], bounds.step[1]), int(neuron["du"].min()) + 1
        if worst >= accumulator or (worst and (kept <= 0 or worst * LIF_UNIT * 4096 // kept >= state)):
            return False
        low, high = bounds.v
        if (high is not None and high >= state) or (below and low is not None and low <= -state):
            return False
    return True
