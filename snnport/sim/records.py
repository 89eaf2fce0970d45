"""The records and tables that the kernel reads: one record a population ("cell"), one a projection ("link")."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.program import Population, Program, Projection
from snnport.sim import neurons, synapses, tiles, timing
from snnport.sim.dense import QUAD
from snnport.sim.families.base import Prepared
from snnport.sim.fanout import fan_out, messages_per_spike
from snnport.sim.geometry import Ints
from snnport.sim.synapses import KINDS, WIDTHS, Wiring
from snnport.sim.timing import Clock, Cores

LINE = 64
"""Bytes of a cache line."""


def _integers(names: str) -> np.dtype[Any]:
    return np.dtype([(name, np.int64) for name in names.split()])


CELL = _integers(
    "family size v arrivals params simple biased bounded first_load last_load ring slots emitter neuron core_of messages "
    "first_link last_link record_spikes record_v output one_by_one payloads ordered order stride tiles pending "
    "fan core first single segments segment"
)
"""family: number of the family. v, arrivals, params: offsets of the first row of state, of the row that arrivals add to, of
the parameters. ring, slots: offset and number of the event lists of the last steps. emitter: number among the populations
of its host family. neuron: offset in per-neuron tallies. core_of, messages: offsets of tables. record_spikes, record_v,
output: first column in what is recorded, -1 for none. one_by_one, payloads: as in the family. ordered: spikes of a step are
listed in C order, because some target meets them one by one. order: offset of the table that leads from C order to the
engine's. stride: distance of rows of state and parameters, the size of the whole population. tiles: number of tiles, 0 if it
does not go in tiles. pending: first of its entries in what is kept from step to step. fan: messages of a spike, core: core of
its neurons; -1 if they differ. first: number of its first neuron, 0 save in a tile. single: no neuron fires more than once a
step. segments: how many runs of neurons share a core, 0 where spikes are not listed in ascending order; segment: offset of
where they stop, and of their cores."""

LINK = _integers(
    "kind source delay codes_type codes pooled width pitch target_of code_of first_of y_of x_of rows row_target row_code "
    "runs run_target run_code run_length route route_to synapses_of row_of cost_row cost_core cost_cycles port payloads "
    "sources even raster bytewise"
)
"""codes_type: place in synapses.WIDTHS. pooled: size of the pooled map, 0 without pooling. width, pitch: lengths, see
geometry.py. port: which arrivals of the target it adds to. payloads: whether the source sends numbers. sources: neurons
of the source, or places of the pooled map. even: whether every source neuron reaches the same synapses of each core. raster:
quads of sources (times 4) of the projections before it into the same target. bytewise: codes and counts fit a dense product of
bytes. The others after `codes` are offsets of tables."""


def aligned(size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array (size,) of any content that starts with a cache line: a vector that straddles two takes twice as long."""
    kind = np.dtype(dtype)
    memory = np.empty(size * kind.itemsize + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size * kind.itemsize].view(kind)


class Flat:
    """Arrays put behind one another, each made narrow by `convert` as it comes."""

    def __init__(self, convert: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> None:
        self.convert = convert
        self.parts: list[npt.NDArray[Any]] = []
        self.size = 0

    def add(self, values: npt.NDArray[Any], multiple: int = 1) -> int:
        """Append `values`; returns where they start: at a multiple of `multiple`, behind zeros if need be."""
        if self.size % multiple:
            self.add(np.zeros(-self.size % multiple, np.int64))
        start = self.size
        self.parts.append(self.convert(values).ravel())
        self.size += values.size
        return start

    def joined(self) -> npt.NDArray[Any]:
        """All of them, from the start of a cache line on, and one spare entry, so that no array is empty."""
        spare = self.convert(np.zeros(1, np.int64))
        return np.concatenate([*self.parts, spare], out=aligned(self.size + 1, spare.dtype))


def _only(values: Ints) -> int:
    """The one value that all of `values` have, or -1."""
    return int(values[0]) if values.size and np.all(values == values[0]) else -1


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
        tiled: Collection[str],
        block: int,
        most: Mapping[str, int],
    ) -> None:
        """wide: potentials take 64 bits. All codes then take 32, which saves the compiler half of its variants.

        tiled: populations that go in tiles, block: steps of a block. most: spikes of a neuron of a population in a step.
        """
        self.steps, self.wide, self.tiled, self.block, self.most = steps, wide, tiled, block, most
        self.program, self.order, self.inside, self.cores, self.clock = program, order, inside, cores, clock
        state_type = np.dtype(np.int64 if wide else np.int32)
        self.tables = Flat(timing.as_table)
        self.params, self.initial = Flat(partial(_clipped, state_type=state_type)), Flat(lambda a: a.astype(state_type))
        # With 64-bit potentials all codes are in the widest type, and the other two are never read.
        widths = (WIDTHS[-1],) * 3 if wide else WIDTHS
        self.codes = [Flat(partial(np.ndarray.astype, dtype=width, copy=False)) for width in widths]
        self.ring_size = self.pending_size = self.raster_size = 0
        sizes = {p.name: p.size for p in order}
        self.fans = {q.name: fan_out(q, sizes[q.source], cores.of[q.target], len(cores.names)) for q in program.projections}

    def link_records(self, links: Sequence[Projection], wirings: Sequence[Wiring]) -> npt.NDArray[Any]:
        """One LINK record a projection."""
        records = np.zeros(len(links), LINK)
        position = {p.name: i for i, p in enumerate(self.order)}
        used: dict[str, int] = {}
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
            sources = int(np.prod(synapses.source_shape(q, self.program.population(q.source))))
            record["sources"], record["even"] = sources, bool(row_of.size and np.all(row_of == row_of[0]))
            codes, multiple = wiring.codes, 1
            if q.target in self.tiled:
                multiple = LINE
                codes = tiles.in_tiles(codes.reshape(sources, wiring.numbers["width"]))
                self._reserve(record, q, used)
            record["codes"] = self.codes[codes_type].add(codes, multiple)
            if q.pool is not None:
                record["pooled"] = np.prod(synapses.source_shape(q, self.program.population(q.source)))
        return records

    def _reserve(self, record: Any, q: Projection, used: dict[str, int]) -> None:
        """Room for the counts of q's sources beside those of the other projections into its target. used: of each target."""
        single = not neurons.sends_payloads(self.program.population(q.source))
        record["bytewise"] = record["codes_type"] == 0 and not self.wide and single and self.most[q.source] <= 255
        record["raster"] = used.get(q.target, 0)
        used[q.target] = int(record["raster"]) + -(-int(record["sources"]) // QUAD) * QUAD
        self.raster_size = max(self.raster_size, used[q.target])

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
            record["family"], record["size"], record["stride"] = neurons.family_of(p).code, p.size, p.size
            record["v"] = self.initial.add(cell.state[:, by_engine], LINE if p.name in self.tiled else 1)
            record["arrivals"] = record["v"] + cell.arrivals_row * p.size
            record["params"] = self.params.add(cell.params[:, by_engine], LINE if p.name in self.tiled else 1)
            record["simple"], record["biased"], record["bounded"] = cell.simple, cell.biased, cell.bounded
            record["first_load"], record["last_load"] = cell.loads
            # A list a step is all that a run needs, however long the delay.
            record["slots"] = max(1, min(max((q.delay for q in outgoing), default=0) + self.block, self.steps))
            record["ring"] = self.ring_size
            self.ring_size += int(record["slots"]) * p.size
            record["neuron"], neuron = neuron, neuron + p.size
            record["core_of"] = self.tables.add(np.where(core_of < 0, len(self.cores.names), core_of))
            messages = messages_per_spike([self.fans[q.name] for q in outgoing], p.size)
            record["messages"], record["fan"] = self.tables.add(messages[by_engine]), _only(messages)
            record["core"] = _only(np.where(core_of < 0, len(self.cores.names), core_of))
            record["single"] = self.most[p.name] == 1 and not neurons.sends_payloads(p)
            if p.name in self.tiled:
                stops = np.flatnonzero(np.diff(core_of, append=-2)) + 1
                record["segments"] = len(stops)
                cores = core_of[stops - 1]
                record["segment"] = self.tables.add(np.concatenate([stops, np.where(cores < 0, len(self.cores.names), cores)]))
            record["tiles"] = tiles.tile_count(p.size) if p.name in self.tiled else 0
            record["pending"] = self.pending_size
            self.pending_size += max(1, int(record["tiles"]))
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
