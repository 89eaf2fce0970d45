"""A spiking network in real numbers becomes one in integers: one scale a population, for all that its potential meets.

A potential adds weights and is compared with thresholds, so both are counted in the same unit q. The smallest that fits is
    q0 = max(max|W| / (2^(bits-1) - 1), max|v_threshold, v_reset| / (2^(threshold_bits-1) - 2), max|b| / (2^(bias_bits-1) - 1)).
A population with one threshold gets q = v_threshold / theta with an integer theta, so that nothing rounds its threshold:
the theta, among the largest that fit down to 7/8 of it, with which the weights round best (least sum of squares).
    W_int = rint(W / q), b_int = rint(b / q).
With a reset to a value and integer weights only the integers around a threshold matter: v > theta is v > floor(theta),
v >= theta is v >= ceil(theta). With a subtracting reset its size matters as well: rint. W and b are what one spike adds to
the potential: the resistance, the synapse's w_in and the decay's factor are multiplied in first (see `gain`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention, coding_of, convention_of
from snnport.errors import PassFailed
from snnport.fixed import IntArray
from snnport.graph import Graph, names_of, shapes, with_node_on_edge, with_nodes
from snnport.ledger import Entry
from snnport.nodes import ANN_NODES, NEURON_NODES, AdaptiveLIF, Real, Shape
from snnport.passes.base import Context, Pass
from snnport.passes.fold_convention import folded
from snnport.passes.paths import walk
from snnport.quant import codes_of, round_half_even

CANDIDATES = 64
"""Thresholds tried for one population."""
Charged: TypeAlias = Mapping[str, tuple[Real, Real | None]]
"""Weighted node -> its weights and its bias (None for none), as what they add to the potential."""
Write: TypeAlias = Callable[[nir.NIRNode, Real, Real | None], tuple[nir.NIRNode, str]]


@dataclass(frozen=True)
class QuantizeSnn(Pass):
    """Give every weighted node and neuron of a spiking graph integer codes.

    bits: width of a weight. threshold_bits: width of thresholds and reset values. bias_bits: width of a bias, 0 for any.
    scale: the real value of one code for every population, in place of a fitted one (None). accumulator_bits: width of all that
    may arrive at a neuron in one step, 0 for any.
    """

    name: ClassVar[str] = "quantize-snn"
    bits: int = 8
    threshold_bits: int = 24
    bias_bits: int = 0
    scale: float | None = None
    accumulator_bits: int = 0

    def requires(self, graph: Graph) -> None:
        """A spiking graph that snnport did not convert, widths that make sense, one set of weights a target."""
        if (
            not 2 <= self.bits <= 16
            or not 3 <= self.threshold_bits <= 32
            or not all(width == 0 or 2 <= width <= 32 for width in (self.bias_bits, self.accumulator_bits))
        ):
            raise PassFailed(
                self.spelling,
                "widths lie outside 2..16 (weights), 3..32 (thresholds) or 2..32 bits (biases, accumulators)",
                "The defaults are 8 and 24",
            )
        if self.scale is not None and not (self.scale > 0 and np.isfinite(self.scale)):
            raise PassFailed(self.spelling, f"a scale of {self.scale} is not positive", "Leave it out to have it fitted")
        if coding_of(graph.metadata) is not None:
            raise PassFailed(self.spelling, "the graph was converted by snnport and is in integers", "Use it as it is")
        left = names_of(graph, *ANN_NODES)
        if left or not names_of(graph, *NEURON_NODES):
            found = f"{left[0]} is a {type(graph.nodes[left[0]]).__name__}" if left else "it has no spiking neuron"
            raise PassFailed(self.spelling, found, "Convert the network to spikes first: snnport convert")
        for path in walk(graph)[0]:
            twins = {p.target for p in walk(graph)[0] if p.weighted is not None and p.weighted == path.weighted}
            if len(twins) > 1:
                names = ", ".join(sorted(twins))
                raise PassFailed(f"{self.spelling}: {path.weighted}", f"it feeds {names}", "Run separate-paths first")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph with real values that are codes times q, metadata scale and bits, and gains of 1 in the neurons."""
        graph = with_units(folded(graph, self.spelling), self.spelling)
        convention, sizes = convention_of(graph.metadata), shapes(graph)
        paths = walk(graph)[0]
        changed: dict[str, nir.NIRNode] = {}
        scales: dict[str, float] = {}
        zeroed: dict[str, int] = {}
        for target in names_of(graph, *NEURON_NODES):
            node = graph.nodes[target]
            layers = dict.fromkeys(p.weighted for p in paths if p.target == target and p.weighted is not None)
            gains = np.broadcast_to(gain(node, convention), sizes[target])
            charged = {name: charged_by(self.spelling, name, graph.nodes[name], gains) for name in layers}
            q, write = self.written(node, charged)
            for name, (weight, bias) in charged.items():
                changed[name], why = write(graph.nodes[name], weight, bias)
                zeroed[name] = int(np.count_nonzero(weight) - np.count_nonzero(_weight(changed[name])))
                ctx.note(Entry(name, type(graph.nodes[name]).__name__, "became", (name,), why, self.spelling))
            changed[target] = self.neuron(node, sizes[target], q, convention)
            scales[target] = q
        ctx.find(self.spelling, scales=scales, deaf=_deaf(changed), zeroed_weights=zeroed)
        return with_nodes(graph, changed)

    def ensures(self, before: Graph, after: Graph, ctx: Context) -> None:
        """Every weight is a whole number of at most `bits` bits of its scale, and every threshold lies above the reset."""
        for name in names_of(after, *NEURON_NODES):
            was: Any = before.nodes[name]
            neuron: Any = after.nodes[name]
            if _can_fire(was) and not _can_fire(neuron):
                what = (
                    f"a code is worth {neuron.metadata['scale']:.3g}, its threshold of {_peak([was.v_threshold]):.3g} is lost"
                )
                raise PassFailed(f"{self.spelling}: {name}", what, "Use more bits for the weights, or a smaller scale")
        for name, node in after.nodes.items():
            if "bits" in node.metadata:
                weight = node.scale if isinstance(node, nir.Scale) else getattr(node, "weight", 0.0)
                worst = int(np.abs(codes_of(weight, float(node.metadata["scale"]), name)).max(initial=0))
                bits = int(node.metadata["bits"])
                if worst > (1 << (bits - 1)) - 1:
                    what = f"its codes reach {worst}, {bits} bits hold {(1 << (bits - 1)) - 1}"
                    raise PassFailed(f"{self.spelling}: {name}", what, "Use a larger scale or more bits")

    def written(self, node: Any, charged: Charged) -> tuple[float, Write]:
        """The real value of one code for neuron `node`, and what writes a weighted node's weights and bias in it."""
        q = self.scale if self.scale is not None else self.fitted(node, charged)

        def write(old: nir.NIRNode, weight: Real, bias: Real | None) -> tuple[nir.NIRNode, str]:
            return coded(old, round_half_even(weight / q), bias, q, self.bits), f"{self.bits}-bit codes, scale {q:.6g}"

        return q, write

    def neuron(self, node: Any, shape: Shape, q: float, convention: Convention) -> nir.NIRNode:
        """The neuron with thresholds that are codes times q."""
        return on_codes(node, shape, q, convention)

    def fitted(self, node: Any, charged: Charged) -> float:
        """The smallest q with which everything fits its width, with a whole threshold where there is one."""
        smallest = self.smallest(node, charged)
        thresholds = np.unique(getattr(node, "v_threshold", 0.0))
        if len(thresholds) > 1 or not thresholds[0] / smallest >= 1:
            return smallest
        return _with_whole_threshold(float(thresholds[0]), smallest, [weight for weight, _ in charged.values()])

    def smallest(self, node: Any, charged: Charged) -> float:
        """The smallest q with which everything fits its width; 1 where all is 0."""
        parts = [(_peak([weight for weight, _ in charged.values()]), (1 << (self.bits - 1)) - 1)]
        # One less than the width holds: firing on v > theta is written as firing on v >= theta + 1.
        top = (1 << (self.threshold_bits - 1)) - 2
        parts.append((_peak([getattr(node, field, 0.0) for field in ("v_threshold", "v_reset")]), top))
        if self.bias_bits:
            biases = [bias for _, bias in charged.values() if bias is not None]
            parts.append((_peak(biases), (1 << (self.bias_bits - 1)) - 1))
        q = max(peak / most for peak, most in parts) or 1.0
        return self.with_room(q, charged, lambda values: [np.rint(value) for value in values])

    def with_room(self, q: float, charged: Charged, rounded: Callable[[list[Real]], list[Real]]) -> float:
        """`q`, or a larger one with which all that can meet a neuron in one step fits the accumulator. rounded: to codes."""
        if not self.accumulator_bits:
            return q
        widest = (1 << (self.accumulator_bits - 1)) - 1
        while (worst := self._arriving(q, charged, rounded)) > widest:
            q *= worst / widest
        return q

    def _arriving(self, q: float, charged: Charged, rounded: Callable[[list[Real]], list[Real]]) -> float:
        weights = rounded([weight / q for weight, _ in charged.values()])
        biases = [float(np.abs(bias / q).max(initial=0.0)) + 0.5 for _, bias in charged.values() if bias is not None]
        return _arriving(weights) + math.floor(sum(biases))


def _arriving(weights: list[Real]) -> float:
    """The greatest |sum| of one sign that can meet a neuron in one step, if every source fires once."""
    found = 0.0
    for sign in (1, -1):
        sums = [np.maximum(sign * weight, 0).reshape(len(weight), -1).sum(axis=1) for weight in map(np.atleast_1d, weights)]
        rows = sum(sums) if len({len(part) for part in sums}) == 1 else sum(part.max(initial=0) for part in sums)
        found = max(found, float(np.max(rows, initial=0)))
    return found


def _with_whole_threshold(threshold: float, smallest: float, weights: list[Real]) -> float:
    """The scale q >= smallest for which threshold / q is whole and the weights lie nearest to whole codes."""
    top = int(threshold / smallest * (1 + 1e-12))
    values = np.concatenate([np.ravel(weight) for weight in weights]) if weights else np.zeros(0)
    best, least = threshold / top, np.inf
    for theta in range(top, max(top - CANDIDATES, top * 7 // 8), -1):
        q = threshold / theta
        codes = values / q
        error = float(np.square((codes - np.rint(codes)) * q).sum())
        if error < least * (1 - 1e-9):
            best, least = q, error
    return best


def decays(node: Any, convention: Convention) -> tuple[Real, ...]:
    """What a neuron loses of its state in one step, as fractions in 0..1: (potential,) or (synapse, potential).

    Forward Euler: dt / tau. Exponential: 1 - exp(-dt / tau). Integrators lose 0.
    """
    if isinstance(node, nir.CubaLI | nir.CubaLIF):
        return decay(node.tau_syn, convention), decay(node.tau_mem, convention)
    if isinstance(node, nir.LI | nir.LIF | AdaptiveLIF):
        return (decay(node.tau, convention),)
    return (np.zeros(()),)


def gain(node: Any, convention: Convention) -> Real:
    """What an input of 1 adds to the potential in the step in which all of it has arrived.

    IF and I: dt times r. LIF and LI: r times the decay. CubaLIF and CubaLI: w_in times the synapse's decay times r times the
    membrane's decay.
    """
    if isinstance(node, nir.IF | nir.I):
        return np.asarray(convention.dt * np.asarray(node.r, np.float64))
    if isinstance(node, nir.CubaLI | nir.CubaLIF):
        synapse, membrane = decays(node, convention)
        return np.asarray(synapse * node.w_in * membrane * node.r, np.float64)
    return np.asarray(decays(node, convention)[0] * node.r, np.float64)


def decay(tau: npt.ArrayLike, convention: Convention) -> Real:
    """What one step takes of a state with time constant `tau` in seconds, as a fraction in 0..1."""
    ratio = convention.dt / np.asarray(tau, np.float64)
    return np.asarray(ratio if convention.decay == "euler" else 1.0 - np.exp(-ratio), np.float64)


def with_units(graph: Graph, spelling: str) -> Graph:
    """The graph with a Scale of ones on every way that has no weight, so that its 1 can be rounded like any weight."""
    paths = walk(graph)[0]
    for path in [p for p in paths if p.weighted is None]:
        edge = ((path.source, *path.nodes)[-1], path.target)
        if any(p.weighted is not None and ((p.source, *p.nodes)[-1], p.target) == edge for p in paths):
            raise PassFailed(f"{spelling}: {edge[0]}", "ways with and without weights join in it", "Run separate-paths first")
        if edge in graph.edges:
            ones = nir.Scale(np.ones(shapes(graph)[edge[0]]))
            graph = with_node_on_edge(graph, edge, f"{edge[0]}->{edge[1]}.unit", ones)
    return graph


def charged_by(spelling: str, name: str, node: Any, gains: Real) -> tuple[Real, Real | None]:
    """Weight and bias of `node` times the gain (shape of its target) of the neurons they reach."""
    weight = np.asarray(node.scale if isinstance(node, nir.Scale) else node.weight, np.float64)
    if isinstance(node, nir.Scale):
        return weight * gains.reshape(np.broadcast_shapes(weight.shape, gains.shape)), None
    rows = gains.reshape(len(weight), -1)
    if np.any(rows != rows[:, :1]):
        what = "the neurons of one of its channels differ in gain (r, w_in or tau)"
        raise PassFailed(f"{spelling}: {name}", what, "Give them one value a channel")
    factor = rows[:, 0]
    bias = getattr(node, "bias", None)
    scaled = None if bias is None else np.broadcast_to(np.asarray(bias, np.float64), factor.shape) * factor
    return weight * factor.reshape(-1, *[1] * (weight.ndim - 1)), scaled


def coded(node: Any, codes: IntArray, bias: Real | None, q: float, bits: int) -> nir.NIRNode:
    """The weighted node `node` with `codes` as its weights and its bias rounded to codes, each worth q."""
    new: Any = copy(node)
    setattr(new, "scale" if isinstance(node, nir.Scale) else "weight", codes * q)
    if bias is not None:
        new.bias = round_half_even(bias / q) * q
    new.metadata = {**node.metadata, "scale": q, "bits": bits}
    result: nir.NIRNode = new
    return result


def on_codes(node: Any, shape: Shape, q: float, convention: Convention) -> nir.NIRNode:
    """The neuron with thresholds that are codes times q and a gain of 1."""
    new: Any = copy(node)
    metadata: dict[str, Any] = {**node.metadata, "scale": q}
    for field in ("v_reset", "v_leak"):
        if getattr(node, field, None) is not None:
            setattr(new, field, _full(round_half_even(np.asarray(getattr(node, field)) / q) * q, shape))
    if hasattr(node, "v_threshold"):
        theta = _threshold(np.asarray(node.v_threshold, np.float64) / q, convention)
        new.v_threshold = _full(theta * q, shape)
        if np.all(theta == theta.reshape(-1)[0]):
            metadata["theta"] = int(theta.reshape(-1)[0])
    lost = decays(node, convention)
    if isinstance(node, nir.IF | nir.I):
        new.r = np.full(shape, 1.0 / convention.dt)
    else:
        new.r = _full(1.0 / lost[-1], shape)
    if isinstance(node, nir.CubaLI | nir.CubaLIF):
        new.w_in = _full(1.0 / lost[0], shape)
    for field in ("tau", "tau_mem", "tau_syn", "tau_adapt", "beta"):
        if hasattr(node, field):
            setattr(new, field, _full(np.asarray(getattr(node, field), np.float64), shape))
    new.metadata = metadata
    result: nir.NIRNode = new
    return result


def _can_fire(neuron: Any) -> bool:
    """Whether every threshold lies above what its neuron resets to."""
    return hasattr(neuron, "v_threshold") and bool(np.all(neuron.v_threshold > _resets_to(neuron)))


def _resets_to(neuron: Any) -> Any:
    return 0.0 if getattr(neuron, "v_reset", None) is None else neuron.v_reset


def _threshold(codes: Real, convention: Convention) -> npt.NDArray[np.int64]:
    """The integer threshold that leaves every comparison as it is; a subtracting reset takes the nearest integer."""
    if convention.reset == "subtract":
        return round_half_even(codes)
    rounded = np.floor(codes + 1e-6) if convention.comparison == ">" else np.ceil(codes - 1e-6)
    return np.asarray(rounded, np.int64)


def _full(values: npt.ArrayLike, shape: Shape) -> Real:
    return np.array(np.broadcast_to(np.asarray(values, np.float64), shape))


def _peak(values: list[Any]) -> float:
    return max((float(np.abs(np.asarray(v, np.float64)).max(initial=0.0)) for v in values), default=0.0)


def _deaf(changed: Mapping[str, nir.NIRNode]) -> list[str]:
    """Weighted nodes whose codes are all 0."""
    return [name for name, node in changed.items() if "bits" in node.metadata and not np.any(_weight(node))]


def _weight(node: Any) -> Real:
    return np.asarray(node.scale if isinstance(node, nir.Scale) else node.weight)
