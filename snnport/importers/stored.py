"""Convolutions as nir 1.0.8 can hold them, and back.

nir's type check takes a convolution's channels from its weight and forgets the groups, takes the kernel's height for its
width, and knows no padding that differs between the two sides. A convolution with one of these is stored as the equal one
without groups, with a square kernel and with even padding: zeros fill the weight. What it was goes into its metadata.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import nir
import numpy as np

from snnport.errors import InvalidGraph
from snnport.nodes import Real, Shape, conv_padding, output_shape, pair

Conv: TypeAlias = nir.Conv1d | nir.Conv2d

KEY = "snnport_conv"
"""Metadata entry of a stored convolution: JSON of groups, kernel, stride, padding, dilation, and where the kernel lies."""


def store_conv(name: str, node: Conv, shape: Shape) -> Conv:
    """The convolution equal to `node`, on an input of `shape`, that nir's type check reads rightly.

    Raises InvalidGraph if there is none: one side of the kernel even, the other odd, stride 1, output larger than 1.
    """
    kernel, stride, dilation = node.weight.shape[2:], _numbers(node, node.stride), _numbers(node, node.dilation)
    before, after = _padding(node)
    groups = int(node.groups)
    weight = _without_groups(node.weight, groups)
    simple = len(set(kernel)) == 1 and before == after
    offset, new_stride, spread = (0,) * len(kernel), stride, (1,) * len(kernel)
    if not simple:
        size = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        out = output_shape(name, node, shape)[1:]
        side, offset, new_stride = _square(name, shape[1:], out, size, stride, before, after)
        spread, weight = dilation, _placed(weight, side, offset, dilation)
        before = tuple(p + o for p, o in zip(before, offset, strict=True))
        dilation = (1,) * len(kernel)
    metadata = dict(node.metadata)
    if groups > 1 or not simple or isinstance(node.padding, str):
        was = {"groups": groups, "kernel": kernel, "stride": stride, "padding": node.padding, "dilation": spread}
        if not isinstance(node.padding, str):
            was["padding"] = _numbers(node, node.padding)
        metadata[KEY] = json.dumps({**was, "offset": offset, "simple": simple})
    return _conv(node, shape[1:], weight, new_stride, before, dilation, 1, metadata)


def restore_conv(name: str, node: Conv, shape: Shape) -> Conv:
    """The convolution that `store_conv` made `node` of. Raises InvalidGraph if metadata and weight disagree."""
    if KEY not in node.metadata:
        return node
    metadata = {key: value for key, value in node.metadata.items() if key != KEY}
    try:
        was = json.loads(node.metadata[KEY])
        groups, kernel, spread = int(was["groups"]), was["kernel"], was["dilation"]
        taps = tuple(slice(o, o + d * (k - 1) + 1, d) for o, k, d in zip(was["offset"], kernel, spread, strict=True))
        weight = _with_groups(node.weight[:, :, *taps], groups)
        dilation = _numbers(node, node.dilation) if was["simple"] else spread
        original = _conv(node, shape[1:], weight, was["stride"], was["padding"], dilation, groups, metadata)
        again = store_conv(name, original, shape)
    except (ValueError, KeyError, TypeError, IndexError, ZeroDivisionError, RecursionError, InvalidGraph) as error:
        raise InvalidGraph(name, f"its metadata '{KEY}' cannot be read ({error!r})", "Write the file again") from None
    same = np.array_equal(again.weight, node.weight) and all(
        _numbers(node, getattr(again, key)) == _numbers(node, getattr(node, key)) for key in ("stride", "padding", "dilation")
    )
    if not same:
        raise InvalidGraph(
            name, f"its weight is not the one its metadata '{KEY}' describe", "The file was edited: write it again"
        )
    return original


def _conv(node: Conv, size: Shape, weight: Real, stride: Any, padding: Any, dilation: Any, groups: int, metadata: Any) -> Conv:
    def plain(value: Any) -> Any:
        return value if isinstance(value, str) else tuple(int(v) for v in value)

    if isinstance(node, nir.Conv2d):
        two: Any = size
        return nir.Conv2d(two, weight, plain(stride), plain(padding), plain(dilation), groups, node.bias, metadata=metadata)
    pad = padding if isinstance(padding, str) else int(padding[0])
    return nir.Conv1d(int(size[0]), weight, int(stride[0]), pad, int(dilation[0]), groups, node.bias, metadata=metadata)


def _numbers(node: Conv, value: Any) -> Shape:
    return pair(value) if isinstance(node, nir.Conv2d) else (int(np.asarray(value).reshape(-1)[0]),)


def _padding(node: Conv) -> tuple[Shape, Shape]:
    """Padding before and after, one number an axis."""
    if isinstance(node, nir.Conv2d):
        top, left, bottom, right = conv_padding(node)
        return (top, left), (bottom, right)
    if isinstance(node.padding, str):
        span = int(node.dilation) * (node.weight.shape[2] - 1) if node.padding == "same" else 0
        return (span // 2,), (span - span // 2,)
    return _numbers(node, node.padding), _numbers(node, node.padding)


def _square(
    name: str, size: Shape, out: Shape, kernel: Shape, stride: Shape, before: Shape, after: Shape
) -> tuple[int, Shape, Shape]:
    """Side of the least square kernel that does the work of `kernel`, where in it the kernel lies, and the stride.

    With o zeros before the kernel and padding before + o, the windows start where they did; what is left to choose is that
    as many fit. An axis with one window may take any longer stride.
    """
    for side in range(max(kernel), 2 * max(*kernel, *before, *after) + 3):
        places = []
        for n, fit, k, s, b in zip(size, out, kernel, stride, before, strict=True):
            rests = ((o, n + 2 * (b + o) - side) for o in range(side - k + 1))
            good = [(o, s if r // s + 1 == fit else r + 1) for o, r in rests if r // s + 1 == fit or (fit == 1 and r >= s)]
            if not good:
                break
            places.append(good[0])
        else:
            return side, tuple(o for o, _ in places), tuple(s for _, s in places)
    raise InvalidGraph(
        name,
        f"nir 1.0.8 cannot hold its kernel {kernel} with padding {before} before and {after} after and stride {stride}",
        "Pad the kernel with zeros so that its height and width are both odd or both even",
    )


def _placed(weight: Real, side: int, offset: Shape, dilation: Shape) -> Real:
    """`weight` (out, in, ...) with its taps `dilation` apart, from `offset` on in a kernel of `side`, zeros elsewhere."""
    kernel = weight.shape[2:]
    result = np.zeros((*weight.shape[:2], *[side] * len(kernel)), weight.dtype)
    taps = tuple(slice(o, o + d * (k - 1) + 1, d) for o, k, d in zip(offset, kernel, dilation, strict=True))
    result[:, :, *taps] = weight
    return result


def _without_groups(weight: Real, groups: int) -> Real:
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    result = np.zeros((weight.shape[0], inputs * groups, *weight.shape[2:]), weight.dtype)
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        result[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return result


def _with_groups(weight: Real, groups: int) -> Real:
    outputs, inputs = weight.shape[0] // groups, weight.shape[1] // groups
    parts = [weight[g * outputs : (g + 1) * outputs, g * inputs : (g + 1) * inputs] for g in range(groups)]
    return np.concatenate(parts)
