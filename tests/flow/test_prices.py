"""Energy in a run: several models side by side, a model of one's own, the ANN beside it."""

from __future__ import annotations

from pathlib import Path

from command import Command

from snnport.sim.price_file import SHIPPED


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
