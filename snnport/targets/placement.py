"""Which core holds which neurons.

Greedy and deterministic: populations in order, each cut into contiguous slices in C order that fill one core after the
other. A slice that no core can hold alone is placed all the same; the rules see its load and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from snnport.program import Population, Program, Slice

Load: TypeAlias = Mapping[str, int]
Demand: TypeAlias = Callable[[str, int, int], Load]
"""(population, start, stop) to what that slice takes of each resource; more neurons never take less."""

OFF_CHIP = ("input", "generator")
"""Families whose spikes the host or a sequencer sends: they sit on no core."""


def on_chip(program: Program) -> tuple[Population, ...]:
    """The populations whose neurons need a core."""
    return tuple(p for p in program.populations if p.neuron.family not in OFF_CHIP)


def place_greedily(program: Program, demand: Demand, limits: Load) -> tuple[Slice, ...]:
    """Slices that cover each neuron on the chip once. limits: what one core has of each resource that `demand` names.

    As many cores are numbered as are needed; whether the chip has them is for a rule to judge.
    """
    slices: list[Slice] = []
    core, load = 0, dict.fromkeys(limits, 0)
    for population in on_chip(program):
        start, length = 0, population.size
        while start < population.size:
            taken = _Room(demand, limits, load, population.name, start).longest(population.size - start, length)
            if taken == 0 and any(load.values()):
                core, load = core + 1, dict.fromkeys(limits, 0)
                continue
            length = taken or min(population.size - start, max(1, limits.get("neurons", 1)))
            slices.append(Slice(population.name, core, start, start + length))
            load = _plus(load, demand(population.name, start, start + length))
            start += length
            if start < population.size:
                core, load = core + 1, dict.fromkeys(limits, 0)
    return tuple(slices)


def core_loads(program: Program, demand: Demand) -> dict[tuple[int, int], dict[str, int]]:
    """What the placed slices take of each resource, by (chip, core)."""
    loads: dict[tuple[int, int], dict[str, int]] = {}
    for piece in program.placements:
        taken = demand(piece.population, piece.start, piece.stop)
        key = (piece.chip, piece.core)
        loads[key] = _plus(loads.get(key, {}), taken)
    return loads


def core_name(place: tuple[int, int]) -> str:
    """`core 5`, or `core 5 of chip 1` behind the first chip."""
    chip, core = place
    return f"core {core}" + (f" of chip {chip}" if chip else "")


@dataclass(frozen=True)
class _Room:
    """What is left on a core that holds `load`, for the neurons of a population from `start` on."""

    demand: Demand
    limits: Load
    load: Load
    population: str
    start: int

    def holds(self, length: int) -> bool:
        after = _plus(self.load, self.demand(self.population, self.start, self.start + length))
        return all(after[key] <= limit for key, limit in self.limits.items())

    def longest(self, most: int, guess: int) -> int:
        """The greatest length up to `most` that fits, 0 if none does. The search widens from `guess`: slices are alike."""
        guess = min(guess, most)
        low, high, step = 0, most + 1, 1
        if self.holds(guess):
            low = guess
            while low + step < high:
                if not self.holds(low + step):
                    high = low + step
                    break
                low, step = low + step, 2 * step
        else:
            high = guess
            while high - step > low:
                if self.holds(high - step):
                    low = high - step
                    break
                high, step = high - step, 2 * step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.holds(middle) else (low, middle)
        return low


def _plus(load: Load, more: Load) -> dict[str, int]:
    return {key: load.get(key, 0) + more.get(key, 0) for key in {**load, **more}}
