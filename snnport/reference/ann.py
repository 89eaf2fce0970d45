"""Plain execution of feed-forward graphs, and the function of every node that has no state.

`forward` runs a feed-forward ANN graph. With `integers=True` it runs the quantised ANN on its integer codes: a weighted
node contributes rint(weight / scale) and rint(bias / scale), a QuantReLU counts floor((z + theta / 2) / theta) clipped to
0..levels. Sums of integers are taken in float64, which is exact while every partial sum stays below 2^53; this is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, InvalidInput, UnsupportedNode
from snnport.graph import Graph, predecessors, shapes, the_input, the_output, topological_order
from snnport.nodes import BatchNorm, MaxPool2d, QuantReLU, ReLU, conv_padding, pair
from snnport.quant import codes_of

Array = npt.NDArray[Any]
"""float64, or float32 where a caller asks for it."""
EXACT = float(1 << 53)


def forward(graph: Graph, x: npt.ArrayLike, *, integers: bool = False, chunk: int = 256, dtype: str = "float64") -> Array:
    """Output (n_samples, *output shape) of a feed-forward ANN graph on x (n_samples, *input shape), both of `dtype`.

    With `integers`, x are the input counts and the result the integer logits (as float64 whole numbers).
    Raises InvalidInput on a wrong input shape, UnsupportedNode on a spiking neuron.
    """
    output = the_output(graph)
    return values_at(graph, x, [output], integers=integers, chunk=chunk, dtype=dtype)[output]


def values_at(
    graph: Graph,
    x: npt.ArrayLike,
    wanted: Collection[str],
    *,
    integers: bool = False,
    chunk: int = 256,
    dtype: str = "float64",
) -> dict[str, Array]:
    """Outputs of the nodes `wanted`, as `forward` computes them."""
    samples = np.asarray(x)
    shape = shapes(graph)[the_input(graph)]
    if samples.shape[1:] != shape:
        raise InvalidInput("input", f"its samples have shape {samples.shape[1:]}, the network takes {shape}")
    prepared = {name: node_function(name, node, integers, dtype) for name, node in graph.nodes.items()}
    order = _needed(graph, wanted)
    parts: dict[str, list[Array]] = {name: [] for name in wanted}
    for start in range(0, len(samples), chunk):
        values = _walk(graph, order, prepared, samples[start : start + chunk].astype(dtype), integers)
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
        values[name] = np.asarray(prepared[name](total), x.dtype)
        if integers and values[name].size and np.abs(values[name]).max() >= EXACT:
            raise InvalidGraph(name, "its integers exceed 2^53", "Use fewer levels or bits")
    return values


def node_function(name: str, node: nir.NIRNode, integers: bool = False, dtype: str = "float64") -> Callable[[Array], Array]:
    """The function that `node` applies to a batch (n_samples, *shape), its parameters resolved once, in `dtype`."""
    if isinstance(node, nir.Conv2d):
        return conv2d(node, *_parameters(name, node, integers, dtype))
    if isinstance(node, nir.Conv1d):
        return _conv1d(node, *_parameters(name, node, integers, dtype))
    if isinstance(node, nir.Affine | nir.Linear):
        weight, bias = _parameters(name, node, integers, dtype)
        return lambda x: x @ weight.T + bias
    if isinstance(node, nir.Scale):
        scale = _real_or_codes(name, node, node.scale, integers).astype(dtype)
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


def _parameters(name: str, node: Any, integers: bool, dtype: str) -> tuple[Array, Array]:
    weight = _real_or_codes(name, node, node.weight, integers).astype(dtype)
    bias = getattr(node, "bias", None)
    if bias is None:
        return weight, np.zeros(len(weight), dtype)
    values = _real_or_codes(name, node, bias, integers).astype(dtype)
    return weight, values if values.ndim > 1 else np.broadcast_to(values, (len(weight),))


def _real_or_codes(name: str, node: nir.NIRNode, values: npt.ArrayLike, integers: bool) -> Array:
    if not integers:
        return np.asarray(values, np.float64)
    if "scale" not in node.metadata:
        raise InvalidGraph(name, "it has no scale, so it has no integers", "Quantise the network first")
    return codes_of(values, float(node.metadata["scale"]), name).astype(np.float64)


def _channels(values: npt.ArrayLike, x: Array) -> Array:
    """One value a channel, or one a position, to multiply or add to a batch."""
    array = np.asarray(values, np.float64)
    return array if array.ndim == x.ndim - 1 else array.reshape(-1, *[1] * (x.ndim - 2))


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
    """The convolution of `node`'s geometry with weight (out, in / groups, kh, kw) and bias, one a channel or one a neuron."""
    stride, dilation, padding = pair(node.stride), pair(node.dilation), conv_padding(node)
    groups = int(node.groups)
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    shift = bias if bias.ndim > 1 else bias[:, None, None]

    def apply(x: Array) -> Array:
        windows = _windows(x, kernel, stride, padding, 0.0, dilation)
        n, channels, height, width = windows.shape[:4]
        columns = windows.reshape(n, groups, channels // groups, height, width, *kernel).transpose(1, 0, 3, 4, 2, 5, 6)
        columns = columns.reshape(groups, n * height * width, -1)
        rows = weight.reshape(groups, len(weight) // groups, -1).transpose(0, 2, 1)
        out = np.matmul(columns, rows).reshape(groups, n, height, width, -1).transpose(1, 0, 4, 2, 3)
        result: Array = out.reshape(n, len(weight), height, width) + shift
        return result

    return apply


def _conv1d(node: nir.Conv1d, weight: Array, bias: Array) -> Callable[[Array], Array]:
    padding = node.padding if isinstance(node.padding, str) else (0, int(node.padding))
    flat = nir.Conv2d(None, weight[:, :, None], (1, int(node.stride)), padding, (1, int(node.dilation)), int(node.groups), bias)
    apply = conv2d(flat, weight[:, :, None], bias)
    return lambda x: apply(x[:, :, None])[:, :, 0]
