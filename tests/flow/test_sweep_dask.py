"""The verb sweep on Dask: a killed worker loses nothing, a killed sweep resumes, a scheduler is found by its address."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import distributed
import numpy as np
import psutil
import pytest
from command import Command

GRID = ("--levels", "2,4,6,8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, converted: Path) -> Path:
    path = tmp_path_factory.mktemp("data") / "x.npz"
    full = np.load(converted / "digits_test.npz")
    np.savez(path, x=full["x"][:80], y=full["y"][:80])
    return path


def line(converted: Path, data: Path, out: Path, *more: object) -> list[str]:
    parts = ["sweep", converted / "digits.onnx", "--input", data, "--scale", 16, "-o", out, *GRID, "--json", *more]
    return [str(part) for part in parts]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "snnport", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def first_cell(out: Path, process: subprocess.Popen[str], wanted: int = 1) -> None:
    """Wait until `wanted` cells are done."""
    for _ in range(1200):
        if len(list((out / "cells").glob("*.json"))) >= wanted or process.poll() is not None:
            return
        time.sleep(0.05)
    raise AssertionError("no cell was done in a minute")


def workers_of(pid: int) -> list[psutil.Process]:
    """The processes that do the work: those that the cluster's nannies started."""
    return [p for p in psutil.Process(pid).children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_sweep_change_nothing(
    snnport: Command, converted: Path, data: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    assert snnport(*line(converted, data, alone, "--workers", 0)).code == 0
    wanted = (alone / "sweep.json").read_text()

    out = tmp_path / "worker"
    process = start(line(converted, data, out, "--workers", 2))
    first_cell(out, process)
    killed = workers_of(process.pid)
    assert killed
    killed[0].send_signal(signal.SIGKILL)
    answer, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert json.loads(answer)["faults"] == 0
    assert (out / "sweep.json").read_text() == wanted

    out = tmp_path / "whole"
    process = start(line(converted, data, out, "--workers", 1))
    first_cell(out, process, 2)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        each.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (out / "sweep.json").exists()
    again = snnport(*line(converted, data, out, "--workers", 0)).data
    assert again["resumed"] >= 2
    assert (out / "sweep.json").read_text() == wanted


@pytest.mark.slow
def test_an_existing_scheduler_is_used_by_its_address(snnport: Command, converted: Path, data: Path, tmp_path: Path) -> None:
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, processes=True) as cluster:
        address = cluster.scheduler_address
        answer = snnport(*line(converted, data, tmp_path / "s", "--scheduler", address))
        assert answer.code == 0
        # the scheduler belongs to others and goes on
        assert cluster.scheduler.status.name == "running"
    assert answer.data["faults"] == 0


def test_an_address_where_nobody_answers_is_one_line(
    snnport: Command, converted: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snnport.flow import pool

    monkeypatch.setattr(pool, "CONNECT_S", 1)
    answer = snnport(*line(converted, data, tmp_path / "s", "--scheduler", "tcp://127.0.0.1:9"))
    assert answer.code == 1
    assert "no scheduler answers" in answer.data["error"]["message"]
    assert not answer.err or os.linesep not in answer.err.strip()
