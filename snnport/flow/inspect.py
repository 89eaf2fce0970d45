"""What is in a model file, before anything is done with it."""

from __future__ import annotations

import json
from typing import Any

import nir
import numpy as np

from snnport.errors import PassFailed
from snnport.flow.model import Model
from snnport.graph import Graph, back_edges, build, shapes
from snnport.importers.base import Imported
from snnport.passes.fold_convention import folded
from snnport.passes.fold_gain import gains_folded
from snnport.program import Program

_PARAMETERS = (
    *("weight", "bias", "scale", "shift", "tau", "tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    *("threshold", "delay"),
)


def inspect(model: Model) -> dict[str, Any]:
    """Plain data, as `inspect --json` prints it."""
    if model.program is not None:
        return _program(model, model.program)
    imported = model.imported
    assert imported is not None
    return {
        "schema": 1,
        "file": str(model.path),
        "sha256": model.sha256,
        "format": imported.format,
        "dialect": imported.dialect,
        "evidence": list(imported.evidence),
        "ambiguous": list(imported.ambiguous),
        "convention": imported.convention.to_json() if imported.convention else None,
        "repairs": list(imported.repairs),
        "canonical": _canonical(imported),
        "input_layout": imported.input_layout,
        "nodes": _nodes(imported.graph),
        "edges": [list(edge) for edge in imported.graph.edges],
        "parameters": sum(node["parameters"] for node in _nodes(imported.graph)),
        "code": imported.coding.code if imported.coding else None,
        "ledger": [
            {"node": e.node, "kind": e.kind, "fate": e.fate, "into": list(e.into), "why": e.why} for e in imported.ledger
        ],
    }


def _nodes(graph: Graph) -> list[dict[str, Any]]:
    sizes = shapes(graph)
    return [
        {"name": name, "type": type(node).__name__, "shape": list(sizes[name]), "parameters": _parameters(node)}
        for name, node in graph.nodes.items()
    ]


def _parameters(node: nir.NIRNode) -> int:
    return sum(int(value.size) for value in _values(node).values())


def _canonical(imported: Imported) -> list[dict[str, str]]:
    """What the canonical form changes in the graph as it was read: time constants in seconds, fields that the framework
    ignores set to what they count as, gains (r, w_in) in the weights, loops a step long. Empty while the meaning is open."""
    convention = imported.convention
    if convention is None or imported.coding is not None:
        return []
    header = json.loads(imported.graph.metadata.get("snnport", "{}"))
    metadata = {**imported.graph.metadata, "snnport": json.dumps({**header, "convention": convention.to_json()})}
    try:
        after = gains_folded(folded(build(imported.graph.nodes, imported.graph.edges, metadata), "canonical"))
    except PassFailed as error:
        return [{"node": "graph", "field": "convention", "file": convention.name, "canonical": f"none: {error}"}]
    changes = [
        {"node": name, "field": field, "file": _range(old.get(field)), "canonical": _range(value)}
        for name, node in after.nodes.items()
        for old in [_values(imported.graph.nodes[name]) if name in imported.graph.nodes else {}]
        for field, value in _values(node).items()
        if field not in old or not np.array_equal(np.broadcast_to(old[field], value.shape), value)
    ]
    late = f"arrives {max(convention.recurrent_delay, 1)} step later"
    loops = [{"node": a, "field": f"edge to {b}", "file": "a loop", "canonical": late} for a, b in sorted(back_edges(after))]
    return changes + loops


def _values(node: nir.NIRNode) -> dict[str, Any]:
    return {name: np.asarray(value) for name in _PARAMETERS if isinstance(value := getattr(node, name, None), np.ndarray)}


def _range(values: Any) -> str:
    """`values` in a few words."""
    if values is None or not np.size(values):
        return "nothing"
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:g}" if low == high else f"{low:g} .. {high:g}"


def _program(model: Model, program: Program) -> dict[str, Any]:
    return {
        "schema": 1,
        "file": str(model.path),
        "sha256": model.sha256,
        "format": "program",
        "dialect": "snnport",
        "evidence": [f"a program for {program.chip.name}"],
        "ambiguous": [],
        "repairs": [],
        "canonical": [],
        "input_layout": "as-is",
        "nodes": [
            {
                "name": p.name,
                "type": p.neuron.family,
                "shape": list(p.shape),
                "parameters": sum(int(v.size) for v in p.neuron.params.values()),
            }
            for p in program.populations
        ],
        "edges": [[p.source, p.target] for p in program.projections],
        "parameters": sum(int(p.synapse.codes.size) for p in program.projections),
        "code": program.meta.get("code"),
        "ledger": [],
        "derivation": list(program.meta.get("derivation") or []),
    }
