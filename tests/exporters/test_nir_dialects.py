"""Every stored network written for every importer: the files are those that the frameworks loaded, and these gave the spikes.

tests/golden/interop/written holds the networks, the files, what each framework made of them (spikes.*.npz), and results.json;
study.py there makes them and, in `make study`, loads the files in the frameworks again.
"""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snnport.convention import Convention, coding_of, convention_of
from snnport.exporters.nir_dialect import Rewriting, changed_spikes, rewritten, write_dialect
from snnport.exporters.nir_loaders import LOADERS
from snnport.graph import Graph
from snnport.importers.nir import read_nir
from snnport.reference import run_spiking

FOLDER = Path(__file__).parent.parent / "golden" / "interop" / "written"
INDEX = json.loads((FOLDER / "index.json").read_text())
RESULTS = json.loads((FOLDER / "results.json").read_text())
FRAMEWORKS = ("snntorch", "norse", "sinabs", "spikingjelly", "rockpool")
NETWORKS = tuple(dict.fromkeys(record["network"] for record in RESULTS))


@cache
def stored(name: str) -> dict[str, Any]:
    with np.load(FOLDER / name) as arrays:
        return {key: arrays[key] for key in arrays.files}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Graph]:
    folder, found = tmp_path_factory.mktemp("sources"), {}
    for name, content in stored("sources.npz").items():
        (folder / f"{name}.nir").write_bytes(content.tobytes())
        found[name] = read_nir(folder / f"{name}.nir").graph
    return found


def export(graph: Graph, dialect: str) -> Rewriting:
    return rewritten(graph, convention_of(graph.metadata), dialect, coding_of(graph.metadata))


def tree(content: bytes) -> dict[str, Any]:
    """Path in an HDF5 file -> its value, without the version of nir that wrote it."""
    found: dict[str, Any] = {}

    def keep(name: str, item: Any) -> None:
        if name == "node/metadata/snnport":
            found[name] = Convention.from_json(json.loads(item[()])["convention"])
        elif isinstance(item, h5py.Dataset) and name != "version":
            found[name] = item[()]

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(keep)
    return found


@pytest.mark.parametrize("network", NETWORKS)
def test_the_written_files_are_the_stored_ones(network: str, sources: dict[str, Graph], tmp_path: Path) -> None:
    cases = {case["dialect"]: case for case in INDEX if case["network"] == network}
    expressible = {record["importer"] for record in RESULTS if record["network"] == network and record["expressible"]}
    assert set(cases) == expressible
    for dialect, case in cases.items():
        write_dialect(export(sources[network], dialect), tmp_path / "out.nir")
        ours, golden = tree((tmp_path / "out.nir").read_bytes()), tree(stored("written.npz")[case["file"]].tobytes())
        assert ours.keys() == golden.keys(), dialect
        for name, value in golden.items():
            assert np.array_equal(ours[name], value), f"{dialect}: {name}"


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_refused_and_why(network: str, sources: dict[str, Graph]) -> None:
    for record in (r for r in RESULTS if r["network"] == network):
        found = export(sources[network], record["importer"])
        assert "; ".join(map(str, found.differences)) == record["reason"], record["importer"]
        assert found.loader.tested == record["tested"]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_frameworks_gave_the_spikes_of_the_source(network: str, sources: dict[str, Graph]) -> None:
    graph = sources[network]
    cases = [case for case in INDEX if case["network"] == network and case["dialect"] in FRAMEWORKS]
    ours = run_spiking(graph, stored("inputs.npz")[network], convention_of(graph.metadata), coding_of(graph.metadata)).spikes
    for case in cases:
        for name in case["populations"]:
            theirs = stored(f"spikes.{case['dialect']}.npz")[f"{network}/{name}"]
            assert np.array_equal(theirs, ours[name]), f"{case['dialect']}: {name}"


@pytest.mark.parametrize("network", NETWORKS)
def test_snnport_reads_a_written_file_as_its_importer_does(network: str, sources: dict[str, Graph], tmp_path: Path) -> None:
    graph = sources[network]
    for case in (case for case in INDEX if case["network"] == network):
        path = tmp_path / case["file"]
        path.write_bytes(stored("written.npz")[case["file"]].tobytes())
        again = read_nir(path)
        assert again.ambiguous == ()
        assert again.convention is not None
        raster = stored("inputs.npz")[network][:1, :60]
        ours = run_spiking(graph, raster, convention_of(graph.metadata)).spikes
        theirs = run_spiking(again.graph, raster, again.convention).spikes
        for old, new in case["populations"].items():
            assert np.array_equal(ours[old], theirs[new]), f"{case['dialect']}: {old}"


def test_the_spikes_that_would_change_are_counted(sources: dict[str, Graph]) -> None:
    checked = 0
    for record in (r for r in RESULTS if r["network"] in ("snntorch-zero-dense", "sinabs-leaky-dense", "gate-code")):
        graph = sources[record["network"]]
        found = export(graph, record["importer"])
        assert found.runs == (record["differing_spikes"] is not None), record
        if found.runs:
            rule, coding = convention_of(graph.metadata), coding_of(graph.metadata)
            changes = changed_spikes(graph, rule, coding, found, stored("inputs.npz")[record["network"]])
            assert sum(changes.values()) == record["differing_spikes"]
            checked += 1
    assert checked >= 15


def test_the_gate_code_is_refused_everywhere() -> None:
    records = [record for record in RESULTS if record["network"] == "gate-code"]
    assert {record["importer"] for record in records} == set(LOADERS) - {"norse-1.1.0"}
    assert all(not record["expressible"] and "coding" in record["reason"] for record in records)


def test_every_framework_has_exact_files_and_refusals() -> None:
    for framework in FRAMEWORKS:
        records = [record for record in RESULTS if record["importer"] == framework]
        exact = [record for record in records if record["expressible"]]
        assert len(exact) >= 2
        assert all(record["differing_spikes"] == 0 for record in exact)
        assert len(records) - len(exact) >= 4


def test_a_field_that_an_older_nir_does_not_know_is_left_out() -> None:
    """sinabs asks for nir 1.0.4 at most, whose neurons have no v_reset."""
    held = dict.fromkeys(("sinabs", "norse"), False)
    for case in (case for case in INDEX if case["dialect"] in held):
        held[case["dialect"]] |= any(name.endswith("v_reset") for name in tree(stored("written.npz")[case["file"]].tobytes()))
    assert held == {"sinabs": False, "norse": True}
