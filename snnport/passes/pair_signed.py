"""A population pair for what is signed: x = relu(x) - relu(-x), where linear layers in a row cannot be one layer.

Between two convolutions of which the later pads, or behind a pooling whose divisor differs from position to position, the
sum in between has to be carried by neurons, and neurons send no negative counts. One population sends what is above zero,
one what is below; the next layer reads the second with the opposite sign. Where no value can be negative the first is
enough. Nothing is rectified that was not: the network computes what it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.errors import PassFailed
from snnport.graph import Graph, build, fresh_name, names_of, predecessors, shapes
from snnport.ledger import Entry
from snnport.nodes import LINEAR_NODES, WEIGHTED_NODES, MaxPool2d, ReLU, Shape, output_shape
from snnport.passes.base import Context, Pass
from snnport.passes.biases import bias_of
from snnport.passes.merge_linear import joined
from snnport.passes.proof import same_output


@dataclass(frozen=True)
class PairSigned(Pass):
    """Put rectifiers for both signs between linear layers that are no single layer."""

    name: ClassVar[str] = "pair-signed"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph in which every chain of linear layers is one layer, or can be made one."""
        positive_input = ctx.calibration is not None and bool(len(ctx.calibration)) and float(ctx.calibration.min()) >= 0
        pairs: dict[tuple[str, ...], tuple[str, ...]] = {}
        signs: set[str] = set()
        while (place := _gap(graph, positive_input)) is not None:
            sources = predecessors(graph, place)
            if place in signs:
                what = "it is no single convolution and as a dense layer too large, whatever is put in front of it"
                raise PassFailed(f"{self.name}: {place}", what, "Make it smaller")
            if sources not in pairs:
                graph, pairs[sources] = _with_pair(graph, sources, place, _never_negative(graph, sources, positive_input))
                signs |= {f"{place}.minus"}
                populations = "one population" if len(pairs[sources]) == 1 else "two populations, one for each sign"
                why = f"what enters it is carried by {populations}"
                entry = Entry(place, type(graph.nodes[place]).__name__, "became", (*pairs[sources], place), why, self.spelling)
                ctx.note(entry)
            kept = [edge for edge in graph.edges if edge[1] != place]
            graph = build(graph.nodes, [*kept, *((source, place) for source in pairs[sources])], graph.metadata)
        return graph

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Outputs are equal."""
        same_output(before, after, ctx, self.spelling)


def _gap(graph: Graph, positive_input: bool) -> str | None:
    """The first linear node that cannot be joined with the linear layers before it."""
    sizes = shapes(graph)
    for name in names_of(graph, *LINEAR_NODES):
        node = graph.nodes[name]
        for source, way in _ways(graph, name) if not isinstance(node, nir.Flatten) else ():
            if not _joins([graph.nodes[n] for n in way], sizes[source]):
                return _before_flattening(graph, name)
            if isinstance(graph.nodes[source], nir.Input) and not positive_input and _uneven(node, sizes[name]):
                return way[0]
    return None


def _uneven(node: nir.NIRNode, shape: Shape) -> bool:
    """Whether it scales a map position by position: an input of two signs has no such layer, whose channels would add."""
    if not isinstance(node, nir.Scale) or len(shape) == 1:
        return False
    rows = np.broadcast_to(np.asarray(node.scale), shape).reshape(shape[0], -1)
    return bool((rows != rows[:, :1]).any())


def _before_flattening(graph: Graph, name: str) -> str:
    """`name`, or the Flatten that feeds it alone: a map is carried as a map."""
    sources = predecessors(graph, name)
    if len(sources) == 1 and isinstance(graph.nodes[sources[0]], nir.Flatten):
        return _before_flattening(graph, sources[0])
    return name


def _ways(graph: Graph, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every chain of linear nodes that ends with `name`, with the node that it starts from."""
    stack: list[tuple[str, ...]] = [(name,)]
    while stack:
        way = stack.pop()
        for source in predecessors(graph, way[0]):
            if isinstance(graph.nodes[source], LINEAR_NODES):
                stack.append((source, *way))
            else:
                yield source, way


def _joins(way: list[nir.NIRNode], shape: Shape) -> bool:
    """Whether merge-linear makes one layer of `way`: poolings and flattenings, then weights and what follows."""
    first = next((i for i, node in enumerate(way) if isinstance(node, WEIGHTED_NODES)), len(way))
    for node in way[:first]:
        shape = _after(node, shape)
    held: list[nir.NIRNode] = []
    for node in way[first:]:
        held.append(node)
        if len(held) == 1 or isinstance(node, nir.Flatten):
            continue
        merged = joined(held, shape)
        if merged is None:
            return False
        for moved in merged[:-1]:
            shape = _after(moved, shape)
        held = [merged[-1]]
    return True


def _after(node: nir.NIRNode, shape: Shape) -> Shape:
    return output_shape("", node, shape)


def _with_pair(graph: Graph, sources: tuple[str, ...], place: str, one: bool) -> tuple[Graph, tuple[str, ...]]:
    """`graph` with the rectifiers behind `sources`, and the names of the nodes whose sum is what these add up to."""
    shape = shapes(graph)[sources[0]]
    above = fresh_name(graph, f"{place}.above")
    nodes: dict[str, nir.NIRNode] = {**graph.nodes, above: ReLU()}
    edges = [*graph.edges, *((source, above) for source in sources)]
    if one:
        return build(nodes, edges, graph.metadata), (above,)
    minus, below, back = (fresh_name(graph, f"{place}.{word}") for word in ("minus", "below", "back"))
    nodes |= {minus: nir.Scale(np.full(shape, -1.0)), below: ReLU(), back: nir.Scale(np.full(shape, -1.0))}
    edges += [*((source, minus) for source in sources), (minus, below), (below, back)]
    return build(nodes, edges, graph.metadata), (above, back)


def _never_negative(graph: Graph, names: tuple[str, ...], positive_input: bool) -> bool:
    """Whether the outputs of all these nodes are zero or more, whatever the input (if that is)."""
    return all(_positive(graph, name, positive_input) for name in names)


def _positive(graph: Graph, name: str, positive_input: bool) -> bool:
    node: Any = graph.nodes[name]
    if isinstance(node, ReLU):
        return True
    if isinstance(node, nir.Input):
        return positive_input
    if isinstance(node, WEIGHTED_NODES):
        weight = np.asarray(node.scale if isinstance(node, nir.Scale) else node.weight)
        if weight.min(initial=0) < 0 or (not isinstance(node, nir.Scale) and bias_of(node).min(initial=0) < 0):
            return False
    elif not isinstance(node, (MaxPool2d, *LINEAR_NODES)):
        return False
    return _never_negative(graph, predecessors(graph, name), positive_input)
