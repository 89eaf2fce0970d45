"""Every verb on the shipped network, against the contract of the command line."""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest
from command import Command

from snnport.exporters.nir import write_nir
from snnport.graph import chain
from snnport.nodes import input_node, output_node
from snnport.trace import Trace

TARGETS = ("cpu", "loihi2", "speck2f")


def test_inspect_shows_nodes_and_edges(snnport: Command, converted: Path) -> None:
    found = snnport("inspect", converted / "digits.onnx", "--json").data
    assert found["format"] == "onnx"
    assert [n["name"] for n in found["nodes"] if n["type"] == "Input"] == ["input"]
    assert found["nodes"][0]["shape"] == [1, 8, 8]
    assert all(len(edge) == 2 for edge in found["edges"])
    spiking = snnport("inspect", converted / "digits.nir", "--json").data
    assert (spiking["format"], spiking["dialect"], spiking["code"]) == ("nir", "snnport", "gate")
    assert spiking["ambiguous"] == []


def test_convert_writes_the_ledger_of_every_source_node(snnport: Command, converted: Path, tmp_path: Path) -> None:
    out, ledger = tmp_path / "a.nir", tmp_path / "ledger.json"
    answer = snnport("convert", converted / "digits.onnx", "-o", out, "--scale", 16, "--ledger", ledger, "--json")
    assert answer.code == 0
    assert "uniform" in answer.data["calibration"]
    sources = {n["node"] for n in snnport("inspect", converted / "digits.onnx", "--json").data["ledger"]}
    entries = json.loads(ledger.read_text())
    assert {entry["node"] for entry in entries} == sources
    assert all(entry["final"] or any(s["fate"] == "dropped" for s in entry["steps"]) for entry in entries)
    assert any("plain NIR" in warning for warning in answer.data["warnings"])


@pytest.mark.parametrize("file", ["digits.onnx", "digits.nir"])
def test_validate_is_exact_and_close_to_the_float_network(snnport: Command, converted: Path, file: str) -> None:
    arguments = ["validate", converted / file, "--input", converted / "digits_test.npz", "--scale", 16, "--json"]
    arguments += ["--against", converted / "digits.onnx", "--calibration", converted / "digits_calibration.npz"]
    answer = snnport(*arguments)
    assert answer.code == 0
    stages = {stage["name"]: stage for stage in answer.data["stages"]}
    assert (next(iter(stages)), list(stages)[-1]) == ("float", "lowered")
    assert answer.data["logits_equal"] is True
    assert answer.data["logit_mismatches"] == 0
    assert answer.data["first_divergence"] is None
    assert stages["lowered"]["accuracy"] >= stages["float"]["accuracy"] - 0.01
    assert stages["lowered"]["agreement"] >= 0.98
    assert stages["lowered"]["accuracy"] == stages["quantised weights"]["accuracy"]


def test_run_reports_exact_counts_cycles_and_energy(snnport: Command, converted: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.npz"
    arguments = ["run", converted / "digits.nir", "--input", converted / "digits_test.npz", "--scale", 16]
    answer = snnport(*arguments, "--record", "spikes,v:readout", "-o", trace, "--json")
    assert answer.code == 0
    found = answer.data
    y = np.load(converted / "digits_test.npz")["y"]
    assert found["samples"] == len(found["predictions"]) == len(y)
    assert found["correct"] == int((np.array(found["predictions"]) == y).sum())
    assert found["accuracy"] == found["correct"] / found["samples"]
    recorded = Trace.load(trace)
    for population, spikes in recorded.spikes.items():
        assert found["spikes"][population] == int(spikes.sum(dtype=np.int64))
    logits = recorded.v["readout"][:, -1]
    assert np.array_equal(logits.argmax(axis=1), found["predictions"])
    assert found["cycles"] > found["samples"] * found["steps"]
    assert found["neuron_updates"] % (found["samples"] * found["steps"]) == 0
    (energy, *_) = found["energy"]
    assert 0 < energy["low_j"] <= energy["mid_j"] <= energy["high_j"]
    assert energy["mid_j"] == pytest.approx(sum(term["mid_j"] for term in energy["terms"].values()), rel=1e-12)


def test_the_reference_engine_gives_the_same_trace(snnport: Command, converted: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.npz"
    with np.load(converted / "digits_test.npz") as data:
        np.savez(few, x=data["x"][:24], y=data["y"][:24])
    common = ["run", converted / "digits.nir", "--input", few, "--scale", 16, "--record", "spikes,v:readout"]
    assert snnport(*common, "-o", tmp_path / "a.npz").code == 0
    assert snnport(*common, "-o", tmp_path / "b.npz", "--engine", "reference").code == 0
    a, b = Trace.load(tmp_path / "a.npz"), Trace.load(tmp_path / "b.npz")
    for name in b.spikes:
        assert np.array_equal(a.spikes[name], b.spikes[name]), name
    assert np.array_equal(a.v["readout"], b.v["readout"])
    answer = snnport(*common, "--expect", tmp_path / "b.npz", "--json")
    assert answer.code == 0
    assert answer.data["comparison"]["equal"] is True


def test_expect_finds_a_planted_spike_and_names_its_place(snnport: Command, converted: Path, tmp_path: Path) -> None:
    common = ["run", converted / "digits.nir", "--input", converted / "digits_test.npz", "--scale", 16]
    assert snnport(*common, "--record", "spikes:Relu_2", "-o", tmp_path / "a.npz").code == 0
    trace = Trace.load(tmp_path / "a.npz")
    spikes = trace.spikes["Relu_2"].copy()
    spikes[3, 17, 5] ^= 1
    Trace({"Relu_2": spikes}).save(tmp_path / "planted.npz")
    answer = snnport(*common, "--expect", tmp_path / "planted.npz", "--json")
    assert answer.code == 1
    first = answer.data["comparison"]["first"]
    assert (first["population"], first["sample"], first["step"], first["neuron"]) == ("Relu_2", 3, 17, 5)


def test_compare_finds_a_delay(snnport: Command, tmp_path: Path) -> None:
    spikes = (np.random.default_rng(0).random((2, 20, 5)) < 0.3).astype(np.uint8)
    spikes[:, -1] = 0
    Trace({"a": spikes}).save(tmp_path / "a.npz")
    Trace({"a": np.roll(spikes, 1, axis=1)}).save(tmp_path / "b.npz")
    assert snnport("compare", tmp_path / "a.npz", tmp_path / "a.npz").code == 0
    answer = snnport("compare", tmp_path / "a.npz", tmp_path / "b.npz", "--json")
    assert answer.code == 1
    assert answer.data["first"]["cause"] == "delay"
    assert answer.data["spikes_compared"] == int(spikes.sum())


@pytest.mark.parametrize("target", TARGETS)
def test_check_decides_by_violations(snnport: Command, converted: Path, target: str) -> None:
    answer = snnport("check", converted / "digits.nir", "--target", target, "--json")
    found = answer.data
    assert found["target"] == target
    assert answer.code == (0 if found["fits"] else 1)
    assert found["fits"] == (not found["violations"])
    for item in (*found["violations"], *found["warnings"]):
        assert set(item) == {"rule", "where", "message", "remedy"}


def test_the_gate_code_becomes_a_ramp_where_neurons_go_back_to_zero(snnport: Command, converted: Path) -> None:
    arguments = ["--target", "loihi2", "--input", converted / "digits_test.npz", "--scale", 16, "--json"]
    found = snnport("validate", converted / "digits.nir", *arguments).data
    assert (found["logits_equal"], found["logit_mismatches"]) == (True, 0)
    ran = snnport("run", converted / "digits.nir", *arguments).data
    assert any(done.startswith("ramp{") for done in ran["done"])
    assert ran["accuracy"] == found["stages"][-1]["accuracy"]


def test_the_gate_code_is_refused_where_there_are_no_steps(snnport: Command, converted: Path) -> None:
    found = snnport("check", converted / "digits.nir", "--target", "speck2f", "--json").data
    assert "rate" in {v["rule"]: v["remedy"] for v in found["violations"]}["time-base"]


def test_a_lowered_program_runs_like_its_network(snnport: Command, converted: Path, tmp_path: Path) -> None:
    program = tmp_path / "digits.cpu.npz"
    lowered = snnport("lower", converted / "digits.nir", "--target", "cpu", "-o", program, "--json")
    assert lowered.code == 0
    assert lowered.data["cores"] >= 1
    runs = [
        snnport("run", file, "--input", converted / "digits_test.npz", "--scale", 16, "--json").data
        for file in (converted / "digits.nir", program)
    ]
    for key in ("predictions", "spikes", "synaptic_operations", "cycles", "neuron_updates", "accuracy"):
        assert runs[0][key] == runs[1][key]
    assert snnport("check", program, "--target", "cpu").code == 0
    assert snnport("check", program, "--target", "loihi2").code == 1


def test_port_judges_every_target_and_writes_the_report(snnport: Command, converted: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    arguments = ["port", converted / "digits.onnx", "--target", ",".join(TARGETS), "--scale", 16, "-o", tmp_path / "out"]
    arguments += ["--input", converted / "digits_test.npz", "--report", page, "--json"]
    answer = snnport(*arguments)
    assert answer.code == 0
    report = answer.data
    assert report["schema"] == 1
    assert [t["target"] for t in report["targets"]] == list(TARGETS)
    assert report["logits_equal"] is True
    written = {Path(f).name for f in report["files"]}
    assert {"report.json", "report.md", "report.html", "digits.nir", "digits.cpu.npz", "page.html"} <= written
    assert all(Path(f).stat().st_size for f in report["files"])
    assert json.loads((tmp_path / "out" / "report.json").read_text())["logits_equal"] is True
    assert (tmp_path / "out" / "report.html").read_bytes() == page.read_bytes()
    same = snnport("compare", tmp_path / "out" / "report.json", tmp_path / "out" / "report.json", "--json")
    assert same.data == {"schema": 1, "equal": True, "changes": []}


def test_one_target_that_does_not_fit_is_a_failure(snnport: Command, converted: Path, tmp_path: Path) -> None:
    arguments = ["port", converted / "digits.onnx", "--target", "speck2f", "--scale", 16, "-o", tmp_path]
    assert snnport(*arguments, "--input", converted / "digits_test.npz").code == 1


def test_targets_lists_numbers_with_their_sources(snnport: Command) -> None:
    assert {t["name"] for t in snnport("targets", "--json").data["targets"]} >= set(TARGETS)
    for name in TARGETS:
        card = snnport("targets", name, "--json").data
        assert card["rules"]
        assert all(number["source"] and number["confidence"] for number in card["numbers"].values())


def test_doctor_finds_the_core(snnport: Command) -> None:
    answer = snnport("doctor", "--json")
    assert answer.code == 0
    parts = {part["name"]: part for part in answer.data["parts"]}
    assert parts["numpy"]["version"] == np.__version__


def test_a_chip_of_ones_own_is_checked_by_its_numbers(snnport: Command, converted: Path, tmp_path: Path) -> None:
    chip = tmp_path / "tiny.toml"
    numbers = "[numbers.cores]\nvalue = 1\n[numbers.neurons_per_core]\nvalue = 100\n"
    chip.write_text(f'target = "cpu"\nname = "tiny"\nextends = "cpu"\n{numbers}')
    answer = snnport("check", converted / "digits.nir", "--target", chip, "--json")
    assert answer.code == 1
    assert answer.data["target"] == "tiny"
    assert any("100" in v["message"] for v in answer.data["violations"])


def test_version_and_usage(snnport: Command) -> None:
    assert snnport("--version").out.startswith("snnport 0.")
    assert snnport("run").code == 2
    assert snnport("nonsense").code == 2
    assert snnport().code in (0, 2)


GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "tinyodin"


def test_recorded_runs_are_replayed_in_every_field(snnport: Command) -> None:
    cases = sorted(GOLDEN.glob("*.npz"))[:6]
    answer = snnport("run", "--target", "tinyodin", "--recorded", *cases, "--json")
    assert answer.code == 0
    assert answer.data["equal"] is True
    assert [case["file"] for case in answer.data["cases"]] == [str(case) for case in cases]
    assert all(case["differences"] == [] for case in answer.data["cases"])


def test_a_changed_record_is_found_by_field(snnport: Command, tmp_path: Path) -> None:
    case = sorted(GOLDEN.glob("*.npz"))[0]
    with np.load(case) as data:
        arrays = dict(data)
    arrays["out_v_final"] = arrays["out_v_final"].copy()
    arrays["out_v_final"][7] += 1
    np.savez(tmp_path / "changed.npz", **arrays)
    answer = snnport("run", "--target", "tinyodin", "--recorded", case, tmp_path / "changed.npz", "--json")
    assert answer.code == 1
    assert [len(c["differences"]) for c in answer.data["cases"]] == [0, 1]
    assert answer.data["cases"][1]["differences"][0]["field"] == "out_v_final"
    assert snnport("run", case, "--target", "tinyodin").code == 2


def test_export_writes_what_a_chip_loads_or_refuses(snnport: Command, converted: Path, tmp_path: Path) -> None:
    net = {
        "input": input_node((4,)),
        "w": nir.Linear(np.array([[0.5, -0.25, 0.5, 0.125], [0.25, 0.5, -0.5, 0.5]])),
        "n": nir.IF(np.ones(2), np.ones(2)),
        "output": output_node(),
    }
    write_nir(chain(net), tmp_path / "small.nir")
    np.savez(tmp_path / "spikes.npz", x=np.ones((2, 6, 4), np.uint8))
    meant = [
        "--target",
        "tinyodin",
        "--dialect",
        "nir",
        "--dt",
        1,
        "--reset",
        "zero",
        "--input",
        tmp_path / "spikes.npz",
        "--json",
    ]
    answer = snnport("export", tmp_path / "small.nir", "-o", tmp_path / "images", *meant)
    assert answer.code == 0, answer.out
    assert {Path(f).name for f in answer.data["files"]} >= {"neurons.hex", "synapses.hex", "registers.hex", "events.bin"}
    ran = snnport("run", tmp_path / "small.nir", *meant)
    assert ran.code == 0, ran.out
    assert ran.data["spikes"]["n"] > 0
    assert ran.data["cycles"] > 0
    refused = snnport("export", converted / "digits.nir", "--target", "cpu", "-o", tmp_path / "x")
    assert refused.code == 1
    assert "no tool of this chip's maker" in refused.err
    copy = snnport("export", converted / "digits.nir", "--format", "nir", "-o", tmp_path / "copy.nir")
    assert copy.code == 0
    assert snnport("export", converted / "digits.nir", "-o", tmp_path / "x").code == 1
