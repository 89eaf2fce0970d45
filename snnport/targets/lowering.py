"""From a quantised spiking graph to a program: what all targets share.

`plan` gathers what the graph says (plan.py), `neurons` makes engine neurons of it, by the code of the network (codes/),
`assemble` a Program. A path or neuron that a rule refuses is left out here without a word: the rules have the words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import nir

from snnport.chip import Chip
from snnport.datasets.label_codes import MARK, code_of, code_to_json, readout_of
from snnport.errors import InvalidGraph
from snnport.graph import names_of
from snnport.passes.paths import output_populations
from snnport.program import Neuron, Population, Program, Projection
from snnport.targets.codes.base import Cell, Driven, closing
from snnport.targets.codes.delay import delay_neurons
from snnport.targets.codes.gate import gate_neurons
from snnport.targets.codes.plain import MANY_SPIKES, offset_of, plain_neurons, rate_neurons
from snnport.targets.codes.ramp import ramp_neurons
from snnport.targets.codes.ttfs import ttfs_neurons
from snnport.targets.plan import Plan, delay_of, plan, unit_code
from snnport.targets.synapses import population_shape

__all__ = ["MANY_SPIKES", "Cell", "Plan", "assemble", "closing", "delay_of", "neurons", "plan", "unit_code"]


def left_out(plan: Plan, name: str, cell: Cell) -> None:
    """No population: neurons that spike carry no numbers. graded.py makes the programs of chips whose messages do."""


CODES: Mapping[str, Callable[[Plan, str, Cell], Driven | None]] = {
    "gate": gate_neurons,
    "rate": rate_neurons,
    "ramp": ramp_neurons,
    "ttfs": ttfs_neurons,
    "delay": delay_neurons,
    "graded": left_out,
    "sigma-delta": left_out,
}
"""What makes the population of one neuron node, by the name of the code."""


def neurons(plan: Plan, cell: Cell) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """Engine populations for every Input, IF and I node, each with what drives it beside the network, and the projections
    of that. Raises InvalidGraph for a code that is none of CODES."""
    found = [driven for name in names_of(plan.graph, nir.Input, nir.IF, nir.I) if (driven := _driven(plan, name, cell))]
    populations = [p for driven in found for p in (*driven.before, driven.population, *driven.after)]
    return tuple(populations), tuple(projection for driven in found for projection in driven.projections)


def _driven(plan: Plan, name: str, cell: Cell) -> Driven | None:
    if isinstance(plan.graph.nodes[name], nir.Input):
        return Driven(Population(name, population_shape(plan.shapes[name]), Neuron("input", {})))
    if plan.coding is None:
        return plain_neurons(plan, name, cell)
    if plan.coding.code not in CODES:
        raise InvalidGraph("metadata 'snnport'", f"there is no code '{plan.coding.code}'", f"Known: {', '.join(CODES)}")
    return CODES[plan.coding.code](plan, name, cell)


def assemble(
    plan: Plan, target: str, chip: Chip, populations: tuple[Population, ...], extra: tuple[Projection, ...], semantics: str
) -> Program:
    """A program, not placed yet, of `populations` and of all projections whose ends are among them."""
    known = {population.name for population in populations}
    every = (*plan.projections, *extra)
    outputs = tuple(name for name in output_populations(plan.graph) if name in known)
    coding = plan.coding
    free = [p.name for p in populations if p.neuron.family == "if" and "bias" in p.neuron.params]
    meta: dict[str, Any] = {
        "semantics": semantics,
        "code": None if coding is None else coding.code,
        "encoder": None if coding is None else dict(coding.encoder),
        "windows": None if coding is None else {name: asdict(window) for name, window in coding.windows.items()},
        "convention": plan.convention.to_json(),
        "readout": _readout_rule(plan, outputs),
        "scale": dict(plan.scale),
    }
    if (code := code_of(plan.graph.metadata)) is not None:
        meta[MARK] = code_to_json(code)
    if offset_of(plan) and free:
        meta["v_offset"] = dict.fromkeys(free, offset_of(plan))
    return Program(
        target,
        chip,
        populations,
        tuple(p for p in every if p.source in known and p.target in known),
        (),
        tuple(p.name for p in populations if p.neuron.family == "input"),
        outputs,
        0 if coding is None else coding.n_steps,
        meta,
    )


def _readout_rule(plan: Plan, outputs: tuple[str, ...]) -> str:
    """How a prediction is read: spike counts; of membranes the last potential in a coded network, else as told."""
    if all(isinstance(plan.graph.nodes[name], nir.IF | nir.LIF | nir.CubaLIF) for name in outputs):
        return "count"
    return readout_of(plan.graph.metadata) if plan.coding is None else "last"
