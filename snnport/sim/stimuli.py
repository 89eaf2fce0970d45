"""The stimulus as the kernel takes it: checked, bounded, and as lists of events."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.encoders import Stimulus
from snnport.errors import InvalidInput
from snnport.program import Program
from snnport.sim.counts import Ints
from snnport.sim.families.base import MOST_PAYLOAD
from snnport.sim.kernel import events_of
from snnport.sim.neurons import sends_payloads
from snnport.sim.plan import Plan
from snnport.sim.results import type_of_spikes

CHUNK_BYTES = 8 << 20
"""Rasters and recordings of one chunk of samples stay below this, if one sample does."""
MOST_SAMPLES = 64


def greatest_count(program: Program, stimulus: Stimulus) -> int:
    """Most spikes of one neuron in one step, or its largest |payload|.

    Raises InvalidInput unless the stimulus holds integers (n_samples, n_steps, ...), not negative where they are counts.
    """
    if stimulus.encoder is not None:
        return stimulus.encoder.most_in_a_step
    size = sum(program.population(name).size for name in program.inputs)
    low, high = 0, 1
    block = max(1, min(MOST_SAMPLES, CHUNK_BYTES // max(1, size * stimulus.n_steps)))
    for start in range(0, stimulus.n_samples, block):
        x = stimulus.x[start : start + block]
        if x.dtype.kind not in "iub":
            raise InvalidInput("stimulus", f"its spikes have type {x.dtype}, integers are needed", "Give spike counts")
        if x.ndim < 2 or x.shape[1] != stimulus.n_steps:
            raise InvalidInput("stimulus", f"its shape is {x.shape}, (n_samples, {stimulus.n_steps}, n_neurons) is needed")
        if x.dtype.kind == "b":
            continue
        high = max(high, int(x.max(initial=0)))
        if x.dtype.kind == "u":
            continue
        least, counting = int(x.min(initial=0)), _counting(program)
        if counting.all():
            low = min(low, least)
        else:
            high = max(high, -least)
            flat = x.reshape(*x.shape[:2], -1)
            fitting = counting[: flat.shape[2]]
            low = min(low, int(flat[:, :, : len(fitting)][:, :, fitting].min(initial=0)))
    if low < 0 or high > MOST_PAYLOAD:
        raise InvalidInput("stimulus", f"its spike counts span {low}..{high}, 0..2^31-1 is needed")
    return high


def _counting(program: Program) -> npt.NDArray[np.bool_]:
    """Which neurons of the stimulus have spike counts rather than payloads."""
    inputs = [program.population(name) for name in program.inputs]
    return np.concatenate([np.ones(0, bool), *(np.full(p.size, not sends_payloads(p)) for p in inputs)])


def stimulus_events(program: Program, plan: Plan, raster: npt.NDArray[Any]) -> tuple[Ints, Any, Any]:
    """Event lists of raster (n_samples, n_steps, n_inputs): one an input population, sample and step of the run."""
    sizes = [program.population(name).size for name in program.inputs]
    if raster.shape[2] != sum(sizes):
        raise InvalidInput("stimulus", f"it has {raster.shape[2]} neurons, the inputs of the program have {sum(sizes)}")
    narrow = all(type_of_spikes(plan, name) is np.uint8 for name in program.inputs)
    raster = np.ascontiguousarray(raster, np.uint8 if narrow else np.int32)
    n, given, _ = raster.shape
    if given < plan.steps:
        raster = np.concatenate([raster, np.zeros((n, plan.steps - given, raster.shape[2]), raster.dtype)], axis=1)
    # Room for a spike of every neuron in every step; what is not filled is not touched and takes no memory.
    starts = np.zeros(len(sizes) * n * plan.steps + 1, np.int64)
    index, count = np.empty(raster.size + 1, np.int32), np.empty(raster.size + 1, np.int32)
    used = first = 0
    for i, (name, size) in enumerate(zip(program.inputs, sizes, strict=True)):
        used = events_of(raster, first, plan.inside[name], starts, index, count, i * n * plan.steps, used)
        first += size
    return starts, index, count
