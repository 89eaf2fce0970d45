"""Loihi from the command line: a recorded trace of the chip, a trained network, and where its integers come from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import Command

GOLDEN = Path(__file__).parents[1] / "golden" / "nir"
BRAILLE = (GOLDEN / "braille_noDelay_bias_zero.nir", "--dialect", "snntorch", "--reset", "zero")


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Path]:
    """The input of the recording, and the recording as its authors wrote it."""
    with np.load(GOLDEN / "lif_traces.npz") as file:
        table = file["lava_loihi_fixed"]
    np.savez(tmp_path / "in.npz", x=table[None, :, :1].astype(np.uint8))
    np.savetxt(tmp_path / "recorded.csv", table, delimiter=",")
    return tmp_path / "in.npz", tmp_path / "recorded.csv"


@pytest.mark.parametrize(("delay", "code"), [(["--delay", 1], 0), ([], 0), (["--delay", 2], 1)])
def test_the_trace_of_a_real_loihi_2(snnport: Command, recorded: tuple[Path, Path], delay: list[object], code: int) -> None:
    given, wanted = recorded
    arguments = (GOLDEN / "lif_norse.nir", "--dialect", "lava-fixed", "--target", "loihi2", "--input", given)
    answer = snnport("run", *arguments, "--expect", wanted, *delay, "--json")
    assert answer.code == code
    found = json.loads(answer.out)
    assert found["comparison"]["equal"] is (code == 0)
    assert found["done"] == [
        "lava-scaling",
        "4 potentials of --expect are what the probe reads in the step of a spike; the state is 0",
    ]


def test_a_file_that_leaves_its_step_open_is_refused_with_the_way_out(snnport: Command, recorded: tuple[Path, Path]) -> None:
    answer = snnport("run", GOLDEN / "lif_norse.nir", "--target", "loihi2", "--input", recorded[0])
    assert answer.code == 1
    assert "--dialect lava-fixed" in answer.err


def test_a_potential_that_differs_is_not_taken_for_the_probe(snnport: Command, recorded: tuple[Path, Path]) -> None:
    given, wanted = recorded
    table = np.loadtxt(wanted, delimiter=",")
    table[np.flatnonzero(table[:, 2])[0], 1] = 127
    np.savetxt(wanted, table, delimiter=",")
    arguments = (GOLDEN / "lif_norse.nir", "--dialect", "lava-fixed", "--target", "loihi2", "--input", given)
    answer = snnport("run", *arguments, "--expect", wanted, "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["comparison"]["first"]["expected"] == 127


def test_a_trained_network_beside_its_real_numbers(snnport: Command, tmp_path: Path) -> None:
    with np.load(GOLDEN / "braille_sample.npz") as sample:
        np.savez(tmp_path / "x.npz", x=sample["x"][None].astype(np.uint8), y=np.array([int(sample["y"])]))
    answer = snnport("validate", *BRAILLE, "--target", "loihi1", "--input", tmp_path / "x.npz", "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert [(s["name"], s["accuracy"], s["agreement"]) for s in found["stages"]] == [("float", 1.0, 1.0), ("lowered", 1.0, 1.0)]
    assert found["done"][0] == "calibrated on the first 1 samples of the input, without labels"
    assert found["done"][1].startswith("quantize-planes{bits=8,")


def test_a_program_tells_where_its_integers_come_from(snnport: Command, tmp_path: Path) -> None:
    assert snnport("lower", *BRAILLE, "--target", "loihi2", "-o", tmp_path / "p.npz").code == 0
    told = json.loads(snnport("inspect", tmp_path / "p.npz", "--json").out)["derivation"]
    assert told[0] == (
        "lif1.lif: du = 1842 (rint(4096 * 0.45) - 1), dv = 410 (rint(4096 * 0.1)), vth = 128 (v_threshold / q, q = 0.0078125)"
    )
    assert len(told) == 12
    assert "lif1.w_rec-3: codes -214..0, each worth 8 q = 0.0625 of what one spike adds to lif1.lif; 1 steps" in told
