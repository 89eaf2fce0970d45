"""Neurons step by step, by every rule of a Convention: the arithmetic of the reference's cell in torch, with its gradient.

fused.py does the common rules a whole sequence at a time; both give the same spikes and gradients, and a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snnport.training.parameters import Numbers
from snnport.training.surrogates import Surrogate


@dataclass(frozen=True)
class CellState:
    """A population after a step. v, i, b: potential, current, trace of spikes; fired: spikes of that step. (batch, *shape)."""

    v: Tensor
    i: Tensor
    fired: Tensor
    b: Tensor

    def detached(self) -> CellState:
        """The same values without a past."""
        return CellState(self.v.detach(), self.i.detach(), self.fired.detach(), self.b.detach())


class Fires(torch.autograd.Function):
    """1 where the potential exceeds the limit (or reaches it), else 0; backward by a surrogate's slope."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, limit: Tensor, reaches: bool, surrogate: Surrogate) -> Tensor:
        """v, limit: of one shape."""
        ctx.save_for_backward(v, limit)
        ctx.surrogate = surrogate
        return (v >= limit if reaches else v > limit).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """slope(v - limit), its negative for the limit."""
        v, limit = ctx.saved_tensors
        found = grads[0] * ctx.surrogate.slope(v - limit)
        return found, -found if ctx.needs_input_grad[1] else None, None, None


class FiresOften(torch.autograd.Function):
    """As often as the threshold fits into the potential; backward by the slope at the nearest multiple from 1 up."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, threshold: Tensor, reaches: bool, surrogate: Surrogate) -> Tensor:
        """v, threshold: of one shape."""
        ctx.save_for_backward(v, threshold)
        ctx.surrogate = surrogate
        over = (v >= threshold if reaches else v > threshold).to(v.dtype)
        return over * torch.floor(v / threshold)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """slope(v - k threshold), times -k for the threshold."""
        v, threshold = ctx.saved_tensors
        k = torch.round(v / threshold).clamp_(min=1.0)
        found = grads[0] * ctx.surrogate.slope(v - k * threshold)
        return found, -k * found if ctx.needs_input_grad[1] else None, None, None


@dataclass(frozen=True)
class Stepper:
    """A population at work. numbers: what it computes with; detach: no gradient through the reset."""

    numbers: Numbers
    surrogate: Surrogate
    detach: bool

    def first(self, batch: int, shape: tuple[int, ...], like: Tensor) -> CellState:
        """The state before the first step."""
        zeros = like.new_zeros((batch, *shape))
        start = torch.as_tensor(self.numbers.flags["start"], dtype=zeros.dtype, device=zeros.device)
        # A v_leak or v_reset that is learned is where the potential starts, too.
        value = self.numbers.values["leak"] if self.numbers.flags["rule"].start == "leak" else self.numbers.values["back"]
        if value is not None and value.requires_grad:
            start = value
        return CellState(zeros + start, zeros, zeros, zeros)

    def advance(self, state: CellState, x: Tensor) -> tuple[Tensor, CellState]:
        """What leaves in this step, and the state after it."""
        n: Any = self.numbers.values
        flags = self.numbers.flags
        rule = flags["rule"]
        v, b = state.v, state.b
        if n["beta"] is not None:
            b = n["keep_b"] * b + n["lose_b"] * state.fired
        limit = n["threshold"] if n["beta"] is None else n["threshold"] + n["beta"] * b
        if rule.reset_when == "next_start":
            v = self._reset(v, state.fired)
        above = None
        if rule.reset_when == "carried" and rule.reset == "subtract":
            above = (v >= limit if rule.comparison == ">=" else v > limit).to(v.dtype).detach()
        drive, i = self._current(state.i, x) if flags["synaptic"] else (x, state.i)
        v = self._integrated(v, drive)
        if not flags["fires"]:
            return v, CellState(v, i, state.fired, b)
        if rule.reset_when == "next_end":
            v = self._reset(v, state.fired)
        compared = v if above is None else v - above * n["threshold"]
        fires = FiresOften if rule.multi_spike else Fires
        spikes = fires.apply(compared, limit.expand_as(compared), rule.comparison == ">=", self.surrogate)
        if rule.reset_when in ("at_once", "carried"):
            v = self._reset(v, spikes)
        if n["bound"] is not None:
            bound = n["bound"]
            detour = bool(torch.isfinite(bound).all())
            v = torch.clamp(v - bound, min=0) + bound if detour else torch.maximum(v, bound)
        return spikes, CellState(v, i, spikes, b)

    def _current(self, before: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        n: Any = self.numbers.values
        push = n["take_i"] * x
        if self.numbers.flags["stepwise_i"]:
            now = before - n["lose_i"] * before + push
            return now, now
        now = n["keep_i"] * (before + push) if self.numbers.flags["early_i"] else n["keep_i"] * before + push
        return (now if self.numbers.flags["rule"].current == "new" else before), now

    def _integrated(self, v: Tensor, drive: Tensor) -> Tensor:
        n: Any = self.numbers.values
        flags = self.numbers.flags
        if flags["integrates"]:
            return torch.as_tensor(v + n["take"] * drive)
        if flags["divided"]:
            whole = torch.as_tensor(flags["whole"], device=v.device)
            inside = torch.where(whole, torch.zeros_like(v), n["r"] * drive) - (v - n["leak"])
            by_rate = torch.as_tensor(flags["by_rate"], device=v.device)
            part = torch.where(by_rate, inside * n["rate"], inside / n["steps"])
            return torch.as_tensor(v + part + torch.where(whole, drive, torch.zeros_like(v)))
        if flags["increment"]:
            if flags["synaptic"]:
                return torch.as_tensor(v + n["lose"] * ((n["leak"] - v) + n["r"] * drive))
            return torch.as_tensor(v + n["lose"] * ((n["r"] * drive + n["leak"]) + -v))
        if flags["early"]:
            return torch.as_tensor(n["keep"] * (v + n["take"] * drive) + n["pull"])
        return torch.as_tensor(n["keep"] * v + n["take"] * drive + n["pull"])

    def _reset(self, v: Tensor, fired: Tensor) -> Tensor:
        n: Any = self.numbers.values
        rule = self.numbers.flags["rule"]
        if rule.reset == "none":
            return v
        given = fired.detach() if self.detach else fired
        if rule.reset == "subtract":
            return torch.as_tensor(v - given * n["threshold"])
        after = torch.where(given > 0, n["back"], v)
        if self.detach:
            return after
        # Adds 0, and the derivative of the choice: back - v.
        return torch.as_tensor(after + (given - given.detach()) * (n["back"] - v).detach())
