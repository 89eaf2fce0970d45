"""One step of a neuron in normal form: what is left of its fields once a Convention has been applied to them.

    synapse   i = a_s i + b x          membrane   v = a v + (1 - a) rest + g i        integrator   v = v + g x
    fire where v is over the threshold; then v = back, or v less the threshold

Two nodes, each under a convention of its own, spike alike on every input if their steps are equal up to v -> k (v - shift) and
the rules of firing agree. Sums are taken for real numbers here: float32 may round them otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention
from snnport.nodes import Shape
from snnport.reference.cell import gain, kept, parameter

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Step:
    """The coefficients above, float64, one a neuron. a_s, b: None without a synapse. threshold: None if it never fires.

    start: v before the first step. a = 1 and rest = 0 for integrators. tau, tau_s: the time constants of a and a_s in steps,
    as the file tells them.
    """

    a: Array
    g: Array
    rest: Array
    start: Array
    a_s: Array | None
    b: Array | None
    threshold: Array | None
    back: Array
    tau: Array | None = None
    tau_s: Array | None = None

    @property
    def integrates(self) -> bool:
        """Whether nothing leaks."""
        return bool(np.all(self.a == 1.0))

    @property
    def drive(self) -> Array:
        """What one unit of input adds to v in the end: g, times b behind a synapse."""
        return self.g if self.b is None else self.g * self.b


def step_of(node: Any, shape: Shape, rule: Convention) -> Step:
    """The step of a neuron `node` of `shape` under `rule`."""

    def full(values: Any) -> Array:
        return np.array(np.broadcast_to(np.asarray(values, np.float64), shape))

    def in_steps(tau: Any) -> Any:
        return np.asarray(tau, np.float64) * rule.tau_unit / rule.dt

    r = parameter(node, "r", rule)
    threshold = full(node.v_threshold) if hasattr(node, "v_threshold") else None
    back = full(parameter(node, "v_reset", rule) if rule.reset == "value" else 0.0)
    begun = full(parameter(node, "v_reset", rule)) if rule.start == "reset" and threshold is not None else None
    if isinstance(node, nir.I | nir.IF):
        g = gain("unit", np.zeros(()), r * (rule.dt if rule.integrator_gain == "dt" else 1.0), rule)
        return Step(full(1.0), full(g), full(0.0), full(0.0) if begun is None else begun, None, None, threshold, back)
    synaptic = isinstance(node, nir.CubaLI | nir.CubaLIF)
    a = kept(node.tau_mem if synaptic else node.tau, rule)
    kind = rule.leaky_gain if isinstance(node, nir.LI) else rule.membrane_gain
    rest = full(parameter(node, "v_leak", rule))
    start = rest if begun is None else begun
    g = full(_whole_gain(kind, a, r, rule))
    if not synaptic:
        return Step(full(a), g, rest, start, None, None, threshold, back, full(in_steps(node.tau)))
    a_s = kept(node.tau_syn, rule)
    b = full(_whole_gain(rule.synapse_gain, a_s, parameter(node, "w_in", rule), rule))
    taus = full(in_steps(node.tau_mem)), full(in_steps(node.tau_syn))
    return Step(full(a), g, rest, start, full(a_s), b, threshold, back, *taus)


def _whole_gain(kind: str, keep: Any, factor: Any, rule: Convention) -> Any:
    """A gain with the decay that a gain "keep" leaves to the step."""
    return gain(kind, keep, factor, rule) * (keep if kind == "keep" else 1.0)


def tau_for(a: Array, rule: Convention) -> Array:
    """The time constant, as the file holds it, of which one step leaves `a`; LONG where `a` is 1.

    Below 0 there is none where decay is exponential; that of 0 is given.
    """
    ratio = -np.log(np.maximum(a, NOTHING)) if rule.decay == "exponential" else 1.0 - a
    ratio = np.where(a == 1.0, 1.0 / LONG, ratio)
    return np.asarray(rule.dt / rule.tau_unit / ratio, np.float64)


NOTHING = 2.0**-60
"""What an exponential decay leaves where nothing is to be left: less than float32 rounds away beside anything but 0."""
LONG = float(1 << 40)
"""Time constant in steps that leaves 1 - 2^-40, which is 1 in float32; the gain 2^-40 * 2^40 is 1 in both."""
