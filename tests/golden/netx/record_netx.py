"""Run netx files in lava-dl and write the spikes of every layer. Needs lava-nc 0.10.0 and lava-dl 0.6.0 (make lava):

    .venv-lava/bin/python tests/golden/netx/record_netx.py JOBS.json

JOBS.json: a list of {"net", "x": .npy of (steps, n) in C order, "drive": "spikes", "bias" or "input", "loading", "out": .npz}.
out gets layer<i> (steps, n) for block i, maps in (channel, height, width) order.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3] / "snnport" / "workers"))
import slayer_stub

slayer_stub.install()
from lava.lib.dl import netx  # noqa: E402
from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.io.sink import RingBuffer as Sink  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402


def in_lava(x, shape):
    """(steps, n) in C order as (width, height, channels, steps) or (n, steps)."""
    if len(shape) == 3:
        return x.reshape(len(x), shape[2], shape[1], shape[0]).transpose(3, 2, 1, 0)
    return x.T


def in_c_order(data):
    """The reverse of in_lava."""
    return data.transpose(3, 2, 1, 0).reshape(data.shape[3], -1) if data.ndim == 4 else data.T


def spikes_of(job):
    """What each layer sends, by its number."""
    net = netx.hdf5.Network(net_config=job["net"], **job["loading"])
    x = np.load(job["x"])
    sinks = []
    for layer in net.layers:
        sinks.append(Sink(shape=layer.out.shape, buffer=len(x)))
        layer.out.connect(sinks[-1].a_in)
    if job["drive"] == "bias":
        net.in_layer.neuron.bias_mant.init = in_lava(x[:1], net.in_layer.shape)[..., 0]
    else:
        port = net.inp if job["drive"] == "spikes" else net.in_layer.neuron.a_in
        Source(data=in_lava(x, net.in_layer.inp.shape)).s_out.connect(port)
    net.run(condition=RunSteps(num_steps=len(x)), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    found = {f"layer{i}": in_c_order(np.asarray(sink.data.get())) for i, sink in enumerate(sinks)}
    net.stop()
    return found


for job in json.loads(Path(sys.argv[1]).read_text()):
    np.savez_compressed(job["out"], **{name: array.astype(np.int32) for name, array in spikes_of(job).items()})
