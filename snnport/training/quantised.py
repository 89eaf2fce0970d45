"""Quantisation-aware training: the forward pass computes with the integers that a target's passes make of the network.

The passes themselves are run on the network as it stands, so that what was trained for is what is quantised later. The backward
pass takes a rounding for the identity (straight-through; Y. Bengio et al., arXiv 1308.3432). Where the passes are slow they
are run every so many batches only; in between weights are rounded with the scales that they chose. In evaluation mode they
are always run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snnport.errors import UnsupportedNode
from snnport.graph import Graph
from snnport.training.linear import fields_of
from snnport.training.module import Given, Result, SpikingModule, as_module
from snnport.training.parameters import key_of, learned_fields
from snnport.training.running import State
from snnport.training.surrogates import FastSigmoid, Surrogate

Quantise = Callable[[Graph], Graph]
"""A graph in real numbers to the same graph on integer codes, its scales in the nodes' metadata."""


class QuantisedModule(SpikingModule):
    """A SpikingModule whose forward pass is that of its graph quantised. It holds and learns real numbers."""

    def __init__(self, quantise: Quantise, every: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.quantise, self.every = quantise, every
        self.seen = 0
        self.basis: dict[str, Tensor] = {}
        self.inner: list[SpikingModule] = []
        self.ratios: dict[str, Tensor] = {}

    def forward(
        self,
        x: Given | Mapping[str, Given],
        state: State | None = None,
        record_v: Collection[str] = (),
        fields: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> Result:
        """As SpikingModule, on integer codes."""
        first = state is None
        if not self.training or not self.inner or (first and self.seen % self.every == 0):
            self._quantise({key: value.detach().clone() for key, value in self.state_dict().items() if key in self._keys})
        if self.training and first:
            self.seen += 1
        inner = self.inner[0]
        inner.train(self.training)
        return inner(x, state, record_v, self._overrides(inner) | dict(fields or {}))  # type: ignore[no-any-return]

    def quantised(self) -> Graph:
        """The graph that it computes now: the passes run on what it has learned."""
        return self.quantise(self.to_graph())

    @property
    def _keys(self) -> set[str]:
        return {key_of(name, field) for name, found in self.learned.items() for field in found}

    def _quantise(self, basis: dict[str, Tensor]) -> None:
        """Let the passes choose scales for the learned fields in `basis`."""
        self.basis = basis
        now = {key: getattr(self, key).detach().clone() for key in basis}
        with torch.no_grad():
            for key, value in basis.items():
                getattr(self, key).copy_(value)
            graph = self.to_graph()
            for key, value in now.items():
                getattr(self, key).copy_(value)
        found = self.quantise(graph)
        inner = as_module(
            found,
            trainable=(),
            surrogate=self.surrogate,
            detach_reset=self.detach_reset,
            dtype=self.convention.dtype,
            exact=self.exact,
            checkpoint_steps=self.checkpoint_steps,
        )
        self.inner = [inner.to(self.device)]
        self.ratios = {
            key_of(name, field): _ratio(name, field, graph.nodes[name], found)
            for name, fields in self.learned.items()
            for field in fields
            if field in fields_of(graph.nodes[name])
        }

    def _overrides(self, inner: SpikingModule) -> dict[str, dict[str, Tensor]]:
        """Node -> field -> codes times scale, with the derivative of the real number behind it."""
        found: dict[str, dict[str, Tensor]] = {}
        for name in self.learned:
            node: Any = inner.graph.nodes[name]
            for field, value in self.values(name).items():
                key = key_of(name, field)
                if key not in self.ratios:
                    continue
                ratio = self.ratios[key].to(value)
                soft = value * ratio.reshape(-1, *[1] * (value.ndim - 1)) if value.ndim else value * ratio.reshape(())
                scale, bits = float(node.metadata["scale"]), int(node.metadata.get("bits", 8))
                most = float((1 << (bits - 1)) - 1) if field != "bias" else float("inf")
                same = torch.equal(value.detach(), self.basis[key].to(value))
                exact = torch.as_tensor(np.asarray(getattr(node, field)), dtype=value.dtype, device=value.device)
                rounded = exact if same else torch.clamp(torch.round(soft.detach() / scale), -most, most) * scale
                found.setdefault(name, {})[field] = rounded + (soft - soft.detach())
        return found

    def get_extra_state(self) -> dict[str, Any]:
        """What scales were chosen for, so that a resumed run rounds alike."""
        return {"seen": self.seen, "basis": self.basis}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Choose the same scales again."""
        self.seen = int(state["seen"])
        if state["basis"]:
            self._quantise(dict(state["basis"]))


def quantised_module(
    graph: Graph,
    quantise: Quantise,
    *,
    every: int = 1,
    trainable: Collection[str] = ("weight", "bias"),
    surrogate: Surrogate | None = None,
    detach_reset: bool = True,
    exact: bool = False,
    checkpoint_steps: int = 0,
) -> QuantisedModule:
    """A module that trains `graph` for the integers that `quantise` makes of it, its scales chosen anew every `every` batches.

    Only weights, biases and scales are learned; thresholds and decays are those of the passes. exact: sums round as the
    reference's do, on every machine, as in `as_module`; potentials in codes often stand at a threshold, where the last bit is a
    spike. Raises UnsupportedNode where the passes take a learned node apart.
    """
    plain = as_module(graph, trainable=trainable, surrogate=surrogate, detach_reset=detach_reset)
    learned = learned_fields(graph, trainable)
    other = [
        f"{name}.{field}" for name, fields in learned.items() for field in fields if field not in fields_of(graph.nodes[name])
    ]
    if other:
        raise UnsupportedNode(other[0], "only weights, biases and scales are learned on codes", "Learn it before quantising")
    return QuantisedModule(
        quantise,
        every,
        graph,
        plain.convention,
        learned,
        surrogate or FastSigmoid(),
        detach_reset,
        exact,
        checkpoint_steps,
    )


def _ratio(name: str, field: str, node: Any, found: Graph) -> Tensor:
    """By how much each row of a field was multiplied before it was rounded, by least squares; 1 where all is 0."""
    after = found.nodes.get(name)
    before = np.asarray(getattr(node, field), np.float64)
    value = np.asarray(getattr(after, field, np.nan), np.float64)
    if after is None or value.shape != before.shape or "scale" not in after.metadata:
        what = f"quantisation takes it apart (its {field} {before.shape} has no one counterpart)"
        raise UnsupportedNode(name, what, "Train for another target, or for bits alone")
    rows_before, rows_after = (a.reshape(len(a), -1) if a.ndim else a.reshape(1, 1) for a in (before, value))
    power = np.square(rows_before).sum(1)
    shared = np.square(rows_before).sum()
    whole = float((rows_before * rows_after).sum() / shared) if shared else 1.0
    each = np.where(power > 0, (rows_before * rows_after).sum(1) / np.where(power > 0, power, 1.0), whole)
    # One factor for all unless rows differ by more than rounding explains.
    return torch.from_numpy(np.where(each > 0, each, whole))
