"""Linear layers in a row become one, before quantisation: between them nothing fires, so nothing should be rounded.

Convolution after convolution (average pooling counts as one) stays a convolution where the later one does not pad; dense
layers multiply; any other chain becomes a dense layer, if it has at most MAX_DENSE weights.
"""

from __future__ import annotations

from collections.abc import Callable
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
from snnport.nodes import LINEAR_NODES, WEIGHTED_NODES, conv_padding, flatten_node, input_node, output_node, pair, ungrouped
from snnport.passes.base import Context, Pass
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
            merged, last = _merged(graph, names), names[-1]
            for name in names:
                others = " and ".join(f"'{other}'" for other in names if other != name)
                why = f"with {others}: no spike between them"
                ctx.note(Entry(name, type(graph.nodes[name]).__name__, "merged", (last,), why, self.spelling))
            source = predecessors(graph, names[0])[0]
            for name in names[:-1]:
                graph = without_node(graph, name)
            graph = with_nodes(graph, {last: merged[-1]})
            if len(merged) == 2:
                graph = with_node_on_edge(graph, (source, last), fresh_name(graph, f"{last}.flatten"), merged[0])
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


def _merged(graph: Graph, names: tuple[str, ...]) -> tuple[nir.NIRNode, ...]:
    """What stands for the chain `names`: one node, or a Flatten and a dense layer."""
    if len(names) == 2:
        for rule in (_both_dense, _both_convolutions):
            result = rule(graph, *names)
            if result is not None:
                return (result,)
    sizes = shapes(graph)
    shape, outputs = sizes[predecessors(graph, names[0])[0]], sizes[names[-1]]
    weights = int(np.prod(shape)) * int(np.prod(outputs))
    if len(outputs) != 1 or weights > MAX_DENSE:
        raise PassFailed(
            f"merge-linear: {' -> '.join(names)}",
            f"without an activation between them they are no single convolution, and as a dense layer they have {weights} "
            f"weights and output {outputs}; the limit is {MAX_DENSE} weights and a flat output",
            "Put a ReLU between them",
        )
    dense = _as_dense(shape, *(graph.nodes[name] for name in names))
    return (dense,) if len(shape) == 1 else (flatten_node(shape), dense)


def _both_dense(graph: Graph, first: str, second: str) -> nir.NIRNode | None:
    a: Any = graph.nodes[first]
    b: Any = graph.nodes[second]
    if isinstance(a, nir.Scale) and isinstance(b, nir.Scale):
        return nir.Scale(np.asarray(a.scale, np.float64) * b.scale)
    if isinstance(a, nir.Scale) and isinstance(b, nir.Affine | nir.Linear):
        return nir.Affine(b.weight * np.broadcast_to(a.scale, b.weight.shape[1:]), _bias(b))
    if not isinstance(a, nir.Affine | nir.Linear):
        return None
    if isinstance(b, nir.Affine | nir.Linear):
        return nir.Affine(_real(b.weight) @ a.weight, _real(b.weight) @ _bias(a) + _bias(b))
    if isinstance(b, nir.Scale):
        scale = np.broadcast_to(_real(b.scale), (len(a.weight),))
        return nir.Affine(a.weight * scale[:, None], _bias(a) * scale)
    return None


def _both_convolutions(graph: Graph, first: str, second: str) -> nir.NIRNode | None:
    """One convolution for two: its kernel is the convolution of theirs, its stride the product."""
    channels, height, width = (*shapes(graph)[predecessors(graph, first)[0]], 1, 1)[:3]
    middle = shapes(graph)[first]
    a = _as_convolution(graph.nodes[first], (channels, height, width))
    b = _as_convolution(graph.nodes[second], middle)
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
    bias = np.einsum("omij,m->o", wb, _bias(a)) + _bias(b)
    return nir.Conv2d((height, width), kernel, stride, (top, left), (1, 1), 1, bias)


def _as_convolution(node: nir.NIRNode, shape: tuple[int, ...]) -> Any:
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
    """Whether `node` maps zero to zero, position by position: then padding may come before or after it."""
    plain = node.weight.shape[2:] == (1, 1) and pair(node.stride) == (1, 1) and not any(conv_padding(node))
    return plain and not np.any(node.bias)


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


def _bias(node: Any) -> Array:
    bias = getattr(node, "bias", None)
    return np.zeros(len(node.weight)) if bias is None else np.broadcast_to(_real(bias), (len(node.weight),))


def _real(values: npt.ArrayLike) -> Array:
    return np.asarray(values, np.float64)
