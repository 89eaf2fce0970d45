"""The graph: nir.NIRGraph, the ANN nodes that NIR lacks, and the only functions that build and edit graphs.

Graphs here have no batch and no time axis; maps are (channels, height, width). A node with several incoming edges adds
them (NIR's fan-in). Every editing function returns a new graph and leaves the one it was given alone. nir's own type
inference is not used to build: it misreads grouped and non-square convolutions (nir 1.0.8); `shapes` here is exact, and
exporters/nir.py writes what nir's check accepts.
"""

from __future__ import annotations

import copy as _copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, UnsupportedNode

Shape: TypeAlias = tuple[int, ...]
Edge: TypeAlias = tuple[str, str]
Graph: TypeAlias = nir.NIRGraph  # noqa: TID251
Real: TypeAlias = npt.NDArray[np.floating]


@dataclass(eq=False)
class ReLU(nir.NIRNode):
    """y = min(max(x, 0), maximum); `maximum` is infinite for a plain rectifier. Exists before conversion only."""

    maximum: float = float("inf")

    def __post_init__(self) -> None:
        _leave_types_open(self)


@dataclass(eq=False)
class QuantReLU(nir.NIRNode):
    """y = gain * n, n = clip(floor(x / step + 1/2), 0, levels): a rectifier that counts 0..levels. Before conversion only.

    gain is the real value of one count: `step` while weights take real activations, 1 once they take counts.
    `metadata["theta"]`, once weights are quantised, is the step counted in weight codes: an even integer.
    """

    step: float
    levels: int
    gain: float

    def __post_init__(self) -> None:
        _leave_types_open(self)


@dataclass(eq=False)
class BatchNorm(nir.NIRNode):
    """y = scale * x + shift, one scale and one shift a channel (first axis). Exists before conversion only."""

    scale: Real
    shift: Real

    def __post_init__(self) -> None:
        _leave_types_open(self)


@dataclass(eq=False)
class MaxPool2d(nir.NIRNode):
    """The greatest value of each window; positions in the padding do not take part. Exists before conversion only.

    kernel_size and stride are (height, width), padding is (top, left, bottom, right).
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]

    def __post_init__(self) -> None:
        _leave_types_open(self)


def _leave_types_open(node: nir.NIRNode) -> None:
    open_types: Any = {"input": None}, {"output": None}
    node.input_type, node.output_type = open_types


ANN_NODES = (ReLU, QuantReLU, BatchNorm, MaxPool2d)
LINEAR_NODES = (nir.Conv1d, nir.Conv2d, nir.Affine, nir.Linear, nir.Scale, nir.SumPool2d, nir.AvgPool2d, nir.Flatten)
WEIGHTED_NODES = (nir.Conv1d, nir.Conv2d, nir.Affine, nir.Linear, nir.Scale)
NEURON_NODES = (nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF)


# ---------------------------------------------------------------------------------------------- building and editing


def build(nodes: Mapping[str, nir.NIRNode], edges: Iterable[Edge], metadata: Mapping[str, Any] | None = None) -> Graph:
    """A graph of `nodes` and `edges`. Raises InvalidGraph on an edge to nowhere or given twice."""
    edge_list = list(edges)
    for edge in edge_list:
        for end in edge:
            if end not in nodes:
                raise InvalidGraph(f"edge {edge[0]} -> {edge[1]}", f"there is no node '{end}'")
    if len(set(edge_list)) != len(edge_list):
        twice = next(edge for edge in edge_list if edge_list.count(edge) > 1)
        raise InvalidGraph(f"edge {twice[0]} -> {twice[1]}", "it is given twice")
    return Graph(dict(nodes), edge_list, dict(metadata or {}), type_check=False)


def input_node(shape: Sequence[int]) -> nir.Input:
    """An Input of the given shape."""
    types: Any = {"input": np.array(shape)}
    return nir.Input(types)


def output_node(shape: Sequence[int] | None = None) -> nir.Output:
    """An Output; without a shape it takes that of its source."""
    types: Any = {"output": None if shape is None else np.array(shape)}
    return nir.Output(types)


def flatten_node(shape: Sequence[int]) -> nir.Flatten:
    """A Flatten of all axes of an input of the given shape."""
    types: Any = {"input": np.array(shape)}
    return nir.Flatten(types, 0, -1)


def copy(graph: Graph) -> Graph:
    """A graph that shares no node and no array with `graph`."""
    return _copy.deepcopy(graph)


def chain(nodes: Mapping[str, nir.NIRNode], metadata: Mapping[str, Any] | None = None) -> Graph:
    """A graph whose nodes follow one another in the order of `nodes`."""
    return build(nodes, pairwise(nodes), metadata)


def with_nodes(graph: Graph, changed: Mapping[str, nir.NIRNode]) -> Graph:
    """`graph` with the nodes of `changed` in place of those of the same name."""
    return build({**graph.nodes, **changed}, graph.edges, graph.metadata)


def with_metadata(node: nir.NIRNode, **entries: Any) -> nir.NIRNode:
    """A copy of `node` whose metadata also holds `entries`."""
    new = _copy.copy(node)
    new.metadata = {**node.metadata, **entries}
    return new


def without_node(graph: Graph, name: str) -> Graph:
    """`graph` without node `name`, its sources wired to its destinations.

    Raises InvalidGraph where an edge is there already: NIR cannot add a source twice.
    """
    around = [(a, b) for a in predecessors(graph, name) for b in successors(graph, name) if name not in (a, b)]
    edges = [*(edge for edge in graph.edges if name not in edge), *around]
    return build({k: v for k, v in graph.nodes.items() if k != name}, edges, graph.metadata)


def with_node_on_edge(graph: Graph, edge: Edge, name: str, node: nir.NIRNode) -> Graph:
    """`graph` with `node`, called `name`, put on `edge`."""
    edges = [e for e in graph.edges if e != edge] + [(edge[0], name), (name, edge[1])]
    return build({**graph.nodes, name: node}, edges, graph.metadata)


def fresh_name(graph: Graph, wish: str) -> str:
    """`wish`, or `wish_2`, `wish_3`, ...: the first that no node of `graph` has."""
    name, number = wish, 1
    while name in graph.nodes:
        number += 1
        name = f"{wish}_{number}"
    return name


# --------------------------------------------------------------------------------------------------------- questions


def predecessors(graph: Graph, name: str) -> tuple[str, ...]:
    """Names of the nodes with an edge into `name`, in the order of the edges."""
    return tuple(a for a, b in graph.edges if b == name)


def successors(graph: Graph, name: str) -> tuple[str, ...]:
    """Names of the nodes with an edge from `name`, in the order of the edges."""
    return tuple(b for a, b in graph.edges if a == name)


def names_of(graph: Graph, *kinds: type[nir.NIRNode]) -> tuple[str, ...]:
    """Names of the nodes that are of one of `kinds`, in topological order."""
    return tuple(name for name in topological_order(graph) if isinstance(graph.nodes[name], kinds))


def the_input(graph: Graph) -> str:
    """Name of the one Input node. Raises InvalidGraph if there is not exactly one."""
    return _the_only(graph, nir.Input)


def the_output(graph: Graph) -> str:
    """Name of the one Output node. Raises InvalidGraph if there is not exactly one."""
    return _the_only(graph, nir.Output)


def _the_only(graph: Graph, kind: type[nir.NIRNode]) -> str:
    found = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(found) != 1:
        raise InvalidGraph("graph", f"it has {len(found)} {kind.__name__} nodes, 1 is needed here")
    return found[0]


def topological_order(graph: Graph) -> tuple[str, ...]:
    """Node names, every node after its sources; an edge that closes a loop (recurrence) is not followed."""
    back = back_edges(graph)
    waiting = {name: {a for a in predecessors(graph, name) if (a, name) not in back} for name in graph.nodes}
    order: list[str] = []
    while waiting:
        ready = [name for name, sources in waiting.items() if not sources]
        order.extend(ready)
        waiting = {name: sources - set(ready) for name, sources in waiting.items() if name not in ready}
    return tuple(order)


def back_edges(graph: Graph) -> frozenset[Edge]:
    """The edges that close a loop when the graph is walked from its inputs in the order of its edges."""
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        after[a].append(b)
    roots = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    closed: set[Edge] = set()
    state: dict[str, str] = {}
    for root in [*roots, *graph.nodes]:
        if root in state:
            continue
        state[root] = "open"
        stack = [(root, iter(after[root]))]
        while stack:
            name, targets = stack[-1]
            for target in targets:
                if state.get(target) == "open":
                    closed.add((name, target))
                elif target not in state:
                    state[target] = "open"
                    stack.append((target, iter(after[target])))
                    break
            else:
                state[name] = "done"
                stack.pop()
    return frozenset(closed)


# ------------------------------------------------------------------------------------------------------------ shapes


def shapes(graph: Graph) -> dict[str, Shape]:
    """Output shape of every node, without batch and time. Raises InvalidGraph where two shapes contradict each other."""
    back = back_edges(graph)
    known: dict[str, Shape] = {}
    for name in topological_order(graph):
        node = graph.nodes[name]
        sources = predecessors(graph, name)
        incoming = [known[a] for a in sources if (a, name) not in back]
        if isinstance(node, nir.Input):
            known[name] = _ints(node.input_type["input"])
            continue
        if sources and not incoming:
            incoming = [own_input_shape(name, node)]
        if not incoming:
            raise InvalidGraph(name, f"this {type(node).__name__} has no input", "Connect it or remove it")
        if len(set(incoming)) > 1:
            raise InvalidGraph(name, f"the inputs it adds differ in shape: {', '.join(map(str, incoming))}")
        known[name] = output_shape(name, node, incoming[0])
    for a, b in back:
        from_outside = next((known[c] for c in predecessors(graph, b) if (c, b) not in back), None)
        first = from_outside or own_input_shape(b, graph.nodes[b])
        if known[a] != first:
            raise InvalidGraph(b, f"the inputs it adds differ in shape: {first}, {known[a]} (the loop from {a})")
    return known


def own_input_shape(name: str, node: nir.NIRNode) -> Shape:
    """The input shape that the parameters of a node tell, for one fed by a loop alone. Raises InvalidGraph if they do not."""
    if isinstance(node, nir.Affine | nir.Linear):
        return (int(node.weight.shape[1]),)
    if isinstance(node, NEURON_NODES) and np.ndim(node.r):
        return np.shape(node.r)
    raise InvalidGraph(name, "it is fed by a loop alone, and its parameters do not tell its shape", "Give the graph an input")


def input_shapes(graph: Graph) -> dict[str, Shape]:
    """Input shape of every node that has a source."""
    outputs = shapes(graph)
    return {name: outputs[sources[0]] for name in graph.nodes if (sources := predecessors(graph, name))}


def output_shape(name: str, node: nir.NIRNode, shape: Shape) -> Shape:
    """Shape of the output of `node` on an input of `shape`. Raises InvalidGraph or UnsupportedNode, naming `name`."""
    for kind, rule in _SHAPE_RULES.items():
        if isinstance(node, kind):
            return rule(name, node, shape)
    raise UnsupportedNode(name, f"there is no shape rule for {type(node).__name__}")


def pair(value: Any) -> tuple[int, int]:
    """A (height, width) pair of an int, a pair, or an array of one or two."""
    numbers = _ints(np.broadcast_to(np.asarray(value).reshape(-1), (2,)))
    return numbers[0], numbers[1]


def conv_padding(node: nir.Conv2d) -> tuple[int, int, int, int]:
    """Padding of a convolution as (top, left, bottom, right), its 'same' and 'valid' resolved (torch's rule for 'same')."""
    if isinstance(node.padding, str):
        if node.padding == "valid":
            return 0, 0, 0, 0
        kernel, dilation = node.weight.shape[2:], pair(node.dilation)
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2
    height, width = pair(node.padding)
    return height, width, height, width


def window_positions(
    size: tuple[int, int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int] = (1, 1),
) -> tuple[int, int]:
    """How many windows fit: (height, width) of the output map. padding is (top, left, bottom, right)."""
    height, width = (
        (size[i] + padding[i] + padding[i + 2] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    )
    return height, width


def ungrouped(node: nir.Conv2d) -> npt.NDArray[np.float64]:
    """The weight (out, in, kh, kw) of the convolution without groups that computes the same; zeros between groups."""
    groups, (outputs, inputs) = int(node.groups), node.weight.shape[:2]
    weight = np.zeros((outputs, inputs * groups, *node.weight.shape[2:]))
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        weight[rows, group * inputs : (group + 1) * inputs] = node.weight[rows]
    return weight


def _ints(values: Any) -> Shape:
    return tuple(int(v) for v in np.asarray(values).reshape(-1))


def _map(name: str, shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise InvalidGraph(name, f"it needs a (channels, height, width) map and gets {shape}")
    return shape[0], shape[1], shape[2]


def _conv2d(name: str, node: nir.Conv2d, shape: Shape) -> Shape:
    channels, height, width = _map(name, shape)
    wanted = node.weight.shape[1] * int(node.groups)
    if channels != wanted:
        raise InvalidGraph(name, f"its input has {channels} channels, its weight takes {wanted}")
    size = window_positions((height, width), node.weight.shape[2:], pair(node.stride), conv_padding(node), pair(node.dilation))
    if min(size) < 1:
        raise InvalidGraph(name, f"its kernel {node.weight.shape[2:]} is larger than its padded input {shape}")
    return (int(node.weight.shape[0]), *size)


def _conv1d(name: str, node: nir.Conv1d, shape: Shape) -> Shape:
    if len(shape) != 2 or shape[0] != node.weight.shape[1] * int(node.groups):
        raise InvalidGraph(name, f"its input is {shape}, its weight takes ({node.weight.shape[1] * int(node.groups)}, length)")
    span = int(node.dilation) * (node.weight.shape[2] - 1)
    padding = {"valid": 0, "same": span}.get(node.padding) if isinstance(node.padding, str) else 2 * int(node.padding)
    length = (shape[1] + int(padding or 0) - span - 1) // int(node.stride) + 1
    if length < 1:
        raise InvalidGraph(name, f"its kernel {node.weight.shape[2]} is larger than its padded input {shape}")
    return int(node.weight.shape[0]), length


def _dense(name: str, node: nir.Affine | nir.Linear, shape: Shape) -> Shape:
    if shape != (node.weight.shape[1],):
        raise InvalidGraph(name, f"its input is {shape}, its weight takes ({node.weight.shape[1]},)")
    return (int(node.weight.shape[0]),)


def _pool(name: str, node: nir.SumPool2d | nir.AvgPool2d, shape: Shape) -> Shape:
    channels, height, width = _map(name, shape)
    pad = pair(node.padding)
    size = window_positions((height, width), pair(node.kernel_size), pair(node.stride), (*pad, *pad))
    if min(size) < 1:
        raise InvalidGraph(name, f"its kernel {pair(node.kernel_size)} is larger than its padded input {shape}")
    return (channels, *size)


def _max_pool(name: str, node: MaxPool2d, shape: Shape) -> Shape:
    channels, height, width = _map(name, shape)
    size = window_positions((height, width), node.kernel_size, node.stride, node.padding)
    if min(size) < 1:
        raise InvalidGraph(name, f"its kernel {node.kernel_size} is larger than its padded input {shape}")
    return (channels, *size)


def _flatten(name: str, node: nir.Flatten, shape: Shape) -> Shape:
    start = int(node.start_dim) % max(len(shape), 1)
    end = int(node.end_dim) % max(len(shape), 1)
    return (*shape[:start], int(np.prod(shape[start : end + 1], dtype=np.int64)), *shape[end + 1 :])


def _channelwise(name: str, node: BatchNorm, shape: Shape) -> Shape:
    if node.scale.shape != shape[:1]:
        raise InvalidGraph(name, f"its input has shape {shape}, it scales {node.scale.size} channels")
    return shape


def _neuron(name: str, node: nir.NIRNode, shape: Shape) -> Shape:
    field = "r" if hasattr(node, "r") else "threshold"
    parameter = np.shape(getattr(node, field))
    if parameter not in ((), (1,), shape):
        raise InvalidGraph(name, f"its parameters have shape {parameter}, its input {shape}")
    return shape


def _scale(name: str, node: nir.Scale, shape: Shape) -> Shape:
    try:
        result = np.broadcast_shapes(np.shape(node.scale), shape)
    except ValueError:
        result = ()
    if result != shape:
        raise InvalidGraph(name, f"its scale has shape {np.shape(node.scale)}, its input {shape}")
    return shape


def _output(name: str, node: nir.Output, shape: Shape) -> Shape:
    declared = node.output_type.get("output")
    if declared is not None and _ints(declared) != shape:
        raise InvalidGraph(name, f"it declares {_ints(declared)} and gets {shape}")
    return shape


def _same(name: str, node: nir.NIRNode, shape: Shape) -> Shape:
    return shape


_SHAPE_RULES: dict[type[nir.NIRNode], Callable[[str, Any, Shape], Shape]] = {
    nir.Conv2d: _conv2d,
    nir.Conv1d: _conv1d,
    nir.Affine: _dense,
    nir.Linear: _dense,
    nir.SumPool2d: _pool,
    nir.AvgPool2d: _pool,
    MaxPool2d: _max_pool,
    nir.Flatten: _flatten,
    BatchNorm: _channelwise,
    nir.Scale: _scale,
    nir.Output: _output,
    nir.Delay: _same,
    ReLU: _same,
    QuantReLU: _same,
    **dict.fromkeys((*NEURON_NODES, nir.Threshold), _neuron),
}
