"""SANA-FE's architecture files (YAML) as energies and as a chip.

Read are width, height, tiles with hop energies, and cores with units for arriving messages, synapses, dendrites, somas and
leaving messages. All tiles and all cores must be alike, messages must wait in front of the soma, and dendrites must not
charge by the step, because the closed form in sanafe.py is for such machines; every other file is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snnport.errors import InvalidInput, UnsupportedNode
from snnport.sim.network import Mesh

SOMA = ("energy_access_neuron", "energy_update_neuron", "energy_spike_out")
HOPS = ("energy_east_hop", "energy_west_hop", "energy_north_hop", "energy_south_hop")


@dataclass(frozen=True)
class SomaUnit:
    """A unit that updates neurons: joules for an access, an update and a spike."""

    model: str
    access: float
    update: float
    spike_out: float


@dataclass(frozen=True)
class HopPrices:
    """Joules of a hop: east to greater x, north to greater y."""

    east: float
    west: float
    north: float
    south: float


@dataclass(frozen=True)
class Architecture:
    """A chip as SANA-FE describes it, energies in joules. synapses, dendrites, somas: unit -> price, in the file's order."""

    name: str
    mesh: Mesh
    neurons_per_core: int
    hops: HopPrices
    message_in: float
    message_out: float
    synapses: Mapping[str, float]
    dendrites: Mapping[str, float]
    somas: Mapping[str, SomaUnit]

    def synapse(self, kind: str) -> str:
        """The synapse unit for projections of `kind` (dense, sparse, conv): one whose name holds the word, else the first."""
        return next((name for name in self.synapses if kind in name), next(iter(self.synapses)))

    def neuron(self) -> SomaUnit | None:
        """The first unit with leaky integrate-and-fire neurons, None if there is none."""
        return next((soma for soma in self.somas.values() if soma.model == "leaky_integrate_fire"), None)

    @property
    def cores(self) -> int:
        """Cores of the chip."""
        return self.mesh.cores

    def to_json(self) -> dict[str, Any]:
        """Plain data that from_json takes back; a file without YAML."""
        return {
            "name": self.name,
            "mesh": vars(self.mesh),
            "neurons_per_core": self.neurons_per_core,
            "hops": vars(self.hops),
            "message_in": self.message_in,
            "message_out": self.message_out,
            "synapses": dict(self.synapses),
            "dendrites": dict(self.dendrites),
            "somas": {name: vars(unit) for name, unit in self.somas.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        """The architecture that to_json wrote."""
        somas = {name: SomaUnit(**unit) for name, unit in data["somas"].items()}
        mesh, hops = Mesh(**data["mesh"]), HopPrices(**data["hops"])
        return cls(**{**data, "mesh": mesh, "hops": hops, "somas": MappingProxyType(somas)})


def load_architecture(path: Path) -> Architecture:
    """The architecture in a YAML file. Raises InvalidInput, naming the entry, if it is missing, malformed, or PyYAML is."""
    where = str(path)
    try:
        yaml = import_module("yaml")
    except ModuleNotFoundError:
        raise InvalidInput(where, "it needs PyYAML, which is not installed", "Type: pip install 'snnport[sanafe]'") from None
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(where, "there is no such architecture file", "Give the path of a SANA-FE .yaml") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InvalidInput(where, f"it is no readable YAML file: {error}") from None
    if not isinstance(data, Mapping) or "architecture" not in data:
        raise InvalidInput(where, "it has no 'architecture' at the top", "Give a SANA-FE architecture file")
    return _architecture(where, _mapping(where, data, "architecture"))


def _architecture(where: str, data: Mapping[str, Any]) -> Architecture:
    top = _mapping(where, data, "attributes")
    tiles = _parts(where, data, "tile")
    if len(tiles) != 1:
        raise UnsupportedNode(where, f"it has {len(tiles)} kinds of tile, 1 is supported")
    tile_where = f"{where}: tile {tiles[0].get('name')}"
    cores = _parts(tile_where, tiles[0], "core")
    if len(cores) != 1:
        raise UnsupportedNode(tile_where, f"it has {len(cores)} kinds of core, 1 is supported")
    width, height = (_whole(where, top, key) for key in ("width", "height"))
    n_tiles, n_cores = _count(str(tiles[0].get("name"))), _count(str(cores[0].get("name")))
    if n_tiles != width * height:
        raise InvalidInput(where, f"it has {n_tiles} tiles on a mesh of {width} x {height}")
    core_where = f"{tile_where}: core {cores[0].get('name')}"
    attributes = _mapping(core_where, cores[0], "attributes")
    if attributes.get("buffer_position", "soma") != "soma":
        what = f"messages wait at '{attributes['buffer_position']}', only 'soma' is supported"
        raise UnsupportedNode(core_where, what)
    hops = _mapping(tile_where, tiles[0], "attributes")
    east, west, north, south = (_energy(tile_where, hops, key) for key in HOPS)
    arriving, leaving = _one(core_where, cores[0], "axon_in"), _one(core_where, cores[0], "axon_out")
    return Architecture(
        str(data.get("name", "architecture")),
        Mesh(width, height, n_cores),
        _whole(core_where, attributes, "max_neurons_supported"),
        HopPrices(east, west, north, south),
        _energy(core_where, arriving, "energy_message_in"),
        _energy(core_where, leaving, "energy_message_out"),
        MappingProxyType(
            {k: _energy(core_where, a, "energy_process_spike") for k, a in _units(core_where, cores[0], "synapse")}
        ),
        MappingProxyType({k: _dendrite(core_where, a) for k, a in _units(core_where, cores[0], "dendrite")}),
        MappingProxyType({k: _soma(core_where, a) for k, a in _units(core_where, cores[0], "soma")}),
    )


def _dendrite(where: str, attributes: Mapping[str, Any]) -> float:
    if attributes.get("update_every_timestep") or attributes.get("force_update"):
        raise UnsupportedNode(where, "its dendrites are charged by the step, only by the event is supported")
    return _energy(where, attributes, "energy_update")


def _soma(where: str, attributes: Mapping[str, Any]) -> SomaUnit:
    if attributes.get("force_update") or attributes.get("update_every_timestep"):
        raise UnsupportedNode(where, "its somas are updated in every step, only where something happens is supported")
    access, update, spike = (_energy(where, attributes, key) for key in SOMA)
    return SomaUnit(str(attributes.get("model", "")), access, update, spike)


def _one(where: str, core: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = _units(where, core, key)
    if len(found) != 1:
        raise UnsupportedNode(where, f"it has {len(found)} units '{key}', 1 is supported")
    return found[0][1]


def _units(where: str, core: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    """(name, attributes) of every unit; name[0..2] stands for name[0], name[1], name[2]."""
    units: list[tuple[str, Mapping[str, Any]]] = []
    for entry in _parts(where, core, key):
        name, attributes = str(entry.get("name")), _mapping(where, entry, "attributes")
        span = re.fullmatch(r"(.*)\[(\d+)\.\.(\d+)\]", name)
        names = [name] if span is None else [f"{span[1]}[{i}]" for i in range(int(span[2]), int(span[3]) + 1)]
        units.extend((each, attributes) for each in names)
    return units


def _count(name: str) -> int:
    span = re.fullmatch(r".*\[(\d+)\.\.(\d+)\]", name)
    return 1 if span is None else int(span[2]) - int(span[1]) + 1


def _parts(where: str, data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = data.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(entry, Mapping) for entry in value):
        raise InvalidInput(where, f"'{key}' is no list of entries", f"Write {key}: with one '- name:' each")
    return value


def _mapping(where: str, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    if not isinstance(value, Mapping):
        raise InvalidInput(where, f"'{key}' is no table of entries", f"Write {key}: with one 'key: value' a line")
    return value


def _whole(where: str, data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput(where, f"'{key}' is {value!r}, a whole number of at least 1 is needed")
    return value


def _energy(where: str, data: Mapping[str, Any], key: str) -> float:
    value = data.get(key)
    # YAML reads 1e-12 without a point as a text.
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise InvalidInput(where, f"'{key}' is {value!r}, joules of at least 0 are needed")
    return number
