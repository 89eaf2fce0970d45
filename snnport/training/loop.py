"""The training loop: any torch module, any loss, batches in a fixed order, checkpoints from which the same weights come.

What a run does depends on its plan, its batches, the module it starts from and the number of threads, and on nothing
else; so a run that was killed and resumed ends with the weights of one that was not, bit for bit.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from snnport.errors import InvalidInput
from snnport.training.batches import Batch, Batches
from snnport.training.checkpoint import random_states, read, restore_random, write
from snnport.training.parallel import Group
from snnport.training.schedules import Constant, Schedule

Loss: TypeAlias = Callable[[nn.Module, Batch], "torch.Tensor | Iterable[torch.Tensor]"]
"""The mean loss of a batch; or several in turn (truncated backpropagation), each followed back before the next is asked for."""
Validate: TypeAlias = Callable[[nn.Module], Mapping[str, float]]
Report: TypeAlias = Callable[[int, int, str], None]
"""progress(done, total, text): batches so far, batches in all, and what the last epoch gave."""


@dataclass(frozen=True)
class Plan:
    """How long and how carefully to train.

    epochs: times through the batches. clip_norm: gradients longer than this are shortened to it, all parameters together.
    clip_value: no component of a gradient lies beyond this. step_each: an optimiser step after each loss of a batch that gives
    several, in place of one after all. watch: the number of `validate` that decides which epoch is best ("" for none: the
    loss); maximise: whether more of it is better. patience: epochs without a better one before the training stops, 0 to
    never stop early. keep_best: end with the weights of the best epoch. average: decay a step of a moving average of the
    parameters (B. Polyak, A. Juditsky, SIAM J. Control Optim. 30, 1992), which `validate` then judges and the training ends
    with, 0 for none. every: batches between two checkpoints, 0 for one an epoch. seconds: stop after this time, and one batch
    at least, with a checkpoint (None for no limit).
    """

    epochs: int
    clip_norm: float | None = None
    clip_value: float | None = None
    step_each: bool = False
    watch: str = ""
    maximise: bool = True
    patience: int = 0
    keep_best: bool = False
    average: float = 0.0
    every: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise InvalidInput("epochs", f"{self.epochs} is below 0")
        if not 0 <= self.average < 1:
            raise InvalidInput("average", f"{self.average} does not lie in [0, 1)")
        for name in ("clip_norm", "clip_value", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInput(name.replace("_", "-"), f"{value} is not above 0")


@dataclass
class Progressed:
    """Where a training stands; it grows as the training goes on.

    epoch, batch: the next batch. step: optimiser steps so far. loss: sum over the batches of this epoch. log: one entry an
    epoch. best, best_epoch: the watched number at its best. finished: whether nothing is left to do. seconds: of work.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: float = 0.0
    best: float | None = None
    best_epoch: int = -1
    finished: bool = False
    seconds: float = 0.0
    log: list[dict[str, float]] = field(default_factory=list)


def fit(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Batches,
    loss: Loss,
    plan: Plan,
    *,
    schedule: Schedule | None = None,
    validate: Validate | None = None,
    checkpoint: Path | None = None,
    progress: Report | None = None,
    group: Group | None = None,
) -> Progressed:
    """Train `module` in place; returns what happened, with `finished` False where `seconds` ran out.

    checkpoint: a folder; a checkpoint that lies in it is taken up. validate: after each epoch, on the module in evaluation
    mode; its numbers go into the log. A method `constrain` of the module is called after each optimiser step. Ctrl-C leaves a
    checkpoint and raises KeyboardInterrupt. Raises InvalidInput where the loss is no number or the checkpoint is not of this
    training.
    """
    run = _Run(module, optimiser, batches, loss, plan, schedule or Constant(), checkpoint, group or Group())
    run.begin()
    with _interrupts() as interrupted:
        while run.at.epoch < plan.epochs and not run.at.finished:
            while run.at.batch < len(batches):
                if interrupted() or run.out_of_time():
                    run.save()
                    if interrupted():
                        raise KeyboardInterrupt
                    return run.at
                run.one_batch()
                if progress is not None:
                    progress(run.at.epoch * len(batches) + run.at.batch, plan.epochs * len(batches), run.told())
                if plan.every and run.at.batch % plan.every == 0 and run.at.batch < len(batches):
                    run.save()
            run.end_epoch(validate)
            run.save()
    run.end()
    return run.at


@dataclass
class _Run:
    """A training at work."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    batches: Batches
    loss: Loss
    plan: Plan
    schedule: Schedule
    folder: Path | None
    group: Group
    at: Progressed = field(default_factory=Progressed)
    best: dict[str, Any] | None = None
    average: dict[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        self.since = time.perf_counter()
        self.before = 0.0
        self.first_step = 0

    def begin(self) -> None:
        """Take up a checkpoint if there is one."""
        state = None if self.folder is None else read(self.folder)
        if state is not None:
            self._restore(state)
        self.first_step = self.at.step
        self.group.begin(self.module)
        if self.plan.average and not self.average:
            self.average = {name: value.detach().clone() for name, value in self.module.named_parameters()}

    def out_of_time(self) -> bool:
        """Whether the time of this piece is over; every piece does one batch at least."""
        spent = time.perf_counter() - self.since
        late = self.plan.seconds is not None and self.at.step > self.first_step and spent >= self.plan.seconds
        return bool(self.group.add(float(late))) if self.plan.seconds is not None else False

    def one_batch(self) -> None:
        """Follow the loss of the next batch back, and let the optimiser step."""
        whole = self.batches.batch(self.at.epoch, self.at.batch)
        weight = self.group.part(whole)
        own = tuple(part.to(self.device) for part in self.group.share(whole))
        self.module.train()
        total = self.plan.epochs * len(self.batches)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.schedule.factor(self.at.step, total)
        self.optimiser.zero_grad(set_to_none=True)
        found = self.loss(self.module, own) if weight else ()
        value = 0.0
        for part in (found,) if isinstance(found, torch.Tensor) else found:
            (part * weight if weight != 1 else part).backward()  # type: ignore[no-untyped-call]
            value += float(part.detach()) * weight
            if self.plan.step_each:
                self._step()
                self.optimiser.zero_grad(set_to_none=True)
        value = self.group.add(value)
        if not math.isfinite(value):
            where = f"epoch {self.at.epoch + 1}, batch {self.at.batch + 1}"
            raise InvalidInput(where, f"the loss is {value}", "Lower the learning rate or clip the gradient")
        if not self.plan.step_each:
            self._step()
        self.at.loss += value
        self.at.batch += 1
        self.at.step += 1

    def _step(self) -> None:
        self.group.add_gradients(self.module)
        parameters = [p for p in self.module.parameters() if p.grad is not None]
        if self.plan.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, self.plan.clip_value)
        if self.plan.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, self.plan.clip_norm)
        self.optimiser.step()
        constrain = getattr(self.module, "constrain", None)
        if constrain is not None:
            constrain()
        if self.average:
            self._follow()

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the average follow; early on it forgets faster, since its first values are of untrained parameters."""
        decay = min(self.plan.average, (1 + self.at.step) / (10 + self.at.step))
        for name, value in self.module.named_parameters():
            self.average[name].lerp_(value, 1 - decay)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The module with the averages as its parameters, if there are any."""
        own = {name: value.detach().clone() for name, value in self.module.named_parameters()} if self.average else {}
        self.module.load_state_dict(self.average, strict=False)
        try:
            yield
        finally:
            self.module.load_state_dict(own, strict=False)

    def end_epoch(self, validate: Validate | None) -> None:
        """Close the epoch: log it, keep it if it is the best, stop if no better one came for too long."""
        entry = {"epoch": float(self.at.epoch + 1), "loss": self.at.loss / max(len(self.batches), 1)}
        if validate is not None:
            self.module.eval()
            with torch.no_grad(), self._averaged():
                entry |= {name: float(value) for name, value in validate(self.module).items()}
        watched = self.plan.watch or "loss"
        if watched not in entry:
            raise InvalidInput("watch", f"validation gives no '{watched}'", f"It gives: {', '.join(entry)}")
        better = self.at.best is None or (
            entry[watched] > self.at.best if self.plan.watch and self.plan.maximise else entry[watched] < self.at.best
        )
        if better:
            self.at.best, self.at.best_epoch = entry[watched], self.at.epoch
            if self.plan.keep_best:
                self.best = deepcopy({**self.module.state_dict(), **self.average})
        self.at.log.append(entry)
        self.at.epoch, self.at.batch, self.at.loss = self.at.epoch + 1, 0, 0.0
        waited = self.at.epoch - 1 - self.at.best_epoch
        self.at.finished = self.at.epoch >= self.plan.epochs or bool(self.plan.patience and waited >= self.plan.patience)

    def end(self) -> None:
        """Leave the module as it shall be."""
        self.at.finished = True
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate
        if self.best is not None:
            self.module.load_state_dict(self.best)
        elif self.average:
            self.module.load_state_dict(self.average, strict=False)
        self.module.eval()
        self.at.seconds = self.before + time.perf_counter() - self.since

    def told(self) -> str:
        """The last epoch in words."""
        last = self.at.log[-1] if self.at.log else {}
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in last.items() if name != "epoch")
        return f"epoch {self.at.epoch + 1} of {self.plan.epochs}" + (f" ({numbers})" if numbers else "")

    def save(self) -> None:
        """Write the checkpoint, in the first process."""
        self.at.seconds = self.before + time.perf_counter() - self.since
        if self.folder is not None and self.group.first:
            write(
                self.folder,
                {
                    "plan": _essence(self.plan, len(self.batches)),
                    "at": asdict(self.at),
                    "module": self.module.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "random": random_states(),
                    "best": self.best,
                    "average": self.average,
                },
            )
        self.group.wait()

    def _restore(self, state: Mapping[str, Any]) -> None:
        here = _essence(self.plan, len(self.batches))
        different = [name for name, value in here.items() if state["plan"].get(name) != value]
        remedy = "Resume with the options it began with, or delete the checkpoint"
        if different:
            name = different[0]
            what = f"its training has {name} {state['plan'].get(name)}, this one {here[name]}"
            raise InvalidInput(f"checkpoint in {self.folder}", what, remedy)
        try:
            self.module.load_state_dict(state["module"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError):
            raise InvalidInput(f"checkpoint in {self.folder}", "it holds another network or optimiser", remedy) from None
        restore_random(state["random"])
        self.best = state["best"]
        self.average = state["average"]
        self.at = replace(Progressed(), **state["at"])
        self.before = self.at.seconds


def _essence(plan: Plan, n_batches: int) -> dict[str, Any]:
    """What must be the same for a run to go on: the plan but for its times, and the number of batches."""
    kept = {name: value for name, value in asdict(plan).items() if name not in ("every", "seconds")}
    return {**kept, "batches": n_batches}


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is noted and asked for between batches; a second one interrupts at once."""
    seen = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield seen.is_set
        return
    old = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        if seen.is_set():
            raise KeyboardInterrupt
        seen.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield seen.is_set
    finally:
        signal.signal(signal.SIGINT, old)
