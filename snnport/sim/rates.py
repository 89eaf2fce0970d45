"""Event rates: synaptic operations a second of every core, on average, in the worst sample and in the worst window.

A core of DYNAP-CNN or Speck that gets more than it can do stalls the whole chip (sinabs 3.1.3, docs/speck/faqs/
tips_for_training.md). The number is not published, so the cap is the user's: chip number synops_per_s, or --cap.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from snnport.program import Program
from snnport.sim.asynchronous import AsyncResult

CAP = "synops_per_s"


@dataclass(frozen=True)
class CoreRate:
    """What reached one layer. core: its core, None without a placement. All rates in synaptic operations a step.

    worst_sample, worst_window: the greatest of all samples; `sample` and `step` say where the worst window ends.
    """

    layer: str
    core: int | None
    mean: float
    worst_sample: float
    worst_window: float
    sample: int
    step: int


@dataclass(frozen=True)
class EventRates:
    """The rates of a run. window: steps. dt: seconds a step, None where nothing says. cap: operations a second, or None.

    stalls: the layer that exceeds the cap by most in its worst window, None if none does or cap or dt are unknown.
    """

    window: int
    dt: float | None
    cap: float | None
    layers: tuple[CoreRate, ...]

    @property
    def busiest(self) -> CoreRate | None:
        """The layer with the greatest rate in its worst window."""
        return max(self.layers, key=lambda layer: layer.worst_window, default=None)

    @property
    def stalls(self) -> str | None:
        """The layer that would stall the chip first."""
        busiest = self.busiest
        if busiest is None or self.dt is None or self.cap is None or busiest.worst_window / self.dt <= self.cap:
            return None
        return busiest.layer

    def to_json(self) -> dict[str, Any]:
        """Plain data: a layer's rates a second where dt is known, else a step."""
        unit = self.dt or 1.0
        layers = [
            {**asdict(x), **{key: getattr(x, key) / unit for key in ("mean", "worst_sample", "worst_window")}}
            for x in self.layers
        ]
        return {
            "unit": "synaptic operations a step" if self.dt is None else "synaptic operations a second",
            "window_steps": self.window,
            "dt": self.dt,
            "cap": self.cap,
            "layers": layers,
            "busiest": None if self.busiest is None else self.busiest.layer,
            "stalls": self.stalls,
        }


def rates_of(program: Program, result: AsyncResult, dt: float | None, cap: float | None) -> EventRates:
    """The rates of a run of `program`. cap: None for the chip's own number, which is 0 where nobody knows it."""
    steps = max(result.counts.steps, 1)
    cores = {s.population: s.core for s in program.placements}
    own = float(program.chip[CAP]) if CAP in program.chip.numbers else 0.0
    limit = cap if cap is not None else own or None
    window = min(result.window, steps)
    layers = []
    for name, operations in result.operations.items():
        if not len(operations):
            continue
        worst = int(result.worst[name].argmax())
        layers.append(
            CoreRate(
                name,
                cores.get(name),
                float(operations.mean()) / steps,
                float(operations.max()) / steps,
                float(result.worst[name][worst]) / window,
                worst,
                int(result.worst_at[name][worst]),
            )
        )
    return EventRates(window, dt, limit, tuple(layers))
