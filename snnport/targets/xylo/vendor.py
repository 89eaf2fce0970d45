"""Run a program on xylosim, the vendor's open bit-exact simulator, in its own interpreter and process, through files.

Like every vendor's package it gets an environment of its own: `make xylo` installs xylosim 0.1.3 there.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnport.encoders import Stimulus
from snnport.errors import InvalidInput, UnsupportedNode
from snnport.events import read_npz
from snnport.fixed import IntArray
from snnport.program import Population, Program, Sparse
from snnport.targets.interpreter import Vendor
from snnport.targets.unrolled import unrolled
from snnport.targets.xylo.rules import hidden, matrix_of, offsets
from snnport.trace import Trace

XYLOSIM = Vendor("Xylo", "SNNPORT_XYLO_PYTHON", ".venv-xylo", "xylo", "xylosim", "xylosim")
WORKER = Path(__file__).parents[2] / "workers" / "xylo_run.py"
TIMEOUT_S = 3600
MATRICES = ("input", "recurrent", "output")
NEUTRAL = {"bias": 0, "alias": -1}


@dataclass(frozen=True, eq=False)
class Job:
    """One program and its spikes x (n_samples, n_steps, n_inputs)."""

    program: Program
    x: IntArray


def run_xylosim(
    program: Program,
    stimulus: Stimulus,
    record_spikes: Collection[str] = (),
    record_v: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """The trace of `program` on xylosim: same populations, steps and integers as sim.engine.run.

    Raises UnsupportedNode for a program that is no network of a Xylo, and InvalidInput where xylosim is missing or fails.
    """
    x = stimulus.raster(0, stimulus.n_samples)
    steps = program.n_steps or stimulus.n_steps
    padded = np.concatenate([x, np.zeros((len(x), steps - x.shape[1], x.shape[2]), x.dtype)], axis=1)
    (trace,) = run_jobs((Job(program, padded),))
    if progress is not None:
        progress(len(x), len(x))
    spikes = {name: array for name, array in trace.spikes.items() if name in record_spikes}
    return Trace(spikes, {name: array for name, array in trace.v.items() if name in record_v})


def run_jobs(jobs: Sequence[Job]) -> list[Trace]:
    """The traces of several programs, all in one process: spikes and v of every population, and its currents among the
    potentials, as "i of NAME" (n_samples, n_steps, currents x neurons)."""
    python = XYLOSIM.python()
    arrays: dict[str, Any] = {"n": np.asarray(len(jobs))}
    for k, job in enumerate(jobs):
        arrays |= {f"{k}/{name}": values for name, values in described(job.program).items()}
        arrays[f"{k}/x"] = job.x
    with tempfile.TemporaryDirectory() as name:
        paths = [str(Path(name) / part) for part in ("jobs.npz", "results.npz")]
        np.savez(paths[0], **arrays)
        done = subprocess.run(
            [str(python), str(WORKER), *paths], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise InvalidInput(
                "xylosim", f"it failed: {said[-1] if said else done.returncode}", "Use --engine sim, and report this"
            )
        results = read_npz(Path(paths[1]))
    found = [{key.split("/", 1)[1]: a for key, a in results.items() if key.startswith(f"{k}/")} for k in range(len(jobs))]
    return [_trace(job, result) for job, result in zip(jobs, found, strict=True)]


def described(program: Program) -> dict[str, IntArray]:
    """The arrays that workers/xylo_run.py takes for `program`, but its spikes. Raises UnsupportedNode."""
    cells, first = hidden(program), offsets(program)
    readout = next((p for p in program.populations if p.name in program.outputs), None)
    alien = [p.name for p in program.populations if p.neuron.family not in ("input", "xylo")]
    if alien or readout is None or len(program.inputs) != 1:
        where = ", ".join(alien) or program.chip.name
        raise UnsupportedNode(where, "xylosim runs one input, hidden neurons and one output population", "Lower it for a Xylo")
    tables: dict[str, list[IntArray]] = {kind: [] for kind in MATRICES}
    shifts: dict[str, int] = dict.fromkeys(MATRICES, 0)
    start = {**first, readout.name: 0, program.inputs[0]: 0}
    for q in program.projections:
        kind, whole = matrix_of(program, q), unrolled(q) if not isinstance(q.synapse, Sparse) or q.pool is not None else q
        synapse: Any = whole.synapse
        ends = (synapse.source + start[q.source], synapse.target + start[q.target], np.full(len(synapse.codes), q.port))
        tables[kind].append(np.stack([*ends, synapse.codes], axis=1).astype(np.int64))
        shifts[kind] = q.exponent
    job: dict[str, IntArray] = {}
    for name, kind in zip(("inputs", "recurrent", "outputs"), MATRICES, strict=True):
        job[name] = np.concatenate([np.zeros((0, 4), np.int64), *tables[kind]])
    job["shifts"] = np.array([shifts[kind] for kind in MATRICES], np.int64)
    for name in ("threshold", "dash_mem", "bias"):
        job[name] = np.concatenate([np.zeros(0, np.int64), *(_rows(p, name) for p in cells)])
        job[f"{name}_out"] = _rows(readout, name)
    aliases = [np.where((a := _rows(p, "alias")) < 0, -1, a + first[p.name]) for p in cells]
    job["alias"] = np.concatenate([np.zeros(0, np.int64), *aliases])
    names = ("dash_syn", "dash_syn_2") if any("dash_syn_2" in p.neuron.params for p in cells) else ("dash_syn",)
    job["dash_syn"] = np.stack([np.concatenate([_rows(p, name) for p in cells]) for name in names], axis=1)
    job["dash_syn_out"] = _rows(readout, "dash_syn")[:, None]
    return job


def _rows(p: Population, name: str) -> IntArray:
    field = "v_threshold" if name == "threshold" else name
    return np.broadcast_to(p.neuron.params.get(field, np.asarray(NEUTRAL.get(field, 0))), (p.size,)).astype(np.int64)


def _trace(job: Job, result: dict[str, IntArray]) -> Trace:
    program, spikes, v = job.program, {job.program.inputs[0]: job.x}, {}
    total = sum(p.size for p in hidden(program))
    for p in hidden(program):
        part = slice(offsets(program)[p.name], offsets(program)[p.name] + p.size)
        spikes[p.name], v[p.name] = result["spikes"][:, :, part], result["v"][:, :, part]
        currents = [result["i"][:, :, k + part.start : k + part.stop] for k in range(0, result["i"].shape[2], total)]
        v[f"i of {p.name}"] = np.concatenate(currents, axis=2)
    for name in program.outputs:
        spikes[name], v[name], v[f"i of {name}"] = result["spikes_out"], result["v_out"], result["i_out"]
    return Trace(spikes, v)
