"""A graph through its steps: node after node for all steps, loops step by step. Tensors are (steps, batch, *shape).

A first axis of 1 stands for a value that is the same in all steps, as long as nothing with a state has taken it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor

from snnport.convention import Convention
from snnport.graph import Graph, back_edges, predecessors, topological_order
from snnport.nodes import NEURON_NODES, WEIGHTED_NODES, Shape
from snnport.reference.relay import DelayLine
from snnport.training.fused import Loop, can_fuse, run_fused
from snnport.training.linear import ByReference, apply_of, fields_of
from snnport.training.parameters import Numbers
from snnport.training.stepping import CellState, Fires, Stepper
from snnport.training.surrogates import Surrogate
from snnport.training.wiring import Stage, Wiring

SUMMED = (*WEIGHTED_NODES, nir.AvgPool2d)
"""Nodes whose sums round, so that their order counts."""


@dataclass(frozen=True)
class State:
    """Between two steps. cells: populations; past: the last values of nodes that something waits for, oldest first;
    lines: what Delay nodes hold."""

    cells: Mapping[str, CellState]
    past: Mapping[str, Tensor]
    lines: Mapping[str, Tensor]

    def detached(self) -> State:
        """The same values without a past: gradients end here."""
        cut = {name: cell.detached() for name, cell in self.cells.items()}
        tables = ({name: value.detach() for name, value in table.items()} for table in (self.past, self.lines))
        return State(cut, *tables)


@dataclass(frozen=True)
class Pieces:
    """A graph ready to run: what its nodes compute with, and how it is wired."""

    graph: Graph
    convention: Convention
    wiring: Wiring
    sizes: Mapping[str, Shape]
    fields: Mapping[str, Mapping[str, Tensor]]
    numbers: Mapping[str, Numbers]
    surrogate: Surrogate
    detach_reset: bool
    exact: bool
    record_v: tuple[str, ...]
    dtype: torch.dtype


@dataclass
class Run:
    """Some steps of a graph; it fills as they are computed. values: what every node gave."""

    pieces: Pieces
    batch: int
    steps: int
    values: dict[str, Tensor] = field(default_factory=dict)
    spikes: dict[str, Tensor] = field(default_factory=dict)
    potentials: dict[str, Tensor] = field(default_factory=dict)
    state: State = field(default_factory=lambda: State({}, {}, {}))

    def through(self, given: Mapping[str, Tensor], state: State | None) -> Run:
        """Compute all steps from `state`, or from the beginning."""
        like = next(iter(given.values()))
        before = state or self._beginning(like)
        cells, lines = dict(before.cells), dict(before.lines)
        past = dict(before.past)
        for stage in self.pieces.wiring.stages:
            if not stage.looped:
                name = stage.names[0]
                self.values[name] = given[name] if name in given else self._node(name, past, cells, lines)
            elif (loop := self._fusable(stage)) is not None:
                self._fused_loop(loop, past, cells)
            else:
                self._stepped_loop(stage, past, cells, lines)
        graph = self.pieces.graph
        for name in graph.nodes:
            if isinstance(graph.nodes[name], (*NEURON_NODES, nir.Threshold)) and _fires(graph.nodes[name]):
                # As the reference records them: late where spikes are.
                self.spikes[name] = self._late(name, self.pieces.convention.spike_delay, past)
            if name in self.pieces.record_v and name not in self.potentials:
                self.potentials[name] = self.values[name]
            depth = self.pieces.wiring.depth[name]
            if depth:
                past[name] = torch.cat([past[name], self._whole(self.values[name])])[-depth:]
        self.state = State(cells, past, lines)
        return self

    # ------------------------------------------------------------------------------------------------ the beginning

    def _beginning(self, like: Tensor) -> State:
        pieces = self.pieces
        cells = {
            name: Stepper(numbers, pieces.surrogate, pieces.detach_reset).first(self.batch, pieces.sizes[name], like)
            for name, numbers in pieces.numbers.items()
        }
        lines = {}
        for name, node in pieces.graph.nodes.items():
            if isinstance(node, nir.Delay):
                depth = int(_delay_steps(name, node, pieces).max(initial=0))
                lines[name] = like.new_zeros((depth, self.batch, *pieces.sizes[name]))
        late = {name for name, depth in pieces.wiring.depth.items() if depth}
        quiet = self._in_silence(like) if late and pieces.convention.loop_start == "rest" else {}
        past = {}
        for name in late:
            zeros = like.new_zeros((pieces.wiring.depth[name], self.batch, *pieces.sizes[name]))
            past[name] = zeros + quiet[name].to(pieces.dtype) if name in quiet else zeros
        return State(cells, past, lines)

    def _in_silence(self, like: Tensor) -> dict[str, Tensor]:
        """What every node gives in silence: the biases on the way from the last neurons, in float64 as the reference has it."""
        pieces, graph = self.pieces, self.pieces.graph
        back = back_edges(graph)
        rest: dict[str, Tensor] = {}
        for name in topological_order(graph):
            node = graph.nodes[name]
            if isinstance(node, (nir.Input, nir.Delay, *NEURON_NODES)):
                rest[name] = torch.zeros((1, *pieces.sizes[name]), dtype=torch.float64, device=like.device)
                continue
            sources = predecessors(graph, name)
            ways = [rest[a] for a in sources if (a, name) not in back]
            shape = pieces.sizes[sources[0]]
            total = torch.zeros((1, *shape), dtype=torch.float64, device=like.device)
            for way in ways:
                total = total + way
            if isinstance(node, nir.Threshold):
                rest[name] = self._threshold(name, total)
                continue
            doubles = {key: value.double() for key, value in pieces.fields[name].items()}
            rest[name] = apply_of(name, node)(total, doubles)
        return rest

    # ------------------------------------------------------------------------------------------- a node for all steps

    def _node(self, name: str, past: dict[str, Tensor], cells: dict[str, CellState], lines: dict[str, Tensor]) -> Tensor:
        x = self._arriving(name, past)
        node: Any = self.pieces.graph.nodes[name]
        if name in self.pieces.numbers:
            return self._population(name, x, cells)
        if isinstance(node, nir.Delay):
            found, lines[name] = self._delayed(name, node, self._whole(x), lines[name])
            return found
        return self._stateless(name, x)

    def _arriving(self, name: str, past: Mapping[str, Tensor]) -> Tensor:
        """The sum of what the sources gave, each as many steps ago as its edge takes."""
        parts = [self._late(a, self.pieces.wiring.delays[a, name], past) for a in predecessors(self.pieces.graph, name)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def _late(self, name: str, delay: int, past: Mapping[str, Tensor]) -> Tensor:
        if not delay:
            return self.values[name]
        if name not in past:
            past = {name: self.values[name].new_zeros((delay, *self.values[name].shape[1:]))}
        return torch.cat([past[name][-delay:], self._whole(self.values[name])])[: self.steps]

    def _whole(self, value: Tensor) -> Tensor:
        return value if len(value) == self.steps else value.expand(self.steps, *value.shape[1:])

    def _stateless(self, name: str, x: Tensor) -> Tensor:
        """x: (steps, batch, *shape)."""
        node: Any = self.pieces.graph.nodes[name]
        if isinstance(node, nir.Threshold):
            return self._threshold(name, x)
        apply, values = apply_of(name, node), self.pieces.fields[name]
        if self.pieces.exact and isinstance(node, SUMMED):
            names = tuple(field for field in fields_of(node) if field in values)
            tensors = [values[field] for field in names]
            now = _with_values(node, dict(zip(names, tensors, strict=True)))
            exact: Tensor = ByReference.apply(x, now, name, apply, names, *tensors)
            return exact
        found = apply(x.flatten(0, 1), values)
        return found.reshape(*x.shape[:2], *found.shape[1:])

    def _threshold(self, name: str, x: Tensor) -> Tensor:
        limit = self.pieces.fields[name]["threshold"].to(x.dtype).expand_as(x)
        fired: Tensor = Fires.apply(x, limit, self.pieces.convention.comparison == ">=", self.pieces.surrogate)
        return fired

    def _population(self, name: str, x: Tensor, cells: dict[str, CellState]) -> Tensor:
        pieces, numbers = self.pieces, self.pieces.numbers[name]
        keeps_v = name in pieces.record_v
        if can_fuse(numbers, x.device, self._updates(name)):
            out, v, cells[name] = run_fused(
                numbers, pieces.surrogate, pieces.detach_reset, x, self.steps, cells[name], None, keeps_v
            )
            if keeps_v and v is not None:
                self.potentials[name] = v
            return out
        stepper = Stepper(numbers, pieces.surrogate, pieces.detach_reset)
        state, out_steps, v_steps = cells[name], [], []
        for t in range(self.steps):
            out_t, state = stepper.advance(state, x[t] if len(x) > 1 else x[0])
            out_steps.append(out_t)
            v_steps.append(state.v)
        cells[name] = state
        if keeps_v:
            self.potentials[name] = torch.stack(v_steps)
        return torch.stack(out_steps)

    def _delayed(self, name: str, node: nir.Delay, x: Tensor, line: Tensor) -> tuple[Tensor, Tensor]:
        """What a Delay gives for x (steps, batch, *shape), and what it holds afterwards."""
        steps = _delay_steps(name, node, self.pieces)
        full = torch.cat([line, x])
        depth = len(line)
        after = full[len(full) - depth :]
        if steps.size == 0 or int(steps.min()) == int(steps.max()):
            start = depth - int(steps.max(initial=0))
            return full[start : start + len(x)], after
        rows = torch.arange(len(x), device=x.device).reshape(-1, *[1] * steps.ndim)
        rows = rows + depth - torch.tensor(np.array(steps), device=x.device)
        index = rows[:, None].expand(len(x), x.shape[1], *steps.shape)
        return torch.gather(full, 0, index), after

    # -------------------------------------------------------------------------------------------------------- loops

    def _fusable(self, stage: Stage) -> tuple[str, str] | None:
        """(population, dense node) of a loop that fused.py knows: these two alone, one step around."""
        pieces, graph = self.pieces, self.pieces.graph
        neurons = [name for name in stage.names if name in pieces.numbers]
        others = [name for name in stage.names if name not in pieces.numbers]
        if len(neurons) != 1 or len(others) != 1 or pieces.exact:
            return None
        if not can_fuse(pieces.numbers[neurons[0]], self._device, self._updates(neurons[0])):
            return None
        (neuron,), (dense,) = neurons, others
        if not isinstance(graph.nodes[dense], nir.Affine | nir.Linear) or predecessors(graph, dense) != (neuron,):
            return None
        around = pieces.wiring.delays[neuron, dense] + pieces.wiring.delays[dense, neuron]
        spiking = pieces.numbers[neuron].flags["fires"]
        starts = pieces.convention.loop_start == "rest" or "bias" not in pieces.fields[dense]
        simple = len(pieces.sizes[neuron]) == 1 and starts and pieces.wiring.delays[neuron, dense] == 0
        return (neuron, dense) if around == 1 and spiking and simple else None

    def _updates(self, name: str) -> int:
        return self.steps * self.batch * math.prod(self.pieces.sizes[name])

    @property
    def _device(self) -> torch.device:
        return next(iter(self.values.values())).device

    def _fused_loop(self, loop: tuple[str, str], past: dict[str, Tensor], cells: dict[str, CellState]) -> None:
        neuron, dense = loop
        pieces = self.pieces
        sources = [a for a in predecessors(pieces.graph, neuron) if a != dense]
        parts = [self._late(a, pieces.wiring.delays[a, neuron], past) for a in sources]
        x = parts[0] if parts else torch.zeros((1, self.batch, *pieces.sizes[neuron]), dtype=pieces.dtype)
        for part in parts[1:]:
            x = x + part
        values = pieces.fields[dense]
        weights = Loop(values["weight"], values.get("bias"))
        keeps_v = neuron in pieces.record_v
        out, v, cells[neuron] = run_fused(
            pieces.numbers[neuron], pieces.surrogate, pieces.detach_reset, x, self.steps, cells[neuron], weights, keeps_v
        )
        if keeps_v and v is not None:
            self.potentials[neuron] = v
        self.values[neuron] = out
        # The state asks for what the dense node gave last; all of it is made only where somebody reads it beside the loop.
        read = dense in pieces.record_v or any(a == dense and b != neuron for a, b in pieces.graph.edges)
        self.values[dense] = self._stateless(dense, out if read else out[-1:])

    def _stepped_loop(
        self, stage: Stage, past: dict[str, Tensor], cells: dict[str, CellState], lines: dict[str, Tensor]
    ) -> None:
        pieces, graph = self.pieces, self.pieces.graph
        inside = set(stage.names)
        history = {name: list(past[name]) if name in past else [] for name in stage.names}
        outside = {
            (a, name): self._late(a, pieces.wiring.delays[a, name], past)
            for name in stage.names
            for a in predecessors(graph, name)
            if a not in inside
        }
        steppers = {
            name: Stepper(pieces.numbers[name], pieces.surrogate, pieces.detach_reset) for name in stage.names if name in cells
        }
        v_steps: dict[str, list[Tensor]] = {name: [] for name in stage.names if name in pieces.record_v and name in cells}
        outs: dict[str, list[Tensor]] = {name: [] for name in stage.names}
        for t in range(self.steps):
            now: dict[str, Tensor] = {}
            for name in stage.names:
                parts = []
                for a in predecessors(graph, name):
                    if a not in inside:
                        part = outside[a, name]
                        parts.append(part[t] if len(part) > 1 else part[0])
                    else:
                        delay = pieces.wiring.delays[a, name]
                        parts.append(now[a] if delay == 0 else history[a][-delay])
                total = parts[0]
                for part in parts[1:]:
                    total = total + part
                node: Any = graph.nodes[name]
                if name in cells:
                    now[name], cells[name] = steppers[name].advance(cells[name], total)
                elif isinstance(node, nir.Delay):
                    found, lines[name] = self._delayed(name, node, total[None], lines[name])
                    now[name] = found[0]
                else:
                    now[name] = self._stateless(name, total[None])[0]
            for name in stage.names:
                history[name].append(now[name])
                outs[name].append(now[name])
                if name in v_steps:
                    v_steps[name].append(cells[name].v)
        for name in stage.names:
            self.values[name] = torch.stack(outs[name])
        self.potentials |= {name: torch.stack(steps) for name, steps in v_steps.items()}


def _fires(node: Any) -> bool:
    return hasattr(node, "v_threshold") or isinstance(node, nir.Threshold)


def _delay_steps(name: str, node: nir.Delay, pieces: Pieces) -> Any:
    """Whole steps that each neuron of a Delay waits, (*shape,)."""
    return DelayLine.of(name, node, (1, *pieces.sizes[name]), pieces.convention).steps


def _with_values(node: Any, values: Mapping[str, Tensor]) -> Any:
    """A copy of `node` that holds these values."""
    new = copy(node)
    for key, value in values.items():
        setattr(new, key, value.detach().cpu().numpy())
    return new
