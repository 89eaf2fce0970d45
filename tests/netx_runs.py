"""Running netx files by the engine, and telling whether two draws of a random file are the same."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnport.encoders import Stimulus
from snnport.flow.model import ReadOptions, open_model
from snnport.flow.prepare import InputOptions, spiking
from snnport.program import Program
from snnport.sim.engine import run
from snnport.targets.base import resolve_target


def program_of(path: Path, reset_interval: int | None = None) -> Program:
    """The program of the netx file at `path`, whether it fits the chip or not."""
    target = resolve_target("loihi2")
    model = open_model(path, ReadOptions(reset_interval=reset_interval))
    return target.lowering(spiking(model, InputOptions()).graph, target.chip)


def spikes_of(program: Program, x: Any) -> dict[str, Any]:
    """What each layer sends on x (steps, n), by the names of the populations in order, (steps, n)."""
    names = [p.name for p in program.populations if p.neuron.family != "input"]
    stimulus = Stimulus(np.asarray(x)[None], None, len(x))
    trace = run(replace(program, n_steps=len(x)), stimulus, record_spikes=names, record_v=(), threads=1).trace
    return {name: trace.spikes[name][0].astype(np.int64) for name in names}


def drawn(path: Path, x: Any) -> int:
    """A number that changes with any weight in the file and with x."""
    total = zlib.crc32(np.ascontiguousarray(x, np.int64).tobytes())
    with h5py.File(path) as file:
        for name in sorted(file["layer"], key=int):
            for key, value in sorted(file[f"layer/{name}"].items()):
                if isinstance(value, h5py.Dataset) and value.dtype.kind in "if":
                    total = zlib.crc32(np.ascontiguousarray(value[()], np.float64).tobytes() + key.encode(), total)
    return total
