"""Neurons in real numbers: their state, and one step of it by the rules of a Convention.

The order in a step: a reset left from the step before ("next_start"), the synapse, the membrane, a reset left from the
step before ("next_end"), the comparison, a reset at once, the lower bound. The equations stand in convention.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention
from snnport.nodes import Shape

Array = npt.NDArray[Any]

NEUTRAL = {"r": 1.0, "w_in": 1.0, "v_leak": 0.0, "v_reset": 0.0}
"""What an ignored field counts as."""


def parameter(node: Any, field: str, rule: Convention) -> Array:
    """A field of a neuron in float64, or what it counts as where the convention ignores it."""
    if field in rule.ignores or not hasattr(node, field):
        return np.asarray(NEUTRAL[field], np.float64)
    return np.asarray(getattr(node, field), np.float64)


SHORT = (256, 1000)
"""Decays that are told by few digits are multiples of 1 / one of these."""
RATE = 1e-13
"""A rate this near to a number of single precision, in a file of double precision, is that number."""
DOUBT = 4e-7
"""Single-precision time constants tell dt / tau with this relative error at most."""


def kept(tau: npt.ArrayLike, rule: Convention) -> Array:
    """a: the part of a state with time constant `tau`, as the file holds it, that one step leaves; float64.

    In float32 it is the number that the framework multiplied by, as far as the file tells: exp of the reciprocal times dt,
    each rounded, as torch computes it; and a decay of few digits (0.9, 7/8), where it lies within the doubt, since then
    the time constant came from it.
    """
    ratio = rule.dt / (np.asarray(tau, np.float64) * rule.tau_unit)
    if rule.dtype != "float32":
        return np.asarray(np.exp(-ratio) if rule.decay == "exponential" else 1.0 - ratio, np.float64)
    if rule.decay == "exponential":
        rate = np.float32(1.0) / np.asarray(tau, np.float32)
        decay = np.exp((rate * np.float32(-rule.dt / rule.tau_unit)).astype(np.float64))
        return np.asarray(_short(decay, ratio).astype(np.float32), np.float64)
    return _short(1.0 - ratio, ratio)


def _lost(tau: npt.ArrayLike, rule: Convention) -> Array:
    """dt / tau as a framework has it that multiplies dt by a rate, in float32.

    A rate near a whole number is that, and a time constant near a multiple of 0.1 ms is that.
    """
    seconds = np.asarray(tau, np.float64) * rule.tau_unit
    short = np.rint(seconds * 1e4) / 1e4
    seconds = np.where(np.abs(short - seconds) <= DOUBT * seconds, short, seconds)
    rate = 1.0 / seconds
    whole = np.rint(rate)
    near = np.where(np.abs(whole - rate) <= DOUBT * rate, whole, rate)
    return np.asarray(np.float32(rule.dt) * near.astype(np.float32))


def _short(decay: Array, ratio: Array) -> Array:
    """`decay`, or a number of few digits that it may be, dt / tau being known as `ratio`."""
    for parts in SHORT:
        short = np.rint(decay * parts) / parts
        decay = np.where((np.abs(short - decay) <= DOUBT * ratio) & (short > 0), short, decay)
    return np.asarray(decay)


def gain(kind: str, keep: Array, factor: Array, rule: Convention) -> Array:
    """What one unit of input adds: the gain rule `kind` for a state of which `keep` is left, times r or w_in; float64.

    A gain of "keep" is left out here: the input joins the state before it decays.
    """
    value = {"leak": 1.0 - keep, "unit": np.ones(()), "keep": np.ones(())}[kind] * factor
    near = np.abs(value - 1.0) <= rule.unity
    return np.asarray(np.where(near, 1.0, value), np.float64)


@dataclass
class Cell:
    """One neuron node at work. v, i: potential and current (n_samples, *shape); fired: spikes of the step before."""

    node: Any
    rule: Convention
    v: Array
    i: Array
    fired: Array

    @classmethod
    def of(cls, node: Any, shape: Shape, rule: Convention, name: str = "") -> Cell:
        """The cell before the first step: v at v_leak or v_reset, no current."""
        if name in rule.reset_first:
            rule = rule.having(reset_when="next_start")
        if name in rule.unbounded:
            rule = rule.having(v_min=None)
        zeros = np.zeros(shape, rule.dtype)
        at_reset = rule.start == "reset" and hasattr(node, "v_reset")
        start = (zeros + parameter(node, "v_reset" if at_reset else "v_leak", rule)).astype(rule.dtype)
        cell = cls(node, rule, start, zeros, zeros)
        cell._resolve()
        return cell

    def _resolve(self) -> None:
        """Every factor once, computed in float64 and rounded to the dtype of the state."""
        node: Any = self.node
        rule = self.rule
        f = np.dtype(rule.dtype).type
        r = parameter(node, "r", rule)
        self.synaptic = isinstance(node, nir.CubaLI | nir.CubaLIF)
        self.integrates = isinstance(node, nir.I | nir.IF)
        if self.integrates:
            self.take = f(gain("unit", np.zeros(()), r * (rule.dt if rule.integrator_gain == "dt" else 1.0), rule))
            self.early = False
        else:
            keep = kept(node.tau_mem if self.synaptic else node.tau, rule)
            kind = rule.leaky_gain if isinstance(self.node, nir.LI) else rule.membrane_gain
            self.early = kind == "keep"
            self.increment = rule.update == "increment" and kind == "leak"
            self.divided = rule.update == "divided" and kind == "leak" and not self.synaptic
            self.keep, self.lose, self.r = f(keep), f(1.0 - keep), f(r)
            if self.increment and rule.dtype == "float32" and rule.decay == "euler":
                self.lose = _lost(node.tau_mem if self.synaptic else node.tau, rule)
            self.take = f(gain(kind, keep, r, rule))
            self.leak = f(parameter(node, "v_leak", rule))
            self.pull = f((1.0 - keep) * parameter(node, "v_leak", rule))
            if self.divided:
                self._resolve_division()
        if self.synaptic:
            keep = kept(node.tau_syn, rule)
            self.keep_i = f(keep)
            self.early_i = rule.synapse_gain == "keep"
            self.stepwise_i = self.increment and rule.current == "new" and rule.synapse_gain == "unit"
            self.lose_i = _lost(node.tau_syn, rule) if rule.dtype == "float32" else f(1.0 - keep)
            self.take_i = f(gain(rule.synapse_gain, keep, parameter(node, "w_in", rule), rule))
        if hasattr(node, "v_threshold"):
            self.threshold = f(node.v_threshold)
            back = parameter(node, "v_reset", rule) if rule.reset == "value" else np.zeros(())
            self.back = f(back)
            self.bound = None if rule.v_min is None else f(rule.v_min * np.asarray(node.v_threshold, np.float64))

    def _resolve_division(self) -> None:
        """What the update "divided" divides by, or multiplies with where the file holds a rate in single precision."""
        node, rule = self.node, self.rule
        f = np.dtype(rule.dtype).type
        steps = np.asarray(node.tau, np.float64) * rule.tau_unit / rule.dt
        rate = 1.0 / steps
        self.steps, self.rate = f(steps), f(rate)
        self.by_rate = np.abs(self.rate.astype(np.float64) - rate) <= RATE * rate
        self.whole = self.take == 1

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step; returns spikes, or the potential of what never fires."""
        if self.rule.reset_when == "next_start":
            self.v = self._reset(self.v)
        above = self._over(self.v) if self.rule.reset_when == "carried" and self.rule.reset == "subtract" else None
        drive = self._current(arriving) if self.synaptic else arriving
        self.v = self._integrated(drive)
        if not hasattr(self.node, "v_threshold"):
            return self.v
        if self.rule.reset_when == "next_end":
            self.v = self._reset(self.v)
        compared = self.v if above is None else self.v - above * self.threshold
        self.fired = self._spikes(compared)
        if self.rule.reset_when in ("at_once", "carried"):
            self.v = self._reset(self.v)
        if self.bound is not None:
            # As sinabs clips: the detour rounds v even where it lies above the bound.
            detour = np.isfinite(self.bound).all()
            self.v = np.maximum(self.v - self.bound, 0) + self.bound if detour else np.maximum(self.v, self.bound)
        return self.fired

    def _current(self, arriving: Array) -> Array:
        before, push = self.i, self.take_i * arriving
        if self.stepwise_i:
            self.i = before - self.lose_i * before + push
            return self.i
        self.i = self.keep_i * (before + push) if self.early_i else self.keep_i * before + push
        return self.i if self.rule.current == "new" else before

    def _integrated(self, drive: Array) -> Array:
        if self.integrates:
            return np.asarray(self.v + self.take * drive)
        if self.divided:
            inside = np.where(self.whole, 0, self.r * drive) - (self.v - self.leak)
            part = np.where(self.by_rate, inside * self.rate, inside / self.steps)
            return np.asarray(self.v + part + np.where(self.whole, drive, 0))
        if self.increment:
            first, second = (self.leak - self.v, self.r * drive) if self.synaptic else (self.r * drive + self.leak, -self.v)
            return np.asarray(self.v + self.lose * (first + second))
        if self.early:
            return np.asarray(self.keep * (self.v + self.take * drive) + self.pull)
        return np.asarray(self.keep * self.v + self.take * drive + self.pull)

    def _over(self, v: Array) -> Array:
        return np.asarray(v >= self.threshold if self.rule.comparison == ">=" else v > self.threshold, self.v.dtype)

    def _spikes(self, v: Array) -> Array:
        over = self._over(v)
        return over * np.floor(v / self.threshold) if self.rule.multi_spike else over

    def _reset(self, v: Array) -> Array:
        if self.rule.reset == "none":
            return v
        if self.rule.reset == "subtract":
            return np.asarray(v - self.fired * self.threshold)
        return np.asarray(np.where(self.fired > 0, self.back, v))
