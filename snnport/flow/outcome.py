"""What a run is asked for beside the model and its samples, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.flow.orders import EventOptions, Events
from snnport.report.losses import Activity
from snnport.sim.baseline import Comparison
from snnport.sim.counts import Counts
from snnport.sim.energy import EnergyEstimate
from snnport.trace import Trace


@dataclass(frozen=True)
class RunOptions:
    """record: populations whose spikes and potentials to keep beside the outputs' spikes. readout: None for the default.

    prices: energy models beside the shipped ones. events: of asynchronous chips. dt: seconds a step, where told.
    """

    record_spikes: tuple[str, ...] = ()
    record_v: tuple[str, ...] = ()
    readout: str | None = None
    threads: int | None = None
    prices: tuple[Path, ...] = ()
    events: EventOptions = field(default_factory=EventOptions)
    dt: float | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gave. scores (n_samples, n_outputs): whole numbers whose arg max, ties to the lowest, is the prediction.

    counts, energy: None and empty for the reference, which has no clock. time_s: modelled time of all samples.
    activity: of each population; none where spikes were not kept. never_fire: populations that are meant never to.
    seeds: of what was drawn at random to make the program from a file.
    """

    target: str
    engine: str
    n_steps: int
    readout: str
    scores: npt.NDArray[Any]
    labels: npt.NDArray[np.int64] | None
    trace: Trace
    counts: Counts | None
    energy: tuple[EnergyEstimate, ...]
    time_s: float | None
    wall_s: float
    baselines: tuple[Comparison, ...] = ()
    traffic: Mapping[str, int | None] | None = None
    events: Events | None = None
    activity: tuple[Activity, ...] = ()
    never_fire: tuple[str, ...] = ()
    seeds: Mapping[str, int] = field(default_factory=dict)

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """Class of every sample."""
        return np.asarray(self.scores.argmax(axis=1), np.int64)

    @property
    def correct(self) -> int | None:
        """How many predictions equal the labels; None without labels."""
        return None if self.labels is None else int(np.count_nonzero(self.predictions == self.labels))

    @property
    def accuracy(self) -> float | None:
        """Fraction of correct predictions; None without labels."""
        return None if self.correct is None else self.correct / len(self.predictions)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `run --json` prints it."""
        counts = self.counts
        return {
            "schema": 1,
            "target": self.target,
            "engine": self.engine,
            "samples": len(self.predictions),
            "steps": self.n_steps,
            "readout": self.readout,
            "predictions": self.predictions.tolist(),
            "accuracy": self.accuracy,
            "correct": self.correct,
            "spikes": _totals(self.trace) if counts is None else dict(counts.spikes),
            "synaptic_operations": {} if counts is None else dict(counts.synaptic_operations),
            "neuron_updates": None if counts is None else counts.neuron_updates,
            "cycles": None if counts is None else counts.total_cycles,
            "time_s": self.time_s,
            "energy": [estimate.to_json() for estimate in self.energy],
            "baselines": [found.to_json() for found in self.baselines],
            "traffic": None if self.traffic is None else dict(self.traffic),
            "v_saturations": None if counts is None else {k: n for k, n in counts.v_saturations.items() if n},
            "u_wraps": None if counts is None else {k: n for k, n in counts.u_wraps.items() if n},
            "events": None if self.events is None else self.events.to_json(),
            "activity": [asdict(a) for a in self.activity],
            "never_fire": list(self.never_fire),
            "wall_s": self.wall_s,
            "seeds": dict(self.seeds),
        }


def _totals(trace: Trace) -> dict[str, int]:
    return {name: int(spikes.sum(dtype=np.int64)) for name, spikes in trace.spikes.items()}
