"""A Program on snnport's engine. It runs in the interpreter of the driver, in a process of its own like the peers.

request: {"program": Program .npz, "case": .npz with x, "batch", "threads", "record": populations, "price": bool,
"pin": core or null}. Laying the program out for the engine is done once, like the building of the peers' models; the events
of the stimulus are extracted from its raster in every run, and everything is counted in every run.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from protocol import Job, serve

from snnport.encoders import Stimulus
from snnport.program import Program
from snnport.sim import energy, engine


def prepare(request: dict[str, Any]) -> Job:
    """Load the program, lay it out, and compile."""
    from pathlib import Path

    if request.get("pin") is not None:
        os.sched_setaffinity(0, {int(request["pin"])})
    program = Program.load(Path(request["program"]))
    with np.load(request["case"]) as data:
        x = data["x"][: request["batch"]]
    stimulus = Stimulus(x.reshape(*x.shape[:2], -1), None, x.shape[1])
    run = engine.prepare(program).run
    models = energy.models_for(program.target) if request.get("price") else ()

    def job() -> Any:
        result = run(stimulus, threads=int(request["threads"]))
        for model in models:
            energy.price(result.counts, model, 1e-3)
        return result

    job()
    priced = f", {len(models)} energy models priced" if models else ""
    return Job(job, _count, f"engine, {request['threads']} threads, all counts{priced}")


def _count(result: Any) -> dict[str, int]:
    counts = result.counts
    return {**counts.spikes, "synaptic_operations": counts.total("synaptic_operations")}


if __name__ == "__main__":
    serve(prepare)
