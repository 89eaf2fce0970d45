"""The stateless part of a graph as an importer takes it: every layer of a kind that it builds rightly, loops, order and names.

Exact rewritings: a sum or mean over windows as a convolution with ones, a Scale as a diagonal layer, a Linear as an Affine with
bias 0, the bias of a loop in front of it. What has none is a Difference.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import nir
import numpy as np

from snnport.convention import Convention
from snnport.exporters.nir_fit import Array, Difference
from snnport.exporters.nir_loaders import Loader
from snnport.graph import (
    Edge,
    Graph,
    back_edges,
    build,
    fresh_name,
    predecessors,
    shapes,
    successors,
    topological_order,
    with_node_on_edge,
    with_nodes,
)
from snnport.nodes import NEURON_NODES, Shape, pair


@dataclass
class Work:
    """A graph on its way, what differs, and what was done."""

    graph: Graph
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def differs(self, rule: str, where: str, what: str, *, fatal: bool = False) -> None:
        """Note a rule that the importer does not share."""
        self.differences.append(Difference(rule, where, what, fatal))


def with_known_layers(work: Work, loader: Loader) -> None:
    """Every stateless node of a kind that the importer builds rightly."""
    sizes = shapes(work.graph)
    for name, node in list(work.graph.nodes.items()):
        if isinstance(node, (nir.Input, nir.Output, *NEURON_NODES)):
            continue
        sources = predecessors(work.graph, name)
        new, how = _known(node, sizes[sources[0]], loader)
        if new is None:
            work.differs("node", name, f"{loader.title} builds no {type(node).__name__} {how}".rstrip(), fatal=True)
        elif new is not node:
            work.graph = with_nodes(work.graph, {name: new})
            work.notes.append(f"{name}: {type(node).__name__} written as {type(new).__name__}{how}")


def _known(node: Any, shape: Shape, loader: Loader) -> tuple[nir.NIRNode | None, str]:
    """The equal node of a kind that the importer builds, and how it came about."""
    kind = type(node).__name__
    if kind == "Linear" and "Linear" not in loader.linear and "Affine" in loader.linear:
        return nir.Affine(node.weight, np.zeros(len(node.weight)), metadata=dict(node.metadata)), " with bias 0"
    if kind == "Affine" and "Affine" not in loader.linear and "Linear" in loader.linear:
        if np.any(node.bias):
            return None, "with a bias"
        return nir.Linear(node.weight, metadata=dict(node.metadata)), ""
    if kind in ("SumPool2d", "AvgPool2d"):
        area = int(np.prod(pair(node.kernel_size)))
        plain = not np.any(node.padding) and (area & (area - 1)) == 0
        if kind in loader.linear and (plain or kind == "AvgPool2d" or loader.own):
            return node, ""
        if "Conv2d" in loader.linear:
            return _windows(node, shape, 1.0 if kind == "SumPool2d" else 1.0 / area), " with one weight a window"
    if kind == "Scale" and kind not in loader.linear:
        return diagonal(np.broadcast_to(np.asarray(node.scale, np.float64), shape), loader), ""
    return (node, "") if kind in loader.linear else (None, "")


def _windows(node: Any, shape: Shape, value: float) -> nir.NIRNode:
    """The convolution that sums each window of each channel, times `value`."""
    weight = np.zeros((shape[0], shape[0], *pair(node.kernel_size)))
    weight[np.arange(shape[0]), np.arange(shape[0])] = value
    options: Any = (shape[1:], weight, pair(node.stride), pair(node.padding), (1, 1), 1, np.zeros(shape[0]))
    conv: nir.NIRNode = nir.Conv2d(*options)
    return conv


def diagonal(values: Array, loader: Loader) -> nir.NIRNode | None:
    """A layer that multiplies each neuron by its value; None where the importer has none for a map of many values."""
    if values.ndim == 1:
        affine = "Affine" in loader.linear
        return nir.Affine(np.diag(values), np.zeros(len(values))) if affine else nir.Linear(np.diag(values))
    channels = values.reshape(len(values), -1)
    if values.ndim != 3 or "Conv2d" not in loader.linear or np.ptp(channels, axis=1).any():
        return None
    weight = np.diag(channels[:, 0])[:, :, None, None]
    options: Any = (values.shape[1:], weight, (1, 1), (0, 0), (1, 1), 1, np.zeros(len(values)))
    conv: nir.NIRNode = nir.Conv2d(*options)
    return conv


def multiplied(work: Work, name: str, factor: Array, loader: Loader) -> None:
    """Everything that enters `name` times `factor`: in the weights before it where they serve it alone, else in a new layer."""
    if np.all(factor == 1.0):
        return
    sources = predecessors(work.graph, name)
    scaled = {a: _scaled(work.graph.nodes[a], factor) for a in sources if successors(work.graph, a) == (name,)}
    if len(scaled) == len(sources) and all(node is not None for node in scaled.values()):
        work.graph = with_nodes(work.graph, {a: node for a, node in scaled.items() if node is not None})
        work.notes.append(f"{name}: {_spread(factor)} folded into the weights of {', '.join(sources)}")
        return
    layer = diagonal(factor, loader)
    if layer is None:
        work.differs(
            "gain", name, f"its input would have to come times {_spread(factor)}, and no layer can do that", fatal=True
        )
        return
    new = fresh_name(work.graph, f"{name}_gain")
    edges: list[Edge] = [(a, new) if b == name else (a, b) for a, b in work.graph.edges]
    nodes = {key: node for old in work.graph.nodes for key, node in ((new, layer), (old, work.graph.nodes[old]))[old != name :]}
    work.graph = build(nodes, [*edges, (new, name)], work.graph.metadata)
    work.notes.append(f"{name}: {_spread(factor)} in a new layer before it, {new}")


def _spread(values: Array) -> str:
    low, high = float(values.min()), float(values.max())
    return f"the factor {low:.6g}" if low == high else f"factors {low:.6g} to {high:.6g}"


def _scaled(node: Any, factor: Array) -> nir.NIRNode | None:
    """`node` with its output times `factor`; None if its weights cannot do that."""
    if not isinstance(node, nir.Affine | nir.Linear | nir.Conv1d | nir.Conv2d):
        return None
    rows = factor.reshape(len(factor), -1)
    if np.ptp(rows, axis=1).any():
        return None
    row = rows[:, 0]
    changes: dict[str, Any] = {"weight": node.weight * row.reshape(-1, *[1] * (node.weight.ndim - 1))}
    if not isinstance(node, nir.Linear):
        changes["bias"] = np.asarray(node.bias) * row
    scaled: nir.NIRNode = replace(node, **changes)
    return scaled


def with_loops(work: Work, source: Convention, target: Convention, loader: Loader) -> None:
    """Loops as the importer runs them."""
    back = back_edges(work.graph)
    if not back:
        return
    if loader.loops == "none":
        work.differs("recurrence", ", ".join(sorted({b for _, b in back})), f"{loader.title} builds no loops", fatal=True)
        return
    if source.loop_start == "rest" and target.loop_start == "nothing":
        for edge in sorted(back):
            _bias_moved(work, edge)
    elif source.loop_start != target.loop_start and any(np.any(getattr(work.graph.nodes[a], "bias", 0.0)) for a, _ in back):
        where = ", ".join(sorted({a for a, _ in back}))
        work.differs("loop_start", where, "with the importer the biases of a loop count in the first step too")
    if loader.loops == "long":
        for a, b in sorted(back):
            if (b, a) in work.graph.edges:
                size = shapes(work.graph)[a]
                same = diagonal(np.ones(size), loader)
                if same is None:
                    work.differs("recurrence", b, "a loop of two nodes over maps", fatal=True)
                    continue
                name = fresh_name(work.graph, f"{a}_same")
                work.graph = with_node_on_edge(work.graph, (a, b), name, same)
                work.notes.append(f"{a}: a layer of ones behind it, {name}: the importer takes loops of two nodes apart")


def _bias_moved(work: Work, edge: Edge) -> None:
    """The bias of the layer that closes a loop moved to a layer in front, where it counts from the first step on."""
    a, b = edge
    node: Any = work.graph.nodes[a]
    rest = getattr(node, "bias", None)
    if rest is None or not np.any(rest):
        if any(np.any(getattr(work.graph.nodes[c], "bias", 0.0)) for c in _behind_neurons(work.graph, a)):
            work.differs("loop_start", a, "biases within this loop count from the first step on, with the importer later")
        return
    front = [c for c in predecessors(work.graph, b) if (c, b) != edge and successors(work.graph, c) == (b,)]
    dense = next((c for c in front if isinstance(work.graph.nodes[c], nir.Affine | nir.Linear)), None)
    if dense is None or not isinstance(node, nir.Affine):
        work.differs("loop_start", a, "its bias counts from the first step on, with the importer from the second")
        return
    first: Any = work.graph.nodes[dense]
    moved = nir.Affine(first.weight, getattr(first, "bias", np.zeros(len(rest))) + rest, metadata=dict(first.metadata))
    work.graph = with_nodes(work.graph, {a: replace(node, bias=np.zeros_like(rest)), dense: moved})
    work.notes.append(f"{a}: its bias moved to {dense}, so that it counts in the first step too")


def _behind_neurons(graph: Graph, name: str) -> list[str]:
    """The stateless nodes from the last neurons up to `name`."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        at = waiting.pop()
        if at not in found and not isinstance(graph.nodes[at], (nir.Input, *NEURON_NODES)):
            found.append(at)
            waiting += predecessors(graph, at)
    return found


def ordered(work: Work, loader: Loader) -> None:
    """Nodes and edges in the order in which the importer runs them rightly."""
    graph = work.graph
    place = {name: i for i, name in enumerate(topological_order(graph))}
    if loader.order == "chain" and any(
        len(successors(graph, name)) > 1 or len(predecessors(graph, name)) > 1 for name in place
    ):
        work.differs("branches", "graph", f"{loader.title} builds one chain of layers", fatal=True)
    outputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]
    inputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    for kind, names in (("Input", inputs), ("Output", outputs)):
        if len(names) != 1 and not loader.own:
            work.differs("node", "graph", f"it has {len(names)} {kind} nodes, {loader.title} takes 1", fatal=True)
    leads = _leading(graph, outputs)
    edges = sorted(graph.edges, key=lambda edge: (place[edge[0]], edge[1] in leads, place[edge[1]]))
    work.graph = build({name: graph.nodes[name] for name in place}, edges, graph.metadata)
    if loader.order == "walk" and len(inputs) == 1:
        _check_walk(work, inputs[0], place, loader)


def _leading(graph: Graph, outputs: list[str]) -> set[str]:
    """Nodes from which an Output is reached without closing a loop."""
    back = back_edges(graph)
    found = set(outputs)
    waiting = list(outputs)
    while waiting:
        at = waiting.pop()
        new = [a for a in predecessors(graph, at) if (a, at) not in back and a not in found]
        found |= set(new)
        waiting += new
    return found


def _check_walk(work: Work, start: str, place: Mapping[str, int], loader: Loader) -> None:
    """nirtorch runs nodes in the order of a depth-first walk; a node met before one of its sources takes an old value."""
    order: list[str] = []
    waiting = [start]
    while waiting:
        at = waiting.pop()
        if at not in order:
            order.append(at)
            waiting += [b for a, b in reversed(work.graph.edges) if a == at]
    back = back_edges(work.graph)
    early = [(a, b) for a, b in work.graph.edges if (a, b) not in back and order.index(a) > order.index(b)]
    for a, b in early:
        work.differs("order", b, f"{loader.title} runs it before {a}, which it adds, and would take that from the step before")
    if not early and not isinstance(work.graph.nodes[order[-1]], nir.Output):
        work.differs("order", order[-1], f"{loader.title} would give this node's values for the network's")


def named(work: Work) -> dict[str, str]:
    """Names that HDF5, torch and Python take, Input and Output called input and output. Returns old name -> new."""
    taken: set[str] = set()
    names: dict[str, str] = {}
    for name, node in work.graph.nodes.items():
        wish = {nir.Input: "input", nir.Output: "output"}.get(type(node), "")
        wish = wish or re.sub(r"\W", "_", name, flags=re.ASCII)
        if not re.match(r"[A-Za-z]", wish) or (wish in _TAKEN and not isinstance(node, nir.Input | nir.Output)):
            wish = f"n_{wish}"
        unique, number = wish, 1
        while unique in taken:
            number += 1
            unique = f"{wish}_{number}"
        taken.add(unique)
        names[name] = unique
    nodes = {names[name]: node for name, node in work.graph.nodes.items()}
    edges = [(names[a], names[b]) for a, b in work.graph.edges]
    work.graph = build(nodes, edges, work.graph.metadata)
    changed = [f"{old} as {new}" for old, new in names.items() if old != new]
    if changed:
        work.notes.append(f"nodes renamed: {', '.join(changed)}")
    return names


_TORCH = """add_module add_submodule apply bfloat16 buffers call_super_init children code compile cpu cuda double dump_patches
eval execution_order extra_repr float forward get_buffer get_execution_order get_extra_state get_input_nodes get_parameter
get_submodule graph half input inputs instantiate_modules ipu load_state_dict modules mtia named_buffers named_children
named_modules named_parameters output parameters print_readable recompile requires_grad_ return_state set_submodule
share_memory state state_dict stateful_modules to to_empty train training type xpu zero_grad"""
_TAKEN = frozenset((*keyword.kwlist, *dir(dict), *_TORCH.split()))
"""Names that Python, a dictionary of torch modules, or a torch module of nirtorch's have for something else."""
