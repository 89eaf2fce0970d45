"""Training for asynchronous chips: layers whose forward pass is the running maximum of what arrives.

reference/running_maximum.py has the formula. All quantities are in thresholds: a weight is a fraction of the threshold behind
it, activity is a number of spikes. A path has the shape (points, batch, *shape): the spikes sent until each of `points` moments
of the sample. Events between two moments arrive together, so that more points are nearer to the chip; the order of the input's
events is drawn anew in every forward pass. Gradients: straight through floor, through the maximum to the moment where it
stands, and none where a neuron stays silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from snnport.errors import InvalidInput, UnknownName

ORDERS = ("random", "ascending")


def event_paths(counts: Tensor, points: int, generator: torch.Generator | None = None, order: str = "random") -> Tensor:
    """Spikes of each neuron until each of `points` moments (points, *counts.shape).

    counts: (batch, *shape) whole numbers of spikes, at least 0. order: "random", each spike comes at a uniformly drawn time, or
    "ascending", neuron after neuron in C order, as the events of one step reach the chip.
    """
    if order not in ORDERS:
        raise UnknownName.among("order", order, ORDERS)
    if points < 1:
        raise InvalidInput("points", f"{points} moments", "Give 1 or more")
    if counts.numel() and bool((counts < 0).any() | (counts != counts.round()).any()):
        raise InvalidInput("counts", "they are no whole numbers of spikes", "Round the input to counts first")
    most = int(counts.max()) if counts.numel() else 0
    number = torch.arange(most)
    times = torch.rand((*counts.shape, most), generator=generator) if order == "random" else _ascending(counts, number)
    moment = torch.where(number < counts.unsqueeze(-1), (times * points).long(), points)
    sent = torch.zeros((*counts.shape, points + 1)).scatter_add_(-1, moment, torch.ones_like(times))
    return sent[..., :points].cumsum(-1).movedim(-1, 0)


def _ascending(counts: Tensor, number: Tensor) -> Tensor:
    """Time in 0..1 of spike `number` of each neuron where all spikes of a sample follow one another in C order."""
    flat = counts.flatten(1)
    before = (flat.cumsum(1) - flat).reshape(counts.shape).unsqueeze(-1)
    total = flat.sum(1).clamp(min=1).reshape(-1, *[1] * counts.ndim)
    return ((before + number) / total).clamp(max=1 - 1e-6)


class _Floor(torch.autograd.Function):
    """floor with the gradient of the identity."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x)

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def whole(x: Tensor) -> Tensor:
    """floor(x), with the gradient of x."""
    found: Tensor = _Floor.apply(x)  # type: ignore[no-untyped-call]
    return found


def running_maximum(charge: Tensor, start: Tensor | float = 0.5, *, spikes: bool = True) -> Tensor:
    """Path of a layer's spikes from the path of its charge, both (points, batch, *shape), in thresholds.

    start: potential at the beginning. spikes: False leaves out the rounding, for the logits of a loss.
    """
    level = charge + start
    return torch.cummax(torch.relu(whole(level) if spikes else level), dim=0).values


class AsyncLayer(nn.Module):
    """`layer` (linear, convolution, pooling before one, or several in a row), and asynchronous neurons behind it.

    start: the potential at the beginning, in thresholds. A bias must not act at every moment, so that `asynchronous_net` moves
    it there. spikes: False for the last layer of a loss.
    """

    def __init__(self, layer: nn.Module, start: Tensor | float = 0.5, *, spikes: bool = True) -> None:
        super().__init__()
        self.layer = layer
        self.start = nn.Parameter(torch.as_tensor(start, dtype=torch.float32).clone())
        self.spikes = spikes

    def forward(self, path: Tensor) -> Tensor:
        """(points, batch, *shape) of the source's spikes to those of this layer."""
        charge = self.layer(path.flatten(0, 1)).unflatten(0, path.shape[:2])
        start = self.start.reshape(-1, *[1] * (charge.ndim - 3)) if self.start.ndim else self.start
        return running_maximum(charge, start, spikes=self.spikes)


class AsyncNet(nn.Module):
    """Layers in a row, from input counts (batch, *shape) to what the last has sent at the end (batch, *shape)."""

    def __init__(
        self,
        layers: Sequence[AsyncLayer],
        points: int = 16,
        generator: torch.Generator | None = None,
        order: str = "random",
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.points, self.generator, self.order = points, generator, order

    def forward(self, counts: Tensor) -> Tensor:
        """What the last layer has sent when all input has arrived."""
        path = event_paths(counts, self.points, self.generator, self.order)
        for layer in self.layers:
            path = layer(path)
        return path[-1]


def asynchronous_net(
    layers: Sequence[nn.Linear | nn.Conv2d],
    steps: Sequence[float],
    *,
    points: int = 16,
    generator: torch.Generator | None = None,
    order: str = "random",
) -> AsyncNet:
    """The asynchronous form of a chain of rectified layers; its own parameters, in thresholds.

    steps: what one spike of the input means, then what one of each layer means (one more than layers). A layer's weights become
    weight * steps[k] / steps[k + 1], its bias a potential at the beginning, 1/2 + bias / steps[k + 1]. The last gives logits.
    """
    if len(steps) != len(layers) + 1 or min(steps) <= 0:
        raise InvalidInput(
            "steps", f"{len(steps)} of them for {len(layers)} layers", "Give a positive one for the input and each layer"
        )
    made = []
    for k, layer in enumerate(layers):
        copy = type(layer)(**_geometry(layer), bias=False)
        copy.weight.data = layer.weight.detach() * (steps[k] / steps[k + 1])
        bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach() / steps[k + 1]
        last = k == len(layers) - 1
        made.append(AsyncLayer(copy, bias + 0.5, spikes=not last))
    return AsyncNet(made, points, generator, order)


def _geometry(layer: nn.Linear | nn.Conv2d) -> dict[str, Any]:
    if isinstance(layer, nn.Linear):
        return {"in_features": layer.in_features, "out_features": layer.out_features}
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
    return {name: getattr(layer, name) for name in names}
