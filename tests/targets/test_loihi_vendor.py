"""Finding and running Lava's interpreter, with stand-ins for it; what Lava computes is in tests/parity."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnport.chip import Chip
from snnport.encoders import Stimulus
from snnport.errors import DoesNotFit, InvalidInput
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection
from snnport.targets import interpreter
from snnport.targets.loihi import vendor

CHIP = Chip.from_json({"name": "test", "target": "loihi2", "numbers": {}})


def program(code: int = 1) -> Program:
    cell = Neuron("cuba", {key: np.array(value) for key, value in {"du": 9, "dv": 9, "vth": 30}.items()})
    populations = (Population("in", (1,), Neuron("input", {})), Population("a", (1,), cell))
    wire = Projection("w", "in", "a", Dense(np.array([[code]])))
    return Program("loihi2", CHIP, populations, (wire,), (), ("in",), ("a",), 3)


STIMULUS = Stimulus(np.ones((1, 3, 1), np.uint8), None, 3)


def stand_in(folder: Path, script: str) -> Path:
    """An "interpreter" that says it has Lava and otherwise runs `script` with this Python; argv[2] is the list of jobs."""
    path = folder / "python"
    body = f"import sys\nif sys.argv[1] == '-c':\n    print('9.9')\n    sys.exit(0)\n{script}"
    path.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Lava."""
    monkeypatch.delenv(vendor.LAVA.variable, raising=False)
    monkeypatch.setattr(interpreter, "CHECKOUT", tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("nowhere")
def test_without_lava_the_command_that_adds_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for named in ("", "/nonexistent/python", sys.executable):
        monkeypatch.setenv(vendor.LAVA.variable, named)
        with pytest.raises(InvalidInput, match=r"no Python that has lava\.proc here\. Type: make lava"):
            vendor.run_lava(program(), STIMULUS)
        assert vendor.LAVA.version() == ""


@pytest.mark.usefixtures("nowhere")
def test_the_variable_comes_first_then_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".venv-lava" / "bin").mkdir(parents=True)
    made = stand_in(tmp_path / ".venv-lava" / "bin", "")
    assert vendor.LAVA.python() == made
    named = stand_in(tmp_path, "")
    monkeypatch.setenv(vendor.LAVA.variable, str(named))
    assert vendor.LAVA.python() == named
    assert vendor.LAVA.version() == "9.9"


def test_programs_are_checked_before_anything_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(vendor.LAVA.variable, str(stand_in(tmp_path, "sys.exit('it ran')")))
    with pytest.raises(DoesNotFit, match="of one sign Lava keeps"):
        vendor.run_lava(program(256), STIMULUS)


@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("sys.stderr.write('first\\n1 of 2 samples\\nlast words\\n\\n')\nsys.exit(3)", "it failed: last words"),
        ("sys.exit(3)", "it failed: exit code 3"),
    ],
)
def test_what_lava_said_last_is_told(script, match, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(vendor.LAVA.variable, str(stand_in(tmp_path, script)))
    told = []
    with pytest.raises(InvalidInput, match=match):
        vendor.run_lava(program(), STIMULUS, progress=lambda done, of: told.append((done, of)))
    assert told == ([(1, 2)] if "first" in script else [])


def test_an_interpreter_that_cannot_be_run_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = stand_in(tmp_path, "")
    monkeypatch.setattr(interpreter.Vendor, "python", lambda self: path)
    path.chmod(0o600)
    if os.access(path, os.X_OK):
        path.unlink()
    with pytest.raises(InvalidInput, match=r"it cannot be run: .*make lava"):
        vendor.run_lava(program(), STIMULUS)


def test_jobs_and_traces_travel_through_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = """
import json, numpy as np
for job in json.loads(open(sys.argv[2]).read()):
    x = np.load(job["stimulus"])["x"]
    keys = (("spikes", "spikes/"), ("v", "v/"), ("u", "v/u of "))
    names = {key + name: x * (1 + k) for k, (what, key) in enumerate(keys) for name in job[what]}
    np.savez(job["trace"], meta=np.array('{"engine": "vendor"}'), **names)
"""
    monkeypatch.setenv(vendor.LAVA.variable, str(stand_in(tmp_path, script)))
    traces = vendor.run_jobs([vendor.Job(program(), STIMULUS, ("a",)), vendor.Job(program(), STIMULUS, v=("a",), u=("a",))])
    assert [sorted(trace.spikes) for trace in traces] == [["a"], []]
    assert {name: int(v.sum()) for name, v in traces[1].v.items()} == {"a": 6, "u of a": 9}
    assert traces[0].meta == {"engine": "vendor"}


def test_many_samples_run_as_copies_and_come_back_one_by_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = """
import json, numpy as np
job, = json.loads(open(sys.argv[2]).read())
x = np.load(job["stimulus"])["x"]
sys.stderr.write(f"{len(x)} of {len(x)} samples\\n")
np.savez(job["trace"], **{"spikes/a": x}, meta=np.array("{}"))
"""
    monkeypatch.setenv(vendor.LAVA.variable, str(stand_in(tmp_path, script)))
    x, told = np.arange(30, dtype=np.uint8).reshape(10, 3, 1), []
    trace = vendor.run_lava(program(), Stimulus(x, None, 3), ("a",), (), lambda done, of: told.append((done, of)))
    assert np.array_equal(trace.spikes["a"], x)
    assert (trace.meta["copies"], told) == (10, [(10, 10)])


def test_wide_kernels_are_not_copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = """
import json, numpy as np
job, = json.loads(open(sys.argv[2]).read())
np.savez(job["trace"], **{"spikes/a": np.load(job["stimulus"])["x"]}, meta=np.array("{}"))
"""
    monkeypatch.setenv(vendor.LAVA.variable, str(stand_in(tmp_path, script)))
    maps = replace(program().populations[0], shape=(1, 1, 1))
    conv = Conv(np.array([[[[999]]]]), (1, 1, 1), (1, 1), (0, 0, 0, 0))
    wide = replace(program(), populations=(maps, program().populations[1]), projections=(Projection("w", "in", "a", conv),))
    trace = vendor.run_lava(wide, Stimulus(np.ones((10, 3, 1), np.uint8), None, 3), ("a",))
    assert trace.spikes["a"].shape == (10, 3, 1)
    assert "copies" not in trace.meta
