"""The reference engine from the command line: a recurrent network of another framework, in every order of axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from command import Command
from spiking import said

from snnport.convention import PLAIN
from snnport.datasets import load_samples
from snnport.errors import InvalidInput
from snnport.exporters.nir import write_nir
from snnport.flow.outcome import RunOptions
from snnport.flow.run import run_reference
from snnport.graph import Graph, build
from snnport.nodes import input_node, output_node
from snnport.reference import run_spiking
from snnport.trace import Trace

GOLDEN = Path(__file__).parents[1] / "golden" / "nir"
BRAILLE = GOLDEN / "braille_noDelay_bias_zero.nir"


@pytest.fixture
def sample() -> dict[str, Any]:
    with np.load(GOLDEN / "braille_sample.npz") as file:
        return dict(file)


@pytest.mark.parametrize(("layout", "axes"), [("ntc", (0, 1, 2)), ("tnc", (1, 0, 2)), ("nct", (0, 2, 1))])
def test_every_layout_gives_the_recorded_spikes(
    snnport: Command, tmp_path: Path, sample: dict[str, Any], layout: str, axes: Any
) -> None:
    x = np.stack([sample["x"]] * 2)
    np.savez(tmp_path / "x.npz", x=x.transpose(axes), y=np.full(2, sample["y"]))
    args = ["--input", str(tmp_path / "x.npz"), "--layout", layout, "--engine", "reference", "--json"]
    found = snnport(
        "run", str(BRAILLE), *args, "--dialect", "snntorch", "--reset", "zero",
        "--record", "spikes:lif1.lif", "-o", str(tmp_path / "trace.npz"),
    )  # fmt: skip
    outcome = found.data
    assert (outcome["accuracy"], outcome["steps"], outcome["engine"]) == (1.0, 256, "reference")
    with np.load(tmp_path / "trace.npz") as trace:
        assert np.array_equal(trace["spikes/lif1.lif"][1], sample["snntorch"])


def test_what_a_file_leaves_open_is_asked_for_before_anything_runs(
    snnport: Command, tmp_path: Path, sample: dict[str, Any]
) -> None:
    np.savez(tmp_path / "x.npz", x=sample["x"][None])
    found = snnport("run", str(BRAILLE), "--input", str(tmp_path / "x.npz"), "--engine", "reference", "--json")
    assert found.code == 1
    assert "--reset zero|subtract" in found.data["error"]["message"]


def test_a_reset_in_the_next_step_is_another_network(snnport: Command, tmp_path: Path, sample: dict[str, Any]) -> None:
    np.savez(tmp_path / "x.npz", x=sample["x"][None])
    runs = []
    for delay in ("0", "1"):
        args = [
            "--input",
            str(tmp_path / "x.npz"),
            "--engine",
            "reference",
            "--reset",
            "zero",
            "--reset-delay",
            delay,
            "--json",
        ]
        runs.append(snnport("run", str(BRAILLE), *args).data["spikes"])
    assert runs[0] != runs[1]


def test_inspect_says_what_the_neurons_do(snnport: Command) -> None:
    found = snnport("inspect", str(BRAILLE), "--reset", "zero", "--json").data
    assert (found["dialect"], found["convention"]["reset"], found["convention"]["dtype"]) == ("snntorch", "zero", "float32")
    assert snnport("inspect", str(BRAILLE), "--json").data["convention"] is None


def fan_in() -> Graph:
    """Two populations that add in the Output."""
    nodes = {
        "input": input_node((2,)),
        "a": nir.IF(np.ones(2), np.full(2, 0.5), np.zeros(2)),
        "b": nir.IF(np.ones(2), np.full(2, 1.5), np.zeros(2)),
        "output": output_node((2,)),
    }
    edges = [("input", "a"), ("input", "b"), ("a", "output"), ("b", "output")]
    return build(nodes, edges, said(PLAIN.having(dt=1.0)))


def test_an_output_that_adds_two_populations(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.array([[[1, 0], [1, 1], [1, 1]]], np.uint8))
    samples = load_samples(tmp_path / "x.npz", None, (2,))
    outcome = run_reference(fan_in(), samples)
    assert (outcome.readout, outcome.scores.tolist()) == ("sum", [[4.0, 3.0]])
    with pytest.raises(InvalidInput, match="--record output: there is no such population"):
        run_reference(fan_in(), samples, RunOptions(record_spikes=("output",)))


# ------------------------------------------------------------------------------------------- several inputs, real currents


def two_inputs() -> Graph:
    lif = nir.LIF(np.full(2, 0.5), np.ones(2), np.zeros(2), np.ones(2), np.zeros(2))
    nodes = {
        "left": input_node((3,)), "right": input_node((2,)), "w": nir.Linear(np.ones((2, 3))), "u": nir.Linear(np.eye(2) / 2),
        "lif": lif, "sum": nir.I(np.ones(2)), "spikes": output_node((2,)), "sums": output_node((2,)),
    }  # fmt: skip
    edges = [("left", "w"), ("right", "u"), ("w", "lif"), ("u", "lif"), ("lif", "spikes"), ("u", "sum"), ("sum", "sums")]
    return build(nodes, edges)


def test_several_inputs_and_outputs_from_one_file(snnport: Command, tmp_path: Path) -> None:
    write_nir(two_inputs(), tmp_path / "net.nir")
    rng = np.random.default_rng(2)
    left, right = rng.integers(0, 2, (2, 40, 3)), rng.normal(0, 2, (2, 40, 2))
    np.savez(tmp_path / "x.npz", **{"x/left": left, "x/right": right})
    options = ["--dialect", "nir", "--dt", "0.25", "--reset", "zero", "--engine", "reference", "--json"]
    out = tmp_path / "trace.h5"
    found = snnport("run", tmp_path / "net.nir", "--input", tmp_path / "x.npz", "-o", out, *options, "--record", "v:sum")
    assert found.code == 0, found.out
    expected = run_spiking(two_inputs(), {"left": left, "right": right}, PLAIN.having(dt=0.25, reset="zero"), record_v=["sum"])
    trace = Trace.load(out)
    assert expected.spikes["lif"].any()
    np.testing.assert_array_equal(trace.spikes["lif"], expected.spikes["lif"])
    np.testing.assert_array_equal(trace.v["sum"], expected.v["sum"])
    nodes: Any = nir.read_data(str(out)).nodes
    assert nodes["lif"].observables["spikes"].dt == 0.25
    again = snnport("run", tmp_path / "net.nir", "--input", tmp_path / "x.npz", "--expect", out, *options)
    assert again.code == 0
    assert again.data["comparison"]["equal"] is True


def test_inspect_shows_the_canonical_form(snnport: Command, tmp_path: Path) -> None:
    changes = snnport("inspect", BRAILLE, "--reset", "zero", "--reset-delay", "0", "--json").data["canonical"]
    found = {(c["node"], c["field"]): (c["file"], c["canonical"]) for c in changes}
    assert found["lif1.lif", "r"] == ("10", "1")
    assert found["lif1.w_rec", "edge to lif1.lif"] == ("a loop", "arrives 1 step later")
    assert snnport("inspect", BRAILLE, "--json").data["canonical"] == []
