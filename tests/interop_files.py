"""The stored recordings of tests/golden/interop: networks, what must be known beside their files, and what differs here."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from snnport.importers.nir import read_nir
from snnport.reference import run_spiking

FOLDER = Path(__file__).parent / "golden" / "interop"
FRAMEWORKS = ("snntorch", "norse", "sinabs", "spikingjelly", "rockpool", "lava")


@dataclass(frozen=True)
class Recorded:
    """A stored network. about: its entry in the manifest (About in recording.py). spikes, v: node -> (samples, steps, n)."""

    framework: str
    name: str
    about: Mapping[str, Any]
    x: Any
    spikes: Mapping[str, Any]
    v: Mapping[str, Any]

    def unpack(self, folder: Path) -> Path:
        """Its .nir file, put into `folder`."""
        with zipfile.ZipFile(FOLDER / self.framework / "networks.zip") as archive:
            return Path(archive.extract(f"{self.name}.nir", folder))


def manifest(framework: str) -> dict[str, Any]:
    """manifest.json of a framework."""
    data: dict[str, Any] = json.loads((FOLDER / framework / "manifest.json").read_text(encoding="utf-8"))
    return data


def names() -> list[tuple[str, str]]:
    """(framework, network) of everything that is stored."""
    return [(framework, name) for framework in FRAMEWORKS for name in manifest(framework)["networks"]]


@cache
def _arrays(framework: str) -> dict[str, Any]:
    with np.load(FOLDER / framework / "traces.npz") as file:
        return dict(file)


def recorded(framework: str, name: str) -> Recorded:
    """One stored network."""
    arrays = _arrays(framework)
    parts = [
        {key.removeprefix(head): array for key, array in arrays.items() if key.startswith(head)}
        for head in (f"{name}/spikes/", f"{name}/v/")
    ]
    return Recorded(framework, name, manifest(framework)["networks"][name], arrays[f"{name}/x"], *parts)


def judged(case: Recorded, path: Path) -> dict[str, Any]:
    """What the reference makes of a network whose file lies at `path`: one entry of results.json.

    differing_spikes: entries of all recorded rasters that differ. potential_error: the largest difference of a recorded
    potential, in float64. Raises what reading and running raise.
    """
    imported = read_nir(path, **case.about["flags"])
    assert imported.convention is not None, imported.ambiguous
    trace = run_spiking(imported.graph, case.x, imported.convention, record_v=list(case.v))
    differing = sum(int(np.count_nonzero(trace.spikes[node] != raster)) for node, raster in case.spikes.items())
    errors = [float(np.abs(trace.v[node].astype(np.float64) - v).max()) for node, v in case.v.items()]
    return {
        "exporter": case.framework,
        "importer": "snnport",
        "network": case.name,
        "expressible": not case.about["lost"],
        "differing_spikes": differing,
        "spikes_compared": sum(int(raster.sum()) for raster in case.spikes.values()),
        "potential_error": max(errors, default=0.0),
        "told": {key: value for key, value in case.about["flags"].items() if key != "dialect"},
        "reason": case.about["lost"] or case.about["note"],
    }
