"""Programs of the graded and the sigma-delta code: numbers as messages, max pooling as a tree, a bias as one message a sample.

A rectifier is one population of family graded_relu that shifts what arrives; rounding comes as half a threshold with the bias.
Where its clip can act, a neuron has a bound (`clips`), or a second neuron with the same weights takes off what is too much,
relu((z >> k) - L), so that min(n, L) = n - relu(n - L) in the layers behind. A value is therefore carried by one population or
by several whose messages add up with signs. In the sigma-delta code all neurons are of that family, and have their own bias.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.chip import Chip
from snnport.convention import Window
from snnport.encoders import CountEncoder
from snnport.fixed import IntArray, narrowest
from snnport.graph import names_of, predecessors
from snnport.nodes import max_windows
from snnport.program import Neuron, Population, Program, Projection, Sparse
from snnport.targets.codes.base import generator, threshold_of
from snnport.targets.lowering import assemble
from snnport.targets.maxima import Level, tree
from snnport.targets.plan import Plan, compact
from snnport.targets.ranges import Bounds, through
from snnport.targets.synapses import map_shape, population_shape

Mask = npt.NDArray[np.bool_]
NUMBERS = ("graded", "sigma-delta")
"""Codes that are lowered here."""


@dataclass(frozen=True)
class Carrier:
    """A population that carries a value, or part of it, with a sign of 1 or -1; `sent`: the step of its messages."""

    population: str
    sign: int
    sent: int


@dataclass(frozen=True, eq=False)
class Value:
    """What a node of the graph says: the signed sum of its carriers. bounds: least and greatest, one a neuron."""

    carriers: tuple[Carrier, ...]
    bounds: Bounds


@dataclass
class _Parts:
    """What a program is made of, as it grows.

    sums: population -> greatest |sum| that its neurons take in. values: node -> what carries it. alive: population -> which of
    its neurons can send at all. sent: population -> step of its messages. acting: rectifiers whose clip can act. changes: the
    neurons are sigma-delta neurons.
    """

    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    alive: dict[str, Mask] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    acting: list[str] = field(default_factory=list)
    changes: bool = False


def graded_program(plan: Plan, target: str, chip: Chip, semantics: str, *, clips: bool) -> Program:
    """The program of a network in one of the two codes, not placed yet. clips: messages can be bounded by the neuron.

    meta "sums" has the greatest |sum| of every population's neurons, "messages" the least and greatest value of each node;
    "sent" the step of every population's messages; "bounds" is "proven" where v_min and v_max hold without the neuron's help.
    """
    parts = _Parts(changes=plan.coding is not None and plan.coding.code == "sigma-delta")
    for name in names_of(plan.graph, nir.Input, nir.IF, nir.I):
        window = plan.window(name)
        assert window is not None
        if isinstance(plan.graph.nodes[name], nir.Input):
            _add_input(parts, plan, name)
        elif window.role == "relay":
            _add_maxima(parts, plan, name)
        else:
            _add_sum(parts, plan, name, window, clips=clips)
    whole = replace(plan, projections=tuple(parts.projections))
    program = assemble(whole, target, chip, tuple(parts.populations), (), semantics)
    messages = {name: [int(v.bounds[0].min(initial=0)), int(v.bounds[1].max(initial=0))] for name, v in parts.values.items()}
    meta = {**program.meta, "readout": "sum", "sums": parts.sums, "messages": messages, "sent": parts.sent}
    if not (clips and parts.acting):
        meta["bounds"] = "proven"
    return replace(program, meta=meta)


def _add_input(parts: _Parts, plan: Plan, name: str) -> None:
    assert plan.coding is not None
    encoder = CountEncoder.from_json(plan.coding.encoder)
    shape = population_shape(plan.shapes[name])
    population = Population(name, shape, Neuron("input", {"graded": np.asarray(1)}))
    parts.populations.append(population)
    least = -encoder.levels if encoder.signed else 0
    bounds = np.full(population.size, least, np.int64), np.full(population.size, encoder.levels, np.int64)
    parts.values[name] = Value((Carrier(name, 1, 0),), bounds)
    parts.alive[name], parts.sent[name] = np.ones(population.size, bool), 0


# ---------------------------------------------------------------------------------------------------- rectifiers, readouts


def _add_sum(parts: _Parts, plan: Plan, name: str, window: Window, *, clips: bool) -> None:
    """A rectifier or a readout, with the messages of its bias."""
    readout = window.role == "readout"
    theta = None if readout else threshold_of(plan, name)
    if theta is None and not readout:
        return
    step = 1 if theta is None else int(theta[0])
    shift, extra = step.bit_length() - 1, plan.bias[name] + step // 2
    bounds = extra.copy(), extra.copy()
    for projection in plan.into(name):
        if projection.source not in parts.values:
            continue
        more = through(projection, parts.values[projection.source].bounds)
        bounds = bounds[0] + more[0], bounds[1] + more[1]
    if parts.changes:
        _add_changing(parts, plan, name, window, bounds)
        return
    worst = max(-int(bounds[0].min(initial=0)), int(bounds[1].max(initial=0)))
    if readout:
        _add_population(parts, plan, name, name, window, _bounded("graded", *bounds), extra, worst)
        parts.values[name] = Value((Carrier(name, 1, window.open),), bounds)
        return
    counts = np.maximum(bounds[0] >> shift, 0), np.maximum(bounds[1] >> shift, 0)
    acts = int(counts[1].max(initial=0)) > window.levels
    parts.acting += [name] if acts else []
    top = np.asarray([window.levels]) if acts and clips else bounds[1] >> shift
    _add_population(parts, plan, name, name, window, _bounded("graded_relu", bounds[0] >> shift, top, shift), extra, worst)
    carriers = [Carrier(name, 1, window.open)]
    if acts and not clips:
        over = f"{name}.over"
        less = extra - window.levels * step
        further = worst + window.levels * step
        neuron = _bounded("graded_relu", (bounds[0] >> shift) - window.levels, (bounds[1] >> shift) - window.levels, shift)
        _add_population(parts, plan, name, over, window, neuron, less, further)
        carriers.append(Carrier(over, -1, window.open))
    parts.values[name] = Value(tuple(carriers), (np.minimum(counts[0], window.levels), np.minimum(counts[1], window.levels)))


def _add_changing(parts: _Parts, plan: Plan, name: str, window: Window, bounds: Bounds) -> None:
    """A sigma-delta neuron, which has its own bias. Before its first frame it has sent 0, so that bounds hold 0."""
    bias, rectify = plan.bias[name], window.role == "message"
    sums = bounds[0] - bias, bounds[1] - bias
    worst = max(int(np.abs(part).max(initial=0)) for part in (*sums, *bounds))
    neuron = _changing(*sums, bias=bias, rectify=rectify)
    _add_population(parts, plan, name, name, window, neuron, np.zeros_like(bias), worst)
    low = np.zeros_like(bias) if rectify else np.minimum(bounds[0], 0)
    parts.values[name] = Value((Carrier(name, 1, window.open),), (low, np.maximum(bounds[1], 0)))


def _changing(low: IntArray, high: IntArray, *, bias: IntArray | None = None, rectify: bool) -> Neuron:
    bounds = {"v_min": np.asarray(min(int(low.min(initial=0)), 0)), "v_max": np.asarray(max(int(high.max(initial=0)), 0))}
    params = {**bounds, "v_threshold": np.asarray(1), "rectify": np.asarray(int(rectify))}
    return Neuron("sigma_delta", params if bias is None or not bias.any() else {**params, "bias": compact(bias)})


def _bounded(family: str, low: IntArray, high: IntArray, shift: int = 0) -> Neuron:
    """A neuron with the bounds that its values are proven to keep, so that an engine knows how large numbers grow."""
    bounds = {"v_min": np.asarray(min(int(low.min(initial=0)), 0)), "v_max": np.asarray(max(int(high.max(initial=0)), 0))}
    return Neuron(family, {**bounds, "shift": np.asarray(shift)} if shift else bounds)


def _add_population(
    parts: _Parts, plan: Plan, node: str, name: str, window: Window, neuron: Neuron, extra: IntArray, worst: int
) -> None:
    """A population called `name` on all that leads to graph node `node`, and `extra` (n,) once a sample."""
    population = Population(name, population_shape(plan.shapes[node]), neuron)
    parts.alive[name], parts.sums[name], parts.sent[name] = np.ones(population.size, bool), worst, window.open
    if extra.any():
        source, pulse = generator(f"{name}.bias", name, [(window.open - 1, extra)])
        parts.sent[source.name] = window.open - 1
        parts.populations.append(source)
        parts.projections.append(pulse)
    parts.populations.append(population)
    for projection in plan.into(node):
        if projection.source not in parts.values:
            continue
        for carrier in parts.values[projection.source].carriers:
            parts.projections.append(_carried(projection, carrier, name, window.open, {p.name for p in parts.projections}))


def _carried(projection: Projection, carrier: Carrier, target: str, step: int, taken: set[str]) -> Projection:
    """`projection` from one carrier of its source to population `target`, arriving in `step`."""
    codes = projection.synapse.codes
    if carrier.sign < 0:
        wide = -codes.astype(np.int64)
        codes = wide.astype(narrowest(int(wide.min(initial=0)), int(wide.max(initial=0))))
    wishes = (projection.name, f"{projection.name}:{carrier.population}", f"{projection.name}:{carrier.population}:{target}")
    name = next(wish for wish in wishes if wish not in taken)
    synapse = replace(projection.synapse, codes=codes)
    delay = step - carrier.sent
    return replace(projection, name=name, source=carrier.population, target=target, synapse=synapse, delay=delay)


# ------------------------------------------------------------------------------------------------------------ max pooling


def _add_maxima(parts: _Parts, plan: Plan, name: str) -> None:
    """The levels of the tree, each a population "pass" and one "rise"; the last "pass" has the node's name."""
    window_node: Any = plan.graph.nodes[predecessors(plan.graph, name)[0]]
    source = next(iter(predecessors(plan.graph, predecessors(plan.graph, name)[0])))
    if source not in parts.values:
        return
    channels, height, width = map_shape(plan.shapes[source])
    pool = max_windows(window_node)
    value = parts.values[source]
    levels = tree(pool, (height, width))
    for number, level in enumerate(levels):
        last = number == len(levels) - 1
        label = name if last else f"{name}.{number + 1}"
        shape = population_shape(plan.shapes[name]) if last else (channels * len(level.left),)
        value = _add_level(parts, value, level, channels, label, shape)
    parts.values[name] = value


def _add_level(parts: _Parts, value: Value, level: Level, channels: int, label: str, shape: tuple[int, ...]) -> Value:
    """One level over all channels."""
    before = len(value.bounds[0]) // channels
    offset = (np.arange(channels) * before)[:, None]
    left = (level.left[None] + offset).reshape(-1)
    paired = np.tile(level.right >= 0, channels)
    right = np.where(paired, (level.right[None] + offset).reshape(-1), left)
    low, high = value.bounds
    signed = bool(low.min(initial=0) < 0)
    sent = max(carrier.sent for carrier in value.carriers) + 1
    passed = _bounded("graded" if signed else "graded_relu", low, high)
    passing = Population(label, shape, _changing(low, high, rectify=not signed) if parts.changes else passed)
    parts.populations.append(passing)
    parts.alive[label], parts.sent[label] = np.ones(passing.size, bool), sent
    parts.sums[label] = int(max(np.abs(low).max(initial=0), np.abs(high).max(initial=0)))
    carriers = [Carrier(label, 1, sent)]
    items = np.arange(passing.size)
    for carrier in value.carriers:
        parts.projections.extend(_links(parts, carrier, label, passing.size, [(items, right, 1)], len(low)))
    if paired.any():
        rise = f"{label}.rise"
        spread = (low[left] - high[right])[paired], (high[left] - low[right])[paired]
        rising = _changing(*spread, rectify=True) if parts.changes else _bounded("graded_relu", *spread)
        parts.populations.append(Population(rise, shape, rising))
        parts.alive[rise], parts.sent[rise] = paired, sent
        parts.sums[rise] = int(max(-spread[0].min(), spread[1].max()))
        some = items[paired]
        pieces = [(some, left[paired], 1), (some, right[paired], -1)]
        for carrier in value.carriers:
            parts.projections.extend(_links(parts, carrier, rise, passing.size, pieces, len(low)))
        carriers.append(Carrier(rise, 1, sent))
    return Value(tuple(carriers), (np.maximum(low[left], low[right]), np.maximum(high[left], high[right])))


def _links(
    parts: _Parts, carrier: Carrier, target: str, size: int, pieces: Sequence[tuple[IntArray, IntArray, int]], sources: int
) -> Iterator[Projection]:
    """Unit synapses from one carrier; pieces: (targets, sources, sign). Neurons that never send get none."""
    alive = parts.alive[carrier.population]
    kept = [(to[alive[at]], at[alive[at]], sign * carrier.sign) for to, at, sign in pieces]
    to, at = (np.concatenate([piece[i] for piece in kept]).astype(np.int32) for i in (0, 1))
    codes = np.concatenate([np.full(len(piece[0]), piece[2], np.int8) for piece in kept])
    if len(to):
        yield Projection(f"{carrier.population}->{target}", carrier.population, target, Sparse(codes, to, at, (size, sources)))
