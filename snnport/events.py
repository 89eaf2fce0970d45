"""Spikes as rasters and as events, and .npz files written whole or not at all.

raster: (n_samples, n_steps, n_neurons), entry = number of spikes. events: three equally long arrays sample, time, index.
"""

from __future__ import annotations

import io
import os
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput

MAX_NPZ_BYTES = 8 << 30
"""An .npz whose arrays unpack to more is refused before anything is unpacked."""

_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,
    SyntaxError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)
"""What numpy and zipfile raise on damaged archives: random bytes in a valid file brought out each of them."""


@dataclass(frozen=True, eq=False)
class Events:
    """Spikes as a list sorted by (sample, time, index); an entry given twice is two spikes."""

    sample: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]

    def to_raster(self, n_samples: int, n_steps: int, n_neurons: int) -> npt.NDArray[np.int32]:
        """Counts (n_samples, n_steps, n_neurons)."""
        raster = np.zeros((n_samples, n_steps, n_neurons), np.int32)
        np.add.at(raster, (self.sample, self.time, self.index), 1)
        return raster

    @classmethod
    def from_raster(cls, raster: npt.NDArray[np.integer]) -> Events:
        """The events of a raster (n_samples, n_steps, n_neurons) of counts."""
        sample, time, index = np.nonzero(raster)
        repeat = np.asarray(raster)[sample, time, index].astype(np.int64)
        return cls(np.repeat(sample, repeat), np.repeat(time, repeat), np.repeat(index, repeat))


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` into the file at `path`: after an interruption the old file is there whole, or the new one.

    Raises InvalidInput if the folder is missing, read-only or full.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InvalidInput(str(path), f"it cannot be written: {error.strerror}", "Choose another folder") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise InvalidInput(str(path), f"it cannot be written: {error.strerror}", "Free space or choose another place") from None
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_npz(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write `arrays` as a compressed .npz at `path`, atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of the .npz at `path`, or the array of an .npy under the name 'x'. Pickles are refused.

    Raises InvalidInput if the file is missing, damaged, holds objects, or unpacks to more than MAX_NPZ_BYTES.
    """
    try:
        if path.suffix == ".npy":
            return {"x": np.load(path, allow_pickle=False)}
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_NPZ_BYTES:
            raise InvalidInput(str(path), f"it unpacks to {size} bytes, the limit is {MAX_NPZ_BYTES}")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such file") from None
    except _DAMAGED as error:
        raise InvalidInput(str(path), f"it is no readable .npz or .npy file: {error}") from None
