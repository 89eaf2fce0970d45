"""Spikes on the way between cores: messages, hops on the mesh, and what each core has to do.

All of it is linear in the spikes of each source neuron, so that totals of a run come from counts.spikes_per_neuron and
lists of destinations, without a visit per spike and without a table of neurons by cores. The spikes of the last step are
sent like all others (a chip delivers them before the barrier that ends the step), though no step is left that sees them.
docs/energy.md, "What is counted", gives the definitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.chip import Chip
from snnport.errors import InvalidGraph
from snnport.program import Program
from snnport.sim import timing
from snnport.sim.counts import Counts, Ints
from snnport.sim.fanout import reached_cores
from snnport.sim.timing import Cores

MESH_NUMBERS = ("mesh_width", "mesh_height", "cores_per_tile")
"""A chip has a mesh if it has all of these numbers."""
HOST_TILE = 0
"""Where the spikes of inputs and generators enter: the tile in the corner (0, 0)."""


@dataclass(frozen=True)
class Mesh:
    """A rectangle of tiles with cores: core c sits on tile c // cores_per_tile, tile t at (t // height, t % height)."""

    width: int
    height: int
    cores_per_tile: int

    @property
    def cores(self) -> int:
        """Cores of all tiles."""
        return self.width * self.height * self.cores_per_tile

    def place(self, core: int) -> tuple[int, int]:
        """(x, y) of the core's tile."""
        return divmod(core // self.cores_per_tile, self.height)


@dataclass(frozen=True)
class Hops:
    """Steps from tile to tile, first along x, then along y; east: to greater x, north: to greater y."""

    east: int = 0
    west: int = 0
    north: int = 0
    south: int = 0

    @property
    def x(self) -> int:
        """Hops east and west."""
        return self.east + self.west

    @property
    def y(self) -> int:
        """Hops north and south."""
        return self.north + self.south

    @property
    def total(self) -> int:
        """All hops."""
        return self.x + self.y


@dataclass(frozen=True, eq=False)
class Traffic:
    """Totals of the spikes fired in a run, those included that would arrive after its end.

    messages: one for each spike and destination core; chip_messages: those that leave their chip.

    hops: of messages within a chip, None without a mesh. tiles: tiles of all chips that hold neurons, None without a mesh.
    Per core (cores in use, (chip, core) ascending): core_operations synaptic operations, core_neurons neurons placed, core_sent
    messages sent, core_received messages received, core_spikes spikes fired.
    """

    messages: int
    chip_messages: int
    hops: Hops | None
    tiles: int | None
    core_operations: Ints
    core_neurons: Ints
    core_sent: Ints
    core_received: Ints
    core_spikes: Ints


def mesh_of(chip: Chip) -> Mesh | None:
    """The chip's mesh, None if it lacks one of MESH_NUMBERS or has more cores than its mesh: then nobody said where they are.

    Raises InvalidGraph if a number is below 1.
    """
    if any(name not in chip.numbers for name in MESH_NUMBERS):
        return None
    mesh = Mesh(*(int(chip[name]) for name in MESH_NUMBERS))
    if min(mesh.width, mesh.height, mesh.cores_per_tile) < 1:
        raise InvalidGraph(f"chip {chip.name}", f"its mesh is {mesh}, every number must be at least 1")
    return mesh if "cores" not in chip.numbers or int(chip["cores"]) <= mesh.cores else None


def traffic(program: Program, counts: Counts, mesh: Mesh | None = None, host_placed: bool = False) -> Traffic:
    """What the spikes of a run, counts.spikes_per_neuron, sent over the network. mesh: default that of the program's chip.

    host_placed: inputs and generators sit where the placements say, as on a simulator's chip, instead of at the host.
    Raises InvalidGraph where a core lies outside the mesh, and what timing.cores_of raises.
    """
    mesh = mesh_of(program.chip) if mesh is None else mesh
    cores = _with_host(program, timing.cores_of(program, whole=False)) if host_placed else timing.cores_of(program, whole=False)
    n = len(cores.names)
    places = None if mesh is None else _places(cores, mesh, program.chip.name)
    chip_of = np.array([*(chip for chip, _ in cores.names), -1], np.int64)
    operations, received, sent, spikes = (np.zeros(n + 1, np.int64) for _ in range(4))
    neurons = np.zeros(n + 1, np.int64)
    between_chips, hops = 0, np.zeros(4, np.int64)
    for p in program.populations:
        of = np.where(cores.of[p.name] < 0, n, cores.of[p.name])
        fired = counts.spikes_per_neuron[p.name]
        np.add.at(spikes, of, fired)
        np.add.at(neurons, of, 1)
        links = [q for q in program.projections if q.source == p.name]
        fans = [timing.fan_out(q, p.size, cores.of[q.target], n) for q in links]
        for fan in fans:
            by_row = _exact(np.bincount(fan.row_of, weights=fired, minlength=len(fan.start) - 1))
            np.add.at(operations, fan.core, fan.synapses * by_row[fan.rows])
        if not fans or not fired.any():
            continue
        kind_of, kind, core = reached_cores(fans, of)
        kinds = int(kind_of.max()) + 1
        weight = _exact(np.bincount(kind_of, weights=fired, minlength=kinds))[kind]
        source_of = np.zeros(kinds, np.int64)
        source_of[kind_of] = of
        source = source_of[kind]
        np.add.at(received, core, weight)
        np.add.at(sent, source, weight)
        inside = (source == n) | (chip_of[source] == chip_of[core])
        between_chips += int(weight[~inside].sum())
        if places is not None:
            way = (places[core] - places[source])[inside]
            hops += (weight[inside, None] * np.concatenate((np.maximum(way, 0), np.maximum(-way, 0)), axis=1)).sum(axis=0)
    east, north, west, south = (int(h) for h in hops)
    return Traffic(
        int(received.sum()),
        between_chips,
        None if mesh is None else Hops(east, west, north, south),
        None if mesh is None else len({(chip, core // mesh.cores_per_tile) for chip, core in cores.names}),
        operations[:n],
        neurons[:n],
        sent[:n],
        received[:n],
        spikes[:n],
    )


def _with_host(program: Program, cores: Cores) -> Cores:
    """`cores` with the neurons of inputs and generators on the cores that the placements name."""
    number = {name: i for i, name in enumerate(cores.names)}
    of = {name: values.copy() for name, values in cores.of.items()}
    for s in program.placements:
        of[s.population][s.start : s.stop] = number[(s.chip, s.core)]
    return Cores(cores.names, of, cores.per_chip)


def _exact(values: npt.NDArray[Any]) -> Ints:
    # Sums of counts are integers; float64 holds them up to 2^53, far above what a run can fire.
    return np.asarray(np.rint(values), np.int64)


def _places(cores: Cores, mesh: Mesh, chip_name: str) -> Ints:
    """(n_cores + 1, 2): x and y of the tile of every core in use, the last row that of HOST_TILE."""
    places = []
    for chip, core in cores.names:
        x, y = mesh.place(core)
        if x >= mesh.width:
            raise InvalidGraph(f"core {core} of chip {chip}", f"{chip_name} has a mesh of {mesh.cores} cores", "Place it again")
        places.append((x, y))
    return np.array([*places, mesh.place(HOST_TILE * mesh.cores_per_tile)], np.int64)
