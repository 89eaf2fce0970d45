"""Memory stays in proportion to the network: not to its square, not to the samples, not to the stimulus as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scaling.py"
BYTES_A_NEURON = 500
"""State, parameters and tables of a network of maps; 364 were measured, at any size."""


def line(table, side, steps, samples):
    command = [sys.executable, str(SCRIPT), table, str(side), str(steps), str(samples)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_million_neurons_run_in_bounded_memory():
    one, three = line("neurons", 440, 2, 1), line("neurons", 440, 2, 3)
    for row in (one, three):
        assert row["neurons"] > 1_000_000
        assert row["events"] > 0
        assert row["bytes"] < BYTES_A_NEURON * row["neurons"]
    assert three["events"] > 2.9 * one["events"]
    assert abs(three["bytes"] - one["bytes"]) < 32 << 20


def test_memory_does_not_grow_with_the_samples():
    few, many = line("samples", 28, 20, 70), line("samples", 28, 20, 700)
    assert many["events"] > 9.5 * few["events"]
    # The results of an output population are all that stays: 10 neurons of 16 bytes a sample.
    assert many["bytes"] - few["bytes"] < 4 << 20
