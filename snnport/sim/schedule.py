"""In what order a run visits populations, steps and samples. No choice made here changes what is computed.

Populations that no loop joins can go through many steps one after the other, sources first: the spikes of a whole block of
steps are then known when their targets begin, and the weights stay in the cache from step to step. Populations in a loop take
each step together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from snnport.errors import InvalidGraph
from snnport.program import Dense, Population, Program
from snnport.sim.neurons import HOST_FAMILIES, family_of

MOST_STEPS, FEWEST_STEPS = 128, 8
"""Steps of a block. A network so large that fewer would fit is taken step by step."""
MOST_SAMPLES = 2
"""Samples that go through a block side by side, so that a tile of weights is fetched once for all of them."""
MOST_EVENTS, MOST_TALLIES = 1 << 21, 1 << 18
"""Room for the spikes of the last steps, and for the tallies of cores and steps, of one sample."""


@dataclass(frozen=True)
class Pace:
    """steps: of a block. samples: side by side."""

    steps: int
    samples: int


def groups_of(program: Program) -> tuple[tuple[Population, ...], ...]:
    """Populations in topological order of all projections; those that a loop joins are one group.

    Within a group they are in topological order of the projections without delay, otherwise in the program's order.
    Raises InvalidGraph if projections without delay close a loop.
    """
    sources = {p.name: {q.source for q in program.into(p.name)} for p in program.populations}
    behind = {name: _behind(name, sources) for name in sources}
    waiting, groups = {p.name: p for p in program.populations}, []
    while waiting:
        name = next(name for name in waiting if all(other not in waiting or name in behind[other] for other in behind[name]))
        loop = [other for other in waiting if other == name or (other in behind[name] and name in behind[other])]
        groups.append(_in_order(program, loop))
        for member in loop:
            del waiting[member]
    return tuple(groups)


def _behind(name: str, sources: dict[str, set[str]]) -> set[str]:
    """All populations from which spikes may reach `name`, also by way of others."""
    found: set[str] = set()
    new = set(sources[name])
    while new:
        found |= new
        new = set().union(*(sources[other] for other in new)) - found
    return found


def _in_order(program: Program, names: Collection[str]) -> tuple[Population, ...]:
    waiting = {p.name: {q.source for q in program.into(p.name) if q.delay == 0} for p in program.populations if p.name in names}
    order: list[Population] = []
    while waiting:
        ready = next((name for name in waiting if not waiting[name] & set(waiting)), None)
        if ready is None:
            listed = ", ".join(sorted(waiting))
            raise InvalidGraph("program", f"projections without delay close a loop among {listed}", "Give one of them a delay")
        order.append(program.population(ready))
        del waiting[ready]
    return tuple(order)


def tiled_populations(program: Program, groups: Collection[Collection[Population]]) -> frozenset[str]:
    """Populations whose arrivals of many steps are added up together, a tile of targets at a time.

    All of their synapses are dense, no loop leads back to them, and their neurons do not meet spikes one by one.
    """
    chosen = set()
    for group in groups:
        for p in group:
            incoming = program.into(p.name)
            fitting = p.neuron.family not in HOST_FAMILIES and not family_of(p).one_by_one
            dense = incoming and all(isinstance(q.synapse, Dense) and q.pool is None for q in incoming)
            if len(group) == 1 and fitting and dense and p.name not in {q.source for q in incoming}:
                chosen.add(p.name)
    return frozenset(chosen)


def pace_of(program: Program, steps: int, tiled: Collection[str], n_cores: int) -> Pace:
    """How many steps and samples a block has; one each where nothing goes in tiles or where more would take too much room."""
    if not tiled:
        return Pace(1, 1)
    neurons = sum(p.size for p in program.populations)
    delays = {p.name: max((q.delay for q in program.projections if q.source == p.name), default=0) for p in program.populations}
    held = sum(p.size * min(steps, delays[p.name]) for p in program.populations)
    room = min((MOST_EVENTS - held) // max(1, neurons), MOST_TALLIES // (n_cores + 1), MOST_STEPS)
    if room < min(steps, FEWEST_STEPS):
        return Pace(1, 1)
    # Blocks of equal length, rather than a short one at the end.
    blocks = -(-steps // room)
    length = max(1, -(-steps // max(1, blocks)))
    fitting = 2 * MOST_EVENTS // (held + neurons * length)
    return Pace(length, max(1, min(MOST_SAMPLES, fitting)))
