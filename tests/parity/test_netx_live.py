"""lava-dl's netx and the engine on networks that were not recorded: files that are read, and files that are written."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from netx_files import random_file
from netx_runs import program_of, spikes_of

from snnport.errors import DoesNotFit
from snnport.exporters.netx import netx_of, write_netx
from snnport.targets.loihi.vendor import LAVA

pytestmark = pytest.mark.lava
RECORDER = Path(__file__).parents[1] / "golden" / "netx" / "record_netx.py"
SEEDS = range(1000, 1006)


def in_lava(folder: Path, jobs: dict[str, tuple[Path, Any, bool, dict[str, int]]]) -> dict[str, Any]:
    """Spikes of every block by lava-dl: name -> (file, x, whether x is a bias, arguments of Network)."""
    listed = []
    for name, (path, x, driven, loading) in jobs.items():
        np.save(folder / f"{name}.npy", x)
        drive = "bias" if driven else "spikes"
        job = {"net": str(path), "x": str(folder / f"{name}.npy"), "drive": drive, "loading": loading}
        listed.append({**job, "out": str(folder / f"{name}.npz")})
    (folder / "jobs.json").write_text(json.dumps(listed))
    done = subprocess.run(
        [str(LAVA.python()), str(RECORDER), str(folder / "jobs.json")], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: np.load(folder / f"{name}.npz") for name in jobs}


def test_netx_files_run_as_in_lava_dl(tmp_path: Path) -> None:
    jobs: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    for seed in SEEDS:
        path = tmp_path / f"{seed}.net"
        x, driven, reset = random_file(path, seed)
        jobs[f"read{seed}"] = (path, x, driven, {} if reset is None else {"reset_interval": reset})
        program = program_of(path, reset)
        wanted[f"read{seed}"] = spikes_of(program, x)
        try:
            write_netx(program, tmp_path / f"{seed}w.net")
        except DoesNotFit:
            continue
        jobs[f"written{seed}"] = (tmp_path / f"{seed}w.net", x, driven, dict(netx_of(program).loading))
        wanted[f"written{seed}"] = wanted[f"read{seed}"]
    assert sum(name.startswith("written") for name in jobs) >= 2
    found = in_lava(tmp_path, jobs)
    for name, layers in wanted.items():
        for number, (layer, spikes) in enumerate(layers.items()):
            np.testing.assert_array_equal(spikes, found[name][f"layer{number}"], f"{name}: {layer}")
