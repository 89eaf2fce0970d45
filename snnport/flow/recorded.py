"""Replay recorded runs of a chip and say in which fields the engine differs from the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snnport.errors import InvalidInput
from snnport.targets.base import resolve_target
from snnport.targets.tinyodin.case import field_names, load_case, replay

TARGET = "tinyodin"


def replay_recorded(files: Sequence[Path], target: str, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """The document of `run --recorded --json`: for every file each field that differs. All files are read first.

    Raises InvalidInput for a target without recorded runs, no file, or a file that is no recorded run.
    """
    if resolve_target(target).name != TARGET:
        raise InvalidInput(f"--target {target}", "recorded runs are runs of tinyodin", f"Use --target {TARGET}")
    if not files:
        raise InvalidInput("--recorded", "no file is given", "Give one recorded .npz or more")
    cases = [load_case(path) for path in files]
    start = time.perf_counter()
    found: list[dict[str, Any]] = []
    for number, (path, case) in enumerate(zip(files, cases, strict=True)):
        outputs, differences = replay(case)
        found.append(
            {
                "file": str(path),
                "equal": not differences,
                "completed": bool(outputs.completed),
                "cycles": outputs.end_cycle,
                "events": len(case.inputs.ev_addr),
                "spikes": len(outputs.spk_cycle),
                "services": len(outputs.srv_entry),
                "differences": [asdict(difference) for difference in differences],
            }
        )
        if progress is not None:
            progress(number + 1, len(files))
    return {
        "schema": 1,
        "target": TARGET,
        "engine": "sim",
        "fields": list(field_names()),
        "cases": found,
        "equal": all(case["equal"] for case in found),
        "cycles": sum(case["cycles"] for case in found),
        "wall_s": time.perf_counter() - start,
    }
