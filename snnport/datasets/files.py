"""The arrays of a file of samples, of whatever kind it is, told by its first bytes; nothing is read into yet."""

from __future__ import annotations

import gzip
import math
import struct
import tokenize
import zlib
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.events import read_npy, read_npz
from snnport.nirdata import MAGIC, read_nirdata

Array: TypeAlias = npt.NDArray[Any]

MAX_BYTES = 1 << 30
"""A compressed idx file that unpacks to more is refused before anything is unpacked."""
PNG = b"\x89PNG\r\n\x1a\n"
_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_DAMAGED = (OSError, ValueError, EOFError, RuntimeError, SyntaxError, struct.error, tokenize.TokenError, zlib.error)
"""What numpy, zipfile and gzip raise on damaged files."""


def read_arrays(path: Path, dt: float | None = None) -> dict[str, Array]:
    """Name -> array of the file at `path`: .npz, .npy ("x"), idx ("x"; .gz too), PNG ("x": height, width, channels) or
    NIRData (the observables of each node).

    dt: seconds a step, for events of NIRData. Raises InvalidInput, naming the file, if it is missing or damaged.
    """
    where = str(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
        if not head:
            raise InvalidInput(where, "the file is empty")
        if head.startswith(b"PK"):
            return read_npz(path) if path.suffix != ".npy" else refuse(where, "it is an .npz", "Rename it")
        if head.startswith(b"\x93NUMPY"):
            return {"x": read_npy(path)}
        if head == MAGIC:
            return _observed(path, dt)
        if head == PNG:
            from snnport.datasets.png import read_png  # numba compiles there

            return {"x": read_png(where, path.read_bytes())}
        if head.startswith((b"\x1f\x8b", b"\0\0")):
            return {"x": _idx(path, zipped=head.startswith(b"\x1f\x8b"))}
    except FileNotFoundError:
        raise InvalidInput(where, "there is no such file") from None
    except MemoryError:
        raise InvalidInput(where, "it does not fit into memory", "Split it") from None
    except _DAMAGED as error:
        raise InvalidInput(where, f"it cannot be read: {error}") from None
    if head == b"version ":
        return refuse(where, "it is a git-lfs pointer, not the data", "Fetch it with `git lfs pull`")
    return refuse(
        where, "it is no .npz, .npy, idx, PNG or NIRData file", "Save the samples with numpy.savez(path, x=..., y=...)"
    )


def refuse(where: str, what: str, remedy: str) -> NoReturn:
    """Raise InvalidInput."""
    raise InvalidInput(where, what, remedy)


def _observed(path: Path, dt: float | None) -> dict[str, Array]:
    """What was observed at each node: its spikes where they are among several observables."""
    found, _, _ = read_nirdata(path, dt)
    chosen = {}
    for node, observables in found.items():
        if "spikes" not in observables and len(observables) > 1:
            names = ", ".join(sorted(observables))
            raise InvalidInput(f"{path}: {node}", f"it observes {names}, which of them is the input is open", "Call it spikes")
        chosen[node] = observables["spikes"] if "spikes" in observables else next(iter(observables.values()))
    return chosen


def _require_whole(where: str, shape: tuple[int, ...], wanted: int, found: int, more: bool) -> None:
    """The bytes of an idx file are those that its header promises."""
    if found != wanted or more:
        text = f"{found} bytes" if found != wanted else "more bytes"
        raise InvalidInput(where, f"its header promises {shape}, {wanted} bytes, and {text} follow", "Fetch it again")


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
        if wanted > MAX_BYTES and zipped:
            what = f"its header promises {shape}, {wanted} bytes, the limit is {MAX_BYTES}"
            raise InvalidInput(where, what, "Unpack it with gunzip: what is not compressed has no limit")
        if not zipped:
            start, left = stream.tell(), path.stat().st_size - stream.tell()
            _require_whole(where, shape, wanted, min(left, wanted), left > wanted)
            mapped = np.memmap(path, kind, "r", start, shape) if wanted else np.zeros(shape, kind)
            return mapped if kind.isnative else mapped.astype(kind.newbyteorder("="))
        content = stream.read(wanted)
        _require_whole(where, shape, wanted, len(content), bool(stream.read(1)))
    values = np.frombuffer(content, kind).reshape(shape)
    return values if kind.isnative else values.astype(kind.newbyteorder("="))
