"""Record what Lava gives for the programs of seeds 0 .. 239: python record_parity.py (in the checkout, after `make lava`)."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "parity"))

from lava_parity import job_of, write_golden  # noqa: E402
from lava_programs import lava_program  # noqa: E402

from snnport.targets.loihi.vendor import run_jobs  # noqa: E402

NETWORKS, FILES = 240, 6

if __name__ == "__main__":
    each = NETWORKS // FILES
    for k in range(FILES):
        cases = [(seed, *lava_program(seed)) for seed in range(k * each, (k + 1) * each)]
        write_golden(HERE / f"parity{k}.npz", cases, run_jobs([job_of(program, raster) for _, program, raster in cases]))
