# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "norse==1.1.0", "numpy"]
# ///
"""A training step on Norse: LIFBox, and its LSNN and LIF with recurrence, reset to a value, SuperSpike."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import norse.torch as snn
import torch
from protocol import Job, serve
from torch.nn import functional
from train_cases import TrainCase


def prepare(request: dict[str, Any]) -> Job:
    """Adam on all weights; a run is forward, backward and one optimiser step. rule: "lsnn" or "lif", for recurrent cases."""
    case = TrainCase(request)
    torch.set_num_threads(case.threads)
    last = torch.nn.Linear(*reversed(case.w_out.shape))
    first = torch.nn.Linear(*reversed(case.w_in.shape))
    with torch.no_grad():
        for layer, weight, bias in ((first, case.w_in, case.b_in), (last, case.w_out, case.b_out)):
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
    rate = torch.as_tensor(1 / case.tau)
    modules: list[Any] = [last]
    x, y = torch.from_numpy(case.x), torch.from_numpy(case.y)
    if case.recurrent:
        # Its LSNN has a current besides; gone after a step it only delays, and weights take its gain. Its trace rises by beta
        # times the rate, and is not scaled by the step.
        adaptive = case.rule == "lsnn"
        syn = torch.as_tensor(1 / (case.dt if adaptive else case.tau))
        gain = case.tau / case.dt if adaptive else 1.0
        if adaptive:
            p: Any = snn.LSNNParameters(
                tau_mem_inv=rate,
                tau_syn_inv=syn,
                tau_adapt_inv=torch.as_tensor(1 / case.tau_adapt),
                beta=torch.as_tensor(case.beta * case.dt),
            )
            cell: Any = snn.LSNNRecurrentCell(case.x.shape[2], case.hidden, p=p, dt=case.dt)
        else:
            p = snn.LIFParameters(tau_mem_inv=rate, tau_syn_inv=syn)
            cell = snn.LIFRecurrentCell(case.x.shape[2], case.hidden, p=p, dt=case.dt)
        with torch.no_grad():
            cell.input_weights.copy_(torch.from_numpy(case.w_in) * gain)
            cell.recurrent_weights.copy_(torch.from_numpy(case.w_rec) * gain)
    else:
        p = snn.LIFBoxParameters(tau_mem_inv=torch.as_tensor((1 - case.decay) / case.dt))
        cell = snn.LIFBoxCell(p, dt=case.dt)
        modules.append(first)
    readout = snn.LIBoxCell(snn.LIBoxParameters(tau_mem_inv=torch.as_tensor((1 - case.decay) / case.dt)), dt=case.dt)
    modules.append(cell)
    optimiser = torch.optim.Adam([p for m in modules for p in m.parameters() if p.requires_grad], lr=1e-4)

    def forward() -> tuple[Any, Any]:
        state = out_state = None
        spikes: Any = 0
        loss: Any = 0
        out: Any = None
        for t in range(case.steps):
            given = x[:, t] if case.recurrent else first(x) / (1 - case.decay)
            z, state = cell(given, state)
            spikes = spikes + z.detach().sum()
            out, out_state = readout(last(z) / (1 - case.decay), out_state)
            if not case.recurrent:
                loss = loss + functional.cross_entropy(out, y)
        return (functional.cross_entropy(out, y) if case.recurrent else loss), spikes

    with torch.no_grad():
        hidden = int(forward()[1])

    def run() -> None:
        optimiser.zero_grad(set_to_none=True)
        forward()[0].backward()
        optimiser.step()

    return Job(
        run, lambda _: {"hidden": hidden}, f"{case.threads} threads", {"torch": torch.__version__, "norse": version("norse")}
    )


if __name__ == "__main__":
    serve(prepare)
