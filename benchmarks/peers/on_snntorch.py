# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "snntorch==1.0.0", "numpy"]
# ///
"""A network on snnTorch: Leaky neurons with beta 1, subtracting reset, which fire where v > threshold."""

from __future__ import annotations

from typing import Any

import snntorch
import torch
from feedforward import Case, count, fastest, over_time, versions
from protocol import Job, serve


def prepare(request: dict[str, Any]) -> Job:
    """Two ways: all steps of a layer in one product, then its neurons step by step; or step by step through the network.

    The second is what its documentation shows.
    """
    case = Case(request)
    cells = [snntorch.Leaky(beta=1.0, threshold=t, reset_mechanism="subtract").eval() for t in case.thresholds]

    def layers() -> list[torch.Tensor]:
        spikes, x = [], case.x
        for layer, cell in zip(case.layers, cells, strict=True):
            current = over_time(layer, x)
            v, steps = cell.reset_mem(), []
            for i in current:
                z, v = cell(i, v)
                steps.append(z)
            x = torch.stack(steps)
            spikes.append(x)
        return spikes

    def steps() -> list[torch.Tensor]:
        potentials = [cell.reset_mem() for cell in cells]
        out = []
        for z in case.x:
            for k, (layer, cell) in enumerate(zip(case.layers, cells, strict=True)):
                z, potentials[k] = cell(layer(z), potentials[k])
            out.append(z)
        return [torch.stack(out)]

    documented = {"step by step": steps}
    name, run = fastest(documented if request.get("documented") else {"layer by layer": layers, **documented})
    return Job(run, lambda spikes: count(layers()), f"Leaky, no_grad, {name}", versions(snntorch=snntorch.__version__))


if __name__ == "__main__":
    serve(prepare)
