"""The engine and xylosim, run side by side: spikes, potentials and currents of random networks, integer for integer."""

from __future__ import annotations

import numpy as np
from xylo_programs import xylo_program

from snnport.encoders import Stimulus
from snnport.sim.engine import run
from snnport.targets.xylo.vendor import Job, run_jobs

NETWORKS = 200


def test_random_networks() -> None:
    made = [xylo_program(seed) for seed in range(NETWORKS)]
    traces = run_jobs([Job(program, x) for program, x in made])
    spikes = saturations = aliased = 0
    for (program, x), theirs in zip(made, traces, strict=True):
        names = [p.name for p in program.populations if p.neuron.family == "xylo"]
        ours = run(program, Stimulus(x, None, x.shape[1]), record_spikes=names, record_v=names)
        for name in names:
            np.testing.assert_array_equal(ours.trace.spikes[name], theirs.spikes[name])
            np.testing.assert_array_equal(ours.trace.v[name], theirs.v[name])
            spikes += int(theirs.spikes[name].sum())
            saturations += sum(ours.counts.v_saturations.values())
            aliased += "alias" in program.population(name).neuron.params
    assert spikes > 10_000
    assert saturations > 100
    assert aliased > NETWORKS
