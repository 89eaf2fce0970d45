"""Input data: pictures or spikes with their labels, brought into the order of the model's input, scaled when used.

x is images (n_samples, *shape) or spikes (n_samples, n_steps, *shape); `shape` is the model's input shape, without batch and
time. The number of axes decides which. Axes of length one are added or removed, channels-last maps turned and one-channel
maps flattened only where the shapes leave one reading. Values keep their type (a picture of bytes stays bytes) until `batch`
is asked for some samples. Files: .npz, .npy, idx (.gz too), sparse events (.npz with t, index, sample).
"""

from __future__ import annotations

import gzip
import math
import struct
import tokenize
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput, UnknownName
from snnport.events import Events, read_npz
from snnport.nodes import Shape

Array: TypeAlias = npt.NDArray[Any]

LAYOUTS = ("ntc", "tnc", "nct")
"""Order of the axes of spikes: n sample, t step, c all axes of the model's input."""
MAX_BYTES = 8 << 30
"""An idx file that unpacks to more is refused before anything is unpacked."""
MAX_SAMPLE = 1 << 28
"""A sample of sparse events whose raster has more entries (steps times neurons) is refused."""
_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 22
_DAMAGED = (OSError, ValueError, EOFError, RuntimeError, SyntaxError, struct.error, tokenize.TokenError, zlib.error)
"""What numpy, zipfile and gzip raise on damaged files."""


@dataclass(frozen=True)
class Scaling:
    """x / scale + shift, then (x - mean) / std; mean and std are empty (0 and 1), one number, or one a channel."""

    scale: float = 1.0
    shift: float = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def apply(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Scaled images (n_samples, channels, ...)."""
        wide = (-1, *[1] * (values.ndim - 2))
        mean = np.reshape(self.mean or (0.0,), wide)
        std = np.reshape(self.std or (1.0,), wide)
        scaled: npt.NDArray[np.float64] = (values / self.scale + self.shift - mean) / std
        return scaled


@dataclass(frozen=True, eq=False)
class Samples:
    """Loaded samples. x holds the raw values in the model's order, or the events; y the labels (n_samples,) or None.

    n_steps is 0 for images. notes says in words how the file was read.
    """

    x: Array | Events
    y: npt.NDArray[np.int64] | None
    shape: Shape
    n_samples: int
    n_steps: int
    scaling: Scaling
    notes: tuple[str, ...]

    def batch(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        """Samples start..stop-1 in float64: scaled images (n, *shape), or spikes (n, n_steps, *shape)."""
        if self.n_steps == 0:
            return self.scaling.apply(np.asarray(self._part(start, stop), np.float64))
        return np.asarray(self._part(start, stop), np.float64)

    def raster(self, start: int, stop: int) -> npt.NDArray[np.integer]:
        """Spike counts (n, n_steps, n_neurons) of samples start..stop-1. Raises InvalidInput if x is no counts."""
        if self.n_steps == 0:
            raise InvalidInput("input", "x is images, spikes are needed here", "Give spikes (n_samples, n_steps, ...)")
        part = self._part(start, stop)
        if part.dtype.kind == "f" or (part.size and part.min() < 0):
            wrong = (part != np.floor(part)) | (part < 0)
            if wrong.any():
                value = part[wrong].flat[0]
                raise InvalidInput("input", f"spikes are counts 0, 1, 2, ..., x holds {value}", "Encode it as spikes first")
            part = part.astype(np.int64)
        return part.reshape(len(part), self.n_steps, -1)

    def _part(self, start: int, stop: int) -> Array:
        if not isinstance(self.x, Events):
            return self.x[start:stop]
        stop = min(stop, self.n_samples)
        first, last = np.searchsorted(self.x.sample, [start, stop])
        few = slice(int(first), int(last))
        events = Events(self.x.sample[few] - start, self.x.time[few], self.x.index[few])
        return events.to_raster(stop - start, self.n_steps, math.prod(self.shape)).reshape(-1, self.n_steps, *self.shape)


def load_samples(
    path: Path,
    labels: Path | None,
    input_shape: Shape,
    *,
    scale: float = 1.0,
    shift: float = 0.0,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    layout: str = "ntc",
) -> Samples:
    """The samples of the file at `path` for a model of `input_shape`, with the labels of the file at `labels` or its own `y`.

    Raises InvalidInput, naming file and numbers, on a missing, damaged or empty file, an array of another shape, a shape with
    two readings, values that are not finite, unusable labels, or scaling that does not match.
    """
    if layout not in LAYOUTS:
        raise UnknownName.among("layout", layout, LAYOUTS)
    where, shape = str(path), tuple(int(n) for n in input_shape)
    scaling = _scaling(scale, shift, mean, std, shape)
    arrays = _arrays(path)
    notes: list[str] = []
    x: Array | Events
    if {"t", "index", "sample"} <= set(arrays):
        x, n_samples, n_steps = _events(where, arrays, shape)
        notes.append(f"x: {len(x.time)} events in {n_samples} samples of {n_steps} steps")
    else:
        raw = _numbers(where, _main(where, arrays))
        x, n_steps, how = _in_order(where, raw, shape, layout)
        n_samples, kind = len(x), f"spikes of {n_steps} steps" if n_steps else "images"
        notes.append(f"x: {n_samples} {kind} {shape}, {x.dtype}, read from {raw.shape}{how}")
    if n_steps and scaling != Scaling():
        raise InvalidInput(where, "x is spikes, scaling is for images", "Leave out --scale, --shift, --mean and --std")
    y = arrays.get("y") if labels is None else _main(str(labels), _arrays(labels), "y")
    if y is None:
        return Samples(x, None, shape, n_samples, n_steps, scaling, tuple(notes))
    numbers = _labels(where if labels is None else str(labels), y, n_samples)
    notes += [f"labels: one-hot, {y.shape[1]} classes"] if y.ndim == 2 and y.shape[1] > 1 else []
    return Samples(x, numbers, shape, n_samples, n_steps, scaling, tuple(notes))


def _scaling(scale: float, shift: float, mean: Sequence[float], std: Sequence[float], shape: Shape) -> Scaling:
    for name, values in (("--mean", mean), ("--std", std)):
        if len(values) not in (0, 1, shape[0] if shape else 1):
            raise InvalidInput(
                name, f"it has {len(values)} values, the input has {shape[0]} channels", "Give one, or one a channel"
            )
    for name, values in (("--scale", (scale,)), ("--shift", (shift,)), ("--mean", mean), ("--std", std)):
        bad = [v for v in values if not math.isfinite(v) or (v == 0 and name in ("--scale", "--std"))]
        if bad:
            raise InvalidInput(name, f"{bad[0]} cannot be used", "Give finite numbers, for --scale and --std not 0")
    return Scaling(float(scale), float(shift), tuple(map(float, mean)), tuple(map(float, std)))


# ------------------------------------------------------------------------------------------------------ reading files


def _arrays(path: Path) -> dict[str, Array]:
    """The arrays of a file of any known kind, told by its first bytes."""
    where = str(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
        if not head:
            raise InvalidInput(where, "the file is empty")
        if head.startswith(b"PK"):
            return read_npz(path) if path.suffix != ".npy" else _refuse(where, "it is an .npz", "Rename it")
        if head.startswith(b"\x93NUMPY"):
            return {"x": np.load(path, mmap_mode="r", allow_pickle=False)}
        if head.startswith((b"\x1f\x8b", b"\0\0")):
            return {"x": _idx(path, zipped=head.startswith(b"\x1f\x8b"))}
    except FileNotFoundError:
        raise InvalidInput(where, "there is no such file") from None
    except MemoryError:
        raise InvalidInput(where, "it does not fit into memory", "Split it") from None
    except _DAMAGED as error:
        raise InvalidInput(where, f"it cannot be read: {error}") from None
    if head == b"version ":
        return _refuse(where, "it is a git-lfs pointer, not the data", "Fetch it with `git lfs pull`")
    return _refuse(where, "it is no .npz, .npy or idx file", "Save the samples with numpy.savez(path, x=..., y=...)")


def _refuse(where: str, what: str, remedy: str) -> dict[str, Array]:
    raise InvalidInput(where, what, remedy)


def _idx(path: Path, *, zipped: bool) -> Array:
    """The array of an idx file (Y. LeCun, C. Cortes, C. J. C. Burges, the MNIST database: the format is described there)."""
    where = str(path)
    with gzip.open(path, "rb") if zipped else path.open("rb") as stream:
        head = stream.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_TYPES or not 1 <= head[3] <= 8:
            raise InvalidInput(where, f"it starts with {head.hex(' ') or 'nothing'}, which is no idx file")
        sizes = stream.read(4 * head[3])
        if len(sizes) < 4 * head[3]:
            raise InvalidInput(where, "it ends inside its header", "Fetch it again")
        shape = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
        kind = np.dtype(_IDX_TYPES[head[2]])
        wanted = math.prod(shape) * kind.itemsize
        if wanted > MAX_BYTES:
            raise InvalidInput(where, f"its header promises {shape}, {wanted} bytes, the limit is {MAX_BYTES}")
        content = stream.read(wanted)
        if len(content) != wanted or stream.read(1):
            more = f"{len(content)} bytes" if len(content) != wanted else "more bytes"
            raise InvalidInput(where, f"its header promises {shape}, {wanted} bytes, and {more} follow", "Fetch it again")
    values = np.frombuffer(content, kind).reshape(shape)
    return values if kind.isnative else values.astype(kind.newbyteorder("="))


def _main(where: str, arrays: Mapping[str, Array], name: str = "x") -> Array:
    if name in arrays:
        return arrays[name]
    others = [key for key in arrays if key not in ("x", "y")] if name == "x" else list(arrays)
    if len(others) == 1:
        return arrays[others[0]]
    raise InvalidInput(
        where, f"it has no array '{name}' but {', '.join(sorted(arrays)) or 'nothing'}", f"Save it as {name}=..."
    )


def _numbers(where: str, x: Array) -> Array:
    if x.dtype.kind not in "buif":
        raise InvalidInput(where, f"its values are of type {x.dtype}, numbers are needed")
    if x.size == 0 or x.ndim == 0:
        raise InvalidInput(where, f"it holds no samples, its shape is {x.shape}")
    if x.dtype.kind == "f":
        step = max(1, _CHUNK // max(1, x[0].size))
        for start in range(0, len(x), step):
            finite = np.isfinite(x[start : start + step])
            if not finite.all():
                place = tuple(int(i) for i in np.argwhere(~finite)[0])
                first = (start + place[0], *place[1:])
                raise InvalidInput(where, f"x{list(first)} is {x[first]}, only finite numbers can be used")
    return x.view(np.uint8) if x.dtype.kind == "b" else x


# ------------------------------------------------------------------------------------------------- the order of axes


@dataclass(frozen=True)
class _Reading:
    """One way to read the axes: n_steps (0: images), the order of the axes of a sample before turning, and what was done."""

    n_steps: int
    order: Shape
    turned: bool
    words: str


def _in_order(where: str, x: Array, shape: Shape, layout: str) -> tuple[Array, int, str]:
    """x as (n_samples, *shape) or (n_samples, n_steps, *shape), the number of steps (0: images), and what was done."""
    if layout != "ntc" and x.ndim >= 2:
        x = np.swapaxes(x, 0, 1) if layout == "tnc" else np.moveaxis(x, -1, 1)
    reading = _the_reading(where, x, shape, images=layout == "ntc")
    steps = (reading.n_steps,) if reading.n_steps else ()
    if reading.words:
        x = x.reshape(len(x), *steps, *reading.order)
    if reading.turned:
        x = np.moveaxis(x, -1, -3)
    return x, reading.n_steps, reading.words


def _the_reading(where: str, x: Array, shape: Shape, *, images: bool) -> _Reading:
    as_images = _readings(x.shape[1:], shape, 0) if images else []
    as_spikes = _readings(x.shape[2:], shape, x.shape[1]) if x.ndim > 1 else []
    for found in (as_images, as_spikes):
        exact = [r for r in found if not r.words]
        if exact and not (exact[0].n_steps == 1 and as_images):
            return exact[0]
    found = as_images + [r for r in as_spikes if not as_images or not (r.n_steps == 1 and r.words)]
    if len(found) == 1:
        return found[0]
    wanted = f"(n_samples, {_axes(shape)}) images or (n_samples, n_steps, {_axes(shape)}) spikes"
    if found:
        both = " or ".join(f"{'spikes of ' + str(r.n_steps) + ' steps' if r.n_steps else 'images'}{r.words}" for r in found)
        raise InvalidInput(where, f"x of shape {x.shape} can be read as {both}", f"Save it as {wanted}")
    remedy = "Is this the file of the labels?" if x.ndim == 1 else f"Save it in that shape; the model's input is {shape}"
    raise InvalidInput(where, f"x has shape {x.shape}, wanted is {wanted}", remedy)


def _readings(body: Shape, shape: Shape, n_steps: int) -> list[_Reading]:
    if body == shape:
        return [_Reading(n_steps, shape, False, "")]
    found = []
    if _thin(body) == _thin(shape):
        found.append(_Reading(n_steps, shape, False, ", axes of length 1 added or removed"))
    if len(shape) == 3 and shape[0] > 1 and len(_thin(shape)) > 1:
        last = (*shape[1:], shape[0])
        if _thin(body) == _thin(last):
            found.append(_Reading(n_steps, last, True, ", channels moved from last to first"))
    if len(shape) == 1 and len(_thin(body)) == 2 and math.prod(body) == shape[0]:
        found.append(_Reading(n_steps, shape, False, ", rows put one after another"))
    return found


def _thin(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def _axes(shape: Shape) -> str:
    return ", ".join(map(str, shape))


# --------------------------------------------------------------------------------------------------- events and labels


def _events(where: str, arrays: Mapping[str, Array], shape: Shape) -> tuple[Events, int, int]:
    """Sorted events, number of samples and of steps; n_samples and n_steps of the file count where it has them."""
    columns = {}
    for name in ("sample", "t", "index"):
        values = arrays[name]
        if values.ndim != 1 or values.dtype.kind not in "ui" or len(values) != len(arrays["t"]):
            raise InvalidInput(
                where, f"'{name}' is {values.dtype}{values.shape}, t, index and sample are equally long lists of integers"
            )
        columns[name] = values.astype(np.int64)
        if values.size and columns[name].min() < 0:
            raise InvalidInput(where, f"'{name}' holds {columns[name].min()}, the least is 0")
    sample, time, index = columns["sample"], columns["t"], columns["index"]
    if index.size and index.max() >= math.prod(shape):
        raise InvalidInput(where, f"'index' holds {index.max()}, the model's input {shape} has {math.prod(shape)} neurons")
    n_samples = _count(where, arrays, "n_samples", sample, arrays.get("y"))
    n_steps = _count(where, arrays, "n_steps", time, None)
    if n_samples < 1 or n_steps < 1:
        raise InvalidInput(where, "it holds no events and no n_samples and n_steps", "Save both beside t, index and sample")
    if n_steps * math.prod(shape) > MAX_SAMPLE:
        raise InvalidInput(
            where, f"'t' spans {n_steps} steps, too many for an input {shape}", "t counts steps: bin the times first"
        )
    order = np.lexsort((index, time, sample))
    return Events(sample[order], time[order], index[order]), n_samples, n_steps


def _count(where: str, arrays: Mapping[str, Array], name: str, values: Array, beside: Array | None) -> int:
    least = int(values.max(initial=-1)) + 1
    said = len(beside) if beside is not None and beside.ndim else least
    if name in arrays:
        if arrays[name].dtype.kind not in "ui" or arrays[name].size != 1:
            raise InvalidInput(where, f"'{name}' is {arrays[name].dtype}{arrays[name].shape}, it is one integer")
        said = int(arrays[name].item())
    if said < least:
        raise InvalidInput(where, f"the events need {name} of {least}, the file says {said}")
    return said


def _labels(where: str, y: Array, n_samples: int) -> npt.NDArray[np.int64]:
    if y.dtype.kind == "b":
        y = y.view(np.uint8)
    if y.dtype.kind not in "uif":
        raise InvalidInput(where, f"its labels are of type {y.dtype}, class numbers are needed")
    if y.ndim not in (1, 2) or len(y) != n_samples:
        raise InvalidInput(where, f"it has labels of shape {y.shape} for {n_samples} samples", "Give one label a sample")
    if y.ndim == 2 and y.shape[1] > 1:
        one = y == 1
        if not ((one.sum(axis=1) == 1).all() and ((y[~one] == 0).all() or (y[~one] == -1).all())):
            raise InvalidInput(where, f"its labels of shape {y.shape} are not one-hot", "Give class numbers or one-hot rows")
        return np.asarray(np.argmax(y, axis=1), np.int64)
    flat = y.reshape(len(y))
    wrong = np.flatnonzero(~((flat >= 0) & (flat == np.floor(flat)) & np.isfinite(flat)))
    if wrong.size:
        raise InvalidInput(where, f"label {wrong[0]} is {flat[wrong[0]]}", "Labels are whole numbers from 0 on")
    return flat.astype(np.int64)
