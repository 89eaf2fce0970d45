"""A NIR graph as a torch module: any canonical graph, as a Convention means it, with gradients.

The forward pass is the reference's, spike for spike. What can be done for all steps at once is: weighted nodes outside loops
take every step in one product, an input that is held is multiplied once, populations run in compiled loops (fused.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import nir
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from snnport.convention import Convention, coding_of, convention_of
from snnport.errors import InvalidGraph, InvalidInput, UnsupportedNode
from snnport.graph import Graph, names_of, shapes, with_nodes
from snnport.nodes import NEURON_NODES
from snnport.training.linear import apply_of, fields_of
from snnport.training.parameters import field_value, first_value, is_neuron, key_of, learned_fields, node_with, numbers_of
from snnport.training.running import Pieces, Run, State
from snnport.training.surrogates import FastSigmoid, Surrogate
from snnport.training.wiring import wiring_of

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Held:
    """An input that stays the same in all `steps`. x: (batch, *shape)."""

    x: Tensor
    steps: int


Given: TypeAlias = Tensor | Held
"""(batch, steps, *shape), or a held input."""


@dataclass(frozen=True)
class Result:
    """What a graph gave. spikes: of every spiking node, v: potentials as asked for; output: what the first Output got; all
    (batch, steps, *shape). state: what the next steps go on from."""

    output: Tensor
    spikes: Mapping[str, Tensor]
    v: Mapping[str, Tensor]
    state: State


class SpikingModule(nn.Module):
    """A graph at work in torch; as_module makes it."""

    def __init__(
        self,
        graph: Graph,
        convention: Convention,
        learned: Mapping[str, tuple[str, ...]],
        surrogate: Surrogate,
        detach_reset: bool,
        exact: bool,
        checkpoint_steps: int,
    ) -> None:
        super().__init__()
        self.graph, self.convention, self.learned = graph, convention, dict(learned)
        self.surrogate, self.detach_reset = surrogate, detach_reset
        self.exact, self.checkpoint_steps = exact, checkpoint_steps
        self.dtype = DTYPES[convention.dtype]
        self.sizes = shapes(graph)
        self.wiring = wiring_of(graph, convention)
        self.outputs = names_of(graph, nir.Output)
        if not self.outputs:
            raise InvalidGraph("graph", "it has no Output", "Name what shall be read by an Output node")
        self.inputs = tuple(name for name, node in graph.nodes.items() if isinstance(node, nir.Input))
        for name, node in graph.nodes.items():
            stateful = isinstance(node, (*NEURON_NODES, nir.Delay, nir.Threshold))
            if isinstance(node, NEURON_NODES) and not is_neuron(node):
                raise UnsupportedNode(name, f"{type(node).__name__} cannot be trained")
            if not stateful:
                apply_of(name, node)  # raises for what it does not know
            for field in (*fields_of(node), *(("threshold",) if isinstance(node, nir.Threshold) else ())):
                if field not in self.learned.get(name, ()):
                    value = torch.tensor(np.array(getattr(node, field)), dtype=self.dtype)
                    self.register_buffer(key_of(name, field), value, persistent=False)
            for field in self.learned.get(name, ()):
                self.register_parameter(key_of(name, field), nn.Parameter(first_value(field, getattr(node, field), self.dtype)))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next((tensor.device for tensor in (*self.parameters(), *self.buffers())), torch.device("cpu"))

    def forward(
        self,
        x: Given | Mapping[str, Given],
        state: State | None = None,
        record_v: Collection[str] = (),
        fields: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> Result:
        """Run all steps of x (one for the one Input, or by the Inputs' names), from `state` or from the beginning.

        fields: node -> field -> the value that takes its place (quantisation-aware training). Raises InvalidInput where x does
        not fit the graph.
        """
        given, steps, batch = self._given(x)
        pieces = self._pieces(tuple(record_v), fields or {})
        size = self.checkpoint_steps
        if not size or size >= steps or not torch.is_grad_enabled():
            return _result(self, Run(pieces, batch, steps).through(given, state))
        parts = []
        for start in range(0, steps, size):
            stop = min(start + size, steps)
            part = {name: value if len(value) == 1 and steps > 1 else value[start:stop] for name, value in given.items()}
            one = _Part(pieces, batch, stop - start, part)
            found: Any = checkpoint(one, state, use_reentrant=False)
            parts.append(found)
            state = found.state
        return _result(self, _joined(parts))

    def to_graph(self) -> Graph:
        """The graph with the values that its learned fields have now; nodes without any are those it was made from."""
        changed = {}
        for name in self.learned:
            changed[name] = node_with(self.graph.nodes[name], self.values(name))
        return with_nodes(self.graph, changed)

    def values(self, name: str) -> dict[str, Tensor]:
        """The learned fields of a node as they stand, differentiable."""
        node = self.graph.nodes[name]
        return {
            field: field_value(field, getattr(node, field), getattr(self, key_of(name, field)))
            for field in self.learned.get(name, ())
        }

    def fields(self, name: str) -> dict[str, Tensor]:
        """What a node without a state computes with: learned and fixed fields."""
        node = self.graph.nodes[name]
        wanted = ("threshold",) if isinstance(node, nir.Threshold) else fields_of(node)
        return {field: getattr(self, key_of(name, field)) for field in wanted} | {
            field: value.to(self.dtype) for field, value in self.values(name).items() if field in wanted
        }

    def _pieces(self, record_v: tuple[str, ...], instead: Mapping[str, Mapping[str, Tensor]]) -> Pieces:
        for name in record_v:
            if name not in self.graph.nodes:
                raise InvalidInput(f"record '{name}'", "there is no such node", f"Known: {', '.join(self.graph.nodes)}")
        fields, numbers = {}, {}
        for name, node in self.graph.nodes.items():
            if is_neuron(node):
                values = self.values(name) | dict(instead.get(name, {}))
                numbers[name] = numbers_of(node, self.convention, name, values, self.device)
            elif not isinstance(node, nir.Delay):
                fields[name] = self.fields(name) | dict(instead.get(name, {}))
        return Pieces(
            self.graph,
            self.convention,
            self.wiring,
            self.sizes,
            fields,
            numbers,
            self.surrogate,
            self.detach_reset,
            self.exact,
            record_v,
            self.dtype,
        )

    def _given(self, x: Given | Mapping[str, Given]) -> tuple[dict[str, Tensor], int, int]:
        """Input name -> (steps or 1, batch, *shape), and the two numbers."""
        if isinstance(x, Mapping):
            by_name = dict(x)
        elif len(self.inputs) == 1:
            by_name = {self.inputs[0]: x}
        else:
            by_name = {}
        if sorted(by_name) != sorted(self.inputs) or not by_name:
            raise InvalidInput("x", f"the graph has the Inputs {', '.join(self.inputs) or 'none'}", "Give one array an Input")
        steps = {value.steps if isinstance(value, Held) else value.shape[1] for value in by_name.values()}
        batch = {len(value.x) if isinstance(value, Held) else len(value) for value in by_name.values()}
        if len(steps) > 1 or len(batch) > 1 or min(steps) < 1:
            raise InvalidInput("x", f"its arrays have {sorted(batch)} samples and {sorted(steps)} steps")
        found = {}
        for name, value in by_name.items():
            tensor = value.x[:, None] if isinstance(value, Held) else value
            size = self.sizes[name]
            if int(np.prod(tensor.shape[2:])) != int(np.prod(size)):
                raise InvalidInput("x", f"it gives {tuple(tensor.shape[2:])} a step for '{name}', which takes {size}")
            ordered = tensor.reshape(*tensor.shape[:2], *size).transpose(0, 1)
            found[name] = ordered.to(device=self.device, dtype=self.dtype).contiguous()
        return found, steps.pop(), batch.pop()


@dataclass(frozen=True)
class _Part:
    """A stretch of steps as a function of the state before it, to be computed again in the backward pass."""

    pieces: Pieces
    batch: int
    steps: int
    given: Mapping[str, Tensor]

    def __call__(self, state: State | None) -> Run:
        run = Run(self.pieces, self.batch, self.steps).through(self.given, state)
        outputs = names_of(self.pieces.graph, nir.Output)
        # Whatever else it gave would be kept in memory.
        return replace(run, values={name: run.values[name] for name in outputs})


def as_module(
    graph: Graph,
    convention: Convention | None = None,
    *,
    trainable: Collection[str] = ("weight", "bias"),
    surrogate: Surrogate | None = None,
    detach_reset: bool = True,
    dtype: str | None = None,
    exact: bool = False,
    checkpoint_steps: int = 0,
) -> SpikingModule:
    """A module that computes `graph`, as `convention` (the one in its metadata) means it.

    trainable: fields of nodes that are learned, for all nodes ("weight") or one ("fc1.weight"); time constants, thresholds and
    betas as the logarithm of a factor. exact: weighted nodes are computed by the reference's own products, whose sums round as
    its do; else by torch's, which are as good and faster. dtype: of everything, in place of the convention's.
    checkpoint_steps: keep the states of every so many steps alone and compute the rest again in the backward pass, 0 to keep
    all. Raises UnsupportedNode for a graph of integers, UnknownName for a field that no node has.
    """
    if coding_of(graph.metadata) is not None:
        raise UnsupportedNode("graph", "it was converted to integer codes", "Train the network before it is converted")
    rule = convention or convention_of(graph.metadata)
    rule = rule if dtype is None else rule.having(dtype=dtype)
    if rule.dtype not in DTYPES:
        raise UnsupportedNode("graph", f"its convention computes in {rule.dtype}", "Give dtype float32 or float64")
    learned = learned_fields(graph, trainable)
    return SpikingModule(graph, rule, learned, surrogate or FastSigmoid(), detach_reset, exact, checkpoint_steps)


def _result(module: SpikingModule, run: Run) -> Result:
    def front(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.expand(run.steps, *value.shape[1:]).transpose(0, 1) for name, value in values.items()}

    return Result(front(run.values)[module.outputs[0]], front(run.spikes), front(run.potentials), run.state)


def _joined(parts: list[Run]) -> Run:
    """One run of the runs of consecutive steps."""
    first = parts[0]
    whole = Run(first.pieces, first.batch, sum(part.steps for part in parts))
    for table in ("values", "spikes", "potentials"):
        for name in getattr(first, table):
            spread = [getattr(part, table)[name] for part in parts]
            spread = [value.expand(part.steps, *value.shape[1:]) for value, part in zip(spread, parts, strict=True)]
            getattr(whole, table)[name] = torch.cat(spread)
    whole.state = parts[-1].state
    return whole
