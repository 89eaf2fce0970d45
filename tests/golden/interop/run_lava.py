"""Run one network of record_lava.py on Lava's processes, in Lava's own interpreter: python run_lava.py NETWORK.npz RESULT.npz.

NETWORK.npz: `plan` (JSON: fixed, steps, populations with shape, connections with source, target, kind, options), `x`
(n_samples, n_steps, n), `du/NAME`, `dv/NAME`, `vth/NAME`, `bias/NAME`, `weight/INDEX`. RESULT.npz: `spikes/NAME`, `v/NAME`.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor


def one(values):
    """A number where all are the same, else the array."""
    flat = np.unique(values)
    return flat[0].item() if flat.size == 1 else values


def run(plan, arrays, x):
    """Spikes and v (n_steps, n) of every population, for one sample x (n_steps, n)."""
    steps = plan["steps"]
    processes, sinks, monitors = {"input": Source(data=x.T.astype(int if plan["fixed"] else float))}, {}, {}
    for name, shape in plan["populations"].items():
        n = int(np.prod(shape))
        fields = {key: one(arrays[f"{key}/{name}"]) for key in ("du", "dv", "vth")}
        cells = processes[name] = LIF(shape=(n,), bias_mant=arrays[f"bias/{name}"], **fields)
        sinks[name], monitors[name] = Sink(shape=(n,), buffer=steps), Monitor()
        cells.s_out.connect(sinks[name].a_in)
        monitors[name].probe(cells.v, steps)
    for k, c in enumerate(plan["connections"]):
        source, target, weight = processes[c["source"]], processes[c["target"]], arrays[f"weight/{k}"]
        if c["kind"] == "dense":
            link = Dense(weights=weight)
            source.s_out.connect(link.s_in)
            link.a_out.connect(target.a_in)
            continue
        # Lava's maps are (x, y, channel), and its kernel is flipped.
        turned = np.ascontiguousarray(weight.transpose(0, 3, 2, 1)[:, ::-1, ::-1])
        shape = tuple(c["input_shape"])
        link = Conv(weight=turned, input_shape=shape[::-1], stride=c["stride"][::-1], padding=c["padding"][::-1])
        source.s_out.reshape(shape).transpose((2, 1, 0)).connect(link.s_in)
        link.a_out.transpose((2, 1, 0)).flatten().connect(target.a_in)
    tag = "fixed_pt" if plan["fixed"] else "floating_pt"
    processes["input"].run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag=tag))
    spikes = {name: sink.data.get().T for name, sink in sinks.items()}
    v = {name: next(iter(next(iter(m.get_data().values())).values())) for name, m in monitors.items()}
    processes["input"].stop()
    return spikes, v


def main(network, result):
    """Run every sample."""
    with np.load(network) as file:
        arrays = dict(file)
    plan = json.loads(str(arrays["plan"]))
    ran = [run(plan, arrays, x) for x in arrays["x"]]
    found = {f"spikes/{name}": np.stack([spikes[name] for spikes, _ in ran]) for name in plan["populations"]}
    np.savez(result, **found, **{f"v/{name}": np.stack([v[name] for _, v in ran]) for name in plan["populations"]})


if __name__ == "__main__":
    main(*sys.argv[1:])
