"""A .nir file as it is: nodes, fields, edges and metadata out of the HDF5, nothing interpreted, nothing trusted.

nir's own reader stops at the first oddity with an error that names no place, and reads links, sizes and types as it finds them.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnport.errors import InvalidGraph
from snnport.graph import Edge

MAX_BYTES = 4 << 30
"""A file whose arrays take more memory is refused before anything is read."""
MAX_DEPTH = 8
_HEAP = b"GCOL\1\0\0\0"
_DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""What h5py raises on damaged files."""


@dataclass(frozen=True, eq=False)
class RawNode:
    """A node: its type's name, its fields (numbers as arrays, texts as str), its metadata, and its inside if it is a graph."""

    kind: str
    fields: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    graph: RawGraph | None = None


@dataclass(frozen=True, eq=False)
class RawGraph:
    """Nodes by name and edges in the order of the file, neither checked against the other."""

    nodes: dict[str, RawNode]
    edges: tuple[Edge, ...]


def read_raw(path: Path) -> tuple[RawNode, str]:
    """The root node of the file at `path`, and the version of nir that wrote it.

    Raises InvalidGraph, naming the file, if it is missing, something else, damaged, or of impossible size.
    """
    _guard(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            root = file.get("node")
            if not isinstance(root, h5py.Group):
                raise InvalidGraph(str(path), "it is an HDF5 file without a NIR graph: there is no group 'node'")
            reader = _Reader(str(path))
            mark = file.get("version")
            version = str(reader.value(mark, "version")) if isinstance(mark, h5py.Dataset) else "unknown"
            return reader.node(root, "", 0), version
    except _DAMAGED as error:
        raise InvalidGraph(str(path), f"its HDF5 is damaged: {error}", "Fetch or write the file again") from None


def _guard(path: Path) -> None:
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
        raise InvalidGraph(where, "it is a zip archive, such as torch.save writes, no NIR file", "Write it with nir.write")
    if head == b"version ":
        raise InvalidGraph(where, "it is a git-lfs pointer, not the file itself", "Fetch it with `git lfs pull`")
    if not h5py.is_hdf5(path):
        raise InvalidGraph(where, f"it is no NIR file: it starts with {head.hex(' ')}, not as HDF5 does")
    _check_heaps(path)


def _check_heaps(path: Path) -> None:
    """Raises InvalidGraph if a heap of texts is damaged: the HDF5 library reads such a heap for ever.

    Layout: HDF5 File Format Specification 3.0, section III.E, "Disk Format: Level 1E - Global Heap".
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            size, at = int.from_bytes(content[start + 8 : start + 16], "little"), 16
            if start + size > len(content):
                raise InvalidGraph(str(path), f"it is cut short or damaged: a heap of {size} bytes starts at {start}")
            while at + 16 <= size:
                head = content[start + at : start + at + 16]
                index, length = int.from_bytes(head[:2], "little"), int.from_bytes(head[8:], "little")
                step = 16 + -(-length // 8) * 8 if index else size - at
                if at + step > size or (index == 0 and length != step):
                    raise InvalidGraph(str(path), f"its HDF5 is damaged: a heap ends wrongly at {start + at}")
                at += step
            start = content.find(_HEAP, start + 1)


class _Reader:
    """Reads one file; `bytes` counts what its arrays take."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.bytes = 0

    def node(self, group: Any, name: str, depth: int) -> RawNode:
        """The node that `group` holds."""
        if depth > MAX_DEPTH:
            raise InvalidGraph(self.where, f"its graphs are nested more than {MAX_DEPTH} deep, at '{name}'")
        fields: dict[str, Any] = {}
        inside: dict[str, Any] = {}
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise InvalidGraph(self.where, f"'{group.name}/{key}' is a link to another place")
            child = group[key]
            if not isinstance(child, h5py.Dataset | h5py.Group):
                raise InvalidGraph(self.where, f"'{group.name}/{key}' is no field")
            if isinstance(child, h5py.Dataset):
                fields[key] = self.value(child, f"{group.name}/{key}")
            else:
                inside[key] = child
        kind = fields.pop("type", None)
        if not isinstance(kind, str):
            raise InvalidGraph(self.where, f"node '{group.name}' has no type")
        metadata = self.tree(inside.pop("metadata"), depth) if "metadata" in inside else {}
        if kind != "NIRGraph":
            return RawNode(kind, fields, metadata)
        children = inside.get("nodes", {})
        nodes = {key: self.node(self.group(children, key), key, depth + 1) for key in children}
        return RawNode(kind, fields, metadata, RawGraph(nodes, self.edges(fields.pop("edges", None), group.name)))

    def group(self, parent: Any, key: str) -> Any:
        """The group `key` of `parent`."""
        if not isinstance(parent.get(key, getlink=True), h5py.HardLink) or not isinstance(parent[key], h5py.Group):
            raise InvalidGraph(self.where, f"'{parent.name}/{key}' is no node")
        return parent[key]

    def tree(self, group: Any, depth: int) -> dict[str, Any]:
        """Metadata: numbers, texts, arrays, and dictionaries of them."""
        if depth > MAX_DEPTH:
            raise InvalidGraph(self.where, f"its metadata are nested more than {MAX_DEPTH} deep")
        result: dict[str, Any] = {}
        for key in group:
            child = group[key] if isinstance(group.get(key, getlink=True), h5py.HardLink) else None
            if isinstance(child, h5py.Group):
                result[key] = self.tree(child, depth + 1)
            elif isinstance(child, h5py.Dataset):
                value = self.value(child, f"{group.name}/{key}")
                result[key] = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
            else:
                raise InvalidGraph(self.where, f"'{group.name}/{key}' is no entry of metadata")
        return result

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

    def edges(self, value: Any, name: str) -> tuple[Edge, ...]:
        """The edges of the graph `name`."""
        if isinstance(value, np.ndarray) and value.size == 0:
            return ()
        if not isinstance(value, np.ndarray) or value.dtype != object or value.ndim != 2 or value.shape[1] != 2:
            raise InvalidGraph(self.where, f"'{name}' has no list of edges (source, target)")
        return tuple((str(a), str(b)) for a, b in value)
