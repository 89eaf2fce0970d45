"""One-population programs for tests of single families and synapses."""

from __future__ import annotations

import numpy as np
from random_programs import chip_with

from snnport.encoders import Stimulus
from snnport.program import Dense, Neuron, Population, Program, Projection, Slice
from snnport.sim.engine import run


def fed(family: str, arrivals, **params) -> Program:
    """One neuron that receives the number arrivals[t] in step t, each from its own source."""
    n = len(arrivals)
    populations = (
        Population("in", (n,), Neuron("input", {})),
        Population("cell", (1,), Neuron(family, {name: np.asarray(value) for name, value in params.items()})),
    )
    codes = Dense(np.array([arrivals], np.int64))
    wire = Projection("w", "in", "cell", codes, delay=0)
    return Program("cpu", chip_with(), populations, (wire,), (Slice("cell", 0, 0, 1),), ("in",), ("cell",), n)


def traced(family: str, arrivals, **params):
    """(spikes, v, counts) of `fed`, the first two as lists along the steps."""
    n = len(arrivals)
    stimulus = Stimulus(np.eye(n, dtype=np.uint8)[None], None, n)
    result = run(fed(family, arrivals, **params), stimulus, record_spikes=["cell"], record_v=["cell"], threads=1)
    return result.trace.spikes["cell"][0, :, 0].tolist(), result.trace.v["cell"][0, :, 0].tolist(), result.counts


def between(source_shape, target_shape, synapse, pool=None, spikes=None, **projection):
    """v of integrators (target size,) after one step in which `spikes` (default: one each) arrive from the source."""
    n, m = int(np.prod(source_shape)), int(np.prod(target_shape))
    populations = (
        Population("in", source_shape, Neuron("input", {})),
        Population("out", target_shape, Neuron("integrator", {})),
    )
    wire = Projection("w", "in", "out", synapse, pool, 0, **projection)
    program = Program("cpu", chip_with(), populations, (wire,), (Slice("out", 0, 0, m),), ("in",), ("out",), 1)
    x = np.ones(n, np.int64) if spikes is None else np.asarray(spikes).ravel()
    result = run(program, Stimulus(x[None, None], None, 1), threads=1)
    return result.final_v["out"][0], result.counts
