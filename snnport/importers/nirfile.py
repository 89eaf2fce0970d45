"""A .nir file as it is: nodes, fields, edges and metadata out of the HDF5, nothing interpreted, nothing trusted.

nir's own reader stops at the first oddity with an error that names no place, and reads links, sizes and types as it finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnport.errors import InvalidGraph
from snnport.graph import Edge
from snnport.importers.hdf5 import DAMAGED, Values, guard

MAX_DEPTH = 8


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
    guard(path, "NIR", "Write it with nir.write")
    try:
        with h5py.File(path, "r", locking=False) as file:
            reader = _Reader(str(path))
            root = reader.owned(file, "node")
            if not isinstance(root, h5py.Group):
                raise InvalidGraph(str(path), "it is an HDF5 file without a NIR graph: there is no group 'node'")
            mark = reader.owned(file, "version")
            version = str(reader.value(mark, "version")) if isinstance(mark, h5py.Dataset) else "unknown"
            return reader.node(root, "", 0), version
    except DAMAGED as error:
        raise InvalidGraph(str(path), f"its HDF5 is damaged: {error}", "Fetch or write the file again") from None


class _Reader(Values):
    """Reads one file."""

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

    def owned(self, file: Any, key: str) -> Any:
        """The entry `key` of the file itself, None if there is none. Raises InvalidGraph if it is a link."""
        link = file.get(key, getlink=True)
        if link is not None and not isinstance(link, h5py.HardLink):
            raise InvalidGraph(self.where, f"'/{key}' is a link to another place")
        return None if link is None else file[key]

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

    def edges(self, value: Any, name: str) -> tuple[Edge, ...]:
        """The edges of the graph `name`."""
        if isinstance(value, np.ndarray) and value.size == 0:
            return ()
        if not isinstance(value, np.ndarray) or value.dtype != object or value.ndim != 2 or value.shape[1] != 2:
            raise InvalidGraph(self.where, f"'{name}' has no list of edges (source, target)")
        return tuple((str(a), str(b)) for a, b in value)
