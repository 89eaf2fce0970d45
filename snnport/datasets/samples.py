"""Samples in the order of the model's input, with their labels, scaled when they are used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snnport.datasets.axes import LAYOUTS, checked, in_order, rows_of_pixels
from snnport.datasets.event_lists import event_list, nmnist
from snnport.datasets.files import Array, read_arrays
from snnport.datasets.labels import class_numbers
from snnport.errors import InvalidInput, UnknownName
from snnport.events import Events
from snnport.nodes import Shape


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

    def part(self, start: int, stop: int) -> Samples:
        """Samples start..stop-1 as samples of their own; nothing is read before it is asked for."""
        stop = min(stop, self.n_samples)
        x: Array | Events
        if isinstance(self.x, Events):
            first, last = (int(i) for i in np.searchsorted(self.x.sample, [start, stop]))
            x = Events(self.x.sample[first:last] - start, self.x.time[first:last], self.x.index[first:last])
        else:
            x = self.x[start:stop]
        return replace(self, x=x, y=None if self.y is None else self.y[start:stop], n_samples=stop - start)

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
    inputs: Mapping[str, Shape] | None = None,
    dt: float | None = None,
    scale: float = 1.0,
    shift: float = 0.0,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    layout: str = "ntc",
) -> Samples:
    """The samples of the file at `path` for a model of `input_shape`, with the labels of the file at `labels` or its own `y`.

    inputs: name and shape of each of the model's inputs. Where there are several, the file has an array `x/<name>` or
    `<name>` for each, and x is these one after another, flat: (n_samples, n_steps, sum of their sizes). dt: seconds a step.
    Raises InvalidInput, naming file and numbers, on a missing, damaged or empty file, an array of another shape, a shape with
    two readings, values that are not finite, unusable labels, or scaling that does not match.
    """
    if layout not in LAYOUTS:
        raise UnknownName.among("layout", layout, LAYOUTS)
    where, shape = str(path), tuple(int(n) for n in input_shape)
    scaling = _scaling(scale, shift, mean, std, shape)
    own: Array | None = None
    notes: list[str] = []
    x: Array | Events
    if path.suffix == ".bin" or path.is_dir():
        x, n_samples, n_steps, known, how = nmnist(path, shape, dt)
        own = None if None in known else np.array(known)
        notes.append(f"x: {how}; {n_samples} samples of {n_steps} steps")
    else:
        arrays = read_arrays(path, dt)
        own = arrays.get("y")
        if {"t", "index", "sample"} <= set(arrays):
            x, n_samples, n_steps = event_list(where, arrays, shape)
            notes.append(f"x: {len(x.time)} events in {n_samples} samples of {n_steps} steps")
        elif inputs and len(inputs) > 1:
            x, n_steps = _side_by_side(where, arrays, inputs, layout, notes)
            n_samples = len(x)
        else:
            raw = checked(where, _main(where, arrays, *(inputs or ())))
            raw = rows_of_pixels(where, raw, shape) if path.suffix.lower() == ".png" else raw
            x, n_steps, how = in_order(where, raw, shape, layout)
            n_samples, kind = len(x), f"spikes of {n_steps} steps" if n_steps else "images"
            notes.append(f"x: {n_samples} {kind} {shape}, {x.dtype}, read from {raw.shape}{how}")
    if n_steps and scaling != Scaling():
        raise InvalidInput(where, "x is spikes, scaling is for images", "Leave out --scale, --shift, --mean and --std")
    y = own if labels is None else _main(str(labels), read_arrays(labels), name="y")
    if y is None:
        return Samples(x, None, shape, n_samples, n_steps, scaling, tuple(notes))
    numbers = class_numbers(where if labels is None else str(labels), y, n_samples)
    notes += [f"labels: one-hot, {y.shape[1]} classes"] if y.ndim == 2 and y.shape[1] > 1 else []
    return Samples(x, numbers, shape, n_samples, n_steps, scaling, tuple(notes))


def load_labels(path: Path, n_samples: int) -> npt.NDArray[np.int64]:
    """The labels (n_samples,) in the file at `path`. Raises InvalidInput if they are not that many class numbers."""
    return class_numbers(str(path), _main(str(path), read_arrays(path), name="y"), n_samples)


def _side_by_side(
    where: str, arrays: Mapping[str, Array], inputs: Mapping[str, Shape], layout: str, notes: list[str]
) -> tuple[Array, int]:
    """The arrays of several inputs as one (n_samples, n_steps, sum of their sizes), and the number of steps."""
    found = {name: arrays.get(f"x/{name}", arrays.get(name)) for name in inputs}
    missing = [name for name, array in found.items() if array is None]
    if missing:
        what = f"it has the arrays {', '.join(sorted(arrays))}, and none for the input {', '.join(missing)}"
        raise InvalidInput(where, what, f"Save one array for each of {', '.join(f'x/{name}' for name in inputs)}")
    parts = []
    for name, raw in found.items():
        assert raw is not None
        x, n_steps, how = in_order(f"{where}: {name}", checked(f"{where}: {name}", raw), inputs[name], layout)
        if not n_steps:
            raise InvalidInput(f"{where}: {name}", f"its shape {x.shape} has no steps", "Give (n_samples, n_steps, ...)")
        notes.append(f"{name}: {len(x)} samples of {n_steps} steps, {inputs[name]}, {x.dtype}{how}")
        parts.append(x.reshape(len(x), n_steps, -1))
    if len({part.shape[:2] for part in parts}) > 1:
        sizes = ", ".join(f"{name} {part.shape[:2]}" for name, part in zip(inputs, parts, strict=True))
        raise InvalidInput(where, f"the inputs differ in samples and steps: {sizes}", "Give all of them the same")
    return np.concatenate(parts, axis=2), int(parts[0].shape[1])


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


def _main(where: str, arrays: Mapping[str, Array], *others: str, name: str = "x") -> Array:
    """The array `name`, or `x/<other>` or one of the `others`, or the only one there is."""
    for key in (name, *(f"{name}/{other}" for other in others), *others):
        if key in arrays:
            return arrays[key]
    left = [key for key in arrays if key not in ("x", "y")] if name == "x" else list(arrays)
    if len(left) == 1:
        return arrays[left[0]]
    raise InvalidInput(
        where, f"it has no array '{name}' but {', '.join(sorted(arrays)) or 'nothing'}", f"Save it as {name}=..."
    )
