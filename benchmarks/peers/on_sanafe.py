# /// script
# requires-python = "==3.11.*"
# dependencies = ["sanafe==2.2.9", "numpy"]
# ///
"""The dense network on SANA-FE with its Loihi architecture, energy and latency accounted in every field.

request: {"case", "batch", "threads"}; the time is that of the simulations alone.
SANA-FE is run, as a program of its own, never copied (GPL-3).
"""

from __future__ import annotations

import json
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import sanafe
from protocol import Job, serve


def prepare(request: dict[str, Any]) -> Job:
    """One layer a core, one core a tile. Every sample gets a fresh chip, because a reset leaves the inputs where they are."""
    with np.load(request["case"]) as data:
        x = data["x"][: request["batch"]]
        thresholds = [layer["threshold"] for layer in json.loads(str(data["layers"]))]
        weights = [data[f"w{i}"].T.astype(np.float64).ravel().tolist() for i in range(len(thresholds))]
        sizes = [data[f"w{i}"].shape[0] for i in range(len(thresholds))]
    threads = int(request["threads"])

    def chip(sample: Any) -> Any:
        architecture = sanafe.load_loihi()
        network = sanafe.Network()
        groups = [network.create_neuron_group("input", sample.shape[1])]
        for i, neuron in enumerate(groups[0]):
            neuron.set_attributes(soma_hw_name=f"loihi_inputs[{i}]", model_attributes={"spikes": sample[:, i].tolist()})
        for i, (threshold, weight, size) in enumerate(zip(thresholds, weights, sizes, strict=True), start=1):
            attributes = {"threshold": float(threshold), "reset_mode": "soft", "leak_decay": 1.0}
            hardware = {"soma_hw_name": "loihi_lif", "default_synapse_hw_name": "loihi_dense_synapse"}
            group = network.create_neuron_group(f"layer{i}", size, attributes, **hardware)
            groups[-1].connect_neurons_dense(group, {"weight": weight})
            groups.append(group)
        for i, group in enumerate(groups):
            group.map_to_core(architecture.tiles[i].cores[0])
        made = sanafe.SpikingChip(architecture)
        made.load(network)
        return made

    def run() -> dict[str, Any]:
        seconds, results = 0.0, []
        for sample in x.astype(bool):
            fresh = chip(sample)
            start = time.perf_counter()
            results.append(fresh.sim(len(sample), timing_model="simple", processing_threads=threads))
            seconds += time.perf_counter() - start
        return {"seconds": seconds, "results": results}

    def count(done: dict[str, Any]) -> dict[str, int]:
        fired = sum(r["neurons_fired"] for r in done["results"]) - int(x.sum())
        return {"layers": fired, "synaptic events": sum(r["spikes"] for r in done["results"])}

    config = "loihi.yaml, simple timing, no traces"
    return Job(run, count, config, {"sanafe": version("sanafe")}, lambda done: float(done["seconds"]))


if __name__ == "__main__":
    serve(prepare)
