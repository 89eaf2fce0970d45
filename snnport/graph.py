"""The graph: nir.NIRGraph, and the only functions that build and edit graphs.

A node with several incoming edges adds them (NIR's fan-in). Every editing function returns a new graph and leaves the one
it was given alone. Graphs are built without nir's type check (nodes.py says why); exporters/nir.py writes what it accepts.
"""

from __future__ import annotations

import copy as _copy
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

import nir

from snnport.errors import InvalidGraph
from snnport.nodes import Shape, output_shape, own_input_shape

Edge: TypeAlias = tuple[str, str]
Graph: TypeAlias = nir.NIRGraph  # noqa: TID251

# ---------------------------------------------------------------------------------------------- building and editing


def build(nodes: Mapping[str, nir.NIRNode], edges: Iterable[Edge], metadata: Mapping[str, Any] | None = None) -> Graph:
    """A graph of `nodes` and `edges`. Raises InvalidGraph on an edge to nowhere or given twice."""
    edge_list = list(edges)
    for edge in edge_list:
        for end in edge:
            if end not in nodes:
                raise InvalidGraph(f"edge {edge[0]} -> {edge[1]}", f"there is no node '{end}'")
    if len(set(edge_list)) != len(edge_list):
        twice = next(edge for edge in edge_list if edge_list.count(edge) > 1)
        raise InvalidGraph(f"edge {twice[0]} -> {twice[1]}", "it is given twice")
    return Graph(dict(nodes), edge_list, dict(metadata or {}), type_check=False)


def copy(graph: Graph) -> Graph:
    """A graph that shares no node and no array with `graph`."""
    return _copy.deepcopy(graph)


def chain(nodes: Mapping[str, nir.NIRNode], metadata: Mapping[str, Any] | None = None) -> Graph:
    """A graph whose nodes follow one another in the order of `nodes`."""
    return build(nodes, pairwise(nodes), metadata)


def with_nodes(graph: Graph, changed: Mapping[str, nir.NIRNode]) -> Graph:
    """`graph` with the nodes of `changed` in place of those of the same name."""
    return build({**graph.nodes, **changed}, graph.edges, graph.metadata)


def with_metadata(node: nir.NIRNode, **entries: Any) -> nir.NIRNode:
    """A copy of `node` whose metadata also holds `entries`."""
    new = _copy.copy(node)
    new.metadata = {**node.metadata, **entries}
    return new


def without_node(graph: Graph, name: str) -> Graph:
    """`graph` without node `name`, its sources wired to its destinations.

    Raises InvalidGraph where an edge is there already: NIR cannot add a source twice.
    """
    around = [(a, b) for a in predecessors(graph, name) for b in successors(graph, name) if name not in (a, b)]
    edges = [*(edge for edge in graph.edges if name not in edge), *around]
    return build({k: v for k, v in graph.nodes.items() if k != name}, edges, graph.metadata)


def with_node_on_edge(graph: Graph, edge: Edge, name: str, node: nir.NIRNode) -> Graph:
    """`graph` with `node`, called `name`, put on `edge`."""
    edges = [e for e in graph.edges if e != edge] + [(edge[0], name), (name, edge[1])]
    return build({**graph.nodes, name: node}, edges, graph.metadata)


def fresh_name(graph: Graph, wish: str) -> str:
    """`wish`, or `wish_2`, `wish_3`, ...: the first that no node of `graph` has."""
    name, number = wish, 1
    while name in graph.nodes:
        number += 1
        name = f"{wish}_{number}"
    return name


# --------------------------------------------------------------------------------------------------------- questions


def predecessors(graph: Graph, name: str) -> tuple[str, ...]:
    """Names of the nodes with an edge into `name`, in the order of the edges."""
    return tuple(a for a, b in graph.edges if b == name)


def successors(graph: Graph, name: str) -> tuple[str, ...]:
    """Names of the nodes with an edge from `name`, in the order of the edges."""
    return tuple(b for a, b in graph.edges if a == name)


def names_of(graph: Graph, *kinds: type[nir.NIRNode]) -> tuple[str, ...]:
    """Names of the nodes that are of one of `kinds`, in topological order."""
    return tuple(name for name in topological_order(graph) if isinstance(graph.nodes[name], kinds))


def the_input(graph: Graph) -> str:
    """Name of the one Input node. Raises InvalidGraph if there is not exactly one."""
    return _the_only(graph, nir.Input)


def the_output(graph: Graph) -> str:
    """Name of the one Output node. Raises InvalidGraph if there is not exactly one."""
    return _the_only(graph, nir.Output)


def _the_only(graph: Graph, kind: type[nir.NIRNode]) -> str:
    found = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(found) != 1:
        raise InvalidGraph("graph", f"it has {len(found)} {kind.__name__} nodes, 1 is needed here")
    return found[0]


def topological_order(graph: Graph) -> tuple[str, ...]:
    """Node names, every node after its sources; an edge that closes a loop (recurrence) is not followed."""
    back = back_edges(graph)
    waiting = {name: {a for a in predecessors(graph, name) if (a, name) not in back} for name in graph.nodes}
    order: list[str] = []
    while waiting:
        ready = [name for name, sources in waiting.items() if not sources]
        order.extend(ready)
        waiting = {name: sources - set(ready) for name, sources in waiting.items() if name not in ready}
    return tuple(order)


def back_edges(graph: Graph) -> frozenset[Edge]:
    """The edges that close a loop when the graph is walked from its inputs in the order of its edges."""
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        after[a].append(b)
    roots = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    closed: set[Edge] = set()
    state: dict[str, str] = {}
    for root in [*roots, *graph.nodes]:
        if root in state:
            continue
        state[root] = "open"
        stack = [(root, iter(after[root]))]
        while stack:
            name, targets = stack[-1]
            for target in targets:
                if state.get(target) == "open":
                    closed.add((name, target))
                elif target not in state:
                    state[target] = "open"
                    stack.append((target, iter(after[target])))
                    break
            else:
                state[name] = "done"
                stack.pop()
    return frozenset(closed)


def shapes(graph: Graph) -> dict[str, Shape]:
    """Output shape of every node, without batch and time. Raises InvalidGraph where two shapes contradict each other."""
    back = back_edges(graph)
    known: dict[str, Shape] = {}
    for name in topological_order(graph):
        node = graph.nodes[name]
        sources = predecessors(graph, name)
        incoming = [known[a] for a in sources if (a, name) not in back]
        if isinstance(node, nir.Input):
            known[name] = tuple(int(n) for n in node.input_type["input"])
            continue
        if sources and not incoming:
            incoming = [own_input_shape(name, node)]
        if not incoming:
            raise InvalidGraph(name, f"this {type(node).__name__} has no input", "Connect it or remove it")
        if len(set(incoming)) > 1:
            raise InvalidGraph(name, f"the inputs it adds differ in shape: {', '.join(map(str, incoming))}")
        known[name] = output_shape(name, node, incoming[0])
    for a, b in back:
        from_outside = next((known[c] for c in predecessors(graph, b) if (c, b) not in back), None)
        first = own_input_shape(b, graph.nodes[b]) if from_outside is None else from_outside
        if known[a] != first:
            raise InvalidGraph(b, f"the inputs it adds differ in shape: {first}, {known[a]} (the loop from {a})")
    return known


def input_shapes(graph: Graph) -> dict[str, Shape]:
    """Input shape of every node that has a source."""
    outputs = shapes(graph)
    return {name: outputs[sources[0]] for name in graph.nodes if (sources := predecessors(graph, name))}
