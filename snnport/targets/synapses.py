"""From a path of the graph to a projection in codes: the weighted node, the pooling before it, kernels without margins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np

from snnport.errors import InvalidGraph
from snnport.fixed import IntArray
from snnport.graph import Graph
from snnport.nodes import Shape, conv_padding, pair, window_positions
from snnport.passes.paths import Path
from snnport.program import Conv, Dense, Diagonal, SumPool, Synapse
from snnport.quant import codes_of


def scale_of(node: nir.NIRNode) -> float | None:
    """The real value of one code of `node`, or None if it carries none."""
    value = node.metadata.get("scale")
    return None if value is None else float(value)


def integers(values: object, scale: float | None, where: str) -> IntArray | None:
    """The codes of real `values`, or None if they have no scale or are no multiples of it."""
    if scale is None or not (scale > 0 and np.isfinite(scale)):
        return None
    try:
        return codes_of(np.asarray(values, np.float64), scale, where)
    except InvalidGraph:
        return None


def map_shape(shape: Shape) -> tuple[int, int, int]:
    """`shape` as (channels, height, width): (n,) is (n, 1, 1), (channels, length) is (channels, 1, length)."""
    if len(shape) == 1:
        return shape[0], 1, 1
    if len(shape) == 2:
        return shape[0], 1, shape[1]
    return shape[0], shape[1], int(np.prod(shape[2:], dtype=np.int64))


def population_shape(shape: Shape) -> Shape:
    """The shape of a population: (n,) or (channels, height, width)."""
    return shape if len(shape) == 1 else map_shape(shape)


def weight_of(node: nir.NIRNode) -> np.ndarray:
    """The weights of a weighted node, whatever its field is called."""
    return np.asarray(node.scale if isinstance(node, nir.Scale) else getattr(node, "weight"), np.float64)  # noqa: B009


def synapse_of(graph: Graph, path: Path, shapes: dict[str, Shape], *, unit: int = 1) -> Synapse | None:
    """The synapse that `path` describes, untrimmed; `unit` is the code of a connection that has no weight.

    shapes: output shape of every node. None if the weights have no integer codes.
    """
    if path.weighted is None:
        before = path.nodes[-1] if path.nodes else path.source
        return Diagonal(np.full(int(np.prod(shapes[before], dtype=np.int64)), unit, np.int64))
    node = graph.nodes[path.weighted]
    codes = integers(weight_of(node), scale_of(node), path.weighted)
    if codes is None:
        return None
    place = path.nodes.index(path.weighted)
    shape = shapes[path.nodes[place - 1] if place else path.source]
    if isinstance(node, nir.Conv2d):
        padding = conv_padding(node)
        return Conv(codes, map_shape(shape), pair(node.stride), padding, pair(node.dilation), int(node.groups))
    if isinstance(node, nir.Conv1d):
        return _conv1d(node, codes, shape)
    if isinstance(node, nir.Scale):
        return Diagonal(np.broadcast_to(codes, shape).reshape(-1))
    return Dense(codes)


def bias_of(graph: Graph, paths: tuple[Path, ...], shapes: dict[str, Shape], target: str) -> IntArray:
    """Sum of the bias codes that reach `target`, one a neuron, int64 (n,). A node counts once, however many drive it."""
    size = int(np.prod(shapes[target], dtype=np.int64))
    total = np.zeros(size, np.int64)
    for tail in dict.fromkeys(path.tail for path in paths if path.target == target and path.weighted):
        node = graph.nodes[tail[0]]
        bias = getattr(node, "bias", None)
        codes = None if bias is None else integers(bias, scale_of(node), tail[0])
        if codes is not None:
            if codes.ndim > 1:
                total += codes.reshape(-1)
                continue
            channels = np.broadcast_to(codes, (shapes[tail[0]][0],))
            total += np.repeat(channels, size // len(channels))
    return total


def pool_of(graph: Graph, path: Path, shapes: dict[str, Shape]) -> SumPool | None:
    """The poolings of `path` as one. None if there are none, or if they cannot be one (see `composes`)."""
    nodes: list[Any] = [graph.nodes[name] for name in path.pools]
    if not nodes or not composes(graph, path):
        return None
    first = path.nodes.index(path.pools[0])
    shape = map_shape(shapes[path.nodes[first - 1] if first else path.source])
    kernel, stride = pair(nodes[0].kernel_size), pair(nodes[0].stride)
    for node in nodes[1:]:
        inner, step = pair(node.kernel_size), pair(node.stride)
        kernel = (kernel[0] + (inner[0] - 1) * stride[0], kernel[1] + (inner[1] - 1) * stride[1])
        stride = (stride[0] * step[0], stride[1] * step[1])
    height, width = pair(nodes[0].padding)
    return SumPool(shape, kernel, stride, (height, width, height, width))


def composes(graph: Graph, path: Path) -> bool:
    """Whether a chain of sum poolings is itself one sum pooling.

    It is if nothing is padded and, in each direction, every window but the last kind tiles (stride = kernel) or the next
    kernel is 1: then window sizes grow to k + (k' - 1) s and strides multiply, and no entry is counted twice.
    """
    nodes: list[Any] = [graph.nodes[name] for name in path.pools]
    if len(nodes) < 2:
        return True
    if any(pair(node.padding) != (0, 0) for node in nodes):
        return False
    for axis in (0, 1):
        kernel, stride = pair(nodes[0].kernel_size)[axis], pair(nodes[0].stride)[axis]
        for node in nodes[1:]:
            inner = pair(node.kernel_size)[axis]
            if stride != kernel and inner != 1:
                return False
            kernel, stride = kernel + (inner - 1) * stride, stride * pair(node.stride)[axis]
    return True


def trimmed(conv: Conv) -> Conv:
    """`conv` without outer kernel rows and columns that are all zero, its padding smaller by as much: the same sums.

    A margin goes only while the padding on its side can shrink with it, so padding never becomes negative. Importers
    widen kernels with zeros where a file pads its sides unequally, which NIR cannot say; this takes the zeros off again.
    """
    codes, padding, dilation = conv.codes, list(conv.padding), conv.dilation
    for side in range(4):
        axis = 2 + side % 2
        step = dilation[side % 2]
        while codes.shape[axis] > 1 and padding[side] >= step and not _margin(codes, side).any():
            keep = slice(1, None) if side < 2 else slice(None, -1)
            codes = codes[:, :, keep] if axis == 2 else codes[:, :, :, keep]
            padding[side] -= step
    top, left, bottom, right = padding
    return replace(conv, codes=codes, padding=(top, left, bottom, right))


def conv_output(conv: Conv) -> tuple[int, int, int]:
    """Shape (channels, height, width) of what a convolution gives."""
    size = window_positions(conv.input_shape[1:], conv.codes.shape[2:], conv.stride, conv.padding, conv.dilation)
    return (int(conv.codes.shape[0]), *size)


def pool_output(pool: SumPool) -> tuple[int, int, int]:
    """Shape (channels, height, width) of what a pooling gives."""
    return (pool.input_shape[0], *window_positions(pool.input_shape[1:], pool.kernel_size, pool.stride, pool.padding))


def _margin(codes: IntArray, side: int) -> IntArray:
    """The outer row or column on `side`: top, left, bottom, right."""
    index = 0 if side < 2 else -1
    return codes[:, :, index, :] if side % 2 == 0 else codes[:, :, :, index]


def _conv1d(node: nir.Conv1d, codes: IntArray, shape: Shape) -> Conv:
    """A 1-D convolution as a 2-D one of height 1; torch's rule for 'same' (the longer half behind)."""
    stride, dilation = _one(node.stride), _one(node.dilation)
    total = dilation * (codes.shape[2] - 1)
    if isinstance(node.padding, str):
        left, right = (total // 2, total - total // 2) if node.padding == "same" else (0, 0)
    else:
        left = right = _one(node.padding)
    return Conv(codes[:, :, None, :], map_shape(shape), (1, stride), (0, left, 0, right), (1, dilation), _one(node.groups))


def _one(value: object) -> int:
    return int(np.asarray(value).reshape(-1)[0])
