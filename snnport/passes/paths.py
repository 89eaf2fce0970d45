"""The ways from one population of a spiking graph to the next.

Populations are Input nodes and neurons. Between two of them runs a path: sum poolings, at most one weighted node, and
flattenings or delays anywhere. Several paths into one neuron add.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import nir

from snnport.graph import Graph, back_edges, names_of, predecessors
from snnport.nodes import NEURON_NODES, WEIGHTED_NODES

POPULATION_NODES = (nir.Input, *NEURON_NODES, nir.Threshold)


@dataclass(frozen=True)
class Path:
    """One way from population `source` to population `target`. nodes: those in between, from source to target.

    pools, weighted, delays: the SumPool2d nodes, the weighted node (None if there is none) and the Delay nodes among
    them. back: the path closes a loop.
    """

    source: str
    target: str
    nodes: tuple[str, ...]
    pools: tuple[str, ...]
    weighted: str | None
    delays: tuple[str, ...]
    back: bool

    @property
    def tail(self) -> tuple[str, ...]:
        """The weighted node and what follows it."""
        return () if self.weighted is None else self.nodes[self.nodes.index(self.weighted) :]


@dataclass(frozen=True)
class Problem:
    """A place where the graph is not made of such paths."""

    where: str
    message: str
    remedy: str


def walk(graph: Graph) -> tuple[tuple[Path, ...], tuple[Problem, ...]]:
    """All paths into neurons, targets in topological order, and everything that is no path."""
    paths: list[Path] = []
    problems: list[Problem] = []
    back = back_edges(graph)
    for target in names_of(graph, *NEURON_NODES):
        ways = list(_ways(graph, target))
        if not ways:
            problems.append(Problem(target, "no Input node and no neuron drives it", "Connect it or remove it"))
        for way in ways:
            result = _path(graph, way, back)
            if isinstance(result, Path):
                paths.append(result)
            elif result is not None:
                problems.append(result)
    for output in names_of(graph, nir.Output):
        problems.extend(_output_problems(graph, output))
    return tuple(paths), tuple(dict.fromkeys(problems))


def output_populations(graph: Graph) -> tuple[str, ...]:
    """The neurons that Output nodes read, behind flattenings at most, in the order of the Output nodes."""
    found: dict[str, None] = {}
    for output in names_of(graph, nir.Output):
        for way in _ways(graph, output):
            between = [graph.nodes[name] for name in way[1:-1]]
            if isinstance(graph.nodes[way[0]], NEURON_NODES) and all(isinstance(node, nir.Flatten) for node in between):
                found[way[0]] = None
    return tuple(found)


def _ways(graph: Graph, target: str) -> Iterator[tuple[str, ...]]:
    """Every chain of nodes from a population to `target`, both included; a loop without a population is left out."""
    return _ways_on(graph, (target,))


def _ways_on(graph: Graph, chain: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for source in predecessors(graph, chain[0]):
        if isinstance(graph.nodes[source], POPULATION_NODES):
            yield (source, *chain)
        elif source not in chain:
            yield from _ways_on(graph, (source, *chain))


def _path(graph: Graph, way: tuple[str, ...], back: frozenset[tuple[str, str]]) -> Path | Problem | None:
    """The path along `way`, what is wrong with it, or None where another rule already refuses one of its nodes."""
    pools: list[str] = []
    delays: list[str] = []
    weighted: str | None = None
    for name in way[1:-1]:
        node = graph.nodes[name]
        if isinstance(node, nir.Flatten):
            continue
        if isinstance(node, nir.Delay):
            delays.append(name)
        elif isinstance(node, nir.SumPool2d) and weighted is None:
            pools.append(name)
        elif isinstance(node, nir.SumPool2d):
            return Problem(
                name, f"this pooling follows the weights of '{weighted}' with no neuron between", "Pool before the weights"
            )
        elif isinstance(node, WEIGHTED_NODES) and weighted is None:
            weighted = name
        elif isinstance(node, WEIGHTED_NODES):
            return Problem(
                name, f"its weights follow those of '{weighted}' with no neuron between", "Join the two: merge-linear"
            )
        else:
            return None
    closes = any(edge in back for edge in pairwise(way))
    return Path(way[0], way[-1], way[1:-1], tuple(pools), weighted, tuple(delays), closes)


def _output_problems(graph: Graph, output: str) -> Iterator[Problem]:
    ways = list(_ways(graph, output))
    for way in ways:
        if isinstance(graph.nodes[way[0]], nir.Input) and len(way) == 2:
            yield Problem(output, f"it reads the input '{way[0]}' itself, not a neuron", "Remove that edge")
        elif any(not isinstance(graph.nodes[name], nir.Flatten) for name in way[1:-1]):
            last = next(name for name in reversed(way[1:-1]) if not isinstance(graph.nodes[name], nir.Flatten))
            yield Problem(last, f"no neuron stands between it and the output '{output}'", "Put an nir.I readout behind it")
    if len({way[0] for way in ways}) > 1:
        names = ", ".join(sorted({way[0] for way in ways}))
        yield Problem(output, f"it adds {len(ways)} populations ({names}), a chip reads them one by one", "Give each its own")
    if not ways:
        yield Problem(output, "nothing reaches this output", "Connect it or remove it")
