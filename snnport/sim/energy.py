"""Prices on counts: exact integers times published energies, with a low, a middle and a high figure each.

A price model is a TOML file (docs/energy.md, "A price file"); the shipped ones lie in sim/prices. What a model has no price
for is listed, never guessed. A model of another machine than the one that ran is a what-if, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from snnport.sim.analytic import PICO, Line, spiking_lines, summed
from snnport.sim.counts import TOTALS, Counts
from snnport.sim.price_file import load_model, shipped
from snnport.sim.price_model import PROVENANCES, Band, Price, PriceModel, TimeModel, Triple
from snnport.sim.steps import longest_steps
from snnport.sim.workload import Workload

__all__ = [
    "PROVENANCES",
    "STATIC",
    "Band",
    "EnergyEstimate",
    "Price",
    "PriceModel",
    "Term",
    "estimates",
    "lines",
    "load_model",
    "machine_time_s",
    "models_for",
    "price",
    "what_ifs_for",
]

STATIC = "static power"
BOUNDED = {"neuron_updates_driven": "neuron_updates", "neuron_updates_idle": "neuron_updates"}
"""Counts that may be unknown, and the count that bounds them."""


@dataclass(frozen=True)
class Term:
    """One priced count, in joules for the whole run. The count of static power is chips x nanoseconds."""

    count: int
    low_j: float
    mid_j: float
    high_j: float


@dataclass(frozen=True)
class EnergyEstimate:
    """Energy of a whole run by one model, in joules, and what the model leaves out. what_if: it is another machine's model."""

    model: str
    provenance: str
    node_nm: float | None
    voltage: float | None
    what_if: bool
    low_j: float
    mid_j: float
    high_j: float
    terms: Mapping[str, Term]
    unpriced: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `run --json` prints it."""
        return {
            "model": self.model,
            "provenance": self.provenance,
            "node_nm": self.node_nm,
            "low_j": self.low_j,
            "mid_j": self.mid_j,
            "high_j": self.high_j,
            "terms": {name: vars(term) for name, term in self.terms.items()},
            "unpriced": list(self.unpriced),
            "voltage": self.voltage,
            "what_if": self.what_if,
        }


def estimates(
    work: Workload, models: Sequence[PriceModel], time_s: float | None, what_ifs: Sequence[PriceModel] = ()
) -> tuple[EnergyEstimate, ...]:
    """The energy by each of `models`, then by the `what_ifs`. time_s: as in `price`."""
    return (
        *(price(work, model, time_s) for model in models),
        *(price(work, model, None, what_if=True) for model in what_ifs),
    )


def price(counts: Counts | Workload, model: PriceModel, time_s: float | None, what_if: bool = False) -> EnergyEstimate:
    """Energy of what was counted. time_s: modelled seconds of all samples, for static power; None or 0 where unknown.

    A model with times of its own goes by these. The static term's count is chips x nanoseconds, rounded down. What cannot be
    known, a time or a count, moves to `unpriced`. A bare Counts lacks everything that workload.workload_of derives.
    """
    bill, unpriced = lines(counts, model)
    static = _static(counts, model, time_s)
    if static is not None:
        bill = (*bill, static)
        if model.time is not None and isinstance(counts, Workload) and counts.recorded is None:
            unpriced = (*unpriced, "waiting for the busiest core of each step (spikes were not recorded)")
    elif model.static_w is not None:
        unpriced = (*unpriced, f"{STATIC} (the time of the run is not known)")
    (low, mid, high), _ = summed(bill)
    terms = MappingProxyType({line.name: Term(line.count, *line.joules) for line in bill})
    name = f"what if: {model.name}" if what_if else model.name
    return EnergyEstimate(
        name, model.provenance, model.node_nm, model.voltage, what_if, low, mid, high, terms, (*model.unpriced, *unpriced)
    )


def lines(counts: Counts | Workload, model: PriceModel) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """The bill without static power, and the terms whose counts are not known."""
    bill, missing = [], []
    for name, entry in model.terms.items():
        known = _range(counts, entry.count)
        if known is None:
            missing.append(f"{name} (the {entry.count} of the run are not known)")
            continue
        if known[0] != known[2]:
            missing.append(f"how many {name}: {known[0]} to {known[2]} are priced (spikes were not recorded)")
        joules = _times(known, entry.pj)
        moves = counts.moving(entry.count) if isinstance(counts, Workload) and known[0] == known[2] else 0
        bill.append(Line(name, known[1], joules, _times((moves, moves, moves), entry.pj)))
    if model.analytic is not None and isinstance(counts, Workload):
        bill.extend(spiking_lines(counts, model.analytic))
    elif model.analytic is not None:
        missing.append("operations and memory accesses (the layers are not known)")
    return tuple(bill), tuple(missing)


def machine_time_s(work: Workload, model: TimeModel) -> Triple:
    """Seconds of all samples on the model's machine: a barrier a step, and the core that has most to do in each step.

    Where spikes were not recorded it is the core that had most to do in the whole run, a lower bound.
    """
    network, counts = work.network, work.counts
    barriers = counts.steps * counts.samples
    prices = [{name: band.figures[level] for name, band in model.core_ns.items()} for level in range(3)]
    if work.recorded is not None:
        longest = longest_steps(*work.recorded, prices)
    else:
        busy = {
            "operations": network.core_operations,
            "neurons": network.core_neurons * barriers,
            "sent": network.core_sent,
            "received": network.core_received,
            "spikes": network.core_spikes,
        }
        longest = []
        for price in prices:
            cores = sum((busy[name] * ns for name, ns in price.items()), np.zeros(len(network.core_neurons)))
            longest.append(float(cores.max(initial=0.0)))
    barrier = model.barrier_chips_ns or model.barrier_ns if counts.chips > 1 else model.barrier_ns
    low, mid, high = ((barriers * barrier.figures[i] + longest[i]) * 1e-9 for i in range(3))
    return (low, mid, high)


def models_for(target_name: str) -> tuple[PriceModel, ...]:
    """The shipped models whose `targets` name this target, in order of their file names; () if there are none."""
    return tuple(model for model in shipped() if target_name in model.targets)


def what_ifs_for(target_name: str) -> tuple[PriceModel, ...]:
    """The shipped models of other machines that a program of this target may be priced by, labelled as what-ifs."""
    return tuple(model for model in shipped() if target_name in model.what_if and target_name not in model.targets)


def _range(counts: Counts | Workload, name: str) -> tuple[int, int, int] | None:
    """The count, or bounds and their middle, or None."""
    if name == "cycles" and isinstance(counts, Counts) and counts.cycles is None:
        return None
    value = counts.total(name) if isinstance(counts, Workload) or name in TOTALS else None
    if value is not None:
        return (value, value, value)
    if name in BOUNDED:
        most = counts.total(BOUNDED[name]) or 0
        return (0, most // 2, most)
    return None


def _times(counts: tuple[float, float, float], band: Band) -> Triple:
    low, mid, high = (n * pj * PICO for n, pj in zip(counts, band.figures, strict=True))
    return (low, mid, high)


def _static(counts: Counts | Workload, model: PriceModel, time_s: float | None) -> Line | None:
    if model.static_w is None:
        return None
    given = time_s or 0.0
    times: Triple = (given, given, given)
    if model.time is not None and isinstance(counts, Workload):
        times = machine_time_s(counts, model.time)
    if not times[2]:
        return None
    low, mid, high = (watts * counts.chips * t for watts, t in zip(model.static_w.figures, times, strict=True))
    return Line(STATIC, int(counts.chips * times[1] * 1e9), (low, mid, high))
