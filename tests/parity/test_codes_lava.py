"""The ramp and the ttfs code in Lava's own fixed-point models: the quantised ANN's integers, and the engine's spikes."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from coded_runs import ThreeRuns, coded_network, three_runs
from networks import NETWORKS

from snnport.convention import coding_of
from snnport.encoders import CountEncoder, Stimulus
from snnport.graph import names_of, shapes, the_input
from snnport.targets.loihi.vendor import Job, run_jobs

CASES = [
    ("mlp", "ramp"),
    ("uneven", "ramp"),
    ("residual", "ramp"),
    ("mlp", "ttfs"),
    ("uneven", "ttfs"),
    ("spiking_output", "ttfs"),
]


def case(name: str, code: str) -> tuple[Job, ThreeRuns]:
    rng = np.random.default_rng(11)
    graph = NETWORKS[name](rng)
    x = rng.uniform(0, 1, (3, *shapes(graph)[the_input(graph)]))
    conversion = coded_network(graph, code, x, levels=5, input_levels=3)
    runs = three_runs(conversion.graph, x, "loihi2")
    coding = coding_of(conversion.graph.metadata)
    assert coding is not None
    encoder = CountEncoder.from_json(runs.program.meta["encoder"])
    stimulus = Stimulus(encoder.raster(encoder.counts(x), runs.program.n_steps), None, runs.program.n_steps)
    return Job(runs.program, stimulus, names_of(conversion.graph, nir.IF), runs.program.outputs), runs


@pytest.mark.lava
def test_lava_gives_the_integers_of_the_quantised_ann() -> None:
    made = [case(name, code) for name, code in CASES]
    traces = run_jobs([job for job, _ in made])
    for (name, code), (job, runs), trace in zip(CASES, made, traces, strict=True):
        for population in job.spikes:
            assert np.array_equal(trace.spikes[population], runs.result.trace.spikes[population]), (name, code, population)
        output = runs.program.outputs[0]
        logits = trace.v[output][:, -1] / runs.program.meta["v_unit"][output]
        assert np.array_equal(logits, runs.expected), (name, code)
