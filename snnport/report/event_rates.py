"""What a report says of an asynchronous chip: the order of events, what another would change, and the load of every core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snnport.report.units import count, plural, si


@dataclass(frozen=True)
class LayerRate:
    """Synaptic operations into one layer, a second (a step where the length of a step is unknown). sample, step: of the worst
    window, its last step."""

    layer: str
    core: int | None
    mean: float
    worst_sample: float
    worst_window: float
    sample: int
    step: int


@dataclass(frozen=True)
class Rates:
    """cap: synaptic operations a second that a core can do, where the user says. stalls: the layer that would stall first."""

    unit: str
    window_steps: int
    dt: float | None
    cap: float | None
    layers: tuple[LayerRate, ...]
    busiest: str | None
    stalls: str | None


@dataclass(frozen=True)
class EventReport:
    """order: of the run. samples: compared with the other orders. changed: other order -> layer -> spikes that it changes."""

    order: str
    samples: int
    spikes: Mapping[str, Mapping[str, int]]
    changed: Mapping[str, Mapping[str, int]]
    rates: Rates


RATE_HEAD = ("layer", "core", "mean", "worst sample", "worst window", "of sample, step")


def sentences(found: EventReport | None) -> list[str]:
    """What the choice of an order changes, and whether a core would stall; nothing for a chip with a clock."""
    if found is None:
        return []
    lines = [f"Events run {found.order}, {plural(found.samples, 'sample')} of them in the other orders too."]
    for order, layers in found.changed.items():
        total, own = sum(layers.values()), sum(found.spikes[found.order].values())
        if total == 0:
            lines.append(f"{order} would change no spike.")
            continue
        listed = ", ".join(f"{count(n)} in {name}" for name, n in layers.items() if n)
        lines.append(f"{order} would change {count(total)} of {count(own)} spikes ({listed}).")
    return [*lines, *_load(found.rates)]


def rate_rows(found: EventReport | None) -> list[tuple[str, ...]]:
    """A row a layer for a table with RATE_HEAD."""
    if found is None:
        return []
    rates = found.rates
    unit = "SynOp" if rates.dt is None else "SynOp/s"
    return [
        (
            x.layer,
            "" if x.core is None else str(x.core),
            *(si(value, unit) for value in (x.mean, x.worst_sample, x.worst_window)),
            f"{x.sample}, {x.step}",
        )
        for x in rates.layers
    ]


def _load(rates: Rates) -> list[str]:
    busiest = next((x for x in rates.layers if x.layer == rates.busiest), None)
    if busiest is None:
        return []
    worst = si(busiest.worst_window, "SynOp")
    unit = "a step" if rates.dt is None else "a second"
    window = plural(rates.window_steps, "step")
    line = f"Synaptic operations (SynOp): the busiest layer is {busiest.layer}: {worst} {unit} in its worst {window}"
    if rates.cap is None:
        return [f"{line}; the chip's limit is not published, --cap sets one."]
    limit = si(rates.cap, "SynOp")
    if rates.dt is None:
        return [f"{line}; the cap is {limit} a second, and nothing says how long a step is: give --dt."]
    if rates.stalls is None:
        return [f"{line}, below the cap of {limit} a second."]
    return [f"{line}, above the cap of {limit} a second: {rates.stalls} would stall the chip first."]
