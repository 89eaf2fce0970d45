"""The order in which a graph is computed: which nodes take a whole sequence at once, and which must go step by step.

Nodes that no loop joins are computed one after another, each for all steps; those of a loop together, step after step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snnport.convention import Convention
from snnport.graph import Edge, Graph, predecessors, successors
from snnport.reference.spiking import edge_delays, step_order


@dataclass(frozen=True)
class Stage:
    """Nodes that are computed together. looped: a loop joins them; the order of `names` is that within a step."""

    names: tuple[str, ...]
    looped: bool


@dataclass(frozen=True)
class Wiring:
    """stages: in the order in which they can be computed. delays: steps along every edge. depth: node -> the most steps that
    something waits for what it gives."""

    stages: tuple[Stage, ...]
    delays: Mapping[Edge, int]
    depth: Mapping[str, int]


def wiring_of(graph: Graph, convention: Convention) -> Wiring:
    """The wiring of a graph. Raises InvalidGraph on a loop that takes no step."""
    delays = edge_delays(graph, convention, False)
    place = {name: index for index, name in enumerate(step_order(graph, delays))}
    stages = []
    for names in _components(graph):
        ordered = tuple(sorted(names, key=place.__getitem__))
        stages.append(Stage(ordered, len(names) > 1 or (names[0], names[0]) in delays))
    depth = {name: max((delays[name, b] for b in successors(graph, name)), default=0) for name in graph.nodes}
    return Wiring(tuple(stages), delays, depth)


def _components(graph: Graph) -> list[list[str]]:
    """The strongly connected components, each after those that it gets something from (R. Tarjan, SIAM J. Computing 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    on = set[str]()
    found: list[list[str]] = []
    for root in graph.nodes:
        work = [] if root in number else [(root, iter(predecessors(graph, root)))]
        if work:
            number[root] = low[root] = len(number)
            open_.append(root)
            on.add(root)
        while work:
            name, sources = work[-1]
            for source in sources:
                if source not in number:
                    number[source] = low[source] = len(number)
                    open_.append(source)
                    on.add(source)
                    work.append((source, iter(predecessors(graph, source))))
                    break
                if source in on:
                    low[name] = min(low[name], number[source])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == number[name]:
                    component: list[str] = []
                    while not component or component[-1] != name:
                        component.append(open_.pop())
                        on.discard(component[-1])
                    found.append(component)
    return found
