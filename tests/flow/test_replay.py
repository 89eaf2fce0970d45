"""A report computed again, reports compared, and several chips at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import Command

from snnport.chip import Chip
from snnport.errors import InvalidInput, PassFailed
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import open_model
from snnport.flow.port import port
from snnport.flow.prepare import InputOptions
from snnport.flow.replay import replay
from snnport.graph import Graph
from snnport.passes.base import Pass
from snnport.report.changes import changes, flat, lines
from snnport.targets.base import resolve_target


@pytest.fixture(scope="module")
def ported(tmp_path_factory: pytest.TempPathFactory, converted: Path) -> Path:
    """A folder with the shipped network, 20 samples, and the report of porting it to two chips."""
    from typer.testing import CliRunner

    from snnport.cli import app

    folder = tmp_path_factory.mktemp("ported")
    data = np.load(converted / "digits_test.npz")
    np.savez(folder / "x.npz", x=data["x"][:20], y=data["y"][:20])
    (folder / "digits.onnx").write_bytes((converted / "digits.onnx").read_bytes())
    line = ["port", folder / "digits.onnx", "--input", folder / "x.npz", "--scale", 16, "--levels", 8, "-o", folder / "out"]
    result = CliRunner().invoke(app, [str(a) for a in [*line, "--target", "cpu,speck2f"]])
    assert result.exit_code == 0, result.output
    return folder


def test_a_replay_gives_the_same_numbers(snnport: Command, ported: Path) -> None:
    answer = snnport("port", "--replay", ported / "out" / "report.json", "--json")
    assert answer.data == {"schema": 1, "equal": True, "changes": [], "notes": []}
    assert answer.code == 0
    assert "every number is the recorded one" in snnport("port", "--replay", ported / "out" / "report.json").out


def test_the_report_says_what_it_rests_on(ported: Path) -> None:
    report = json.loads((ported / "out" / "report.json").read_text())
    assert {"chip cpu", "chip speck2f", "cpu_45nm.toml"} <= set(report["cost_models"])
    assert all(len(sha) == 64 for sha in report["cost_models"].values())
    assert report["seeds"] == {}
    assert report["invocation"]["targets"] == ["cpu", "speck2f"]
    assert report["invocation"]["inputs"]["scale"] == 16
    assert report["options"]["levels"] == 8
    assert set(report["versions"]) == {"snnport", "numpy", "nir", "numba", "python"}


def test_the_report_holds_a_raster_and_the_agreement_with_the_reference(ported: Path) -> None:
    targets = {t["target"]: t for t in json.loads((ported / "out" / "report.json").read_text())["targets"]}
    cpu = targets["cpu"]
    dots = {d["population"]: d for d in cpu["raster"]["dots"]}
    assert sum(len(d["step"]) for d in dots.values()) > 100
    assert all(len(d["step"]) == len(d["neuron"]) and max(d["neuron"], default=0) < d["neurons"] for d in dots.values())
    assert cpu["agreement"]["parting"] is None
    assert cpu["agreement"]["spikes"] > 100
    assert cpu["agreement"]["why_not"] == ""
    assert targets["speck2f"]["raster"] is None


def test_a_changed_number_is_named(snnport: Command, ported: Path, tmp_path: Path) -> None:
    report = json.loads((ported / "out" / "report.json").read_text())
    report["targets"][0]["run"]["correct"] += 1
    report["versions"]["numpy"] = "0"
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    answer = snnport("port", "--replay", path, "--json")
    assert answer.code == 1
    assert [c["entry"] for c in answer.data["changes"]] == ["targets[cpu].run.correct"]
    assert [c["entry"] for c in answer.data["notes"]] == ["versions.numpy"]
    shown = snnport("port", "--replay", path)
    assert "versions.numpy was 0" in shown.out
    assert "1 entry changed" in shown.out


def test_other_bytes_are_named_and_nothing_is_computed(snnport: Command, ported: Path, tmp_path: Path) -> None:
    data = np.load(ported / "x.npz")
    np.savez(tmp_path / "x.npz", x=data["x"][::-1], y=data["y"][::-1])
    found = replay(ported / "out" / "report.json", input_=tmp_path / "x.npz")
    assert found.again is None
    assert [c.entry for c in found.changed] == ["sha256 of x.npz"]
    answer = snnport("port", "--replay", ported / "out" / "report.json", "--input", tmp_path / "x.npz")
    assert answer.code == 1


def test_files_are_found_beside_the_report(ported: Path, tmp_path: Path) -> None:
    report = json.loads((ported / "out" / "report.json").read_text())
    report["invocation"] |= {"file": "gone/digits.onnx", "input": "gone/x.npz"}
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(InvalidInput, match="no such file here or beside the report"):
        replay(tmp_path / "report.json")
    for name in ("digits.onnx", "x.npz"):
        (tmp_path / name).write_bytes((ported / name).read_bytes())
    assert [c.entry for c in replay(tmp_path / "report.json").changed] == ["invocation.file", "invocation.input"][:0]


def test_what_is_no_report_is_refused(snnport: Command, ported: Path, tmp_path: Path) -> None:
    def said(content: str) -> str:
        (tmp_path / "r.json").write_text(content)
        answer = snnport("port", "--replay", tmp_path / "r.json", "--json")
        assert answer.code == 1
        return str(answer.data["error"]["message"])

    assert "it is no JSON document" in said("{")
    assert "it is no report of schema 1" in said("{}")
    report = json.loads((ported / "out" / "report.json").read_text())
    assert "it does not say how it was made" in said(json.dumps({**report, "invocation": None}))
    strange = {**report, "options": {**report["options"], "newer": 1}}
    assert "options that this snnport does not know: newer" in said(json.dumps(strange))
    wrong = {**report, "options": {**report["options"], "levels": "many"}}
    assert "its options cannot be used" in said(json.dumps(wrong))
    assert "there is no such file" in snnport("port", "--replay", tmp_path / "none.json", "--json").data["error"]["message"]
    assert snnport("port").code == 2


def test_comparing_two_reports_shows_what_changed(snnport: Command, ported: Path, tmp_path: Path) -> None:
    first = ported / "out" / "report.json"
    report = json.loads(first.read_text())
    report["created"] = "later"
    report["targets"][0]["run"]["wall_s"] = 9.0
    second = tmp_path / "b.json"
    second.write_text(json.dumps(report))
    assert snnport("compare", first, second, "--json").data["equal"] is True
    report["targets"].reverse()
    report["options"]["bits"] = 6
    report["seeds"] = {"uniform calibration samples": 0}
    second.write_text(json.dumps(report))
    answer = snnport("compare", first, second, "--json")
    assert answer.code == 1
    assert {c["entry"]: (c["a"], c["b"]) for c in answer.data["changes"]} == {
        "options.bits": (8, 6),
        "seeds.uniform calibration samples": (None, 0),
    }


def test_a_chip_whose_passes_refuse_is_a_row_among_several(ported: Path) -> None:
    def refusing(graph: Graph, chip: Chip) -> tuple[Pass, ...]:
        raise PassFailed("quantize-shifts{bits=8}", "it keeps no such reset", "Use another chip")

    cpu = resolve_target("cpu")
    odd = replace(cpu, preparing=refusing)
    model = open_model(ported / "digits.onnx")
    inputs = InputOptions(scale=16.0)
    samples = inputs.load(ported / "x.npz", model)
    options = ConvertOptions(levels=4)
    report, programs, _ = port(model, [odd, cpu], samples, [], inputs, options)
    first, second = report.targets
    assert (first.check.fits, second.check.fits, list(programs)) == (False, True, ["cpu"])
    assert first.why_not == "passes: cpu: quantize-shifts: it keeps no such reset. Use another chip."
    with pytest.raises(PassFailed, match="it keeps no such reset"):
        port(model, [odd], samples, [], inputs, options)


def test_numbers_of_one_list_are_one_line_for_people() -> None:
    found = changes({"n": [1, 2, 3], "m": [4], "x": 1}, {"n": [5, 6], "m": [7], "x": None}, ())
    told = lines([vars(change) for change in found])
    assert told == [("n[..]", "3 other values", "2 other values"), ("m[0]", "4", "7"), ("x", "1", "null")]


def test_entries_are_named_by_what_they_are() -> None:
    a = {"stages": [{"name": "float", "x": 1}, {"name": "low", "x": 2}], "n": [1, 2]}
    assert flat(a) == {
        "stages[float].name": "float", "stages[float].x": 1, "stages[low].name": "low", "stages[low].x": 2,
        "n[0]": 1, "n[1]": 2,
    }  # fmt: skip
    assert changes(a, a, ()) == ()
    assert [c.entry for c in changes({"a": True}, {"a": 1}, ())] == ["a"]
    twice = {"s": [{"name": "x", "v": 1}, {"name": "x", "v": 2}]}
    assert set(flat(twice)) == {"s[0].name", "s[0].v", "s[1].name", "s[1].v"}


def test_six_chips_in_one_table(snnport: Command, ported: Path, tmp_path: Path) -> None:
    names = "cpu,loihi1,loihi2,speck2f,xylo_audio2,tinyodin"
    line = ["port", ported / "digits.onnx", "--input", ported / "x.npz", "--scale", 16, "--levels", 8, "--target", names]
    answer = snnport(*line, "-o", tmp_path, "--json")
    assert answer.code == 0
    targets = answer.data["targets"]
    assert [t["target"] for t in targets] == names.split(",")
    assert all(t["ran"] or t["why_not"] for t in targets)
    shown = snnport(*line, "-o", tmp_path).out
    assert "chips" in shown
