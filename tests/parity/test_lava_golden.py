"""The engine against what Lava gave for 240 random programs (tests/golden/lava/record_parity.py), every integer of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from lava_parity import GOLDEN, differences, unpack
from lava_programs import fingerprint, lava_program

from snnport.program import Sparse

FILES = sorted(GOLDEN.glob("parity*.npz"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_engine_gives_what_lava_gave(path) -> None:
    with np.load(path) as file:
        cases = [(int(seed), *lava_program(int(seed))) for seed in file["seeds"]]
        prints = [fingerprint(program, raster) for _, program, raster in cases]
        assert prints == file["fingerprints"].tolist(), "the seeds mean other programs now: record them again"
        traces = [unpack(program, raster, file[str(seed)]) for seed, program, raster in cases]
    assert differences(cases, traces) == []


def test_recorded_programs_hold_enough_of_everything() -> None:
    found: Counter[str] = Counter()
    for path in FILES:
        with np.load(path) as file:
            seeds = file["seeds"].tolist()
            lines = [file[str(seed)] for seed in seeds]
        for seed, line in zip(seeds, lines, strict=True):
            program, raster = lava_program(seed)
            trace = unpack(program, raster, line)
            found.update(_features(program))
            found.update(p.neuron.family + " fires" for p in program.populations if trace.spikes.get(p.name, np.zeros(1)).any())
    assert sum(1 for path in FILES for _ in np.load(path)["seeds"]) >= 200
    few = {name: found[name] for name, least in LEAST.items() if found[name] < least}
    assert not few


LEAST = {
    "Dense": 150, "Sparse": 100, "Conv": 50, "Diagonal": 15, "pooled": 40, "recurrent": 60, "delay 0": 20, "delay > 1": 100,
    "exponent": 100, "odd codes of both signs": 50, "bias": 100, "gathered": 20, "a pair listed twice": 20, "graded input": 30,
    "cuba fires": 60, "cuba_reset fires": 30, "atrlif fires": 25, "integrator": 25, "graded fires": 5, "graded_relu fires": 15,
    "delta fires": 10, "sigma_delta fires": 15, "du -1": 20, "du 4095": 20, "dv 0": 20, "dv 4096": 20,
}  # fmt: skip


def _ends(synapse: Sparse):
    return zip(synapse.target.tolist(), synapse.source.tolist(), strict=True)


def _features(program) -> set[str]:
    found = {p.neuron.family for p in program.populations}
    for q in program.projections:
        codes = q.synapse.codes
        found.add(type(q.synapse).__name__)
        found |= {name for name, holds in {
            "pooled": q.pool is not None,
            "recurrent": q.source == q.target,
            "delay 0": q.delay == 0,
            "delay > 1": q.delay > 1,
            "exponent": q.exponent > 0,
            "a pair listed twice": isinstance(q.synapse, Sparse) and len({*_ends(q.synapse)}) < codes.size,
            "odd codes of both signs": codes.size > 0 and codes.min() < 0 < codes.max() and np.any(codes % 2),
        }.items() if holds}  # fmt: skip
    for p in program.populations:
        params = p.neuron.params
        found |= {f"{name} {value}" for name in ("du", "dv") for value in np.unique(params.get(name, 99))}
        found |= {"bias"} if "bias" in params or "bias_mant" in params else set()
        found |= {"graded input"} if "graded" in params else set()
        shifted = p.neuron.family.startswith("graded") and np.any(params.get("shift", 0))
        found |= {"gathered"} if shifted and ("bias" in params or len(program.into(p.name)) > 1) else set()
    return found
