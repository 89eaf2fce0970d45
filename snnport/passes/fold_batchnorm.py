"""Batch normalisation becomes part of a neighbouring linear layer, and the outputs stay what they were.

It folds into the layer before it where that layer feeds nothing else (max pooling may lie between if every scale is
positive), else into the layers after it, else it becomes a depthwise 1x1 convolution of its own. A layer that pads its input
with zeros pads behind the shift: neurons at the border get less of it, so that their biases differ from position to position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.graph import (
    Graph,
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
from snnport.nodes import BatchNorm, MaxPool2d, Shape, pair
from snnport.passes.base import Context, Pass
from snnport.passes.biases import bias_of, narrowed, spread, through, total
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
                graph = without_node(with_nodes(graph, {before: _scaled_output(graph, before, node)}), name)
                into: tuple[str, ...] = (before,)
            elif after:
                changed = {target: _scaled_input(graph, target, node, shape) for target in after}
                graph = without_node(with_nodes(graph, changed), name)
                into = after
            else:
                graph = _layer_of_its_own(graph, name, node, shape)
                into = (name,)
            why = "scale and shift moved into its weights and bias" if into != (name,) else "no layer beside it: one of its own"
            ctx.note(Entry(name, "BatchNorm", "folded", into, why, self.spelling))
        return graph

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Outputs are equal, and the largest error is recorded."""
        if before.nodes.keys() != after.nodes.keys() or names_of(before, BatchNorm):
            same_output(before, after, ctx, self.spelling)


def _passable(node: nir.NIRNode, norm: BatchNorm) -> bool:
    """Whether scaling and shifting commutes with `node`, where both are one value a channel."""
    if norm.scale.ndim > 1 or norm.shift.ndim > 1:
        return False
    if isinstance(node, MaxPool2d):
        return bool((norm.scale > 0).all())
    return isinstance(node, nir.AvgPool2d) and not any(pair(node.padding))


def _layer_before(graph: Graph, name: str) -> str | None:
    norm: Any = graph.nodes[name]
    here = name
    while True:
        sources = predecessors(graph, here)
        if len(sources) != 1 or successors(graph, sources[0]) != (here,):
            return None
        here = sources[0]
        if isinstance(graph.nodes[here], _LAYERS):
            return here if norm.scale.ndim == 1 else None
        if not _passable(graph.nodes[here], norm):
            return None


def _layers_after(graph: Graph, name: str) -> tuple[str, ...]:
    norm: Any = graph.nodes[name]
    layers: list[str] = []
    stack = list(successors(graph, name))
    while stack:
        here = stack.pop(0)
        target: Any = graph.nodes[here]
        if len(predecessors(graph, here)) != 1:
            return ()
        if isinstance(target, nir.Conv2d) and norm.scale.ndim > 1:
            return ()
        if isinstance(target, _LAYERS):
            layers.append(here)
        elif isinstance(target, nir.Flatten) or _passable(target, norm):
            stack.extend(successors(graph, here))
        else:
            return ()
    return tuple(layers)


def _scaled_output(graph: Graph, layer: str, norm: BatchNorm) -> nir.NIRNode:
    node: Any = graph.nodes[layer]
    scale = norm.scale.astype(np.float64)
    weight = node.weight * scale.reshape(-1, *[1] * (node.weight.ndim - 1))
    bias = bias_of(node)
    return _with(node, weight, total(bias * scale.reshape(-1, *[1] * (bias.ndim - 1)), norm.shift.astype(np.float64)))


def _scaled_input(graph: Graph, layer: str, norm: BatchNorm, shape: Shape) -> nir.NIRNode:
    """What pads the input with zeros stays zero: the shift reaches each neuron through the weights that meet the map."""
    node: Any = graph.nodes[layer]
    here = shapes(graph)[predecessors(graph, layer)[0]]
    scale, shift = norm.scale.astype(np.float64), norm.shift.astype(np.float64)
    if isinstance(node, nir.Conv2d):
        per_group = node.weight.shape[1]
        rows = len(node.weight) // int(node.groups)
        channel = np.arange(len(node.weight))[:, None] // rows * per_group + np.arange(per_group)
        return _with(node, node.weight * scale[channel][:, :, None, None], total(bias_of(node), through(node, shift, here)))
    scale, shift = (_in_order(values, shape, node.weight.shape[1]) for values in (scale, shift))
    return _with(node, node.weight * scale, bias_of(node) + node.weight @ shift)


def _in_order(values: np.ndarray[Any, Any], shape: Shape, inputs: int) -> np.ndarray[Any, Any]:
    """One value an input of a dense layer; channels that were pooled on the way have fewer positions than `shape`."""
    if values.ndim > 1 or len(shape) == 1:
        return spread(values, shape).reshape(-1)
    return np.repeat(values, inputs // len(values))


def _layer_of_its_own(graph: Graph, name: str, norm: BatchNorm, shape: Shape) -> Graph:
    scale, shift = norm.scale.astype(np.float64), norm.shift.astype(np.float64)
    if len(shape) == 1:
        return with_nodes(graph, {name: nir.Affine(np.diag(scale), shift)})
    if scale.ndim == 1:
        return with_nodes(graph, {name: _depthwise(scale, shift, shape)})
    graph = with_nodes(graph, {name: nir.Scale(scale)})
    for target in successors(graph, name) if shift.any() else ():
        own = _depthwise(np.ones(shape[0]), shift, shape)
        graph = with_node_on_edge(graph, (name, target), fresh_name(graph, f"{name}.shift"), own)
    return graph


def _depthwise(scale: np.ndarray[Any, Any], shift: np.ndarray[Any, Any], shape: Shape) -> nir.Conv2d:
    return nir.Conv2d((shape[1], shape[2]), scale.reshape(-1, 1, 1, 1), (1, 1), (0, 0), (1, 1), shape[0], shift)


def _with(node: nir.NIRNode, weight: np.ndarray[Any, Any], bias: np.ndarray[Any, Any]) -> nir.NIRNode:
    if isinstance(node, nir.Conv2d):
        return nir.Conv2d(node.input_shape, weight, node.stride, node.padding, node.dilation, node.groups, narrowed(bias))
    return nir.Affine(weight, bias)
