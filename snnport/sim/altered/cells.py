"""One population and one sample under other rules: every family of docs/semantics.md, all neurons of it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from snnport.program import Population
from snnport.sim.altered.rules import Ints, Rules
from snnport.sim.altered.wires import Wires
from snnport.sim.neurons import parameters

TOP_24, TOP_16 = (1 << 23) - 1, (1 << 15) - 1


class Cell:
    """The state of a population: v, what else its family keeps, and a reset that waits for the next step."""

    def __init__(self, population: Population, rules: Rules) -> None:
        self.family, self.n, self.rules = population.neuron.family, population.size, rules
        self.p = parameters(population)
        self.v = np.array(self.p.get("v_init", np.zeros(self.n, np.int64)))
        self.u, self.a, self.r, self.left = (np.zeros(self.n, np.int64) for _ in range(4))
        self.currents = np.zeros((2, self.n), np.int64)
        self.theta = 64 * self.p.get("theta_0", self.u)
        self.fired = np.zeros(self.n, np.int64)
        self.waiting = np.zeros(self.n, np.int64)

    # ------------------------------------------------------------------------------------------------------ a step

    def load(self, t: int) -> None:
        """What happens before anything arrives in step t."""
        p = self.p
        if self.rules.reset == "next start":
            self._reset_waiting()
        if self.family in ("if", "slope"):
            self.v = np.where(p["load_step"] == t, p["v_load"], self.v)
        if self.family == "slope":
            self.u = np.where((p["load_step"] == t) | (p["clear_step"] == t), 0, self.u)
        if self.family == "cuba_reset":
            now = (t + 1) % p["reset_interval"] == p["reset_offset"] % p["reset_interval"]
            self.u, self.v = np.where(now, 0, self.u), np.where(now, 0, self.v)
        if self.family == "dynap":
            self.meet(np.flatnonzero(p["bias"]), p["bias"][p["bias"] != 0])

    def step(self, arriving: Ints) -> Ints:
        """The spikes, or the payloads, of a step in which `arriving` (n,) came, or was met before."""
        return STEPS[self.family](self, arriving)

    def integrated(self) -> None:
        """Behind the integration, in front of the comparison."""
        if self.rules.reset == "next end":
            self._reset_waiting()

    def reset(self, spikes: Ints) -> None:
        """The reset of neurons that fired, now or in the next step."""
        if self.rules.reset:
            self.waiting = spikes
        else:
            self._take(spikes)

    def _reset_waiting(self) -> None:
        if not self.waiting.any():
            return
        self._take(self.waiting)
        self.waiting = np.zeros(self.n, np.int64)

    def _take(self, spikes: Ints) -> None:
        p, fired = self.p, spikes > 0
        if self.family in ("cuba", "cuba_reset"):
            self.v = np.where(fired, 0, self.v)
            return
        lost = self.v - spikes * p["v_threshold"]
        if self.family == "alif":
            lost = np.where(p["reset"] == 2, self.v - p["v_threshold"] - self.a, lost)
        to_value = p["reset"] == 1 if "reset" in p else np.zeros(self.n, bool)
        self.v = np.where(fired, np.where(to_value, p.get("v_reset", 0), lost), self.v)

    # --------------------------------------------------------------------------------------------- spike by spike

    def meet_all(self, wires: Wires, fired: Ints, values: Ints, port: int) -> None:
        """The spikes of one projection, source after source, at a family that meets them one by one."""
        if self.rules.order in ("sources", "both"):
            fired, values = fired[::-1], values[::-1]
        if self.rules.order == "sums":
            self._meet_sum(wires.arrivals(fired, values, self.n), port)
            return
        for neuron, times in zip(fired.tolist(), values.tolist(), strict=True):
            rounds = wires.rounds(neuron)
            if self.family == "xylo":
                for targets, codes in rounds:
                    met = self.currents[port, targets] + times * codes
                    self.currents[port, targets] = self.rules.bounded(met, -TOP_16 - 1, TOP_16)
                continue
            for _ in range(times):
                for targets, codes in rounds:
                    self.meet(targets, codes)

    def _meet_sum(self, total: Ints, port: int) -> None:
        if self.family == "xylo":
            self.currents[port] = self.rules.bounded(self.currents[port] + total, -TOP_16 - 1, TOP_16)
        else:
            hit = np.flatnonzero(total)
            self.meet(hit, total[hit])

    def meet(self, k: Any, codes: Ints) -> None:
        """One spike at the dynap neurons k, with these codes."""
        p = self.p
        v = self.rules.bounded(self.v[k] + codes, p["v_min"][k], p["v_max"][k])
        over = self.rules.reaches(v, p["v_threshold"][k]) & (self.fired[k] < p["max_spikes"][k])
        self.fired[k] += over
        after = np.where(p["reset"][k] == 1, p["v_reset"][k], v - p["v_threshold"][k])
        self.v[k] = np.where(over, after, v)


def _decayed(cell: Cell, x: Ints, prefix: str = "") -> Ints:
    """lif and alif: by a product of 12 bits, rounded toward zero, or by a shift, rounded down."""
    rules, decay, shift = cell.rules, cell.p[f"{prefix}decay"], cell.p[f"{prefix}decay_shift"]
    by_product = rules.divided(x * (4096 - rules.constant(decay)), 12, "zero")
    by_product = np.where(rules.constant(decay) == 0, x, by_product)
    return np.where(shift >= 0, x - rules.divided(x, np.maximum(rules.shift(shift), 0), "down"), by_product)


def _fires(cell: Cell) -> Ints:
    """Spikes of if and lif by v, the reset included."""
    threshold, most = cell.p["v_threshold"], cell.p["max_spikes"]
    over = cell.rules.reaches(cell.v, threshold)
    many = np.minimum(most, cell.rules.fitting(cell.v, threshold))
    return np.where(over, np.where(most == 1, 1, many), 0)


def _if(cell: Cell, arriving: Ints) -> Ints:
    cell.v = cell.rules.bounded(cell.v + arriving + cell.p["bias"], cell.p["v_min"], cell.p["v_max"])
    cell.integrated()
    spikes = _fires(cell)
    cell.reset(spikes)
    return spikes


def _lif(cell: Cell, arriving: Ints) -> Ints:
    p, idle = cell.p, cell.left > 0
    v = cell.rules.bounded(_decayed(cell, cell.v) + arriving + p["bias"], p["v_min"], p["v_max"])
    cell.v = np.where(idle, cell.v, v)
    cell.integrated()
    spikes = np.where(idle, 0, _fires(cell))
    cell.reset(spikes)
    cell.left = np.where(idle, cell.left - 1, np.where(spikes > 0, p["refractory"], 0))
    return spikes


def _integrator(cell: Cell, arriving: Ints) -> Ints:
    cell.v = cell.v + arriving + cell.p["bias"]
    return np.zeros(cell.n, np.int64)


def _slope(cell: Cell, arriving: Ints) -> Ints:
    cell.u = cell.u + arriving
    cell.v = cell.v + cell.u
    cell.integrated()
    spikes = cell.rules.reaches(cell.v, cell.p["v_threshold"]).astype(np.int64)
    cell.reset(spikes)
    return spikes


def _alif(cell: Cell, arriving: Ints) -> Ints:
    p = cell.p
    cell.v = cell.rules.bounded(_decayed(cell, cell.v) + arriving + p["bias"], p["v_min"], p["v_max"])
    cell.integrated()
    cell.a = _decayed(cell, cell.a, "a_")
    spikes = cell.rules.reaches(cell.v, p["v_threshold"] + cell.a).astype(np.int64)
    cell.reset(spikes)
    cell.a = cell.a + spikes * p["a_step"]
    return spikes


def _charge(cell: Cell, arriving: Ints) -> None:
    """u and v of Loihi's neurons; du counts one more than it says."""
    p, rules = cell.p, cell.rules
    u = rules.divided(cell.u * (4096 - rules.constant(p["du"] + 1)), 12, "zero")
    cell.u = rules.wrapped(u + (arriving << 6))
    left, right = p["bias_mant"] << np.maximum(p["bias_exp"], 0), np.maximum(-p["bias_exp"], 0)
    bias = np.where(p["bias_exp"] >= 0, left, rules.divided(p["bias_mant"], right, "down"))
    v = rules.divided(cell.v * (4096 - rules.constant(p["dv"])), 12, "zero")
    cell.v = rules.bounded(v + cell.u + bias, -TOP_24, TOP_24)


def _cuba(cell: Cell, arriving: Ints) -> Ints:
    _charge(cell, arriving)
    cell.integrated()
    spikes = cell.rules.reaches(cell.v, cell.p["vth"] << 6, strict=True).astype(np.int64)
    cell.reset(spikes)
    return spikes


def _atrlif(cell: Cell, arriving: Ints) -> Ints:
    p, rules = cell.p, cell.rules
    _charge(cell, arriving)
    rest = p["theta_0"] << 6
    theta = rest + rules.divided((cell.theta - rest) * (4096 - rules.constant(p["dtheta"])), 12, "zero")
    r = rules.divided(cell.r * (4096 - rules.constant(p["dr"])), 12, "zero")
    spikes = rules.reaches(cell.v - r, theta).astype(np.int64)
    cell.r, cell.theta = r + spikes * 2 * theta, theta + spikes * (p["theta_step"] << 6)
    return spikes


def _xylo(cell: Cell, arriving: Ints) -> Ints:
    p, rules = cell.p, cell.rules

    def lost(x: Ints, dash: Ints) -> Ints:
        found = rules.divided(x, rules.shift(dash), "down")
        return np.where(found == 0, np.sign(x), found)

    def added(x: Ints, y: Ints) -> Ints:
        return rules.bounded(x + y, -TOP_16 - 1, TOP_16)

    cell.currents[0] -= lost(cell.currents[0], p["dash_syn"])
    cell.currents[1] -= lost(cell.currents[1], p["dash_syn_2"])
    change = -lost(cell.v, p["dash_mem"])
    change = np.where(change == TOP_16 + 1, -TOP_16 - 1, change)
    cell.v = added(cell.v, added(added(change, cell.currents.sum(axis=0)), p["bias"]))
    cell.integrated()
    threshold, most = p["v_threshold"], p["max_spikes"]
    own = np.where(rules.reaches(cell.v, threshold), rules.fitting(cell.v, threshold), 0)
    handed, own_spent = np.zeros(cell.n, np.int64), np.zeros(cell.n, np.int64)
    for k in range(cell.n) if np.any(p["alias"] >= 0) else ():
        own_spent[k] = max(min(int(own[k]), int(most[k] - handed[k])), 0)
        handed[k] += own_spent[k]
        other = int(p["alias"][k])
        if other >= 0:
            handed[other] = min(int(handed[other] + handed[k]), int(most[other]))
    if not np.any(p["alias"] >= 0):
        own_spent = handed = np.minimum(own, most)
    cell.reset(own_spent)
    return handed


def _dynap(cell: Cell, arriving: Ints) -> Ints:
    spikes, cell.fired = cell.fired, np.zeros(cell.n, np.int64)
    return spikes


def _graded(cell: Cell, arriving: Ints) -> Ints:
    p = cell.p
    z = cell.rules.bounded(cell.rules.divided(arriving + p["bias"], p["shift"], "down"), p["v_min"], p["v_max"])
    if cell.family == "graded_relu":
        z = np.maximum(z, 0)
    return np.where(cell.rules.reaches(np.abs(z), p["v_threshold"], strict=True), z, 0)


def _delta(cell: Cell, arriving: Ints) -> Ints:
    p = cell.p
    x = cell.rules.bounded(arriving + p["bias"], p["v_min"], p["v_max"])
    sent = cell.rules.reaches(np.abs(x - cell.v), p["v_threshold"])
    change = cell.rules.divided(x - cell.v, p["shift"], "down")
    cell.v = np.where(sent, x, cell.v)
    return np.where(sent, change, 0)


def _sigma_delta(cell: Cell, arriving: Ints) -> Ints:
    p = cell.p
    cell.v = cell.rules.bounded(cell.v + arriving, p["v_min"], p["v_max"])
    x = cell.v + p["bias"]
    x = np.where(p["rectify"] != 0, np.maximum(x, 0), x)
    sent = cell.rules.reaches(np.abs(x - cell.r), p["v_threshold"])
    change = cell.rules.divided(x - cell.r, p["shift"], "down")
    cell.r = np.where(sent, x, cell.r)
    return np.where(sent, change, 0)


STEPS: Mapping[str, Callable[[Cell, Ints], Ints]] = MappingProxyType(
    {
        "if": _if,
        "lif": _lif,
        "alif": _alif,
        "integrator": _integrator,
        "slope": _slope,
        "cuba": _cuba,
        "cuba_reset": _cuba,
        "atrlif": _atrlif,
        "xylo": _xylo,
        "dynap": _dynap,
        "graded": _graded,
        "graded_relu": _graded,
        "delta": _delta,
        "sigma_delta": _sigma_delta,
    }
)
