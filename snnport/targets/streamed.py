"""One sample a step: programs of the graded code keep nothing from step to step, so samples can follow one another at once.

A run of n samples then takes n steps and the latency of one, in place of n times the latency. Everything that a sample sends in
its step t is sent in step s + t of the stream if the sample entered in step s: biases come in every step from their first on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snnport.encoders import Stimulus
from snnport.program import Neuron, Population, Program
from snnport.trace import Trace

MOST = 1000
"""Samples of one stream; more follow in another."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Streams as samples: row k has the first steps of samples k * length .., one a step, and the latency behind."""

    stimulus: Stimulus
    length: int
    latency: int

    def __len__(self) -> int:
        return -(-self.stimulus.n_samples // self.length)

    def __getitem__(self, part: slice, /) -> npt.NDArray[np.integer]:
        rows = []
        for k in range(*part.indices(len(self))):
            stop = min((k + 1) * self.length, self.stimulus.n_samples)
            first = self.stimulus.raster(k * self.length, stop)[:, 0]
            rows.append(np.pad(first, ((0, self.length + self.latency - len(first)), (0, 0))))
        return np.stack(rows)


def streams(program: Program) -> bool:
    """Whether the samples of `program` can follow one another without a pause."""
    return program.meta.get("code") == "graded" and bool(program.n_steps)


def streamed(program: Program, stimulus: Stimulus) -> tuple[Program, Stimulus]:
    """The program and the stimulus whose samples are streams of samples of `program`, which `streams`."""
    length, latency = min(stimulus.n_samples, MOST), program.n_steps - 1
    populations = tuple(_repeated(p, length) if p.neuron.family == "generator" else p for p in program.populations)
    rows = _Rows(stimulus, length, latency)
    steps = length + latency
    return replace(program, populations=populations, n_steps=steps), Stimulus(rows, None, steps)


def unstreamed(program: Program, n_samples: int, trace: Trace) -> Trace:
    """The trace of n_samples samples of `program` from that of their streams: every population sends in its own step."""
    spikes = {name: _apart(program, name, array, n_samples) for name, array in trace.spikes.items()}
    shape = (n_samples, program.n_steps)
    v = {name: np.zeros((*shape, array.shape[2]), array.dtype) for name, array in trace.v.items()}
    return Trace(spikes, v, trace.meta)


def _repeated(population: Population, length: int) -> Population:
    params = population.neuron.params
    shifts = np.arange(length, dtype=np.int64)[:, None]
    every = {
        "time": (params["time"].astype(np.int64)[None] + shifts).reshape(-1),
        "index": np.tile(params["index"], length),
        "value": np.tile(np.broadcast_to(params.get("value", np.asarray(0)), params["time"].shape), length),
    }
    return replace(population, neuron=Neuron("generator", every))


def _apart(program: Program, name: str, array: npt.NDArray[np.integer], n_samples: int) -> npt.NDArray[np.integer]:
    step, length = int(program.meta["sent"][name]), array.shape[1] - program.n_steps + 1
    sent = array[:, step : step + length].reshape(-1, array.shape[2])[:n_samples]
    found = np.zeros((n_samples, program.n_steps, array.shape[2]), array.dtype)
    found[:, step] = sent
    return found
