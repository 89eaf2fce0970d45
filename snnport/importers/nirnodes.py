"""From the raw fields of one NIR node to the node in canonical form, on an input of known shape.

Canonical: no batch axis, every neuron parameter of the population's shape, floats, pairs for pairs. What was changed is
told in `notes`. Numbers that no network can have are found first, all of them (`faults`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import nir
import numpy as np

from snnport.errors import InvalidGraph
from snnport.importers.hdf5 import listed
from snnport.importers.nirfile import RawNode
from snnport.importers.stored import restore_conv
from snnport.nodes import Real, Shape, flatten_node, input_node, output_node

Build = Callable[[str, RawNode, Shape, list[str]], Any]

_TAUS = ("tau", "tau_mem", "tau_syn")
NEURON_FIELDS = MappingProxyType(
    {
        "I": ("r",),
        "IF": ("r", "v_threshold", "v_reset"),
        "LI": ("tau", "r", "v_leak"),
        "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
        "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
        "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
        "Threshold": ("threshold",),
        "Delay": ("delay",),
        "Scale": ("scale",),
    }
)
"""Fields of the nodes whose parameters are one number a neuron; Scale, Threshold and Delay are no neurons but alike."""
MAX_NEURONS, MAX_AXES = 1 << 28, 32
"""An Input or a layer that declares more neurons or axes is refused."""
_DEFAULTS = {"v_reset": 0.0, "w_in": 1.0}


def build_node(name: str, raw: RawNode, shape: Shape, notes: list[str]) -> nir.NIRNode:
    """The node `raw` on an input of `shape`. Raises InvalidGraph, naming `name`, where they do not go together."""
    node: nir.NIRNode = BUILDERS[raw.kind](name, raw, shape, notes)
    unread = sorted(set(raw.fields) - _KNOWN_FIELDS[raw.kind])
    if unread:
        notes.append(f"{name}: {', '.join(unread)}: no field of NIR's {raw.kind}, ignored")
    return node


def faults(name: str, raw: RawNode) -> list[str]:
    """Numbers that nothing can be computed with: not finite, a time constant not positive, a threshold not above the reset."""
    found = []
    for key, value in raw.fields.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
            found.append(f"{name}: {key} holds {value[~np.isfinite(value)][0]}")
    for key in _TAUS:
        value = raw.fields.get(key)
        if isinstance(value, np.ndarray) and value.dtype != object and value.size and not (value > 0).all():
            found.append(f"{name}: {key} is {value.min():.6g} at its least, a time constant is more than 0")
    threshold, reset = raw.fields.get("v_threshold"), raw.fields.get("v_reset", np.zeros(()))
    if isinstance(threshold, np.ndarray) and isinstance(reset, np.ndarray):
        same = threshold.shape == reset.shape or 1 in (threshold.size, reset.size)
        if same and threshold.dtype != object and (threshold.ravel() <= reset.ravel()).any():
            found.append(
                f"{name}: v_threshold {threshold.min():.6g} is not above v_reset {reset.max():.6g}: it would fire for ever"
            )
    delay = raw.fields.get("delay")
    if isinstance(delay, np.ndarray) and delay.dtype != object and (delay < 0).any():
        found.append(f"{name}: delay is {delay.min():.6g} at its least")
    return found


def raw_shape(name: str, raw: RawNode, key: str = "shape") -> Shape:
    """A shape that a node declares."""
    value = _real(name, raw, key).reshape(-1)
    if len(value) > MAX_AXES or (value != np.rint(value)).any() or (np.abs(value) > MAX_NEURONS).any():
        raise InvalidGraph(name, f"its '{key}' is {listed(value)}, which is no shape of up to {MAX_AXES} axes")
    return tuple(int(n) for n in value)


# ------------------------------------------------------------------------------------------------------------- fields


def _field(name: str, raw: RawNode, key: str) -> Any:
    if key not in raw.fields:
        raise InvalidGraph(name, f"this {raw.kind} has no '{key}'", "Write the file again with a complete node")
    return raw.fields[key]


def _real(name: str, raw: RawNode, key: str) -> Real:
    value = _field(name, raw, key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "buif":
        raise InvalidGraph(name, f"its '{key}' is no array of numbers")
    return value if value.dtype.kind == "f" else value.astype(np.float64)


def _whole(name: str, raw: RawNode, key: str, least: int, length: int) -> Shape:
    """`length` integers, at least `least` each; one stands for all."""
    value = _real(name, raw, key).reshape(-1)
    if value.size not in (1, length) or (value != np.rint(value)).any() or (value < least).any():
        raise InvalidGraph(name, f"its '{key}' is {listed(value)}, wanted are {length} integers from {least} on")
    return tuple(int(v) for v in np.broadcast_to(value, (length,)))


def _per_neuron(name: str, key: str, value: Real, shape: Shape) -> tuple[Real, str]:
    """`value` spread over a population of `shape`, and how."""
    if value.shape == shape:
        return value, ""
    if value.size == 1:
        return np.full(shape, value.reshape(-1)[0]), "" if shape == (1,) else f"given once, taken for all {shape} neurons"
    if tuple(n for n in value.shape if n != 1) == tuple(n for n in shape if n != 1):
        return value.reshape(shape), f"of shape {value.shape}, read as {shape} without axes of length 1"
    if value.ndim == len(shape) and all(a in (1, b) for a, b in zip(value.shape, shape, strict=True)):
        return np.array(np.broadcast_to(value, shape)), f"of shape {value.shape}, spread over {shape}"
    raise InvalidGraph(name, f"its {key} has shape {value.shape}, its input {shape}")


def _bias(name: str, raw: RawNode, outputs: int, notes: list[str]) -> Real:
    value = _real(name, raw, "bias")
    if value.shape == (outputs,) or (value.ndim == 3 and value.shape[0] == outputs and raw.kind == "Conv2d"):
        return value  # one value an output; or one a neuron, as snnport writes it behind padding that a shift does not reach
    if value.size == 1 and outputs > 1:
        notes.append(f"{name}: its one bias, {value.reshape(-1)[0]:.6g}, was taken for all {outputs} outputs")
        return np.full(outputs, value.reshape(-1)[0])
    if value.size == outputs:
        notes.append(f"{name}: its bias of shape {value.shape} was read as {(outputs,)}")
        return value.reshape(outputs)
    raise InvalidGraph(name, f"its bias has shape {value.shape}, its weight has {outputs} outputs")


def _weight(name: str, raw: RawNode, axes: int) -> Real:
    weight = _real(name, raw, "weight")
    if weight.ndim != axes or 0 in weight.shape:
        raise InvalidGraph(name, f"its weight has shape {weight.shape}, wanted are {axes} axes, none empty")
    return weight


# ---------------------------------------------------------------------------------------------------------- the kinds


def _neuron(name: str, raw: RawNode, shape: Shape, notes: list[str]) -> Any:
    values: dict[str, Real] = {}
    changes: dict[str, list[str]] = {}
    for key in NEURON_FIELDS[raw.kind]:
        if key not in raw.fields and key in _DEFAULTS:
            values[key], how = np.full(shape, _DEFAULTS[key]), f"not in the file, {_DEFAULTS[key]:g} taken, as nir does"
        else:
            values[key], how = _per_neuron(name, key, _real(name, raw, key), shape)
        changes.setdefault(how, []).append(key)
    notes += [f"{name}: {', '.join(keys)}: {how}" for how, keys in changes.items() if how]
    return getattr(nir, raw.kind)(**values, metadata=dict(raw.metadata))


def _dense(name: str, raw: RawNode, shape: Shape, notes: list[str]) -> Any:
    weight = _weight(name, raw, 2)
    if shape != weight.shape[1:]:
        turned = "It looks transposed: NIR wants (out, in)" if shape == weight.shape[:1] else ""
        raise InvalidGraph(name, f"its input is {shape}, its weight {weight.shape} takes {weight.shape[1:]}", turned)
    if raw.kind == "Linear":
        return nir.Linear(weight, metadata=dict(raw.metadata))
    return nir.Affine(weight, _bias(name, raw, weight.shape[0], notes), metadata=dict(raw.metadata))


def _conv(name: str, raw: RawNode, shape: Shape, notes: list[str]) -> Any:
    axes = 2 if raw.kind == "Conv2d" else 1
    weight = _weight(name, raw, axes + 2)
    if len(shape) != axes + 1:
        raise InvalidGraph(name, f"it needs an input of {axes + 1} axes and gets {shape}")
    (groups,) = _whole(name, raw, "groups", 1, 1)
    if weight.shape[0] % groups or shape[0] != weight.shape[1] * groups:
        takes = f"takes {weight.shape[1] * groups} channels in {groups} groups"
        raise InvalidGraph(name, f"its input is {shape}, its weight {weight.shape} {takes}")
    stride, dilation = _whole(name, raw, "stride", 1, axes), _whole(name, raw, "dilation", 1, axes)
    padding = _field(name, raw, "padding")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise InvalidGraph(name, f"its padding is '{padding}'", "Known: same, valid, or numbers")
        if padding == "same" and max(stride) > 1:
            raise InvalidGraph(name, f"padding 'same' with stride {stride} has no one meaning", "Write the padding in numbers")
    else:
        padding = _whole(name, raw, "padding", 0, axes)
    declared = raw_shape(name, raw, "input_shape") if "input_shape" in raw.fields else shape[1:]
    if declared != shape[1:]:
        notes.append(f"{name}: it declares an input_shape of {declared}, its input is {shape[1:]}")
    bias = _bias(name, raw, weight.shape[0], notes)
    conv: Any
    if axes == 2:
        options: Any = (shape[1:], weight, stride, padding, dilation, groups, bias)
        conv = nir.Conv2d(*options, metadata=dict(raw.metadata))
    else:
        pad = padding if isinstance(padding, str) else padding[0]
        conv = nir.Conv1d(shape[1], weight, stride[0], pad, dilation[0], groups, bias, metadata=dict(raw.metadata))
    return restore_conv(name, conv, shape)


def _pool(name: str, raw: RawNode, shape: Shape, notes: list[str]) -> Any:
    kernel, stride = _whole(name, raw, "kernel_size", 1, 2), _whole(name, raw, "stride", 1, 2)
    padding = _whole(name, raw, "padding", 0, 2)
    kind: Any = getattr(nir, raw.kind)
    return kind(np.array(kernel), np.array(stride), np.array(padding), metadata=dict(raw.metadata))


def _flatten(name: str, raw: RawNode, shape: Shape, notes: list[str]) -> Any:
    (start,) = _whole(name, raw, "start_dim", -len(shape), 1)
    (end,) = _whole(name, raw, "end_dim", -len(shape), 1)
    start, end = start % len(shape), end % len(shape)
    if (start, end) == (0, len(shape) - 1):
        whole = flatten_node(shape)
        whole.metadata = dict(raw.metadata)
        return whole
    types: Any = {"input": np.array(shape)}
    return nir.Flatten(types, start, end, metadata=dict(raw.metadata))


def _input(name: str, raw: RawNode, shape: Shape, notes: list[str]) -> Any:
    node = input_node(shape)
    node.metadata = dict(raw.metadata)
    return node


def _output(name: str, raw: RawNode, shape: Shape, notes: list[str]) -> Any:
    declared = raw_shape(name, raw) if "shape" in raw.fields else shape
    thin = tuple(n for n in shape if n != 1)
    if declared != shape:
        if tuple(n for n in declared if n != 1) != thin and declared[len(declared) - len(shape) :] != shape:
            raise InvalidGraph(name, f"it declares {declared} and gets {shape}")
        notes.append(f"{name}: it declares {declared} and gets {shape}; the latter was taken")
    node = output_node(shape)
    node.metadata = dict(raw.metadata)
    return node


BUILDERS: Mapping[str, Build] = MappingProxyType(
    {
        **dict.fromkeys(NEURON_FIELDS, _neuron),
        **dict.fromkeys(("Affine", "Linear"), _dense),
        **dict.fromkeys(("Conv1d", "Conv2d"), _conv),
        **dict.fromkeys(("SumPool2d", "AvgPool2d"), _pool),
        "Flatten": _flatten,
        "Input": _input,
        "Output": _output,
    }
)
"""How each kind of NIR node is read; NIRGraph is flattened before."""
_CONV = ("input_shape", "weight", "stride", "padding", "dilation", "groups", "bias")
_POOL = ("kernel_size", "stride", "padding")
_KNOWN_FIELDS = {
    **{kind: set(fields) for kind, fields in NEURON_FIELDS.items()},
    "Affine": {"weight", "bias"},
    "Linear": {"weight"},
    "Conv1d": set(_CONV),
    "Conv2d": set(_CONV),
    "SumPool2d": set(_POOL),
    "AvgPool2d": set(_POOL),
    "Flatten": {"start_dim", "end_dim", "input_type"},
    "Input": {"shape"},
    "Output": {"shape"},
}
