"""Networks that were trained as spiking ones, on Loihi: step for step what the graph computes, one step later a layer.

Depth. A spike takes a step from layer to layer, so a population at depth d does in chip step t + d what the graph's does in
step t: everything that enters it is delayed to meet there. A forward path from depth a to depth b takes b - a steps (1 in a
chain, more for one that skips layers), a feedback path 1 + b - a, at least 1.

Bias. It belongs to what arrives, in a neuron with a synaptic current to the current. One neuron, SOURCE, fires in every step
from the first on, and reaches every biased neuron through weights of its own, delayed by the depth of the layer: the bias is
there from the first step of that layer on. (bias_mant is added to the potential, and from chip step 0 on.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import nir
import numpy as np

from snnport.chip import Chip
from snnport.fixed import narrowest
from snnport.graph import names_of
from snnport.nodes import AdaptiveLIF
from snnport.passes.quantize_snn import decays
from snnport.program import Dense, Neuron, Population, Program, Projection
from snnport.targets.loihi import adaptive
from snnport.targets.loihi.cuba import NEURONS, doubled, fields_of, population
from snnport.targets.loihi.planes import planes_of
from snnport.targets.lowering import Plan, assemble, delay_of
from snnport.targets.synapses import population_shape

SOURCE = "bias.source"
"""The neuron that brings the biases: 2 * 2^6 each step against a threshold of 1 * 2^6, and nothing kept."""
_SOURCE_FIELDS = {"du": 4095, "dv": 4095, "vth": 1, "bias_mant": 2, "bias_exp": 6}


def lower_trained(what: Plan, chip: Chip, semantics: str) -> Program:
    """A program of families "cuba" and "alif", not placed; nir.I readouts stay integrators.

    meta "scale": what one code is worth.
    """
    depth = depths(what)
    factors: dict[str, int] = {}
    populations: list[Population] = []
    for name in names_of(what.graph, nir.Input, nir.I, *NEURONS):
        node, shape = what.graph.nodes[name], population_shape(what.shapes[name])
        if isinstance(node, nir.Input):
            populations.append(Population(name, shape, Neuron("input", {})))
        elif isinstance(node, nir.I):
            factors[name] = 1
            populations.append(Population(name, shape, Neuron("integrator", {})))
        elif (fields := fields_of(what, name)) is not None:
            made = (adaptive.population if isinstance(node, AdaptiveLIF) else population)(what, name, fields)
            if made is not None:
                factors[name] = fields.factor
                populations.append(made)
    biases = tuple(_bias(what, name, depth[name]) for name in factors if what.bias[name].any())
    if biases:
        source = Neuron("cuba", {key: np.asarray(value) for key, value in _SOURCE_FIELDS.items()})
        populations.insert(len(names_of(what.graph, nir.Input)), Population(SOURCE, (1,), source))
    timed = replace(what, projections=_retimed(what, depth))
    program = assemble(timed, chip.target, chip, tuple(populations), biases, semantics)
    whole = [doubled(p, factors[p.target]) for p in program.projections]
    scale = {name: value / factors.get(name, 1) for name, value in what.scale.items()}
    split = tuple(plane for p in whole for plane in (planes_of(p) if p.target in factors else (p,)))
    told = derivation(what, program.populations, split, scale)
    rising = {p.name for p in program.populations if p.neuron.family == adaptive.FAMILY}
    split = tuple(adaptive.shifted(p) if p.target in rising else p for p in split)
    return replace(program, projections=split, meta={**program.meta, "scale": scale, "depth": depth, "derivation": told})


def derivation(
    what: Plan, populations: tuple[Population, ...], projections: tuple[Projection, ...], scale: Mapping[str, float]
) -> list[str]:
    """Where every integer comes from, a line a population and projection."""
    lines = []
    for p in populations:
        node, q = what.graph.nodes.get(p.name), scale.get(p.name)
        if p.neuron.family not in ("cuba", adaptive.FAMILY) or node is None or q is None:
            continue
        lost = [float(np.max(d)) for d in decays(node, what.convention)]
        if p.neuron.family == adaptive.FAMILY:
            lines.append(f"{p.name}: {adaptive.told(p)}, decay = rint(4096 * {lost[-1]:.6g}), q = {q:.6g}")
            continue
        values = {key: int(p.neuron[key].max()) for key in ("du", "dv", "vth")}
        current = f"rint(4096 * {lost[0]:.6g}) - 1" if len(lost) == 2 else "no current is kept"
        threshold = f"v_threshold / q, q = {q:.6g}" if hasattr(node, "v_threshold") else "it never fires"
        lines.append(
            f"{p.name}: du = {values['du']} ({current}), dv = {values['dv']} (rint(4096 * {lost[-1]:.6g})), "
            f"vth = {values['vth']} ({threshold})"
        )
    for projection in projections:
        codes, q = projection.synapse.codes, scale.get(projection.target)
        if q is not None:
            unit = 1 << projection.exponent
            lines.append(
                f"{projection.name}: codes {int(codes.min(initial=0))}..{int(codes.max(initial=0))}, each worth {unit} q = "
                f"{unit * q:.6g} of what one spike adds to {projection.target}; {projection.delay} steps"
            )
    return lines


def depths(what: Plan) -> Mapping[str, int]:
    """Steps from the input to every population along the longest way, feedback left out."""
    forward = [p for p in what.paths if not p.back]
    depth = dict.fromkeys(names_of(what.graph, nir.Input), 0)
    for name in names_of(what.graph, nir.I, *NEURONS):
        depth.setdefault(name, 1)
    for _ in depth:
        before = dict(depth)
        for path in forward:
            if path.source in depth and path.target in depth:
                depth[path.target] = max(depth[path.target], depth[path.source] + 1)
        if depth == before:
            break
    return depth


def feedback_slips(what: Plan) -> tuple[tuple[str, int], ...]:
    """Feedback paths that cannot be timed: (name of its weights or source, steps that they are late)."""
    depth = depths(what)
    late = []
    for path in what.paths:
        steps = depth.get(path.source, 0) - depth.get(path.target, 0) - int(delay_of(what.graph, path))
        if path.back and steps > 0:
            late.append((path.weighted or path.source, steps))
    return tuple(late)


def _retimed(what: Plan, depth: Mapping[str, int]) -> tuple[Projection, ...]:
    timed = []
    for path, projection in zip(what.paths, what.projections, strict=True):
        ahead = depth.get(path.target, 0) - depth.get(path.source, 0)
        usual = max(what.convention.recurrent_delay, 1) if path.back else 0
        timed.append(replace(projection, delay=max(1, usual + ahead + int(delay_of(what.graph, path)))))
    return tuple(timed)


def _bias(what: Plan, name: str, depth: int) -> Projection:
    codes = what.bias[name].reshape(-1, 1)
    small = codes.astype(narrowest(int(codes.min(initial=0)), int(codes.max(initial=0))))
    return Projection(f"{name}.bias", SOURCE, name, Dense(small), None, depth)
