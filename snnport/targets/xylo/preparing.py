"""What a graph still needs before Xylo's rules and lowering, and how many codes a threshold gets.

The one number that is free is theta, the codes of a threshold. More codes let small potentials decay as they should; they
also make weights larger, whose shift is limited, and currents, which saturate at 16 bits.
- Without samples: the greatest theta for which the shifts and constants fit.
- With samples (unlabelled spikes): among those, the one whose answers agree most with the graph's own in real numbers, then
  the one with most coinciding spikes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.chip import Chip
from snnport.convention import convention_of
from snnport.graph import Graph, names_of
from snnport.nodes import NEURON_NODES, WEIGHTED_NODES
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.quantize_xylo import QuantizeXylo
from snnport.passes.xylo_form import XyloForm
from snnport.program import Program
from snnport.targets.agreement import Answers
from snnport.targets.synapses import scale_of

THETAS = tuple(k << j for j in range(12, 2, -1) for k in (7, 6, 5, 4))
"""Codes of a threshold that are tried, four an octave: 28672 .. 32."""
Lowering = Callable[[Graph, Chip], Program]


def prepare(graph: Graph, chip: Chip, lowering: Lowering) -> tuple[Pass, ...]:
    """The form that Xylo computes, then its integers; nothing for a graph that has them or could not have them."""
    return next((passes for passes, _ in _fitting(graph, chip, lowering)), ())


def calibrate(graph: Graph, chip: Chip, raster: npt.NDArray[Any], lowering: Lowering) -> tuple[Pass, ...]:
    """As `prepare`, with theta chosen by raster (n_samples, n_steps, n_neurons), spike counts of the one input."""
    if not raster.size or len(names_of(graph, nir.Input)) != 1 or not _is_real(graph):
        return prepare(graph, chip, lowering)
    wanted = Answers.of_graph(graph, raster)
    best: tuple[Pass, ...] = ()
    most = (-1.0, -1.0)
    for passes, program in _fitting(graph, chip, lowering):
        score = wanted.met_by(Answers.of_program(program, raster, depths(program)))
        if score > most:
            best, most = passes, score
    return best


def depths(program: Program) -> dict[str, int]:
    """Steps that every population is late: one for each hidden population in front of it, loops left out."""
    depth = dict.fromkeys(program.inputs, 0)
    waiting = [p.name for p in program.populations if p.name not in depth]
    for _ in waiting:
        for q in program.projections:
            if q.source in depth and q.target not in depth:
                depth[q.target] = depth[q.source] + q.delay
    return {name: depth.get(name, 0) for name in waiting}


def _fitting(graph: Graph, chip: Chip, lowering: Lowering) -> Iterator[tuple[tuple[Pass, ...], Program]]:
    """Every theta that fits, the greatest first, as passes and as the program that they make."""
    if not _is_real(graph):
        return
    formed = run_passes(graph, (XyloForm(),), Context())
    top = 1 << (int(chip["state_bits"]) - 1)
    for theta in THETAS:
        try_it = QuantizeXylo(theta)
        program = lowering(run_passes(formed, (try_it,), Context()), chip)
        cells = [p for p in program.populations if p.neuron.family == "xylo"]
        held = all(int(np.abs(p.neuron["bias"]).max(initial=0)) < top for p in cells)
        held = held and all(int(p.neuron["v_threshold"].max()) < top for p in cells)
        if held and all(q.exponent <= int(chip["most_shift"]) for q in program.projections):
            yield (XyloForm(), try_it), program


def _is_real(graph: Graph) -> bool:
    """Whether it is a network of subtracting CubaLIF neurons in real numbers."""
    cells = names_of(graph, *NEURON_NODES)
    ready = all(scale_of(graph.nodes[name]) is not None for name in (*cells, *names_of(graph, *WEIGHTED_NODES)))
    right = all(isinstance(graph.nodes[name], nir.CubaLIF) for name in cells)
    return bool(cells) and not ready and right and convention_of(graph.metadata).reset == "subtract"
