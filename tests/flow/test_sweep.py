"""The verb sweep without Dask: a row a cell, files that are resumed from, chunks that change nothing."""

from __future__ import annotations

import csv
import json
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import Command

from snnport.datasets import load_samples
from snnport.errors import InvalidInput
from snnport.flow import cells
from snnport.flow.cells import Job, do, kept
from snnport.flow.sweep import Grid


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, converted: Path) -> Path:
    """The shipped network and 60 of its samples."""
    folder = tmp_path_factory.mktemp("few")
    data = np.load(converted / "digits_test.npz")
    np.savez(folder / "few.npz", x=data["x"][:60], y=data["y"][:60])
    return folder


def arguments(converted: Path, few: Path, out: Path, *more: object) -> list[object]:
    found: list[object] = ["sweep", converted / "digits.onnx", "--input", few / "few.npz", "--scale", 16, "-o", out]
    return [*found, "--workers", 0, "--json", *more]


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))


def test_a_sweep_has_a_row_a_cell_and_a_reason_where_one_failed(
    snnport: Command, converted: Path, few: Path, tmp_path: Path
) -> None:
    grid = ("--targets", "cpu,speck2f", "--levels", "4,8", "--bits", "8,99", "--codes", "gate,nocode")
    answer = snnport(*arguments(converted, few, tmp_path / "s", *grid))
    assert answer.code == 0
    found = answer.data
    assert len(found["rows"]) == 2 * 2 * 2 * 2
    by = {(r["target"], r["code"], r["levels"], r["bits"]): r for r in found["rows"]}
    assert by["cpu", "gate", 8, 8]["status"] == "done"
    assert by["speck2f", "gate", 8, 8]["status"] == "does not fit"
    assert by["speck2f", "gate", 8, 8]["reason"]
    assert "99 bits are outside 2..16" in by["cpu", "gate", 8, 99]["reason"]
    assert "there is no such code" in by["cpu", "nocode", 4, 8]["reason"]
    assert {Path(f).name for f in found["files"]} == {"sweep.json", "sweep.csv", "sweep.svg", "sweep.html"}
    assert found["seeds"] == {}
    run = snnport("run", converted / "digits.onnx", "--input", few / "few.npz", "--scale", 16, "--levels", 8, "--json").data
    row = by["cpu", "gate", 8, 8]
    assert (row["correct"], row["samples"]) == (run["correct"], 60)
    assert row["synaptic_operations"] * 60 == pytest.approx(sum(run["synaptic_operations"].values()), rel=1e-12)
    assert row["energy_j"] * 60 == pytest.approx(run["energy"][0]["mid_j"], rel=1e-12)
    assert row["cycles"] * 60 == pytest.approx(run["cycles"], rel=1e-12)


def test_a_second_run_resumes_and_gives_the_same(snnport: Command, converted: Path, few: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    first = snnport(*arguments(converted, few, out, "--levels", "4,8")).data
    assert first["resumed"] == 0
    texts = {p.name: p.read_bytes() for p in out.glob("sweep.*")}
    files = sorted((out / "cells").iterdir())
    assert len(files) == 2
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:40])
    assert snnport(*arguments(converted, few, out, "--levels", "4,8")).data["resumed"] == 0
    assert snnport(*arguments(converted, few, out, "--levels", "4,8,16")).data["resumed"] == 2
    snnport(*arguments(converted, few, out, "--levels", "4,8"))
    assert {p.name: p.read_bytes() for p in out.glob("sweep.*")} == texts


def test_other_data_are_other_cells(snnport: Command, converted: Path, few: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    snnport(*arguments(converted, few, out, "--levels", "4"))
    data = np.load(few / "few.npz")
    np.savez(tmp_path / "few.npz", x=data["x"], y=data["y"][::-1])
    assert snnport(*arguments(converted, tmp_path, out, "--levels", "4")).data["resumed"] == 0
    assert len(list((out / "cells").iterdir())) == 2


def test_chunks_change_no_integer(
    snnport: Command, converted: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = ("samples", "correct", "steps", "spikes", "cycles", "synaptic_operations", "chips")
    found = []
    for size in (1024, 7):
        monkeypatch.setattr(cells, "CHUNK", size)
        row = snnport(*arguments(converted, few, tmp_path / str(size), "--targets", "loihi2", "--levels", "4")).data["rows"][0]
        found.append({name: row[name] for name in exact})
    assert found[0] == found[1]


def test_without_labels_the_agreement_is_what_counts(snnport: Command, converted: Path, few: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", x=np.load(few / "few.npz")["x"])
    row = snnport(*arguments(converted, tmp_path, tmp_path / "s", "--levels", "16")).data["rows"][0]
    assert row["accuracy"] is None
    assert row["agreement"] >= 0.95
    assert row["pareto"] is True


def test_a_sweep_that_cannot_work_says_so_at_once(snnport: Command, converted: Path, few: Path, tmp_path: Path) -> None:
    def said(*more: object) -> str:
        answer = snnport(*arguments(converted, few, tmp_path / "s", *more))
        assert answer.code == 1
        return str(answer.data["error"])

    assert "is no list of whole numbers" in said("--levels", "4,x")
    assert "it names nothing" in said("--codes", ",")
    assert "there is no such name" in said("--targets", "nochip")
    (tmp_path / "file").write_text("")
    answer = snnport(*arguments(converted, few, tmp_path / "file"))
    assert answer.code == 1
    assert "it cannot be made" in str(answer.data["error"])
    with pytest.raises(InvalidInput, match="the limit is 1000000"):
        Grid(levels=tuple(range(2000)), bits=tuple(range(2000)))
    answer = snnport(*[a if a != 0 else -1 for a in arguments(converted, few, tmp_path / "s")])
    assert "-1 is below 0" in str(answer.data["error"])


def test_a_worker_of_another_version_refuses(converted: Path, few: Path, tmp_path: Path, snnport: Command) -> None:
    snnport(*arguments(converted, few, tmp_path / "s", "--levels", "4"))
    job = Job(
        converted / "digits.onnx", cells.ReadOptions(), few / "few.npz", cells.InputOptions(scale=16.0),
        cells.ConvertOptions(levels=4), "cpu", tmp_path / "s", (("model", "0"),),
    )  # fmt: skip
    with pytest.raises(InvalidInput, match=r"the sweep 9\.9"):
        do(replace(job, version="9.9"))
    with pytest.raises(InvalidInput, match="it has changed since the sweep began"):
        do(job)
    with pytest.raises(InvalidInput, match="a worker cannot read it"):
        do(replace(job, input=tmp_path / "none.npz"))
    assert kept(job) is None


def test_samples_in_parts_are_the_samples(few: Path) -> None:
    whole = load_samples(few / "few.npz", None, (1, 8, 8))
    parts = [whole.part(start, start + 7) for start in range(0, 60, 7)]
    assert [p.n_samples for p in parts] == [7] * 8 + [4]
    assert np.array_equal(np.concatenate([p.batch(0, 7) for p in parts]), whole.batch(0, 60))
    labels = [p.y for p in parts if p.y is not None]
    assert whole.y is not None
    assert np.array_equal(np.concatenate(labels), whole.y)


def test_the_resumed_file_is_json(snnport: Command, converted: Path, few: Path, tmp_path: Path) -> None:
    snnport(*arguments(converted, few, tmp_path / "s", "--levels", "4"))
    (path,) = (tmp_path / "s" / "cells").iterdir()
    assert json.loads(path.read_text())["row"]["levels"] == 4
    assert rows(tmp_path / "s")[0]["levels"] == "4"


def test_data_larger_than_memory_are_read_piece_by_piece(tmp_path: Path) -> None:
    n = 1 << 27
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(n, 1, 8, 8))
    x[n - 3] = 7
    x.flush()
    del x
    assert (tmp_path / "x.npy").stat().st_size > 8 << 30
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    samples = load_samples(tmp_path / "x.npy", None, (1, 8, 8))
    last = samples.part(n - cells.CHUNK, n)
    assert np.unique(last.batch(0, cells.CHUNK)).tolist() == [0.0, 7.0]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
