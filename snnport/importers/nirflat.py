"""A raw NIR graph made flat: subgraphs dissolved, edges that name no node mended where one mending is possible.

Every change is told in `notes`, a list that the caller hands in; `lost` collects the nodes that vanish and why.
"""

from __future__ import annotations

from collections.abc import Mapping

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.graph import Edge
from snnport.importers.nirfile import RawGraph, RawNode

Nodes = dict[str, RawNode]


def flattened(graph: RawGraph, notes: list[str], lost: dict[str, str], where: str = "graph") -> tuple[Nodes, list[Edge]]:
    """Nodes and edges of `graph` without subgraphs; a node `n` of subgraph `s` is called `s.n`.

    Raises InvalidGraph on edges that name no node, UnsupportedNode on a subgraph with several inputs or outputs.
    """
    nodes: Nodes = {}
    edges = _mended(graph, notes, where)
    for name, node in graph.nodes.items():
        if node.graph is None:
            nodes[name] = node
            continue
        inner_nodes, inner_edges = flattened(node.graph, notes, lost, f"subgraph '{name}'")
        new = {key: key if key.startswith(f"{name}.") else f"{name}.{key}" for key in inner_nodes}
        taken = [key for key in new.values() if key in graph.nodes]
        if taken:
            raise InvalidGraph(name, f"its inner node '{taken[0]}' has the name of another node")
        ways = {kind: [new[key] for key, inner in inner_nodes.items() if inner.kind == kind] for kind in ("Input", "Output")}
        if len(ways["Input"]) != 1 or len(ways["Output"]) != 1:
            counts = f"{len(ways['Input'])} inputs and {len(ways['Output'])} outputs"
            raise UnsupportedNode(name, f"this subgraph has {counts}, one of each can be read", "Flatten it before export")
        nodes |= {new[key]: inner for key, inner in inner_nodes.items()}
        edges = [(ways["Output"][0] if a == name else a, ways["Input"][0] if b == name else b) for a, b in edges]
        edges += [(new[a], new[b]) for a, b in inner_edges]
        notes.append(f"subgraph '{name}' was flattened into {', '.join(new.values())}")
    return (nodes, edges) if where != "graph" else _without_borders(nodes, edges, lost)


def _without_borders(nodes: Nodes, edges: list[Edge], lost: dict[str, str]) -> tuple[Nodes, list[Edge]]:
    """Without the Inputs that have a source and the Outputs that have a target: the borders of former subgraphs."""
    for name, node in list(nodes.items()):
        sources = [a for a, b in edges if b == name]
        targets = [b for a, b in edges if a == name]
        if (node.kind == "Input" and sources) or (node.kind == "Output" and targets):
            edges = [edge for edge in edges if name not in edge] + [(a, b) for a in sources for b in targets]
            nodes = {key: other for key, other in nodes.items() if key != name}
            lost[name] = "the border of a flattened subgraph"
    return nodes, edges


def _mended(graph: RawGraph, notes: list[str], where: str) -> list[Edge]:
    """The edges of `graph`, every end a node."""
    edges = list(graph.edges)
    for name in sorted({end for edge in edges for end in edge} - set(graph.nodes)):
        ways = _former_subgraph(name, graph.nodes)
        if ways is None:
            continue
        loops = edges.count((name, name))
        edges = [(ways[1] if a == name else a, ways[0] if b == name else b) for a, b in edges if (a, b) != (name, name)]
        notes.append(
            f"{where}: edges name '{name}', whose nodes are there as '{name}.*': they were led to {ways[0]} and {ways[1]}"
        )
        if loops:
            notes.append(f"{where}: the edge {name} -> {name} was dropped: the loop is inside '{name}.*' already")
    missing = sorted({end for edge in edges for end in edge} - set(graph.nodes))
    if not missing:
        return edges
    idle = [k for k, n in graph.nodes.items() if n.kind not in ("Input", "Output") and not any(k in e for e in edges)]
    if len(missing) == 1 and len(idle) == 1:
        notes.append(
            f"{where}: edges name '{missing[0]}', which is not there; the one node without edges, '{idle[0]}', was taken"
        )
        return [(idle[0] if a == missing[0] else a, idle[0] if b == missing[0] else b) for a, b in edges]
    wrong = [f"{a} -> {b}" for a, b in edges if a in missing or b in missing]
    raise InvalidGraph(where, f"edges name nodes that are not there ({', '.join(missing)}): {', '.join(wrong)}")


def _former_subgraph(name: str, nodes: Mapping[str, RawNode]) -> tuple[str, str] | None:
    """Input and Output among the nodes called `name.*`, if there is one of each."""
    inside = {key: node.kind for key, node in nodes.items() if key.startswith(f"{name}.")}
    entries = [key for key, kind in inside.items() if kind == "Input"]
    exits = [key for key, kind in inside.items() if kind == "Output"]
    return (entries[0], exits[0]) if len(entries) == 1 and len(exits) == 1 else None
