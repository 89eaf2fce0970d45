"""Run SANA-FE itself, in its own interpreter and process, through files (workers/sanafe_run.py)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.program import Program
from snnport.sim.sanafe import SanafeResult, check, units_of
from snnport.sim.sanafe_arch import load_architecture

WORKER = Path(__file__).parents[1] / "workers" / "sanafe_run.py"
TIMEOUT_S = 3600
TOTALS = ("spikes", "packets_sent", "neurons_updated", "neurons_fired")


def run_sanafe(program: Program, raster: npt.NDArray[Any], architecture: Path, python: Path) -> SanafeResult:
    """SANA-FE's totals for `program` fed with `raster` (n_steps, n_inputs), 0 or 1. python: the interpreter that has sanafe.

    Raises what sanafe.check and units_of raise, and InvalidInput if the process fails, with the last line it wrote.
    """
    described = load_architecture(architecture)
    check(program, described)
    units = units_of(program, described)
    if raster.ndim != 2 or raster.min(initial=0) < 0 or raster.max(initial=0) > 1:
        raise InvalidInput(
            "raster", f"{raster.shape} with values to {raster.max(initial=0)}, (n_steps, n_inputs) of 0 and 1 are needed"
        )
    with tempfile.TemporaryDirectory() as folder:
        job, saved, result = (Path(folder) / name for name in ("job.npz", "program.npz", "result.json"))
        program.save(saved)
        text = json.dumps({"soma": dict(units.soma), "synapse": dict(units.synapse), "inputs": units.inputs})
        np.savez(job, raster=raster.astype(np.uint8), units=np.array(text))
        command = [str(python), str(WORKER), str(saved), str(job), str(architecture.resolve()), str(result)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=folder, check=False)
        except OSError as error:
            raise InvalidInput(str(python), f"it cannot be run: {error}", "Type: make sanafe") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise InvalidInput("SANA-FE", f"it failed: {lines[-1] if lines else done.returncode}", "Type: make sanafe")
        data = json.loads(result.read_text(encoding="utf-8"))
    spikes, packets, updated, fired = (int(data[name]) for name in TOTALS)
    return SanafeResult(spikes, packets, updated, fired, data["energy"])
