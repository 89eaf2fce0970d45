"""A program run under other rules, one sample at a time, every spike and potential kept.

With no rule changed it computes what sim.engine does (a test holds the two together), in numpy and some hundred times slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph
from snnport.program import Population, Program, Projection
from snnport.sim.altered.cells import Cell
from snnport.sim.altered.rules import Ints, Rules
from snnport.sim.altered.wires import Wires
from snnport.sim.neurons import FAMILIES, HOST_FAMILIES
from snnport.trace import Trace

USUAL = Rules()
"""No rule changed."""


class Altered:
    """A program with its synapses listed once, to be run under many rules. Raises UnsupportedNode if they are too many."""

    def __init__(self, program: Program) -> None:
        self.program = program
        sizes = {p.name: p.size for p in program.populations}
        self.wires = {q.name: Wires.of(q, sizes[q.source]) for q in program.projections}
        self.into = {p.name: program.into(p.name) for p in program.populations}

    def run(self, raster: npt.NDArray[Any], rules: Rules = USUAL) -> Trace:
        """Spikes of every population and v of all that have one, of raster (n_steps, n_inputs): (1, n_steps, n).

        Raises InvalidGraph where a changed delay closes a loop that takes no step.
        """
        found = self._run(raster, rules, None)
        assert found is not None
        return found

    def run_like(self, raster: npt.NDArray[Any], rules: Rules, wanted: Trace) -> Trace | None:
        """As `run`, given up (None) in the first step that differs from `wanted`, a trace of this one sample."""
        return self._run(raster, rules, wanted)

    def _run(self, raster: npt.NDArray[Any], rules: Rules, wanted: Trace | None) -> Trace | None:
        order = self._order(rules)
        steps = self.program.n_steps or len(raster)
        cells = {p.name: Cell(p, rules.of(p.name)) for p in order if p.neuron.family not in HOST_FAMILIES}
        spikes = {p.name: np.zeros((steps, p.size), np.int64) for p in self.program.populations}
        v = {name: np.zeros((steps, cell.n), np.int64) for name, cell in cells.items()}
        for name, given in self._given(raster, steps).items():
            spikes[name][:] = given
        lost = rules.dropped if rules.dropped is not None and not rules.dropped.fired else None
        for t in range(steps):
            for p in order:
                if p.name in cells:
                    spikes[p.name][t] = self._visit(p, cells[p.name], spikes, t, rules)
                    v[p.name][t] = cells[p.name].v
                if lost is not None and (lost.source, lost.step) == (p.name, t):
                    spikes[p.name][t, lost.neuron] *= lost.times
            if wanted is not None and not _same_step(wanted, spikes, v, t):
                return None
        return Trace({name: a[None] for name, a in spikes.items()}, {name: a[None] for name, a in v.items()})

    def _visit(self, p: Population, cell: Cell, spikes: Mapping[str, Ints], t: int, rules: Rules) -> Ints:
        cell.load(t)
        arriving = np.zeros(cell.n, np.int64)
        one_by_one = FAMILIES[cell.family].one_by_one
        incoming = self.into[p.name]
        if one_by_one and cell.rules.order in ("projections", "both"):
            incoming = incoming[::-1]
        for q in incoming:
            past = t - delay_of(q, rules)
            if past < 0:
                continue
            sent = _arriving(spikes[q.source][past], q, past, rules)
            fired = np.flatnonzero(sent)
            if not len(fired):
                continue
            if one_by_one:
                cell.meet_all(self.wires[q.name], fired, sent[fired], q.port)
            else:
                arriving += self.wires[q.name].arrivals(fired, sent[fired], cell.n)
        return cell.step(arriving)

    def _given(self, raster: npt.NDArray[Any], steps: int) -> dict[str, Ints]:
        """The spikes of inputs and generators, (n_steps, n) each."""
        whole = np.zeros((steps, raster.shape[1]), np.int64)
        whole[: len(raster)] = raster
        found: dict[str, Ints] = {}
        first = 0
        for name in self.program.inputs:
            size = self.program.population(name).size
            found[name], first = whole[:, first : first + size], first + size
        for p in self.program.populations:
            if p.neuron.family == "generator":
                found[p.name] = np.zeros((steps, p.size), np.int64)
                time, index = p.neuron["time"], p.neuron["index"]
                values = np.broadcast_to(p.neuron.params.get("value", np.int64(1)), time.shape)
                here = (time >= 0) & (time < steps)
                np.add.at(found[p.name], (time[here], index[here]), values[here])
        return found

    def _order(self, rules: Rules) -> list[Population]:
        """Populations so that projections without delay run forward. Raises InvalidGraph on a loop of such."""
        waits = {p.name: {q.source for q in self.into[p.name] if delay_of(q, rules) <= 0} for p in self.program.populations}
        done: list[Population] = []
        rest = list(self.program.populations)
        while rest:
            ready = next((p for p in rest if not waits[p.name] - {d.name for d in done}), None)
            if ready is None or any(delay_of(q, rules) < 0 for q in self.into[ready.name]):
                raise InvalidGraph(rest[0].name, "a loop takes no step, or a delay is below 0", "Change another delay")
            done.append(ready)
            rest.remove(ready)
        return done


def delay_of(q: Projection, rules: Rules) -> int:
    """The delay of a projection under `rules`."""
    changed = rules.delay if rules.projection in (None, q.name) else 0
    return q.delay + changed


def _arriving(sent: Ints, q: Projection, step: int, rules: Rules) -> Ints:
    lost = rules.dropped
    if lost is None or not lost.fired or lost.source != q.source or lost.step != step or lost.projection not in (None, q.name):
        return sent
    changed = sent.copy()
    changed[lost.neuron] *= lost.times
    return changed


def _same_step(wanted: Trace, spikes: Mapping[str, Ints], v: Mapping[str, Ints], t: int) -> bool:
    pairs = ((wanted.spikes, spikes), (wanted.v, v))
    return all(np.array_equal(array[0, t], own[name][t]) for kept, own in pairs for name, array in kept.items())
