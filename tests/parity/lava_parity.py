"""One program, two executors: the engine's spikes, v and u beside Lava's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lava_programs import CURRENT, WITH_CURRENT, fingerprint, with_currents

from snnport.encoders import Stimulus
from snnport.program import Program
from snnport.sim.engine import run
from snnport.targets.loihi.vendor import Job
from snnport.trace import Trace, first_divergence

GOLDEN = Path(__file__).parents[1] / "golden" / "lava"
LIMIT = (1 << 23) - 1


def recorded(program: Program) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Populations that compute, and those of them that have a current u."""
    cells = [p for p in program.populations if p.neuron.family not in ("input", "generator")]
    return tuple(p.name for p in cells), tuple(p.name for p in cells if p.neuron.family in WITH_CURRENT)


def job_of(program: Program, raster: np.ndarray) -> Job:
    """The run on Lava that records spikes, v and u."""
    cells, currents = recorded(program)
    return Job(program, Stimulus(raster, None, raster.shape[1]), cells, cells, currents)


def by_engine(program: Program, raster: np.ndarray) -> Trace:
    """The engine's spikes and v, with u among the latter."""
    cells, currents = recorded(program)
    stimulus = Stimulus(raster, None, raster.shape[1])
    potentials = (*cells, *(CURRENT + name for name in currents))
    return run(with_currents(program), stimulus, record_spikes=cells, record_v=potentials, threads=1).trace


def by_lava(trace: Trace) -> Trace:
    """Lava's trace with u as a twin's v shows it: within 2^23 - 1. u may be 2^23, or more where a step brings a whole turn."""
    v = {name: np.clip(v.astype(np.int64), -LIMIT, LIMIT) if name.startswith(CURRENT) else v for name, v in trace.v.items()}
    return Trace(trace.spikes, v)


def differences(cases, traces) -> list[str]:
    """What differs, for each seed where something does. cases: (seed, program, raster)."""
    found = []
    for (seed, program, raster), trace in zip(cases, traces, strict=True):
        divergence = first_divergence(by_lava(trace), by_engine(program, raster))
        if divergence is not None:
            name = divergence.population.removeprefix(CURRENT)
            found.append(f"seed {seed}: {divergence}, family {program.population(name).neuron.family}")
    return found


def pack(program: Program, trace: Trace) -> np.ndarray:
    """Spikes, v and u of a trace as one line of integers, population by population."""
    cells, currents = recorded(program)
    arrays = [trace.spikes[name] for name in cells] + [trace.v[name] for name in (*cells, *(CURRENT + c for c in currents))]
    return np.concatenate([np.asarray(array, np.int32).ravel() for array in arrays])


def unpack(program: Program, raster: np.ndarray, packed: np.ndarray) -> Trace:
    """The trace that `pack` made one line of."""
    cells, currents = recorded(program)
    names = [("spikes", name) for name in cells] + [("v", name) for name in (*cells, *(CURRENT + c for c in currents))]
    arrays: dict[str, dict[str, np.ndarray]] = {"spikes": {}, "v": {}}
    at = 0
    for kind, name in names:
        shape = (len(raster), program.n_steps, program.population(name.removeprefix(CURRENT)).size)
        arrays[kind][name] = packed[at : at + int(np.prod(shape))].reshape(shape)
        at += int(np.prod(shape))
    assert at == packed.size
    return Trace(arrays["spikes"], arrays["v"])


def write_golden(path: Path, cases, traces) -> None:
    """One entry a seed: what Lava gave; "fingerprints": of the programs."""
    prints = np.array([fingerprint(program, raster) for _, program, raster in cases])
    packed = {str(seed): pack(program, trace) for (seed, program, _), trace in zip(cases, traces, strict=True)}
    np.savez_compressed(path, fingerprints=prints, seeds=np.array([seed for seed, _, _ in cases]), **packed)
