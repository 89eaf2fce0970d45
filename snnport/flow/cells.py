"""One cell of a sweep: a network, data, a target and options in, a row out; done once, kept in a file, never done again.

The file's name is the hash of everything that the row depends on, so that a changed network, option or version is another cell.
It is written whole or not at all, and what it holds is the same whoever computes it: no clock and no host enters it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from snnport import __version__
from snnport.datasets import Samples
from snnport.errors import DoesNotFit, InvalidInput, SnnportError
from snnport.events import write_bytes
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import Model, ReadOptions, open_model
from snnport.flow.outcome import Outcome, RunOptions
from snnport.flow.prepare import InputOptions, Prepared, for_target, spiking
from snnport.flow.provenance import chip_hash
from snnport.flow.run import run_program
from snnport.flow.validate import classes_of
from snnport.program import Program
from snnport.report.plain import read, write
from snnport.report.sweep import DONE, FAILED, UNFIT, Row
from snnport.sim.price_file import SHIPPED
from snnport.targets.base import resolve_target

CHUNK = 1024
"""Samples that are run, counted and forgotten at a time: what bounds the memory of a cell. Part of the cell's key."""
FOLDER = "cells"
FORMAT = 1


@dataclass(frozen=True)
class Job:
    """Everything a worker needs. Paths are absolute: every worker sees the same file system. threads: of the engine.

    hashes: sha256 by the role of a file: model, input, labels, calibration. key: names the cell's file.
    """

    file: Path
    reading: ReadOptions
    input: Path
    inputs: InputOptions
    options: ConvertOptions
    target: str
    folder: Path
    hashes: tuple[tuple[str, str], ...]
    threads: int = 1
    thresholds: str = "mse"
    version: str = __version__

    @property
    def key(self) -> str:
        """The hash of what the row depends on: bytes of model, data, chip and prices, options, version."""
        inputs = {k: v for k, v in asdict(self.inputs).items() if k not in ("labels", "calibration")}
        content = {
            "format": FORMAT,
            "version": self.version,
            "chunk": CHUNK,
            "hashes": dict(self.hashes),
            "reading": asdict(self.reading),
            "inputs": inputs,
            "options": asdict(self.options),
            "thresholds": self.thresholds,
            "target": self.target if not Path(self.target).suffix else "",
            "chip": _chip(self.target),
            "prices": _prices(),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def path(self) -> Path:
        """The cell's file."""
        return self.folder / FOLDER / f"{self.key[:40]}.json"

    @property
    def empty(self) -> Row:
        """The row without results."""
        options = self.options
        return Row(_name(self.target), options.code, options.levels, options.bits, self.thresholds, FAILED)


def kept(job: Job) -> Row | None:
    """The row of a cell that was done before; None if it was not, or if its file is not what it should be."""
    try:
        data = json.loads(job.path.read_text(encoding="utf-8"))
        return read(Row, data["row"], str(job.path)) if data["key"] == job.key else None
    except (OSError, ValueError, KeyError, TypeError, InvalidInput):
        return None


def do(job: Job) -> Row:
    """The row of a cell, from its file or computed and kept. A network that cannot be ported is a row with its reason.

    Raises InvalidInput where this process cannot work for the sweep: another version of snnport, no access to its files.
    """
    if job.version != __version__:
        raise InvalidInput("worker", f"it has snnport {__version__}, the sweep {job.version}", "Install the same version")
    found = kept(job)
    if found is not None:
        return found
    row = computed(job)
    write_bytes(job.path, (json.dumps({"format": FORMAT, "key": job.key, "row": write(row)}, indent=1) + "\n").encode())
    return row


def computed(job: Job) -> Row:
    """The row of a cell; what refuses the network or its options is the row's reason."""
    _require_same(job)
    try:
        return _run(job)
    except DoesNotFit as error:
        return replace(job.empty, status=UNFIT, reason=_line(error))
    except SnnportError as error:
        return replace(job.empty, status=FAILED, reason=_line(error))


def _run(job: Job) -> Row:
    target = resolve_target(job.target)
    model, samples = _opened(job.file, job.reading, dict(job.hashes)["model"]), _loaded(_Data.of(job))
    ready = for_target(_prepared(job.file, job.reading, job.options, _Data.of(job)), target)
    check = target.check(ready.graph)
    if not check.fits:
        first, rest = check.violations[0], len(check.violations) - 1
        reason = f"{first.where}: {first.message}" + (f" (and {rest} more)" if rest else "")
        return replace(job.empty, status=UNFIT, reason=reason)
    program = target.lower(ready.graph)
    total = _Total()
    for part in chunks(samples):
        outcome = run_program(program, part, RunOptions(threads=job.threads))
        agreed = None
        if samples.y is None and model.is_ann:
            agreed = int((classes_of(model.graph, part) == outcome.predictions).sum())
        total = total.plus(outcome, agreed)
    return total.row(job.empty, program)


def chunks(samples: Samples) -> Iterator[Samples]:
    """The samples, CHUNK at a time."""
    for start in range(0, samples.n_samples, CHUNK):
        yield samples.part(start, start + CHUNK)


@dataclass(frozen=True)
class _Total:
    """Sums over the chunks so far; None where one of them has no such figure."""

    samples: int = 0
    correct: int | None = 0
    agreed: int | None = 0
    steps: int = 0
    cycles: int | None = 0
    time_s: float | None = 0.0
    energy: tuple[float, float, float] | None = (0.0, 0.0, 0.0)
    model: str = ""
    operations: int = 0
    spikes: int = 0
    chips: int = 0

    def plus(self, outcome: Outcome, agreed: int | None) -> _Total:
        counts = outcome.counts
        assert counts is not None
        first = outcome.energy[0] if outcome.energy else None
        cycles = counts.total_cycles
        energy = None
        if first is not None and self.energy is not None:
            low, mid, high = self.energy
            energy = (low + first.low_j, mid + first.mid_j, high + first.high_j)
        return _Total(
            self.samples + len(outcome.predictions),
            None if self.correct is None or outcome.correct is None else self.correct + outcome.correct,
            None if self.agreed is None or agreed is None else self.agreed + agreed,
            outcome.n_steps,
            None if self.cycles is None or cycles is None else self.cycles + cycles,
            None if self.time_s is None or outcome.time_s is None else self.time_s + outcome.time_s,
            energy,
            first.model if first else "",
            self.operations + sum(counts.synaptic_operations.values()),
            self.spikes + sum(counts.spikes.values()),
            max(self.chips, counts.chips),
        )

    def row(self, empty: Row, program: Program) -> Row:
        """The means over the samples."""
        n = max(self.samples, 1)

        def mean(value: float | None) -> float | None:
            return None if value is None else value / n

        low, mid, high = (None, None, None) if self.energy is None else self.energy
        return replace(
            empty,
            status=DONE,
            samples=self.samples,
            correct=self.correct,
            accuracy=mean(self.correct),
            agreement=mean(self.agreed),
            steps=self.steps,
            latency_s=mean(self.time_s),
            cycles=mean(self.cycles),
            energy_model=self.model,
            energy_j=mean(mid),
            energy_low_j=mean(low),
            energy_high_j=mean(high),
            synaptic_operations=mean(self.operations),
            spikes=mean(self.spikes),
            chips=max(self.chips, len({p.chip for p in program.placements})),
        )


@dataclass(frozen=True)
class _Data:
    """What names the samples of a sweep, for the caches below."""

    file: Path
    reading: ReadOptions
    input: Path
    inputs: InputOptions
    hashes: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, job: Job) -> _Data:
        return cls(job.file, job.reading, job.input, job.inputs, job.hashes)


# A worker gets many cells of one network and one set of samples: what they share is opened once. The sizes bound its memory.
@lru_cache(maxsize=1)
def _opened(file: Path, reading: ReadOptions, sha256: str) -> Model:
    model = open_model(file, reading)
    if model.sha256 != sha256:
        raise InvalidInput(str(file), "it has changed since the sweep began", "Start the sweep again")
    return model


@lru_cache(maxsize=1)
def _loaded(data: _Data) -> Samples:
    model = _opened(data.file, data.reading, dict(data.hashes)["model"])
    return data.inputs.load(data.input, model, labels=data.inputs.labels)


@lru_cache(maxsize=2)
def _prepared(file: Path, reading: ReadOptions, options: ConvertOptions, data: _Data) -> Prepared:
    return spiking(_opened(file, reading, dict(data.hashes)["model"]), data.inputs, options, _loaded(data))


def _require_same(job: Job) -> None:
    """Every file of the job can be read here, and the network is the one that the sweep began with."""
    for path in (job.file, job.input, job.inputs.labels, job.inputs.calibration):
        if path is not None and not os.access(path, os.R_OK):
            what = "a worker cannot read it"
            raise InvalidInput(str(path), what, "Put it where all workers see it, under the same path")
    _opened(job.file, job.reading, dict(job.hashes)["model"])


@lru_cache(maxsize=64)
def _chip(target: str) -> str:
    return chip_hash(resolve_target(target))


@lru_cache(maxsize=64)
def _name(target: str) -> str:
    return resolve_target(target).chip.name


@lru_cache(maxsize=1)
def _prices() -> str:
    whole = hashlib.sha256()
    for path in sorted(SHIPPED.glob("*.toml")):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def _line(error: SnnportError) -> str:
    return " ".join(str(error).split())
