"""`export --format nir --dialect NAME`: what is written, what is printed, and what is refused with the number of spikes."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest
from command import Command
from spiking import plain

from snnport.convention import PLAIN, Convention
from snnport.exporters.nir import write_nir
from snnport.importers.dialect_table import DIALECTS
from snnport.importers.nir import read_nir
from snnport.reference import run_spiking

ZERO = DIALECTS["snntorch"].convention.having(reset="zero")
ONCE = DIALECTS["sinabs"].convention.having(multi_spike=False, v_min=None, name="once")


def network(folder: Path, rule: Convention, weight: float = 0.5) -> Path:
    tau = 1e-3 if rule.dt < 1 else 8.0
    lif = nir.LIF(*(np.full(3, v) for v in (tau, 10.0 if rule.dt < 1 else 1.0, 0.0, 1.0, 0.0)))
    path = folder / "net.nir"
    write_nir(plain((2,), {"fc": nir.Linear(np.full((3, 2), weight)), "n": lif}, rule), path)
    return path


def raster(folder: Path, most: int = 1) -> Path:
    x = (np.random.default_rng(0).random((2, 40, 2)) < 0.5).astype(np.uint8) * most
    np.savez(folder / "x.npz", x=x)
    return folder / "x.npz"


def test_a_file_that_the_framework_loads(snnport: Command, tmp_path: Path) -> None:
    path, out = network(tmp_path, ZERO), tmp_path / "out.nir"
    x = raster(tmp_path)
    found = snnport("export", path, "--format", "nir", "--dialect", "norse", "-o", out, "--input", x, "--json").data
    assert found["importer"].startswith("Norse 1.1.0")
    assert found["tested"]
    assert found["populations"] == {"n": "n"}
    assert found["compared"]["differing_spikes"] == 0
    assert f"from_nir(nir.read({str(out)!r}), reset_method=reset.reset_value, dt=0.0009765625)" in found["load"][1]
    again, source = read_nir(out), read_nir(path)
    assert again.convention is not None
    assert source.convention is not None
    spikes = np.load(x)["x"].astype(float)
    ours = run_spiking(source.graph, spikes, source.convention).spikes["n"]
    assert ours.any()
    assert np.array_equal(run_spiking(again.graph, spikes, again.convention).spikes["n"], ours)


def test_the_lines_that_load_it_are_printed(snnport: Command, tmp_path: Path) -> None:
    answer = snnport("export", network(tmp_path, ZERO), "--format", "nir", "--dialect", "snntorch", "-o", tmp_path / "o.nir")
    assert answer.code == 0
    assert "import nir, snntorch.import_nir" in answer.out
    assert "equal in real numbers" in answer.out


def test_an_untested_importer_is_called_that(snnport: Command, tmp_path: Path) -> None:
    args = ("export", network(tmp_path, ZERO), "--format", "nir", "--dialect", "spinnaker2", "-o", tmp_path / "o.nir")
    assert "untested: no round trip was run through it" in snnport(*args).out.replace("\n", " ")
    assert snnport(*args, "--json").data["tested"] is False


def test_a_rule_that_differs_is_refused_with_the_spikes_it_changes(snnport: Command, tmp_path: Path) -> None:
    path, out = network(tmp_path, PLAIN.having(reset="subtract"), 0.9), tmp_path / "out.nir"
    args = ("export", path, "--format", "nir", "--dialect", "snntorch", "-o", out)
    without = snnport(*args)
    assert without.code == 1
    assert "reset: subtract in the source, zero with the importer" in without.err.replace("\n", " ")
    assert "Give --input" in without.err.replace("\n", " ")
    answer = snnport(*args, "--input", raster(tmp_path), "--json")
    assert answer.code == 1
    assert answer.data["error"]["kind"] == "DoesNotFit"
    count = int(answer.data["error"]["message"].split("steps ")[1].split(" spikes change")[0])
    assert count > 0
    assert f"(n {count})" in answer.data["error"]["message"]
    assert not out.exists()


def test_what_an_importer_cannot_build_cannot_be_counted(snnport: Command, tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    lif = nir.LIF(*(np.full(2, v) for v in (1e-3, 10.0, 0.0, 1.0, 0.0)))
    write_nir(plain((2,), {"d": nir.Delay(np.full(2, 1e-4)), "n": lif}, PLAIN), path)
    args = ("export", path, "--format", "nir", "--dialect", "sinabs", "-o", tmp_path / "out.nir", "--input", raster(tmp_path))
    answer = snnport(*args)
    assert answer.code == 1
    assert "builds no Delay" in answer.err.replace("\n", " ")
    assert "cannot be run there at all" in answer.err.replace("\n", " ")


@pytest.mark.parametrize(("most", "code"), [(1, 0), (3, 1)])
def test_equality_for_spikes_of_0_and_1_is_not_taken_for_more(snnport: Command, tmp_path: Path, most: int, code: int) -> None:
    args = ("export", network(tmp_path, ONCE), "--format", "nir", "--dialect", "sinabs", "-o", tmp_path / "out.nir")
    answer = snnport(*args, "--input", raster(tmp_path, most))
    assert answer.code == code
    assert (tmp_path / "out.nir").exists() == (code == 0)
    said = (answer.out + answer.err).replace("\n", " ")
    assert ("equal where every input is 0 or 1" in said) if code == 0 else ("proven for 0 or 1" in said)


def test_the_reader_and_the_writer_of_a_file_are_two(snnport: Command, tmp_path: Path) -> None:
    """--dialect names the reader of what is written; who wrote the source is --source-dialect."""
    path = tmp_path / "net.nir"
    lif = nir.LIF(*(np.full(2, v) for v in (1e-3, 10.0, 0.0, 1.0, 0.0)))
    graph = plain((2,), {"n": lif}, None)
    write_nir(graph, path)
    args = ("export", path, "--format", "nir", "--dialect", "spikingjelly", "-o", tmp_path / "out.nir", "--reset", "value")
    assert snnport(*args, "--source-dialect", "nir", "--dt", "1e-4").code == 0
    assert snnport(*args, "--source-dialect", "nobody").code == 1


def test_an_unknown_dialect(snnport: Command, tmp_path: Path) -> None:
    answer = snnport("export", network(tmp_path, ZERO), "--format", "nir", "--dialect", "nors", "-o", tmp_path / "o.nir")
    assert answer.code == 1
    assert "Did you mean 'norse'?" in answer.err.replace("\n", " ")
    assert not (tmp_path / "o.nir").exists()
