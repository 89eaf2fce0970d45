"""How the speed benchmark talks to a contender: one JSON object a line, in on standard input, out on standard output.

A contender is a script with a function `prepare(request) -> Job`. The driver sends {"prepare": request} once and gets
{"config", "versions"}; then {"run": seconds} as often as it likes, and gets {"wall_s", "repeats", "seconds", "spikes"}: the
shortest wall time of one call of job.run among as many as fit into that time (at least one). What job.run returns is
counted by job.count, outside of the time that is taken. Whatever a library prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Job:
    """run: the work that is timed. count: population -> spikes of what `run` returned. config: what was chosen, in words.

    seconds: if given, reads the time that the run took by the contender's own clock out of what `run` returned (a run loop
    without its set-up, where the set-up cannot be done beforehand).
    """

    run: Callable[[], Any]
    count: Callable[[Any], Mapping[str, int]]
    config: str
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: Callable[[Any], float] | None = None


def serve(prepare: Callable[[dict[str, Any]], Job]) -> None:
    """Answer the driver until its end of the pipe closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    job: Job | None = None
    for line in sys.stdin:
        message = json.loads(line)
        if "prepare" in message:
            job = prepare(message["prepare"])
            reply: dict[str, Any] = {"config": job.config, "versions": dict(job.versions)}
        else:
            assert job is not None
            reply = measure(job, float(message["run"]))
        print(json.dumps(reply), file=answers)


def measure(job: Job, seconds: float) -> dict[str, Any]:
    """The shortest of the runs that fit into `seconds`."""
    begun = time.perf_counter()
    walls: list[float] = []
    while not walls or time.perf_counter() - begun + min(walls) < seconds:
        start = time.perf_counter()
        result = job.run()
        wall = time.perf_counter() - start
        walls.append(wall if job.seconds is None else job.seconds(result))
    return {"wall_s": min(walls), "repeats": len(walls), "spikes": {k: int(v) for k, v in job.count(result).items()}}
