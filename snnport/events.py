"""Spikes as rasters and as events, and .npz files written whole or not at all.

raster: (n_samples, n_steps, n_neurons), entry = number of spikes. events: three equally long arrays sample, time, index.
"""

from __future__ import annotations

import io
import math
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

MAX_NPZ_BYTES = 1 << 30
"""An .npz whose compressed arrays unpack to more is refused before anything is unpacked; what is only stored has no limit."""
MAPPED_BYTES = 64 << 20
"""Arrays stored as they are that are larger than this are mapped, and read where they are used."""

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


NPY = b"\x93NUMPY"


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

    Raises InvalidInput if the file is missing, damaged, holds objects, or if what it has compressed unpacks to more than
    MAX_NPZ_BYTES. Large arrays that np.savez has stored as they are, are mapped: data beyond the memory is streamed.
    """
    try:
        if path.suffix == ".npy":
            return {"x": read_npy(path)}
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            large = [e for e in entries if e.compress_type == zipfile.ZIP_STORED and e.file_size > MAPPED_BYTES]
            size = sum(entry.file_size for entry in entries if entry not in large)
            if size > MAX_NPZ_BYTES:
                what = f"it unpacks to {size} bytes, the limit is {MAX_NPZ_BYTES}"
                raise InvalidInput(str(path), what, "Save it with numpy.savez, which does not compress, or as .npy")
            mapped = {entry.filename.removesuffix(".npy"): _mapped(path, entry) for entry in large}
        with np.load(path, allow_pickle=False) as archive:
            return {name: mapped[name] if name in mapped else _bounded(archive, name) for name in archive.files}
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such file") from None
    except _DAMAGED as error:
        raise InvalidInput(str(path), f"it is no readable .npz or .npy file: {error}") from None


def read_npy(path: Path) -> npt.NDArray[Any]:
    """The array of an .npy, mapped: read where it is used. Raises ValueError or OSError if it is damaged or holds objects."""
    with path.open("rb") as stream:
        _header(stream)
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _bounded(archive: Any, name: str) -> npt.NDArray[Any]:
    """An array of an opened .npz whose own header promises no more than the limit: a small file may promise anything."""
    with archive.zip.open(name if name in archive.zip.namelist() else f"{name}.npy") as stream:
        if stream.read(len(NPY)) != NPY:
            raise ValueError(f"'{name}' is no array")
        stream.seek(0)
        shape, _, kind = _header(stream)
        if math.prod(shape) * kind.itemsize > MAX_NPZ_BYTES:
            raise ValueError(f"'{name}' promises {shape} {kind}, more than {MAX_NPZ_BYTES} bytes")
    array: npt.NDArray[Any] = archive[name]
    return array


def _mapped(path: Path, entry: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """The array of a stored entry, mapped from the file. A local header is 30 bytes, its name and its extra field."""
    with path.open("rb") as stream:
        stream.seek(entry.header_offset)
        head = stream.read(30)
        if len(head) < 30 or head[:4] != b"PK\x03\x04":
            raise ValueError(f"'{entry.filename}' has no local header")
        start = entry.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        stream.seek(start)
        shape, fortran, kind = _header(stream)
        offset = stream.tell()
    if offset - start + math.prod(shape) * kind.itemsize != entry.file_size:
        raise ValueError(f"'{entry.filename}' is {entry.file_size} bytes, its header promises {shape} {kind}")
    return np.memmap(path, kind, "r", offset, shape, "F" if fortran else "C")


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of an .npy. Raises ValueError if it holds objects."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, kind = read(stream)
    if kind.hasobject:
        raise ValueError("Object arrays cannot be loaded: they may hold code")
    return shape, fortran, kind
