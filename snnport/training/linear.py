"""Nodes without a state as functions of torch tensors (samples, *shape): what the reference's node_function computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import nir
import torch
from torch import Tensor
from torch.nn import functional

from snnport.errors import UnsupportedNode
from snnport.nodes import BatchNorm, MaxPool2d, ReLU, conv_padding, pair
from snnport.reference.ann import node_function

Fields: TypeAlias = Mapping[str, Tensor]
Apply: TypeAlias = Callable[[Tensor, Fields], Tensor]
"""The function of a node: its input and its fields (weight, bias, scale, shift) as tensors of one type, to its output."""


def apply_of(name: str, node: Any) -> Apply:
    """The function of `node`. Raises UnsupportedNode for one that has none."""
    if isinstance(node, nir.Affine | nir.Linear):
        return lambda x, f: functional.linear(x, f["weight"], _bias(f))
    if isinstance(node, nir.Conv2d):
        return _conv2d(node)
    if isinstance(node, nir.Conv1d):
        return _conv1d(node)
    if isinstance(node, nir.Scale):
        return lambda x, f: x * f["scale"]
    if isinstance(node, BatchNorm):
        return lambda x, f: x * _channels(f["scale"], x) + _channels(f["shift"], x)
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        return _pool(node)
    if isinstance(node, MaxPool2d):
        return _max_pool(node)
    if isinstance(node, ReLU):
        return lambda x, f: torch.clamp(x, 0.0, node.maximum)
    if isinstance(node, nir.Flatten):
        return lambda x, f: x.reshape(len(x), -1)
    if isinstance(node, nir.Input | nir.Output):
        return lambda x, f: x
    raise UnsupportedNode(name, f"{type(node).__name__} cannot be trained", "Train the network before it is converted")


def fields_of(node: Any) -> tuple[str, ...]:
    """The fields that `apply_of` takes for a node."""
    wanted = ("weight", "bias", "scale", "shift")
    return tuple(field for field in wanted if getattr(node, field, None) is not None)


class ByReference(torch.autograd.Function):
    """A node computed by the reference itself, in numpy, one step after another; backward as torch computes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, node: Any, name: str, apply: Apply, names: tuple[str, ...], *fields: Tensor) -> Tensor:
        """x: (steps, batch, *shape). node: with the values that `fields` have."""
        ctx.save_for_backward(x, *fields)
        ctx.function, ctx.names = apply, names  # torch calls ctx.apply itself
        dtype = str(x.dtype).removeprefix("torch.")
        function = node_function(name, node, dtype=dtype)
        steps = [torch.from_numpy(function(part.detach().cpu().numpy())) for part in x]
        return torch.stack(steps).to(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The derivative of `apply`."""
        x, *fields = ctx.saved_tensors
        with torch.enable_grad():
            inputs = [tensor.detach().requires_grad_(True) for tensor in (x, *fields)]
            out = ctx.function(inputs[0].flatten(0, 1), dict(zip(ctx.names, inputs[1:], strict=True)))
            found = torch.autograd.grad(out, inputs, grads[0].flatten(0, 1), allow_unused=True)
        return (found[0], None, None, None, None, *found[1:])


def _conv2d(node: nir.Conv2d) -> Apply:
    stride, dilation, groups = pair(node.stride), pair(node.dilation), int(node.groups)
    top, left, bottom, right = conv_padding(node)
    even = top == bottom and left == right

    def apply(x: Tensor, f: Fields) -> Tensor:
        if not even:
            x = functional.pad(x, (left, right, top, bottom))
        padding = (top, left) if even else (0, 0)
        return functional.conv2d(x, f["weight"], _bias(f), stride, padding, dilation, groups)

    return apply


def _conv1d(node: nir.Conv1d) -> Apply:
    stride, dilation, groups = int(node.stride), int(node.dilation), int(node.groups)
    span = dilation * (node.weight.shape[2] - 1)
    if isinstance(node.padding, str):
        left, right = (span // 2, span - span // 2) if node.padding == "same" else (0, 0)
    else:
        left = right = int(node.padding)

    def apply(x: Tensor, f: Fields) -> Tensor:
        if left != right:
            x = functional.pad(x, (left, right))
        padding = left if left == right else 0
        return functional.conv1d(x, f["weight"], _bias(f), stride, padding, dilation, groups)

    return apply


def _pool(node: nir.SumPool2d | nir.AvgPool2d) -> Apply:
    kernel, stride, padding = pair(node.kernel_size), pair(node.stride), pair(node.padding)
    divisor = 1 if isinstance(node, nir.SumPool2d) else kernel[0] * kernel[1]

    def apply(x: Tensor, f: Fields) -> Tensor:
        # Padded by hand: torch refuses a padding above half the kernel.
        wide = functional.pad(x, (padding[1], padding[1], padding[0], padding[0])) if any(padding) else x
        return functional.avg_pool2d(wide, kernel, stride, divisor_override=divisor)

    return apply


def _max_pool(node: MaxPool2d) -> Apply:
    top, left, bottom, right = node.padding

    def apply(x: Tensor, f: Fields) -> Tensor:
        wide = functional.pad(x, (left, right, top, bottom), value=float("-inf")) if any(node.padding) else x
        return functional.max_pool2d(wide, node.kernel_size, node.stride)

    return apply


def _channels(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _bias(f: Fields) -> Tensor | None:
    """The bias (out,), which a node may hold as one number; None for none."""
    bias = f.get("bias")
    return None if bias is None else bias.expand(len(f["weight"]))
