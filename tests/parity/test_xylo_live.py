"""The engine and xylosim, run side by side: spikes, potentials and currents of random networks, integer for integer."""

from __future__ import annotations

import numpy as np
import pytest
from engine_oracle import simulate
from xylo_programs import xylo_program

from snnport.encoders import Stimulus
from snnport.program import Program
from snnport.sim.engine import run
from snnport.targets.xylo.vendor import Job, run_jobs
from snnport.trace import Trace

NETWORKS = 200


def compared_currents(program: Program, x: np.ndarray, theirs: Trace, names: list[str]) -> int:
    """The synaptic currents of xylosim and of the oracle, which the engine is held to; how many are not 0."""
    oracle = simulate(program, x, x.shape[1])["i"]
    for name in names:
        recorded = theirs.v[f"i of {name}"]
        np.testing.assert_array_equal(oracle[name][:, :, : recorded.shape[2]], recorded)
    return sum(int(np.count_nonzero(theirs.v[f"i of {name}"])) for name in names)


@pytest.mark.xylo
def test_random_networks() -> None:
    made = [xylo_program(seed) for seed in range(NETWORKS)]
    traces = run_jobs([Job(program, x) for program, x in made])
    spikes = saturations = aliased = currents = 0
    for seed, ((program, x), theirs) in enumerate(zip(made, traces, strict=True)):
        names = [p.name for p in program.populations if p.neuron.family == "xylo"]
        ours = run(program, Stimulus(x, None, x.shape[1]), record_spikes=names, record_v=names)
        for name in names:
            np.testing.assert_array_equal(ours.trace.spikes[name], theirs.spikes[name])
            np.testing.assert_array_equal(ours.trace.v[name], theirs.v[name])
            spikes += int(theirs.spikes[name].sum())
            saturations += sum(ours.counts.v_saturations.values())
            aliased += "alias" in program.population(name).neuron.params
        if not seed % 4:
            currents += compared_currents(program, x, theirs, names)
    assert spikes > 10_000
    assert currents > 1_000
    assert saturations > 100
    assert aliased > NETWORKS
