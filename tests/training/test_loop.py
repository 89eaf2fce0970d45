"""The loop: what a plan asks for happens, and a run that was stopped or killed ends with the weights of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snnport.errors import InvalidInput
from snnport.training import checkpoint
from snnport.training.batches import ArrayBatches, Batch
from snnport.training.loop import Plan, Progressed, fit
from snnport.training.optimisers import Adam, Sgd
from snnport.training.schedules import Cosine

X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
Y = X.sum(1, keepdims=True)


def noisy(batch: Batch, rng: np.random.Generator) -> Batch:
    return batch[0] + torch.from_numpy(rng.normal(0, 0.1, batch[0].shape).astype(np.float32)), batch[1]


def mean_square(module: nn.Module, batch: Batch) -> torch.Tensor:
    # Dropout draws from torch's generator, whose state belongs to the checkpoint.
    hidden = nn.functional.dropout(module(batch[0]), 0.1, module.training)
    return torch.mean((hidden - batch[1]) ** 2)


def trained(folder: Path | None, **options: Any) -> tuple[nn.Module, Progressed]:
    """Three epochs of nine batches."""
    checkpoint.seed_all(3)
    module = nn.Linear(4, 1)
    plan = Plan(epochs=3, clip_norm=1.0, every=2, **options)
    batches = ArrayBatches((X, Y), 6, seed=5, change=noisy)
    optimiser = Adam(lr=0.05).make(module.parameters())
    return module, fit(module, optimiser, batches, mean_square, plan, schedule=Cosine(), checkpoint=folder)


def weights(module: nn.Module) -> Any:
    return torch.cat([p.detach().flatten() for p in module.parameters()]).numpy()


def test_it_learns() -> None:
    module, at = trained(None)
    losses = [entry["loss"] for entry in at.log]
    assert at.finished
    assert (at.step, len(at.log)) == (27, 3)
    assert losses[-1] < 0.5 * losses[0]
    assert not module.training


def test_pieces_of_no_time_give_the_same_weights(tmp_path: Path) -> None:
    whole, _ = trained(None)
    module, rounds = resumed(tmp_path)
    assert rounds == 27
    assert np.array_equal(weights(module), weights(whole))


def resumed(folder: Path, **options: Any) -> tuple[nn.Module, int]:
    """The module after pieces of one batch each, and how many there were."""
    rounds, at = 0, Progressed()
    while not at.finished:
        module, at = trained(folder, seconds=1e-9, **options)
        rounds += 1
        assert at.step == rounds or at.finished
    return module, rounds


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[2])
import test_loop, torch
from pathlib import Path
torch.set_num_threads(1)
slow = test_loop.mean_square
def slower(module, batch):
    time.sleep(0.02)
    return slow(module, batch)
test_loop.mean_square = slower
module, at = test_loop.trained(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, number: signal.Signals) -> None:
    whole, _ = trained(None)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(Path(__file__).parent)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    started = time.monotonic()
    while not checkpoint.path_in(tmp_path).is_file():
        assert process.poll() is None
        assert time.monotonic() - started < 120
        time.sleep(0.005)
    process.send_signal(number)
    assert process.wait(60) != 0
    state = checkpoint.read(tmp_path)
    assert state is not None
    assert state["at"]["step"] < 27
    module, at = trained(tmp_path)
    assert at.finished
    assert np.array_equal(weights(module), weights(whole))


def test_validation_chooses_the_epoch_and_stops() -> None:
    found = iter([0.1, 0.9, 0.3, 0.2, 0.8])
    module = nn.Linear(4, 1)
    seen: list[Any] = []

    def validate(asked: nn.Module) -> dict[str, float]:
        assert not asked.training
        seen.append(weights(asked))
        return {"accuracy": next(found)}

    plan = Plan(epochs=9, watch="accuracy", patience=2, keep_best=True)
    at = fit(module, Sgd(lr=0.01).make(module.parameters()), ArrayBatches((X, Y), 25), mean_square, plan, validate=validate)
    assert [entry["accuracy"] for entry in at.log] == [0.1, 0.9, 0.3, 0.2]
    assert (at.best, at.best_epoch) == (0.9, 1)
    assert np.array_equal(weights(module), seen[1])


def test_the_average_of_the_weights_is_judged_and_kept(tmp_path: Path) -> None:
    checkpoint.seed_all(3)
    module, seen, judged = nn.Linear(4, 1), [], []

    def watching(asked: nn.Module, batch: Batch) -> torch.Tensor:
        seen.append(weights(asked))
        return mean_square(asked, batch)

    def validate(asked: nn.Module) -> dict[str, float]:
        judged.append(weights(asked))
        return {"accuracy": len(judged)}

    plan = Plan(2, watch="accuracy", average=0.9)
    fit(module, Adam(lr=0.05).make(module.parameters()), ArrayBatches((X, Y), 5), watching, plan, validate=validate)
    average = seen[0].astype(np.float64)
    for step, after in enumerate(seen[1:11]):
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * after
    assert np.allclose(judged[0], average, atol=1e-6)
    assert not np.allclose(judged[0], seen[10], atol=1e-3)
    assert np.array_equal(weights(module), judged[1])
    assert np.array_equal(weights(trained(None, average=0.9)[0]), weights(resumed(tmp_path, average=0.9)[0]))


def test_gradients_are_clipped() -> None:
    steps = []
    for plan in (Plan(1, clip_norm=1e-3), Plan(1, clip_value=1e-3)):
        module = nn.Linear(4, 1)
        before = weights(module)
        fit(module, Sgd(lr=1.0, momentum=0.0).make(module.parameters()), ArrayBatches((X, Y), 50), mean_square, plan)
        steps.append(np.abs(weights(module) - before))
    assert np.linalg.norm(steps[0]) == pytest.approx(1e-3, rel=1e-3)
    assert steps[1].max() == pytest.approx(1e-3, rel=1e-3)


def test_several_losses_a_batch() -> None:
    def twice(module: nn.Module, batch: Batch) -> Any:
        yield mean_square(module, batch) / 2
        yield mean_square(module, batch) / 2

    found = []
    for loss, each in ((twice, False), (twice, True)):
        torch.manual_seed(0)
        module = nn.Linear(4, 1)
        at = fit(module, Sgd(lr=0.1).make(module.parameters()), ArrayBatches((X, Y), 50), loss, Plan(2, step_each=each))
        found.append(weights(module))
        assert at.step == 2
    assert not np.array_equal(found[0], found[1])


def test_constrain_is_called_after_each_step() -> None:
    class Positive(nn.Linear):
        def constrain(self) -> None:
            with torch.no_grad():
                self.weight.clamp_(min=0)

    module = Positive(4, 1)
    fit(module, Sgd(lr=0.5).make(module.parameters()), ArrayBatches((X, -Y), 10), mean_square, Plan(1))
    assert (module.weight >= 0).all()


def test_a_loss_that_is_no_number_is_refused() -> None:
    module = nn.Linear(4, 1)
    with pytest.raises(InvalidInput, match="epoch 1, batch 1: the loss is nan"):
        fit(module, Sgd().make(module.parameters()), ArrayBatches((X * np.nan, Y), 10), mean_square, Plan(1))


def test_what_a_plan_refuses() -> None:
    with pytest.raises(InvalidInput, match="-1 is below 0"):
        Plan(-1)
    with pytest.raises(InvalidInput, match="clip-norm: 0 is not above 0"):
        Plan(1, clip_norm=0)
    with pytest.raises(InvalidInput, match="average: 1 does not lie in"):
        Plan(1, average=1)
    module = nn.Linear(4, 1)
    plan = Plan(1, watch="accuracy")
    with pytest.raises(InvalidInput, match="validation gives no 'accuracy'"):
        fit(module, Sgd().make(module.parameters()), ArrayBatches((X, Y), 10), mean_square, plan)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    with pytest.raises(InvalidInput, match="its training has clip_value None, this one 1"):
        trained(tmp_path, clip_value=1)
    module = nn.Linear(4, 2)
    batches = ArrayBatches((X, np.concatenate([Y, Y], 1)), 6, seed=5, change=noisy)
    with pytest.raises(InvalidInput, match="another network or optimiser"):
        fit(module, Adam().make(module.parameters()), batches, mean_square, Plan(3, clip_norm=1.0), checkpoint=tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = checkpoint.path_in(tmp_path)
    assert checkpoint.read(tmp_path) is None
    path.write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="damaged or no checkpoint"):
        checkpoint.read(tmp_path)
    torch.save({"a": 1}, path)
    with pytest.raises(InvalidInput, match="it is no checkpoint of snnport"):
        checkpoint.read(tmp_path)
    torch.save({"version": 99}, path)
    with pytest.raises(InvalidInput, match="its version is 99"):
        checkpoint.read(tmp_path)
    with pytest.raises(InvalidInput, match="cannot be written"):
        checkpoint.write(path / "below", {})
    assert list(tmp_path.iterdir()) == [path]


def test_batches_depend_on_seed_epoch_and_index_alone() -> None:
    batches = ArrayBatches((X, Y), 8, seed=1, change=noisy)
    assert len(batches) == 7
    for part, again in zip(batches.batch(2, 3), batches.batch(2, 3), strict=True):
        assert torch.equal(part, again)
    epoch = torch.cat([ArrayBatches((X,), 8, seed=1).batch(0, index)[0] for index in range(7)])
    assert not np.array_equal(epoch.numpy(), X)
    assert np.array_equal(np.sort(epoch.numpy(), 0), np.sort(X, 0))
    assert np.array_equal(ArrayBatches((X,), 50, shuffle=False).batch(4, 0)[0].numpy(), X)
    with pytest.raises(InvalidInput, match=r"have \[50, 49\] samples"):
        ArrayBatches((X, Y[1:]), 8)
    with pytest.raises(InvalidInput, match="0 is below 1"):
        ArrayBatches((X,), 0)
