"""Which core of which chip holds which neurons.

Greedy as placement.py has it: neurons, input axons, synaptic memory and routes fill one core after the other, and a chip
after the other. Routes (a core's table of destinations: one entry a neuron and core that it sends to) depend on where the
targets are, so that the placement is repeated with the destinations of the one before until they agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnport.chip import Chip
from snnport.program import Program, Slice, placed
from snnport.sim.fanout import fan_out, messages_per_spike
from snnport.sim.timing import cores_of
from snnport.targets.base import CoreUse
from snnport.targets.loihi.memory import demand, limits
from snnport.targets.placement import OFF_CHIP, core_loads, place_greedily

NAMES = {"neurons": "neurons", "axons": "input axons", "bits": "synaptic memory (bits)", "routes": "output axons"}
ROUNDS = 16
"""Placements tried before the last one is judged as it is. Destinations grow from the last layer to the first, one a round."""


def place(program: Program, chip: Chip) -> Program:
    """`program` with every neuron on a core; cores are counted through, chip after chip."""
    routes: dict[str, int] = {}
    result = program
    for _ in range(ROUNDS):
        found = place_greedily(program, demand(program, chip, routes), limits(chip))
        result = placed(program, tuple(_on_chip(piece, int(chip["cores"])) for piece in found))
        now = {name: int(reached.max(initial=0)) for name, reached in destinations(result).items()}
        if max(routes_of(result, now).values(), default=0) <= int(chip["output_axons"]):
            break
        routes = {name: max(number, routes.get(name, 0)) for name, number in now.items()}
    return result


def core_use(program: Program, chip: Chip) -> CoreUse:
    """Neurons, axons in and out (routes) and bits of synaptic memory of every core, and what a core has of them."""
    reached = {name: int(number.max(initial=0)) for name, number in destinations(program).items()}
    used = core_loads(program, demand(program, chip, reached))
    have = limits(chip)
    return {at: {NAMES[key]: n for key, n in load.items()} for at, load in used.items()}, {NAMES[k]: n for k, n in have.items()}


def routes_of(program: Program, reached: Mapping[str, int]) -> dict[tuple[int, int], int]:
    """Entries in the table of destinations of every (chip, core); reached: cores that a neuron of a population sends to."""
    loads: dict[tuple[int, int], int] = {}
    for piece in program.placements:
        key = (piece.chip, piece.core)
        loads[key] = loads.get(key, 0) + (piece.stop - piece.start) * reached.get(piece.population, 0)
    return loads


def destinations(program: Program) -> Mapping[str, np.ndarray]:
    """Cores that a spike of every neuron goes to, by population on the chip."""
    cores = cores_of(program, whole=False)
    n = len(cores.names)
    found = {}
    for p in program.populations:
        if p.neuron.family not in OFF_CHIP:
            fans = [fan_out(q, p.size, cores.of[q.target], n) for q in program.projections if q.source == p.name]
            found[p.name] = messages_per_spike(fans, p.size)
    return found


def _on_chip(piece: Slice, cores: int) -> Slice:
    chip, core = divmod(piece.core, max(1, cores))
    return replace(piece, chip=chip, core=core)
