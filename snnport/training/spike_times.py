"""Losses on the step of the first spike. A neuron that never fires is taken to fire in the last step, so that it can learn to.

A step is no smooth function of potentials. Its derivative is taken to be -1 with regard to the spike itself, 0 elsewhere: more
of the first spike, which is what a higher potential gives, means an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from snnport.errors import InvalidInput


class FirstTime(torch.autograd.Function):
    """The step of the first spike, (batch, neurons), of spikes (batch, steps, neurons); the last step for none."""

    @staticmethod
    def forward(ctx: Any, spikes: Tensor) -> Tensor:
        """Steps count from 0."""
        steps = spikes.shape[1]
        fired = spikes > 0
        first = torch.where(fired.any(1), fired.to(torch.int8).argmax(1), steps - 1)
        ctx.save_for_backward(first)
        ctx.shape = spikes.shape
        return first.to(spikes.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """-1 in the step of the first spike, the forced one included; 0 elsewhere."""
        (first,) = ctx.saved_tensors
        found = torch.zeros(ctx.shape, dtype=grads[0].dtype, device=grads[0].device)
        found.scatter_(1, first[:, None], -grads[0][:, None])
        return found


@dataclass(frozen=True)
class SpikeTimeCrossEntropy:
    """Softmax cross entropy of minus the first spikes' steps, divided by `scale` steps: the label's neuron shall be first."""

    scale: float = 1.0
    reads_v = False

    def value(self, spikes: Tensor | None, v: Tensor | None, y: Tensor) -> Tensor:
        """y: labels (batch,)."""
        return functional.cross_entropy(-_times(spikes) / self.scale, y.long())


@dataclass(frozen=True)
class SpikeTimeError:
    """Mean squared error of the first spikes' steps, as fractions of all steps: step `on` for the label's neuron, `off` for
    others (the last for -1). y of real numbers (batch, neurons) are the wanted steps themselves."""

    on: float = 0.0
    off: float = -1.0
    reads_v = False

    def value(self, spikes: Tensor | None, v: Tensor | None, y: Tensor) -> Tensor:
        """y: labels (batch,), or steps (batch, neurons)."""
        times = _times(spikes)
        steps = 1 if spikes is None else spikes.shape[1]
        if y.ndim > 1:
            wanted = y.to(times)
        else:
            late = float(steps - 1) if self.off < 0 else self.off
            wanted = torch.full_like(times, late).scatter_(1, y.long()[:, None], self.on)
        return torch.mean(((times - wanted) / steps) ** 2)


def _times(spikes: Tensor | None) -> Tensor:
    if spikes is None:
        raise InvalidInput("loss on spike times", "the output neurons never fire", "Use cross-entropy{of=membrane}")
    found: Tensor = FirstTime.apply(spikes)
    return found
