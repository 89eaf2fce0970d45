"""`--sensor`: recorded events of a vision sensor, through the pre-processing that a chip has before its first layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnport.datasets import Samples
from snnport.errors import InvalidInput
from snnport.events import Events
from snnport.targets.speck.sensor import Preprocessing


def through(samples: Samples, stage: Preprocessing) -> Samples:
    """`samples` of events on `stage.shape` as the network sees them. Raises InvalidInput for images."""
    if not samples.n_steps:
        raise InvalidInput("--sensor", "the input holds images, and the sensor's events are spikes", "Leave out --sensor")
    note = f"x: through the event pre-processing, {stage.shape} to {stage.output_shape}"
    if isinstance(samples.x, Events):
        index = stage.moved(samples.x.index.astype(np.int64))
        kept = index >= 0
        x = Events(samples.x.sample[kept], samples.x.time[kept], index[kept].astype(samples.x.index.dtype))
        return replace(samples, x=x, shape=stage.output_shape, notes=(*samples.notes, note))
    maps = samples.x.reshape(samples.n_samples, samples.n_steps, *stage.shape)
    return replace(samples, x=stage.apply(maps), shape=stage.output_shape, notes=(*samples.notes, note))
