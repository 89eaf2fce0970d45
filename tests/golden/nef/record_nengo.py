# /// script
# requires-python = "==3.11.*"
# dependencies = ["nengo==4.1.0", "numpy<2.3"]
# ///
"""Nengo's own memory, addition, square and product on two inputs each, into nengo.npz: `uv run record_nengo.py`.

Arrays: NETWORK.NUMBER.x (n_steps, numbers) and NETWORK.NUMBER.y (n_steps,), 1 ms a step, float32. Full scale is 1. The
networks are those of Nengo's examples: LIF neurons with Nengo's defaults, NEURONS an ensemble, synapse 5 ms between
ensembles, 100 ms around the memory, none on the input; y is what a probe with a synapse of 30 ms reads.
"""

from __future__ import annotations

from pathlib import Path

import nengo
import numpy as np

NEURONS = 200
DT = 1e-3
SECONDS = 2.5


def main() -> None:
    """Build and run every network."""
    kept = {}
    for name, (numbers, build) in NETWORKS.items():
        for k in (0, 1):
            x = signals(name, numbers, k)
            kept[f"{name}.{k}.x"] = x.astype(np.float32)
            kept[f"{name}.{k}.y"] = recorded(build, kept[f"{name}.{k}.x"], seed=k).astype(np.float32)
    np.savez_compressed(Path(__file__).with_name("nengo.npz"), **kept)


def signals(name, numbers, k):
    """Inputs within -1..1: slow sines, then white noise below 2 Hz. What a memory adds up stays within -1..1."""
    t = np.arange(round(SECONDS / DT)) * DT
    if name == "memory":
        pulses = [(0.2, 0.9, 1.0), (1.2, 2.0, -0.9)] if k == 0 else [(0.1, 0.6, -0.8), (0.9, 1.3, 0.5), (1.6, 2.3, 0.7)]
        return sum(((t >= a) & (t < b)) * height for a, b, height in pulses)[:, None]
    if k == 0:
        return np.stack([0.95 * np.sin(2 * np.pi * (0.8 + 0.5 * i) * t + i) for i in range(numbers)], axis=1)
    noise = nengo.processes.WhiteSignal(SECONDS, high=2, rms=0.4, seed=7)
    return np.clip(noise.run(SECONDS, d=numbers, dt=DT), -1, 1)


def recorded(build, x, seed):
    """The output (n_steps,) of the network that `build` makes of a node that plays x."""
    with nengo.Network(seed=seed) as net:
        source = nengo.Node(lambda t: x[min(round(t / DT) - 1, len(x) - 1)], size_out=x.shape[1])
        probe = build(source)
    with nengo.Simulator(net, dt=DT, progress_bar=False) as sim:
        sim.run_steps(len(x))
    return sim.data[probe][:, 0]


def memory(source):
    """The integral of the input."""
    state = nengo.Ensemble(NEURONS, 1)
    nengo.Connection(source, state, transform=0.1, synapse=0.1)
    nengo.Connection(state, state, synapse=0.1)
    return nengo.Probe(state, synapse=0.03)


def two(source):
    """Two ensembles, one for each number of the input."""
    a, b = nengo.Ensemble(NEURONS, 1), nengo.Ensemble(NEURONS, 1)
    nengo.Connection(source[0], a, synapse=None)
    nengo.Connection(source[1], b, synapse=None)
    return a, b


def addition(source):
    """a + b."""
    total = nengo.Ensemble(NEURONS, 1, radius=2)
    for part in two(source):
        nengo.Connection(part, total, synapse=0.005)
    return nengo.Probe(total, synapse=0.03)


def square(source):
    """x^2."""
    first, second = nengo.Ensemble(NEURONS, 1), nengo.Ensemble(NEURONS, 1)
    nengo.Connection(source, first, synapse=None)
    nengo.Connection(first, second, function=np.square, synapse=0.005)
    return nengo.Probe(second, synapse=0.03)


def product(source):
    """x y."""
    both, read = nengo.Ensemble(2 * NEURONS, 2, radius=np.sqrt(2)), nengo.Node(size_in=1)
    for i, part in enumerate(two(source)):
        nengo.Connection(part, both[i], synapse=0.005)
    nengo.Connection(both, read, function=lambda x: x[0] * x[1], synapse=None)
    return nengo.Probe(read, synapse=0.03)


NETWORKS = {"memory": (1, memory), "addition": (2, addition), "square": (1, square), "product": (2, product)}

if __name__ == "__main__":
    main()
