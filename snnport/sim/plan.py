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
from snnport.sim.geometry import Ints, layout_of
from snnport.sim.neurons import HOST_FAMILIES, UNBOUNDED, Arrivals, Prepared
from snnport.sim.records import Builder
from snnport.sim.synapses import KINDS, WIDTHS, Wiring
from snnport.sim.timing import Clock, Cores

EventLists = tuple[Ints, npt.NDArray[np.int32], npt.NDArray[np.int32]]
"""start (lists + 1,), index, count: list i is index[start[i] : start[i + 1]], in the engine's order of neurons."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything the kernel needs, and the order of populations and neurons in it.

    order: populations in the order of a step. links: projections in the order of the records. inside: population ->
    position of every neuron (C order) in the engine's order. most: population -> spikes a neuron fires in one step at most.
    codes: by codes_type.
    """

    steps: int
    order: tuple[Population, ...]
    links: tuple[Projection, ...]
    inside: Mapping[str, Ints]
    most: Mapping[str, int]
    cell_records: npt.NDArray[Any]
    link_records: npt.NDArray[Any]
    tables: npt.NDArray[np.int32]
    codes: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
    params: npt.NDArray[Any]
    initial: npt.NDArray[Any]
    generated: EventLists
    n_neurons: int
    ring_size: int
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
    order = step_order(program)
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
    builder = Builder(program, order, inside, cores, clock, steps, wide=state_type.itemsize == 8)
    link_records = builder.link_records(links, wirings)
    cell_records = builder.cell_records(prepared)
    codes8, codes16, codes32 = (builder.codes[i].joined(width) for i, width in enumerate(WIDTHS))
    limits = np.iinfo(np.int64 if builder.wide else np.int32)
    return Plan(
        steps=steps,
        order=order,
        links=links,
        inside=inside,
        most=most,
        cell_records=cell_records,
        link_records=link_records,
        tables=timing.as_table(builder.tables.joined(np.int64)),
        codes=(codes32, codes32, codes32) if builder.wide else (codes8, codes16, codes32),
        # A parameter beyond the state's type is one that v, which is bounded, never reaches.
        params=np.clip(builder.params.joined(np.int64), limits.min, limits.max).astype(state_type),
        initial=builder.initial.joined(state_type),
        generated=_generated(order, inside, steps),
        n_neurons=sum(p.size for p in order),
        ring_size=builder.ring_size,
        pooled_size=int(link_records["pooled"].max(initial=0)),
        clock=clock,
        cores=cores,
        sweep=timing.sweep_cycles(cores, clock),
    )


def _generated(order: Sequence[Population], inside: Mapping[str, Ints], steps: int) -> EventLists:
    """The spikes of the generators, one list a generator and step; spikes after the last step are left out."""
    start: list[Ints] = [np.zeros(1, np.int64)]
    index, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for p in order:
        if p.neuron.family != "generator":
            continue
        time, neuron = p.neuron["time"].astype(np.int64), inside[p.name][p.neuron["index"]]
        pairs, times = np.unique(np.stack([time, neuron])[:, time < steps], axis=1, return_counts=True)
        start.append(start[-1][-1] + np.cumsum(np.bincount(pairs[0], minlength=steps)))
        index.append(pairs[1])
        count.append(times)
    return np.concatenate(start), np.concatenate(index).astype(np.int32), np.concatenate(count).astype(np.int32)


def step_order(program: Program) -> tuple[Population, ...]:
    """Populations in topological order of the projections without delay, otherwise in the program's order."""
    waiting = {p.name: {q.source for q in program.into(p.name) if q.delay == 0} for p in program.populations}
    order: list[Population] = []
    while waiting:
        ready = next((p for p in program.populations if p.name in waiting and not waiting[p.name] & set(waiting)), None)
        if ready is None:
            names = ", ".join(sorted(waiting))
            raise InvalidGraph("program", f"projections without delay close a loop among {names}", "Give one of them a delay")
        order.append(ready)
        del waiting[ready.name]
    return tuple(order)


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
    for name in (*program.inputs, *program.outputs):
        if name not in names:
            raise InvalidGraph("program", f"its inputs and outputs name '{name}', known populations are {names}")
    for p in program.populations:
        if (p.neuron.family == "input") != (p.name in program.inputs):
            raise InvalidGraph(p.name, "family 'input' and the program's list of inputs do not agree about it")


def _prepare(
    program: Program, links: Sequence[Projection], wirings: Sequence[Wiring], steps: int, stimulus_count: int
) -> tuple[dict[str, Prepared], dict[str, int]]:
    """Prepare every population, and the most spikes that a neuron of each fires in one step.

    Arrivals are bounded by the spikes of the sources times the greatest sum of |codes| into one neuron; that of a
    population that was not prepared yet, as in a loop, by its max_spikes alone.
    """
    values = {p.name: neurons.parameters(p) for p in program.populations}
    most = {
        p.name: stimulus_count
        if p.neuron.family == "input"
        else int(values[p.name].get("max_spikes", np.ones(1)).max(initial=1))
        for p in program.populations
    }
    total = {name: count * steps for name, count in most.items()}
    for p in program.populations:
        if p.neuron.family == "generator":
            total[p.name] = int(np.bincount(values[p.name]["index"].ravel()).max(initial=0))
            most[p.name] = total[p.name]
    prepared: dict[str, Prepared] = {}
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
            most[p.name] = min(most[p.name], prepared[p.name].max_count)
            total[p.name] = most[p.name] * steps
            if most[p.name] > np.iinfo(np.int32).max:
                raise InvalidGraph(p.name, f"a neuron may fire {most[p.name]} times in a step", "Lower max_spikes")
    return prepared, most
