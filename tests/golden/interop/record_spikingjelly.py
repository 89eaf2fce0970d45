# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "spikingjelly[nir]==2.0.0", "nir==1.0.8", "nirtorch==2.6", "numpy>=2"]
# ///
"""SpikingJelly's own networks, spikes and files, into spikingjelly/: IF, LIF, parametric and current-based LIF nodes.

export_to_nir refuses soft resets, grouped convolutions and pooling that NIR cannot say; it loses nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from recording import About, Recordings, currents, lively, on_grid, spikes
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir
from torch import nn

SPIKING = (neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode, neuron.CUBALIFNode)


def main() -> None:
    """Build, run and export every network."""
    book = Recordings("spikingjelly", ("spikingjelly", "torch", "nir", "nirtorch"))
    integrators(book)
    leaky(book)
    current_based(book)
    convolutions(book)
    book.save()


def run(net: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Spikes of every layer of neurons by the name of its node, (n_samples, n_steps, ...)."""
    found: dict[str, list[torch.Tensor]] = {}
    for name, module in net.named_modules():
        if isinstance(module, SPIKING):
            steps = found[f"_{name}"] = []  # torch.fx names the layers of a Sequential so
            module.register_forward_hook(lambda _, __, out, steps=steps: steps.append(out))
    functional.reset_net(net)
    many = getattr(net[0], "step_mode", "s") == "m"
    with torch.no_grad():
        if many:
            net(x.transpose(0, 1))
        else:
            for step in range(x.shape[1]):
                net(x[:, step])
    return {name: steps[0].transpose(0, 1) if many else torch.stack(steps, 1) for name, steps in found.items()}


def record(
    book: Recordings,
    name: str,
    build: Callable[[float], nn.Module],
    x: torch.Tensor,
    dt: float = 1e-4,
    many: bool = False,
    **about: Any,
) -> None:
    """Run what `build` builds and export it. many: in SpikingJelly's multi-step mode."""

    def attempt(drive: float) -> Any:
        net = build(drive)
        if many:
            functional.set_step_mode(net, "m")
        return net, run(net, x)

    net, fired = lively(attempt)
    for module in net.modules():
        module._forward_hooks.clear()
    functional.reset_net(net)
    graph = export_to_nir(net, x.transpose(0, 1) if many else x[:, 0], dt=dt)
    # An input that decays leaves no trace of dt in the file, and a reset to 0 might be a soft one of earlier versions.
    neurons = [module for module in net.modules() if isinstance(module, SPIKING)]
    told = [n for n in neurons if not getattr(n, "decay_input", False)]
    hidden = all(n.v_reset == 0 for n in neurons)
    open_points = (*(() if told else ("dt",)), *(("reset",) if hidden else ()))
    flags = {**({} if told else {"dt": dt}), **({"reset": "value"} if hidden else {})}
    book.add(name, graph, x, fired, About("spikingjelly", flags=flags, open=open_points, **about))


def linear(
    name: str, inputs: int, outputs: int, drive: float, *, bias: bool = True, gain: float = 1.0, grid: int = 64
) -> layer.Linear:
    made = layer.Linear(inputs, outputs, bias=bias)
    on_grid(made, f"{name} {inputs} {outputs}", 0.35 * gain, bias=0.1 * gain, shift=drive * gain, grid=grid)
    return made


def conv(name: str, *args: Any, drive: float, gain: float = 1.0, **options: Any) -> layer.Conv2d:
    made = layer.Conv2d(*args, **options)
    on_grid(made, f"{name} {args}", 0.3 * gain, bias=0.1 * gain, shift=drive * gain)
    return made


def integrators(book: Recordings) -> None:
    """IF with resets to 0 and elsewhere."""
    for name, options, dt in (
        ("if_zero", {}, 1e-4),
        ("if_reset_low", {"v_reset": -0.5}, 1e-4),
        ("if_threshold", {"v_threshold": 2.0, "v_reset": 0.25}, 1e-3),
        ("if_steps", {}, 1.0),
    ):
        record(
            book,
            name,
            lambda drive, name=name, options=options: nn.Sequential(
                linear(name, 12, 16, drive, grid=16),
                neuron.IFNode(**options),
                linear(name, 16, 6, drive, bias=False, grid=16),
                neuron.IFNode(**options),
            ),
            spikes(name, 12),
            dt,
        )
    floats = "if_float"
    record(
        book,
        floats,
        lambda drive: nn.Sequential(
            linear(floats, 14, 20, drive, grid=0),
            neuron.IFNode(1.3),
            linear(floats, 20, 16, drive, grid=0),
            neuron.IFNode(0.9),
        ),
        currents(floats, 14, grid=0),
        exact=False,
    )


def leaky(book: Recordings) -> None:
    """LIF and parametric LIF: with and without a decaying input, several time constants."""
    for kind, make in (("lif", neuron.LIFNode), ("plif", neuron.ParametricLIFNode)):
        for decays in (True, False):
            name = f"{kind}_{'decay' if decays else 'keep'}"
            gain = 3 if decays else 1
            record(
                book,
                name,
                lambda drive, name=name, make=make, decays=decays, gain=gain: nn.Sequential(
                    linear(name, 12, 16, drive, gain=gain, grid=16),
                    make(2.0, decay_input=decays),
                    linear(name, 16, 10, drive, gain=gain, grid=16),
                    make(4.0, decay_input=decays),
                    linear(name, 10, 6, drive, gain=gain, grid=16),
                    make(10.0, decay_input=decays, v_threshold=0.5),
                ),
                spikes(name, 12),
            )
    for decays in (True, False):
        name = f"lif_reset_{'decay' if decays else 'keep'}"
        record(
            book,
            name,
            lambda drive, name=name, decays=decays: nn.Sequential(
                linear(name, 12, 16, drive, gain=2),
                neuron.LIFNode(2.0, decay_input=decays, v_reset=-0.25),
                linear(name, 16, 6, drive, gain=2),
                neuron.LIFNode(5.0, decay_input=decays, v_reset=0.25),
            ),
            spikes(name, 12),
            1e-3,
        )
    floats = "lif_float"
    record(
        book,
        floats,
        lambda drive: nn.Sequential(
            linear(floats, 14, 20, drive, grid=0, gain=3),
            neuron.LIFNode(3.7),
            linear(floats, 20, 16, drive, grid=0, gain=3),
            neuron.ParametricLIFNode(7.1, decay_input=False),
            linear(floats, 16, 8, drive, grid=0, gain=3),
            neuron.LIFNode(1.9),
        ),
        currents(floats, 14, grid=0),
        exact=False,
    )
    many = "lif_multi_step"
    record(
        book,
        many,
        lambda drive: nn.Sequential(
            linear(many, 12, 16, drive, gain=3), neuron.LIFNode(2.0), linear(many, 16, 6, drive, gain=3), neuron.LIFNode(3.0)
        ),
        spikes(many, 12),
        many=True,
    )
    ones = "lif_steps"
    record(
        book,
        ones,
        lambda drive: nn.Sequential(
            linear(ones, 12, 16, drive, gain=3), neuron.LIFNode(2.0), linear(ones, 16, 6, drive, gain=3), neuron.LIFNode(8.0)
        ),
        spikes(ones, 12),
        1.0,
    )


def current_based(book: Recordings) -> None:
    """CUBALIF, and every kind of neuron in one network."""
    for name, options in (("cuba", {}), ("cuba_reset", {"v_reset": -0.25, "v_threshold": 1.0})):
        record(
            book,
            name,
            lambda drive, name=name, options=options: nn.Sequential(
                linear(name, 12, 16, drive, grid=16),
                neuron.CUBALIFNode(**options),
                linear(name, 16, 6, drive, grid=16),
                neuron.CUBALIFNode(c_decay=0.3, v_decay=0.9, **options),
            ),
            spikes(name, 12),
        )
    mixed = "mixed"
    record(
        book,
        mixed,
        lambda drive: nn.Sequential(
            linear(mixed, 12, 16, drive),
            neuron.IFNode(),
            linear(mixed, 16, 12, drive, gain=2),
            neuron.LIFNode(2.0),
            linear(mixed, 12, 8, drive),
            neuron.CUBALIFNode(),
            linear(mixed, 8, 8, drive, gain=2),
            neuron.ParametricLIFNode(4.0, decay_input=False),
        ),
        spikes(mixed, 12),
    )


def convolutions(book: Recordings) -> None:
    """Conv2d and Conv1d with stride, padding and dilation; average pooling; flattening."""
    name = "conv"
    record(
        book,
        name,
        lambda drive: nn.Sequential(
            conv(name, 2, 4, 3, padding=1, bias=False, drive=drive, gain=2),
            neuron.LIFNode(2.0),
            layer.AvgPool2d(2),
            conv(name, 4, 6, 3, stride=2, drive=drive, gain=2),
            neuron.IFNode(),
            layer.Flatten(),
            linear(name, 24, 5, drive, gain=2),
            neuron.LIFNode(2.0),
        ),
        spikes(name, 2, 12, 12, rate=0.15),
    )
    tall = "conv_dilated"
    record(
        book,
        tall,
        lambda drive: nn.Sequential(
            conv(tall, 1, 4, 3, padding=(2, 1), dilation=(2, 1), drive=drive),
            neuron.IFNode(),
            layer.AvgPool2d(2, stride=2, padding=1),
            layer.Flatten(),
            linear(tall, 100, 6, drive),
            neuron.IFNode(),
        ),
        spikes(tall, 1, 9, 8),
        many=True,
    )
    line = "conv1d"

    def build(drive: float) -> nn.Module:
        first, second = layer.Conv1d(2, 4, 5, stride=2, padding=2), layer.Conv1d(4, 6, 3, dilation=2)
        on_grid(first, f"{line} 1", 0.3, bias=0.1, shift=drive)
        on_grid(second, f"{line} 2", 0.3, bias=0.1, shift=drive)
        return nn.Sequential(
            first, neuron.IFNode(), second, neuron.IFNode(), layer.Flatten(), linear(line, 24, 5, drive), neuron.IFNode()
        )

    record(book, line, build, spikes(line, 2, 16))


if __name__ == "__main__":
    main()
