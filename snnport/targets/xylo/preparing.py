"""What a graph still needs before Xylo's rules and lowering, and how its integers are chosen.

Free are theta, the codes of a threshold; where decays have to change, what a spike keeps then and its gain (xylo-form); and in
the end the weights themselves (distill-xylo). More codes let small potentials decay as they should, and from theta = 2^14 on a
neuron cannot fire twice in a step; they also make weights larger, whose shift is limited, and currents, which saturate.
- Without samples: the greatest theta for which all weights and constants fit.
- With samples (unlabelled spikes): what answers most as the graph does in real numbers, then what has most coinciding spikes;
  first every theta, a few weights beyond the chip's clipped, then gains with thetas near the best. Where that still answers
  otherwise too often, and there are samples enough, the weights learn from the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

import nir
import numpy as np
import numpy.typing as npt

from snnport.chip import Chip
from snnport.convention import convention_of
from snnport.graph import Graph, names_of
from snnport.nodes import NEURON_NODES, WEIGHTED_NODES
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.distill_xylo import DistillXylo
from snnport.passes.quantize_xylo import QuantizeXylo
from snnport.passes.xylo_form import KEEPS, XyloForm
from snnport.passes.xylo_matrices import has_matrices
from snnport.program import Program
from snnport.targets.agreement import Answers
from snnport.targets.synapses import scale_of

THETAS = tuple(k << j for j in range(12, 2, -1) for k in (7, 6, 5, 4))
"""Codes of a threshold that are tried, four an octave: 28672 .. 32."""
GAINS = (0.8, 0.9, 1.1)
"""Gains that are tried beside 1, with the best theta and its neighbours."""
MOST_CLIPPED = 0.02
"""Part of the weights that a choice may clip."""
SEARCHED = 128
"""Samples that judge a choice; each is run once for every one."""
ENOUGH_SAMPLES, ENOUGH_AGREEMENT = 32, 0.99
"""From so many samples on, weights learn where fewer than that part of them answers as the graph."""
Lowering = Callable[[Graph, Chip], Program]
Score = tuple[float, float]


class Choice(NamedTuple):
    """What xylo-form and quantize-xylo are told."""

    theta: int
    keep: str = "level"
    gain: float = 1.0

    def passes(self, most_shift: int) -> tuple[Pass, ...]:
        """The passes that make it."""
        return XyloForm(self.keep, self.gain), QuantizeXylo(self.theta, most_shift)


def prepare(graph: Graph, chip: Chip, lowering: Lowering) -> tuple[Pass, ...]:
    """The form that Xylo computes, then its integers; nothing for a graph that has them or could not have them."""
    if not _is_real(graph):
        return ()
    keep = KEEPS[_bends(graph)]
    fitting = (c for c, _, clipped in _made(graph, chip, lowering, (Choice(t, keep) for t in THETAS)) if not clipped)
    found = next(fitting, None)
    return () if found is None else found.passes(int(chip["most_shift"]))


def calibrate(graph: Graph, chip: Chip, raster: npt.NDArray[Any], lowering: Lowering) -> tuple[Pass, ...]:
    """As `prepare`, chosen by raster (n_samples, n_steps, n_neurons), spike counts of the one input."""
    if not raster.size or len(names_of(graph, nir.Input)) != 1 or not _is_real(graph):
        return prepare(graph, chip, lowering)
    x = raster[:SEARCHED]
    wanted = Answers.of_graph(graph, x)

    def best_of(choices: Iterable[Choice], best: tuple[Score, Choice | None]) -> tuple[Score, Choice | None]:
        for choice, program, clipped in _made(graph, chip, lowering, choices):
            if clipped > MOST_CLIPPED:
                continue
            score = wanted.met_by(Answers.of_program(program, x, depths(program)))
            if score > best[0]:
                best = score, choice
        return best

    bends = _bends(graph)
    most = best_of((Choice(theta, KEEPS[bends]) for theta in THETAS), ((-1.0, -1.0), None))
    if bends and most[1] is not None:
        at = THETAS.index(most[1].theta)
        near = THETAS[max(at - 1, 0) : at + 2]
        most = best_of((Choice(theta, "charge", gain) for theta, gain in product(near, GAINS)), most)
    (agreement, _), found = most
    if found is None:
        return ()
    shift = int(chip["most_shift"])
    if agreement < ENOUGH_AGREEMENT and len(raster) >= ENOUGH_SAMPLES and has_matrices(graph):
        return (DistillXylo(found.theta, shift, found.keep, found.gain, most_spikes=int(chip["hidden_spikes"])),)
    return found.passes(shift)


def depths(program: Program) -> dict[str, int]:
    """Steps that every population is late: one for each hidden population in front of it, loops left out."""
    depth = dict.fromkeys(program.inputs, 0)
    waiting = [p.name for p in program.populations if p.name not in depth]
    for _ in waiting:
        for q in program.projections:
            if q.source in depth and q.target not in depth:
                depth[q.target] = depth[q.source] + q.delay
    return {name: depth.get(name, 0) for name in waiting}


def _made(graph: Graph, chip: Chip, lowering: Lowering, choices: Iterable[Choice]) -> Iterator[tuple[Choice, Program, float]]:
    """Every choice whose thresholds and constants fit, as the program that it makes, and what part of the weights it clips."""
    top = 1 << (int(chip["state_bits"]) - 1)
    for choice in choices:
        ctx = Context()
        form, quantise = choice.passes(int(chip["most_shift"]))
        program = lowering(run_passes(graph, (form, quantise), ctx), chip)
        cells = [p for p in program.populations if p.neuron.family == "xylo"]
        held = all(int(np.abs(p.neuron["bias"]).max(initial=0)) < top for p in cells)
        if held and all(int(p.neuron["v_threshold"].max()) < top for p in cells):
            clipped = sum(ctx.findings[quantise.spelling]["clipped"].values())
            yield choice, program, clipped / max(sum(q.synapse.codes.size for q in program.projections), 1)


def _bends(graph: Graph) -> bool:
    """Whether a time constant of `graph` has to change."""
    ctx = Context()
    form = XyloForm()
    run_passes(graph, (form,), ctx)
    return max(ctx.findings[form.spelling]["largest_relative_error_of_a_time_constant"].values(), default=0.0) > 1e-6


def _is_real(graph: Graph) -> bool:
    """Whether it is a network of subtracting CubaLIF neurons in real numbers."""
    cells = names_of(graph, *NEURON_NODES)
    ready = all(scale_of(graph.nodes[name]) is not None for name in (*cells, *names_of(graph, *WEIGHTED_NODES)))
    right = all(isinstance(graph.nodes[name], nir.CubaLIF) for name in cells)
    return bool(cells) and not ready and right and convention_of(graph.metadata).reset == "subtract"
