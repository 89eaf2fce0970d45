"""A population, by itself or with weights from itself to itself, as one function of a whole sequence.

Backpropagation through time is written by hand: forward one compiled loop, backward another, and in a loop one matrix product
a step. What the common rules leave out (several spikes a step, lower bounds, late resets, learned time constants, other
devices) is done step by step by stepping.py.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snnport.training.kernels import (
    EARLY,
    FORWARD,
    INCREMENT,
    INCREMENT_SYNAPTIC,
    NO_RESET,
    PRODUCT,
    SUBTRACT,
    TO_VALUE,
    Rules,
    backward_kernel,
    forward_kernel,
    shares,
)
from snnport.training.parameters import Numbers
from snnport.training.stepping import CellState
from snnport.training.surrogates import Surrogate

Array = npt.NDArray[Any]
SMALL = 1 << 17
"""Updates of a neuron below which one thread does them all."""
WORTH = 1 << 15
"""Updates of a neuron (steps x samples x neurons) from which the loops are compiled; it takes seconds, once a machine."""


def can_fuse(numbers: Numbers, device: torch.device, updates: int) -> bool:
    """Whether the compiled loops know the rules of this population, and `updates` of a neuron are worth compiling them for."""
    if updates < WORTH:
        return False
    flags = numbers.flags
    rule = flags["rule"]
    learned = any(value is not None and value.requires_grad for value in numbers.values.values())
    known = rule.reset_when == "at_once" or (rule.reset_when == "next_end" and rule.reset == "subtract")
    late = flags["fires"] and rule.reset != "none" and not known
    odd = flags["divided"] or (flags["synaptic"] and flags["early_i"]) or (flags["synaptic"] and flags["early"])
    bounded = numbers.values["bound"] is not None
    return device.type == "cpu" and not (learned or late or odd or bounded or rule.multi_spike)


def rules_of(numbers: Numbers, *, held: bool, looped: bool, keeps_v: bool, detach: bool) -> Rules:
    """The kernel's rules for a population that can be fused."""
    flags = numbers.flags
    rule = flags["rule"]
    update = PRODUCT
    if not flags["integrates"]:
        update = (INCREMENT_SYNAPTIC if flags["synaptic"] else INCREMENT) if flags["increment"] else PRODUCT
        update = EARLY if flags["early"] else update
    synaptic = (1 if rule.current == "new" else 2) if flags["synaptic"] else 0
    reset = {"none": NO_RESET, "subtract": SUBTRACT}.get(rule.reset, TO_VALUE) if flags["fires"] else NO_RESET
    adaptive = numbers.values["beta"] is not None
    uniform = all(value is None or bool((value == value.flatten()[0]).all()) for value in numbers.values.values())
    return Rules(
        update,
        bool(flags["fires"]),
        synaptic,
        bool(synaptic and flags["stepwise_i"]),
        adaptive,
        reset,
        rule.comparison == ">=",
        held,
        looped,
        keeps_v,
        detach or reset == NO_RESET,
        uniform,
        reset == SUBTRACT and rule.reset_when == "next_end",
    )


@dataclass(frozen=True)
class Tables:
    """A population's parameters as rows (rows, neurons) of the two kernels."""

    forward: Array
    backward: Array

    @classmethod
    def of(cls, numbers: Numbers, size: int, dtype: Any, update: int) -> Tables:
        """Spread over `size` neurons; what a population lacks is 0, an integrator keeps all."""
        neutral = {"keep": 1.0} if numbers.flags["integrates"] else {}
        rows = {}
        for name in FORWARD:
            value = numbers.values[name]
            array = np.asarray(neutral.get(name, 0.0) if value is None else value.detach().numpy(), dtype)
            rows[name] = np.broadcast_to(array.reshape(-1) if array.size > 1 else array.reshape(()), (size,))
        one = np.ones((), dtype)
        dvv = rows["keep"] if update in (PRODUCT, EARLY) else one - rows["lose"]
        dvx = {PRODUCT: rows["take"], EARLY: rows["keep"] * rows["take"]}.get(update, rows["lose"] * rows["r"])
        dii = one - rows["lose_i"] if numbers.flags["synaptic"] and numbers.flags["stepwise_i"] else rows["keep_i"]
        back = [dvv, dvx, rows["threshold"], rows["back"], dii, rows["take_i"], rows["keep_b"], rows["lose_b"], rows["beta"]]
        return cls(np.ascontiguousarray(np.stack([rows[name] for name in FORWARD])), np.ascontiguousarray(np.stack(back)))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def _spread(kernel: Any, arguments: tuple[Any, ...], n_samples: int, updates: int) -> None:
    """Run `kernel` on all samples, in as many threads as torch has."""
    threads = torch.get_num_threads()
    parts = shares(n_samples, threads if updates > SMALL else 1)
    if len(parts) == 1:
        kernel(*arguments, *parts[0])
        return
    for future in [_pool(threads).submit(kernel, *arguments, *part) for part in parts]:
        future.result()


class Sequence(torch.autograd.Function):
    """(out, kept, v, i, b) of (x, v, i, b, z, weight, bias). out, kept, x: (steps, samples, neurons), x of one step if held."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        v: Tensor,
        i: Tensor,
        b: Tensor,
        z: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        n_steps: int,
        rules: Rules,
        tables: Tables,
        surrogate: Surrogate,
    ) -> Any:
        """weight (targets, sources), bias (targets,): of the loop, None for none."""
        n_samples, n = v.shape
        new = [tensor.detach().clone(memory_format=torch.contiguous_format) for tensor in (v, i, b, z)]
        out = x.new_empty((n_steps, n_samples, n))
        none = x.new_empty((0, 0, 0))
        diff = torch.empty_like(out) if rules.fires else none
        before = torch.empty_like(out) if rules.needs_before else none
        kept = torch.empty_like(out) if rules.keeps_v else none
        back = x.new_zeros((0, 0)) if weight is None else weight.detach().t().contiguous()
        shift = x.new_zeros(n) if bias is None else bias.detach().expand(n).contiguous()
        arrays = [tensor.detach().contiguous().numpy() for tensor in (x, *new)]
        rest = [tensor.numpy() for tensor in (back, shift, out, diff, before, kept)]
        _spread(forward_kernel(rules), (*arrays, tables.forward, *rest), n_samples, out.numel())
        ctx.save_for_backward(out, diff, before, z, *([] if weight is None else [weight]))
        ctx.rules, ctx.tables, ctx.surrogate, ctx.x_shape, ctx.has_bias = rules, tables, surrogate, x.shape, bias is not None
        ctx.set_materialize_grads(True)
        return out, kept, new[0], new[1], new[2]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Back through time, from the last step."""
        out, diff, before, z, *weights = ctx.saved_tensors
        rules: Rules = ctx.rules
        g_out, g_kept = (g.contiguous() for g in grads[:2])
        gv, gi, gb = (g.contiguous().clone() for g in grads[2:])
        slope = ctx.surrogate.slope(diff) if rules.fires else diff
        gx = torch.zeros(ctx.x_shape, dtype=out.dtype) if rules.held else torch.empty(ctx.x_shape, dtype=out.dtype)
        # In a loop every step's gradient is needed, also where the input is held: it goes through the weights.
        each = torch.empty_like(out) if rules.looped and rules.held else gx
        n_steps, n_samples, _ = out.shape
        g_z = torch.zeros_like(gv)
        kernel = backward_kernel(replace(rules, held=False) if rules.looped else rules)
        fixed = [t.numpy() for t in (out, slope, before, g_out, g_kept, g_z, gv, gi, gb)]
        arguments = (*fixed, ctx.tables.backward, each.numpy())
        if not rules.looped:
            _spread(kernel, (*arguments, 0, n_steps), n_samples, out.numel())
            return (gx, gv, gi, gb, g_z, None, None, None, None, None, None)
        weight = weights[0].detach()
        carried = float(rules.adaptive or (rules.late and not rules.detach))
        for t in range(n_steps - 1, -1, -1):
            _spread(kernel, (*arguments, t, t + 1), n_samples, n_samples * out.shape[2])
            torch.addmm(g_z, each[t], weight, beta=carried, out=g_z)
        spikes = torch.cat([z[None], out[:-1]]).flatten(0, 1)
        g_weight = each.flatten(0, 1).t() @ spikes if ctx.needs_input_grad[5] else None
        g_bias = each.sum((0, 1)) if ctx.has_bias and ctx.needs_input_grad[6] else None
        if rules.held:
            gx = each.sum(0, keepdim=True)
        return (gx, gv, gi, gb, g_z, g_weight, g_bias, None, None, None, None)


@dataclass(frozen=True)
class Loop:
    """Weights (targets, sources) and bias (targets,), or None, of a population's spikes to itself."""

    weight: Tensor
    bias: Tensor | None


def run_fused(
    numbers: Numbers,
    surrogate: Surrogate,
    detach: bool,
    x: Tensor,
    n_steps: int,
    state: CellState,
    loop: Loop | None,
    keeps_v: bool,
) -> tuple[Tensor, Tensor | None, CellState]:
    """(out, potentials after the reset if asked for, state after the last step).

    x: (n_steps, batch, *shape), or (1, batch, *shape) for an input that is held; out likewise with all steps.
    """
    shape = state.v.shape[1:]
    size = int(np.prod(shape))
    held = x.shape[0] == 1 and n_steps != 1
    rules = rules_of(numbers, held=held, looped=loop is not None, keeps_v=keeps_v, detach=detach)
    tables = Tables.of(numbers, size, str(x.dtype).removeprefix("torch."), rules.update)
    flat = [tensor.reshape(len(tensor), -1) for tensor in (state.v, state.i, state.b, state.fired)]
    weight, bias = (None, None) if loop is None else (loop.weight, loop.bias)
    out, kept, v, i, b = Sequence.apply(
        x.reshape(len(x), x.shape[1], -1), *flat, weight, bias, n_steps, rules, tables, surrogate
    )
    back = (len(flat[0]), *shape)
    out = out.reshape(n_steps, *back)
    fired = out[-1] if rules.fires else state.fired
    after = CellState(v.reshape(back), i.reshape(back), fired, b.reshape(back))
    potentials = kept.reshape(n_steps, *back) if keeps_v else (None if rules.fires else out)
    return out, potentials, after
