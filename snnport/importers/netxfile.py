"""A netx file of lava-dl as it is: the layers of its HDF5 in order, fields as plain values, nothing interpreted.

The layout is that of lava-dl 0.6.0, lib/dl/netx/hdf5.py and the export_hdf5 functions of lib/dl/slayer/block/base.py;
docs/formats.md gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph
from snnport.importers.hdf5 import DAMAGED, Values, guard, listed

MAX_LAYERS = 4096
WRITE_AGAIN = "Export the network again with lava-dl"


@dataclass(frozen=True, eq=False)
class RawLayer:
    """A layer: number in the file, type, numeric fields and texts by name, the same of its neuron (None if it has none).

    Fields of inner groups are dotted: weight.real, weight.imag.
    """

    number: int
    kind: str
    fields: Mapping[str, Any]
    neuron: Mapping[str, Any] | None

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"layer {self.number} ({self.kind})"

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return name in self.fields

    def numbers(self, name: str) -> npt.NDArray[np.float64 | np.int64]:
        """The numeric field `name`, finite. Raises InvalidGraph if it is missing, a text, or holds NaN or infinity."""
        return _numbers(self.where, name, self.fields.get(name))

    def whole(self, name: str) -> npt.NDArray[np.int64]:
        """The field as lava-dl reads it, .astype(int): fractions are cut off toward zero."""
        return np.trunc(self.numbers(name)).astype(np.int64)

    def pair(self, name: str, default: int, least: int) -> tuple[int, int]:
        """A field of one or two whole numbers as (height, width). Raises InvalidGraph below `least`."""
        values = self.numbers(name).reshape(-1) if self.has(name) else np.array([default])
        if values.size not in (1, 2) or np.any(values != np.trunc(values)) or values.min() < least or values.max() > 1 << 20:
            what = f"its {name} is {listed(values)}, one or two whole numbers from {least} on are needed"
            raise InvalidGraph(self.where, what, WRITE_AGAIN)
        return int(values[0]), int(values[-1])

    def setting(self, name: str, low: int, high: int) -> int:
        """One whole number of the neuron. Raises InvalidGraph if it is missing, no number, or outside low..high."""
        values = _numbers(f"{self.where}: neuron", name, (self.neuron or {}).get(name)).reshape(-1)
        if values.size != 1:
            what = f"its {name} has {values.size} values; netx holds one for a layer"
            raise InvalidGraph(f"{self.where}: neuron", what, "Split the layer, or train with shared parameters")
        value = float(values[0])
        if not value.is_integer() or not low <= value <= high:
            what = f"its {name} is {value:g}, whole numbers {low}..{high} are allowed"
            raise InvalidGraph(f"{self.where}: neuron", what, WRITE_AGAIN)
        return int(value)

    def text(self, name: str) -> str:
        """A text of the neuron, '' if it is none."""
        value = (self.neuron or {}).get(name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, eq=False)
class RawNet:
    """The layers of a file in order, and the steps of a sample where it says (simulation/tSample)."""

    layers: tuple[RawLayer, ...]
    steps: int | None


def read_layers(path: Path) -> RawNet:
    """The layers of the netx file at `path`.

    Raises InvalidGraph, naming the file, if it is missing, something else, damaged, or without layers 0, 1, 2, ...
    """
    guard(path, "netx", WRITE_AGAIN)
    try:
        with h5py.File(path, "r", locking=False) as file:
            reader = _Reader(str(path))
            group = reader.inside(file, "layer")
            if group is None:
                what = "it is an HDF5 file without a netx network: there is no group 'layer'"
                raise InvalidGraph(str(path), what, WRITE_AGAIN)
            names = sorted(group, key=lambda name: (len(name), name))
            if not names or len(names) > MAX_LAYERS or names != [str(i) for i in range(len(names))]:
                what = f"its layers are called {', '.join(names[:8]) or 'nothing'}; 0, 1, 2, .. without a gap are needed"
                raise InvalidGraph(str(path), what, WRITE_AGAIN)
            layers = tuple(reader.layer(i, reader.inside(group, name)) for i, name in enumerate(names))
            return RawNet(layers, reader.steps(file))
    except DAMAGED as error:
        raise InvalidGraph(str(path), f"its HDF5 is damaged: {error}", "Fetch or write the file again") from None


class _Reader(Values):
    """Reads one file."""

    def inside(self, parent: Any, name: str) -> Any:
        """The group `name` of `parent`, None if there is none. Raises InvalidGraph if it is a link or no group."""
        link = parent.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise InvalidGraph(self.where, f"'{parent.name}/{name}' is a link to another place")
        if not isinstance(parent[name], h5py.Group):
            raise InvalidGraph(self.where, f"'{parent.name}/{name}' is no group")
        return parent[name]

    def layer(self, number: int, group: Any) -> RawLayer:
        """The layer that `group` holds."""
        fields = self.fields(group, skip=("neuron",))
        kind = _text(fields.pop("type", None))
        if kind is None:
            raise InvalidGraph(self.where, f"layer {number} has no type", WRITE_AGAIN)
        neuron = self.inside(group, "neuron")
        settings = None if neuron is None else self.fields(neuron)
        if settings is not None:
            settings = {name: text if (text := _text(value)) is not None else value for name, value in settings.items()}
        return RawLayer(number, kind, fields, settings)

    def fields(self, group: Any, skip: tuple[str, ...] = (), prefix: str = "") -> dict[str, Any]:
        """Every dataset of `group`, one level of inner groups with dotted names."""
        found: dict[str, Any] = {}
        for name in group:
            if name in skip:
                continue
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InvalidGraph(self.where, f"'{group.name}/{name}' is a link to another place")
            child = group[name]
            if isinstance(child, h5py.Dataset):
                found[prefix + name] = self.value(child, f"{group.name}/{name}")
            elif isinstance(child, h5py.Group) and not prefix:
                found |= self.fields(child, prefix=f"{name}.")
            else:
                raise InvalidGraph(self.where, f"'{group.name}/{name}' is no field")
        return found

    def steps(self, file: Any) -> int | None:
        """simulation/tSample, None if it is no positive number."""
        group = self.inside(file, "simulation")
        value = None if group is None else self.fields(group).get("tSample")
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or value.size != 1:
            return None
        return int(value.reshape(-1)[0]) if 0 < int(value.reshape(-1)[0]) < 1 << 31 else None


def _text(value: Any) -> str | None:
    """A text, or the first of a list of texts; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) and value.dtype == object and value.size:
        return str(value.reshape(-1)[0])
    return None


def _numbers(where: str, name: str, value: Any) -> npt.NDArray[np.float64 | np.int64]:
    if value is None:
        raise InvalidGraph(where, f"it has no {name}", WRITE_AGAIN)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "buif" or not value.size:
        raise InvalidGraph(where, f"its {name} holds no numbers", WRITE_AGAIN)
    if value.dtype.kind == "f":
        if not np.isfinite(value).all():
            raise InvalidGraph(where, f"its {name} holds a value that is not finite", WRITE_AGAIN)
        return value.astype(np.float64)
    return value.astype(np.int64)
