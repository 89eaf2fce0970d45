"""What the rewritings share: a base class, and the questions about what leads into and out of a population."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeAlias

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import PassFailed
from snnport.graph import Graph, build, shapes, with_nodes
from snnport.ledger import Entry
from snnport.nodes import Shape, output_node
from snnport.passes.base import Context, Pass
from snnport.passes.paths import Path, walk

Spikes: TypeAlias = npt.NDArray[Any]
DENSE = (nir.Affine, nir.Linear)


@dataclass(frozen=True)
class Rewrite(Pass):
    """A pass that changes the form of a network."""

    def expected(self, spikes: Spikes, shape: Shape) -> Spikes:
        """What an output population of `shape` should send afterwards, for the spikes (..., n) it sent before."""
        return spikes

    def noted(self, ctx: Context, node: str, kind: str, became: Sequence[str], why: str) -> None:
        """Enter into the ledger what became of a node."""
        ctx.note(Entry(node, kind, "became", tuple(became), why, self.spelling))

    def refuse(self, where: str, what: str, remedy: str = "check --fix offers it where it can work") -> PassFailed:
        """The error for a graph on which this rewriting has no meaning."""
        return PassFailed(f"{self.spelling}: {where}", what, remedy)

    def node_of(self, graph: Graph, name: str, *kinds: type[nir.NIRNode]) -> Any:
        """The node `name`, one of `kinds`. Raises PassFailed."""
        node = graph.nodes.get(name)
        if not isinstance(node, kinds):
            found = "there is no such node" if node is None else f"it is a {type(node).__name__}"
            raise self.refuse(name, f"{found}, wanted is {' or '.join(k.__name__ for k in kinds)}")
        return node


def paths_into(graph: Graph, name: str) -> tuple[Path, ...]:
    """The paths whose target is population `name`."""
    return tuple(path for path in walk(graph)[0] if path.target == name)


def paths_from(graph: Graph, name: str) -> tuple[Path, ...]:
    """The paths whose source is population `name`."""
    return tuple(path for path in walk(graph)[0] if path.source == name)


def weighted_into(graph: Graph, name: str) -> tuple[str, ...]:
    """The weighted nodes that lead into population `name`, each once."""
    return tuple(dict.fromkeys(p.weighted for p in paths_into(graph, name) if p.weighted is not None))


def private(graph: Graph, name: str) -> bool:
    """Whether the weights into and behind population `name` are its own: every way has some, none has another end."""
    paths = walk(graph)[0]
    around = [p for p in paths if name in (p.source, p.target)]
    if any(p.weighted is None for p in around):
        return False
    into = {p.weighted for p in around if p.target == name}
    behind = {p.weighted for p in around if p.source == name}
    single = all(p.target == name for p in paths if p.weighted in into)
    return single and not into & behind and all(p.source == name for p in paths if p.weighted in behind)


def altered(node: Any, **fields: Any) -> Any:
    """A copy of `node` with other fields."""
    new = copy(node)
    for key, value in fields.items():
        setattr(new, key, value)
    return new


def rows(node: Any, chosen: Sequence[int | None]) -> Any:
    """A weighted node with the output channels `chosen`; None is a channel without weights."""
    changed = {"weight": _taken(node.weight, chosen)}
    if getattr(node, "bias", None) is not None:
        changed["bias"] = _taken(np.broadcast_to(node.bias, (len(node.weight),)), chosen)
    return altered(node, **changed)


def columns(node: Any, chosen: Sequence[int], size: int) -> Any:
    """A weighted node that sees the input channels `chosen` alone; size: neurons a channel, for a dense node."""
    if isinstance(node, DENSE):
        index = np.concatenate([np.arange(c * size, (c + 1) * size) for c in chosen])
        return altered(node, weight=node.weight[:, index])
    return altered(node, weight=node.weight[:, list(chosen)], input_shape=node.input_shape)


def neurons(node: Any, shape: Shape, chosen: Sequence[int | None]) -> Any:
    """A neuron node of `shape` (channels, ...) with the channels `chosen`; None has the parameters of the first."""
    full = {
        key: np.broadcast_to(np.asarray(value), shape)[[c or 0 for c in chosen]]
        for key, value in vars(node).items()
        if isinstance(value, np.ndarray) and key not in ("input_type", "output_type", "metadata")
    }
    size = (len(chosen), *shape[1:])
    types: Any = {"input": np.array(size)}, {"output": np.array(size)}
    return altered(node, **full, input_type=types[0], output_type=types[1])


def with_channels(graph: Graph, name: str, chosen: Sequence[int | None]) -> Graph:
    """`graph` whose population `name` has the channels `chosen` of those it had; None is a channel that nothing drives.

    Weights into it and behind it follow, and so do the Outputs that read it.
    """
    shape = shapes(graph)[name]
    kept = [c for c in chosen if c is not None]
    changed: dict[str, nir.NIRNode] = {name: neurons(graph.nodes[name], shape, chosen)}
    for weighted in weighted_into(graph, name):
        changed[weighted] = rows(graph.nodes[weighted], chosen)
    for path in paths_from(graph, name):
        assert path.weighted is not None
        before = shapes(graph)[path.pools[-1] if path.pools else name]
        changed[path.weighted] = columns(graph.nodes[path.weighted], kept, int(np.prod(before[1:])))
    return open_outputs(with_nodes(graph, changed))


def open_outputs(graph: Graph) -> Graph:
    """`graph` with Outputs that take the shape of their source."""
    free = {name: output_node() for name, node in graph.nodes.items() if isinstance(node, nir.Output)}
    for name, node in free.items():
        node.metadata = graph.nodes[name].metadata
    opened = with_nodes(graph, free)
    sizes = shapes(opened)
    for name in free:
        shaped = output_node(sizes[name])
        shaped.metadata = graph.nodes[name].metadata
        opened = with_nodes(opened, {name: shaped})
    return opened


def rewired(graph: Graph, nodes: dict[str, nir.NIRNode], edges: Sequence[tuple[str, str]]) -> Graph:
    """`graph` of other nodes and edges; nodes that no edge has left are gone."""
    used = {end for edge in edges for end in edge}
    return build({k: v for k, v in nodes.items() if k in used}, list(dict.fromkeys(edges)), graph.metadata)


def said_of(graph: Graph, made: Mapping[str, str]) -> Graph:
    """`graph` whose metadata say of each new population what they said of the one it was made of; old ones that are gone
    are said nothing of. made: new name -> old name.
    """
    text = graph.metadata.get("snnport")
    if text is None:
        return graph
    data = json.loads(text)
    windows = (data.get("coding") or {}).get("windows", {})
    if windows:
        every = {**windows, **{new: windows[old] for new, old in made.items() if old in windows}}
        data["coding"]["windows"] = {name: window for name, window in every.items() if name in graph.nodes}
    rule = data.get("convention") or {}
    for key in ("reset_first", "unbounded"):
        named = rule.get(key, [])
        more = [new for new, old in made.items() if old in named]
        if named:
            rule[key] = [name for name in (*named, *more) if name in graph.nodes]
    return build(graph.nodes, graph.edges, {**graph.metadata, "snnport": json.dumps(data)})


def _taken(values: Any, chosen: Sequence[int | None]) -> npt.NDArray[Any]:
    source = np.asarray(values)
    result = np.zeros((len(chosen), *source.shape[1:]), source.dtype)
    for i, c in enumerate(chosen):
        if c is not None:
            result[i] = source[c]
    return result
