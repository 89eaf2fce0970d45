"""What neurons take of a Loihi core: axons in and out, and synaptic memory by nengo_loihi's published formula.

Synapses lie in lists, in blocks of up to 64, each a header of 10 bits and the weights (with a 12-bit target index each where
the list is sparse, and delay bits where it delays), rounded up to words of 64 bits (nengo_loihi 1.1.0, bits_per_axon).
- Dense and sparse projections have a list for every source neuron that reaches the core, and an input axon for it.
- A convolution's kernels are shared (nengo_loihi 1.1.0, conv.py, conv2d_loihi_weights: "population" axons): source places
  from which the same taps of the kernel reach the core have one list an input channel between them, and an input axon a place
  serves all channels. Whether Loihi 2's own shared kernels take less has not been published.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnport.chip import Chip
from snnport.program import Conv, Dense, Program, Projection, Sparse
from snnport.targets.loihi.kernels import shared_lists
from snnport.targets.placement import Demand, Load
from snnport.targets.synapses import conv_output, pool_output

Counts = npt.NDArray[np.int64]


def axon_bits(targets: Counts, chip: Chip, *, sparse: bool, delay: int = 1) -> Counts:
    """Bits of synaptic memory of lists with `targets` synapses, entry by entry; delay: steps, 1 for none beyond the usual."""
    block, header, word = (int(chip[key]) for key in ("axon_block", "axon_header_bits", "axon_word_bits"))
    width = int(chip["weight_bits"]) + (int(chip["index_bits"]) if sparse else 0) + max(delay - 1, 0).bit_length()

    whole, rest = targets // block, targets % block
    last = -(-(header + rest * width) // word) * word
    return np.asarray(whole * (-(-(header + block * width) // word) * word) + np.where(rest > 0, last, 0), np.int64)


def fan_out(projection: Projection, start: int, stop: int) -> Counts:
    """How many of the targets start..stop-1 each source neuron reaches, int64 (n_sources,)."""
    synapse = projection.synapse
    if isinstance(synapse, Dense):
        counts = np.full(synapse.codes.shape[1], stop - start, np.int64)
    elif isinstance(synapse, Conv):
        counts = _conv_fan_out(synapse, start, stop)
    elif isinstance(synapse, Sparse):
        inside = (synapse.target >= start) & (synapse.target < stop)
        counts = np.bincount(synapse.source[inside], minlength=synapse.shape[1]).astype(np.int64)
    else:
        counts = np.zeros(synapse.codes.size, np.int64)
        counts[start:stop] = 1
    pool = projection.pool
    if pool is None:
        return counts.reshape(-1)
    maps = counts.reshape(pool_output(pool))
    return _spread(maps, pool.input_shape[1:], pool.kernel_size, pool.stride, pool.padding, (1, 1)).reshape(-1)


def list_bits(projection: Projection, start: int, stop: int, chip: Chip, *, shared: bool = True) -> int:
    """Bits of the lists to targets start..stop-1; shared: with a convolution's kernels shared, else one list a source."""
    synapse = projection.synapse
    if isinstance(synapse, Conv) and shared:
        lists = shared_lists(synapse, start, stop)
        sizes = np.array([size for size, _ in lists], np.int64)
        return int(axon_bits(sizes, chip, sparse=True, delay=projection.delay) @ np.array([n for _, n in lists], np.int64))
    counts = fan_out(projection, start, stop)
    sparse = not isinstance(synapse, Dense)
    return int(axon_bits(counts[counts > 0], chip, sparse=sparse, delay=projection.delay).sum())


def axons_into(projections: tuple[Projection, ...], start: int, stop: int) -> int:
    """Input axons of a core that holds the targets start..stop-1: one a source neuron, one a place where kernels are shared.

    Planes of one projection share the axon of their source.
    """
    reached: dict[tuple[str, bool], npt.NDArray[np.bool_]] = {}
    for projection in projections:
        conv = isinstance(projection.synapse, Conv)
        hit: npt.NDArray[np.bool_] = fan_out(projection, start, stop) > 0
        if conv:
            hit = np.asarray(hit.reshape(_channels(projection), -1).any(axis=0), np.bool_)
        key = (projection.source, conv)
        reached[key] = np.asarray(hit | reached[key], np.bool_) if key in reached else hit
    return sum(int(np.count_nonzero(hit)) for hit in reached.values())


def demand(program: Program, chip: Chip, routes: dict[str, int] | None = None) -> Demand:
    """What neurons start..stop-1 of a population take of a core. routes: cores that a neuron of a population sends to."""
    into = {p.name: program.into(p.name) for p in program.populations}
    sends = routes or {}

    def of(name: str, start: int, stop: int) -> Load:
        size = stop - start
        projections = into[name] if size > 0 else ()
        return {
            "neurons": size,
            "axons": axons_into(projections, start, stop),
            "bits": sum(list_bits(p, start, stop, chip) for p in projections),
            "routes": size * sends.get(name, 0),
        }

    return of


def limits(chip: Chip) -> Load:
    """What one core has."""
    return {
        "neurons": int(chip["neurons_per_core"]),
        "axons": int(chip["input_axons"]),
        "bits": int(chip["synaptic_memory_bits"]),
        "routes": int(chip["output_axons"]),
    }


def _channels(projection: Projection) -> int:
    if projection.pool is not None:
        return projection.pool.input_shape[0]
    return projection.synapse.input_shape[0] if isinstance(projection.synapse, Conv) else 1


def _conv_fan_out(conv: Conv, start: int, stop: int) -> Counts:
    outputs = conv_output(conv)
    chosen = np.zeros(int(np.prod(outputs)), np.int64)
    chosen[start:stop] = 1
    by_group = chosen.reshape(conv.groups, outputs[0] // conv.groups, *outputs[1:]).sum(axis=1)
    kernel = (int(conv.codes.shape[2]), int(conv.codes.shape[3]))
    spread = _spread(by_group, conv.input_shape[1:], kernel, conv.stride, conv.padding, conv.dilation)
    return np.repeat(spread, conv.input_shape[0] // conv.groups, axis=0)


def _spread(
    counts: Counts,
    size: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
) -> Counts:
    """Counts at window positions (maps, h, w), added up at every entry of the (maps, *size) map that a window covers."""
    top, left, bottom, right = padding
    wide = np.zeros((len(counts), size[0] + top + bottom, size[1] + left + right), np.int64)
    height, width = counts.shape[1:]
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            y, x = i * dilation[0], j * dilation[1]
            wide[:, y : y + stride[0] * (height - 1) + 1 : stride[0], x : x + stride[1] * (width - 1) + 1 : stride[1]] += counts
    return wide[:, top : top + size[0], left : left + size[1]]
