"""A Program laid out for the kernel: checked, ordered, bounded, and flattened into records and tables of integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph
from snnport.program import Population, Program, Projection
from snnport.sim import neurons, synapses, timing
from snnport.sim.families.base import MOST_PAYLOAD, UNBOUNDED, Arrivals, Prepared, largest
from snnport.sim.families.firing import generated
from snnport.sim.geometry import Ints, layout_of
from snnport.sim.neurons import HOST_FAMILIES
from snnport.sim.records import Builder
from snnport.sim.schedule import Pace, groups_of, pace_of, tiled_populations
from snnport.sim.synapses import KINDS, Wiring
from snnport.sim.timing import Clock, Cores

EventLists = tuple[Ints, npt.NDArray[np.int32], npt.NDArray[np.int32]]
"""start (lists + 1,), index, count: list i is index[start[i] : start[i + 1]], in the engine's order of neurons."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything the kernel needs, and the order of populations and neurons in it.

    order: populations in the order of a step. links: projections in the order of the records. inside: population ->
    position of every neuron (C order) in the engine's order. most: population -> spikes a neuron fires in one step at most,
    or the largest |payload|. payloads: populations that send numbers. extended: see kernel.run_samples. codes: by codes_type.
    groups: first population of each group of schedule.groups_of, and the number of populations. ring_size, pending_size:
    entries that the records point into, of one sample. raster_size: most sources of a population that goes in tiles.
    """

    steps: int
    order: tuple[Population, ...]
    links: tuple[Projection, ...]
    inside: Mapping[str, Ints]
    most: Mapping[str, int]
    payloads: frozenset[str]
    extended: tuple[int, int] | None
    cell_records: npt.NDArray[Any]
    link_records: npt.NDArray[Any]
    tables: npt.NDArray[np.int32]
    codes: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
    params: npt.NDArray[Any]
    initial: npt.NDArray[Any]
    generated: EventLists
    n_neurons: int
    groups: Ints
    pace: Pace
    ring_size: int
    pending_size: int
    raster_size: int
    pooled_size: int
    clock: Clock | None
    cores: Cores
    sweep: Ints


def make_plan(program: Program, steps: int, stimulus_count: int) -> Plan:
    """Lay `program` out for runs of `steps` steps whose stimulus has at most `stimulus_count` spikes a neuron and step.

    Raises InvalidGraph for a program that contradicts itself, UnsupportedNode for a family the engine does not know.
    """
    _check(program)
    populations = {p.name: p for p in program.populations}
    layouts = {p.name: layout_of(p, program.into(p.name)) for p in program.populations}
    inside = {name: layout.inside() for name, layout in layouts.items()}
    groups = groups_of(program)
    order = tuple(p for group in groups for p in group)
    links = tuple(q for p in order for q in program.into(p.name))
    wirings = [
        synapses.wire(q, populations[q.source], populations[q.target], inside[q.source], layouts[q.target]) for q in links
    ]
    prepared, most = _prepare(program, links, wirings, steps, stimulus_count)
    bound = max((p.bound for p in prepared.values()), default=0)
    if bound >= UNBOUNDED:
        raise InvalidGraph("program", f"a potential may reach {bound}, the engine holds 2^62", "Scale the codes down")
    state_type = np.dtype(np.int32 if bound < np.iinfo(np.int32).max else np.int64)
    clock = timing.clock_of(program.chip)
    cores = timing.cores_of(program, whole=clock is not None)
    tiled = tiled_populations(program, groups)
    pace = pace_of(program, steps, tiled, len(cores.names))
    tiled = tiled if pace.steps > 1 else frozenset()
    wide = state_type.itemsize == 8
    builder = Builder(program, order, inside, cores, clock, steps, wide, tiled, pace.steps, most)
    link_records = builder.link_records(links, wirings)
    cell_records = builder.cell_records(prepared)
    tables = builder.tables.joined()
    codes8, codes16, codes32 = (codes.joined() for codes in builder.codes)
    return Plan(
        steps=steps,
        order=order,
        links=links,
        inside=inside,
        most=most,
        payloads=frozenset(p.name for p in order if neurons.sends_payloads(p)),
        extended=_extended(order, links, cell_records, link_records, tables),
        cell_records=cell_records,
        link_records=link_records,
        tables=tables,
        codes=(codes32, codes32, codes32) if wide else (codes8, codes16, codes32),
        params=builder.params.joined(),
        initial=builder.initial.joined(),
        generated=_generated(order, inside, steps),
        n_neurons=sum(p.size for p in order),
        groups=np.cumsum([0, *map(len, groups)]),
        pace=pace,
        ring_size=builder.ring_size,
        pending_size=builder.pending_size,
        raster_size=builder.raster_size,
        pooled_size=int(link_records["pooled"].max(initial=0)),
        clock=clock,
        cores=cores,
        sweep=timing.sweep_cycles(cores, clock),
    )


def _extended(
    order: Sequence[Population],
    links: Sequence[Projection],
    cells: npt.NDArray[Any],
    records: npt.NDArray[Any],
    tables: npt.NDArray[np.int32],
) -> tuple[int, int] | None:
    """None where the kernel of the common families and kinds is enough, else sizes of its scratch space."""
    families = [neurons.family_of(p) for p in order]
    plain = all(family.common for family in families) and all(KINDS[type(q.synapse)].common for q in links)
    if plain and not any(neurons.sends_payloads(p) for p in order):
        return None
    target = np.repeat(np.arange(len(cells)), cells["last_link"] - cells["first_link"])
    widest = 0
    for record, i in zip(records, target, strict=True):
        if cells["one_by_one"][i]:
            synapses_of = tables[record["synapses_of"] :][: cells["size"][record["source"]]]
            widest = max(widest, int(synapses_of.max(initial=0)))
    return widest, max(p.size for p in order)


def _generated(order: Sequence[Population], inside: Mapping[str, Ints], steps: int) -> EventLists:
    """The spikes of the generators, one list a generator and step; spikes after the last step are left out."""
    start: list[Ints] = [np.zeros(1, np.int64)]
    index, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for p in order:
        if p.neuron.family != "generator":
            continue
        pairs, carried = generated(neurons.parameters(p))
        time, neuron = pairs[0], inside[p.name][pairs[1]]
        order_of = np.lexsort((neuron, time))[: np.count_nonzero(time < steps)]
        start.append(start[-1][-1] + np.cumsum(np.bincount(time[order_of], minlength=steps)))
        index.append(neuron[order_of])
        count.append(carried[order_of])
    return np.concatenate(start), np.concatenate(index).astype(np.int32), np.concatenate(count).astype(np.int32)


def _check(program: Program) -> None:
    names = [p.name for p in program.populations]
    projections = [q.name for q in program.projections]
    for kind, listed in (("populations", names), ("projections", projections)):
        if len(set(listed)) != len(listed):
            raise InvalidGraph("program", f"two {kind} share a name among {listed}", "Rename one")
    for q in program.projections:
        if q.source not in names or q.target not in names:
            raise InvalidGraph(q.name, f"it joins '{q.source}' to '{q.target}', known populations are {names}")
        if program.population(q.target).neuron.family in HOST_FAMILIES:
            raise InvalidGraph(q.name, f"its target '{q.target}' emits a fixed list of spikes and takes no input")
        if q.delay < 0:
            raise InvalidGraph(q.name, f"its delay is {q.delay} steps, at least 0 is needed")
        if type(q.synapse) not in KINDS:
            raise InvalidGraph(q.name, f"the engine has no synapse kind '{type(q.synapse).__name__}'")
        synapses.check(q)
        _check_target(program, q)
    for name in (*program.inputs, *program.outputs):
        if name not in names:
            raise InvalidGraph("program", f"its inputs and outputs name '{name}', known populations are {names}")
    for p in program.populations:
        if (p.neuron.family == "input") != (p.name in program.inputs):
            raise InvalidGraph(p.name, "family 'input' and the program's list of inputs do not agree about it")


def _check_target(program: Program, q: Projection) -> None:
    target = program.population(q.target)
    ports = 2 if "dash_syn_2" in target.neuron.params else 1
    if not 0 <= q.port < ports:
        raise InvalidGraph(q.name, f"its port is {q.port}, '{q.target}' has {ports}", "Only xylo has two, with dash_syn_2")
    if neurons.family_of(target).one_by_one and neurons.sends_payloads(program.population(q.source)):
        what = f"'{q.source}' sends numbers, '{q.target}' of family '{target.neuron.family}' takes single spikes"
        raise InvalidGraph(q.name, what, "Put a family between them that fires")


def _prepare(
    program: Program, links: Sequence[Projection], wirings: Sequence[Wiring], steps: int, stimulus_count: int
) -> tuple[dict[str, Prepared], dict[str, int]]:
    """Prepare every population, and the most spikes that a neuron of each fires in one step.

    Arrivals are bounded by the spikes of the sources times the greatest sum of |codes| into one neuron; that of a
    population that was not prepared yet, as in a loop, by its max_spikes or its v_min and v_max alone.
    """
    values = {p.name: neurons.parameters(p) for p in program.populations}
    most = {p.name: stimulus_count if p.neuron.family == "input" else _most(p, values[p.name]) for p in program.populations}
    total = {name: count * steps for name, count in most.items()}
    for p in program.populations:
        if p.neuron.family == "generator":
            pairs, carried = generated(values[p.name])
            total[p.name] = int(np.bincount(pairs[1], np.abs(carried)).max(initial=0))
            most[p.name] = largest(carried)
    prepared: dict[str, Prepared] = {}
    sending = {p.name for p in program.populations if neurons.sends_payloads(p)}
    for p in program.populations:
        step = whole = 0
        for q, wiring in zip(links, wirings, strict=True):
            if q.target == p.name:
                window = int(np.prod(q.pool.kernel_size)) if q.pool else 1
                if window * most[q.source] > np.iinfo(np.int32).max:
                    raise InvalidGraph(q.name, f"a window may hold {window * most[q.source]} spikes", "Lower max_spikes")
                reach = wiring.reach * window
                step += reach * most[q.source]
                whole += reach * total[q.source]
        prepared[p.name] = neurons.family_of(p).prepare(p, values[p.name], steps, Arrivals(step, whole))
        if p.neuron.family not in HOST_FAMILIES:
            most[p.name] = prepared[p.name].max_count if p.name in sending else min(most[p.name], prepared[p.name].max_count)
            total[p.name] = most[p.name] * steps
            if most[p.name] > MOST_PAYLOAD:
                if p.name in sending:
                    what = f"a neuron may send {most[p.name]}, 2^31 - 1 is the limit"
                    raise InvalidGraph(p.name, what, "Give it v_min and v_max")
                raise InvalidGraph(p.name, f"a neuron may fire {most[p.name]} times in a step", "Lower max_spikes")
    return prepared, most


def _most(population: Population, values: Mapping[str, Ints]) -> int:
    """Most spikes or largest |payload| of a population of which nothing but its parameters is known."""
    if not neurons.sends_payloads(population) or "v_min" not in values:
        return int(values.get("max_spikes", np.ones(1)).max(initial=1))
    # What a bounded neuron sends may be the difference of two of its values, behind a bias.
    return min(2 * (largest(values["v_min"], values["v_max"]) + largest(values["bias"])), MOST_PAYLOAD)
