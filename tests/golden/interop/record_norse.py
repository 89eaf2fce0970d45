# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "norse==1.1.0", "nir==1.0.8", "nirtorch==2.6", "numpy>=2", "setuptools<81"]
# ///
"""Norse's own networks, spikes and files, into norse/: LIFBox, LIF, LIBox and IAF cells, dense and convolutional.

Norse 1.1.0 writes dt times every time constant, and neither v_reset nor the way of resetting. It exports no loops: nirtorch
cannot follow RecurrentSequential, and its recurrent cells have no rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from norse.torch import LIBoxCell, LIFBoxCell, LIFCell, LIFParameters, SequentialState
from norse.torch.functional.iaf import IAFParameters
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from norse.torch.module.iaf import IAFCell
from norse.torch.utils.export_nir import to_nir
from recording import About, Recordings, currents, lively, on_grid, seeded, spikes
from torch import nn

SPIKING = (LIFBoxCell, LIFCell, IAFCell)
SPOKEN = {"dialect": "norse-1.1.0"}
Size = int | tuple[int, ...]
Value = float | torch.Tensor


def main() -> None:
    """Build, run and export every network."""
    book = Recordings("norse", ("norse", "torch", "nir", "nirtorch"))
    boxes(book)
    leaky(book)
    integrators(book)
    convolutions(book)
    book.save()


def run(net: nn.Module, x: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Spikes, and potentials of what never fires, by the name of the node; (n_samples, n_steps, ...)."""
    fired: dict[str, list[torch.Tensor]] = {}
    potentials: dict[str, list[torch.Tensor]] = {}
    for name, module in net.named_modules():
        if isinstance(module, (*SPIKING, LIBoxCell)):
            steps = (fired if isinstance(module, SPIKING) else potentials).setdefault(name, [])
            module.register_forward_hook(lambda _, __, out, steps=steps: steps.append(out[0]))
    state = None
    with torch.no_grad():
        for step in range(x.shape[1]):
            _, state = net(x[:, step], state)
    stacked = [{name: torch.stack(steps, 1) for name, steps in found.items()} for found in (fired, potentials)]
    return stacked[0], stacked[1]


def record(
    book: Recordings, name: str, build: Callable[[float], nn.Module], x: torch.Tensor, drives: Any = None, **about: Any
) -> None:
    """Run what `build` builds and export it."""
    kept: dict[str, Any] = {}

    def attempt(drive: float) -> Any:
        net = build(drive)
        fired, kept["v"] = run(net, x)
        return net, fired

    net, fired = lively(attempt, *(() if drives is None else (drives,)))
    for module in net.modules():
        module._forward_hooks.clear()
    about = {"infers": "norse-1.1.0", "flags": SPOKEN, "open": ("reset",), **about}
    graph = to_nir(net, x[0, 0])
    if x.ndim > 3:
        graph.infer_types()  # to_nir leaves the input_shape of convolutions open, and nir cannot write that
    book.add(name, graph, x, fired, About(**about), kept["v"])


def full(size: Size, value: Value) -> torch.Tensor:
    return torch.full((size,) if isinstance(size, int) else size, value) if isinstance(value, float) else value


def box(size: Size, tau_inv: Value = 100.0, v_th: Value = 1.0, v_leak: Value = 0.0, **options: Any) -> LIFBoxCell:
    own = {"tau_mem_inv": full(size, tau_inv), "v_th": full(size, v_th), "v_leak": full(size, v_leak)}
    return LIFBoxCell(LIFBoxParameters(**own, **options))


def lif(size: Size, syn: Value = 200.0, mem: Value = 100.0, v_th: Value = 1.0, v_leak: Value = 0.0, **options: Any) -> LIFCell:
    own = {"tau_syn_inv": full(size, syn), "tau_mem_inv": full(size, mem), "v_th": full(size, v_th)}
    return LIFCell(LIFParameters(**own, v_leak=full(size, v_leak), **options))


def readout(size: Size, tau_inv: Value = 100.0, v_leak: Value = 0.0) -> LIBoxCell:
    return LIBoxCell(LIBoxParameters(tau_mem_inv=full(size, tau_inv), v_leak=full(size, v_leak)))


def iaf(size: Size, v_th: Value = 1.0) -> IAFCell:
    return IAFCell(IAFParameters(v_th=full(size, v_th)))


def linear(
    name: str, inputs: int, outputs: int, drive: float, *, bias: bool = True, gain: float = 1.0, grid: int = 64
) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    on_grid(layer, f"{name} {inputs} {outputs}", 0.35 * gain, bias=0.1 * gain, shift=drive * gain, grid=grid)
    return layer


def conv(name: str, *args: Any, drive: float, gain: float = 1.0, **options: Any) -> nn.Conv2d:
    layer = nn.Conv2d(*args, **options)
    on_grid(layer, f"{name} {args}", 0.3 * gain, bias=0.1 * gain, shift=drive * gain)
    return layer


def boxes(book: Recordings) -> None:
    """LIFBox with every parameter."""
    name = "box"
    record(
        book,
        name,
        lambda drive: SequentialState(
            linear(name, 12, 16, drive, gain=8), box(16), linear(name, 16, 6, drive, bias=False, gain=8), box(6, 200.0, 1.5)
        ),
        spikes(name, 12),
    )
    halves = "box_halves"
    record(
        book,
        halves,
        lambda drive: SequentialState(
            linear(halves, 10, 14, drive, gain=2, grid=8),
            box(14, 500.0),
            linear(halves, 14, 8, drive, gain=4, grid=8),
            box(8, 250.0),
        ),
        spikes(halves, 10),
    )
    leak = "box_leak"
    record(
        book,
        leak,
        lambda drive: SequentialState(
            linear(leak, 10, 12, drive, gain=4),
            box(12, 300.0, 1.0, 0.25),
            linear(leak, 12, 8, drive, gain=4),
            box(8, 250.0, 0.75, -0.5),
        ),
        spikes(leak, 10),
    )
    own = "box_own"
    draw = torch.rand(4, 20, generator=seeded(own))
    record(
        book,
        own,
        lambda drive: SequentialState(
            linear(own, 12, 20, drive, gain=5, grid=0),
            box(20, 50 + 400 * draw[0], 0.6 + draw[1], draw[2] / 4),
            linear(own, 20, 20, drive, gain=5, grid=0),
            box(20, 100 + 300 * draw[2], 0.8 + draw[3]),
        ),
        currents(own, 12, grid=0),
        exact=False,
    )
    soft = "box_subtract"
    record(
        book,
        soft,
        lambda drive: SequentialState(
            linear(soft, 12, 16, drive, gain=8),
            box(16, reset_method=reset_subtract),
            linear(soft, 16, 6, drive, gain=5),
            box(6, 200.0, reset_method=reset_subtract),
        ),
        spikes(soft, 12),
        flags={**SPOKEN, "reset": "subtract"},
        note="reset_method is not in the file",
    )
    one = "box_one"
    record(
        book,
        one,
        lambda drive: SequentialState(linear(one, 9, 1, drive, gain=8), box(1)),
        spikes(one, 9, steps=200),
    )


def leaky(book: Recordings) -> None:
    """LIF, a current before the membrane."""
    name = "lif"
    record(
        book,
        name,
        lambda drive: SequentialState(
            linear(name, 12, 16, drive, gain=4), lif(16), linear(name, 16, 6, drive, gain=4), lif(6, 100.0, 200.0, 1.5)
        ),
        spikes(name, 12),
    )
    halves = "lif_halves"
    record(
        book,
        halves,
        lambda drive: SequentialState(
            linear(halves, 10, 14, drive, grid=8),
            lif(14, 500.0, 500.0),
            linear(halves, 14, 8, drive, grid=8),
            lif(8, 750.0, 250.0),
        ),
        spikes(halves, 10),
    )
    own = "lif_own"
    draw = torch.rand(6, 20, generator=seeded(own))
    record(
        book,
        own,
        lambda drive: SequentialState(
            linear(own, 12, 20, drive, gain=2, grid=0),
            lif(20, 100 + 400 * draw[0], 50 + 400 * draw[1], 0.6 + draw[2], draw[3] / 4),
            linear(own, 20, 20, drive, gain=2, grid=0),
            lif(20, 100 + 400 * draw[3], 50 + 400 * draw[4], 0.6 + draw[5]),
        ),
        currents(own, 12, grid=0),
        exact=False,
    )
    lost = "lif_reset_lost"
    record(
        book,
        lost,
        lambda drive: SequentialState(linear(lost, 12, 16, drive, gain=4), lif(16, v_reset=torch.tensor(-0.5))),
        spikes(lost, 12),
        lost="v_reset = -0.5 is not in the file",
    )


def integrators(book: Recordings) -> None:
    """IAF, LIBox, and what mixes them."""
    name = "iaf"
    record(
        book,
        name,
        lambda drive: SequentialState(linear(name, 12, 16, drive, grid=16), iaf(16), linear(name, 16, 6, drive), iaf(6, 2.0)),
        spikes(name, 12),
        infers="sinabs",
    )
    floats = "iaf_float"
    record(
        book,
        floats,
        lambda drive: SequentialState(
            linear(floats, 12, 16, drive, grid=0), iaf(16, 1.25), linear(floats, 16, 6, drive, grid=0), iaf(6)
        ),
        currents(floats, 12, grid=0),
        infers="sinabs",
        exact=False,
    )
    read = "readout"
    record(
        book,
        read,
        lambda drive: SequentialState(
            linear(read, 12, 16, drive, gain=8), box(16), linear(read, 16, 6, drive), readout(6, 200.0, 0.25)
        ),
        spikes(read, 12),
        bound=1e-6,
    )
    alone = "filter"
    record(
        book,
        alone,
        lambda drive: SequentialState(linear(alone, 12, 6, drive), readout(6, 50.0), linear(alone, 6, 4, drive), readout(4)),
        currents(alone, 12),
        bound=1e-6,
        open=(),
    )
    mixed = "mixed"
    record(
        book,
        mixed,
        lambda drive: SequentialState(
            linear(mixed, 12, 16, drive),
            iaf(16),
            linear(mixed, 16, 12, drive, gain=4),
            lif(12),
            linear(mixed, 12, 8, drive, gain=8),
            box(8),
            linear(mixed, 8, 4, drive),
            readout(4),
        ),
        spikes(mixed, 12),
        bound=1e-6,
    )


def convolutions(book: Recordings) -> None:
    """Conv2d with stride, padding, groups and dilation. (to_nir of Norse 1.1.0 knows neither pooling nor flattening.)"""
    name = "conv"
    record(
        book,
        name,
        lambda drive: SequentialState(
            conv(name, 2, 4, 3, padding=1, drive=drive, gain=4),
            box((4, 8, 8), 250.0),
            conv(name, 4, 6, 3, stride=2, drive=drive, gain=2),
            lif((6, 3, 3), 500.0, 250.0),
            conv(name, 6, 5, 3, drive=drive, gain=2),
            iaf((5, 1, 1)),
        ),
        spikes(name, 2, 8, 8, rate=0.2),
    )
    groups = "conv_groups"
    record(
        book,
        groups,
        lambda drive: SequentialState(
            conv(groups, 4, 8, 3, padding=(1, 0), groups=2, drive=drive),
            iaf((8, 8, 5)),
            conv(groups, 8, 8, 3, groups=8, dilation=2, drive=drive, gain=4),
            box((8, 4, 1), 250.0),
        ),
        spikes(groups, 4, 8, 7, rate=0.15),
    )


if __name__ == "__main__":
    main()
