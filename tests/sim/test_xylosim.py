"""xylo against what xylosim 0.1.3 (its v2 layer) computed: random recurrent networks, most of them saturating.

tests/golden/xylosim holds the networks, their input, and every spike and membrane of hidden and output neurons.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_programs import chip_with

from snnport.encoders import Stimulus
from snnport.program import Dense, Neuron, Population, Program, Projection, Slice
from snnport.sim.engine import run

ARCHIVE = np.load(Path(__file__).parents[1] / "golden" / "xylosim" / "xylosim-0.1.3.npz")
CASES = sorted({int(name.split("/")[0]) for name in ARCHIVE.files})


def program_of(case) -> Program:
    """Input spikes arrive at once, recurrent ones a step later, at hidden and output neurons; a port a synaptic state."""
    hidden = {name: case[name] for name in ("dash_mem", "bias", "alias")} | {"v_threshold": case["threshold"]}
    hidden |= dict(zip(("dash_syn", "dash_syn_2"), case["dash_syns"].T, strict=False))
    output = {"v_threshold": case["threshold_out"], "dash_mem": case["dash_mem_out"], "dash_syn": case["dash_syns_out"][:, 0]}
    output |= {"bias": case["bias_out"], "max_spikes": np.array(1)}
    populations = (
        Population("in", case["input"].shape[1:], Neuron("input", {})),
        Population("hidden", case["threshold"].shape, Neuron("xylo", hidden)),
        Population("out", case["threshold_out"].shape, Neuron("xylo", output)),
    )
    shifts = case["shifts"].tolist()
    ports = range(case["dash_syns"].shape[1])
    projections = [
        *(Projection(f"in{k}", "in", "hidden", Dense(case["input_weights"][:, :, k].T), None, 0, shifts[0], k) for k in ports),
        *(
            Projection(f"r{k}", "hidden", "hidden", Dense(case["recurrent_weights"][:, :, k].T), None, 1, shifts[1], k)
            for k in ports
        ),
        Projection("out", "hidden", "out", Dense(case["output_weights"][:, :, 0].T), None, 1, shifts[2]),
    ]
    slices = tuple(Slice(p.name, 0, 0, p.size) for p in populations[1:])
    return Program("xylo", chip_with(), populations, tuple(projections), slices, ("in",), ("out",), len(case["input"]))


@pytest.mark.parametrize("number", CASES)
def test_every_spike_and_membrane_of_xylosim(number):
    case = {name.split("/")[1]: ARCHIVE[name] for name in ARCHIVE.files if name.startswith(f"{number}/")}
    program = program_of(case)
    stimulus = Stimulus(case["input"][None], None, program.n_steps)
    trace = run(program, stimulus, record_spikes=["hidden", "out"], record_v=["hidden", "out"], threads=1).trace
    np.testing.assert_array_equal(trace.spikes["hidden"][0], case["spikes"])
    np.testing.assert_array_equal(trace.spikes["out"][0], case["out_spikes"])
    np.testing.assert_array_equal(trace.v["hidden"][0].T, case["v"])
    np.testing.assert_array_equal(trace.v["out"][0].T, case["v_out"])


def test_the_cases_fire_saturate_and_have_what_xylo_has():
    assert len(CASES) == 20
    assert sum(ARCHIVE[f"{n}/spikes"].any() for n in CASES) > 15
    assert sum(ARCHIVE[f"{n}/out_spikes"].any() for n in CASES) > 15
    assert sum((ARCHIVE[f"{n}/v"] == 32767).any() or (ARCHIVE[f"{n}/v"] == -32768).any() for n in CASES) > 5
    assert sum((ARCHIVE[f"{n}/alias"] >= 0).any() for n in CASES) > 5
    assert sum(ARCHIVE[f"{n}/dash_syns"].shape[1] == 2 for n in CASES) > 5
