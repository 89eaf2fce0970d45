"""Signed input enters as two populations: x = x+ - x-, so the first weights W become [W, -W]. Zero padding stays zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import PassFailed
from snnport.graph import Graph, predecessors, shapes, successors, the_input, with_nodes
from snnport.ledger import Entry
from snnport.nodes import WEIGHTED_NODES, MaxPool2d, flatten_node, input_node, ungrouped
from snnport.passes.base import Context, Pass


@dataclass(frozen=True)
class SplitSignedInput(Pass):
    """Double the input channels if a calibration sample is negative; the encoder then feeds x and -x, each rectified."""

    name: ClassVar[str] = "split-signed-input"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with (2 channels, ...) input, or the graph itself if no sample is negative."""
        lowest = float(ctx.samples(self.spelling).min())
        ctx.find(self.spelling, lowest=lowest)
        if lowest >= 0:
            return graph
        name = the_input(graph)
        shape = shapes(graph)[name]
        changed: dict[str, nir.NIRNode] = {name: input_node((2 * shape[0], *shape[1:]))}
        stack = list(successors(graph, name))
        while stack:
            here = stack.pop()
            node: Any = graph.nodes[here]
            if isinstance(node, MaxPool2d):
                raise PassFailed(f"{self.name}: {here}", f"it pools input as low as {lowest:.3g}", "Pool behind the first ReLU")
            if isinstance(node, WEIGHTED_NODES):
                changed[here] = _split(node, shapes(graph)[predecessors(graph, here)[0]])
                ctx.note(Entry(here, type(node).__name__, "became", (here,), "weights W, -W for x and -x", self.spelling))
            else:
                if isinstance(node, nir.Flatten):
                    changed[here] = flatten_node((2 * shape[0], *shape[1:]))
                stack.extend(successors(graph, here))
        return with_nodes(graph, changed)


def entering(graph: Graph, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What enters `graph` of samples x (n, channels, ...): where it takes twice the channels, x and -x, each rectified."""
    doubled = shapes(graph)[the_input(graph)][0] == 2 * x.shape[1]
    return np.maximum(np.concatenate([x, -x], axis=1), 0.0) if doubled else x


def _split(node: Any, shape: tuple[int, ...]) -> nir.NIRNode:
    if isinstance(node, nir.Scale):
        return _split_scale(node, shape)
    weight = np.asarray(node.weight, np.float64)
    if isinstance(node, nir.Conv2d):
        full = ungrouped(node)
        both = np.concatenate([full, -full], axis=1)
        return nir.Conv2d(node.input_shape, both, node.stride, node.padding, node.dilation, 1, node.bias)
    both = np.concatenate([weight, -weight], axis=1)
    return nir.Affine(both, node.bias) if isinstance(node, nir.Affine) else nir.Linear(both)


def _split_scale(node: nir.Scale, shape: tuple[int, ...]) -> nir.NIRNode:
    scale = np.broadcast_to(np.asarray(node.scale, np.float64), shape)
    if len(shape) == 1:
        return nir.Linear(np.concatenate([np.diag(scale), -np.diag(scale)], axis=1))
    rows = scale.reshape(shape[0], -1)
    if (rows != rows[:, :1]).any():
        raise PassFailed("split-signed-input", "a factor of a signed input map differs from position to position", "Remove it")
    same = np.diag(rows[:, 0])
    both = np.concatenate([same, -same], axis=1)[:, :, None, None]
    return nir.Conv2d((shape[1], shape[2]), both, (1, 1), (0, 0), (1, 1), 1, np.zeros(shape[0]))
