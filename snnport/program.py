"""A Program: what one chip runs, in frozen integers. The engine, the exporters and the vendor workers all start from it.

docs/semantics.md gives the meaning of every neuron family and the order of operations in a step; docs/formats.md gives
the file, one .npz with a JSON header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import prod
from operator import index
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from snnport.chip import Chip
from snnport.errors import InvalidInput, UnknownName
from snnport.events import read_npz, write_npz
from snnport.fixed import IntArray

FORMAT = "snnport-program"
VERSION = 1
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Neuron:
    """A neuron family and its integer parameters: each a 0-d array (one for all neurons) or one value a neuron.

    Families and their parameters are listed in sim/neurons.py and defined in docs/semantics.md.
    """

    family: str
    params: Mapping[str, IntArray]

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType({k: _frozen(np.asarray(v)) for k, v in self.params.items()}))

    def __getitem__(self, name: str) -> IntArray:
        return self.params[name]


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one kind. `shape` is (n,) or (channels, height, width); neuron indices run through it in C order."""

    name: str
    shape: Shape
    neuron: Neuron

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(prod(self.shape))


@dataclass(frozen=True, eq=False)
class Dense:
    """Every source reaches every target. codes (target, source)."""

    codes: IntArray


@dataclass(frozen=True, eq=False)
class Diagonal:
    """Source i reaches target i alone. codes (n,)."""

    codes: IntArray


@dataclass(frozen=True, eq=False)
class Sparse:
    """The listed synapses alone: source[k] reaches target[k] with codes[k]; all (n_synapses,). shape: (targets, sources).

    A pair listed twice is two synapses.
    """

    codes: IntArray
    target: IntArray
    source: IntArray
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Conv:
    """Cross-correlation. codes (out, in / groups, kh, kw); input_shape (in, height, width); padding (top, left, bottom, right).

    Output position (y, x) sums codes[:, :, i, j] * input[y * stride + i * dilation - top, x * stride + j * dilation - left].
    """

    codes: IntArray
    input_shape: tuple[int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True)
class SumPool:
    """Windows of a map are summed on the way: a spike counts once in every window that holds it. Same fields as Conv."""

    input_shape: tuple[int, int, int]
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]


Synapse: TypeAlias = Dense | Diagonal | Sparse | Conv


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from one population to another, behind a sum pooling where `pool` is given.

    delay: steps between a spike and its arrival; 0 is the same step, 1 the next.
    exponent: arrivals are the sum of the codes, shifted left by this many bits.
    port: which of the target's inputs they arrive at, for families that have several.
    """

    name: str
    source: str
    target: str
    synapse: Synapse
    pool: SumPool | None = None
    delay: int = 1
    exponent: int = 0
    port: int = 0


@dataclass(frozen=True)
class Slice:
    """Neurons start..stop-1 of a population sit on core `core` of chip `chip`."""

    population: str
    core: int
    start: int
    stop: int
    chip: int = 0


@dataclass(frozen=True, eq=False)
class Program:
    """Everything a chip needs, and everything a report needs to say where it came from.

    inputs: populations that the stimulus drives. outputs: populations that are read.
    n_steps: steps a sample takes; 0 if the stimulus decides.
    meta: plain JSON data: encoder, readout, code, applied passes, hashes.
    """

    target: str
    chip: Chip
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    placements: tuple[Slice, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    n_steps: int
    meta: Mapping[str, Any] = field(default_factory=dict)

    def population(self, name: str) -> Population:
        """The population called `name`. Raises UnknownName."""
        found = next((p for p in self.populations if p.name == name), None)
        if found is None:
            raise UnknownName.among("population", name, [p.name for p in self.populations])
        return found

    @property
    def answer_delay(self) -> int:
        """Steps that the first output is behind the input: in step t + this it does what the network says for step t."""
        return int((self.meta.get("depth") or {}).get(self.outputs[0], 0))

    def into(self, name: str) -> tuple[Projection, ...]:
        """The projections whose target is population `name`."""
        return tuple(p for p in self.projections if p.target == name)

    def save(self, path: Path) -> None:
        """Write the program to `path`, atomically."""
        header, arrays = _pack(self)
        write_npz(path, {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays})

    @classmethod
    def load(cls, path: Path) -> Program:
        """The program in the file at `path`. Raises InvalidInput if it is damaged or of another version."""
        arrays = read_npz(path)
        try:
            header = json.loads(bytes(arrays["header"]).decode())
        except (KeyError, ValueError, TypeError, RecursionError):
            raise InvalidInput(str(path), "it is no snnport program: it has no readable header") from None
        if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("version") != VERSION:
            raise InvalidInput(str(path), f"it is no {FORMAT} file of version {VERSION}", "Lower the network again")
        try:
            return _unpack(header, arrays)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InvalidInput(str(path), f"its header and arrays do not match ({error!r})", "Lower it again") from None


_SYNAPSES: dict[str, type[Synapse]] = {"Dense": Dense, "Diagonal": Diagonal, "Sparse": Sparse, "Conv": Conv}


def _pack(program: Program) -> tuple[dict[str, Any], dict[str, IntArray]]:
    arrays: dict[str, IntArray] = {}
    populations, projections = [], []
    for population in program.populations:
        for key, value in population.neuron.params.items():
            arrays[f"population/{population.name}/{key}"] = value
        populations.append(
            {
                "name": population.name,
                "shape": list(population.shape),
                "family": population.neuron.family,
                "params": sorted(population.neuron.params),
            }
        )
    for projection in program.projections:
        parts = {f.name: getattr(projection.synapse, f.name) for f in fields(projection.synapse)}
        lists = {name: value for name, value in parts.items() if isinstance(value, np.ndarray)}
        arrays |= {f"projection/{projection.name}/{name}": value for name, value in lists.items()}
        geometry = {name: value for name, value in parts.items() if name not in lists}
        projections.append(
            {
                "name": projection.name,
                "source": projection.source,
                "target": projection.target,
                "synapse": type(projection.synapse).__name__,
                "geometry": geometry,
                "pool": None if projection.pool is None else vars(projection.pool),
                "delay": projection.delay,
                "exponent": projection.exponent,
                "port": projection.port,
            }
        )
    header = {
        "format": FORMAT,
        "version": VERSION,
        "target": program.target,
        "chip": program.chip.to_json(),
        "populations": populations,
        "projections": projections,
        "placements": [vars(s) for s in program.placements],
        "inputs": list(program.inputs),
        "outputs": list(program.outputs),
        "n_steps": program.n_steps,
        "meta": dict(program.meta),
    }
    return header, arrays


def _unpack(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> Program:
    populations = tuple(
        Population(
            p["name"],
            tuple(p["shape"]),
            Neuron(p["family"], {key: arrays[f"population/{p['name']}/{key}"] for key in p["params"]}),
        )
        for p in header["populations"]
    )
    projections = tuple(
        Projection(
            p["name"],
            p["source"],
            p["target"],
            _synapse(p, arrays),
            None if p["pool"] is None else SumPool(**_tuples(p["pool"])),
            index(p["delay"]),
            index(p["exponent"]),
            index(p.get("port", 0)),
        )
        for p in header["projections"]
    )
    program = Program(
        header["target"],
        Chip.from_json(header["chip"]),
        populations,
        projections,
        tuple(Slice(**s) for s in header["placements"]),
        tuple(header["inputs"]),
        tuple(header["outputs"]),
        index(header["n_steps"]),
        MappingProxyType(header["meta"]),
    )
    named = {*program.inputs, *program.outputs, *(s.population for s in program.placements)}
    lost = named.union(*((p.source, p.target) for p in projections)) - {p.name for p in populations}
    if lost:
        raise ValueError(f"there is no population {', '.join(sorted(lost))}")
    return program


def _synapse(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> Synapse:
    kind = _SYNAPSES[header["synapse"]]
    parts = _tuples(header["geometry"])
    for f in fields(kind):
        if f.name not in parts and f"projection/{header['name']}/{f.name}" in arrays:
            parts[f.name] = _frozen(arrays[f"projection/{header['name']}/{f.name}"])
    return kind(**parts)


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}


def _frozen(array: IntArray) -> IntArray:
    if not np.issubdtype(array.dtype, np.integer):
        raise InvalidInput("program", f"a parameter has type {array.dtype}, integers are needed")
    view = array.view()
    view.flags.writeable = False
    return view


def placed(program: Program, placements: tuple[Slice, ...]) -> Program:
    """`program` with its neurons on the cores that `placements` name."""
    return replace(program, placements=placements)
