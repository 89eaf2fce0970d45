"""The cpu machine's clock: which core does what for how many cycles, as tables that the kernel adds up a spike at a time.

docs/semantics.md, "The cpu machine: clock, cores, cycles", is normative. In short, per step and core:

    deliver   event_overhead_cycles + ceil(synapses on this core / lanes)   for each arriving spike and projection
    update    ceil(neurons on this core / lanes)
    emit      message_cycles   for each spike and each destination core

and the step takes the greatest sum of any core plus barrier_cycles. All of it is linear in spikes, so that a table per
source neuron replaces a visit per synapse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.chip import Chip
from snnport.errors import InvalidGraph
from snnport.program import Program
from snnport.sim.fanout import FanOut as FanOut
from snnport.sim.fanout import fan_out as fan_out
from snnport.sim.geometry import Ints
from snnport.sim.neurons import HOST_FAMILIES
from snnport.sim.vector import inner

CLOCK_NUMBERS = ("lanes", "event_overhead_cycles", "message_cycles", "barrier_cycles")
"""A chip has the cpu machine's clock if it has all of these numbers."""


@dataclass(frozen=True)
class Clock:
    """The numbers that cycles are computed from."""

    lanes: int
    event_overhead_cycles: int
    message_cycles: int
    barrier_cycles: int


@dataclass(frozen=True, eq=False)
class Cores:
    """Where the neurons sit. names: (chip, core) of every core in use, ascending. of: population -> place in names, or -1.

    per_chip: cores of one chip.
    """

    names: tuple[tuple[int, int], ...]
    of: Mapping[str, Ints]
    per_chip: int

    @property
    def chips(self) -> int:
        """Number of chips that hold neurons."""
        return len({chip for chip, _ in self.names})

    def spread(self, values: Ints) -> Ints:
        """Values of the cores in use, put at chip * per_chip + core; zeros elsewhere."""
        chips = max((chip for chip, _ in self.names), default=-1) + 1
        result = np.zeros(chips * self.per_chip, np.int64)
        for (chip, core), value in zip(self.names, values, strict=True):
            result[chip * self.per_chip + core] = value
        return result


def clock_of(chip: Chip) -> Clock | None:
    """The chip's clock, None if it lacks one of CLOCK_NUMBERS. Raises InvalidGraph if a number is impossible."""
    if any(name not in chip.numbers for name in CLOCK_NUMBERS):
        return None
    clock = Clock(*(int(chip[name]) for name in CLOCK_NUMBERS))
    if clock.lanes < 1 or min(clock.event_overhead_cycles, clock.message_cycles, clock.barrier_cycles) < 0:
        raise InvalidGraph(f"chip {chip.name}", f"its clock is {clock}, lanes must be at least 1 and nothing negative")
    return clock


def time_s(cycles: int, chip: Chip) -> float | None:
    """Seconds that `cycles` take, or None if the chip states no clock_hz."""
    return cycles / float(chip["clock_hz"]) if "clock_hz" in chip.numbers else None


def cores_of(program: Program, whole: bool) -> Cores:
    """The cores that the placements name.

    Raises InvalidGraph if a slice leaves its population or a neuron is placed twice, and, where `whole`, if a neuron that
    needs a core has none.
    """
    names = tuple(sorted({(s.chip, s.core) for s in program.placements}))
    number = {name: i for i, name in enumerate(names)}
    of = {p.name: np.full(p.size, -1, np.int64) for p in program.populations}
    for s in program.placements:
        if s.population not in of:
            raise InvalidGraph("placements", f"there is no population '{s.population}'")
        if not 0 <= s.start < s.stop <= len(of[s.population]):
            raise InvalidGraph(s.population, f"slice {s.start}..{s.stop} leaves its {len(of[s.population])} neurons")
        if s.core < 0 or s.chip < 0:
            raise InvalidGraph(s.population, f"slice {s.start}..{s.stop} sits on core {s.core} of chip {s.chip}")
        part = of[s.population][s.start : s.stop]
        if np.any(part >= 0):
            raise InvalidGraph(s.population, f"slice {s.start}..{s.stop} places a neuron for the second time")
        part[:] = number[(s.chip, s.core)]
    for p in program.populations:
        if p.neuron.family in HOST_FAMILIES:
            of[p.name][:] = -1
        elif whole and np.any(of[p.name] < 0):
            raise InvalidGraph(p.name, f"neuron {int(np.argmax(of[p.name] < 0))} sits on no core", "Place the program")
    stated = int(program.chip["cores"]) if "cores" in program.chip.numbers else 0
    return Cores(names, of, max([stated, *(core + 1 for _, core in names)]))


def sweep_cycles(cores: Cores, clock: Clock | None) -> Ints:
    """Cycles of the update sweep of every core; zeros without a clock."""
    neurons = np.zeros(len(cores.names), np.int64)
    for of in cores.of.values():
        neurons += np.bincount(of[of >= 0], minlength=len(neurons))
    return -(-neurons // clock.lanes) if clock else np.zeros_like(neurons)


def cost_tables(fan: FanOut, clock: Clock | None) -> dict[str, Ints]:
    """Rows of (core, cycles) pairs: what one spike costs each destination core on arrival. Unplaced targets are left out."""
    placed = fan.placed()
    cycles = clock.event_overhead_cycles + -(-placed.synapses // clock.lanes) if clock else np.zeros_like(placed.synapses)
    return {"cost_row": placed.start, "cost_core": placed.core, "cost_cycles": cycles}


@inner
def account(link: Any, ints: Any, index: Any, count: Any, at: Any, m: Any, busy: Any, queue: Any) -> Any:
    """Charge the arrival of spikes index/count[at : at + m] to the cores; returns the synaptic operations."""
    operations = 0
    for e in range(at, at + m):
        i, c = index[np.uint64(e)], 1 if link.payloads else np.int64(count[np.uint64(e)])
        operations += c * ints[np.uint64(link.synapses_of + i)]
        row = link.cost_row + ints[np.uint64(link.row_of + i)]
        for k in range(ints[np.uint64(row)], ints[np.uint64(row + 1)]):
            core = ints[np.uint64(link.cost_core + k)]
            busy[np.uint64(core)] += c * ints[np.uint64(link.cost_cycles + k)]
            queue[np.uint64(core)] += c
    return operations


def as_table(values: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """`values` as the kernel's table type. Raises InvalidGraph beyond 32 bits."""
    table = np.asarray(values, np.int64).ravel()
    if table.size and max(int(table.max()), -int(table.min())) > np.iinfo(np.int32).max:
        raise InvalidGraph("program", f"a table of the engine holds {int(table.max())}, 2^31 - 1 is the limit", "Split it")
    return table.astype(np.int32)
