"""Sparse events: lists of sample, step and index in an .npz, or N-MNIST's recordings of one sample a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from snnport.datasets.files import Array
from snnport.errors import InvalidInput
from snnport.events import Events
from snnport.nodes import Shape

MAX_SAMPLE = 1 << 28
"""A sample of sparse events whose raster has more entries (steps times neurons) is refused."""
NMNIST_SIZE = 34
"""Rows and columns of the sensor's part in N-MNIST."""
NMNIST_DT = 1e-3
"""Seconds a step of N-MNIST frames where --dt does not say: the one of the NIR paper (Pedersen et al. 2024)."""


def event_list(where: str, arrays: Mapping[str, Array], shape: Shape) -> tuple[Events, int, int]:
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


def nmnist_files(path: Path) -> list[tuple[Path, int | None]]:
    """The recordings at `path` with their labels: a .bin file, or a folder of them, in subfolders named by digit or not."""
    if not path.is_dir():
        return [(path, None)]
    found = sorted(path.rglob("*.bin"))
    if not found:
        raise InvalidInput(str(path), "the folder holds no .bin recordings", "Give the folder of N-MNIST's Test or Train")
    return [(file, int(file.parent.name) if file.parent.name.isdigit() else None) for file in found]


def nmnist(path: Path, shape: Shape, dt: float | None) -> tuple[Events, int, int, list[int | None], str]:
    """Events of N-MNIST recordings, number of samples and steps, labels, and what was read, in words.

    An event is 40 bits: x, y (8 each), polarity (1), time in microseconds (23) (G. Orchard et al., Converting static image
    datasets to spiking neuromorphic datasets using saccades, Frontiers in Neuroscience 9:437, 2015). It falls into step
    floor(time / dt) at (polarity, y, x). Raises InvalidInput if a file is damaged or the model's input is not (2, 34, 34).
    """
    files = nmnist_files(path)
    if shape != (2, NMNIST_SIZE, NMNIST_SIZE):
        what = f"N-MNIST's recordings are (2, {NMNIST_SIZE}, {NMNIST_SIZE}), the model's input is {shape}"
        raise InvalidInput(str(path), what, "Give spikes of the model's shape as .npz")
    step_us = round((dt or NMNIST_DT) * 1e6)
    if step_us < 1:
        raise InvalidInput("--dt", f"{dt} s is less than a microsecond, the unit of N-MNIST's times", "Give 1e-6 or more")
    samples, times, places = [], [], []
    for number, (file, _) in enumerate(files):
        x, y, polarity, microseconds = _recording(file)
        samples.append(np.full(len(x), number, np.int64))
        times.append(microseconds // step_us)
        places.append((polarity * NMNIST_SIZE + y) * NMNIST_SIZE + x)
    sample, time, index = (np.concatenate(parts) for parts in (samples, times, places))
    n_steps = int(time.max(initial=0)) + 1
    if n_steps * math.prod(shape) > MAX_SAMPLE:
        raise InvalidInput(str(path), f"a recording spans {n_steps} steps of {step_us} microseconds", "Give a longer --dt")
    order = np.lexsort((index, time, sample))
    words = f"{len(time)} N-MNIST events, {step_us} microseconds a step, off events in channel 0"
    return Events(sample[order], time[order], index[order]), len(files), n_steps, [label for _, label in files], words


def _recording(path: Path) -> tuple[Array, Array, Array, Array]:
    """x, y, polarity and time in microseconds of the events in one .bin file, int64 (n_events,)."""
    try:
        raw = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InvalidInput(str(path), f"it cannot be read: {error.strerror}") from None
    if not raw.size or raw.size % 5:
        raise InvalidInput(str(path), f"it has {raw.size} bytes, N-MNIST's events are 5 bytes each", "Fetch it again")
    column = raw.reshape(-1, 5).astype(np.int64).T
    x, y = column[0], column[1]
    if max(int(x.max()), int(y.max())) >= NMNIST_SIZE:
        what = f"it has an event at x {x.max()}, y {y.max()}; N-MNIST's are below {NMNIST_SIZE}"
        raise InvalidInput(str(path), what, "Is it a recording of N-MNIST?")
    return x, y, column[2] >> 7, ((column[2] & 127) << 16) | (column[3] << 8) | column[4]
