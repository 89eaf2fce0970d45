"""Random runs of tinyODIN: small ones, with many of their numbers at an edge."""

from __future__ import annotations

import numpy as np

from snnport.sim.tinyodin import Inputs


def events(rng: np.random.Generator, n: int) -> np.ndarray:
    """Event words of all kinds: spikes, virtual events (of weight 0 too), time references for all and for one neuron."""
    kinds = rng.choice(5, n, p=rng.dirichlet([2, 2, 1, 1, 0.5]))
    low = rng.integers(0, 256, n)
    words = np.where(kinds == 0, low, 0)
    words = np.where(kinds == 1, 0x200 | low, words)
    words = np.where(kinds == 2, 0x1FF, words)
    words = np.where(kinds == 3, 0x100 | rng.integers(0, 4, n) << 8 & 0x200 | low, words)
    words = np.where(kinds == 4, 0x200 | low & 0xF, words)
    return words.astype(np.uint16)


def inputs(rng: np.random.Generator, max_cycles: int = 4000) -> Inputs:
    """One run. Most process few neurons, so that short runs hold many services."""
    n = int(rng.integers(0, 13))
    scale = int(rng.choice([1, 6, 40]))
    thr = rng.integers(0, scale + 1, 256)
    thr = np.where(rng.random(256) < 0.1, rng.choice([0, 2047, 2048, 4095], 256), thr)
    v0 = rng.integers(-scale, scale + 1, 256)
    v0 = np.where(rng.random(256) < 0.1, rng.choice([-2048, -2047, -1, 0, 2046, 2047], 256), v0)
    gaps = rng.choice([0, 0, 0, 7, 300], n) * rng.integers(0, 3, n)
    return Inputs(
        max_neur=int(rng.choice([0, 1, 2, 7, 15, 40, 255], p=[0.1, 0.1, 0.2, 0.2, 0.2, 0.15, 0.05])),
        open_loop=int(rng.random() < 0.3),
        aer_src=int(rng.random() < 0.3),
        max_cycles=max_cycles,
        req_low_delay=int(rng.choice([0, 1, 2, 9])),
        req_gap=int(rng.choice([0, 1, 5])),
        ack_delay=rng.integers(0, int(rng.choice([1, 4, 30])), int(rng.integers(1, 5))),
        acklow_delay=rng.integers(0, int(rng.choice([1, 4, 30])), int(rng.integers(1, 4))),
        thr=thr,
        leak=rng.integers(0, int(rng.choice([1, 4, 128])), 256),
        disable=(rng.random(256) < rng.choice([0, 0.2, 1])).astype(np.uint8),
        v0=v0,
        W=(rng.integers(-8, 8, (256, 256)) * (rng.random((256, 256)) < rng.choice([0.1, 0.6, 1]))).astype(np.int8),
        ev_addr=events(rng, n),
        ev_t=np.cumsum(gaps) - int(rng.choice([0, 5])),
    )
