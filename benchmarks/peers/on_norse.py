# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "norse==1.1.0", "numpy", "setuptools<81"]
# ///
"""A network on Norse: IAF cells, which fire where v > threshold and reset to 0."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import torch
from feedforward import Case, count, fastest, over_time, versions
from norse.torch.functional.iaf import IAFFeedForwardState, IAFParameters, iaf_feed_forward_step
from protocol import Job, serve


def prepare(request: dict[str, Any]) -> Job:
    """Three ways: all steps of a layer in one product; the same with the cell compiled; step by step through the network.

    The last is what its documentation shows.
    """
    case = Case(request)
    parameters = [IAFParameters(v_th=torch.as_tensor(t)) for t in case.thresholds]

    def layers(step: Any = iaf_feed_forward_step) -> list[torch.Tensor]:
        spikes, x = [], case.x
        for layer, p in zip(case.layers, parameters, strict=True):
            current = over_time(layer, x)
            state, steps = IAFFeedForwardState(torch.zeros_like(current[0])), []
            for i in current:
                z, state = step(i, state, p)
                steps.append(z)
            x = torch.stack(steps)
            spikes.append(x)
        return spikes

    def steps() -> list[torch.Tensor]:
        states = [IAFFeedForwardState(torch.zeros(shape)) for shape in case.shapes]
        out = []
        for z in case.x:
            for k, (layer, p) in enumerate(zip(case.layers, parameters, strict=True)):
                z, states[k] = iaf_feed_forward_step(layer(z), states[k], p)
            out.append(z)
        return [torch.stack(out)]

    ways: dict[str, Any] = {"step by step": steps}
    if request.get("documented"):
        return Job(steps, lambda spikes: count(layers()), "IAF, no_grad, step by step", versions(norse=version("norse")))
    ways["layer by layer"] = layers
    try:
        compiled = torch.compile(iaf_feed_forward_step)
        layers(compiled)
        ways["layer by layer with torch.compile"] = lambda: layers(compiled)
    except Exception as error:
        print(f"torch.compile: {error!r}"[:300])
    name, run = fastest(ways)
    return Job(run, lambda spikes: count(layers()), f"IAF, no_grad, {name}", versions(norse=version("norse")))


if __name__ == "__main__":
    serve(prepare)
