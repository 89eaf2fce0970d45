"""Networks read from netx files run as in lava-dl: recorded, with the layers of lava-dl's own test network among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from netx_files import random_file
from netx_runs import drawn, program_of, spikes_of

GOLDEN = Path(__file__).parents[1] / "golden" / "netx"
RECORDED = np.load(GOLDEN / "random.npz")
SEEDS = sorted({int(key.split("/")[0]) for key in RECORDED.files})


@pytest.mark.parametrize("seed", SEEDS)
def test_every_layer_sends_what_it_sends_in_lava(tmp_path: Path, seed: int) -> None:
    x, _, reset = random_file(tmp_path / "n.net", seed)
    assert drawn(tmp_path / "n.net", x) == RECORDED[f"{seed}/drawn"], "numpy draws another network: record again"
    found = spikes_of(program_of(tmp_path / "n.net", reset), x)
    for number, spikes in enumerate(found.values()):
        wanted = np.unpackbits(RECORDED[f"{seed}/layer{number}"])[: spikes.size].reshape(spikes.shape)
        np.testing.assert_array_equal(spikes, wanted, f"block {number}")


def test_the_recorded_runs_are_lively() -> None:
    active = [np.unpackbits(RECORDED[key]).any() for key in RECORDED.files if "layer" in key]
    assert np.mean(active) > 0.7


def test_the_recorded_layers_of_lava_dls_own_network() -> None:
    recorded = np.load(GOLDEN / "tiny.npz")
    x = np.repeat(recorded["bias"].reshape(1, -1), 17, axis=0)
    found = spikes_of(program_of(GOLDEN / "tiny.net", 17), x)
    # The recording counts its steps from a step before the input layer; layer i of it is late by i - 1.
    np.testing.assert_array_equal(found["layer0"][:15], recorded["input"][1:])
    np.testing.assert_array_equal(found["layer1"][1:16], recorded["layer1"][1:])
    np.testing.assert_array_equal(found["layer2"][2:17], recorded["output"][1:])
    assert recorded["layer1"].sum() == 1633
