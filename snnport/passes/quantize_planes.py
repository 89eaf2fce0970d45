"""A spiking network in the integers of a chip that adds several planes of weights, each with an exponent of its own.

One scale for all that a potential meets (quantize_snn) spends its codes on the largest weight: where inhibition reaches 13
thresholds and excitation less than one, 8 bits leave a threshold of 9 codes. Here a threshold has `theta` codes, and the
weights of a projection are rounded plane by plane:
    q = v_threshold / theta,  W_int = rint(W / (q 2^e)) 2^e  with the least e for which the magnitudes of its sign need 8 bits,
    b_int = rint(b / q).
planes = 2: one plane a sign. planes = 4: a coarse and a fine plane a sign, W_int = rint(W / q) up to 255 * 2^7.
The error of a weight is at most q 2^e / 2, of a bias q / 2, of a threshold none. A population whose threshold has MIN_THETA
codes or more already with one scale keeps that, and one that consists of whole numbers within 8 bits keeps those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.errors import PassFailed
from snnport.fixed import IntArray
from snnport.graph import Graph
from snnport.nodes import Real
from snnport.passes.quantize_snn import Charged, QuantizeSnn, Write, coded
from snnport.quant import round_half_even

MIN_THETA = 128
"""Codes a threshold should have: rounding it or a weight then moves it by less than 0.4 %."""
PLANE_BITS = 8
PLANE_TOP = (1 << PLANE_BITS) - 1
MOST_EXPONENT = 7
"""A plane holds magnitudes up to 255, shifted by up to 7 (weight exponent: lava-nc 0.10.0, utils/weightutils.py)."""
TOP = PLANE_TOP << MOST_EXPONENT
LEAST_WHOLE = 16
"""Codes of a threshold that a leaky population must have to keep its own whole numbers: 1024 units of v."""


@dataclass(frozen=True)
class QuantizePlanes(QuantizeSnn):
    """quantize-snn, where it is too coarse with several planes of weights.

    planes: 2 or 4 for a projection. theta: codes of a threshold where planes are used, fewer where the accumulator would not
    hold all that can arrive. readout: the largest code into a population that never fires.
    """

    name: ClassVar[str] = "quantize-planes"
    planes: int = 2
    theta: int = 0
    readout: int = PLANE_TOP

    def requires(self, graph: Graph) -> None:
        """What quantize-snn requires, and numbers that make sense."""
        super().requires(graph)
        if self.planes not in (2, 4) or not 0 <= self.theta < 1 << 17:
            what = f"planes = {self.planes}, theta = {self.theta}: 2 or 4 planes and 0..131071 codes are needed"
            raise PassFailed(self.spelling, what, "The default is 2 planes and a theta that fits")
        if not 1 <= self.readout <= PLANE_TOP:
            raise PassFailed(
                self.spelling, f"readout = {self.readout}: 1..{PLANE_TOP} is needed", "The default is the greatest"
            )

    def written(self, node: Any, charged: Charged) -> tuple[float, Write]:
        """As in quantize-snn; q and planes as the module says."""
        if self.scale is not None:
            return super().written(node, charged)
        if self._whole(node, charged):
            return _exactly(1.0, self.bits + 1)
        if self._one_scale(node, charged):
            return super().written(node, charged)
        q = self._unit(node, charged)

        def write(old: nir.NIRNode, weight: Real, bias: Real | None) -> tuple[nir.NIRNode, str]:
            codes, exponents = rounded(weight / q, self.planes)
            kind = "one plane a sign" if self.planes == 2 else "two planes a sign"
            why = f"{kind}, 8-bit magnitudes shifted by {exponents[0]} (+) and {exponents[1]} (-), scale {q:.6g}"
            return coded(old, codes, bias, q, PLANE_BITS + MOST_EXPONENT + 2), why

        return q, write

    def _one_scale(self, node: Any, charged: Charged) -> bool:
        """Whether one scale leaves the threshold codes enough. The fit, which takes long, only where it can matter."""
        threshold = float(np.min(getattr(node, "v_threshold", np.inf))) * (1 + 1e-9)
        if not np.isfinite(threshold) or threshold < MIN_THETA * self.smallest(node, charged):
            return False
        return threshold >= MIN_THETA * self.fitted(node, charged)

    def _unit(self, node: Any, charged: Charged) -> float:
        """The real value of one code of a population in planes."""
        largest = max((float(np.abs(weight).max(initial=0.0)) for weight, _ in charged.values()), default=0.0)
        fires = hasattr(node, "v_threshold")
        threshold = float(np.max(node.v_threshold)) if fires else 0.0
        finest = max(threshold / max(self.theta or MIN_THETA, 1), largest / TOP) if fires else largest / self.readout or 1.0
        q = self.with_room(finest, charged, lambda values: [rounded(value, self.planes)[0].astype(float) for value in values])
        return threshold / max(threshold // q, 1) if fires and q > finest else q

    def _whole(self, node: Any, charged: Charged) -> bool:
        """Whether every number of this population is a whole number already, within 8 bits and the width of a threshold."""
        weights = [weight for weight, _ in charged.values()]
        biases = [bias for _, bias in charged.values() if bias is not None]
        levels = [np.asarray(getattr(node, field, 0.0)) for field in ("v_threshold", "v_reset", "v_leak")]
        top, most = 1 << (self.threshold_bits - 1), (1 << self.bits) - 1
        return (
            any(np.any(weight) for weight in weights)
            and hasattr(node, "v_threshold")
            and (isinstance(node, nir.IF) or float(np.min(node.v_threshold)) >= LEAST_WHOLE)
            and all(_integral(values) for values in (*weights, *biases, *levels))
            and max(float(np.abs(weight).max(initial=0.0)) for weight in weights) <= most
            and max(float(np.abs(value).max(initial=0.0)) for value in (*biases, *levels)) < top
        )


def rounded(values: Real, planes: int) -> tuple[IntArray, tuple[int, int]]:
    """Real `values` in codes as whole numbers that `planes` planes hold, and the exponents of the coarse plane of each sign."""
    codes = np.zeros(values.shape, np.int64)
    exponents = []
    for sign in (1, -1):
        part = np.maximum(sign * values, 0.0)
        exponent = 0
        while exponent < MOST_EXPONENT and np.rint(part.max(initial=0.0) / (1 << exponent)) > PLANE_TOP:
            exponent += 1
        unit = 1 << exponent if planes == 2 else 1
        codes += sign * (round_half_even(part / unit) * unit)
        exponents.append(exponent)
    return codes, (exponents[0], exponents[1])


def _exactly(q: float, bits: int) -> tuple[float, Write]:
    def write(old: nir.NIRNode, weight: Real, bias: Real | None) -> tuple[nir.NIRNode, str]:
        return coded(old, round_half_even(weight / q), bias, q, bits), "its own whole numbers, scale 1"

    return q, write


def _integral(values: Real) -> bool:
    return bool(np.all(np.abs(values - np.rint(values)) <= 1e-6 * np.maximum(np.abs(values), 1.0)))
