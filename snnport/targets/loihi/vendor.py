"""Run a program on Lava's fixed-point models, in Lava's own interpreter and process, through files (workers/lava_run.py).

Lava 0.10.0 needs Python 3.10 and numpy < 2, so `make lava` gives it an environment of its own. What Lava would silently
change (codes that it clips or truncates, parameters that its processes lack) is refused here, before anything runs.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnport.encoders import Stimulus
from snnport.errors import DoesNotFit, InvalidInput
from snnport.program import Program
from snnport.targets.interpreter import Vendor
from snnport.targets.loihi.copies import copied, copies_for, gathered, scattered
from snnport.targets.loihi.lavable import check_lava
from snnport.targets.streamed import streamed, streams, unstreamed
from snnport.trace import Trace

LAVA = Vendor("Lava", "SNNPORT_LAVA_PYTHON", ".venv-lava", "lava", "lava.proc", "lava-nc")
WORKER = Path(__file__).parents[2] / "workers" / "lava_run.py"
TIMEOUT_S = 24 * 3600
LAST_LINES = 200


@dataclass(frozen=True, eq=False)
class Job:
    """One program, its stimulus, and the populations to record."""

    program: Program
    stimulus: Stimulus
    spikes: tuple[str, ...] = ()
    v: tuple[str, ...] = ()
    u: tuple[str, ...] = ()


def run_lava(
    program: Program,
    stimulus: Stimulus,
    record_spikes: Collection[str] = (),
    record_v: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """The trace of `program` on Lava: same populations, steps and integers as sim.engine.run. Many samples run as copies.

    Samples of the graded code follow one another in every step, which its neurons, that keep nothing, allow.
    Raises what check_lava and LAVA.python raise, and InvalidInput if Lava fails, with the last line it wrote.
    """
    if streams(program) and stimulus.n_samples > 1:
        stream, rows = streamed(program, stimulus)
        found = run_jobs((Job(stream, rows, tuple(record_spikes), tuple(record_v)),), progress)[0]
        return unstreamed(program, stimulus.n_samples, found)
    check_lava(program)
    n_samples, recorded = stimulus.n_samples, (tuple(record_spikes), tuple(record_v))
    count = copies_for(program, n_samples) if _kept_as_lists(program) else 1
    if count == 1:
        return run_jobs((Job(program, stimulus, *recorded),), progress)[0]
    x = gathered(program, stimulus.raster(0, n_samples), count)
    job = Job(copied(program, count), Stimulus(x, None, x.shape[1]), *recorded)
    told = None if progress is None else _by_group(progress, count, n_samples)
    return scattered(run_jobs((job,), told)[0], count, n_samples)


def _kept_as_lists(program: Program) -> bool:
    """Whether Lava keeps the codes of convolutions in lists too, as copies have them."""
    try:
        check_lava(copied(program, 1))
    except DoesNotFit:
        return False
    return True


def _by_group(progress: Callable[[int, int], None], count: int, n_samples: int) -> Callable[[int, int], None]:
    return lambda done, _: progress(min(done * count, n_samples), n_samples)


def run_jobs(jobs: Sequence[Job], progress: Callable[[int, int], None] | None = None) -> list[Trace]:
    """The traces of several programs, all in one process: Lava takes seconds to start.

    Traces hold u among their potentials as "u of NAME". progress: called with (samples done, samples) of the job at work.
    Raises what run_lava raises.
    """
    python = LAVA.python()
    for job in jobs:
        check_lava(job.program)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = [_write(job, folder, k) for k, job in enumerate(jobs)]
        (folder / "jobs.json").write_text(json.dumps(listed), encoding="utf-8")
        _run([str(python), str(WORKER), str(folder / "jobs.json")], folder, progress)
        return [Trace.load(Path(str(paths["trace"]))) for paths in listed]


def _write(job: Job, folder: Path, k: int) -> dict[str, object]:
    paths = {part: str(folder / f"{part}{k}.npz") for part in ("program", "stimulus", "trace")}
    job.program.save(Path(paths["program"]))
    np.savez(paths["stimulus"], x=job.stimulus.raster(0, job.stimulus.n_samples))
    return {**paths, "spikes": job.spikes, "v": job.v, "u": job.u}


def _run(command: Sequence[str], folder: Path, progress: Callable[[int, int], None] | None) -> None:
    """Run the worker; Lava starts a process for each of its own, so all of its group ends with it."""
    lines: deque[str] = deque(maxlen=LAST_LINES)
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder, start_new_session=True
        )
    except OSError as error:
        raise InvalidInput(command[0], f"it cannot be run: {error}", LAVA.remedy) from None
    assert process.stderr is not None
    try:
        for line in process.stderr:
            counted = re.fullmatch(r"(\d+) of (\d+) samples", line.strip())
            if counted is None:
                lines.append(line.strip())
            elif progress is not None:
                progress(int(counted[1]), int(counted[2]))
        code = process.wait(TIMEOUT_S)
    finally:
        _end(process)
    if code:
        said = next((line for line in reversed(lines) if line), f"exit code {code}")
        raise InvalidInput("Lava", f"it failed: {said}", "Run it with --engine sim, and report this")


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
