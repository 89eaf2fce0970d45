"""What neurons take of a Loihi core: input axons, and synaptic memory by nengo_loihi's published formula.

One input axon for each source neuron that reaches the core. Its synapses lie in blocks of 64, each a header of 10 bits and
the weights (with a 12-bit target index each where the list is sparse), rounded up to words of 64 bits
(nengo_loihi 1.1.0, bits_per_axon). Convolutions are counted as sparse lists: Intel has not published Loihi 2's shared kernels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnport.chip import Chip
from snnport.program import Conv, Dense, Program, Projection, Sparse
from snnport.targets.placement import Demand, Load
from snnport.targets.synapses import conv_output, pool_output

Counts = npt.NDArray[np.int64]


def axon_bits(targets: Counts, chip: Chip, *, sparse: bool) -> Counts:
    """Bits of synaptic memory of axons that reach `targets` neurons on the core, entry by entry."""
    block, header, word = (int(chip[key]) for key in ("axon_block", "axon_header_bits", "axon_word_bits"))
    width = int(chip["weight_bits"]) + (int(chip["index_bits"]) if sparse else 0)

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


def demand(program: Program, chip: Chip) -> Demand:
    """What neurons start..stop-1 of a population take of a core."""
    into = {p.name: program.into(p.name) for p in program.populations}

    def of(name: str, start: int, stop: int) -> Load:
        axons = bits = 0
        for projection in into[name] if stop > start else ():
            counts = fan_out(projection, start, stop)
            reached = counts[counts > 0]
            axons += len(reached)
            bits += int(axon_bits(reached, chip, sparse=not isinstance(projection.synapse, Dense)).sum())
        return {"neurons": stop - start, "axons": axons, "bits": bits}

    return of


def limits(chip: Chip) -> Load:
    """What one core has."""
    return {
        "neurons": int(chip["neurons_per_core"]),
        "axons": int(chip["input_axons"]),
        "bits": int(chip["synaptic_memory_bits"]),
    }


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
