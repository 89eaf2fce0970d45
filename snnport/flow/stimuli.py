"""The stimulus that samples are for a model: spikes as they came, or images by the model's encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from snnport.datasets import Samples
from snnport.encoders import CountEncoder, Stimulus
from snnport.errors import InvalidInput
from snnport.flow.rows import Frames, Lazy
from snnport.program import Program


def stimulus_of(program: Program, samples: Samples) -> Stimulus:
    """The stimulus that `samples` are for `program`, with as many silent steps behind spikes as the answer is late."""
    stimulus = stimulus_for(program.meta.get("encoder"), samples, program.n_steps)
    return stimulus.followed_by(program.answer_delay) if stimulus.encoder is None else stimulus


def input_spikes(program: Program, samples: Samples) -> npt.NDArray[Any]:
    """The spikes (n_samples, n_steps, n_inputs) that samples are to the program."""
    stimulus = stimulus_of(program, samples)
    raster = stimulus.raster(0, samples.n_samples)
    return raster.reshape(*raster.shape[:2], -1)


def stimulus_for(encoder: Mapping[str, Any] | None, samples: Samples, n_steps: int) -> Stimulus:
    """The stimulus that `samples` are for a model with this encoder (None: the samples must be spikes themselves)."""
    if encoder is None:
        if not samples.n_steps:
            raise InvalidInput(
                "input", "x is images, and this network has no encoder", "Give spikes (n_samples, n_steps, ...), or convert it"
            )
        return Stimulus(Lazy(samples), None, samples.n_steps)
    if samples.n_steps and encoder.get("kind") == "change":
        return Stimulus(Frames(samples, CountEncoder.from_json(encoder), n_steps - 1), None, samples.n_steps + n_steps - 1)
    if samples.n_steps:
        if samples.n_steps != n_steps:
            raise InvalidInput("input", f"x has {samples.n_steps} steps, the network's schedule takes {n_steps}")
        return Stimulus(Lazy(samples), None, n_steps)
    return Stimulus(Lazy(samples), CountEncoder.from_json(encoder), n_steps)
