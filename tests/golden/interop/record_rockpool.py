# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "rockpool[torch,nir]==3.1.0", "numpy>=2"]
# ///
"""Rockpool's own networks, spikes and files, into rockpool/: LIF, LIFNeuron, ExpSyn and Linear modules of its torch backend.

Rockpool writes neither biases of neurons, nor recurrent weights, nor the bound of spikes a step; LIFBitshiftTorch has no rule,
LIFTorch with leak_mode="bitshifts" has. It is run, not copied (AGPL-3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from recording import About, Recordings, currents, lively, on_grid, seeded, spikes
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules.torch import ExpSynTorch, LIFNeuronTorch, LIFTorch, LinearTorch
from rockpool.nn.modules.torch import nir as exchange
from torch import nn

NOTHING_OPEN = ()


def main() -> None:
    """Build, run and export every network."""
    book = Recordings("rockpool", ("rockpool", "torch", "nir", "nirtorch"))
    synaptic(book)
    membranes(book)
    mixed(book)
    lost(book)
    book.save()


def record(book: Recordings, name: str, build: Callable[[float], Any], x: torch.Tensor, **about: Any) -> None:
    """Run what `build` builds and export it."""
    kept: dict[str, Any] = {}

    def attempt(drive: float) -> Any:
        net = build(drive)
        with torch.no_grad():
            records = net(x, record=True)[2]
        kinds = {key: type(module) for key, module in net.modules().items()}
        fired = {key: records[f"{key}_output"] for key, kind in kinds.items() if kind in (LIFTorch, LIFNeuronTorch)}
        kept["v"] = {key: records[f"{key}_output"] for key, kind in kinds.items() if kind is ExpSynTorch}
        return net, fired

    net, fired = lively(attempt)
    about = {"infers": "rockpool", "open": NOTHING_OPEN, **about}
    net.reset_state()
    for values in nn.Module.parameters(net):
        values.requires_grad_(False)  # to_nir hands out the tau of ExpSynTorch as it is, and nir cannot write that
    book.add(name, exchange.to_nir(net), x, fired, About(**about), kept["v"])


def linear(
    name: str, inputs: int, outputs: int, drive: float, *, bias: bool = True, gain: float = 1.0, grid: int = 64
) -> LinearTorch:
    layer = LinearTorch((inputs, outputs), has_bias=bias)
    on_grid(layer, f"{name} {inputs} {outputs}", 0.35 * gain, bias=0.1 * gain, shift=drive * gain, grid=grid)
    return layer


def full(size: int, value: float | torch.Tensor) -> torch.Tensor:
    return torch.full((size,), value) if isinstance(value, float) else value


def lif(size: int, mem: Any = 0.02, syn: Any = 0.02, threshold: Any = 1.0, **options: Any) -> LIFTorch:
    own = {"tau_mem": full(size, mem), "tau_syn": full(size, syn)[:, None], "threshold": full(size, threshold)}
    return LIFTorch(size, **{"bias": torch.zeros(size), **own, **options})


def shifted(size: int, mem: float, syn: float, threshold: float = 1.0) -> LIFTorch:
    """LIFTorch with decays of 1 - 2^-n, as Xylo has them."""
    own = {"dash_mem": torch.full((size,), mem), "dash_syn": torch.full((size, 1), syn)}
    return LIFTorch(size, leak_mode="bitshifts", bias=torch.zeros(size), threshold=torch.full((size,), threshold), **own)


def neuron(size: int, mem: Any = 0.02, threshold: Any = 1.0, **options: Any) -> LIFNeuronTorch:
    return LIFNeuronTorch(size, tau_mem=full(size, mem), threshold=full(size, threshold), bias=torch.zeros(size), **options)


def synaptic(book: Recordings) -> None:
    """LIFTorch: time constants and thresholds of every neuron's own, decays, bit shifts, several time steps."""
    for name, dt in (("lif", 1e-3), ("lif_fast", 1e-4)):
        record(
            book,
            name,
            lambda drive, name=name, dt=dt: Sequential(
                linear(name, 12, 16, drive, gain=0.3),
                lif(16, 20 * dt, 10 * dt, dt=dt),
                linear(name, 16, 6, drive, bias=False, gain=0.3),
                lif(6, 5 * dt, 5 * dt, 1.5, dt=dt),
            ),
            spikes(name, 12),
        )
    shifts = "lif_bitshifts"
    record(
        book,
        shifts,
        lambda drive: Sequential(
            linear(shifts, 12, 16, drive, gain=0.5), shifted(16, 3.0, 2.0), linear(shifts, 16, 6, drive), shifted(6, 2.0, 1.0)
        ),
        spikes(shifts, 12),
    )
    decays = "lif_decays"
    record(
        book,
        decays,
        lambda drive: Sequential(
            linear(decays, 12, 16, drive, gain=0.5),
            LIFTorch(16, leak_mode="decays", alpha=torch.full((16,), 0.9), beta=torch.full((16, 1), 0.8), bias=torch.zeros(16)),
        ),
        spikes(decays, 12),
    )
    many = "lif_many_spikes"
    record(
        book,
        many,
        lambda drive: Sequential(
            linear(many, 12, 16, drive, gain=3), lif(16, threshold=3.0), linear(many, 16, 6, drive, gain=0.3), lif(6)
        ),
        spikes(many, 12),
    )
    own = "lif_own"
    draw = torch.rand(6, 20, generator=seeded(own))
    record(
        book,
        own,
        lambda drive: Sequential(
            linear(own, 12, 20, drive, gain=0.3, grid=0),
            lif(20, 0.005 + 0.05 * draw[0], 0.005 + 0.02 * draw[1], 0.6 + draw[2]),
            linear(own, 20, 20, drive, gain=0.3, grid=0),
            lif(20, 0.005 + 0.05 * draw[3], 0.005 + 0.02 * draw[4], 0.6 + draw[5]),
        ),
        currents(own, 12, grid=0),
        exact=False,
    )
    deep = "lif_deep"
    record(
        book,
        deep,
        lambda drive: Sequential(
            linear(deep, 16, 24, drive, gain=0.3, grid=0),
            lif(24),
            linear(deep, 24, 20, drive, gain=0.2, grid=0),
            lif(20, 0.03),
            linear(deep, 20, 10, drive, gain=0.2, grid=0),
            lif(10, 0.01, 0.005),
        ),
        spikes(deep, 16, steps=200),
        exact=False,
    )


def membranes(book: Recordings) -> None:
    """LIFNeuronTorch, without synapses."""
    for name, dt in (("neuron", 1e-3), ("neuron_slow", 1e-2)):
        record(
            book,
            name,
            lambda drive, name=name, dt=dt: Sequential(
                linear(name, 12, 16, drive),
                neuron(16, 10 * dt, dt=dt),
                linear(name, 16, 6, drive, bias=False),
                neuron(6, 20 * dt, 1.5, dt=dt),
            ),
            spikes(name, 12),
        )
    own = "neuron_own"
    draw = torch.rand(4, 20, generator=seeded(own))
    record(
        book,
        own,
        lambda drive: Sequential(
            linear(own, 12, 20, drive, grid=0),
            neuron(20, 0.002 + 0.05 * draw[0], 0.6 + draw[1]),
            linear(own, 20, 20, drive, grid=0),
            neuron(20, 0.002 + 0.05 * draw[2], 0.6 + draw[3]),
        ),
        currents(own, 12, grid=0),
        exact=False,
    )


def mixed(book: Recordings) -> None:
    """ExpSyn as a readout and in front of a neuron, all modules in one network."""
    name = "readout"
    record(
        book,
        name,
        lambda drive: Sequential(
            linear(name, 12, 16, drive, gain=0.3), lif(16), linear(name, 16, 5, drive), ExpSynTorch(5, tau=full(5, 0.01))
        ),
        spikes(name, 12),
        bound=1e-5,
    )
    before = "synapse_before"
    record(
        book,
        before,
        lambda drive: Sequential(
            linear(before, 12, 16, drive, gain=0.3),
            ExpSynTorch(16, tau=full(16, 0.01)),
            neuron(16, 0.02),
            linear(before, 16, 6, drive, gain=0.3),
            ExpSynTorch(6, tau=full(6, 0.005)),
            neuron(6, 0.01),
        ),
        spikes(before, 12),
        bound=1e-5,
    )
    every = "mixed"
    record(
        book,
        every,
        lambda drive: Sequential(
            linear(every, 12, 16, drive, gain=0.3),
            lif(16),
            linear(every, 16, 12, drive),
            neuron(12),
            linear(every, 12, 4, drive),
            ExpSynTorch(4, tau=full(4, 0.05)),
        ),
        currents(every, 12),
        bound=1e-5,
    )
    alone = "filter"
    record(
        book,
        alone,
        lambda drive: Sequential(
            linear(alone, 12, 6, drive), ExpSynTorch(6, tau=torch.tensor([0.002, 0.005, 0.01, 0.02, 0.05, 0.1]))
        ),
        currents(alone, 12),
        bound=1e-5,
    )


def lost(book: Recordings) -> None:
    """What to_nir leaves out."""
    bias = "bias_lost"
    record(
        book,
        bias,
        lambda drive: Sequential(linear(bias, 12, 16, drive, gain=0.3), lif(16, bias=torch.full((16,), 0.05))),
        spikes(bias, 12),
        lost="bias = 0.05 is not in the file",
    )
    loop = "loop_lost"

    def build(drive: float) -> Any:
        layer = lif(16, has_rec=True)
        layer.w_rec = nn.Parameter((torch.randn(16, 16, generator=seeded(loop)) - 1).round() / 64)
        return Sequential(linear(loop, 12, 16, drive, gain=0.3), layer)

    record(book, loop, build, spikes(loop, 12), lost="recurrent weights are not in the file")
    single = "single_spike_lost"
    record(
        book,
        single,
        lambda drive: Sequential(
            linear(single, 12, 16, drive, gain=2), lif(16, threshold=3.0, max_spikes_per_dt=torch.tensor(1.0))
        ),
        spikes(single, 12),
        flags={"rules": "multi_spike=no"},
        note="max_spikes_per_dt = 1 is not in the file",
    )


if __name__ == "__main__":
    main()
