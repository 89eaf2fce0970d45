"""What is in a model file, before anything is done with it."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from snnport.flow.model import Model
from snnport.graph import Graph, shapes
from snnport.program import Program

_PARAMETERS = ("weight", "bias", "scale", "shift", "tau", "tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "w_in")


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
    values = (getattr(node, name, None) for name in _PARAMETERS)
    return sum(int(np.size(value)) for value in values if isinstance(value, np.ndarray))


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
    }
