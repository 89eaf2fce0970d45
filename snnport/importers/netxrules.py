"""What lava-dl's netx and Lava make of a layer's numbers when they load it: the integers that a spike really adds.

Sources: lava-dl 0.6.0, lib/dl/netx/utils.py (optimize_weight_bits), hdf5.py (create_dense), blocks/process.py; lava-nc 0.10.0,
utils/weightutils.py (determine_sign_mode, clip_weights, truncate_weights) and proc/dense/models.py. docs/semantics.md says it
in words. Integers only; where those compute in floating point (logarithms of ratios of small integers), the ratios are
compared as whole numbers here, with the same result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, UnsupportedNode

Ints = npt.NDArray[np.int64]

MIXED_RANGE = (-256, 254)
"""What optimize_weight_bits clips weights of both signs to."""
MOST = 255
"""The largest magnitude of a weight where all have one sign."""
MOST_DELAY = 62


@dataclass(frozen=True, eq=False)
class Stored:
    """What netx hands to Lava's Dense. codes (target, source): weights << scale_bits; weight_exp is -scale_bits.

    clipped: how many weights of the file were clipped to MIXED_RANGE.
    """

    codes: Ints
    weight_bits: int
    scale_bits: int
    clipped: int


def optimise(where: str, weight: Ints) -> Stored:
    """netx's optimize_weight_bits. Raises UnsupportedNode where lava-dl fails or loses every weight."""
    if not weight.any():
        raise UnsupportedNode(where, "all its weights are 0, which lava-dl cannot load", "Remove the layer")
    low, high = MIXED_RANGE
    clipped = np.clip(weight, low, high) if weight.min() < 0 < weight.max() else weight
    least, most = int(clipped.min()), int(clipped.max())
    signed = 1 if least < 0 <= most else 0
    if (least >= 0 and most > MOST) or (most < 0 and least < -MOST - 1) or (most == 0 and least < -MOST - 1):
        what = f"its weights span {least}..{most}, of one sign lava-dl keeps up to {MOST} and makes larger ones 0"
        raise UnsupportedNode(where, what, "Train with 8-bit weights")
    if signed:
        ratios = ([(127, most)] if most else []) + [(128, -least)]
        bits = min(_floor_log2(*ratio) for ratio in ratios) + 1
    else:
        bits = _floor_log2(256, -least) if most < 0 else _floor_log2(255, most)
    zeros = next((n for n in range(8, 0, -1) if not np.any(clipped % (1 << n))), 0)
    return Stored(clipped << bits, 8 - bits - (zeros - signed), bits, int(np.count_nonzero(clipped != weight)))


def kept(where: str, codes: Ints, weight_bits: int, scale_bits: int) -> Ints:
    """What one spike adds behind Lava's Dense: codes clipped and truncated as Lava does, then >> scale_bits.

    Raises UnsupportedNode where Lava rounds the sum and not each weight, so that no weight says what a spike adds.
    """
    mixed = codes.min(initial=0) < 0 < codes.max(initial=0)
    inhibitory = not mixed and codes.max(initial=0) <= 0 and codes.min(initial=0) < 0
    size = -codes if inhibitory else codes
    size = np.clip(size, -MOST - 1 if mixed else 0, MOST)
    drop = 8 - weight_bits + (1 if mixed else 0)
    # Odd weights of which none is positive and some are 0, or the like beside others in dense_rec: numpy's shift by a
    # negative number leaves none of them.
    size = (size >> drop) << drop if drop >= 0 else 0 * size
    left = -size if inhibitory else size
    if np.any(left % (1 << scale_bits)):
        what = (
            f"Lava stores {int(codes.min())} as {int(left.min())} and rounds the sum of what arrives by {scale_bits} bits: "
            "no weights say the same"
        )
        raise UnsupportedNode(where, what, f"Change its least weight from {int(codes.min()) >> scale_bits} by one step")
    return np.asarray(left >> scale_bits, np.int64)


def delays_of(where: str, values: npt.NDArray[np.float64 | np.int64], shape: tuple[int, int]) -> tuple[Ints, bool]:
    """Delays of every synapse (target, source) in steps, and whether netx clamps some at MOST_DELAY.

    One number, one a target, one a source (only where the two counts differ; as many as targets means targets), or all.
    """
    clamped = bool(values.max() > MOST_DELAY)
    steps = np.trunc(np.clip(values, 0, MOST_DELAY) if clamped else values).astype(np.int64)
    if steps.min() < 0:
        raise InvalidGraph(where, f"it has a delay of {int(steps.min())} steps", "Delays are 0..62")
    if values.ndim == 0:
        return np.full(shape, int(steps)), clamped
    if values.shape == (shape[0],):
        return np.repeat(steps[:, None], shape[1], axis=1), clamped
    if values.shape == (shape[1],):
        return np.repeat(steps[None, :], shape[0], axis=0), clamped
    if values.shape == shape:
        return steps, clamped
    what = f"its delay has shape {values.shape}, its weight {shape}"
    raise InvalidGraph(where, what, "Give one delay, one a neuron, or one a source")


def _floor_log2(above: int, below: int) -> int:
    """floor(log2(above / below)), both positive."""
    bits = above.bit_length() - below.bit_length()
    return bits if above << max(-bits, 0) >= below << max(bits, 0) else bits - 1
