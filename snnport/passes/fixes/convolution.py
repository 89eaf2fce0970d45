"""Convolutions in the form that a core has: no groups, no dilation, square kernels, equal padding, a stride that there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.graph import Graph, fresh_name, input_shapes, predecessors, shapes, successors, with_nodes
from snnport.nodes import Shape, conv_padding, flatten_node, pair, ungrouped
from snnport.passes.base import Context
from snnport.passes.fixes.base import (
    DENSE,
    Rewrite,
    altered,
    neurons,
    open_outputs,
    rewired,
)
from snnport.passes.fixes.kernels import Form, Limits, behind_pool, form_of, regular, spread, written
from snnport.passes.paths import walk


@dataclass(frozen=True)
class Ungroup(Rewrite):
    """A grouped convolution as a full one, with zeros between the groups. Exact."""

    name: ClassVar[str] = "ungroup"
    node: str = ""

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with that convolution."""
        node = self.node_of(graph, self.node, nir.Conv2d)
        self.noted(ctx, self.node, "Conv2d", (self.node,), f"{int(node.groups)} groups written as one, with zeros")
        return with_nodes(graph, {self.node: altered(node, weight=ungrouped(node), groups=1)})


@dataclass(frozen=True)
class SpreadDilation(Rewrite):
    """A dilated convolution as a larger one with zeros in its kernel. Exact."""

    name: ClassVar[str] = "spread-dilation"
    node: str = ""

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with that convolution."""
        node = self.node_of(graph, self.node, nir.Conv2d)
        top, left, bottom, right = conv_padding(node)
        weight = spread(np.asarray(node.weight), pair(node.dilation))
        if (top, left) != (bottom, right):
            raise self.refuse(self.node, f"its padding is ({top}, {left}, {bottom}, {right}), not equal on opposite sides")
        self.noted(ctx, self.node, "Conv2d", (self.node,), f"dilation {pair(node.dilation)} written as zeros in the kernel")
        return with_nodes(graph, {self.node: altered(node, weight=weight, dilation=(1, 1), padding=(top, left))})


@dataclass(frozen=True)
class SquareKernel(Rewrite):
    """A kernel padded with zeros to a square with equal padding and a stride that the chip has. Exact.

    A dense node becomes the convolution whose kernel holds the whole map. kernel, padding: the chip's greatest; strides:
    those it has, joined by "/"; least: smallest side of the kernel.
    """

    name: ClassVar[str] = "square-kernel"
    node: str = ""
    kernel: int = 15
    padding: int = 7
    strides: str = "1/2/4/8"
    least: int = 1

    @property
    def limits(self) -> Limits:
        """The chip's limits."""
        return Limits(self.kernel, self.padding, tuple(int(s) for s in self.strides.split("/")))

    def found(self, graph: Graph) -> Form | None:
        """The convolution in its new form, None where there is none within the limits."""
        form, shape = self.form(graph)
        return regular(form, shape[1:], self.limits, self.least)

    def form(self, graph: Graph) -> tuple[Form, tuple[int, int, int]]:
        """The weights as a convolution, and the map (channels, height, width) that they see."""
        node = self.node_of(graph, self.node, nir.Conv2d, *DENSE)
        if isinstance(node, nir.Conv2d):
            shape = input_shapes(graph)[self.node]
            return form_of(node), (shape[0], shape[1], shape[2])
        maps = {map_seen(graph, path.pools[-1] if path.pools else path.source) for path in self._paths(graph)}
        if len(maps) != 1:
            raise self.refuse(self.node, f"{len(maps)} different maps lead into it")
        (shape,) = maps
        return Form(node.weight.reshape(len(node.weight), *shape).astype(float), (1, 1), (0, 0, 0, 0)), shape

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with that convolution."""
        form = self.found(graph)
        if form is None:
            raise self.refuse(self.node, f"no kernel of at most {self.kernel}x{self.kernel} sees the same input")
        side = form.weight.shape[2]
        node = graph.nodes[self.node]
        self.noted(ctx, self.node, type(node).__name__, (self.node,), f"its kernel is {side}x{side} with zeros")
        if isinstance(node, nir.Conv2d):
            return with_nodes(graph, {self.node: written(node, form)})
        return dense_as_conv(graph, self.node, form)

    def _paths(self, graph: Graph) -> list[Any]:
        return [path for path in walk(graph)[0] if path.weighted == self.node]


@dataclass(frozen=True)
class PoolIntoKernel(Rewrite):
    """A sum pooling and the weights behind it as one convolution. Exact."""

    name: ClassVar[str] = "pool-into-kernel"
    node: str = ""
    kernel: int = 15
    padding: int = 7
    strides: str = "1/2/4/8"

    def found(self, graph: Graph) -> Form | None:
        """The joined convolution, None where there is none within the limits."""
        source, pool = self._pool(graph)
        before = map_seen(graph, source)
        after = map_seen(graph, pool)
        node: Any = graph.nodes[self.node]
        if isinstance(node, DENSE):
            form = Form(node.weight.reshape(len(node.weight), *after).astype(float), (1, 1), (0, 0, 0, 0))
        else:
            form = form_of(node)
        windows: Any = graph.nodes[pool]
        axes = list(zip(pair(windows.kernel_size), pair(windows.stride), strict=True))
        joined = behind_pool(form, axes, pair(windows.padding), before[1:])
        limits = Limits(self.kernel, self.padding, tuple(int(s) for s in self.strides.split("/")))
        return None if joined is None else regular(joined, before[1:], limits)

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph without that pooling."""
        form = self.found(graph)
        if form is None:
            raise self.refuse(self.node, f"no kernel of at most {self.kernel}x{self.kernel} sums the same input")
        source, pool = self._pool(graph)
        side = form.weight.shape[2]
        self.noted(ctx, pool, "SumPool2d", (self.node,), f"summed by a kernel of {side}x{side} in '{self.node}'")
        if isinstance(graph.nodes[self.node], DENSE):
            return dense_as_conv(graph, self.node, form, source)
        edges = [(a, b) for a, b in graph.edges if b != self.node and a != pool]
        kept = [(pool, b) for a, b in graph.edges if a == pool and b != self.node]
        edges = [*edges, *kept] if kept else [(a, b) for a, b in edges if b != pool]
        edges.append((source, self.node))
        return rewired(graph, {**graph.nodes, self.node: written(graph.nodes[self.node], form)}, edges)

    def _pool(self, graph: Graph) -> tuple[str, str]:
        """What precedes the last pooling before the node, and that pooling. Raises PassFailed unless one way leads there."""
        self.node_of(graph, self.node, nir.Conv2d, *DENSE)
        paths = [path for path in walk(graph)[0] if path.weighted == self.node]
        if len({path.nodes for path in paths}) != 1 or not paths[0].pools:
            raise self.refuse(self.node, f"{len(paths)} ways lead into it, one with a pooling is needed")
        pool = paths[0].pools[-1]
        return predecessors(graph, pool)[0], pool


def map_seen(graph: Graph, name: str) -> tuple[int, int, int]:
    """The map (channels, height, width) that leaves node `name`; a vector has height and width 1."""
    shape: Shape = shapes(graph)[name]
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    return shape[0], 1, int(np.prod(shape[1:], dtype=np.int64))


def dense_as_conv(graph: Graph, name: str, form: Form, source: str | None = None) -> Graph:
    """`graph` whose dense node `name` is the convolution `form` with one window; its neurons become maps of 1x1.

    source: what the convolution reads, in place of what stands before the flattenings. What reads the neurons gets them
    flat, as before.
    """
    node: Any = graph.nodes[name]
    path = next(path for path in walk(graph)[0] if path.weighted == name)
    reads = source or (path.pools[-1] if path.pools else path.source)
    top, left, bottom, right = form.padding
    assert (top, left) == (bottom, right)
    bias = getattr(node, "bias", None)
    shift = np.zeros(len(form.weight)) if bias is None else bias
    size = map_seen(graph, reads)[1:]
    conv = nir.Conv2d(size, form.weight, form.stride, (top, left), (1, 1), 1, shift, metadata=node.metadata)
    population = path.target
    shape = (len(form.weight), 1, 1)
    full = neurons(graph.nodes[population], (len(form.weight),), range(len(form.weight)))
    cells = {k: v.reshape(shape) for k, v in vars(full).items() if isinstance(v, np.ndarray) and v.ndim == 1}
    types: Any = {"input": np.array(shape)}, {"output": np.array(shape)}
    nodes = {**graph.nodes, name: conv, population: altered(full, **cells, input_type=types[0], output_type=types[1])}
    edges = [(a, b) for a, b in graph.edges if b != name and a != population]
    edges = _without_ends(graph, edges, keep={reads}, entering=name)
    edges.append((reads, name))
    if successors(graph, population):
        flat = fresh_name(graph, f"{population}.flat")
        nodes[flat] = flatten_node(shape)
        edges += [(population, flat), *((flat, b) for a, b in graph.edges if a == population)]
    return open_outputs(rewired(graph, nodes, edges))


def _without_ends(graph: Graph, edges: list[tuple[str, str]], keep: set[str], entering: str) -> list[tuple[str, str]]:
    """`edges` without the nodes that led only into `entering`: flattenings and poolings that nothing reads any more."""
    waiting = [a for a, b in graph.edges if b == entering]
    while waiting:
        name = waiting.pop()
        if name in keep or any(a == name for a, _ in edges) or not isinstance(graph.nodes[name], nir.Flatten | nir.SumPool2d):
            continue
        waiting += [a for a, b in edges if b == name]
        edges = [(a, b) for a, b in edges if b != name]
    return edges
