"""Draws the networks of xylosim-0.1.3.npz and lets xylosim run them. Needs numpy and xylosim 0.1.3, nothing of snnport.

Usage: python write_cases.py OUT.npz
"""

from __future__ import annotations

import sys

import numpy as np
from xylosim.v2 import XyloLayer, XyloSynapse

CASES, STEPS = 20, 25


def drawn(seed: int) -> dict[str, np.ndarray]:
    """A small recurrent network, and up to 15 spikes an input and step."""
    rng = np.random.default_rng(seed)
    inputs, hidden, outputs, states = rng.integers(1, 6), rng.integers(2, 9), rng.integers(1, 4), rng.integers(1, 3)
    case = {
        "input_weights": rng.integers(-128, 128, (inputs, hidden, states)),
        "recurrent_weights": rng.integers(-128, 128, (hidden, hidden, states)),
        "output_weights": rng.integers(-128, 128, (hidden, outputs, 1)),
        "shifts": rng.integers(0, 7, 3),
        "threshold": rng.integers(1, (50, 3000, 30000)[seed % 3], hidden),
        "threshold_out": rng.integers(1, 2000, outputs),
        "dash_mem": rng.integers(0, 9, hidden),
        "dash_mem_out": rng.integers(0, 9, outputs),
        "dash_syns": rng.integers(0, 9, (hidden, states)),
        "dash_syns_out": rng.integers(0, 9, (outputs, 1)),
        "bias": rng.integers(-300, 300, hidden),
        "bias_out": rng.integers(-100, 100, outputs),
        "alias": np.where(rng.random(hidden) < 0.4, rng.integers(0, hidden, hidden), -1),
        "input": rng.integers(0, 16, (STEPS, inputs)) * (rng.random((STEPS, inputs)) < 0.4),
    }
    return {name: values.astype(np.int16) for name, values in case.items()}


def synapses(weights: np.ndarray) -> list[list[XyloSynapse]]:
    """All synapses of every source, target by target, its synaptic states in order."""
    return [[XyloSynapse(t, s, int(w)) for t, states in enumerate(row) for s, w in enumerate(states)] for row in weights]


def ran(case: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What xylosim makes of it. xylosim keeps pointers to the synapses, so that the lists must live as long as the layer."""
    names = ("input_weights", "recurrent_weights", "output_weights")
    kept = [synapses(case[name]) for name in names]
    lists = {name: values.tolist() for name, values in case.items() if name not in names}
    layer = XyloLayer(
        *kept,
        [[a] if a >= 0 else [] for a in lists["alias"]],
        lists["threshold"],
        lists["threshold_out"],
        True,
        lists["bias"],
        lists["bias_out"],
        *lists["shifts"],
        lists["dash_mem"],
        lists["dash_mem_out"],
        lists["dash_syns"],
        lists["dash_syns_out"],
        "case",
    )
    layer.evolve(lists["input"])
    recorded = {
        "spikes": layer.rec_recurrent_spikes,
        "out_spikes": layer.rec_out_spikes,
        "v": [list(v) for v in layer.rec_v_mem],
        "v_out": [list(v) for v in layer.rec_v_mem_out],
    }
    return {name: np.array(values, np.int16) for name, values in recorded.items()}


def main() -> None:
    """Write every case and its result under `NUMBER/NAME`."""
    arrays = {}
    for number in range(CASES):
        case = drawn(number)
        arrays |= {f"{number}/{name}": values for name, values in {**case, **ran(case)}.items()}
    np.savez_compressed(sys.argv[1], **arrays)


if __name__ == "__main__":
    main()
