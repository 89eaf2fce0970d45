"""From a quantised spiking graph to populations and projections in codes: what all targets share.

`plan` gathers what the graph says, `neurons` makes engine neurons of it, `assemble` a Program. A path or neuron that a
rule refuses is left out here without a word: the rules have the words (rules.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.convention import Coding, Convention, Window, coding_of, convention_of
from snnport.errors import InvalidGraph
from snnport.fixed import IntArray, narrowest
from snnport.graph import Graph, names_of, shapes
from snnport.nodes import NEURON_NODES, Shape
from snnport.passes.paths import Path, output_populations, walk
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Synapse
from snnport.quant import round_half_even
from snnport.targets.intervals import charges
from snnport.targets.synapses import (
    bias_of,
    composes,
    integers,
    pool_of,
    population_shape,
    scale_of,
    synapse_of,
    trimmed,
)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a graph says, in codes. paths: those that can be projections. projections: one for each of them.

    bias: neuron name -> codes (n,). scale: neuron name -> real value of one code, where the neuron has one.
    """

    graph: Graph
    coding: Coding | None
    convention: Convention
    shapes: Mapping[str, Shape]
    paths: tuple[Path, ...]
    projections: tuple[Projection, ...]
    bias: Mapping[str, IntArray]
    scale: Mapping[str, float]

    def window(self, name: str) -> Window | None:
        """The window of population `name`, or None if the graph was not converted. Raises InvalidGraph if it is missing."""
        if self.coding is None:
            return None
        if name not in self.coding.windows:
            raise InvalidGraph(name, "the coding in the graph's metadata has no window for it", "Convert the network again")
        return self.coding.windows[name]

    def codes(self, name: str, values: Any) -> IntArray | None:
        """Real `values` of neuron `name` in its codes, int64 (n,), or None if they are no codes."""
        found = integers(values, self.scale.get(name), name)
        size = int(np.prod(self.shapes[name], dtype=np.int64))
        return None if found is None else np.broadcast_to(found.reshape(-1), (size,))

    def into(self, name: str) -> tuple[Projection, ...]:
        """The projections into neuron `name`."""
        return tuple(p for p in self.projections if p.target == name)


def delay_of(graph: Graph, path: Path) -> float:
    """Steps that the Delay nodes on `path` add; a fraction, or NaN where the neurons differ, is refused by a rule."""
    total = 0.0
    for name in path.delays:
        node: Any = graph.nodes[name]
        values = np.unique(np.asarray(node.delay, np.float64))
        total += float(values[0]) / convention_of(graph.metadata).dt if len(values) == 1 else float("nan")
    return round(total, 3)


def unit_code(scale: float | None) -> int | None:
    """The code of weight 1, which a path without weights has, or None if `scale` does not divide it."""
    codes = integers(1.0, scale, "")
    return None if codes is None else int(codes)


def plan(graph: Graph, *, forward_delay: int, trim: bool = True) -> Plan:
    """What `graph` says, in codes. forward_delay: steps a spike takes; a path that closes a loop takes at least one.

    Raises InvalidGraph if shapes or metadata contradict each other.
    """
    sizes = shapes(graph)
    convention = convention_of(graph.metadata)
    paths, _ = walk(graph)
    scale = {name: q for name in names_of(graph, *NEURON_NODES) if (q := scale_of(graph.nodes[name])) is not None}
    names: set[str] = set()
    kept, projections = [], []
    for path in paths:
        unit = unit_code(scale.get(path.target)) if path.weighted is None else 1
        steps = delay_of(graph, path)
        if unit is None or not composes(graph, path) or not steps.is_integer():
            continue
        synapse = synapse_of(graph, path, sizes, unit=unit)
        if synapse is None:
            continue
        if isinstance(synapse, Conv) and trim:
            synapse = trimmed(synapse)
        delay = max(forward_delay, convention.recurrent_delay, 1) if path.back else forward_delay
        name = _name(path, names)
        names.add(name)
        pool = pool_of(graph, path, sizes)
        projections.append(Projection(name, path.source, path.target, _narrow(synapse), pool, delay + int(steps)))
        kept.append(path)
    every = tuple(kept)
    bias = {name: bias_of(graph, every, sizes, name) for name in names_of(graph, *NEURON_NODES)}
    return Plan(graph, coding_of(graph.metadata), convention, sizes, every, tuple(projections), bias, scale)


def _name(path: Path, taken: set[str]) -> str:
    """The weighted node's name, or the pooling's, or the ends'; made unique by the target and a number."""
    stem = path.weighted or (path.pools[0] if path.pools else f"{path.source}->{path.target}")
    for wish in (stem, f"{stem}->{path.target}", f"{path.source}->{stem}->{path.target}"):
        if wish not in taken:
            return wish
    number = 2
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"


def _narrow(synapse: Synapse) -> Synapse:
    """The synapse with its codes in the smallest type that holds them."""
    codes = synapse.codes
    return replace(synapse, codes=codes.astype(narrowest(int(codes.min(initial=0)), int(codes.max(initial=0)))))


# ------------------------------------------------------------------------------------------------------ engine neurons


@dataclass(frozen=True)
class Cell:
    """What a target's neuron does beside what the graph says.

    many: it fires as often as its threshold fits, in every network; otherwise only where the convention says so.
    v_range: where its potential saturates.
    """

    many: bool = False
    v_range: tuple[int, int] | None = None


MANY_SPIKES = 1 << 15
"""Spikes a neuron may send in one step where it fires as often as its threshold fits: no bound in practice."""


@dataclass(frozen=True, eq=False)
class Driven:
    """A population, and where it needs one the generator that drives it beside the network."""

    population: Population
    generator: Population | None = None
    projection: Projection | None = None


def neurons(plan: Plan, cell: Cell) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """Engine populations of families "input", "if" and "integrator" for every Input, IF and I node, generators before
    the population that they drive, and the projections of those generators."""
    found = [driven for name in names_of(plan.graph, nir.Input, nir.IF, nir.I) if (driven := _driven(plan, name, cell))]
    populations = [p for driven in found for p in (driven.generator, driven.population) if p is not None]
    return tuple(populations), tuple(driven.projection for driven in found if driven.projection is not None)


def _driven(plan: Plan, name: str, cell: Cell) -> Driven | None:
    """The population of one node, or None if its parameters are no integers."""
    node, window = plan.graph.nodes[name], plan.window(name)
    shape = population_shape(plan.shapes[name])
    if isinstance(node, nir.Input):
        return Driven(Population(name, shape, Neuron("input", {})))
    if window is not None and window.role == "relay":
        return Driven(Population(name, shape, _relay()))
    if window is not None and window.role == "gated":
        gate = closing(plan, name)
        gated = _gated(plan, name, window, gate)
        control = _generator(f"{name}.control", name, [window.open - 1], np.full(len(plan.bias[name]), gate, np.int64))
        return None if gated is None else Driven(Population(name, shape, gated), *control)
    neuron = _readout(plan, name) if isinstance(node, nir.I) else _free(plan, name, cell)
    if neuron is None:
        return None
    population, pulses = Population(name, shape, neuron), _pulses(plan, name)
    return Driven(population) if pulses is None else Driven(population, *pulses)


def _generator(name: str, target: str, steps: list[int], codes: IntArray) -> tuple[Population, Projection]:
    """One neuron that spikes in the given steps and adds codes (n,) to the target a step later."""
    times = np.array(steps, np.int64)
    population = Population(name, (1,), Neuron("generator", {"time": times, "index": np.zeros(len(times), np.int64)}))
    small = codes.astype(narrowest(int(codes.min(initial=0)), int(codes.max(initial=0))))
    return population, Projection(name, name, target, Dense(small.reshape(-1, 1)), None, 1)


def _pulses(plan: Plan, name: str) -> tuple[Population, Projection] | None:
    """The bias of the rate code: once in as many steps as the input has levels, the first of them in v_init."""
    coding = plan.coding
    if coding is None or coding.code != "rate" or not plan.bias[name].any():
        return None
    period = int(coding.encoder["levels"])
    steps = list(range(period - 1, coding.n_steps - 1, period))
    return _generator(f"{name}.bias", name, steps, plan.bias[name])


def closing(plan: Plan, name: str) -> int:
    """G of a gated population: what closes it, and what its control spike takes back when the window opens.

    The greatest over its neurons of sum_j max(w_ij, 0) * nmax_j + max(bias_i, 0) - theta_i / 2 + 1, and at least 0: with
    theta/2 + bias - G at the start, no order of arrivals reaches theta. nmax_j: the levels of source j, times the window
    of a pooling on the way.
    """
    coding = plan.coding
    levels = {} if coding is None else {source: window.levels for source, window in coding.windows.items()}
    into = plan.into(name)
    most = charges(into, levels, len(plan.bias[name]))[1]
    node: Any = plan.graph.nodes[name]
    theta = plan.codes(name, node.v_threshold)
    if theta is None:
        return 0
    return max(0, int((most + np.maximum(plan.bias[name], 0) - theta // 2 + 1).max()))


def _gated(plan: Plan, name: str, window: Window, gate: int) -> Neuron | None:
    node: Any = plan.graph.nodes[name]
    theta = plan.codes(name, node.v_threshold)
    if theta is None:
        return None
    closed = _compact(theta // 2 + plan.bias[name] - gate)
    return Neuron(
        "if",
        {
            "v_threshold": _compact(theta),
            "v_init": closed,
            "v_load": closed,
            "load_step": np.asarray(window.open + window.levels),
            "max_spikes": np.asarray(1),
            "reset": np.asarray(0),
        },
    )


def _relay() -> Neuron:
    params = {"v_threshold": 1, "v_init": 0, "reset": 1, "v_reset": 0, "max_spikes": 1}
    return Neuron("if", {key: np.asarray(value) for key, value in params.items()})


def _readout(plan: Plan, name: str) -> Neuron:
    """An integrator. In a coded network the bias is there at the start, else it comes in each step."""
    bias = _compact(plan.bias[name])
    return Neuron("integrator", {"v_init": bias} if plan.coding is not None else {"v_init": np.asarray(0), "bias": bias})


def _free(plan: Plan, name: str, cell: Cell) -> Neuron | None:
    """An integrate-and-fire neuron that is always open: of the rate code, or of a plain spiking network.

    Firing on v > theta is firing on v >= floor(theta) + 1. A subtracting reset takes theta off, not theta + 1, so there
    the whole potential is kept 1 lower instead (meta "v_offset").
    """
    node: Any = plan.graph.nodes[name]
    convention = plan.convention
    theta = plan.codes(name, node.v_threshold)
    back = plan.codes(name, node.v_reset)
    if theta is None or back is None:
        return None
    subtracts = convention.reset == "subtract"
    strict = convention.comparison == ">"
    start, bias = (0 * theta, plan.bias[name]) if plan.coding is None else (theta // 2 + plan.bias[name], 0 * theta)
    offset = offset_of(plan)
    params: dict[str, IntArray] = {
        "v_threshold": _compact(theta if subtracts or not strict else theta + 1),
        "v_init": _compact(start + offset),
        "reset": np.asarray(0 if subtracts else 1),
        "bias": _compact(bias),
        "max_spikes": np.asarray(MANY_SPIKES if subtracts and (cell.many or convention.multi_spike) else 1),
    }
    if not subtracts:
        params["v_reset"] = _compact(np.zeros_like(back) if convention.reset == "zero" else back)
    low, high = cell.v_range if cell.v_range is not None else (None, None)
    if convention.v_min is not None:
        floor = round_half_even(convention.v_min * theta) + offset
        params["v_min"] = _compact(floor if low is None else np.maximum(floor, low))
    elif low is not None:
        params["v_min"] = np.asarray(low)
    if high is not None:
        params["v_max"] = np.asarray(high)
    return Neuron("if", params)


def offset_of(plan: Plan) -> int:
    """What the potential of a free neuron is shifted by: -1 where it fires on > and subtracts its threshold, else 0."""
    return -1 if plan.convention.reset == "subtract" and plan.convention.comparison == ">" else 0


def _compact(values: IntArray) -> IntArray:
    """One value as a 0-d array where all are equal; the smallest type that holds them."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    small = values.astype(narrowest(low, high))
    return small.reshape(-1)[0:1].reshape(()) if small.size and np.all(small == small.reshape(-1)[0]) else small


# ------------------------------------------------------------------------------------------------------------ program


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
    """How a prediction is read: spike counts; of membranes the last potential in a coded network, else their sum."""
    if all(isinstance(plan.graph.nodes[name], nir.IF | nir.LIF | nir.CubaLIF) for name in outputs):
        return "count"
    return "sum" if plan.coding is None else "last"
