"""Channels of a population: spread for a readout, split over two populations, copied, dropped; thresholds made one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import lcm
from typing import Any, ClassVar

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import convention_of
from snnport.graph import Graph, fresh_name, shapes, with_metadata, with_nodes
from snnport.nodes import NEURON_NODES, Shape
from snnport.passes.base import Context
from snnport.passes.fixes.base import (
    DENSE,
    Rewrite,
    Spikes,
    altered,
    columns,
    neurons,
    paths_from,
    paths_into,
    private,
    rewired,
    rows,
    said_of,
    weighted_into,
    with_channels,
)
from snnport.passes.paths import output_populations


@dataclass(frozen=True)
class ExtendReadout(Rewrite):
    """Channel k of an output becomes channel spread * k; nothing drives those between. Exact, every spike kept.

    For Speck2e and Speck2f, whose readout block takes channel 4k for its class k + 1 (sinabs 3.1.3, extend_readout_layer).
    """

    name: ClassVar[str] = "extend-readout"
    node: str = ""
    spread: int = 4

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with that output."""
        self.node_of(graph, self.node, *NEURON_NODES)
        if self.node not in output_populations(graph) or paths_from(graph, self.node) or not private(graph, self.node):
            raise self.refuse(self.node, "it is no output that feeds nothing else")
        n = shapes(graph)[self.node][0]
        if shapes(graph)[self.node] not in ((n,), (n, 1, 1)):
            raise self.refuse(self.node, f"its map is {shapes(graph)[self.node]}, a class of the readout block is one neuron")
        chosen = [c // self.spread if c % self.spread == 0 else None for c in range((n - 1) * self.spread + 1)]
        wide = with_channels(graph, self.node, chosen)
        self.noted(ctx, self.node, "neurons", (self.node,), f"channel k is channel {self.spread}k")
        return with_nodes(wide, {self.node: with_metadata(wide.nodes[self.node], readout_spread=self.spread)})

    def expected(self, spikes: Spikes, shape: Shape) -> Spikes:
        """The spikes with silent channels between."""
        maps = spikes.reshape(*spikes.shape[:-1], shape[0], -1)
        wide = np.zeros((*maps.shape[:-2], (shape[0] - 1) * self.spread + 1, maps.shape[-1]), maps.dtype)
        wide[..., :: self.spread, :] = maps
        return wide.reshape(*spikes.shape[:-1], -1)


@dataclass(frozen=True)
class SplitChannels(Rewrite):
    """A population as two of half its channels each, which feed what it fed. Exact.

    What feeds it then feeds two; what it feeds gets the weights of the halves as two nodes.
    """

    name: ClassVar[str] = "split-channels"
    node: str = ""

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with the two populations NODE.a and NODE.b."""
        self.node_of(graph, self.node, nir.IF)
        shape = shapes(graph)[self.node]
        if self.node in output_populations(graph) or not private(graph, self.node) or shape[0] < 2:
            raise self.refuse(self.node, "it is an output, shares its weights, or has 1 channel")
        half = (shape[0] + 1) // 2
        nodes, edges = dict(graph.nodes), list(graph.edges)
        for letter, part in (("a", range(half)), ("b", range(half, shape[0]))):
            nodes, edges = self._part(graph, nodes, edges, letter, list(part))
        gone = {self.node, *weighted_into(graph, self.node)}
        gone |= {name for path in paths_from(graph, self.node) for name in _own(path.nodes, path.weighted)}
        edges = [(a, b) for a, b in edges if a not in gone and b not in gone]
        parts = (f"{self.node}.a", f"{self.node}.b")
        self.noted(ctx, self.node, "IF", parts, f"{half} and {shape[0] - half} channels")
        return said_of(rewired(graph, nodes, edges), dict.fromkeys(parts, self.node))

    def _part(
        self, graph: Graph, nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]], letter: str, part: list[int]
    ) -> tuple[dict[str, nir.NIRNode], list[tuple[str, str]]]:
        sizes = shapes(graph)
        name = f"{self.node}.{letter}"
        nodes = {**nodes, name: neurons(graph.nodes[self.node], sizes[self.node], part)}
        edges = list(edges)
        for path in paths_into(graph, self.node):
            weighted = str(path.weighted)
            mine = f"{weighted}.{letter}"
            nodes[mine] = rows(graph.nodes[weighted], part)
            edges += [(a, mine) for a, b in graph.edges if b == weighted]
            chain = (mine, *(f"{n}.{letter}" for n in path.tail[1:]), name)
            nodes |= {f"{n}.{letter}": graph.nodes[n] for n in path.tail[1:]}
            edges += list(pairwise(chain))
        for path in paths_from(graph, self.node):
            weighted = str(path.weighted)
            own = _own(path.nodes, path.weighted)
            before = sizes[path.pools[-1] if path.pools else self.node]
            nodes |= {f"{n}.{letter}": graph.nodes[n] for n in own}
            piece = columns(graph.nodes[weighted], part, int(np.prod(before[1:])))
            nodes[f"{weighted}.{letter}"] = piece if letter == "a" else _unbiased(piece)
            edges += list(pairwise((name, *(f"{n}.{letter}" for n in own))))
            edges += [(f"{weighted}.{letter}", b) for a, b in graph.edges if a == weighted]
        return nodes, edges


@dataclass(frozen=True)
class DuplicateLayer(Rewrite):
    """A population computed twice, so that each copy feeds half of what it fed. Exact."""

    name: ClassVar[str] = "duplicate-layer"
    node: str = ""

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with the copy NODE.copy."""
        node = self.node_of(graph, self.node, nir.IF)
        ends = list(dict.fromkeys(path.target for path in paths_from(graph, self.node)))
        if len(ends) < 2 or any(path.weighted is None for path in paths_into(graph, self.node)):
            raise self.refuse(self.node, f"it feeds {len(ends)} populations, or spikes reach it without weights")
        moved = set(ends[len(ends) // 2 :])
        copy = fresh_name(graph, f"{self.node}.copy")
        nodes, edges = {**graph.nodes, copy: altered(node)}, list(graph.edges)
        for path in paths_into(graph, self.node):
            tail = {n: fresh_name(graph, f"{n}.copy") for n in path.tail}
            nodes |= {tail[n]: graph.nodes[n] for n in path.tail}
            edges += [(a, tail[path.tail[0]]) for a, b in graph.edges if b == path.tail[0]]
            edges += list(pairwise((*tail.values(), copy)))
        for path in paths_from(graph, self.node):
            if path.target not in moved:
                continue
            first = path.nodes[0]
            if any(first in other.nodes for other in paths_from(graph, self.node) if other.target not in moved):
                raise self.refuse(first, "ways to several populations share it")
            edges = [(copy if (a, b) == (self.node, first) else a, b) for a, b in edges]
        self.noted(ctx, self.node, "IF", (self.node, copy), f"computed twice, {len(moved)} of {len(ends)} fed by the copy")
        return said_of(rewired(graph, nodes, edges), {copy: self.node})


@dataclass(frozen=True)
class DropDeadChannels(Rewrite):
    """A population without the channels that never fire, or that nothing listens to. Exact."""

    name: ClassVar[str] = "drop-dead-channels"
    node: str = ""

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph without them."""
        self.node_of(graph, self.node, nir.IF)
        dead = dead_channels(graph, self.node)
        n = shapes(graph)[self.node][0]
        if not dead or len(dead) == n:
            raise self.refuse(self.node, f"{len(dead)} of its {n} channels are dead")
        self.noted(ctx, self.node, "IF", (self.node,), f"without {len(dead)} channels that never matter")
        return with_channels(graph, self.node, [c for c in range(n) if c not in set(dead)])


@dataclass(frozen=True)
class ClipChannels(Rewrite):
    """A population with its `keep` channels of the greatest weights in and out alone. Not exact."""

    name: ClassVar[str] = "clip-channels"
    node: str = ""
    keep: int = 1

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with those channels."""
        self.node_of(graph, self.node, nir.IF)
        n = shapes(graph)[self.node][0]
        if not 1 <= self.keep < n or self.node in output_populations(graph) or not private(graph, self.node):
            raise self.refuse(self.node, f"{self.keep} of its {n} channels cannot be kept")
        best = np.sort(np.argsort(-strength(graph, self.node), kind="stable")[: self.keep])
        self.noted(ctx, self.node, "IF", (self.node,), f"{self.keep} of {n} channels kept")
        return with_channels(graph, self.node, [int(c) for c in best])


@dataclass(frozen=True)
class FoldThresholds(Rewrite):
    """One threshold for a population whose channels have several; their weights and biases grow or shrink with it.

    Exact in real numbers. In codes it is done only where every code stays whole and within `bits` bits.
    """

    name: ClassVar[str] = "fold-thresholds"
    node: str = ""
    bits: int = 8
    threshold_bits: int = 16

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with one threshold."""
        node = self.node_of(graph, self.node, nir.IF)
        theta, factor = self.factors(graph)
        shape = shapes(graph)[self.node]
        changed: dict[str, nir.NIRNode] = {}
        for weighted in weighted_into(graph, self.node):
            old: Any = graph.nodes[weighted]
            weight = old.weight * factor.reshape(-1, *[1] * (np.ndim(old.weight) - 1))
            more = {} if getattr(old, "bias", None) is None else {"bias": np.broadcast_to(old.bias, factor.shape) * factor}
            changed[weighted] = altered(old, weight=weight, **more)
        metadata = {k: v for k, v in node.metadata.items() if k != "theta"}
        if "scale" in metadata:
            metadata["theta"] = round(theta / float(metadata["scale"]))
        changed[self.node] = altered(node, v_threshold=np.full(shape, theta), metadata=metadata)
        self.noted(ctx, self.node, "IF", (self.node,), f"one threshold of {theta:.6g}, weights to match")
        return with_nodes(graph, changed)

    def factors(self, graph: Graph) -> tuple[float, npt.NDArray[np.float64]]:
        """The one threshold, and what multiplies the weights of each channel. Raises PassFailed where there is none."""
        node: Any = graph.nodes[self.node]
        shape = shapes(graph)[self.node]
        thresholds = np.broadcast_to(node.v_threshold, shape).reshape(shape[0], -1)
        if np.any(thresholds != thresholds[:, :1]):
            raise self.refuse(self.node, "its thresholds differ within a channel")
        if not private(graph, self.node) or np.any(thresholds <= 0) or np.any(np.asarray(node.v_reset) != 0):
            raise self.refuse(self.node, "its weights are shared, a threshold is not positive, or it resets to another value")
        each = thresholds[:, 0]
        if "scale" not in node.metadata:
            return float(each.max()), each.max() / each
        return self._whole(graph, each, float(node.metadata["scale"]))

    def _whole(self, graph: Graph, each: npt.NDArray[Any], scale: float) -> tuple[float, npt.NDArray[np.float64]]:
        codes = np.rint(each / scale).astype(np.int64)
        shared = np.zeros_like(codes)
        worst = np.zeros_like(codes)
        for weighted in weighted_into(graph, self.node):
            node: Any = graph.nodes[weighted]
            parts = [np.rint(node.weight / scale).astype(np.int64).reshape(len(codes), -1)]
            if getattr(node, "bias", None) is not None:
                parts.append(np.rint(np.broadcast_to(node.bias, codes.shape) / scale).astype(np.int64)[:, None])
            both = np.concatenate(parts, axis=1)
            shared = np.gcd(shared, np.gcd.reduce(both, axis=1))
            worst = np.maximum(worst, np.abs(both).max(axis=1))
        shared = np.gcd(shared, codes)
        theta = lcm(*(int(v) for v in codes // shared))
        factor = theta / codes
        top, most = (1 << (self.threshold_bits - 1)) - 1, (1 << (self.bits - 1)) - 1
        if "v_min" in graph.nodes[self.node].metadata and np.any(factor != factor[0]):
            raise self.refuse(self.node, "its lower bound in codes would differ by channel", "Fold it before quantising")
        if theta > top or np.any(worst * factor > most):
            raise self.refuse(self.node, f"no whole codes of {self.bits} bits have one threshold", "Fold it before quantising")
        return theta * scale, factor


def dead_channels(graph: Graph, name: str) -> tuple[int, ...]:
    """Channels of population `name` that never fire, as nothing can drive them up, or that no weight listens to.

    None for an output, for weights that others share, and for thresholds that are not positive.
    """
    node: Any = graph.nodes[name]
    shape = shapes(graph)[name]
    thresholds = np.broadcast_to(node.v_threshold, shape).reshape(shape[0], -1)
    if name in output_populations(graph) or not private(graph, name) or np.any(thresholds <= 0):
        return ()
    silent = np.ones(shape[0], bool)
    for weighted in weighted_into(graph, name):
        layer: Any = graph.nodes[weighted]
        silent &= np.all(np.asarray(layer.weight).reshape(shape[0], -1) <= 0, axis=1)
        if getattr(layer, "bias", None) is not None:
            silent &= np.broadcast_to(layer.bias, (shape[0],)) <= 0
    deaf = np.all(_listening(graph, name) == 0, axis=1)
    from_rest = not _rises(graph)
    return tuple(int(c) for c in np.flatnonzero((silent & from_rest) | deaf))


def strength(graph: Graph, name: str) -> npt.NDArray[np.float64]:
    """How much each channel of population `name` weighs: the norm of its weights in, times that of its weights out."""
    n = shapes(graph)[name][0]
    layers: list[Any] = [graph.nodes[w] for w in weighted_into(graph, name)]
    into = [np.square(np.asarray(layer.weight)).reshape(n, -1).sum(axis=1) for layer in layers]
    return np.asarray(np.sqrt(np.sum(into, axis=0) * np.square(_listening(graph, name)).sum(axis=1)))


def _listening(graph: Graph, name: str) -> npt.NDArray[np.float64]:
    """Weights behind population `name`, one row a channel."""
    n = shapes(graph)[name][0]
    parts = [np.zeros((n, 1))]
    for path in paths_from(graph, name):
        node: Any = graph.nodes[str(path.weighted)]
        if isinstance(node, DENSE):
            parts.append(node.weight.reshape(len(node.weight), n, -1).transpose(1, 0, 2).reshape(n, -1))
        else:
            parts.append(np.asarray(node.weight).swapaxes(0, 1).reshape(n, -1))
    return np.concatenate(parts, axis=1)


def _rises(graph: Graph) -> bool:
    """Whether potentials do not start at 0, so that what never gets input may fire all the same."""
    return convention_of(graph.metadata).start == "reset"


def _unbiased(node: Any) -> Any:
    """A weighted node without its bias, which another one has."""
    return node if getattr(node, "bias", None) is None else altered(node, bias=np.zeros_like(node.bias))


def _own(nodes: tuple[str, ...], weighted: str | None) -> tuple[str, ...]:
    """The nodes of a path from its source to its weights, these included."""
    return nodes[: nodes.index(str(weighted)) + 1]
