"""What every reader of an HDF5 file needs: is it one, is it whole, and plain values out of it. Links are never followed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph
from snnport.nirdata import heap_fault

MAX_BYTES = 1 << 30
"""A file whose arrays take more memory is refused before anything is read."""
DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""What h5py raises on damaged files."""
MOST_LISTED = 8


def guard(path: Path, kind: str, remedy: str) -> None:
    """Raises InvalidGraph, naming the file, if it is missing, something else than HDF5, or damaged in its heaps.

    kind: what it should be ("NIR"). remedy: how such a file is written.
    """
    where = str(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except FileNotFoundError:
        raise InvalidGraph(where, "there is no such file") from None
    except OSError as error:
        raise InvalidGraph(where, f"it cannot be read: {error.strerror}") from None
    if not head:
        raise InvalidGraph(where, "the file is empty")
    if head.startswith(b"PK"):
        raise InvalidGraph(where, f"it is a zip archive, such as torch.save writes, no {kind} file", remedy)
    if head == b"version ":
        raise InvalidGraph(where, "it is a git-lfs pointer, not the file itself", "Fetch it with `git lfs pull`")
    if not h5py.is_hdf5(path):
        raise InvalidGraph(where, f"it is no {kind} file: it starts with {head.hex(' ')}, not as HDF5 does")
    fault = heap_fault(path)
    if fault:
        raise InvalidGraph(where, fault, "Fetch or write the file again")


def listed(values: npt.NDArray[Any]) -> str:
    """Numbers (n,) for a message: a damaged file may hold millions where a few belong."""
    told = ", ".join(map(str, values[:MOST_LISTED].tolist()))
    return f"[{told}]" if len(values) <= MOST_LISTED else f"[{told}, ..] ({len(values)} numbers)"


class Values:
    """Plain values of one file; `bytes` counts what its arrays take."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.bytes = 0

    def value(self, dataset: Any, name: str) -> Any:
        """A text, or an array of numbers or of texts."""
        if dataset.shape is None:
            raise InvalidGraph(self.where, f"'{name}' is empty")
        if dataset.is_virtual or dataset.external:
            raise InvalidGraph(self.where, f"'{name}' lies in another file")
        self.bytes += math.prod(dataset.shape) * max(dataset.dtype.itemsize, 1)
        if self.bytes > MAX_BYTES:
            raise InvalidGraph(self.where, f"its arrays take over {MAX_BYTES} bytes, at '{name}' of shape {dataset.shape}")
        if h5py.check_string_dtype(dataset.dtype) is not None:
            texts = dataset.asstr()[()]
            return texts if isinstance(texts, str) else np.asarray(texts, object)
        if dataset.dtype.kind not in "buif":
            raise InvalidGraph(self.where, f"'{name}' is of type {dataset.dtype}, numbers or texts are needed")
        return np.asarray(dataset[()])
