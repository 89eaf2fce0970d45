# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "spikingjelly[nir]==2.0.0", "numpy"]
# ///
"""A network on SpikingJelly: IFNode in multi-step mode, subtracting reset, which fires where v >= threshold."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import torch
from feedforward import Case, count, over_time, versions
from protocol import Job, serve
from spikingjelly.activation_based import neuron


def prepare(request: dict[str, Any]) -> Job:
    """Multi-step mode: all steps of a layer in one product, then its neurons in SpikingJelly's own CPU operator."""
    case = Case(request)
    cells = [neuron.IFNode(v_threshold=t, v_reset=None, step_mode="m").eval() for t in case.thresholds]

    def run() -> list[torch.Tensor]:
        spikes, now = [], case.x
        for layer, cell in zip(case.layers, cells, strict=True):
            cell.reset()
            now = cell(over_time(layer, now))
            spikes.append(now)
        return spikes

    return Job(run, count, "IFNode, step_mode m, no_grad, layer by layer", versions(spikingjelly=version("spikingjelly")))


if __name__ == "__main__":
    serve(prepare)
