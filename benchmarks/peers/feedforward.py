"""What the torch contenders share: the network of a case as torch modules, and the counts of what they computed.

request: {"case": .npz, "batch": samples to run at once, "threads": cores allowed}. The .npz holds x (n_samples, n_steps,
*input shape) uint8, w0, w1, ... int8 (target, source) or (out, in, kh, kw), and `layers`, a JSON list with one
{"threshold", "stride", "padding", "pool", "multiple"} a layer, the middle three null in a dense layer. pool sums windows in
front of the weights; `multiple` neurons fire floor(v / threshold) times a step and keep v >= -threshold.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from protocol import Job, measure
from torch import Tensor, nn


class SumPool(nn.Module):
    """Sums of windows: torch's average times their size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width)."""
        return nn.functional.avg_pool2d(x, self.size, divisor_override=1)


class Case:
    """x (n_steps, batch, *input shape) float32, the layers without their neurons, and what the file says of their neurons."""

    def __init__(self, request: dict[str, Any]) -> None:
        torch.set_num_threads(int(request["threads"]))
        torch.set_grad_enabled(False)
        with np.load(request["case"]) as data:
            spikes = data["x"][: request["batch"]]
            self.told: list[dict[str, Any]] = json.loads(str(data["layers"]))
            weights = [torch.from_numpy(data[f"w{i}"].astype(np.float32)) for i in range(len(self.told))]
        self.thresholds = [float(layer["threshold"]) for layer in self.told]
        self.x = torch.from_numpy(np.ascontiguousarray(spikes.swapaxes(0, 1))).float()
        self.layers = [module(weight, layer) for weight, layer in zip(weights, self.told, strict=True)]
        self.shapes: list[torch.Size] = []
        x = self.x[0]
        for layer in self.layers:
            x = layer(x)
            self.shapes.append(x.shape)


def module(weight: Tensor, told: dict[str, Any]) -> nn.Module:
    """Sum pooling, if there is one, and the weights."""
    before: list[nn.Module] = [SumPool(told["pool"][0])] if told["pool"] else []
    out, into, *kernel = weight.shape
    if kernel:
        conv = nn.Conv2d(into, out, tuple(kernel), tuple(told["stride"]), tuple(told["padding"]), bias=False)
        return _with_weight(before, conv, weight)
    return _with_weight([*before, nn.Flatten()] if before else [], nn.Linear(into, out, bias=False), weight)


def _with_weight(before: list[nn.Module], layer: nn.Conv2d | nn.Linear, weight: Tensor) -> nn.Module:
    layer.weight.copy_(weight)
    return nn.Sequential(*before, layer).eval() if before else layer.eval()


def over_time(layer: nn.Module, x: Tensor) -> Tensor:
    """All steps of all samples at once: the first two axes of x are one batch."""
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def count(spikes: Sequence[Tensor]) -> dict[str, int]:
    """Spikes of every layer."""
    return {f"layer{i}": int(s.sum(dtype=torch.float64)) for i, s in enumerate(spikes, start=1)}


def versions(**others: str) -> dict[str, str]:
    """Of torch and of the others. Fails if torchvision or torchaudio was loaded: neither may be part of a measurement."""
    assert not {"torchvision", "torchaudio"} & set(sys.modules)
    return {**others, "torch": torch.__version__}


def fastest(ways: dict[str, Callable[[], Any]], seconds: float = 1.0) -> tuple[str, Callable[[], Any]]:
    """The fastest of several ways to do the same, and its name with how the others compare."""
    best: dict[str, float] = {}
    for name, way in ways.items():
        way()
        best[name] = measure(Job(way, lambda _: {}, name), seconds)["wall_s"]
    winner = min(best, key=lambda name: best[name])
    losers = "".join(f"; {name} takes {best[name] / best[winner]:.1f} times as long" for name in best if name != winner)
    return winner + losers, ways[winner]
