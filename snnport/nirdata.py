"""NIRData: what was observed at the nodes of a graph, in the HDF5 form that nir reads and writes (nir 1.0.8, data_ir).

nir's own converters lose spikes: they floor time / dt in floating point (0.3 / 0.1 falls into step 2) and set a place to
true however many events fall on it; its writer does not end on a nested graph. So files are written through nir, flat,
and read here.
"""

from __future__ import annotations

import io
import mmap
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import numpy.typing as npt
from nir import serialization

from snnport.errors import InvalidInput
from snnport.events import write_bytes

SUFFIXES = (".h5", ".hdf5", ".nirdata")
MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_ENTRIES = 1 << 27
"""A grid with more entries (samples x steps x neurons) is refused."""
MAX_DEPTH = 16
META = "snnport"
NEAR = 1e-6
"""A time this near to the start of a step, in steps, lies in it: times are products of steps and dt, rounded."""
_HEAP = b"GCOL\1\0\0\0"
Observed = dict[str, dict[str, npt.NDArray[Any]]]


def write_nirdata(path: Path, observed: Mapping[str, Mapping[str, npt.NDArray[Any]]], dt: float, meta: str = "") -> None:
    """Write node name -> observable -> array (n_samples, n_steps, n_neurons) to `path`, whole or not at all.

    dt: seconds a step. meta: a text kept as an attribute, which nir does not read. Binary arrays become booleans, as nir
    wants them. Names lose their slashes, as in write_nir.
    Raises InvalidInput if two names then are one.
    """
    names = {name: re.sub(r"[/\0]", "_", name) for name in observed}
    if len(set(names.values())) < len(names):
        raise InvalidInput(str(path), "two populations differ in their slashes only, which HDF5 cannot hold", "Write an .npz")
    nodes: dict[str, Any] = {
        names[name]: nir.NIRNodeData({key: nir.TimeGriddedData(_binary(a), float(dt)) for key, a in arrays.items()})
        for name, arrays in observed.items()
    }
    buffer = io.BytesIO()
    serialization.write_data(buffer, nir.NIRGraphData(nodes))  # type: ignore[arg-type]
    if meta:
        with h5py.File(buffer, "r+") as file:
            file.attrs[META] = meta
    write_bytes(path, buffer.getvalue())


def _binary(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    is_binary = array.dtype.kind in "bui" and (not array.size or (int(array.min()) >= 0 and int(array.max()) <= 1))
    return array.astype(bool) if is_binary else array


def is_nirdata(path: Path) -> bool:
    """Whether the file at `path` begins as HDF5 does. A file that cannot be read does not."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_nirdata(path: Path, dt: float | None = None) -> tuple[Observed, float | None, str]:
    """Node name -> observable -> array (n_samples, n_steps, n_neurons), the seconds a step, and the text META; nested names
    are dotted.

    dt: seconds a step for events, which do not know it; grids do. Raises InvalidInput if the file is no NIRData, damaged,
    contradicts itself, or holds events and no dt is known.
    """
    where = str(path)
    try:
        fault = heap_fault(path)
        if fault:
            raise InvalidInput(where, fault, "Fetch or write the file again")
        with h5py.File(path, "r", locking=False) as file:
            found = list(_observables(where, file, "", 0))
            steps = {float(group.attrs["dt"]) for _, _, group in found if "dt" in group.attrs}
            steps |= {dt} if dt is not None else set()
            if len(steps) > 1:
                what = f"its observables have steps of {', '.join(f'{s:g}' for s in sorted(steps))} s, one is needed"
                raise InvalidInput(where, what, "Leave out --dt, or write the observables on one grid")
            unit = next(iter(steps), None)
            meta = str(file.attrs.get(META, ""))
            result: Observed = {}
            for node, name, group in found:
                result.setdefault(node, {})[name] = _grid(f"{where}: {node}/{name}", group, unit)
    except FileNotFoundError:
        raise InvalidInput(where, "there is no such file") from None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise InvalidInput(where, f"it is no readable NIRData: {error}") from None
    if not result:
        raise InvalidInput(where, "it holds no observables", "Write it with nir.write_data")
    return result, unit, meta


def heap_fault(path: Path) -> str:
    """What is wrong with a heap of texts in an HDF5 file, in words; "" if nothing is. The HDF5 library reads a damaged heap for
    ever.

    Layout: HDF5 File Format Specification 3.0, section III.E, "Disk Format: Level 1E - Global Heap".
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            size, at = int.from_bytes(content[start + 8 : start + 16], "little"), 16
            if start + size > len(content):
                return f"it is cut short or damaged: a heap of {size} bytes starts at {start}"
            while at + 16 <= size:
                head = content[start + at : start + at + 16]
                index, length = int.from_bytes(head[:2], "little"), int.from_bytes(head[8:], "little")
                step = 16 + -(-length // 8) * 8 if index else size - at
                if at + step > size or (index == 0 and length != step):
                    return f"its HDF5 is damaged: a heap ends wrongly at {start + at}"
                at += step
            start = content.find(_HEAP, start + 1)
    return ""


def _observables(where: str, group: Any, prefix: str, depth: int) -> Iterator[tuple[str, str, Any]]:
    """(node, observable, its group) of a NIRGraphData group. Links that lead out of the file are not followed."""
    nodes = _inside(where, group, "nodes")
    if depth > MAX_DEPTH or nodes is None:
        raise InvalidInput(where, "it is no NIRData: it has no 'nodes'" if nodes is None else "it is nested too deep")
    for name in nodes:
        node = _inside(where, nodes, name)
        if _inside(where, node, "nodes") is not None:
            yield from _observables(where, node, f"{prefix}{name}.", depth + 1)
            continue
        observables = _inside(where, node, "observables")
        for key in observables if observables is not None else ():
            yield f"{prefix}{name}", key, _inside(where, observables, key)


def _inside(where: str, group: Any, name: str) -> Any:
    """The group or array called `name`, or None. Raises InvalidInput on a link instead."""
    if not isinstance(group, h5py.Group) or name not in group:
        return None
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise InvalidInput(where, f"'{name}' is a link, which is not followed", "Write the data into the file itself")
    return group[name]


def _grid(where: str, group: Any, dt: float | None) -> npt.NDArray[Any]:
    data = _inside(where, group, "data")
    if data is not None:
        grid = _array(where, data)
        if grid.ndim != 3:
            raise InvalidInput(where, f"its shape is {grid.shape}, (n_samples, n_steps, n_neurons) is needed")
        return grid.view(np.uint8) if grid.dtype.kind == "b" else grid
    if dt is None:
        raise InvalidInput(where, "it holds events, whose times are seconds", "Say with --dt how many seconds a step has")
    return _binned(where, group, dt)


def _array(where: str, data: Any) -> npt.NDArray[Any]:
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "buif" or data.external or data.is_virtual:
        raise InvalidInput(where, "it is no array of numbers in this file")
    if data.size is None or data.size > MAX_ENTRIES:
        raise InvalidInput(where, f"it has {data.size} entries, the limit is {MAX_ENTRIES}")
    return np.asarray(data[()])


def _binned(where: str, group: Any, dt: float) -> npt.NDArray[Any]:
    """Events as counts, or as sums of their values: an event at time s falls into step floor(s / dt)."""
    idx, time = (_array(where, _inside(where, group, name)) for name in ("idx", "time"))
    value = _inside(where, group, "value")
    weight = np.ones(idx.shape) if value is None else _array(where, value)
    n_neurons, t_max = int(group.attrs["n_neurons"]), float(group.attrs["t_max"])
    n_steps = int(np.ceil(t_max / dt - NEAR)) if dt > 0 and np.isfinite(t_max) else -1
    if idx.ndim != 2 or not idx.shape == time.shape == weight.shape or idx.dtype.kind not in "ui":
        raise InvalidInput(where, f"idx {idx.dtype}{idx.shape}, time {time.shape} and value {weight.shape} do not match")
    if n_steps < 1 or n_neurons < 1 or len(idx) * n_steps * n_neurons > MAX_ENTRIES:
        raise InvalidInput(where, f"t_max {t_max:g} s at dt {dt:g} s and {n_neurons} neurons make no grid")
    there = idx != -1
    sample = np.nonzero(there)[0]
    step = np.floor(time[there] / dt + NEAR)
    neuron = idx[there].astype(np.int64)
    wrong = ~((step >= 0) & (step < n_steps) & (neuron >= 0) & (neuron < n_neurons))
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        what = f"an event of neuron {neuron[k]} at {time[there][k]:g} s; there are {n_neurons} neurons and {t_max:g} s"
        raise InvalidInput(where, what)
    grid = np.zeros((len(idx), n_steps, n_neurons), np.int64 if value is None else np.float64)
    np.add.at(grid, (sample, step.astype(np.int64), neuron), weight[there].astype(grid.dtype))
    return grid
