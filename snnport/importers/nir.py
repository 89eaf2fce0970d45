"""A .nir file of any framework as a graph in canonical form, with everything that was repaired and all that stays open.

Canonical: flat, no batch and no time axis, shapes inferred here and not believed, one parameter a neuron. A file that
snnport wrote comes back as it was, with its coding, and nothing about it is open.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snnport.convention import CODED, Coding, Convention, coding_of
from snnport.errors import InvalidGraph, InvalidInput, UnknownName, UnsupportedNode
from snnport.graph import Edge, Graph, back_edges, build, predecessors, topological_order
from snnport.importers.assume import assumed, parsed
from snnport.importers.base import Imported
from snnport.importers.dialects import check_choices, settle
from snnport.importers.nirfile import RawGraph, RawNode, read_raw
from snnport.importers.nirflat import Nodes, flattened
from snnport.importers.nirnodes import BUILDERS, MAX_NEURONS, build_node, faults, raw_shape
from snnport.ledger import Entry
from snnport.nodes import ReLU, Shape, output_shape

OLD_KEY = "snnport_no_v_reset"
"""Metadata of a graph whose file held no v_reset: snnport writes one, and what its absence told must not be lost."""
NODES_KEY = "snnport_nodes"
"""Metadata of a graph that snnport wrote: JSON list of (name in the file, name), in the order of the nodes."""


def read_nir(
    path: Path,
    *,
    dialect: str | None = None,
    dt: float | None = None,
    reset: str | None = None,
    reset_delay: int | None = None,
    rules: str | None = None,
) -> Imported:
    """The graph in the file at `path`, and what its neurons mean; dialect, dt (seconds) and reset overrule the file.

    reset_delay: 0 if neurons reset in the step in which they fire, 1 if in the next (a choice of snnTorch; untold, 1 is taken
    where the file holds v_reset, as snnTorch 1.0.0 writes it, and 0 in older files). rules: "NAME=VALUE,...", rules of the
    dialect that the framework was told otherwise, and that no file says (v_min, multi_spike, membrane_gain, ...).
    Raises InvalidGraph or UnsupportedNode, naming the place, if it is damaged or no network can be meant by it; UnknownName
    or InvalidInput on a wrong dialect, dt or reset. What the file leaves open is listed in `ambiguous`, with the flag to set.
    """
    check_choices(dialect, dt, reset, reset_delay)
    told = parsed(rules) if rules else {}
    root, version = read_raw(path)
    raw = root.graph or RawGraph({"node": root}, ())
    _check_kinds(path, raw)
    notes: list[str] = []
    lost: dict[str, str] = {}
    nodes, edges = flattened(raw, notes, lost)
    bad = [fault for name, node in nodes.items() for fault in faults(name, node)]
    if bad:
        raise InvalidGraph(str(path), "; ".join(bad), "Export the network again")
    metadata = dict(root.metadata) if root.graph else {}
    nodes, edges = _renamed(nodes, edges, metadata.pop(NODES_KEY, None))
    nodes, edges = _with_ends(nodes, edges, notes)
    modern = any("v_reset" in node.fields for node in nodes.values()) and OLD_KEY not in metadata
    if not modern and any("v_threshold" in node.fields for node in nodes.values()):
        metadata[OLD_KEY] = 1
    graph = _canonical(nodes, edges, metadata, notes)
    ledger = [Entry(name, node.kind, "became", (name,), "", "nir") for name, node in nodes.items()]
    ledger += [Entry(name, "Input/Output", "dropped", (), why, "nir") for name, why in lost.items()]
    meaning = _meaning(graph, dialect, dt, reset, (reset_delay, int(modern)))
    fields = _with_rules(path, meaning.fields, rules)
    said = [f"the user says {key} = {value}" for key, value in told.items()]
    evidence = (*meaning.evidence, *said, f"written by nir {version}")
    return Imported(graph, "nir", tuple(ledger), repairs=tuple(notes), **{**fields, "evidence": evidence})


def _check_kinds(path: Path, graph: RawGraph) -> None:
    unknown: list[str] = []
    stack = [("", graph)]
    while stack:
        prefix, inside = stack.pop()
        for name, node in inside.nodes.items():
            if node.graph is not None:
                stack.append((f"{prefix}{name}.", node.graph))
            elif node.kind not in BUILDERS:
                unknown.append(f"{prefix}{name} ({node.kind})")
    if unknown:
        raise UnsupportedNode(str(path), f"node types that NIR does not have: {', '.join(sorted(unknown))}")
    if not graph.nodes:
        raise InvalidGraph(str(path), "the graph has no nodes")


def _renamed(nodes: Nodes, edges: list[Edge], table: Any) -> tuple[Nodes, list[Edge]]:
    """Nodes in the order and under the names that write_nir noted in `table`."""
    if table is None:
        return nodes, edges
    try:
        names = {str(stored): str(name) for stored, name in json.loads(table)}
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidGraph(f"metadata '{NODES_KEY}'", f"it cannot be read ({error})", "Write the file again") from None
    order = [*(key for key in names if key in nodes), *(key for key in nodes if key not in names)]
    new = {key: names.get(key, key) for key in order}
    if len(set(new.values())) < len(new):
        raise InvalidGraph(f"metadata '{NODES_KEY}'", "it gives two nodes the same name", "Write the file again")
    return {new[key]: nodes[key] for key in order}, [(new[a], new[b]) for a, b in edges]


def _with_ends(nodes: Nodes, edges: list[Edge], notes: list[str]) -> tuple[Nodes, list[Edge]]:
    """With an Input before every node without a source where the file has none, and an Output behind every last node."""
    for kind, side, new in (("Input", 1, "input"), ("Output", 0, "output")):
        if any(node.kind == kind for node in nodes.values()):
            continue
        free = [name for name in nodes if not any(edge[side] == name for edge in edges)]
        lonely = [name for name in free if not any(name in edge for edge in edges)]
        if not free or (lonely and len(nodes) > 1):
            what = f"it has no {kind} node, and {len(free)} nodes could stand beside it: {', '.join(free)}"
            raise InvalidGraph("graph", what, "Give the graph its Input and Output nodes")
        for place in free:
            name = new if len(free) == 1 and new not in nodes else f"{new}_of_{place}"
            fields = {"shape": np.array(_own_shape(place, nodes[place]))} if kind == "Input" else {}
            nodes = {**nodes, name: RawNode(kind, fields)}
            edges = [*edges, (name, place) if kind == "Input" else (place, name)]
            notes.append(f"the graph has no {kind} node; '{name}' was put at {place}")
    return nodes, edges


def _own_shape(name: str, raw: RawNode) -> Shape:
    """The input shape that a node's fields tell."""
    arrays = {key: value.shape for key, value in raw.fields.items() if isinstance(value, np.ndarray)}
    if raw.kind in ("Affine", "Linear") and len(arrays.get("weight", ())) == 2:
        return (arrays["weight"][1],)
    if raw.kind in ("Conv1d", "Conv2d") and "input_shape" in arrays and len(arrays.get("weight", ())) > 1:
        groups = int(np.max(raw.fields.get("groups", np.ones(()))))
        return (arrays["weight"][1] * groups, *raw_shape(name, raw, "input_shape"))
    shapes = [arrays[key] for key in ("r", "scale", "threshold", "delay", "tau", "v_threshold") if arrays.get(key)]
    if not shapes:
        raise InvalidGraph(name, "its parameters do not tell the shape of its input", "Give the graph an Input node")
    return max(shapes, key=lambda shape: int(np.prod(shape)))


# ---------------------------------------------------------------------------------------------------- canonical form


def _canonical(nodes: Nodes, edges: list[Edge], metadata: Mapping[str, Any], notes: list[str]) -> Graph:
    """The graph, its input read as declared or, if it fits no other way, without leading axes (batch, time)."""
    sketch = build({k: nir.Input({"input": np.ones(1)}) if n.kind == "Input" else ReLU() for k, n in nodes.items()}, edges)
    inputs = [name for name, node in nodes.items() if node.kind == "Input"]
    for name in inputs:
        declared = raw_shape(name, nodes[name])
        if not declared or min(declared) < 1 or math.prod(declared) > MAX_NEURONS:
            raise InvalidGraph(name, f"this Input declares {declared}, wanted are 1 to {MAX_NEURONS} neurons")
    first: InvalidGraph | None = None
    rank = len(raw_shape(inputs[0], nodes[inputs[0]])) if len(inputs) == 1 else 1
    for dropped in range(rank):
        told: list[str] = []
        try:
            built = _walk(nodes, sketch, dropped, told)
        except InvalidGraph as error:
            first = first or error
            continue
        notes += told
        return build(built, edges, metadata)
    assert first is not None
    raise first


def _walk(nodes: Nodes, sketch: Graph, dropped: int, notes: list[str]) -> dict[str, nir.NIRNode]:
    """Every node built on its input's shape, sources first; `dropped` leading axes of the input are left out."""
    back = back_edges(sketch)
    known: dict[str, Shape] = {}
    entered: dict[str, Shape] = {}
    built: dict[str, nir.NIRNode] = {}
    for name in topological_order(sketch):
        raw, sources = nodes[name], predecessors(sketch, name)
        incoming = {known[a] for a in sources if (a, name) not in back}
        if raw.kind == "Input":
            shape = _input_shape(name, raw, dropped, notes)
        elif len(incoming) > 1:
            raise InvalidGraph(name, f"the inputs it adds differ in shape: {', '.join(map(str, sorted(incoming)))}")
        elif incoming:
            shape = incoming.pop()
        elif sources:
            shape = _own_shape(name, raw)
            notes.append(f"{name}: it is fed by a loop alone, its shape {shape} is that of its parameters")
        else:
            raise InvalidGraph(name, f"this {raw.kind} has no input", "Connect it or remove it")
        if raw.kind == "Flatten":
            raw = _unbatched(name, raw, shape, dropped > 0, [nodes[b].kind for a, b in sketch.edges if a == name], notes)
        entered[name], built[name] = shape, build_node(name, raw, shape, notes)
        known[name] = shape if raw.kind in ("Input", "Output") else output_shape(name, built[name], shape)
    for a, b in sorted(back):
        if known[a] != entered[b]:
            raise InvalidGraph(b, f"the inputs it adds differ in shape: {entered[b]}, {known[a]} (the loop from {a})")
    return {name: built[name] for name in nodes}


def _input_shape(name: str, raw: RawNode, dropped: int, notes: list[str]) -> Shape:
    shape = raw_shape(name, raw)
    if dropped:
        notes.append(f"{name}: its shape {shape} fits no layer; read as {shape[dropped:]}, the rest being batch or time")
    return shape[dropped:]


def _unbatched(name: str, raw: RawNode, shape: Shape, batched: bool, targets: list[str], notes: list[str]) -> RawNode:
    """A Flatten counted without batch axis: one axis less if the file has a batch axis, all axes if a dense layer follows."""
    fields = dict(raw.fields)
    start, end = (int(np.max(fields.get(key, default))) for key, default in (("start_dim", 1), ("end_dim", -1)))
    if batched and start > 0:
        start, end = start - 1, end - 1 if end > 0 else end
        notes.append(f"{name}: it flattens from axis {start + 1}, counted with the batch axis; from axis {start} here")
    dense = bool(targets) and all(kind in ("Affine", "Linear") for kind in targets)
    if start >= len(shape) or (dense and (start % len(shape), end % len(shape)) != (0, len(shape) - 1)):
        notes.append(f"{name}: it flattens {shape} from axis {start} on before a dense layer; all axes were flattened")
        start, end = 0, -1
    return dataclasses.replace(raw, fields={**fields, "start_dim": np.array(start), "end_dim": np.array(end)})


# ------------------------------------------------------------------------------------------------------------- meaning


@dataclasses.dataclass(frozen=True)
class _Meaning:
    evidence: tuple[str, ...]
    fields: Mapping[str, Any]


def _meaning(
    graph: Graph, dialect: str | None, dt: float | None, reset: str | None, delays: tuple[int | None, int]
) -> _Meaning:
    """Dialect, convention, coding and open points of `graph`. delays: the reset_delay that is told, and the one to take."""
    coding = coding_of(graph.metadata)
    own = CODED if coding is not None else _own_convention(graph.metadata)
    if coding is not None:
        _check_windows(graph, coding)
    if own is None and dialect == "snnport":
        raise InvalidInput("--dialect", "snnport did not write this file", "Leave it out, or name the framework that did")
    if own is None or dialect not in (None, "snnport", own.name):
        settled = settle(graph, dialect, dt, reset, *delays)
        fields = {"dialect": settled.name, "convention": settled.convention, "ambiguous": settled.ambiguous}
        return _Meaning(settled.evidence, fields)
    if reset is not None and reset != own.reset:
        raise InvalidInput("--reset", f"the file says that its neurons reset by '{own.reset}'", "Leave it out")
    meant = own.having(dt=dt) if dt is not None else own
    return _Meaning(("the metadata 'snnport'",), {"dialect": own.name, "convention": meant, "coding": coding})


def _with_rules(path: Path, fields: Mapping[str, Any], rules: str | None) -> Mapping[str, Any]:
    """`fields` of what was read, their convention with `rules`."""
    if not rules or fields["convention"] is None:
        return fields
    if fields.get("coding") is not None:
        raise InvalidInput("--rules", f"snnport converted {path.name} and knows its rules", "Leave it out")
    return {**fields, "convention": assumed(fields["convention"], rules)}


def _own_convention(metadata: Mapping[str, Any]) -> Convention | None:
    """The convention in the metadata of a network that snnport wrote and did not convert (read, quantised)."""
    try:
        data = json.loads(metadata.get("snnport", "{}")).get("convention")
        return None if data is None else Convention.from_json(data)
    except (ValueError, TypeError, AttributeError, UnknownName) as error:
        raise InvalidGraph("metadata 'snnport'", f"its convention cannot be read ({error})", "Write the file again") from None


def _check_windows(graph: Graph, coding: Coding) -> None:
    missing = [name for name in coding.windows if name not in graph.nodes]
    if missing:
        raise InvalidGraph("metadata 'snnport'", f"it has windows for nodes that are not there: {', '.join(missing)}")
