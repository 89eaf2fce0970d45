"""A training step on snnport, on the network and by the neurons' rule of a peer ("snntorch", "norse-lsnn", "norse-lif")."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import torch
from protocol import Job, serve
from torch.nn import functional
from train_cases import TrainCase

from snnport.convention import Convention
from snnport.graph import build
from snnport.nodes import AdaptiveLIF, input_node, output_node
from snnport.training.module import Held, as_module
from snnport.training.surrogates import FastSigmoid, SuperSpike


def prepare(request: dict[str, Any]) -> Job:
    """Adam on all weights; a run is forward, backward and one optimiser step."""
    case = TrainCase(request)
    torch.set_num_threads(case.threads)
    like_snntorch = case.rule == "snntorch"
    tau = case.dt / (1 - case.decay)
    rule = Convention(
        "benchmark",
        dt=case.dt,
        membrane_gain="unit" if like_snntorch or not case.recurrent else "leak",
        leaky_gain="unit",
        synapse_gain="unit",
        reset="subtract" if like_snntorch else "value",
        reset_when="next_end" if like_snntorch else "at_once",
        dtype="float32",
    )

    def full(value: float, size: int = case.hidden) -> Any:
        return np.full(size, value)

    def leaky(size: int) -> Any:
        return nir.LIF(full(tau, size), full(1, size), full(0, size), full(1, size), full(0, size))

    hidden: Any = leaky(case.hidden)
    if case.rule == "norse-lsnn":
        fields = (case.tau, case.tau / case.dt, 0.0, 1.0, 0.0, case.tau_adapt, case.beta)
        hidden = AdaptiveLIF(*map(full, fields))
    if case.rule == "norse-lif" and case.recurrent:
        hidden = nir.CubaLIF(*map(full, (case.tau, case.tau, 1.0, 0.0, 1.0, 0.0, 1.0)))
    spiking_out = like_snntorch and not case.recurrent
    readout = leaky(10) if spiking_out else nir.LI(full(tau, 10), full(1, 10), full(0, 10))
    nodes = {
        "input": input_node(case.w_in.shape[1:]),
        "first": nir.Affine(case.w_in, case.b_in),
        "hidden": hidden,
        "last": nir.Affine(case.w_out, case.b_out),
        "out": readout,
        "output": output_node(),
    }
    edges = [("input", "first"), ("first", "hidden"), ("hidden", "last"), ("last", "out"), ("out", "output")]
    if case.recurrent:
        again = nir.Affine(case.w_rec, case.b_in * 0) if like_snntorch else nir.Linear(case.w_rec)
        nodes["again"] = again
        edges += [("hidden", "again"), ("again", "hidden")]
    module = as_module(build(nodes, edges), rule, surrogate=FastSigmoid() if like_snntorch else SuperSpike(100.0))
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-4)
    x: Any = torch.from_numpy(case.x)
    given = x if case.recurrent else Held(x, case.steps)
    y = torch.from_numpy(case.y)

    def forward() -> Any:
        found = module(given, record_v=("out",))
        v = found.v["out"]
        if case.recurrent:
            return functional.cross_entropy(v[:, -1], y), found
        return functional.cross_entropy(v.flatten(0, 1), y.repeat_interleave(case.steps)) * case.steps, found

    with torch.no_grad():
        count = int(forward()[1].spikes["hidden"].sum())

    def run() -> None:
        optimiser.zero_grad(set_to_none=True)
        forward()[0].backward()
        optimiser.step()

    return Job(run, lambda _: {"hidden": count}, f"{case.threads} threads", {"torch": torch.__version__})


if __name__ == "__main__":
    serve(prepare)
