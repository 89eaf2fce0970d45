# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "snntorch==1.0.0", "nir==1.0.8", "nirtorch==2.6", "numpy>=2"]
# ///
"""snnTorch's own networks, spikes and files, into snntorch/: Leaky, Synaptic, RLeaky and RSynaptic with every reset.

snnTorch writes neither the reset nor whether it waits for the next step (reset_delay).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from recording import About, Recordings, currents, lively, on_grid, seeded, spikes
from snntorch.export_nir import export_to_nir
from torch import nn

RECURRENT = (snn.RLeaky, snn.RSynaptic)
NEURONS = (snn.Leaky, snn.Synaptic, *RECURRENT)
Size = int | tuple[int, ...]
Value = float | torch.Tensor


def main() -> None:
    """Build, run and export every network."""
    book = Recordings("snntorch", ("snntorch", "torch", "nir", "nirtorch"))
    for reset in ("subtract", "zero", "none"):
        for delay in (True, False):
            dense(book, reset, delay)
    for reset in ("subtract", "zero"):
        for delay in (True, False):
            recurrent(book, reset, delay)
        synaptic_loops(book, reset)
        exact_sums(book, reset)
    own_decays(book)
    deep(book)
    mixed(book)
    convolutions(book)
    modules(book)
    book.save()


def run(net: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Spikes of every layer of neurons by the name of its node, (n_samples, n_steps, ...)."""
    found: dict[str, list[torch.Tensor]] = {}
    layers = {name: module for name, module in net.named_modules() if isinstance(module, NEURONS)}
    for name, module in layers.items():
        key = f"{name}.lif" if isinstance(module, RECURRENT) else name
        found[key] = []
        module.register_forward_hook(lambda _, __, out, key=key: found[key].append(out))
        module.reset_mem()
    with torch.no_grad():
        for step in range(x.shape[1]):
            net(x[:, step])
    return {key: torch.stack(steps, 1) for key, steps in found.items()}


def record(
    book: Recordings,
    name: str,
    build: Callable[[float], nn.Module],
    x: torch.Tensor,
    reset: str = "subtract",
    delay: bool = True,
    **about: Any,
) -> None:
    """Run what `build` builds and export it."""

    def attempt(drive: float) -> Any:
        net = build(drive)
        return net, run(net, x)

    net, fired = lively(attempt)
    for module in net.modules():
        module._forward_hooks.clear()
        if isinstance(module, NEURONS):
            module.reset_mem()
    graph = export_to_nir(net, x[:1, 0], ignore_dims=[0])
    flags = {"reset": reset, "reset_delay": int(delay)}
    book.add(name, graph, x, fired, About("snntorch", flags=flags, open=("reset",), **about))


def spread_over(size: Size, value: Value) -> torch.Tensor:
    """One number for every neuron: export_to_nir refuses a layer with one number for all (nir from 1.0.6 on)."""
    return torch.full((size,) if isinstance(size, int) else size, value) if isinstance(value, float) else value


def leaky(size: Size, beta: Value, threshold: Value = 1.0, reset: str = "subtract", delay: bool = True) -> snn.Leaky:
    own = {"beta": spread_over(size, beta), "threshold": spread_over(size, threshold)}
    return snn.Leaky(**own, reset_mechanism=reset, reset_delay=delay, init_hidden=True)


def synaptic(
    size: Size, alpha: Value, beta: Value, threshold: Value = 1.0, reset: str = "subtract", delay: bool = True
) -> snn.Synaptic:
    own = {"alpha": spread_over(size, alpha), "beta": spread_over(size, beta), "threshold": spread_over(size, threshold)}
    return snn.Synaptic(**own, reset_mechanism=reset, reset_delay=delay, init_hidden=True)


def rleaky(name: str, size: int, beta: float, reset: str = "subtract", delay: bool = True) -> snn.RLeaky:
    layer = snn.RLeaky(beta, linear_features=size, reset_mechanism=reset, reset_delay=delay, init_hidden=True)
    on_grid(layer.recurrent, f"{name} loop {size}", 0.2, bias=0.1)
    return layer


def linear(name: str, inputs: int, outputs: int, drive: float, *, bias: bool = True, grid: int = 64) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    on_grid(layer, f"{name} {inputs} {outputs}", 0.35, bias=0.1, shift=drive, grid=grid)
    return layer


def conv(name: str, *args: Any, drive: float, bias: bool = True, **options: Any) -> nn.Conv2d:
    layer = nn.Conv2d(*args, bias=bias, **options)
    on_grid(layer, f"{name} {args}", 0.3, bias=0.1, shift=drive)
    return layer


def dense(book: Recordings, reset: str, delay: bool) -> None:
    """Every reset of Leaky and Synaptic, at once and in the next step."""
    when = "next" if delay else "now"
    how = {"reset": reset, "delay": delay}
    name = f"leaky_{reset}_{when}"
    record(
        book,
        name,
        lambda drive: nn.Sequential(
            linear(name, 12, 16, drive),
            leaky(16, 0.9, **how),
            linear(name, 16, 6, drive, bias=False),
            leaky(6, 0.8, 1.5, **how),
        ),
        spikes(name, 12),
        **how,
    )
    other = f"synaptic_{reset}_{when}"
    record(
        book,
        other,
        lambda drive: nn.Sequential(
            linear(other, 12, 16, drive),
            synaptic(16, 0.7, 0.8, 3.0, **how),
            linear(other, 16, 6, drive, bias=False),
            synaptic(6, 0.5, 0.9, 4.0, **how),
        ),
        spikes(other, 12),
        **how,
    )


def exact_sums(book: Recordings, reset: str) -> None:
    """Decays that are binary fractions, so that potentials meet thresholds exactly."""
    name = f"halves_{reset}"
    record(
        book,
        name,
        lambda drive: nn.Sequential(
            linear(name, 10, 14, drive, grid=8),
            leaky(14, 0.5, reset=reset),
            linear(name, 14, 8, drive, grid=8),
            leaky(8, 0.75, reset=reset),
            linear(name, 8, 8, drive, grid=8),
            leaky(8, 0.25, 0.5, reset=reset),
        ),
        spikes(name, 10),
        reset,
    )
    other = f"quarters_{reset}"
    record(
        book,
        other,
        lambda drive: nn.Sequential(
            linear(other, 10, 14, drive, grid=8),
            synaptic(14, 0.25, 0.5, reset=reset),
            linear(other, 14, 8, drive, grid=8),
            synaptic(8, 0.5, 0.125, reset=reset),
        ),
        spikes(other, 10),
        reset,
    )


def own_decays(book: Recordings) -> None:
    """Decays and thresholds of every neuron's own, weights of any value."""
    name = "own_decays"
    draw = torch.rand(4, 20, generator=seeded(name))
    record(
        book,
        name,
        lambda drive: nn.Sequential(
            linear(name, 12, 20, drive, grid=0),
            leaky(20, 0.5 + 0.49 * draw[0], 0.6 + draw[1]),
            linear(name, 20, 20, drive, grid=0),
            leaky(20, 0.99 * draw[2], 0.8 + draw[3]),
        ),
        currents(name, 12, grid=0),
        exact=False,
    )
    other = "own_decays_synaptic"
    more = torch.rand(6, 20, generator=seeded(other))
    record(
        book,
        other,
        lambda drive: nn.Sequential(
            linear(other, 12, 20, drive, grid=0),
            synaptic(20, 0.9 * more[0], 0.5 + 0.4 * more[1], 2 + more[2]),
            linear(other, 20, 20, drive, grid=0),
            synaptic(20, 0.9 * more[3], 0.9 * more[4], 2 + more[5]),
        ),
        currents(other, 12, grid=0),
        exact=False,
    )


def deep(book: Recordings) -> None:
    """Four layers, 200 steps, weights of any value."""
    name = "deep"
    record(
        book,
        name,
        lambda drive: nn.Sequential(
            linear(name, 16, 24, drive, grid=0),
            leaky(24, 0.95),
            linear(name, 24, 20, drive, grid=0),
            leaky(20, 0.9),
            linear(name, 20, 18, drive, grid=0),
            leaky(18, 0.85),
            linear(name, 18, 10, drive, grid=0),
            leaky(10, 0.99),
        ),
        spikes(name, 16, steps=200),
        exact=False,
    )


def recurrent(book: Recordings, reset: str, delay: bool) -> None:
    """RLeaky, all to all."""
    name = f"rleaky_{reset}_{'next' if delay else 'now'}"
    record(
        book,
        name,
        lambda drive: nn.Sequential(
            linear(name, 10, 12, drive),
            rleaky(name, 12, 0.9, reset, delay),
            linear(name, 12, 6, drive),
            rleaky(name, 6, 0.8, reset, delay),
        ),
        spikes(name, 10),
        reset,
        delay,
    )


def synaptic_loops(book: Recordings, reset: str) -> None:
    """RSynaptic, all to all; one to one with RLeaky. (RSynaptic's reset_delay=False does not run in snnTorch 1.0.0.)"""
    name = f"rsynaptic_{reset}"

    def all_to_all(drive: float) -> nn.Module:
        layer = snn.RSynaptic(0.6, 0.8, linear_features=12, threshold=2.0, reset_mechanism=reset, init_hidden=True)
        on_grid(layer.recurrent, name, 0.2, bias=0.1)
        return nn.Sequential(
            linear(name, 10, 12, drive), layer, linear(name, 12, 6, drive), synaptic(6, 0.5, 0.8, 2.0, reset=reset)
        )

    record(book, name, all_to_all, spikes(name, 10), reset)
    other = f"one_to_one_{reset}"
    v = ((torch.rand(12, generator=seeded(other)) - 0.5) * 64).round() / 64

    def one_to_one(drive: float) -> nn.Module:
        options = {"all_to_all": False, "reset_mechanism": reset, "init_hidden": True}
        return nn.Sequential(
            linear(other, 10, 12, drive),
            snn.RLeaky(0.75, V=v.clone(), **options),
            linear(other, 12, 12, drive),
            snn.RSynaptic(0.5, 0.75, V=v / 2, threshold=2.0, **options),
        )

    record(book, other, one_to_one, spikes(other, 10), reset)


def mixed(book: Recordings) -> None:
    """Neurons of several classes in one network."""
    name = "mixed_zero"
    record(
        book,
        name,
        lambda drive: nn.Sequential(
            linear(name, 10, 12, drive),
            rleaky(name, 12, 0.9, "zero"),
            linear(name, 12, 8, drive),
            leaky(8, 0.8, reset="zero"),
            linear(name, 8, 6, drive),
            synaptic(6, 0.5, 0.75, 1.5, reset="zero"),
        ),
        spikes(name, 10),
        "zero",
        note="Leaky resets before it integrates, RLeaky and Synaptic after",
    )


def convolutions(book: Recordings) -> None:
    """Conv2d with stride, padding, groups and dilation, average pooling, flattening; it exports square kernels alone."""
    name = "conv_pool"
    record(
        book,
        name,
        lambda drive: nn.Sequential(
            conv(name, 2, 4, 3, padding=1, drive=drive),
            leaky((4, 12, 12), 0.9),
            nn.AvgPool2d(2),
            conv(name, 4, 6, 3, stride=2, bias=False, drive=drive),
            leaky((6, 2, 2), 0.8),
            nn.Flatten(),
            linear(name, 24, 5, drive),
            leaky(5, 0.9),
        ),
        spikes(name, 2, 12, 12, rate=0.2),
    )
    groups = "conv_groups"
    record(
        book,
        groups,
        lambda drive: nn.Sequential(
            conv(groups, 4, 8, 3, padding=(1, 0), groups=2, drive=drive),
            leaky((8, 10, 7), 0.5, reset="zero"),
            conv(groups, 8, 8, 3, groups=8, dilation=2, drive=drive),
            leaky((8, 6, 3), 0.75, reset="zero"),
            nn.Flatten(),
            linear(groups, 144, 6, drive),
            leaky(6, 0.5, reset="zero"),
        ),
        spikes(groups, 4, 10, 9, rate=0.15),
        "zero",
    )
    tall = "conv_tall"
    record(
        book,
        tall,
        lambda drive: nn.Sequential(
            conv(tall, 1, 4, 3, stride=(2, 1), padding=(1, 0), drive=drive),
            synaptic((4, 5, 6), 0.5, 0.75, 2.0),
            nn.AvgPool2d((1, 2), stride=(1, 2)),
            nn.Flatten(),
            linear(tall, 60, 6, drive),
            leaky(6, 0.75),
        ),
        spikes(tall, 1, 9, 8),
    )


class Forward(nn.Module):
    """Layers by name and a forward of its own."""

    def __init__(self, drive: float) -> None:
        super().__init__()
        self.fc_in, self.first = linear("module", 10, 12, drive), leaky(12, 0.875)
        self.fc_hidden, self.second = linear("module", 12, 12, drive), leaky(12, 0.75)
        self.fc_out, self.last = linear("module", 12, 6, drive), leaky(6, 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(self.fc_in(x))
        return self.last(self.fc_out(self.second(self.fc_hidden(first))))


def modules(book: Recordings) -> None:
    """A module that is no Sequential."""
    record(book, "module", Forward, spikes("module", 10))


if __name__ == "__main__":
    main()
