"""A signed input enters as two populations or as messages; the report says which, and prices it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import Command
from onnx_models import Net, save

from snnport.flow.entrance import entrance_of
from snnport.graph import chain
from snnport.nodes import input_node, output_node
from snnport.report.entrance import Entrance, entrance_sentences, entrance_words


def files(tmp_path: Path, low: float) -> tuple[Path, Path]:
    net = Net((2, 5, 5))
    y = net.op("Relu", net.op("Conv", "x", net.normal(3, 2, 3, 3), net.normal(3), pads=[1] * 4))
    model = save(net.model(net.op("Gemm", net.op("Flatten", y), net.normal(75, 3))), tmp_path)
    data = tmp_path / "x.npz"
    np.savez(data, x=np.random.default_rng(0).uniform(low, 1, (12, 2, 5, 5)))
    return model, data


@pytest.mark.parametrize(
    ("code", "low", "form", "neurons"),
    [("gate", -1.0, "two populations", 100), ("graded", -1.0, "messages", 50), ("gate", 0.0, "one population", 50)],
)
def test_convert_says_how_the_input_enters(
    snnport: Command, tmp_path: Path, code: str, low: float, form: str, neurons: int
) -> None:
    model, data = files(tmp_path, low)
    args = ["convert", str(model), "-o", str(tmp_path / "n.nir"), "--calibration", str(data), "--code", code]
    told = snnport(*args, "--json").data["input"]
    assert (told["signed"], told["form"], told["neurons"]) == (low < 0, form, neurons)
    words = " ".join(snnport(*args).out.split())
    assert ("The input is signed: it enters as" in words) == (low < 0)


@pytest.mark.parametrize("code", ["gate", "graded"])
def test_the_report_prices_a_signed_input(snnport: Command, tmp_path: Path, code: str) -> None:
    model, data = files(tmp_path, -1.0)
    args = ["port", str(model), "--target", "cpu", "--input", str(data), "-o", str(tmp_path / "out"), "--code", code]
    assert snnport(*args).code == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    price = report["entrance"]["prices"]["cpu"]
    run = report["targets"][0]["run"]
    assert 0 < price["operations"] < price["of_all"] == sum(run["synaptic_operations"].values())
    assert price["operations"] in run["synaptic_operations"].values()
    priced = [t for t in run["energy"][0]["terms"].values() if t["count"] == price["of_all"]]
    assert price["energy_j"] == pytest.approx(priced[0]["mid_j"] * price["operations"] / price["of_all"])
    lines = [line for line in report["next_steps"] if "The input is signed: it enters as" in line]
    assert len(lines) == 1
    assert "of all synaptic operations" in lines[0]


def test_nothing_is_said_of_what_was_not_converted_or_is_not_signed() -> None:
    assert entrance_of(chain({"input": input_node((2,)), "output": output_node()})) is None
    plain = Entrance(False, "one population", 1, 16)
    assert not list(entrance_sentences(plain, 3))
    words = "The input is never negative on these samples: it enters as one population, 1 neuron of 16 levels."
    assert entrance_words(plain) == words
