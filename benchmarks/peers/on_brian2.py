# /// script
# requires-python = "==3.11.*"
# dependencies = ["brian2==2.9.0", "numpy<2.4", "setuptools<81"]
# ///
"""The dense network on Brian2's C++ standalone: subtracting reset, fires where v >= threshold, one step from layer to layer.

request: {"case", "threads"}; one sample. The time is that of Brian2's own run loop, without code generation, compilation,
or the reading and writing of files.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from typing import Any

import brian2 as b2
import numpy as np
from protocol import Job, serve


def prepare(request: dict[str, Any]) -> Job:
    """Compiled for this machine, with all optimisation; OpenMP with `threads` threads, or none if that is 1."""
    with np.load(request["case"]) as data:
        x = data["x"][0]
        thresholds = [layer["threshold"] for layer in json.loads(str(data["layers"]))]
        weights = [data[f"w{i}"].astype(np.float64) for i in range(len(thresholds))]
    threads = int(request["threads"])
    folder = tempfile.TemporaryDirectory()
    b2.set_device("cpp_standalone", build_on_run=False)
    b2.prefs.codegen.cpp.extra_compile_args_gcc = ["-O3", "-march=native", "-ffast-math", "-std=c++17"]
    b2.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
    b2.prefs.core.default_float_dtype = np.float32
    b2.defaultclock.dt = 1 * b2.ms
    step, neuron = np.nonzero(x)
    objects: list[Any] = [b2.SpikeGeneratorGroup(x.shape[1], neuron, step * b2.ms)]
    monitors: list[Any] = []
    for threshold, weight in zip(thresholds, weights, strict=True):
        group = b2.NeuronGroup(len(weight), "v : 1", threshold=f"v >= {threshold}", reset=f"v -= {threshold}")
        synapses = b2.Synapses(next(o for o in reversed(objects) if hasattr(o, "spikes")), group, "w : 1", on_pre="v_post += w")
        synapses.connect()
        synapses.w = weight.T.ravel()
        monitors.append(b2.SpikeMonitor(group, record=False))
        objects += [group, synapses]
    network = b2.Network(*objects, *monitors)
    network.run(len(x) * b2.ms)
    b2.device.build(directory=folder.name, compile=True, run=False)

    def run() -> Any:
        b2.device.run(folder.name, with_output=False, run_args=[])
        return folder

    def seconds(_: Any) -> float:
        return float(b2.device._last_run_time)

    def count(_: Any) -> dict[str, int]:
        return {f"layer{i}": int(m.num_spikes) for i, m in enumerate(monitors, start=1)}

    how = "OpenMP" if threads > 1 else "no OpenMP"
    return Job(run, count, f"C++ standalone, float32, -O3 -march=native, {how}", {"brian2": version("brian2")}, seconds)


if __name__ == "__main__":
    serve(prepare)
