# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "snntorch==1.0.0", "numpy"]
# ///
"""A training step on snnTorch: Leaky and RLeaky, reset by subtraction in the next step (its default), fast sigmoid."""

from __future__ import annotations

from typing import Any

import snntorch
import torch
from protocol import Job, serve
from snntorch import surrogate
from torch.nn import functional
from train_cases import TrainCase


def prepare(request: dict[str, Any]) -> Job:
    """Adam on all weights; a run is forward, backward and one optimiser step."""
    case = TrainCase(request)
    torch.set_num_threads(case.threads)
    grad = surrogate.fast_sigmoid(slope=25)
    first = torch.nn.Linear(*reversed(case.w_in.shape))
    last = torch.nn.Linear(*reversed(case.w_out.shape))
    with torch.no_grad():
        for layer, weight, bias in ((first, case.w_in, case.b_in), (last, case.w_out, case.b_out)):
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
    readout = snntorch.Leaky(beta=case.decay, spike_grad=grad)
    modules = [first, last, readout]
    if case.recurrent:
        cell: Any = snntorch.RLeaky(beta=case.decay, linear_features=case.hidden, spike_grad=grad, all_to_all=True)
        readout = snntorch.Leaky(beta=case.decay, reset_mechanism="none", spike_grad=grad)
        with torch.no_grad():
            cell.recurrent.weight.copy_(torch.from_numpy(case.w_rec))
            cell.recurrent.bias.zero_()
    else:
        cell = snntorch.Leaky(beta=case.decay, spike_grad=grad)
    modules.append(cell)
    optimiser = torch.optim.Adam([p for m in modules for p in m.parameters() if p.requires_grad], lr=1e-4)
    x, y = torch.from_numpy(case.x), torch.from_numpy(case.y)

    def forward() -> tuple[Any, Any]:
        out = readout.reset_mem()
        spikes: Any = 0
        loss: Any = 0
        if case.recurrent:
            z, v = cell.reset_mem()
            for t in range(case.steps):
                z, v = cell(first(x[:, t]), z, v)
                spikes = spikes + z.detach().sum()
                _, out = readout(last(z), out)
            loss = functional.cross_entropy(out, y)
        else:
            v = cell.reset_mem()
            for _ in range(case.steps):
                z, v = cell(first(x), v)
                spikes = spikes + z.detach().sum()
                _, out = readout(last(z), out)
                loss = loss + functional.cross_entropy(out, y)
        return loss, spikes

    with torch.no_grad():
        hidden = int(forward()[1])

    def run() -> None:
        optimiser.zero_grad(set_to_none=True)
        forward()[0].backward()
        optimiser.step()

    versions = {"torch": torch.__version__, "snntorch": snntorch.__version__}
    return Job(run, lambda _: {"hidden": hidden}, f"{case.threads} threads", versions)


if __name__ == "__main__":
    serve(prepare)
