"""Nodes: the ANN nodes that NIR lacks, the kinds of nodes, and what one node does to shapes.

A node has no batch and no time axis; maps are (channels, height, width). nir's own type inference misreads grouped and
non-square convolutions (nir 1.0.8); `output_shape` here is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, UnsupportedNode

Shape: TypeAlias = tuple[int, ...]

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
    """y = scale * x + shift, each one a channel (first axis) or one a value (input shape). Exists before conversion only."""

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


@dataclass(eq=False)
class SigmaDelta(nir.NIRNode):
    """A neuron that sends changes of its value, as Lava's Delta (sums: False) and SigmaDelta (True). Never written to NIR.

    threshold: least change that is sent, one value a neuron, in codes. Its exact integers are in its metadata.
    """

    threshold: Real
    sums: bool

    def __post_init__(self) -> None:
        _leave_types_open(self)


@dataclass(eq=False)
class AdaptiveLIF(nir.NIRNode):
    """A LIF whose threshold rises at every spike and falls back; passes/alif_to_nir.py writes it in NIR's own nodes.

    b = rho b + (1 - rho) s, s being the spike of the step before and rho what one step leaves of `tau_adapt`; it fires where v
    exceeds v_threshold + beta b (G. Bellec et al., NeurIPS 2018). The other fields are those of nir.LIF. A reset by
    subtraction takes v_threshold off.
    """

    tau: Real
    r: Real
    v_leak: Real
    v_threshold: Real
    v_reset: Real
    tau_adapt: Real
    beta: Real

    def __post_init__(self) -> None:
        _leave_types_open(self)


def _leave_types_open(node: nir.NIRNode) -> None:
    open_types: Any = {"input": None}, {"output": None}
    node.input_type, node.output_type = open_types


ANN_NODES = (ReLU, QuantReLU, BatchNorm, MaxPool2d)

LINEAR_NODES = (nir.Conv1d, nir.Conv2d, nir.Affine, nir.Linear, nir.Scale, nir.SumPool2d, nir.AvgPool2d, nir.Flatten)

WEIGHTED_NODES = (nir.Conv1d, nir.Conv2d, nir.Affine, nir.Linear, nir.Scale)

NEURON_NODES = (nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF, AdaptiveLIF, SigmaDelta)


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


def own_input_shape(name: str, node: nir.NIRNode) -> Shape:
    """The input shape that the parameters of a node tell, for one fed by a loop alone. Raises InvalidGraph if they do not."""
    if isinstance(node, nir.Affine | nir.Linear):
        return (int(node.weight.shape[1]),)
    if isinstance(node, NEURON_NODES) and not isinstance(node, SigmaDelta) and np.ndim(node.r):
        return np.shape(node.r)
    raise InvalidGraph(name, "it is fed by a loop alone, and its parameters do not tell its shape", "Give the graph an input")


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


def max_windows(node: nir.SumPool2d | nir.Conv2d) -> MaxPool2d:
    """The max pooling whose windows `node` sums: a sum pooling, or a convolution with ones and, around them, zeros."""
    height, width = pair(node.padding)
    if isinstance(node, nir.SumPool2d):
        return MaxPool2d(pair(node.kernel_size), pair(node.stride), (height, width, height, width))
    used: npt.NDArray[np.bool_] = np.any(node.weight != 0, axis=(0, 1))
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    padding = (
        height - int(rows[0]),
        width - int(columns[0]),
        height - (len(used) - 1 - int(rows[-1])),
        width - (used.shape[1] - 1 - int(columns[-1])),
    )
    kernel = (int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1)
    return MaxPool2d(kernel, pair(node.stride), padding)


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
    if any(values.shape not in (shape[:1], shape) for values in (node.scale, node.shift)):
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
