"""Projections as the weights of one netx layer: exactly, or not at all.

- Several planes of one way add up to one weight; codes with an exponent are shifted.
- A sum pooling before a convolution is one convolution with a wider kernel; before a dense layer it repeats weights.
- One synapse a neuron (Diagonal) on a map is a convolution with a kernel of one entry and a group for each channel.
- Unequal padding becomes equal padding with zeros in the kernel, for which dilated kernels are spread first.
- Synapses that differ in delay share one matrix, beside a matrix of delays.
Dense weights pass through lava-dl's own rules (importers/netxrules.py), and what comes out must be what went in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import SnnportError
from snnport.importers.netxrules import MOST_DELAY, kept, optimise
from snnport.nodes import window_positions
from snnport.program import Conv, Dense, Diagonal, Population, Projection, Shape, Sparse, SumPool

MOST_ENTRIES = 1 << 27
"""Entries of a matrix up to which sparse and pooled ways are written out."""
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fault:
    """A layer that netx cannot hold: where, what is, and what to do."""

    where: str
    what: str
    remedy: str


class Faulty(Exception):
    """Raised with a Fault inside this package's netx writer, which collects them."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.what)


def is_conv(forward: tuple[Projection, ...], source_map: Shape | None, target: Population) -> bool:
    """Whether the way is written as a convolution rather than as a matrix."""
    kinds = {type(q.synapse) for q in forward}
    if kinds == {Conv}:
        return True
    return kinds == {Diagonal} and source_map is not None and len(target.shape) == 3


def conv_fields(name: str, forward: tuple[Projection, ...], shape: Shape, source_map: Shape | None) -> dict[str, Any]:
    """The fields of a convolution onto a map of `shape`. Raises Faulty."""
    ways = [_as_conv(name, q, shape) for q in forward]
    first = ways[0]
    if any(_geometry(way) != _geometry(first) for way in ways) or len({q.delay for q in forward}) > 1:
        raise Faulty(Fault(name, "its ways from one layer differ in geometry or delay", "Train with one convolution"))
    if forward[0].delay != 1:
        what = f"its synapses delay by {forward[0].delay - 1} steps; lava-dl knows delays before dense layers alone"
        raise Faulty(Fault(name, what, "Train without delays before convolutions"))
    if source_map is None or source_map != first.input_shape:
        what = "it is a convolution, and the layer before it is dense: netx gives dense layers no map"
        raise Faulty(Fault(name, what, "Put the convolutions before the dense layers"))
    codes = np.sum([np.asarray(way.codes, np.int64) for way in ways], axis=0)
    conv = _even_padding(name, replace(first, codes=codes))
    height, width = conv.padding[:2]
    return {
        "weight": conv.codes.astype(np.int32),
        "kernelSize": np.array(conv.codes.shape[2:]),
        "inChannels": conv.input_shape[0],
        "outChannels": len(conv.codes),
        "stride": np.array(conv.stride),
        "padding": np.array([height, width]),
        "dilation": np.array(conv.dilation),
        "groups": conv.groups,
    }


def dense_fields(
    name: str, forward: tuple[Projection, ...], back: tuple[Projection, ...], source: Population, size: int
) -> dict[str, Any]:
    """weight, and weight_rec and delay where there are any, of a dense layer of `size` neurons. Raises Faulty."""
    weight, delay = _matrix(name, forward, source, size)
    parts = {"weight": weight}
    if back:
        parts["weight_rec"], late = _matrix(name, back, Population(name, (size,), source.neuron), size)
        if delay.any() or late.any():
            what = "it has delays and recurrent synapses, which lava-dl scales wrongly together"
            raise Faulty(Fault(name, what, "Train without delays, or without recurrent synapses"))
    _survives(name, parts)
    fields: dict[str, Any] = {key: value.astype(np.int32) for key, value in parts.items()}
    if delay.any():
        fields["delay"] = _shortest(delay)
    return fields


def _shortest(delay: Ints) -> Any:
    """One number, one a target, or all (a list as long as the sources could be read as one a target)."""
    if np.all(delay == delay[:1, :1]):
        return int(delay[0, 0])
    return delay[:, 0] if np.all(delay == delay[:, :1]) else delay


def _survives(name: str, parts: dict[str, Ints]) -> None:
    """Raises Faulty unless lava-dl and Lava keep every weight."""
    whole = np.hstack(tuple(parts.values()))
    if not whole.any():
        raise Faulty(Fault(name, "all its weights are 0, which lava-dl cannot load", "Remove the layer"))
    low, high = int(whole.min()), int(whole.max())
    if low < 0 < high and np.any(whole % 2) and (low < -128 or high > 127):
        what = f"its weights span {low}..{high} and some are odd; of both signs the chip holds odd ones within -128..127"
        raise Faulty(Fault(name, what, "Quantise with --bits 8"))
    try:
        stored = optimise(name, whole)
        start = 0
        for weight in parts.values():
            found = kept(name, stored.codes[:, start : start + weight.shape[1]], stored.weight_bits, stored.scale_bits)
            start += weight.shape[1]
            if stored.clipped or not np.array_equal(found, weight):
                what = f"its weights span {low}..{high}, and Lava would keep others"
                raise Faulty(Fault(name, what, "Quantise with --bits 8, with weights of both signs or none at -2^k"))
    except SnnportError as error:
        raise Faulty(Fault(name, error.what, error.remedy)) from None


# ------------------------------------------------------------------------------------------------------------ matrices


def _matrix(name: str, ways: tuple[Projection, ...], source: Population, size: int) -> tuple[Ints, Ints]:
    """Weights and delays (target, source) of all ways together. Raises Faulty where a pair would need two delays."""
    if size * source.size > MOST_ENTRIES:
        what = f"it takes a matrix of {size} x {source.size} weights, {MOST_ENTRIES} are the limit here"
        raise Faulty(Fault(name, what, "Use a smaller layer"))
    weight, delay = np.zeros((size, source.size), np.int64), np.full((size, source.size), -1, np.int64)
    for q in ways:
        part, there = _one_matrix(name, q, source, size)
        steps = q.delay - 1
        if not 0 <= steps <= MOST_DELAY:
            raise Faulty(Fault(name, f"its synapses take {q.delay} steps, lava-dl 1..{MOST_DELAY + 1}", "Train without"))
        if np.any(there & (delay >= 0) & (delay != steps)):
            what = "two synapses join the same neurons with different delays"
            raise Faulty(Fault(name, what, "Train with one delay a synapse"))
        delay[there] = steps
        weight += part << q.exponent
    return weight, _filled(delay)


def _filled(delay: Ints) -> Ints:
    """`delay` with a delay where no synapse is (-1): that of the other synapses of the target, or of the source, or 0."""
    for axis in (1, 0):
        greatest = np.maximum(delay.max(axis=axis, keepdims=True), 0)
        if np.all((delay < 0) | (delay == greatest)):
            return np.asarray(greatest + 0 * delay, np.int64)
    return np.asarray(np.maximum(delay, 0), np.int64)


def _one_matrix(name: str, q: Projection, source: Population, size: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    synapse = q.synapse
    if isinstance(synapse, Conv):
        what = "a convolution and a dense way lead into it, or a convolution onto itself"
        raise Faulty(Fault(name, what, "Train with one kind of synapses"))
    if isinstance(synapse, Dense):
        matrix: Ints = np.asarray(synapse.codes, np.int64)
        there: npt.NDArray[np.bool_] = np.ones(matrix.shape, bool)
    elif isinstance(synapse, Diagonal):
        matrix, there = np.diag(np.asarray(synapse.codes, np.int64)), np.eye(len(synapse.codes)) > 0
    else:
        matrix, there = _listed(synapse)
    if q.pool is not None:
        matrix = _unpooled(matrix, q.pool)
        there = _unpooled(there.astype(np.int64), q.pool) > 0
    return matrix.reshape(size, source.size), there.reshape(size, source.size)


def _listed(synapse: Sparse) -> tuple[Ints, npt.NDArray[np.bool_]]:
    matrix, there = np.zeros(synapse.shape, np.int64), np.zeros(synapse.shape, bool)
    np.add.at(matrix, (synapse.target, synapse.source), synapse.codes)
    there[synapse.target, synapse.source] = True
    return matrix, there


def _unpooled(matrix: Ints, pool: SumPool) -> Ints:
    """A matrix over the pooled map as one over the map before the pooling."""
    channels, height, width = pool.input_shape
    top, left, bottom, right = pool.padding
    rows, columns = window_positions((height, width), pool.kernel_size, pool.stride, pool.padding)
    wide = np.zeros((len(matrix), channels, height + top + bottom, width + left + right), np.int64)
    pooled = matrix.reshape(len(matrix), channels, rows, columns)
    for i in range(pool.kernel_size[0]):
        for j in range(pool.kernel_size[1]):
            at = slice(i, i + pool.stride[0] * (rows - 1) + 1, pool.stride[0])
            along = slice(j, j + pool.stride[1] * (columns - 1) + 1, pool.stride[1])
            wide[:, :, at, along] += pooled
    return wide[:, :, top : top + height, left : left + width].reshape(len(matrix), -1)


# -------------------------------------------------------------------------------------------------------- convolutions


def _geometry(conv: Conv) -> tuple[Any, ...]:
    return conv.input_shape, conv.stride, conv.padding, conv.dilation, conv.groups, conv.codes.shape


def _as_conv(name: str, q: Projection, shape: Shape) -> Conv:
    """The way as one convolution from the source's map, its exponent in its codes. Raises Faulty."""
    synapse = q.synapse
    if isinstance(synapse, Diagonal):
        channels = shape[0]
        by_channel = np.asarray(synapse.codes, np.int64).reshape(channels, -1)
        if np.any(by_channel != by_channel[:, :1]):
            what = "its neurons have one synapse each, and these differ within a channel"
            raise Faulty(Fault(name, what, "Give a channel one weight"))
        seen = (channels, *shape[1:])
        synapse = Conv(by_channel[:, :1, None, None], (seen[0], seen[1], seen[2]), (1, 1), (0, 0, 0, 0), (1, 1), channels)
    assert isinstance(synapse, Conv)
    conv = replace(synapse, codes=np.asarray(synapse.codes, np.int64) << q.exponent)
    return conv if q.pool is None else _pooled(name, conv, q.pool)


def _pooled(name: str, conv: Conv, pool: SumPool) -> Conv:
    """`conv` behind `pool` as one convolution. Raises Faulty where windows leave the map that the pooling cut off."""
    codes: Ints = np.asarray(_spread(conv).codes, np.int64)
    stride, padding = [0, 0], [0, 0, 0, 0]
    for axis in (0, 1):
        kernel, step, size = pool.kernel_size[axis], pool.stride[axis], pool.input_shape[1 + axis]
        before, after = pool.padding[axis], pool.padding[axis + 2]
        windows = conv.input_shape[1 + axis]
        reach = (windows - 1) * step + kernel
        if (conv.padding[axis] or conv.padding[axis + 2]) and (kernel > step or reach < size + before + after or before):
            what = (
                "the convolution behind its pooling is padded, and the pooling does not tile the map: no one kernel does both"
            )
            raise Faulty(Fault(name, what, "Pool with stride = kernel a map that it divides, or do not pad"))
        codes = _widened(codes, 2 + axis, step, kernel)
        stride[axis] = conv.stride[axis] * step
        padding[axis] = conv.padding[axis] * step + before
        taps = codes.shape[2 + axis]
        places = conv_places(conv, axis)
        padding[axis + 2] = (places - 1) * stride[axis] + taps - size - padding[axis]
    if min(padding) < 0:
        # The map ends behind what the last window needs; zeros at the kernel's end reach it.
        for axis in (0, 1):
            short = -min(padding[axis + 2], 0)
            if short:
                pads = [(0, 0)] * 4
                pads[2 + axis] = (0, short)
                codes, padding[axis + 2] = np.pad(codes, pads), 0
    top, left, bottom, right = padding
    return Conv(codes, pool.input_shape, (stride[0], stride[1]), (top, left, bottom, right), (1, 1), conv.groups)


def conv_places(conv: Conv, axis: int) -> int:
    """How many places the convolution has along an axis."""
    positions = window_positions(conv.input_shape[1:], conv.codes.shape[2:], conv.stride, conv.padding, conv.dilation)
    return positions[axis]


def _widened(codes: Ints, axis: int, step: int, kernel: int) -> Ints:
    """Entry i becomes `kernel` entries from i * step on, added up where they overlap."""
    length = (codes.shape[axis] - 1) * step + kernel
    moved = np.moveaxis(codes, axis, 0)
    wide = np.zeros((length, *moved.shape[1:]), np.int64)
    for i, entry in enumerate(moved):
        wide[i * step : i * step + kernel] += entry
    return np.moveaxis(wide, 0, axis)


def _spread(conv: Conv) -> Conv:
    """`conv` without dilation: zeros between the entries of its kernel."""
    kh, kw = conv.codes.shape[2:]
    (dy, dx), codes = conv.dilation, np.asarray(conv.codes, np.int64)
    wide = np.zeros((*codes.shape[:2], (kh - 1) * dy + 1, (kw - 1) * dx + 1), np.int64)
    wide[:, :, ::dy, ::dx] = codes
    return replace(conv, codes=wide, dilation=(1, 1))


def _even_padding(name: str, conv: Conv) -> Conv:
    """`conv` with the same padding before and behind, zeros in the kernel where there was less."""
    top, left, bottom, right = conv.padding
    if (top, left) == (bottom, right):
        return conv
    conv = _spread(conv)
    more = ((max(bottom - top, 0), max(top - bottom, 0)), (max(right - left, 0), max(left - right, 0)))
    codes = np.pad(conv.codes, ((0, 0), (0, 0), *more))
    height, width = max(top, bottom), max(left, right)
    return replace(conv, codes=codes, padding=(height, width, height, width))
