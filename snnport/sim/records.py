"""The records and tables that the kernel reads: one record a population ("cell"), one a projection ("link")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.program import Population, Program, Projection
from snnport.sim import neurons, synapses, timing
from snnport.sim.families.base import Prepared
from snnport.sim.fanout import fan_out, messages_per_spike
from snnport.sim.geometry import Ints
from snnport.sim.synapses import KINDS, WIDTHS, Wiring
from snnport.sim.timing import Clock, Cores


def _integers(names: str) -> np.dtype[Any]:
    return np.dtype([(name, np.int64) for name in names.split()])


CELL = _integers(
    "family size v arrivals params simple biased bounded first_load last_load ring slots emitter neuron core_of messages "
    "first_link last_link record_spikes record_v output one_by_one payloads ordered order"
)
"""family: number of the family. v, arrivals, params: offsets of the first row of state, of the row that arrivals add to, of
the parameters. ring, slots: offset and number of the event lists of the last steps. emitter: number among the populations
of its host family. neuron: offset in per-neuron tallies. core_of, messages: offsets of tables. record_spikes, record_v,
output: first column in what is recorded, -1 for none. one_by_one, payloads: as in the family. ordered: spikes of a step are
listed in C order, because some target meets them one by one. order: offset of the table that leads from C order to the
engine's."""

LINK = _integers(
    "kind source delay codes_type codes pooled width pitch target_of code_of first_of y_of x_of rows row_target row_code "
    "runs run_target run_code run_length route route_to synapses_of row_of cost_row cost_core cost_cycles port payloads"
)
"""codes_type: place in synapses.WIDTHS. pooled: size of the pooled map, 0 without pooling. width, pitch: lengths, see
geometry.py. port: which arrivals of the target it adds to. payloads: whether the source sends numbers. The others after
`codes` are offsets of tables."""


class Flat:
    """Arrays put behind one another, each made narrow by `convert` as it comes."""

    def __init__(self, convert: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> None:
        self.convert = convert
        self.parts: list[npt.NDArray[Any]] = []
        self.size = 0

    def add(self, values: npt.NDArray[Any]) -> int:
        """Append `values`; returns where they start."""
        start = self.size
        self.parts.append(self.convert(values).ravel())
        self.size += values.size
        return start

    def joined(self) -> npt.NDArray[Any]:
        """All of them, and one spare entry, so that no array is empty."""
        return np.concatenate([*self.parts, self.convert(np.zeros(1, np.int64))])


def _clipped(values: npt.NDArray[Any], state_type: np.dtype[Any]) -> npt.NDArray[Any]:
    # A parameter beyond the state's type is one that v, which is bounded, never reaches.
    limits = np.iinfo(state_type)
    narrow: npt.NDArray[Any] = np.clip(values, limits.min, limits.max).astype(state_type)
    return narrow


class Builder:
    """Fills records for one program, and the flat arrays that they point into."""

    def __init__(
        self,
        program: Program,
        order: Sequence[Population],
        inside: Mapping[str, Ints],
        cores: Cores,
        clock: Clock | None,
        steps: int,
        wide: bool,
    ) -> None:
        """wide: potentials take 64 bits. All codes then take 32, which saves the compiler half of its variants."""
        self.steps, self.wide = steps, wide
        self.program, self.order, self.inside, self.cores, self.clock = program, order, inside, cores, clock
        state_type = np.dtype(np.int64 if wide else np.int32)
        self.tables = Flat(timing.as_table)
        self.params, self.initial = Flat(partial(_clipped, state_type=state_type)), Flat(lambda a: a.astype(state_type))
        # With 64-bit potentials all codes are in the widest type, and the other two are never read.
        widths = (WIDTHS[-1],) * 3 if wide else WIDTHS
        self.codes = [Flat(partial(np.ndarray.astype, dtype=width, copy=False)) for width in widths]
        self.ring_size = 0
        sizes = {p.name: p.size for p in order}
        self.fans = {q.name: fan_out(q, sizes[q.source], cores.of[q.target], len(cores.names)) for q in program.projections}

    def link_records(self, links: Sequence[Projection], wirings: Sequence[Wiring]) -> npt.NDArray[Any]:
        """One LINK record a projection."""
        records = np.zeros(len(links), LINK)
        position = {p.name: i for i, p in enumerate(self.order)}
        for record, q, wiring in zip(records, links, wirings, strict=True):
            fan, inside = self.fans[q.name], self.inside[q.source]
            row_of = fan.row_of[np.argsort(inside)]
            own = {
                **wiring.tables,
                **synapses.route(q, inside),
                **timing.cost_tables(fan, self.clock),
                "row_of": row_of,
                "synapses_of": fan.synapses_of()[row_of],
            }
            for name, values in own.items():
                record[name] = self.tables.add(values)
            for name, number in wiring.numbers.items():
                record[name] = number
            codes_type = WIDTHS.index(np.int32 if self.wide or self._one_by_one(q) else wiring.codes.dtype.type)
            record["kind"], record["codes_type"] = KINDS[type(q.synapse)].code, codes_type
            record["source"], record["delay"], record["port"] = position[q.source], q.delay, q.port
            record["payloads"] = neurons.sends_payloads(self.program.population(q.source))
            record["codes"] = self.codes[codes_type].add(wiring.codes)
            if q.pool is not None:
                record["pooled"] = np.prod(synapses.source_shape(q, self.program.population(q.source)))
        return records

    def _one_by_one(self, projection: Projection) -> bool:
        return neurons.family_of(self.program.population(projection.target)).one_by_one

    def cell_records(self, prepared: Mapping[str, Prepared]) -> npt.NDArray[Any]:
        """One CELL record a population; nothing is recorded yet."""
        records = np.zeros(len(self.order), CELL)
        neuron = link = generators = 0
        for record, p in zip(records, self.order, strict=True):
            cell, by_engine = prepared[p.name], np.argsort(self.inside[p.name])
            outgoing = [q for q in self.program.projections if q.source == p.name]
            core_of = self.cores.of[p.name][by_engine]
            record["family"], record["size"] = neurons.family_of(p).code, p.size
            record["v"] = self.initial.add(cell.state[:, by_engine])
            record["arrivals"] = record["v"] + cell.arrivals_row * p.size
            record["params"] = self.params.add(cell.params[:, by_engine])
            record["simple"], record["biased"], record["bounded"] = cell.simple, cell.biased, cell.bounded
            record["first_load"], record["last_load"] = cell.loads
            record["slots"] = min(max((q.delay for q in outgoing), default=0), self.steps) + 1
            record["ring"] = self.ring_size
            self.ring_size += int(record["slots"]) * p.size
            record["neuron"], neuron = neuron, neuron + p.size
            record["core_of"] = self.tables.add(np.where(core_of < 0, len(self.cores.names), core_of))
            record["messages"] = self.tables.add(messages_per_spike([self.fans[q.name] for q in outgoing], p.size)[by_engine])
            record["first_link"], link = link, link + len(self.program.into(p.name))
            record["last_link"] = link
            record["record_spikes"] = record["record_v"] = record["output"] = record["order"] = -1
            record["one_by_one"] = neurons.family_of(p).one_by_one
            record["payloads"] = neurons.sends_payloads(p)
            record["ordered"] = any(self._one_by_one(q) for q in outgoing)
            if record["one_by_one"] or record["ordered"]:
                record["order"] = self.tables.add(self.inside[p.name])
            if p.neuron.family == "input":
                record["emitter"] = self.program.inputs.index(p.name)
            if p.neuron.family == "generator":
                record["emitter"], generators = generators, generators + 1
        return records
