# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "sinabs==3.1.3", "nir<=1.0.4", "numpy>=2"]
# ///
"""Sinabs's own networks, spikes and files, into sinabs/: IAF, LIF and ExpLeak with every reset, bound and way to fire.

Sinabs writes neither the bound of the potential, nor norm_input, nor spike_fn and reset_fn, nor tau_syn; time constants are
steps, and a layer without bias gets a bias of 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sinabs.layers as sl
import torch
from recording import About, Recordings, currents, lively, on_grid, seeded, spikes
from sinabs.activation import MembraneReset, SingleSpike
from sinabs.nir import to_nir
from torch import nn

TIMED = (sl.IAF, sl.LIF)
SPIKING = (sl.IAFSqueeze, sl.LIFSqueeze, *TIMED)
LEAKS = (sl.ExpLeakSqueeze,)
SAMPLES = 2
SPOKEN = {"dialect": "sinabs"}
FREE = "v_min=none"


def main() -> None:
    """Build, run and export every network."""
    book = Recordings("sinabs", ("sinabs", "torch", "nir", "nirtorch"))
    integrators(book)
    leaky(book)
    readouts(book)
    convolutions(book)
    book.save()


def run(net: nn.Module, x: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Spikes, and potentials of what never fires, by the name of the node; (n_samples, n_steps, ...)."""
    fired: dict[str, torch.Tensor] = {}
    potentials: dict[str, torch.Tensor] = {}
    timed = any(type(module) in TIMED for module in net)
    for name, module in net.named_modules():
        if isinstance(module, (*SPIKING, *LEAKS)):
            module.reset_states()
            into = potentials if isinstance(module, LEAKS) else fired

            def keep(_: Any, __: Any, out: torch.Tensor, name: str = name, into: dict[str, torch.Tensor] = into) -> None:
                into[name] = (out if timed else out.unflatten(0, x.shape[:2])).detach()

            module.register_forward_hook(keep)
    with torch.no_grad():
        net(x if timed else x.flatten(0, 1))
    return fired, potentials


def record(book: Recordings, name: str, build: Callable[[float], nn.Module], x: torch.Tensor, **about: Any) -> None:
    """Run what `build` builds and export it."""
    kept: dict[str, Any] = {}

    def attempt(drive: float) -> Any:
        net = build(drive)
        fired, kept["v"] = run(net, x)
        return net, fired

    net, fired = lively(attempt)
    timed = any(type(module) in TIMED for module in net)
    for module in net.modules():
        module._forward_hooks.clear()
    about = {"infers": "sinabs", "flags": SPOKEN, "open": ("reset",), **about}
    graph = to_nir(net, x if timed else x.flatten(0, 1))
    if x.ndim > 3:
        graph.infer_types()  # to_nir leaves the input_shape of convolutions open, and nir cannot write that
    book.add(name, graph, x, fired, About(**about), kept["v"])


def iaf(threshold: Any = 1.0, bound: Any = None, **options: Any) -> sl.IAFSqueeze:
    return sl.IAFSqueeze(batch_size=SAMPLES, spike_threshold=torch.as_tensor(threshold), min_v_mem=bound, **options)


def lif(tau: Any, threshold: Any = 1.0, norm: bool = False, **options: Any) -> sl.LIFSqueeze:
    return sl.LIFSqueeze(
        tau_mem=tau, batch_size=SAMPLES, spike_threshold=torch.as_tensor(threshold), norm_input=norm, **options
    )


def leak(tau: Any, norm: bool = False) -> sl.ExpLeakSqueeze:
    return sl.ExpLeakSqueeze(tau_mem=tau, batch_size=SAMPLES, norm_input=norm)


def linear(
    name: str, inputs: int, outputs: int, drive: float, *, bias: bool = True, gain: float = 1.0, grid: int = 64
) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    on_grid(layer, f"{name} {inputs} {outputs}", 0.35 * gain, bias=0.1 * gain, shift=drive * gain, grid=grid)
    return layer


def conv(name: str, *args: Any, drive: float, **options: Any) -> nn.Conv2d:
    layer = nn.Conv2d(*args, **options)
    on_grid(layer, f"{name} {args}", 0.3, bias=0.1, shift=drive)
    return layer


def wave(name: str, *args: Any, drive: float, **options: Any) -> nn.Conv1d:
    layer = nn.Conv1d(*args, **options)
    on_grid(layer, f"{name} {args}", 0.3, bias=0.1, shift=drive)
    return layer


def integrators(book: Recordings) -> None:
    """IAF: bounded and free, one or several spikes a step, threshold subtracted or potential set to 0."""
    plain = {"flags": SPOKEN, "note": "bounded at minus the threshold, as sinabs.from_torch.from_model builds it"}
    free = {"flags": {**SPOKEN, "rules": FREE}, "note": "min_v_mem is not in the file"}
    for name, options, about in (
        ("iaf_bounded", {"bound": -1.0}, plain),
        ("iaf_free", {}, free),
        ("iaf_single", {"bound": -1.0, "spike_fn": SingleSpike}, {"flags": {**SPOKEN, "rules": "multi_spike=no"}}),
        ("iaf_zero", {"bound": -1.0, "reset_fn": MembraneReset()}, {"flags": {**SPOKEN, "reset": "zero"}}),
        (
            "iaf_zero_single",
            {"spike_fn": SingleSpike, "reset_fn": MembraneReset()},
            {"flags": {**SPOKEN, "reset": "zero", "rules": f"{FREE},multi_spike=no"}},
        ),
    ):
        record(
            book,
            name,
            lambda drive, name=name, options=options: nn.Sequential(
                linear(name, 12, 16, drive, gain=2),
                iaf(1.0, **options),
                linear(name, 16, 6, drive, bias=False),
                iaf(1.0, **options),
            ),
            spikes(name, 12),
            **about,
        )
    own = "iaf_own"
    draw = 0.5 + (torch.rand(2, 16, generator=seeded(own)) * 16).round() / 8
    record(
        book,
        own,
        lambda drive: nn.Sequential(
            linear(own, 12, 16, drive, gain=2), iaf(draw[0], -draw[0]), linear(own, 16, 16, drive), iaf(draw[1], -draw[1])
        ),
        currents(own, 12),
        **plain,
    )
    floats = "iaf_float"
    record(
        book,
        floats,
        lambda drive: nn.Sequential(
            linear(floats, 14, 20, drive, grid=0),
            iaf(1.3, -1.3),
            linear(floats, 20, 16, drive, grid=0),
            iaf(0.9, -0.9),
            linear(floats, 16, 8, drive, grid=0),
            iaf(1.0, -1.0),
        ),
        currents(floats, 14, grid=0),
        exact=False,
        **plain,
    )
    whole = "iaf_with_time"
    record(
        book,
        whole,
        lambda drive: nn.Sequential(
            linear(whole, 12, 16, drive), sl.IAF(min_v_mem=-1.0), linear(whole, 16, 6, drive), sl.IAF(min_v_mem=-1.0)
        ),
        spikes(whole, 12, steps=150),
        **plain,
    )


def leaky(book: Recordings) -> None:
    """LIF: time constants of every neuron's own, norm_input, one or several spikes a step."""
    for name, norm, options, rules in (
        ("lif", False, {}, ""),
        ("lif_normed", True, {}, "membrane_gain=leak"),
        ("lif_single", False, {"spike_fn": SingleSpike}, "multi_spike=no"),
        ("lif_bounded", False, {"min_v_mem": -0.5}, "v_min=-0.5"),
    ):
        draw = torch.rand(2, 16, generator=seeded(name))
        record(
            book,
            name,
            lambda drive, name=name, norm=norm, options=options, draw=draw: nn.Sequential(
                linear(name, 12, 16, drive, gain=10 if norm else 1),
                lif(2 + 20 * draw[0], torch.ones(16), norm, **options),
                linear(name, 16, 16, drive, gain=10 if norm else 1),
                lif(torch.full((16,), 10.0), torch.ones(16), norm, **options),
            ),
            spikes(name, 12),
            flags={**SPOKEN, "rules": rules} if rules else SPOKEN,
        )
    own = "lif_own"
    more = torch.rand(4, 20, generator=seeded(own))
    record(
        book,
        own,
        lambda drive: nn.Sequential(
            linear(own, 12, 20, drive, grid=0),
            lif(1 + 50 * more[0], 0.6 + more[1]),
            linear(own, 20, 20, drive, grid=0),
            lif(1 + 30 * more[2], 0.6 + more[3]),
        ),
        currents(own, 12, grid=0),
        exact=False,
    )
    syn = "lif_tau_syn_lost"
    record(
        book,
        syn,
        lambda drive: nn.Sequential(linear(syn, 12, 16, drive), lif(torch.full((16,), 10.0), torch.ones(16), tau_syn=5.0)),
        spikes(syn, 12),
        lost="tau_syn = 5 is not in the file",
    )


def readouts(book: Recordings) -> None:
    """ExpLeak, alone and behind neurons, and several kinds of neurons in one network."""
    name = "readout"
    record(
        book,
        name,
        lambda drive: nn.Sequential(
            linear(name, 12, 16, drive),
            lif(torch.full((16,), 8.0), torch.ones(16)),
            linear(name, 16, 5, drive),
            leak(torch.tensor([3.0, 5.0, 10.0, 20.0, 50.0])),
        ),
        spikes(name, 12),
        bound=1e-4,
    )
    mixed = "mixed"
    record(
        book,
        mixed,
        lambda drive: nn.Sequential(
            linear(mixed, 12, 16, drive),
            lif(torch.full((16,), 8.0), torch.ones(16)),
            linear(mixed, 16, 8, drive),
            iaf(torch.ones(8)),
        ),
        spikes(mixed, 12),
        flags={**SPOKEN, "rules": FREE},
    )
    filters = "filter"
    record(
        book,
        filters,
        lambda drive: nn.Sequential(
            linear(filters, 12, 6, drive),
            leak(torch.full((6,), 12.0)),
            linear(filters, 6, 4, drive),
            leak(torch.full((4,), 4.0), True),
        ),
        currents(filters, 12),
        bound=1e-4,
        open=(),
        lost="norm_input of one ExpLeak and not of the other is not in the file",
    )


def convolutions(book: Recordings) -> None:
    """Conv2d and Conv1d with stride, padding, groups and dilation; sum pooling; flattening."""
    plain = {"note": "bounded at minus the threshold"}
    name = "conv"
    record(
        book,
        name,
        lambda drive: nn.Sequential(
            conv(name, 2, 4, 3, padding=1, bias=False, drive=drive),
            iaf(1.0, -1.0),
            sl.SumPool2d(2),
            conv(name, 4, 6, 3, stride=2, drive=drive),
            iaf(2.0, -2.0),
            nn.Flatten(),
            linear(name, 24, 5, drive),
            iaf(1.0, -1.0),
        ),
        spikes(name, 2, 12, 12, rate=0.15),
        **plain,
    )
    groups = "conv_groups"
    record(
        book,
        groups,
        lambda drive: nn.Sequential(
            conv(groups, 4, 8, 3, padding=(1, 0), groups=2, drive=drive),
            iaf(1.0, -1.0),
            conv(groups, 8, 8, 3, groups=8, dilation=2, drive=drive),
            iaf(1.0, -1.0),
        ),
        spikes(groups, 4, 10, 9, rate=0.15),
        **plain,
    )
    line = "conv1d"
    record(
        book,
        line,
        lambda drive: nn.Sequential(
            wave(line, 2, 4, 5, stride=2, padding=2, drive=drive),
            iaf(1.0, -1.0),
            wave(line, 4, 6, 3, dilation=2, groups=2, drive=drive),
            iaf(1.0, -1.0),
            nn.Flatten(),
            linear(line, 24, 5, drive),
            iaf(1.0, -1.0),
        ),
        spikes(line, 2, 16),
        **plain,
    )
    tall = "conv_tall"
    record(
        book,
        tall,
        lambda drive: nn.Sequential(
            conv(tall, 1, 4, (5, 3), stride=(2, 1), padding=(2, 1), drive=drive),
            iaf(1.0, -1.0),
            sl.SumPool2d((1, 2)),
            nn.Flatten(),
            linear(tall, 80, 6, drive),
            iaf(2.0, -2.0),
        ),
        spikes(tall, 1, 9, 8),
        **plain,
    )


if __name__ == "__main__":
    main()
