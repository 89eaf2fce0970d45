"""How asynchronous chips run: the order of events, what another order would change, and how many events each core gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnport.encoders import Stimulus
from snnport.errors import InvalidInput
from snnport.program import Program
from snnport.registry import RUNNERS
from snnport.sim.asynchronous import ORDERS, AsyncResult, run
from snnport.sim.rates import EventRates, rates_of
from snnport.sim.results import RunResult

COMPARED = 32
"""Samples that are run in the other orders too."""


@dataclass(frozen=True)
class EventOptions:
    """order: of ORDERS, None for the target's own. cap: synaptic operations a second that a core can do. window: steps.

    compare: samples that are run in the other orders as well.
    """

    order: str | None = None
    cap: float | None = None
    window: int = 1
    compare: int = COMPARED

    def __post_init__(self) -> None:
        if self.order is not None and self.order not in ORDERS:
            raise InvalidInput(f"--order {self.order}", "there is no such order", f"Known: {', '.join(ORDERS)}")
        if self.cap is not None and not self.cap > 0:
            raise InvalidInput("--cap", f"{self.cap} synaptic operations a second", "Give a positive number")
        if self.window < 1:
            raise InvalidInput("--window", f"{self.window} steps", "Give 1 or more")


@dataclass(frozen=True)
class OrderEffect:
    """What the order of events changes. samples: compared, the first ones. spikes: order -> population -> spikes in them.

    changed: other order -> population -> sum over samples and neurons of |spikes - spikes in the order of the run|.
    """

    order: str
    samples: int
    spikes: Mapping[str, Mapping[str, int]]
    changed: Mapping[str, Mapping[str, int]]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"order": self.order, "samples": self.samples, "spikes": self.spikes, "changed": self.changed}


@dataclass(frozen=True)
class Events:
    """What a run of an asynchronous chip adds to its outcome."""

    effect: OrderEffect
    rates: EventRates

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `run --json` prints it under "events"."""
        return {**self.effect.to_json(), "rates": self.rates.to_json()}


def options_for(program: Program, options: Any) -> Any:
    """The RunOptions of a verb with several targets for one of them: a chip with a clock has no order and no cap."""
    return options if options is None or asynchronous(program) else replace(options, events=EventOptions())


def asynchronous(program: Program) -> bool:
    """Whether the program's chip handles event after event."""
    return RUNNERS.entries.get(program.target, "").startswith("snnport.sim.asynchronous:")


def running(program: Program, options: EventOptions) -> dict[str, Any]:
    """What the runner of an asynchronous chip takes beside what the engine takes; nothing for other chips.

    Raises InvalidInput for an order or a cap where the chip has a clock.
    """
    if asynchronous(program):
        return {"order": options.order or ORDERS[0], "window": options.window}
    if options.order is not None or options.cap is not None:
        what = f"target '{program.target}' works in steps, the order of events is part of them"
        raise InvalidInput("--order, --cap", what, "Leave them out, or choose an asynchronous chip: dynapcnn, speck2e, speck2f")
    return {}


def order_effect(program: Program, stimulus: Stimulus, order: str, samples: int) -> OrderEffect:
    """Run the first `samples` samples in all three orders.

    In a chain of layers depth-first and breadth-first are the same (docs/semantics.md), so that one run serves for both.
    """
    part = replace(stimulus, x=stimulus.x[0 : min(samples, stimulus.n_samples)])
    chain = all(len({q.source for q in program.into(p.name)} - _generators(program)) <= 1 for p in program.populations)
    found: dict[str, AsyncResult] = {}
    for name in (order, *ORDERS):
        twin = {"depth-first": "breadth-first", "breadth-first": "depth-first"}.get(name)
        if name not in found:
            found[name] = found[twin] if chain and twin in found else run(program, part, order=name, all_counts=True)
    layers = [p.name for p in program.populations if p.neuron.family not in ("input", "generator")]
    own = found[order].spike_counts
    return OrderEffect(
        order,
        part.n_samples,
        {name: {layer: int(r.spike_counts[layer].sum()) for layer in layers} for name, r in found.items()},
        {
            name: {layer: int(np.abs(r.spike_counts[layer] - own[layer]).sum()) for layer in layers}
            for name, r in found.items()
            if name != order
        },
    )


def events_of(
    program: Program, stimulus: Stimulus, result: RunResult, options: EventOptions, dt: float | None
) -> Events | None:
    """What to say of a run of an asynchronous chip, None of any other. dt: seconds a step where told, else the network's."""
    if not isinstance(result, AsyncResult):
        return None
    # A framework whose dt is 1 counts steps and says nothing of seconds.
    own = (program.meta.get("convention") or {}).get("dt", 1.0)
    seconds = dt if dt is not None else None if own == 1.0 else float(own)
    effect = order_effect(replace(program, n_steps=stimulus.n_steps), stimulus, result.order, options.compare)
    return Events(effect, rates_of(program, result, seconds, options.cap))


def _generators(program: Program) -> set[str]:
    return {p.name for p in program.populations if p.neuron.family == "generator"}
