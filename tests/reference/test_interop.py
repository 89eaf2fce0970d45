"""Networks that five frameworks ran and exported themselves: every spike at its step, from the file and the flags it needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from interop_files import FOLDER, FRAMEWORKS, judged, manifest, names, recorded

from snnport.importers.nir import read_nir

ALL = names()
WHOLE = [key for key in ALL if not manifest(key[0])["networks"][key[1]]["lost"]]
LOST = [key for key in ALL if key not in WHOLE]


@pytest.mark.parametrize(("framework", "name"), WHOLE, ids=lambda value: value)
def test_every_spike_of_the_framework(framework: str, name: str, tmp_path: Path) -> None:
    case = recorded(framework, name)
    result = judged(case, case.unpack(tmp_path))
    assert result["differing_spikes"] == 0
    assert result["spikes_compared"] > 0 or case.v
    assert result["potential_error"] <= case.about["bound"]


@pytest.mark.parametrize(("framework", "name"), ALL, ids=lambda value: value)
def test_the_file_alone_tells_its_dialect_and_names_what_is_open(framework: str, name: str, tmp_path: Path) -> None:
    case = recorded(framework, name)
    read = read_nir(case.unpack(tmp_path))
    assert read.dialect == case.about["infers"]
    assert [line.partition(":")[0] for line in read.ambiguous] == case.about["open"]
    assert bool(case.about["open"]) == (read.convention is None)


@pytest.mark.parametrize(("framework", "name"), LOST, ids=lambda value: value)
def test_what_an_exporter_left_out_is_missing(framework: str, name: str, tmp_path: Path) -> None:
    case = recorded(framework, name)
    result = judged(case, case.unpack(tmp_path))
    assert result["differing_spikes"] > 0 or result["potential_error"] > 1
    assert not result["expressible"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_recordings_prove_something(framework: str) -> None:
    networks = manifest(framework)["networks"]
    assert len(networks) >= 12
    assert sum(not about["lost"] for about in networks.values()) >= 12
    assert sum(not about["exact"] for about in networks.values()) >= 2
    for name in networks:
        case = recorded(framework, name)
        assert case.x.shape[1] >= 100
        for raster in case.spikes.values():
            assert 0.01 <= np.mean(raster > 0) <= 0.6


def test_the_stored_results_are_those_of_today(tmp_path: Path) -> None:
    stored = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    assert [(entry["exporter"], entry["network"]) for entry in stored] == ALL
    for entry in stored[:: len(stored) // 8]:
        case = recorded(entry["exporter"], entry["network"])
        assert judged(case, case.unpack(tmp_path)) == entry
