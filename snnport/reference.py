"""Plain execution of graphs: the oracle of passes, lowering and engine.

`forward` runs a feed-forward ANN graph. With `integers=True` it runs the quantised ANN on its integer codes: a weighted
node contributes rint(weight / scale) and rint(bias / scale), a QuantReLU counts floor((z + theta / 2) / theta) clipped to
0..levels. Sums of integers are taken in float64, which is exact while every partial sum stays below 2^53; this is checked.
`run_spiking` steps a spiking graph through time under a Convention.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Coding, Convention, Window
from snnport.errors import InvalidGraph, InvalidInput, UnsupportedNode
from snnport.graph import Graph, back_edges, predecessors, shapes, the_input, the_output, topological_order
from snnport.nodes import NEURON_NODES, BatchNorm, MaxPool2d, QuantReLU, ReLU, Shape, conv_padding, pair
from snnport.quant import codes_of
from snnport.trace import Trace

Array = npt.NDArray[np.float64]
EXACT = float(1 << 53)


def forward(graph: Graph, x: npt.ArrayLike, *, integers: bool = False, chunk: int = 256) -> Array:
    """Output (n_samples, *output shape) of a feed-forward ANN graph on x (n_samples, *input shape), both float64.

    With `integers`, x are the input counts and the result the integer logits (as float64 whole numbers).
    Raises InvalidInput on a wrong input shape, UnsupportedNode on a spiking neuron.
    """
    output = the_output(graph)
    return values_at(graph, x, [output], integers=integers, chunk=chunk)[output]


def values_at(
    graph: Graph, x: npt.ArrayLike, wanted: Collection[str], *, integers: bool = False, chunk: int = 256
) -> dict[str, Array]:
    """Outputs of the nodes `wanted`, as `forward` computes them."""
    samples = np.asarray(x)
    shape = shapes(graph)[the_input(graph)]
    if samples.shape[1:] != shape:
        raise InvalidInput("input", f"its samples have shape {samples.shape[1:]}, the network takes {shape}")
    prepared = {name: node_function(name, node, integers) for name, node in graph.nodes.items()}
    order = _needed(graph, wanted)
    parts: dict[str, list[Array]] = {name: [] for name in wanted}
    for start in range(0, len(samples), chunk):
        values = _walk(graph, order, prepared, samples[start : start + chunk].astype(np.float64), integers)
        for name in wanted:
            parts[name].append(values[name])
    sizes = shapes(graph)
    return {name: np.concatenate(p) if p else np.zeros((0, *sizes[name])) for name, p in parts.items()}


def _needed(graph: Graph, wanted: Collection[str]) -> list[str]:
    needed: set[str] = set()
    stack = list(wanted)
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack.extend(predecessors(graph, name))
    return [name for name in topological_order(graph) if name in needed]


def _walk(
    graph: Graph, order: list[str], prepared: Mapping[str, Callable[[Array], Array]], x: Array, integers: bool
) -> dict[str, Array]:
    values: dict[str, Array] = {}
    for name in order:
        if isinstance(graph.nodes[name], nir.Input):
            values[name] = x
            continue
        sources = predecessors(graph, name)
        total = values[sources[0]]
        for source in sources[1:]:
            total = total + values[source]
        values[name] = prepared[name](total)
        if integers and values[name].size and np.abs(values[name]).max() >= EXACT:
            raise InvalidGraph(name, "its integers exceed 2^53", "Use fewer levels or bits")
    return values


def node_function(name: str, node: nir.NIRNode, integers: bool = False) -> Callable[[Array], Array]:
    """The function that `node` applies to a batch (n_samples, *shape), its parameters resolved once."""
    if isinstance(node, nir.Conv2d):
        return conv2d(node, *_parameters(name, node, integers))
    if isinstance(node, nir.Conv1d):
        return _conv1d(node, *_parameters(name, node, integers))
    if isinstance(node, nir.Affine | nir.Linear):
        weight, bias = _parameters(name, node, integers)
        return lambda x: x @ weight.T + bias
    if isinstance(node, nir.Scale):
        scale = _real_or_codes(name, node, node.scale, integers)
        return lambda x: x * scale
    if isinstance(node, BatchNorm) and not integers:
        return lambda x: x * _channels(node.scale, x) + _channels(node.shift, x)
    if isinstance(node, ReLU) and not integers:
        return lambda x: np.clip(x, 0.0, node.maximum)
    if isinstance(node, QuantReLU):
        return quantised_relu(node, integers)
    if isinstance(node, MaxPool2d):
        return lambda x: _windows(x, node.kernel_size, node.stride, node.padding, -np.inf).max(axis=(-2, -1))
    if isinstance(node, nir.SumPool2d):
        return lambda x: _pool_windows(node, x).sum(axis=(-2, -1))
    if isinstance(node, nir.AvgPool2d) and not integers:
        return lambda x: _pool_windows(node, x).mean(axis=(-2, -1))
    if isinstance(node, nir.Flatten):
        return lambda x: x.reshape(len(x), -1)
    if isinstance(node, nir.Input | nir.Output):
        return lambda x: x
    return _refuse(name, node, integers)


def _refuse(name: str, node: nir.NIRNode, integers: bool) -> Callable[[Array], Array]:
    def refuse(x: Array) -> Array:
        kind = "integer" if integers else "feed-forward"
        raise UnsupportedNode(name, f"{type(node).__name__} has no {kind} execution")

    return refuse


def quantised_relu(node: QuantReLU, integers: bool) -> Callable[[Array], Array]:
    """Counts times the gain of a QuantReLU; the integer form gives counts and needs metadata 'theta'."""
    if not integers:
        return lambda x: node.gain * np.clip(np.floor(x / node.step + 0.5), 0, node.levels)
    theta = int(node.metadata["theta"])
    return lambda z: np.clip(np.floor((z + theta // 2) / theta), 0, node.levels)


def _parameters(name: str, node: Any, integers: bool) -> tuple[Array, Array]:
    weight = _real_or_codes(name, node, node.weight, integers)
    bias = getattr(node, "bias", None)
    if bias is None:
        return weight, np.zeros(len(weight))
    return weight, np.broadcast_to(_real_or_codes(name, node, bias, integers), (len(weight),))


def _real_or_codes(name: str, node: nir.NIRNode, values: npt.ArrayLike, integers: bool) -> Array:
    if not integers:
        return np.asarray(values, np.float64)
    if "scale" not in node.metadata:
        raise InvalidGraph(name, "it has no scale, so it has no integers", "Quantise the network first")
    return codes_of(values, float(node.metadata["scale"]), name).astype(np.float64)


def _channels(values: npt.ArrayLike, x: Array) -> Array:
    return np.asarray(values, np.float64).reshape(-1, *[1] * (x.ndim - 2))


def _pool_windows(node: nir.SumPool2d | nir.AvgPool2d, x: Array) -> Array:
    height, width = pair(node.padding)
    return _windows(x, pair(node.kernel_size), pair(node.stride), (height, width, height, width), 0.0)


def _windows(
    x: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    fill: float,
    dilation: tuple[int, int] = (1, 1),
) -> Array:
    """View (n, channels, height, width, kh, kw) of all windows of maps x (n, channels, h, w)."""
    top, left, bottom, right = padding
    if any(padding):
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def conv2d(node: nir.Conv2d, weight: Array, bias: Array) -> Callable[[Array], Array]:
    """The convolution of `node`'s geometry with the given weight (out, in / groups, kh, kw) and bias (out,)."""
    stride, dilation, padding = pair(node.stride), pair(node.dilation), conv_padding(node)
    groups = int(node.groups)
    kernel = (int(weight.shape[2]), int(weight.shape[3]))

    def apply(x: Array) -> Array:
        windows = _windows(x, kernel, stride, padding, 0.0, dilation)
        n, channels, height, width = windows.shape[:4]
        columns = windows.reshape(n, groups, channels // groups, height, width, *kernel).transpose(1, 0, 3, 4, 2, 5, 6)
        columns = columns.reshape(groups, n * height * width, -1)
        rows = weight.reshape(groups, len(weight) // groups, -1).transpose(0, 2, 1)
        out = np.matmul(columns, rows).reshape(groups, n, height, width, -1).transpose(1, 0, 4, 2, 3)
        result: Array = out.reshape(n, len(weight), height, width) + bias[:, None, None]
        return result

    return apply


def _conv1d(node: nir.Conv1d, weight: Array, bias: Array) -> Callable[[Array], Array]:
    padding = node.padding if isinstance(node.padding, str) else (0, int(node.padding))
    flat = nir.Conv2d(None, weight[:, :, None], (1, int(node.stride)), padding, (1, int(node.dilation)), int(node.groups), bias)
    apply = conv2d(flat, weight[:, :, None], bias)
    return lambda x: apply(x[:, :, None])[:, :, 0]


# ------------------------------------------------------------------------------------------------------ spikes in time


def run_spiking(
    graph: Graph,
    raster: npt.NDArray[np.integer],
    convention: Convention,
    coding: Coding | None = None,
    record_v: Collection[str] = (),
) -> Trace:
    """Step a spiking graph through raster (n_samples, n_steps, *input shape), as `convention` reads it.

    With a `coding` the graph is one that snnport converted: it runs on its integer codes, its windows open and close by
    the schedule, biases enter once, and a spike arrives one step later. Otherwise linear nodes pass spikes on in the same
    step, closed loops in the next. Records the spikes of every neuron node and the potentials of `record_v`, both
    (n_samples, n_steps, n_neurons). Raises UnsupportedNode for a node without a rule.
    """
    sizes, order, back = shapes(graph), topological_order(graph), back_edges(graph)
    n_samples, n_steps = raster.shape[:2]
    functions = {name: node_function(name, node, coding is not None) for name, node in graph.nodes.items()}
    cells: dict[str, _Cell] = {}
    for name in order:
        if isinstance(graph.nodes[name], NEURON_NODES):
            bias = _bias_into(graph, name, functions, sizes) if coding is not None else None
            cells[name] = _Cell.of(graph.nodes[name], (n_samples, *sizes[name]), convention, coding, name, bias)
    spikes = {name: np.zeros((n_samples, n_steps, int(np.prod(sizes[name]))), np.int32) for name in cells}
    potentials = {name: np.zeros((n_samples, n_steps, int(np.prod(sizes[name])))) for name in record_v}
    before: dict[str, Array] = {name: np.zeros((n_samples, *sizes[name])) for name in graph.nodes}
    for step in range(n_steps):
        now: dict[str, Array] = {}
        for name in order:
            if isinstance(graph.nodes[name], nir.Input):
                now[name] = raster[:, step].reshape(n_samples, *sizes[name]).astype(np.float64)
                continue
            late = {a for a in predecessors(graph, name) if (a, name) in back}
            if coding is not None:
                late |= {a for a in predecessors(graph, name) if a in cells or isinstance(graph.nodes[a], nir.Input)}
            total = np.sum([before[a] if a in late else now[a] for a in predecessors(graph, name)], axis=0)
            now[name] = cells[name].advance(total, step) if name in cells else functions[name](total)
        for name, cell in cells.items():
            spikes[name][:, step] = now[name].reshape(n_samples, -1)
            if name in potentials:
                potentials[name][:, step] = cell.v.reshape(n_samples, -1)
        before = now
    return Trace(spikes, potentials)


def _bias_into(graph: Graph, name: str, functions: Mapping[str, Callable[[Array], Array]], sizes: Mapping[str, Shape]) -> Array:
    """What arrives at neuron node `name` when nothing fires: the sum of the biases on its ways."""

    def answer(node: str) -> Array:
        if isinstance(graph.nodes[node], (nir.Input, *NEURON_NODES)):
            return np.zeros((1, *sizes[node]))
        parts = [answer(source) for source in predecessors(graph, node)]
        return functions[node](np.sum(parts, axis=0))

    return np.asarray(np.sum([answer(source) for source in predecessors(graph, name)], axis=0), np.float64)


@dataclass
class _Cell:
    """The state of one neuron node, and its step."""

    node: Any
    convention: Convention
    v: Array
    i: Array
    window: Window | None
    bias: Array | float
    theta: float
    period: int

    @classmethod
    def of(cls, node: Any, shape: Shape, convention: Convention, coding: Coding | None, name: str, bias: Array | None) -> _Cell:
        zeros = np.zeros(shape)
        if coding is None:
            return cls(node, convention, zeros + np.asarray(getattr(node, "v_leak", 0.0)), zeros, None, 0.0, 0.0, 0)
        window = coding.windows[name]
        theta = float(node.metadata.get("theta", 0))
        start = 0.0 if window.role in ("relay", "readout") else theta // 2
        period = int(coding.encoder["levels"]) if coding.code == "rate" else 0
        return cls(node, convention, zeros + start, zeros, window, 0.0 if bias is None else bias, theta, period)

    def advance(self, arriving: Array, step: int) -> Array:
        """Integrate what arrives and return the spikes of this step."""
        return self._coded(arriving, step) if self.window is not None else self._plain(arriving)

    def _coded(self, arriving: Array, step: int) -> Array:
        window = self.window
        assert window is not None
        biased = step % self.period == 0 if self.period else step == 0
        self.v = self.v + arriving - (0.0 if biased else self.bias)
        if window.role == "readout":
            return np.zeros_like(self.v)
        if window.role == "gated" and not window.open <= step < window.open + window.levels:
            return np.zeros_like(self.v)
        fired = (self.v >= self.theta).astype(np.float64)
        self.v = self.v * (1 - fired) if window.role == "relay" else self.v - fired * self.theta
        return fired

    def _plain(self, arriving: Array) -> Array:
        self.v = self._integrated(arriving)
        return self._fired() if hasattr(self.node, "v_threshold") else self.v

    def _integrated(self, arriving: Array) -> Array:
        node, rule = self.node, self.convention
        drive = arriving
        if isinstance(node, nir.CubaLI | nir.CubaLIF):
            keep, take = _factors(node.tau_syn, rule)
            self.i = keep * self.i + take * node.w_in * arriving
            drive = self.i
        if isinstance(node, nir.I | nir.IF):
            return np.asarray(self.v + rule.dt * node.r * drive, np.float64)
        keep, take = _factors(node.tau if isinstance(node, nir.LI | nir.LIF) else node.tau_mem, rule)
        return np.asarray(keep * self.v + take * (node.v_leak + node.r * drive), np.float64)

    def _fired(self) -> Array:
        rule, threshold, v = self.convention, np.asarray(self.node.v_threshold), self.v
        if rule.v_min is not None:
            v = np.maximum(v, rule.v_min * threshold)
        over = v >= threshold if rule.comparison == ">=" else v > threshold
        fired = np.asarray(over, np.float64)
        if rule.multi_spike:
            fired = fired * np.floor(v / threshold)
        if rule.reset == "subtract":
            self.v = np.asarray(v - fired * threshold, np.float64)
        else:
            self.v = np.where(fired > 0, np.asarray(self.node.v_reset if rule.reset == "value" else 0.0), v)
        return fired


def _factors(tau: Any, rule: Convention) -> tuple[Any, Any]:
    """What is kept of a state and what is taken of its drive in one step."""
    keep = np.exp(-rule.dt / tau) if rule.decay == "exponential" else 1 - rule.dt / tau
    return keep, 1 - keep
