"""Two processes under torchrun end with the same weights, and those are what one process gets from the whole batches."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from snnport.training.parallel import Group, group, leave

WORK = """
import sys
import numpy as np, torch
from torch import nn
from snnport.training.batches import ArrayBatches
from snnport.training.loop import Plan, fit
from snnport.training.optimisers import Sgd
from snnport.training.parallel import group, leave
torch.set_num_threads(1)
own = group()
torch.manual_seed(own.rank)
module = nn.Linear(4, 2).double()
if own.size == 1:
    torch.manual_seed(0)
    module = nn.Linear(4, 2).double()
rng = np.random.default_rng(0)
x = rng.normal(size=(21, 4))
y = x @ rng.normal(size=(4, 2))
def loss(module, batch):
    return torch.mean((module(batch[0]) - batch[1]) ** 2)
optimiser = Sgd(lr=0.1).make(module.parameters())
# 21 samples in batches of 5: shares of 3 and 2, and at last of 1 and 0.
from pathlib import Path
kept = Path(sys.argv[1]) / "kept"
at = fit(module, optimiser, ArrayBatches((x, y), 5), loss, Plan(2, clip_norm=0.5), group=own, checkpoint=kept)
np.save(sys.argv[1] + f"/{own.size}_{own.rank}.npy", torch.cat([p.detach().flatten() for p in module.parameters()]).numpy())
assert at.step == 10
leave()
"""


def run(folder: Path, size: int) -> list[Any]:
    script = folder / "work.py"
    script.write_text(WORK, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    many = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={size}", f"--master-port={port}"]
    command = [*(many if size > 1 else [sys.executable]), str(script), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [np.load(folder / f"{size}_{rank}.npy") for rank in range(size)]


def test_two_processes_are_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (alone,) = run(tmp_path / "a", 1)
    first, second = run(tmp_path / "b", 2)
    assert np.array_equal(first, second)
    np.testing.assert_allclose(first, alone, rtol=1e-12)
    assert (tmp_path / "b" / "kept" / "checkpoint.pt").is_file()


def test_a_group_of_one_does_nothing() -> None:
    own = group()
    assert own == Group(0, 1)
    batch = (torch.arange(5.0),)
    assert own.share(batch) is batch
    assert (own.part(batch), own.add(2.5), own.first) == (1.0, 2.5, True)
    own.wait()
    leave()


def test_shares_of_a_batch() -> None:
    batch = (torch.arange(5.0),)
    assert [Group(rank, 2).share(batch)[0].tolist() for rank in (0, 1)] == [[0, 2, 4], [1, 3]]
    assert [Group(rank, 2).part(batch) for rank in (0, 1)] == [0.6, 0.4]
