"""Linear layers in a row become one, before quantisation: between them nothing fires, so nothing should be rounded.

Convolution after convolution (average pooling counts as one) stays a convolution where the later one does not pad; dense
layers multiply; any other chain becomes a dense layer, if it has at most MAX_DENSE weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import PassFailed
from snnport.graph import (
    Graph,
    chain,
    fresh_name,
    names_of,
    predecessors,
    shapes,
    successors,
    with_node_on_edge,
    with_nodes,
    without_node,
)
from snnport.ledger import Entry
from snnport.nodes import (
    LINEAR_NODES,
    WEIGHTED_NODES,
    Shape,
    conv_padding,
    flatten_node,
    input_node,
    output_node,
    output_shape,
    pair,
    ungrouped,
)
from snnport.passes.base import Context, Pass
from snnport.passes.biases import bias_of, narrowed, spread, through, total
from snnport.passes.proof import same_output
from snnport.reference import forward

Array = npt.NDArray[np.float64]
MAX_DENSE = 1 << 24
"""Weights of a dense layer that a chain may become: 128 MB in float64."""


@dataclass(frozen=True)
class MergeLinear(Pass):
    """At most one weighted node on every way between populations, with pooling only in front of it."""

    name: ClassVar[str] = "merge-linear"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with its linear chains merged."""
        while (names := _chain_to_merge(graph)) is not None:
            source, last = predecessors(graph, names[0])[0], names[-1]
            shape = shapes(graph)[source]
            merged = joined([graph.nodes[name] for name in names], shape)
            if merged is None:
                raise PassFailed(
                    f"{self.name}: {' -> '.join(names)}",
                    "without an activation between them they are no single convolution and no dense layer of "
                    f"{MAX_DENSE} weights at most",
                    "Run pair-signed first, or put a ReLU between them",
                )
            for name in names:
                others = " and ".join(f"'{other}'" for other in names if other != name)
                why = f"with {others}: no spike between them"
                ctx.note(Entry(name, type(graph.nodes[name]).__name__, "merged", (last,), why, self.spelling))
            for name in names[:-1]:
                graph = without_node(graph, name)
            graph = with_nodes(graph, {last: merged[-1]})
            if len(merged) == 2:
                word = "flatten" if isinstance(merged[0], nir.Flatten) else "pool"
                graph = with_node_on_edge(graph, (source, last), fresh_name(graph, f"{last}.{word}"), merged[0])
        return graph

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Outputs are equal."""
        same_output(before, after, ctx, self.spelling)


def _chain_to_merge(graph: Graph) -> tuple[str, ...] | None:
    """A weighted node, the linear node behind it, and what lies behind that if it is only a Flatten."""
    for first in names_of(graph, *WEIGHTED_NODES):
        names = [first]
        while len(names) == 1 or isinstance(graph.nodes[names[-1]], nir.Flatten):
            following = successors(graph, names[-1])
            if len(following) != 1 or not isinstance(graph.nodes[following[0]], LINEAR_NODES):
                break
            names.append(following[0])
        if len(names) > 1 and not isinstance(graph.nodes[names[-1]], nir.Flatten):
            return tuple(names)
    return None


def joined(nodes: Sequence[nir.NIRNode], shape: tuple[int, ...]) -> tuple[nir.NIRNode, ...] | None:
    """What stands for the chain `nodes` of linear nodes on an input of `shape`: a weighted node, in front of it a Flatten or a
    pooling at most.

    None where it is no single convolution and no dense layer of MAX_DENSE weights at most with a flat output.
    """
    sizes = [shape]
    for node in nodes:
        sizes.append(output_shape("", node, sizes[-1]))
    if len(nodes) == 2:
        if (factors := _pooled_factors(nodes[0], nodes[1], *sizes)) is not None:
            return nodes[1], factors
        for rule in (_both_dense, _scaled_channels, _both_convolutions):
            result = rule(nodes[0], nodes[1], sizes[0], sizes[1])
            if result is not None:
                return (result,)
    if len(nodes) == 3 and isinstance(nodes[0], nir.Scale) and isinstance(nodes[2], nir.Affine | nir.Linear):
        columns = _real(nodes[2].weight) * np.broadcast_to(_real(nodes[0].scale), shape).reshape(-1)
        return nodes[1], nir.Affine(columns, bias_of(nodes[2]))
    if len(sizes[-1]) != 1 or int(np.prod(shape)) * int(np.prod(sizes[-1])) > MAX_DENSE:
        return None
    dense = _as_dense(shape, *nodes)
    return (dense,) if len(shape) == 1 else (flatten_node(shape), dense)


def _both_dense(a: Any, b: Any, shape: Shape, middle: Shape) -> nir.NIRNode | None:
    if isinstance(a, nir.Scale) and isinstance(b, nir.Scale):
        return nir.Scale(_real(a.scale) * b.scale)
    if isinstance(a, nir.Scale) and isinstance(b, nir.Affine | nir.Linear):
        return nir.Affine(b.weight * np.broadcast_to(a.scale, b.weight.shape[1:]), bias_of(b))
    if not isinstance(a, nir.Affine | nir.Linear):
        return None
    if isinstance(b, nir.Affine | nir.Linear):
        return nir.Affine(_real(b.weight) @ a.weight, _real(b.weight) @ bias_of(a) + bias_of(b))
    if isinstance(b, nir.Scale):
        scale = np.broadcast_to(_real(b.scale), (len(a.weight),))
        return nir.Affine(a.weight * scale[:, None], bias_of(a) * scale)
    return None


def _pooled_factors(a: Any, b: Any, shape: Shape, middle: Shape, pooled: Shape) -> nir.Scale | None:
    """One factor a channel and a pooling are the pooling and those factors: populations are pooled in front of weights."""
    if not isinstance(a, nir.Scale) or not isinstance(b, nir.AvgPool2d | nir.SumPool2d):
        return None
    factors = _per_channel(a, shape)
    return None if factors is None else nir.Scale(spread(factors, pooled).copy())


def _scaled_channels(a: Any, b: Any, shape: Shape, middle: Shape) -> nir.NIRNode | None:
    """A convolution before or behind one factor and one bias a channel: it keeps its groups."""
    after, before = _channel_factors(b, middle), _channel_factors(a, shape)
    if isinstance(a, nir.Conv2d) and after is not None:
        bias = bias_of(a)
        bias = total(bias * after[0].reshape(-1, *[1] * (bias.ndim - 1)), after[1])
        return _conv_like(a, a.weight * after[0][:, None, None, None], bias)
    if isinstance(b, nir.Conv2d) and before is not None:
        per_group, rows = b.weight.shape[1], len(b.weight) // int(b.groups)
        channel = np.arange(len(b.weight))[:, None] // rows * per_group + np.arange(per_group)
        bias = total(through(b, before[1], middle), bias_of(b))
        return _conv_like(b, b.weight * before[0][channel][:, :, None, None], bias)
    return None


def _channel_factors(node: Any, shape: Shape) -> tuple[Array, Array] | None:
    """(factors, biases) of a node that maps every channel of a map of `shape` to itself, or None."""
    if len(shape) != 3:
        return None
    if isinstance(node, nir.Scale):
        scale = _per_channel(node, shape)
        return None if scale is None else (scale, np.zeros(shape[0]))
    if not isinstance(node, nir.Conv2d) or node.weight.shape != (shape[0], 1, 1, 1) or int(node.groups) != shape[0]:
        return None
    if pair(node.stride) != (1, 1) or any(conv_padding(node)):
        return None
    return _real(node.weight).reshape(-1), bias_of(node)


def _conv_like(node: nir.Conv2d, weight: Array, bias: Array) -> nir.Conv2d:
    return nir.Conv2d(node.input_shape, weight, node.stride, node.padding, node.dilation, node.groups, narrowed(bias))


def _both_convolutions(first: nir.NIRNode, second: nir.NIRNode, shape: Shape, middle: Shape) -> nir.NIRNode | None:
    """One convolution for two: its kernel is the convolution of theirs, its stride the product."""
    a = as_convolution(first, shape)
    b = as_convolution(second, middle)
    if a is None or b is None:
        return None
    padding = conv_padding(a)
    if any(conv_padding(b)):
        if not _pointwise(a):
            return None
        padding = conv_padding(b)
    top, left, bottom, right = padding
    if (top, left) != (bottom, right):
        return None
    wa, wb = ungrouped(a), ungrouped(b)
    (sy, sx), (by, bx), (ay, ax) = pair(a.stride), pair(b.dilation), pair(a.dilation)
    ka, kb = wa.shape[2:], wb.shape[2:]
    size = [(ka[i] - 1) * (ay, ax)[i] + (kb[i] - 1) * (by, bx)[i] * (sy, sx)[i] + 1 for i in (0, 1)]
    kernel = np.zeros((len(wb), wa.shape[1], *size))
    for i in range(kb[0]):
        for j in range(kb[1]):
            mixed = np.einsum("om,mikl->oikl", wb[:, :, i, j], wa)
            rows = slice(i * by * sy, i * by * sy + (ka[0] - 1) * ay + 1, ay)
            columns = slice(j * bx * sx, j * bx * sx + (ka[1] - 1) * ax + 1, ax)
            kernel[:, :, rows, columns] += mixed
    stride = (sy * pair(b.stride)[0], sx * pair(b.stride)[1])
    bias = narrowed(total(through(b, bias_of(a), middle), bias_of(b)))
    return nir.Conv2d((shape[1], shape[2]), kernel, stride, (top, left), (1, 1), 1, bias)


def as_convolution(node: nir.NIRNode, shape: tuple[int, ...]) -> Any:
    """`node` as a Conv2d on maps of `shape`, or None."""
    if len(shape) != 3:
        return None
    if isinstance(node, nir.Conv2d):
        return node
    if isinstance(node, nir.AvgPool2d | nir.SumPool2d):
        kernel = pair(node.kernel_size)
        value = 1.0 / (kernel[0] * kernel[1]) if isinstance(node, nir.AvgPool2d) else 1.0
        weight = np.full((shape[0], 1, *kernel), value)
        return nir.Conv2d(shape[1:], weight, pair(node.stride), pair(node.padding), (1, 1), shape[0], np.zeros(shape[0]))
    if isinstance(node, nir.Scale) and (scale := _per_channel(node, shape)) is not None:
        return nir.Conv2d(shape[1:], scale.reshape(-1, 1, 1, 1), (1, 1), (0, 0), (1, 1), shape[0], np.zeros(shape[0]))
    return None


def _pointwise(node: nir.Conv2d) -> bool:
    """Whether `node` works position by position: then zeros may be padded before it, if its bias is left out of them."""
    return node.weight.shape[2:] == (1, 1) and pair(node.stride) == (1, 1) and not any(conv_padding(node))


def _per_channel(node: nir.Scale, shape: tuple[int, ...]) -> Array | None:
    scale = np.broadcast_to(_real(node.scale), shape).reshape(shape[0], -1)
    return scale[:, 0] if (scale == scale[:, :1]).all() else None


def _as_dense(shape: tuple[int, ...], *nodes: nir.NIRNode) -> nir.Affine:
    """The dense layer that the chain `nodes` computes, read off its answers to zero and to each unit vector."""
    names = [f"n{i}" for i in range(len(nodes))]
    graph = chain({"input": input_node(shape), **dict(zip(names, nodes, strict=True)), "output": output_node()})
    n = int(np.prod(shape))
    run: Callable[[Array], Array] = lambda x: forward(graph, x.reshape(-1, *shape)).reshape(len(x), -1)  # noqa: E731
    bias = run(np.zeros((1, n)))[0]
    columns = [run(np.eye(n)[start : start + 512]) - bias for start in range(0, n, 512)]
    return nir.Affine(np.concatenate(columns).T, bias)


def _real(values: npt.ArrayLike) -> Array:
    return np.asarray(values, np.float64)
