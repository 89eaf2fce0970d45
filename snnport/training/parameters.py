"""What of a graph is learned: fields of nodes as parameters, and the numbers that a neuron computes with, made from them.

The numbers are those of the reference's cell for the node as it stands, to the bit; their derivatives are those of the
formulas in convention.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor

from snnport.convention import Convention
from snnport.errors import UnknownName
from snnport.graph import Graph
from snnport.nodes import NEURON_NODES, AdaptiveLIF, SigmaDelta
from snnport.reference.adaptive import cell_of
from snnport.reference.cell import NEUTRAL

POSITIVE = ("tau", "tau_mem", "tau_syn", "tau_adapt", "v_threshold", "beta")
"""Fields that are learned as the logarithm of a factor, so that they keep their sign."""
DIRECT = ("weight", "bias", "scale", "r", "w_in", "v_leak", "v_reset", "threshold")
NUMBERS = (
    *("keep", "lose", "take", "pull", "leak", "r", "steps", "rate", "threshold", "back", "bound"),
    *("keep_i", "lose_i", "take_i", "keep_b", "lose_b", "beta"),
)
"""Attributes of the reference's cell that are numbers, one or one a neuron."""
FLAGS = ("synaptic", "integrates", "early", "increment", "divided", "by_rate", "whole", "early_i", "stepwise_i")


class Exactly(torch.autograd.Function):
    """The value of one tensor with the derivative of another."""

    @staticmethod
    def forward(ctx: Any, soft: Tensor, exact: Tensor) -> Tensor:
        """exact."""
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """All of it to soft."""
        return grads[0], None


@dataclass(frozen=True)
class Numbers:
    """What a cell computes with. values: tensors by the names of the cell's attributes; flags: its choices of formula."""

    values: Mapping[str, Tensor | None]
    flags: Mapping[str, Any]


def learned_fields(graph: Graph, trainable: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Node -> its fields that are learned. trainable: fields, or "node.field". Raises UnknownName for what no node has."""
    found: dict[str, tuple[str, ...]] = {}
    left = set(trainable)
    for name, node in graph.nodes.items():
        fields = []
        for field in (*POSITIVE, *DIRECT):
            if getattr(node, field, None) is None or isinstance(node, SigmaDelta):
                continue
            asked = {field, f"{name}.{field}"} & set(trainable)
            if asked:
                fields.append(field)
                left -= asked
        if fields:
            found[name] = tuple(fields)
    # A network without biases or scales is no reason to refuse; a word that no node could have is.
    for word in sorted(left):
        if word not in (*POSITIVE, *DIRECT):
            raise UnknownName.among("trainable field", word, (*POSITIVE, *DIRECT))
    return found


def key_of(name: str, field: str) -> str:
    """The name of a parameter in the module's state: torch allows no dots."""
    return f"{name}/{field}".replace(".", "/")


def first_value(field: str, value: Any, dtype: torch.dtype) -> Tensor:
    """What a field's parameter starts from: its value in `dtype`, or 0 where a factor is learned."""
    array = np.array(value, np.float64)
    start = np.zeros_like(array) if field in POSITIVE else array
    return torch.tensor(start, dtype=torch.float64 if field in POSITIVE else dtype)


def field_value(field: str, first: Any, parameter: Tensor) -> Tensor:
    """A field as it stands, as a differentiable tensor; float64 for factors."""
    if field not in POSITIVE:
        return parameter
    return torch.as_tensor(np.array(first, np.float64), device=parameter.device) * torch.exp(parameter)


def node_with(node: Any, fields: Mapping[str, Tensor]) -> Any:
    """A copy of `node` with the values that its learned fields have now; a field that has not changed keeps its array."""
    new = copy(node)
    for field, tensor in fields.items():
        old, value = np.asarray(getattr(node, field)), tensor.detach().cpu().numpy()
        if not np.array_equal(old.astype(value.dtype), value):
            setattr(new, field, value.copy())
    return new


def numbers_of(node: Any, rule: Convention, name: str, fields: Mapping[str, Tensor], device: torch.device) -> Numbers:
    """The numbers of a neuron, with derivatives with regard to `fields`. Raises UnsupportedNode for one without a cell."""
    now = node_with(node, fields) if fields else node
    # The formulas are in float64 and tiny: they stay on the CPU whatever the device of the rest.
    fields = {field: tensor.cpu() for field, tensor in fields.items()}
    cell: Any = cell_of(now, (1, *np.shape(node.r)), rule, name)
    soft = _formulas(now, fields, cell.rule) if fields else {}
    values: dict[str, Tensor | None] = {}
    for key in NUMBERS:
        exact = getattr(cell, key, None)
        if exact is None:
            values[key] = None
            continue
        number = torch.as_tensor(np.asarray(exact, rule.dtype), device=device)
        formula = soft.get(key)
        if formula is not None and formula.requires_grad:
            number = Exactly.apply(formula.to(number).expand_as(number), number)
        values[key] = number
    flags = {key: getattr(cell, key, False) for key in FLAGS}
    flags |= {"rule": cell.rule, "start": np.asarray(cell.v)[0], "fires": hasattr(node, "v_threshold")}
    return Numbers(values, flags)


def _formulas(node: Any, fields: Mapping[str, Tensor], rule: Convention) -> dict[str, Tensor]:
    """The numbers as convention.py writes them, in float64, differentiable with regard to `fields`."""

    def value(field: str) -> Tensor:
        if field in rule.ignores:
            return torch.tensor(NEUTRAL[field], dtype=torch.float64)
        found = fields.get(field)
        if found is not None:
            return found.double()
        return torch.as_tensor(np.asarray(getattr(node, field, NEUTRAL.get(field, 0.0)), np.float64))

    def keep(field: str) -> Tensor:
        ratio = rule.dt / (value(field) * rule.tau_unit)
        return torch.exp(-ratio) if rule.decay == "exponential" else 1.0 - ratio

    def gain(kind: str, kept: Tensor, factor: Tensor) -> Tensor:
        return (1.0 - kept) * factor if kind == "leak" else factor

    found: dict[str, Tensor] = {}
    if isinstance(node, nir.I | nir.IF):
        found["take"] = value("r") * (rule.dt if rule.integrator_gain == "dt" else 1.0)
    else:
        tau = "tau_mem" if isinstance(node, nir.CubaLI | nir.CubaLIF) else "tau"
        kept = keep(tau)
        kind = rule.leaky_gain if isinstance(node, nir.LI) else rule.membrane_gain
        steps = value(tau) * rule.tau_unit / rule.dt
        found |= {"keep": kept, "lose": 1.0 - kept, "take": gain(kind, kept, value("r")), "r": value("r")}
        found |= {"leak": value("v_leak"), "pull": (1.0 - kept) * value("v_leak"), "steps": steps, "rate": 1.0 / steps}
    if isinstance(node, nir.CubaLI | nir.CubaLIF):
        kept = keep("tau_syn")
        found |= {"keep_i": kept, "lose_i": 1.0 - kept, "take_i": gain(rule.synapse_gain, kept, value("w_in"))}
    if isinstance(node, AdaptiveLIF):
        kept = keep("tau_adapt")
        found |= {"keep_b": kept, "lose_b": 1.0 - kept, "beta": value("beta")}
    if hasattr(node, "v_threshold"):
        found["threshold"] = value("v_threshold")
        found["back"] = value("v_reset") if rule.reset == "value" else torch.zeros(())
        if rule.v_min is not None:
            found["bound"] = rule.v_min * value("v_threshold")
    return found


def is_neuron(node: Any) -> bool:
    """Whether a node has a potential and can be trained."""
    return isinstance(node, NEURON_NODES) and not isinstance(node, SigmaDelta)
