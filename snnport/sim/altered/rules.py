"""The rules of docs/semantics.md that an executor may read otherwise, one field each, and the arithmetic that hangs on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
ROUNDINGS = ("down", "zero", "away", "half up", "nearest", "even")
COMPARISONS = ("every", "first")
BOUNDED = ("none", "wrap")
WRAPPED = ("none", "saturate", "saturate below")
RESETS = ("next start", "next end")
ORDERS = ("sources", "projections", "both", "sums")
DECAY_BITS = 12
UNBOUNDED = 1 << 61
"""Bounds from here on are none."""


@dataclass(frozen=True)
class Dropped:
    """Spikes of one source neuron in one step that arrive `times` times in place of once; projection: None for all.

    fired: False if they never left the neuron, so that nobody records them either.
    """

    source: str
    neuron: int
    step: int
    projection: str | None = None
    times: int = 0
    fired: bool = True


@dataclass(frozen=True)
class Rules:
    """Empty fields: as docs/semantics.md has it.

    rounding: of every decay and shift, of ROUNDINGS ("nearest": halves away from zero). bounds: what a bounded state does
    beyond, of BOUNDED. wrap: what Loihi's u does beyond 24 bits, of WRAPPED. comparison: > where >= is meant, and the other way
    round, of COMPARISONS: for every spike of a step, or for whether there is one. reset: when it
    happens, of RESETS (at the start of the next step, or in it behind the integration). bits: of a decay's constant, which has
    12; nudge: added to that constant, and to a shift. order: in which a step's spikes are met one by one, of ORDERS (which of
    them runs backwards; "sums": all of a step at once). delay: steps more of `projection` (None: of all). dropped: one event.
    populations: names of those whose neurons this holds for, None for all.
    """

    rounding: str = ""
    bounds: str = ""
    wrap: str = ""
    comparison: str = ""
    reset: str = ""
    bits: int = 0
    nudge: int = 0
    order: str = ""
    delay: int = 0
    projection: str | None = None
    dropped: Dropped | None = None
    populations: frozenset[str] | None = None

    def of(self, population: str) -> Rules:
        """The rules of one population's neurons: these, or the usual ones."""
        held = self.populations is None or population in self.populations
        return self if held else Rules(delay=self.delay, projection=self.projection, dropped=self.dropped)

    def divided(self, x: Ints, bits: Ints | int, usual: str) -> Ints:
        """x / 2^bits, rounded as these rules say, or as `usual`."""
        way = self.rounding or usual
        found: Ints
        if way == "down":
            found = x >> bits
            return found
        whole = np.int64(1) << np.asarray(bits, np.int64)
        half = whole >> 1
        if way == "half up":
            found = (x + half) >> bits
            return found
        if way == "even":
            low = x >> bits
            rest = x - (low << bits)
            found = low + ((rest > half) | ((rest == half) & (half > 0) & (low % 2 != 0)))
            return found
        more = {"zero": 0 * half, "nearest": half, "away": whole - 1}[way]
        found = np.sign(x) * ((np.abs(x) + more) >> bits)
        return found

    def constant(self, decay: Ints) -> Ints:
        """A decay's constant of 12 bits as these rules keep it."""
        if self.bits:
            unit = 1 << (DECAY_BITS - self.bits)
            decay = (decay + unit // 2) // unit * unit
        return np.clip(decay + self.nudge, 0, 1 << DECAY_BITS) if self.nudge else decay

    def shift(self, bits: Ints) -> Ints:
        """The shift of a decay as these rules keep it."""
        return np.maximum(bits + self.nudge, 0) if self.nudge else bits

    def bounded(self, x: Ints, low: Ints | int, high: Ints | int) -> Ints:
        """x within low..high, however these rules bring it there."""
        if self.bounds == "none":
            return x
        if self.bounds == "wrap":
            closed = (np.asarray(low) > -UNBOUNDED) & (np.asarray(high) < UNBOUNDED)
            span = np.where(closed, np.asarray(high) - np.asarray(low) + 1, 1)
            return np.where(closed, low + (x - low) % np.maximum(span, 1), np.clip(x, low, high))
        return np.clip(x, low, high)

    def wrapped(self, u: Ints) -> Ints:
        """Loihi's u, 24 bits."""
        top = 1 << 23
        if self.wrap == "none":
            return u
        if self.wrap:
            return np.clip(u, -top + (self.wrap == "saturate"), top - 1)
        return np.where(u > top, u - 2 * top, np.where(u <= -top, u + 2 * top, u))

    def reaches(self, v: Ints, threshold: Ints, strict: bool = False) -> Bools:
        """Whether v is enough for a threshold that is meant with >=, or `strict`, with >."""
        return v > threshold if strict != bool(self.comparison) else v >= threshold

    def fitting(self, v: Ints, threshold: Ints) -> Ints:
        """How often a threshold fits into v, where it does at all."""
        return np.where(threshold > 0, (v - (self.comparison == "every")) // np.maximum(threshold, 1), 1)
