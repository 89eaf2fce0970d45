"""The verb train: recipes and graphs of the user's, resumed, on integers, from a teacher; and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nir
import numpy as np
import pytest
from onnx_models import Net, save
from typer.testing import CliRunner

from snnport.cli import app
from snnport.convention import Convention
from snnport.datasets.splits import Splits
from snnport.exporters.nir import write_nir
from snnport.flow.model import open_model
from snnport.flow.train import TrainOptions, train_recipe
from snnport.graph import Graph, build, chain
from snnport.importers.nir import read_nir
from snnport.models.recipe import Fit, Option, Recipe
from snnport.nodes import AdaptiveLIF, input_node, output_node
from snnport.reference import run_spiking
from snnport.registry import RECIPES

RULE = Convention("test", dt=1e-3, membrane_gain="unit", leaky_gain="unit", reset="subtract", dtype="float32")


def network(settings: Any, seed: int) -> Graph:
    rng, n = np.random.default_rng(seed), int(settings["hidden_size"])
    one = np.ones(n)
    lif: Any = nir.LIF(0.01 * one, one, 0 * one, one, 0 * one)
    if settings["use_sfa"]:
        lif = AdaptiveLIF(0.01 * one, one, 0 * one, one, 0 * one, 0.1 * one, one)
    nodes = {
        "input": input_node((6,)),
        "fc1": nir.Affine(rng.normal(0, 1, (n, 6)), np.zeros(n)),
        "n": lif,
        "fc2": nir.Linear(rng.normal(0, 0.3, (2, n))),
        "out": nir.LI(np.full(2, 0.01), np.ones(2), np.zeros(2)),
        "output": output_node((2,)),
    }
    rule = RULE if settings["v_reset"] == "none" else RULE.having(reset="value")
    return chain(nodes, {"snnport": json.dumps({"version": 1, "coding": None, "convention": rule.to_json()})})


def data(folder: Path | None, settings: Any) -> Splits:
    rng = np.random.default_rng(1)
    x = rng.random((160, 6)).astype(np.float32)
    y = (x[:, :3].sum(1) > x[:, 3:].sum(1)).astype(np.int64)
    return Splits(x[:120], y[:120], x[120:], y[120:])


RECIPE = Recipe(
    "toy",
    "which half is greater",
    "nobody",
    "by subtraction",
    network,
    data,
    Fit(epochs=15, batch_size=20, lr=0.02, loss="cross-entropy{of=membrane,over=sum}", encoder="direct{steps=8}"),
    network={"hidden_size": 12, "use_sfa": False, "v_reset": "none"},
    options=(Option("hidden-size", int, "Neurons."), Option("v-reset", str, "Reset.", ("none", "0"))),
    must_reach=0.8,
    tiny={"epochs": 1},
)


@pytest.fixture(autouse=True)
def _recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"toy": f"{__name__}:RECIPE"}
    monkeypatch.setattr("snnport.flow.train.RECIPES", replace(RECIPES, entries=MappingProxyType(entries)))


def verb(*words: Any) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["train", *map(str, words), "--json"])
    return done.exit_code, json.loads(done.stdout)


def weights(path: Path) -> Any:
    node: Any = read_nir(path).graph.nodes["fc1"]
    return node.weight


def test_a_recipe_from_beginning_to_end(tmp_path: Path) -> None:
    path = tmp_path / "toy.nir"
    code, found = verb("toy", "-o", path, "--test-input", tmp_path / "test.npz", "--threads", 1)
    assert code == 0
    assert found["accuracy"] >= RECIPE.must_reach
    assert found["epochs"][-1]["loss"] < 0.6 * found["epochs"][0]["loss"]
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) == found
    # The file, run by the reference on the encoded test part, gives the accuracy that was told.
    read = read_nir(path)
    test = np.load(tmp_path / "test.npz")
    assert test["x"].shape == (40, 8, 6)
    assert read.convention is not None
    v = run_spiking(read.graph, test["x"], read.convention, record_v=["out"]).v["out"].sum(1)
    assert np.mean(v.argmax(1) == test["y"]) == found["accuracy"]


def test_a_quantised_file_is_judged_against_the_network_it_came_from(tmp_path: Path) -> None:
    path, coarse, test = (tmp_path / name for name in ("toy.nir", "coarse.nir", "test.npz"))
    verb("toy", "-o", path, "--test-input", test, "--threads", 1)
    refused = CliRunner().invoke(app, ["quantize", str(path), "-o", str(coarse), "--bits", "2", "--json"])
    assert re.match(r"a code is worth .* its threshold of 1 is lost", json.loads(refused.stdout)["error"]["message"])
    assert not coarse.exists()
    CliRunner().invoke(app, ["quantize", str(path), "-o", str(coarse), "--bits", "3"])
    arrays = dict(np.load(test))
    spikes = (arrays["x"] > 0.5).astype(np.uint8)
    np.savez(test, x=spikes, y=arrays["y"])

    def stages(*against: str) -> list[dict[str, Any]]:
        words = ["validate", str(coarse), *against, "--input", str(test), "--json"]
        found: list[dict[str, Any]] = json.loads(CliRunner().invoke(app, words).stdout)["stages"]
        return found

    of_source, of_itself = stages("--against", str(path)), stages()
    assert [stage["name"] for stage in of_source] == [stage["name"] for stage in of_itself] == ["float", "lowered"]
    read = read_nir(path)
    assert read.convention is not None
    v = run_spiking(read.graph, spikes, read.convention, record_v=["out"]).v["out"].sum(1)
    assert of_source[0]["accuracy"] == np.mean(v.argmax(1) == arrays["y"])
    assert of_source[1]["accuracy"] == of_itself[1]["accuracy"]
    assert of_source[1]["agreement"] < of_itself[1]["agreement"]


def test_in_pieces_the_same_file(tmp_path: Path) -> None:
    whole, pieces = tmp_path / "whole.nir", tmp_path / "pieces.nir"
    verb("toy", "-o", whole, "--epochs", 2, "--threads", 1)
    finished, rounds = False, 0
    while not finished:
        _, found = verb(
            "toy", "-o", pieces, "--epochs", 2, "--threads", 1, "--checkpoint", tmp_path / "kept", "--seconds", 1e-9
        )
        finished, rounds = found["finished"], rounds + 1
        assert pieces.is_file() == finished
    assert rounds > 3
    a, b = (weights(path) for path in (whole, pieces))
    assert np.array_equal(a, b)


def test_adaptive_neurons_leave_as_plain_nir(tmp_path: Path) -> None:
    path = tmp_path / "toy.nir"
    code, _ = verb("toy", "-o", path, "--use-sfa", "--epochs", 1)
    assert code == 0
    assert {type(node).__name__ for node in nir.read(path).nodes.values()} >= {"LI", "Threshold", "Scale"}
    other = tmp_path / "other.nir"
    code, found = verb("toy", "-o", other, "--use-sfa", "--v-reset", 0, "--epochs", 1)
    assert code == 0
    assert "another reader computes" in found["warnings"][0]
    assert isinstance(open_model(other).graph.nodes["n"], AdaptiveLIF)


def test_settings_reach_the_network_and_the_fit(tmp_path: Path) -> None:
    path = tmp_path / "toy.nir"
    words = ("--hidden-size", 5, "--readout-type", "last", "--clip-grad", 1, "--set", "tbptt=4", "--tiny", "--lr", 0.1)
    _, found = verb("toy", "-o", path, *words, "--regulariser", "rate-l1{weight=0.1}", "--train-samples", 40)
    assert found["network"]["hidden_size"] == 5
    assert found["train_samples"] == 40
    kept = {"loss": "cross-entropy{of=membrane,over=last}", "clip_grad": 1.0, "tbptt": 4, "epochs": 1, "lr": 0.1}
    assert {name: found["fit"][name] for name in kept} == kept
    assert found["fit"]["regularisers"] == ["rate-l1{weight=0.1}"]
    assert weights(path).shape == (5, 6)


def test_a_validation_part_chooses_the_epoch(tmp_path: Path) -> None:
    _, found = verb("toy", "-o", tmp_path / "a.nir", "--validation", 0.25, "--patience", 3, "--epochs", 30)
    best = max(found["epochs"], key=lambda entry: entry["accuracy"])
    assert found["best_epoch"] == best["epoch"]
    assert len(found["epochs"]) < 30 or found["best_epoch"] > 26


def graph_file(tmp_path: Path, *, integrates: bool = True) -> tuple[Path, Path]:
    """A network of the user's and samples of his: spikes (160, 8, 6) with labels."""
    neuron: Any = nir.IF(np.full(12, 1000.0), np.ones(12), np.zeros(12))
    rng = np.random.default_rng(0)
    out: Any = nir.I(np.full(2, 1000.0)) if integrates else nir.IF(np.full(2, 1000.0), np.ones(2), np.zeros(2))
    first = {"input": input_node((6,)), "fc1": nir.Linear(rng.normal(0, 0.6, (12, 6))), "n": neuron}
    nodes = {**first, "fc2": nir.Linear(rng.normal(0, 0.5, (2, 12))), "out": out, "output": output_node((2,))}
    rule = RULE.having(reset="zero", comparison=">=", dtype="float64")
    text = json.dumps({"version": 1, "coding": None, "convention": rule.to_json()})
    write_nir(build(nodes, list(zip(nodes, list(nodes)[1:], strict=False)), {"snnport": text}), tmp_path / "own.nir")
    splits = data(None, {})
    x = np.concatenate([splits.train_x, splits.test_x])
    spikes = (np.random.default_rng(2).random((160, 8, 6)) < x[:, None]).astype(np.uint8)
    np.savez(tmp_path / "own.npz", x=spikes, y=np.concatenate([splits.train_y, splits.test_y]))
    return tmp_path / "own.nir", tmp_path / "own.npz"


@pytest.mark.parametrize("integrates", [True, False])
def test_a_graph_of_the_users(tmp_path: Path, integrates: bool) -> None:
    path, samples = graph_file(tmp_path, integrates=integrates)
    words = ("--epochs", 12, "--lr", 0.02, "--batch-size", 16, "--surrogate", "arctan", "--optimiser", "adamw")
    code, found = verb(path, "-o", tmp_path / "out.nir", "--input", samples, *words)
    assert code == 0
    assert found["accuracy"] > 0.7
    assert (found["train_samples"], found["test_samples"]) == (128, 32)
    of = "membrane,over=sum" if integrates else "count"
    assert found["fit"]["loss"] == f"cross-entropy{{of={of}}}"


def test_for_the_integers_of_a_target(tmp_path: Path) -> None:
    path, samples = graph_file(tmp_path)
    words = ("--epochs", 6, "--lr", 0.02, "--requantise", 4)
    code, found = verb(path, "-o", tmp_path / "out.nir", "--input", samples, "--target", "tinyodin", *words)
    assert code == 0
    assert found["epochs"][-1]["loss"] < found["epochs"][0]["loss"]
    code, found = verb(path, "-o", tmp_path / "out.nir", "--input", samples, "--bits", 4, *words)
    assert code == 0
    code, found = verb(path, "-o", tmp_path / "out.nir", "--input", samples, "--bits", 4, "--target", "cpu")
    assert (code, found["error"]["message"]) == (1, "a target has bits of its own")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--epochs", 0), "0 is not above 0"),
        (("--hidden-size", -1), "-1 is not above 0"),
        (("--tau-m", 0.1), "tau_m"),
        (("--loss", "cross-entrpy"), "cross-entrpy"),
        (("--surrogate", "arctan{alpha=big}"), "'big' is no float"),
        (("--encoder", "direct"), "lacks one of its options"),
        (("--trainable", "nothing"), "nothing"),
        (("--readout-type", "first"), "no such readout"),
        (("--set", "epochs"), "is not NAME=VALUE"),
        (("--set", "hidden_size=many"), "'many' is no int"),
        (("--v-reset", "7"), "no such choice"),
        (("--device", "tpu"), "there is no 'tpu'"),
        (("--schedule", "cosine{warm=1}"), "warm"),
        (("--teacher", "missing.onnx"), "no such file"),
    ],
)
def test_what_is_refused(tmp_path: Path, words: tuple[Any, ...], message: str) -> None:
    code, found = verb("toy", "-o", tmp_path / "a.nir", *words)
    assert code == 1
    assert message in " ".join(str(part) for part in found["error"].values())
    assert list(tmp_path.iterdir()) == []


def test_more_that_is_refused(tmp_path: Path) -> None:
    path, samples = graph_file(tmp_path)
    code, found = verb(path, "-o", tmp_path / "a.nir")
    assert (code, found["error"]["remedy"]) == (1, "Give --input X.npz")
    np.savez(tmp_path / "bare.npz", x=np.load(samples)["x"])
    code, found = verb(path, "-o", tmp_path / "a.nir", "--input", tmp_path / "bare.npz")
    assert "no labels" in found["error"]["message"]
    code, found = verb(path, "-o", tmp_path / "a.nir", "--input", samples, "--hidden-size", 3)
    assert "hidden_size" in found["error"]["where"]
    code, found = verb("tyo", "-o", tmp_path / "a.nir")
    assert (code, found["error"]["kind"]) == (1, "UnknownName")
    assert CliRunner().invoke(app, ["train", "toy"]).exit_code == 2


def test_the_list() -> None:
    code, found = verb("--list")
    assert code == 0
    (entry,) = found["recipes"]
    assert entry["name"] == "toy"
    assert entry["network"]["hidden_size"] == 12
    shown = CliRunner().invoke(app, ["train", "--list"])
    assert "which half is greater" in " ".join(shown.stdout.split())


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> Any:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("snnport.registry.import_module", missing)
    code, found = verb("toy", "-o", tmp_path / "a.nir")
    assert code == 1
    assert "needs torch" in found["error"]["message"]
    assert "pip install 'snnport[train]'" in found["error"]["remedy"]


def test_what_a_person_sees(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "toy", "-o", str(tmp_path / "a.nir"), "--epochs", "2"])
    assert done.exit_code == 0
    assert "the recipe asks for 0.8" in " ".join(done.stdout.split())
    assert train_recipe("toy", tmp_path / "b.nir", None, TrainOptions({}, tiny=True))["finished"]


def test_of_several_processes_the_first_alone_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    done = CliRunner().invoke(app, ["train", "toy", "-o", str(tmp_path / "a.nir"), "--tiny", "--json"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_an_ann_is_tuned_as_a_spiking_network(tmp_path: Path) -> None:
    net = Net((6,))
    hidden = net.op("Relu", net.op("Gemm", "x", net.normal(6, 12), net.const(np.zeros(12))))
    path = save(net.model(net.op("Gemm", hidden, net.normal(12, 2), net.const(np.zeros(2)))), tmp_path)
    splits = data(None, {})
    np.savez(tmp_path / "x.npz", x=splits.train_x, y=splits.train_y)
    words = ("--input", tmp_path / "x.npz", "--lr", 0.02, "--epochs", 6, "--batch-size", 16)
    code, found = verb(path, "-o", tmp_path / "a.nir", *words)
    assert code == 0
    assert found["epochs"][-1]["loss"] < 0.9 * found["epochs"][0]["loss"]
    assert {type(node).__name__ for node in nir.read(tmp_path / "a.nir").nodes.values()} >= {"IF", "I"}
    code, found = verb(path, "-o", tmp_path / "a.nir", *words, "--encoder", "rows")
    assert "does not say how many steps" in found["error"]["message"]
    teaching = (*words, "--teacher", path, "--share", 0.5)
    code, found = verb(tmp_path / "a.nir", "-o", tmp_path / "b.nir", *teaching, "--encoder", "direct{steps=8}")
    assert code == 0


def test_a_file_says_how_it_is_read(tmp_path: Path) -> None:
    path, test = tmp_path / "toy.nir", tmp_path / "test.npz"
    for words in (("--readout-type", "last"), ("--loss", "coded-cross-entropy{code=inverted-one-hot,classes=2,over=max}")):
        code, found = verb("toy", "-o", path, "--test-input", test, "--epochs", 4, "--encoder", "even{steps=8}", *words)
        assert code == 0
        for target in (("--engine", "reference"), ("--target", "cpu")):
            done = CliRunner().invoke(app, ["run", str(path), "--input", str(test), *target, "--json"])
            ran = json.loads(done.stdout)
            assert "error" not in ran, ran
            assert ran["readout"] == ("last" if words[1] == "last" else "max")
            assert abs(ran["accuracy"] - found["accuracy"]) <= (0.05 if "cpu" in target else 0)
