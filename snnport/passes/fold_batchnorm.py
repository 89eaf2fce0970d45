"""Batch normalisation becomes part of a neighbouring linear layer, and the outputs stay what they were.

It folds into the layer before it where that layer feeds nothing else (max pooling may lie between if every scale is
positive), else into the layers after it, else it becomes a depthwise 1x1 convolution of its own. Folding a shift into a
layer that pads its input with zeros would shift the padding too: that is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.errors import PassFailed
from snnport.graph import Graph, names_of, predecessors, shapes, successors, with_nodes, without_node
from snnport.ledger import Entry
from snnport.nodes import BatchNorm, MaxPool2d, Shape, conv_padding, pair
from snnport.passes.base import Context, Pass
from snnport.passes.proof import same_output

_LAYERS = (nir.Conv2d, nir.Affine, nir.Linear)


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Fold every BatchNorm into a linear layer beside it."""

    name: ClassVar[str] = "fold-batchnorm"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph without BatchNorm nodes."""
        for name in names_of(graph, BatchNorm):
            node: Any = graph.nodes[name]
            shape = shapes(graph)[name]
            before = _layer_before(graph, name)
            after = None if before else _layers_after(graph, name)
            if before:
                graph = without_node(with_nodes(graph, {before: _scaled_output(graph, before, node, shape)}), name)
                into: tuple[str, ...] = (before,)
            elif after:
                changed = {target: _scaled_input(graph, target, node, shape) for target in after}
                graph = without_node(with_nodes(graph, changed), name)
                into = after
            else:
                graph = with_nodes(graph, {name: _layer_of_its_own(node, shape)})
                into = (name,)
            why = "scale and shift moved into its weights and bias" if into != (name,) else "no layer beside it: one of its own"
            ctx.note(Entry(name, "BatchNorm", "folded", into, why, self.spelling))
        return graph

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Outputs are equal, and the largest error is recorded."""
        if before.nodes.keys() != after.nodes.keys() or names_of(before, BatchNorm):
            same_output(before, after, ctx, self.spelling)


def _passable(node: nir.NIRNode, scale: np.ndarray[Any, Any]) -> bool:
    """Whether scaling and shifting a channel commutes with `node`."""
    if isinstance(node, MaxPool2d):
        return bool((scale > 0).all())
    if isinstance(node, nir.AvgPool2d):
        return not any(pair(node.padding))
    return isinstance(node, nir.Flatten)


def _layer_before(graph: Graph, name: str) -> str | None:
    norm: Any = graph.nodes[name]
    scale = norm.scale
    here = name
    while True:
        sources = predecessors(graph, here)
        if len(sources) != 1 or successors(graph, sources[0]) != (here,):
            return None
        here = sources[0]
        if isinstance(graph.nodes[here], _LAYERS):
            return here
        if not _passable(graph.nodes[here], scale) or isinstance(graph.nodes[here], nir.Flatten):
            return None


def _layers_after(graph: Graph, name: str) -> tuple[str, ...]:
    node: Any = graph.nodes[name]
    layers: list[str] = []
    stack = list(successors(graph, name))
    while stack:
        here = stack.pop(0)
        target: Any = graph.nodes[here]
        if len(predecessors(graph, here)) != 1:
            return ()
        if isinstance(target, _LAYERS):
            if isinstance(target, nir.Conv2d) and any(conv_padding(target)) and node.shift.any():
                raise PassFailed(
                    f"fold-batchnorm: {name}",
                    f"its shift (up to {np.abs(node.shift).max():.3g}) would also shift the zero padding of '{here}'",
                    "Put the batch norm behind the convolution, or pad with 0 there",
                )
            layers.append(here)
        elif _passable(target, node.scale):
            stack.extend(successors(graph, here))
        else:
            return ()
    return tuple(layers)


def _scaled_output(graph: Graph, layer: str, norm: BatchNorm, shape: Shape) -> nir.NIRNode:
    node: Any = graph.nodes[layer]
    scale = norm.scale.astype(np.float64)
    weight = node.weight * scale.reshape(-1, *[1] * (node.weight.ndim - 1))
    bias = _bias(node) * scale + norm.shift
    return _with(node, weight, bias)


def _scaled_input(graph: Graph, layer: str, norm: BatchNorm, shape: Shape) -> nir.NIRNode:
    node: Any = graph.nodes[layer]
    scale, shift = norm.scale.astype(np.float64), norm.shift.astype(np.float64)
    if isinstance(node, nir.Conv2d):
        groups = int(node.groups)
        per_group = node.weight.shape[1]
        channel = np.arange(len(node.weight))[:, None] // (len(node.weight) // groups) * per_group + np.arange(per_group)
        weight = node.weight * scale[channel][:, :, None, None]
        return _with(node, weight, _bias(node) + (node.weight.sum(axis=(2, 3)) * shift[channel]).sum(axis=1))
    spread = node.weight.shape[1] // len(scale)
    scale, shift = np.repeat(scale, spread), np.repeat(shift, spread)
    return _with(node, node.weight * scale, _bias(node) + node.weight @ shift)


def _layer_of_its_own(norm: BatchNorm, shape: Shape) -> nir.NIRNode:
    scale, shift = norm.scale.astype(np.float64), norm.shift.astype(np.float64)
    if len(shape) == 3:
        return nir.Conv2d(shape[1:], scale.reshape(-1, 1, 1, 1), (1, 1), (0, 0), (1, 1), shape[0], shift)
    return nir.Affine(np.diag(scale), shift)


def _bias(node: Any) -> np.ndarray[Any, Any]:
    bias = getattr(node, "bias", None)
    return np.zeros(len(node.weight)) if bias is None else np.asarray(bias, np.float64)


def _with(node: nir.NIRNode, weight: np.ndarray[Any, Any], bias: np.ndarray[Any, Any]) -> nir.NIRNode:
    if isinstance(node, nir.Conv2d):
        return nir.Conv2d(node.input_shape, weight, node.stride, node.padding, node.dilation, node.groups, bias)
    return nir.Affine(weight, bias)
