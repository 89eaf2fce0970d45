"""The dense network on Lava's fixed-point models (Loihi, bit for bit): LIF with reset to 0 and no decay of the potential.

It runs in the interpreter of `make lava` (Python 3.10, lava-nc 0.10.0, numpy < 2). request: {"case", "batch"}: the samples
run one behind the other in one run, as Lava does; layer i resets its state (LIFReset) i steps after the sample's first step,
because every layer adds one step, so that samples do not meet. The time is that of the run, after one step that compiles
and starts the processes.
"""

from __future__ import annotations

import json
import time
from importlib.metadata import version
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIFReset
from protocol import Job, serve


def prepare(request: dict[str, Any]) -> Job:
    """Build the processes anew for every run; only the run itself is timed."""
    with np.load(request["case"]) as data:
        x = data["x"][: request["batch"]]
        thresholds = [layer["threshold"] for layer in json.loads(str(data["layers"]))]
        weights = [data[f"w{i}"].astype(np.int32) for i in range(len(thresholds))]
    samples, steps, inputs = x.shape
    total = samples * steps + len(weights)
    # One silent step in front: it compiles, starts the processes and is not timed.
    raster = np.zeros((inputs, total + 1), np.int32)
    raster[:, 1 : 1 + samples * steps] = x.reshape(-1, inputs).T

    def run() -> dict[str, Any]:
        source = Source(data=raster)
        port = source.s_out
        for i, (threshold, weight) in enumerate(zip(thresholds, weights, strict=True), start=1):
            dense = Dense(weights=weight, num_weight_bits=8)
            # The first step of a sample reaches layer i in step 2 + i (steps count from 1).
            lif = LIFReset(
                shape=(len(weight),), du=4095, dv=0, vth=int(threshold), reset_interval=steps, reset_offset=(2 + i) % steps
            )
            port.connect(dense.s_in)
            dense.a_out.connect(lif.a_in)
            port = lif.s_out
        sink = Sink(shape=(len(weights[-1]),), buffer=total + 1)
        port.connect(sink.a_in)
        config = Loihi2SimCfg(select_tag="fixed_pt")
        sink.run(condition=RunSteps(num_steps=1), run_cfg=config)
        start = time.perf_counter()
        sink.run(condition=RunSteps(num_steps=total), run_cfg=config)
        seconds = time.perf_counter() - start
        spikes = sink.data.get()
        sink.stop()
        return {"seconds": seconds, "spikes": spikes}

    def count(result: dict[str, Any]) -> dict[str, int]:
        return {f"layer{len(weights)}": int(result["spikes"].sum())}

    return Job(
        run, count, "LIFReset, Dense, fixed_pt, a process each", {"lava-nc": version("lava-nc")}, lambda r: float(r["seconds"])
    )


if __name__ == "__main__":
    serve(prepare)
