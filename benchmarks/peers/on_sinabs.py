# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "sinabs==3.1.3", "nir<=1.0.4", "numpy"]
# ///
"""A network on Sinabs: IAF neurons with a subtracting reset, which fire where v >= threshold.

One spike a step (SingleSpike); in a case with `multiple`, Sinabs's own default for a NIR file: MultiSpike, v >= -threshold.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import sinabs.layers as sl
import torch
from feedforward import Case, count, over_time, versions
from protocol import Job, serve
from sinabs.activation import MultiSpike, SingleSpike


def prepare(request: dict[str, Any]) -> Job:
    """Sinabs runs layer by layer: all steps of a layer in one product, then its neurons."""
    case = Case(request)
    x = case.x.transpose(0, 1).contiguous()
    cells = [
        sl.IAF(
            spike_threshold=torch.tensor(float(layer["threshold"])),
            spike_fn=MultiSpike if layer["multiple"] else SingleSpike,
            min_v_mem=-float(layer["threshold"]) if layer["multiple"] else None,
        ).eval()
        for layer in case.told
    ]

    def run() -> list[torch.Tensor]:
        spikes, now = [], x
        for layer, cell in zip(case.layers, cells, strict=True):
            cell.reset_states()
            now = cell(over_time(layer, now))
            spikes.append(now)
        return spikes

    kind = "MultiSpike" if case.told[0]["multiple"] else "SingleSpike"
    return Job(run, count, f"IAF with {kind}, no_grad, layer by layer", versions(sinabs=version("sinabs")))


if __name__ == "__main__":
    serve(prepare)
