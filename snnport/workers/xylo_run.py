"""Run networks on xylosim, inside an interpreter that has it; imports numpy and xylosim alone.

    python xylo_run.py JOBS.npz RESULTS.npz

JOBS.npz holds `n` and for each network K: K/inputs, K/recurrent, K/outputs, each (n_synapses, 4) source, target, current,
weight; K/shifts (3,); K/threshold, K/dash_mem, K/bias, K/alias (hidden,), K/dash_syn (hidden, currents); the same with
_out for the output neurons, without alias; K/x (n_samples, n_steps, n_inputs) spikes. RESULTS.npz gets K/spikes,
K/spikes_out, K/v, K/v_out, K/i (currents one behind the other), K/i_out: (n_samples, n_steps, ...).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from xylosim.v2 import XyloLayer, XyloSynapse  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]


def rows(table: Any, n_sources: int) -> list[list[Any]]:
    """The synapses of every source."""
    found: list[list[Any]] = [[] for _ in range(n_sources)]
    for source, target, current, weight in table.tolist():
        found[source].append(XyloSynapse(target, current, weight))
    return found


def layer(job: dict[str, Any]) -> tuple[Any, Any]:
    """The network at rest, and its synapses: xylosim keeps pointers to them, so that they must live as long."""
    hidden, inputs = len(job["threshold"]), job["x"].shape[2]
    kept = [rows(job["inputs"], inputs), rows(job["recurrent"], hidden), rows(job["outputs"], hidden)]
    made = XyloLayer(
        *kept,
        [[a] if a >= 0 else [] for a in job["alias"].tolist()],
        job["threshold"].tolist(),
        job["threshold_out"].tolist(),
        True,
        job["bias"].tolist(),
        job["bias_out"].tolist(),
        *job["shifts"].tolist(),
        job["dash_mem"].tolist(),
        job["dash_mem_out"].tolist(),
        job["dash_syn"].tolist(),
        job["dash_syn_out"].tolist(),
        "snnport",
    )
    return made, kept


def by_step(recorded: Any) -> Any:
    """States, which xylosim lists neuron by neuron, as (n_steps, n_neurons)."""
    return np.array([list(values) for values in recorded], np.int64).T


def ran(job: dict[str, Any]) -> dict[str, Any]:
    """What every sample gave, each from rest."""
    found: dict[str, list[Any]] = {name: [] for name in ("spikes", "spikes_out", "v", "v_out", "i", "i_out")}
    for sample in job["x"]:
        made, _kept = layer(job)
        made.evolve(sample.tolist())
        currents = [made.rec_i_syn, made.rec_i_syn2][: job["dash_syn"].shape[1]]
        recorded = {
            "spikes": np.array(made.rec_recurrent_spikes, np.int64),
            "spikes_out": np.array(made.rec_out_spikes, np.int64),
            "v": by_step(made.rec_v_mem),
            "v_out": by_step(made.rec_v_mem_out),
            "i": np.concatenate([by_step(i) for i in currents], axis=1),
            "i_out": by_step(made.rec_i_syn_out),
        }
        for name, values in recorded.items():
            found[name].append(values)
    return {name: np.stack(values) for name, values in found.items()}


def main() -> None:
    """Run all jobs, telling standard error how many are done."""
    with np.load(sys.argv[1]) as file:
        arrays = dict(file)
    results: dict[str, Any] = {}
    n = int(arrays["n"])
    for k in range(n):
        job = {name.split("/", 1)[1]: value for name, value in arrays.items() if name.startswith(f"{k}/")}
        results |= {f"{k}/{name}": value for name, value in ran(job).items()}
        sys.stderr.write(f"{k + 1} of {n} samples\n")
    np.savez(sys.argv[2], **results)


if __name__ == "__main__":
    main()
