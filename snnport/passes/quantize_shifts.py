"""A spiking network in real numbers becomes one in 8-bit codes, each projection with a shift of its own.

One scale for all that a potential meets (quantize_snn) spends its codes on the largest weight: beside inhibition of ten
thresholds the input keeps a few codes. Where a chip shifts what a projection brings, its weights use their own width:
    W_int = rint(W / (q 2^e)) 2^e   with the least e >= 0 for which |W_int| 2^-e fits `bits`,   b_int = rint(b / q).
q is the scale with which the projection of the smallest weights fills its width and a threshold has at least MIN_THETA codes
(biases are not shifted, and add up step by step), but at least v_threshold over the greatest number of `threshold_bits` bits,
and no finer than 2^MOST_SHIFT below the largest weights. It divides the threshold where that is one number. The error of a
weight is at most q 2^e / 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.nodes import Real
from snnport.passes.quantize_snn import Charged, QuantizeSnn, Write, coded
from snnport.quant import round_half_even

MIN_THETA = 512
"""Codes a threshold should have: a bias of 1 / MIN_THETA of it is 2 % of what a neuron with tau = 20 steps integrates."""
MOST_SHIFT = 12
"""Bits that a projection may shift what it brings."""


@dataclass(frozen=True)
class QuantizeShifts(QuantizeSnn):
    """quantize-snn with a shift for each projection.

    synaptic_theta: most codes of a threshold behind a synaptic current, 0 for any. Where potentials have 24 bits and count in
    1 / 64 of a code, 32768 leave room for 4 thresholds above and below 0.
    """

    name: ClassVar[str] = "quantize-shifts"
    synaptic_theta: int = 32768

    def written(self, node: Any, charged: Charged) -> tuple[float, Write]:
        """q, and what rounds a projection to its own multiple of it."""
        q = self.scale if self.scale is not None else self.fitted(node, charged)

        def write(old: nir.NIRNode, weight: Real, bias: Real | None) -> tuple[nir.NIRNode, str]:
            shift = _shift(weight, q, self.bits)
            codes = round_half_even(weight / (q * (1 << shift))) << shift
            return coded(old, codes, bias, q, self.bits + shift), f"{self.bits}-bit codes shifted by {shift}, scale {q:.6g}"

        return q, write

    def fitted(self, node: Any, charged: Charged) -> float:
        """The scale of the projection of the smallest weights, as far as the widths allow."""
        top = (1 << (self.bits - 1)) - 1
        peaks = [peak for weight, _ in charged.values() if (peak := float(np.abs(weight).max(initial=0.0)))]
        if not peaks:
            return super().fitted(node, charged)
        wide = (1 << (self.threshold_bits - 1)) - 2
        levels = [float(np.abs(getattr(node, field, 0.0)).max(initial=0.0)) for field in ("v_threshold", "v_reset")]
        least = float(np.min(getattr(node, "v_threshold", np.inf)))
        wish = min(min(peaks) / top, least / MIN_THETA if least > 0 else np.inf)
        if self.synaptic_theta and isinstance(node, nir.CubaLIF):
            wish = max(wish, least / self.synaptic_theta)
        smallest = max(wish, max(peaks) / (top << MOST_SHIFT), max(levels) / wide)
        thresholds = np.unique(getattr(node, "v_threshold", 0.0))
        if len(thresholds) > 1 or not thresholds[0] / smallest >= 1:
            return smallest
        return float(thresholds[0]) / int(thresholds[0] / smallest * (1 + 1e-12))


def _shift(weight: Real, q: float, bits: int) -> int:
    """The least shift with which the codes of `weight` fit `bits`."""
    top, peak = (1 << (bits - 1)) - 1, float(np.abs(weight).max(initial=0.0)) / q
    return next(e for e in range(64) if np.rint(peak / (1 << e)) <= top)
