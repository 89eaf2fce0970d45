# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "numpy"]
# ///
"""Data-based normalisation as published by B. Rueckauer et al. (Frontiers in Neuroscience 11:682, 2017), written anew.

Every layer's weights are scaled by (scale of its input) / (scale of its output), its bias by 1 / (scale of its output), where
a scale is a percentile of the positive activations; neurons are IF with threshold 1, reset by subtraction, one spike a step at
most; the input enters as a current. Where branches meet in an add, all of them take the scale behind it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from convert_case import Network, main
from torch import Tensor, nn


class IntegrateAndFire(nn.Module):
    """v <- v + x; fires where v >= 1, which is taken off. start: of v, in thresholds."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.start, self.v = start, None

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of one step."""
        self.v = (torch.full_like(x, self.start) if self.v is None else self.v) + x
        fired = (self.v >= 1).to(x.dtype)
        self.v = self.v - fired
        return fired


class Scaled(nn.Module):
    """A way of its own weight into an add: what came in one scale leaves in another."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """x in the other scale."""
        return x * self.factor


@torch.no_grad()
def normalise(network: Network, calibration: Tensor, percentile: float) -> None:
    """Rescale the weights of `network` in place, so that the percentile of every rectifier is 1."""
    scales = _scales(network, calibration, percentile)
    unit: dict[str, float] = {}
    target = _targets(network)
    for name, kind, sources in network.plan:
        unit[name] = scales.get(name, 1.0 if kind in ("input", "output") else unit[sources[0]] if sources else 1.0)
        if kind in ("conv", "linear", "same"):
            out = scales.get(target[name], 1.0)
            layer = getattr(network, name)
            if kind == "same":
                setattr(network, name, Scaled(unit[sources[0]] / out))
            else:
                layer.weight.mul_(unit[sources[0]] / out)
                layer.bias.div_(out)
            unit[name] = out


def _scales(network: Network, calibration: Tensor, percentile: float) -> dict[str, float]:
    kept: dict[str, list[Tensor]] = {}
    hooks = []
    for name, kind, _ in network.plan:
        if kind == "relu":

            def keep(_: nn.Module, __: object, out: Tensor, name: str = name) -> None:
                flat = out[out > 0]
                kept.setdefault(name, []).append(flat[:: max(1, flat.numel() // 20000)])

            hooks.append(getattr(network, name).register_forward_hook(keep))
    for part in calibration.split(50):
        network(part)
    for hook in hooks:
        hook.remove()
    return {
        name: float(torch.quantile(torch.cat(parts)[:4_000_000].double(), percentile / 100)) for name, parts in kept.items()
    }


def _targets(network: Network) -> dict[str, str]:
    """The rectifier or output that each layer's sum ends in."""
    kinds = {name: kind for name, kind, _ in network.plan}
    after: dict[str, str] = {}
    for name, _, sources in network.plan:
        for source in sources:
            after.setdefault(source, name)

    def end(name: str) -> str:
        return name if kinds[name] in ("relu", "output") else end(after[name])

    return {name: end(after[name]) for name, kind, _ in network.plan if kind in ("conv", "linear", "same")}


def convert(network: Network, calibration: Tensor, method: str) -> tuple[nn.Module, Callable[[nn.Module], None]]:
    """method: max, 99.9, or 99.9+half, which starts at half a threshold."""
    percentile, _, start = method.partition("+")
    normalise(network, calibration, 100.0 if percentile == "max" else float(percentile))
    for name, kind, _ in network.plan:
        if kind == "relu":
            setattr(network, name, IntegrateAndFire(0.5 if start == "half" else 0.0))

    def reset(module: nn.Module) -> None:
        for part in module.modules():
            if isinstance(part, IntegrateAndFire):
                part.v = None

    return network, reset


if __name__ == "__main__":
    main(convert, {"method": "Rueckauer et al. 2017"})
