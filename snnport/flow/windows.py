"""Whether every population of the delay code was silent after its window: if not, a run has no meaning, and says so."""

from __future__ import annotations

import numpy as np

from snnport.errors import DoesNotFit
from snnport.program import Program
from snnport.sim.counts import Counts


def require_silence(program: Program, counts: Counts) -> None:
    """Raise DoesNotFit for the first population of a program in the delay code that fired after its window.

    Its targets took the charge for all there was; the next layers may be wrong, and nothing tells by how much.
    """
    if program.meta.get("code") != "delay":
        return
    windows = program.meta.get("windows") or {}
    for name, spikes in counts.spikes_per_step.items():
        if name not in windows or windows[name]["role"] != "free":
            continue
        end = int(windows[name]["open"]) + int(windows[name]["levels"])
        late = int(np.sum(spikes[end:]))
        if late:
            last = int(np.flatnonzero(spikes)[-1])
            levels = windows[name]["levels"]
            what = f"{late} spikes left it after its window of {levels} steps, the last {last - end + 1} steps late"
            remedy = f"Convert with --steps {last - int(windows[name]['open']) + 1} or more, or with --code gate"
            raise DoesNotFit(f"delay: {name}", what, remedy)
