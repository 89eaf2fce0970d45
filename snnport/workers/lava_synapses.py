"""The synapses of a program as matrices; imports numpy and scipy (which Lava brings) alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

Arrays = dict[str, Any]
DIGIT, DIGITS = 7, 4
CONSTANTS = np.array([1 << (DIGIT * j) for j in range(DIGITS)], np.int32)
"""A bias that Lava's process has no room for becomes DIGITS synapses from neurons that send these in every step."""


def windows(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> list[tuple[int, int, int]]:
    """(target, kernel entry, source) along one axis."""
    targets = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
    found = [(o, k, o * stride + k * dilation - before) for o in range(targets) for k in range(kernel)]
    return [(o, k, i) for o, k, i in found if 0 <= i < size]


def map_matrix(codes: Any, geometry: dict[str, Any]) -> Any:
    """The matrix (targets, sources) of a convolution. codes (out, in / groups, kh, kw)."""
    out, per_group, kh, kw = codes.shape
    channels, height, width = geometry["input_shape"]
    top, left, bottom, right = geometry["padding"]
    (sy, sx), (dy, dx) = geometry["stride"], geometry.get("dilation", (1, 1))
    y = np.array(windows(height, kh, sy, top, bottom, dy), np.int64).reshape(-1, 3)
    x = np.array(windows(width, kw, sx, left, right, dx), np.int64).reshape(-1, 3)
    rows = (height + top + bottom - dy * (kh - 1) - 1) // sy + 1
    columns = (width + left + right - dx * (kw - 1) - 1) // sx + 1
    group_out = out // geometry.get("groups", 1)
    target: list[Any] = [np.zeros(0, np.int64)]
    source, values = list(target), list(target)
    for o, i in np.ndindex(out, per_group):
        channel = o // group_out * per_group + i
        target.append((((o * rows + y[:, 0])[:, None]) * columns + x[:, 0]).reshape(-1))
        source.append((((channel * height + y[:, 2])[:, None]) * width + x[:, 2]).reshape(-1))
        values.append(codes[o, i][np.ix_(y[:, 1], x[:, 1])].reshape(-1))
    shape = (out * rows * columns, channels * height * width)
    return csr_matrix((np.concatenate(values), (np.concatenate(target), np.concatenate(source))), shape=shape, dtype=np.int64)


def matrix(projection: dict[str, Any], arrays: Arrays) -> Any:
    """The synapses of a projection as one sparse matrix (targets, sources), its sum pooling multiplied in."""
    kind, geometry = projection["synapse"], projection["geometry"]
    codes = np.asarray(arrays[f"projection/{projection['name']}/codes"], np.int64)
    if kind == "Dense":
        found = csr_matrix(codes)
    elif kind == "Diagonal":
        found = csr_matrix((codes, (np.arange(len(codes)), np.arange(len(codes)))), shape=(len(codes), len(codes)))
    elif kind == "Sparse":
        ends = tuple(arrays[f"projection/{projection['name']}/{end}"] for end in ("target", "source"))
        found = csr_matrix((codes, ends), shape=tuple(geometry["shape"]))
    else:
        found = map_matrix(codes, geometry)
    if projection["pool"]:
        pool = projection["pool"]
        channels = pool["input_shape"][0]
        ones = np.ones((channels, 1, *pool["kernel_size"]), np.int64)
        found = found @ map_matrix(ones, {**pool, "groups": channels})
    return found


def stored(weights: Any, exponent: int) -> tuple[Any, int]:
    """Codes as Lava's connections keep them, and their exponent: of both signs even, else up to 255 (utils/weightutils.py).

    Odd codes of both signs are doubled and their sum halved, which is exact.
    """
    codes = weights.data
    mixed = bool(codes.size) and codes.min() < 0 < codes.max()
    odd = mixed and bool(np.any(codes % 2))
    kept = (weights * 2 if odd else weights).astype(np.int32)
    low, high = (int(f(initial=0)) for f in (kept.data.min, kept.data.max))
    if (mixed and (low < -256 or high > 254)) or max(-low, high) > 256 - (not mixed):
        raise ValueError(f"Lava would change codes that span {low}..{high}")
    return kept, exponent - odd


def digits(bias: Any, step: int) -> Any:
    """Weights (n, DIGITS) whose products with CONSTANTS add up to `bias`. step: 2 where the weights must be even.

    An odd bias loses 1 where they must: all else that arrives is even there, and a shift by one or more drops that 1 too.
    """
    size = np.abs(bias // step)
    return np.stack([np.sign(bias) * step * ((size >> (DIGIT * j)) & 127) for j in range(DIGITS)], axis=1)


def smallest(array: Any) -> Any:
    """The same integers in the smallest type that holds them."""
    low, high = (int(f(initial=0)) for f in (array.min, array.max))
    types = (np.uint8, np.int8, np.uint16, np.int16, np.int32)
    return array.astype(next(t for t in types if np.iinfo(t).min <= low and high <= np.iinfo(t).max))


def read(path: str) -> Arrays:
    """All arrays of an .npz."""
    with np.load(path) as file:
        return dict(file)
