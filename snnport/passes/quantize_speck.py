"""A spiking network in the integers of Speck: 8-bit weights and biases, 16-bit thresholds, one scale a layer.

method "sinabs" gives the integers of sinabs 3.1.3 (backend/dynapcnn/discretize.py), in its float32:
    scale = min over weights, biases (127 / max or 128 / -min, whichever binds), thresholds (32767 / max or 32768 / -min)
    x_int = round half to even(x * scale), thresholds and v_min too.
method "fitted" chooses an integer theta for the threshold, so that it is not rounded, and lets weights beyond the widest code
clip where that lowers the error: the theta that minimises
    sum over inputs j of a_j sum over w in column j of (w - q clip(rint(w / q), -127, 127))^2,  q = v_threshold / theta,
with a_j the mean square of what input j sends in a step where activity is known (targets/speck/choosing.py), else 1, and 1
for biases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention
from snnport.errors import InvalidInput, PassFailed
from snnport.graph import Graph
from snnport.nodes import Real, Shape
from snnport.passes.base import Context
from snnport.passes.quantize_snn import Charged, QuantizeSnn, Write, coded, on_codes
from snnport.quant import codes_of, round_half_even

METHODS = ("fitted", "sinabs")
WIDEST = 127
STATE = 1 << 15
FINER = 64
"""How many times finer than the scale that clips nothing the candidates go."""
CANDIDATES = 160
Single = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Discretised:
    """One layer as sinabs writes it to a chip: integers, and the float32 scale that they were multiplied by."""

    weight: npt.NDArray[np.int64]
    bias: npt.NDArray[np.int64] | None
    high: int
    low: int
    v_mem: npt.NDArray[np.int64] | None
    scale: float


def discretise(
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    threshold: float,
    low: float | None,
    *,
    rescale: float = 1.0,
    v_mem: npt.ArrayLike | None = None,
) -> Discretised:
    """What sinabs 3.1.3 makes of one layer.

    rescale: of average poolings before it, multiplied into the weights, not the biases.
    low: min_v_mem; None is taken as -2^15 before scaling, as sinabs does, which leaves a scale of at most 1: a fault of theirs
    that zeroes every weight below 1/2. Use method "fitted" there.
    """
    weights = np.asarray(weight, np.float32)
    if rescale != 1:
        weights = (weights * np.float32(rescale)).astype(np.float32)
    thresholds = np.array([-STATE if low is None else low, threshold], np.float32)
    scales = [widest_scale(weights, 8), widest_scale(thresholds, 16)]
    biases = None if bias is None else np.asarray(bias, np.float32)
    states = None if v_mem is None else np.asarray(v_mem, np.float32)
    scales += [] if biases is None else [widest_scale(biases, 8)]
    scales += [] if states is None else [widest_scale(states, 16)]
    scale = np.float32(min(scales))

    def whole(x: Single) -> npt.NDArray[np.int64]:
        return np.rint((x * scale).astype(np.float32)).astype(np.int64)

    least, most = whole(thresholds).tolist()
    of_bias, of_state = (None if x is None else whole(x) for x in (biases, states))
    return Discretised(whole(weights), of_bias, most, least, of_state, float(scale))


def widest_scale(x: Single, bits: int) -> np.float32:
    """The greatest factor with which all of `x` fits `bits` bits; infinity for zeros. In float32 throughout."""
    top, bottom = np.float32((1 << (bits - 1)) - 1), np.float32(1 << (bits - 1))
    low, high = np.float32(x.min()), np.float32(x.max())
    with np.errstate(divide="ignore"):
        if abs(low) <= abs(high) * np.float32((1 << (bits - 1)) / ((1 << (bits - 1)) - 1)):
            return np.float32(abs(top / high))
        return np.float32(abs(bottom / low))


def rescale_of(scales: tuple[float, ...], method: int = 0) -> float:
    """The factor of a layer behind average poolings of factors 1 / (kh kw); of several different ones by sinabs's methods.

    1: half the mean, 2: half the harmonic mean, both rounded to 2 digits; 0: refused. Raises InvalidInput.
    """
    different = sorted(set(scales))
    if len(different) < 2:
        return different[0] if different else 1.0
    if method == 1:
        return float(np.round(np.mean(different) * 0.5, 2))
    if method == 2:
        return float(np.round(len(different) / sum(1.0 / s for s in different) * 0.5, 2))
    listed = ", ".join(f"{scale:g}" for scale in different)
    raise InvalidInput("average pooling", f"poolings of factors {listed} lead into one layer", "Use sum pooling, or one size")


@dataclass(frozen=True)
class QuantizeSpeck(QuantizeSnn):
    """Give every weighted node and neuron of a spiking graph the integers of Speck.

    method: "fitted" or "sinabs". thresholds: "LAYER:THETA;...", the codes of the threshold behind a weighted node, chosen
    beforehand, for method fitted; others are fitted here.
    """

    name: ClassVar[str] = "quantize-speck"
    threshold_bits: int = 16
    bias_bits: int = 8
    method: str = METHODS[0]
    thresholds: str = ""

    def requires(self, graph: Graph) -> None:
        """What QuantizeSnn requires, a method that there is, thresholds of neurons that there are."""
        super().requires(graph)
        if self.method not in METHODS:
            raise PassFailed(self.spelling, f"there is no method '{self.method}'", f"Known: {', '.join(METHODS)}")
        for name in self.chosen():
            if name not in graph.nodes:
                raise PassFailed(self.spelling, f"there is no layer '{name}'", "Name weighted nodes of this network")

    def chosen(self) -> Mapping[str, int]:
        """thresholds, by weighted node. Raises PassFailed where they are no list."""
        try:
            pairs = [part.rsplit(":", 1) for part in filter(None, self.thresholds.split(";"))]
            return {name: int(theta) for name, theta in pairs}
        except ValueError:
            raise PassFailed(self.spelling, f"'{self.thresholds}' is no list of thresholds", "Write LAYER:THETA;...") from None

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Every weight is a whole number of 8 bits."""
        for name, node in after.nodes.items():
            if "bits" in node.metadata:
                weight = node.scale if isinstance(node, nir.Scale) else getattr(node, "weight", 0.0)
                codes = codes_of(weight, float(node.metadata["scale"]), name)
                if codes.min(initial=0) < -WIDEST - 1 or codes.max(initial=0) > WIDEST:
                    what = f"its codes span {codes.min()}..{codes.max()}, 8 bits hold -128..127"
                    raise PassFailed(f"{self.spelling}: {name}", what, "Use a larger scale")

    def written(self, node: Any, charged: Charged) -> tuple[float, Write]:
        """The real value of one code, and what writes a weighted node's codes."""
        if self.method == "sinabs":
            return self._as_sinabs(node, charged)
        q = self._unit(node, charged)

        def write(old: nir.NIRNode, weight: Real, bias: Real | None) -> tuple[nir.NIRNode, str]:
            codes = round_half_even(np.asarray(weight) / q)
            clipped = int(np.count_nonzero(np.abs(codes) > WIDEST))
            kept = None if bias is None else np.clip(round_half_even(bias / q), -WIDEST, WIDEST) * q
            why = f"8-bit codes, scale {q:.6g}" + (f", {clipped} weights clipped" if clipped else "")
            return coded(old, np.clip(codes, -WIDEST, WIDEST), kept, q, self.bits), why

        return q, write

    def neuron(self, node: Any, shape: Shape, q: float, convention: Convention) -> nir.NIRNode:
        """As in QuantizeSnn; of sinabs the threshold rounded in float32, and v_min = -threshold, as its NIR reader has it."""
        if self.method != "sinabs" or not hasattr(node, "v_threshold"):
            return on_codes(node, shape, q, convention)
        high = np.float32(np.asarray(node.v_threshold, np.float64).reshape(-1)[0])
        theta = int(np.rint(high * np.float32(1.0 / q)))
        settled: Any = copy(node)
        settled.v_threshold = np.full(shape, theta * q)
        settled.metadata = {**node.metadata, "v_min": -theta}
        return on_codes(settled, shape, q, convention)

    def _unit(self, node: Any, charged: Charged) -> float:
        """q of method fitted: the threshold over the chosen theta, or over the one that rounds and clips least."""
        thresholds = np.unique(getattr(node, "v_threshold", 0.0))
        if self.scale is not None or len(thresholds) > 1 or thresholds[0] <= 0:
            return self.scale if self.scale is not None else self.fitted(node, charged)
        chosen = self.chosen()
        theta = next((chosen[name] for name in charged if name in chosen), None)
        if theta is None:
            parts = [(part, np.ones(1)) for pair in charged.values() for part in pair if part is not None]
            theta = best_theta(float(thresholds[0]), parts)
        return float(thresholds[0]) / theta

    def _as_sinabs(self, node: Any, charged: Charged) -> tuple[float, Write]:
        thresholds = np.asarray(getattr(node, "v_threshold", 1.0), np.float64).reshape(-1)
        weights = np.concatenate([np.ravel(w) for w, _ in charged.values()] or [np.zeros(1)])
        biases = [np.ravel(b) for _, b in charged.values() if b is not None]
        found = discretise(weights, np.concatenate(biases) if biases else None, float(thresholds[0]), -float(thresholds[0]))
        q = 1.0 / found.scale

        def whole(values: Real) -> npt.NDArray[np.int64]:
            return np.rint((np.asarray(values, np.float32) * np.float32(found.scale)).astype(np.float32)).astype(np.int64)

        def write(old: nir.NIRNode, weight: Real, bias: Real | None) -> tuple[nir.NIRNode, str]:
            kept = None if bias is None else whole(bias) * q
            return coded(old, whole(weight), kept, q, self.bits), f"sinabs's 8-bit codes, scale {q:.6g}"

        return q, write


def best_theta(threshold: float, parts: Sequence[tuple[Real, Real]]) -> int:
    """The integer threshold with the least weighted error of rounding and clipping.

    parts: values (rows, columns ...) and what their squared errors count, which broadcasts against them.
    """
    peak = max((float(np.abs(w).max(initial=0.0)) for w, _ in parts), default=0.0)
    whole = min(STATE - 2, int(WIDEST * threshold / peak * (1 + 1e-12)) if peak else STATE - 2)
    ladder = np.concatenate(
        [np.geomspace(max(whole, 1), max(whole, 1) * FINER, CANDIDATES), np.arange(max(1, whole * 7 // 8), whole + 1)[-64:]]
    )
    thetas = np.unique(np.clip(ladder.astype(np.int64), 1, STATE - 2))
    errors = [sum(_error(w, a, threshold / int(theta)) for w, a in parts) for theta in thetas]
    return int(thetas[int(np.argmin(errors))])


def _error(values: Real, counts: Real, q: float) -> float:
    off = np.asarray(values) - np.clip(np.rint(np.asarray(values) / q), -WIDEST, WIDEST) * q
    return float((np.square(off) * counts).sum())
