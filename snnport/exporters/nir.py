"""A graph as a .nir file that nir.read takes with its type check on, and that read_nir gives back unchanged.

NIR can say neither soft reset nor codes nor windows: that is in the metadata, and other readers compute another network.
nir 1.0.8 itself cannot hold some graphs as they are. So here convolutions are stored as importers/stored.py says, parameters
are spread over the whole population, integers become floats, names lose their slashes (HDF5 would open a folder at each),
and the order of the nodes and their names are kept in the metadata (HDF5 sorts).
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import h5py
import nir
import numpy as np
from nir import serialization

from snnport.errors import InvalidGraph
from snnport.events import write_bytes
from snnport.graph import Graph, predecessors, shapes, successors
from snnport.importers.nir import NODES_KEY
from snnport.importers.nirnodes import BUILDERS
from snnport.importers.stored import store_conv
from snnport.nodes import NEURON_NODES, Shape, input_node, output_node, pair

_KINDS = tuple(getattr(nir, kind) for kind in BUILDERS)
_FULL = (*NEURON_NODES, nir.Threshold, nir.Delay, nir.Scale)


def write_nir(graph: Graph, path: Path, without: tuple[str, ...] = ()) -> None:
    """Write `graph` to `path`, whole or not at all; `without` the fields of neurons that an older nir does not know.

    Raises InvalidGraph if it holds nodes that NIR lacks, nodes that lead nowhere, or metadata that HDF5 cannot hold.
    """
    _check(graph, path)
    outputs = shapes(graph)
    names = _stored_names(graph)
    nodes = {}
    for name, node in graph.nodes.items():
        source = next(iter(predecessors(graph, name)), name)
        stored = _stored(name, node, outputs[source], outputs[name])
        stored.metadata = _plain(name, stored.metadata)
        nodes[names[name]] = stored
    metadata = {**_plain("graph", graph.metadata), NODES_KEY: json.dumps([[names[name], name] for name in graph.nodes])}
    edges = [(names[a], names[b]) for a, b in graph.edges]
    buffer = io.BytesIO()
    try:
        serialization.write(buffer, Graph(nodes, edges, metadata, type_check=True))  # type: ignore[arg-type]
    except (ValueError, TypeError, AssertionError) as error:
        raise InvalidGraph(str(path), f"nir refuses the graph: {error}") from None
    if without:
        _remove(buffer, without)
    write_bytes(path, buffer.getvalue())


def _remove(buffer: io.BytesIO, fields: tuple[str, ...]) -> None:
    """The fields `fields` of all nodes taken out of the HDF5 file in `buffer`."""
    with h5py.File(buffer, "r+") as file:
        names: Any = file["node/nodes"]
        for place in [f"node/nodes/{name}/{field}" for name in names for field in fields]:
            if place in file:
                del file[place]


def _check(graph: Graph, path: Path) -> None:
    alien = [f"{k} ({type(n).__name__})" for k, n in graph.nodes.items() if type(n) not in _KINDS]
    if alien:
        raise InvalidGraph(str(path), f"NIR has no node for {', '.join(alien)}", "Convert the network to spikes first")
    ends = [k for k, n in graph.nodes.items() if not successors(graph, k) and not isinstance(n, nir.Output)]
    if ends:
        raise InvalidGraph(str(path), f"{', '.join(ends)}: the output of this node goes nowhere", "Connect it or remove it")


def _stored_names(graph: Graph) -> dict[str, str]:
    """A name without slashes for every node; names of dots alone mean folders to HDF5 too."""
    taken: set[str] = set()
    result = {}
    for name in graph.nodes:
        wish = re.sub(r"[/\0]", "_", name)
        wish = wish if wish.strip(".") else f"node{wish}"
        unique, number = wish, 1
        while unique in taken or (unique != name and unique in graph.nodes):
            number += 1
            unique = f"{wish}_{number}"
        taken.add(unique)
        result[name] = unique
    return result


def _stored(name: str, node: Any, shape: Shape, out: Shape) -> nir.NIRNode:
    """`node`, on an input of `shape`, as nir holds it; shares no metadata with `node`."""
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        return _floats(store_conv(name, node, shape))
    if isinstance(node, nir.Input | nir.Output | nir.Flatten | nir.SumPool2d | nir.AvgPool2d):
        new: Any
        if isinstance(node, nir.Input | nir.Output):
            new = input_node(out) if isinstance(node, nir.Input) else output_node(out)
        elif isinstance(node, nir.Flatten):
            types: Any = {"input": np.array(shape)}
            start, end = int(node.start_dim) % len(shape), int(node.end_dim) % len(shape)
            new = nir.Flatten(types, start, -1 if end == len(shape) - 1 else end)
        else:
            new = type(node)(*(np.array(pair(v)) for v in (node.kernel_size, node.stride, node.padding)))
        new.metadata = node.metadata
        return cast(nir.NIRNode, new)
    return _floats(node, shape if isinstance(node, _FULL) else None)


def _floats(node: Any, shape: Shape | None = None) -> nir.NIRNode:
    """`node` with floats for integers and, given a `shape`, every parameter of that shape."""
    changed: dict[str, Any] = {}
    for entry in dataclasses.fields(node):
        if not entry.init or entry.name in ("metadata", "input_shape", "stride", "padding", "dilation", "groups"):
            continue
        value = np.asarray(getattr(node, entry.name))
        value = value if value.dtype.kind == "f" else value.astype(np.float64)
        changed[entry.name] = value if shape is None else np.array(np.broadcast_to(value, shape))
    return cast(nir.NIRNode, dataclasses.replace(node, **changed))


def _plain(where: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as HDF5 can hold them: texts, numbers, arrays and dictionaries of them. None is left out."""
    result: dict[str, Any] = {}
    for key, value in metadata.items():
        if value is None:
            continue
        if not isinstance(key, str) or not key.strip(".") or "/" in key:
            raise InvalidGraph(where, f"its metadata have the key {key!r}, which HDF5 cannot hold", "Rename it")
        if isinstance(value, Mapping):
            result[key] = _plain(where, value)
        elif isinstance(value, str | bool | int | float | np.generic):
            result[key] = value
        elif isinstance(value, list | tuple | np.ndarray) and np.asarray(value).dtype.kind in "buif":
            result[key] = np.asarray(value) if np.ndim(value) else np.asarray(value).item()
        else:
            raise InvalidGraph(where, f"its metadata '{key}' are a {type(value).__name__}", "Use texts, numbers or arrays")
    return result
