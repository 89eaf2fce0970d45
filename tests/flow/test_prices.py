"""Energy in a run: several models side by side, a model of one's own, the ANN beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command

from snnport.sim.price_file import SHIPPED
from snnport.sim.sanafe_arch import load_architecture


def test_a_run_lists_models_what_ifs_and_baselines(snnport: Command, converted: Path) -> None:
    found = snnport("run", converted / "digits.nir", "--input", converted / "digits_test.npz", "--scale", 16, "--json").data
    names = [energy["model"] for energy in found["energy"]]
    assert len(set(names)) == len(names) >= 4
    assert {energy["what_if"] for energy in found["energy"]} == {True, False}
    for energy in found["energy"]:
        assert energy["low_j"] <= energy["mid_j"] <= energy["high_j"]
        assert energy["provenance"]
    assert found["baselines"]
    assert {ann["name"] for ann in found["baselines"][0]["anns"]} == {"bit-matched ANN", "int8 ANN"}


def test_a_model_of_ones_own_is_priced_beside_the_shipped_ones(snnport: Command, converted: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    shipped = next(iter(sorted(SHIPPED.glob("cpu_45nm.toml")))).read_text(encoding="utf-8")
    own.write_text(shipped.replace('name = "digital 45 nm"', 'name = "mine"', 1), encoding="utf-8")
    common = ["run", converted / "digits.nir", "--input", converted / "digits_test.npz", "--scale", 16]
    found = snnport(*common, "--price", own, "--json").data
    energy = {e["model"]: e for e in found["energy"]}
    assert energy["mine"]["mid_j"] == energy["digital 45 nm"]["mid_j"]
    own.write_text("prices = 3")
    refused = snnport(*common, "--price", own)
    assert refused.code == 1
    assert "own.toml" in refused.err


def test_a_sanafe_architecture_is_a_target(snnport: Command, converted: Path) -> None:
    """The chip of tests/golden/sanafe/odd.yaml: its cores, its mesh, its energies and no other's."""
    odd = Path(__file__).parents[1] / "golden" / "sanafe" / "odd.yaml"
    common = ["run", converted / "digits.nir", "--input", converted / "digits_test.npz", "--scale", 16, "--json"]
    found = snnport(*common, "--target", odd)
    assert found.code == 0, found.out
    (energy,) = found.data["energy"]
    assert energy["model"] == "SANA-FE: odd"
    assert (found.data["target"], found.data["cycles"]) == ("odd", None)
    convolutions = energy["terms"]["convolution synapses"]
    assert convolutions["count"] > 0
    prices = load_architecture(odd)
    assert convolutions["mid_j"] == pytest.approx(convolutions["count"] * prices.synapses["conv"], rel=1e-12)
    assert energy["terms"]["hops east and west"]["count"] is not None
    assert found.data["spikes"] == snnport(*common).data["spikes"]
