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
from typer.testing import CliRunner

import snnport
from snnport.cli import app
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


def in_lava_order(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rasters (steps, n) in C order as Lava takes them: (n, steps), maps (width, height, channels, steps)."""
    return x.T if len(shape) < 3 else x.reshape(len(x), *shape).transpose(3, 2, 1, 0)


def test_the_lines_beside_an_export_run_in_lava(tmp_path: Path) -> None:
    """As they stand, on spikes in x.npy; the output is that of the program."""
    from spiking import dense, fire, plain

    from snnport.exporters.nir import write_nir

    rng = np.random.default_rng(4)
    layers = {"a": dense(rng.integers(-20, 60, (7, 5))), "h": fire((7,), 90.0)}
    network = plain((5,), {**layers, "b": dense(rng.integers(-20, 60, (4, 7))), "o": fire((4,), 80.0)})
    write_nir(network, tmp_path / "n.nir")
    line = ["export", str(tmp_path / "n.nir"), "--target", "loihi2", "-o", str(tmp_path / "n.net"), "--json"]
    said = CliRunner().invoke(app, line)
    assert said.exit_code == 0, said.output
    document = json.loads(said.stdout)
    assert document["tested"] is True
    text = Path(document["lines_file"]).read_text()
    workers = Path(snnport.__file__).parent / "workers"
    stub = f"import sys; sys.path.insert(0, {str(workers)!r}); import slayer_stub; slayer_stub.install()"
    program = program_of(tmp_path / "n.net", None)
    x = (rng.random((40, 5)) < 0.5).astype(np.int32)
    np.save(tmp_path / "x.npy", in_lava_order(x, program.population(program.inputs[0]).shape))
    (tmp_path / "whole.py").write_text(f"{stub}\n{text}\nnp.save('out.npy', spikes)\n")
    done = subprocess.run(
        [str(LAVA.python()), "whole.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    wanted = list(spikes_of(program, x).values())[-1]
    assert wanted.sum() > 10
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy").T.reshape(wanted.shape), wanted)


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
