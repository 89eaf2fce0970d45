"""All that a run had to do: the engine's counts, and what follows from them, the program and the recorded spikes.

docs/energy.md, "What is counted", defines every number. Nothing here is priced (energy.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from snnport.encoders import NUMBERS
from snnport.errors import UnknownName
from snnport.fixed import signed_bits
from snnport.program import Conv, Dense, Diagonal, Program, Projection
from snnport.sim.activity import driven
from snnport.sim.conventions import fan_out
from snnport.sim.counts import DEFAULT_STATE_BITS, TOTALS, Counts
from snnport.sim.geometry import map_taps
from snnport.sim.network import Mesh, Traffic, traffic
from snnport.sim.neurons import HOST_FAMILIES
from snnport.trace import Trace

DERIVED = (
    "neuron_updates_driven",
    "neuron_updates_idle",
    "placed_spikes",
    "input_events",
    "control_events",
    "output_events",
    "hops",
    "hops_x",
    "hops_y",
    "chip_messages",
    "barriers",
    "synaptic_operations_dense",
    "synaptic_operations_conv",
    "synaptic_operations_sparse",
    "encoder_operations",
    "readout_operations",
)
"""Counts beside counts.TOTALS that `Workload.total` knows."""
KINDS: Mapping[type, str] = MappingProxyType({Dense: "dense", Conv: "conv"})


@dataclass(frozen=True)
class Layer:
    """Work of one projection. kind: "dense", "conv" or "sparse", which includes one-to-one synapses.

    events: spikes that enter the synapses, once for each pooling window (totals of the run; those of the last steps count
    even where they arrive too late). operations: synaptic operations. sources (behind the pooling), targets: neurons.
    connections: synapses, those beyond the border left out. weights: codes stored, weight_bits: of one. kernel: codes that
    one event may reach. levels: greatest activation of the source. relay: one-to-one with one code for all, which multiplies
    nothing. controlled: the source is a generator.
    signed_input: the source is an input whose channels come twice, as positive and as negative part.
    """

    name: str
    source: str
    target: str
    kind: str
    events: int
    operations: int
    sources: int
    targets: int
    connections: int
    weights: int
    weight_bits: int
    kernel: int
    levels: int
    relay: bool
    controlled: bool
    signed_input: bool


@dataclass(frozen=True, eq=False)
class Workload:
    """Counts of a run and what follows from them.

    cells: population that sits on a chip -> its neurons. derived: the counts of DERIVED; neuron_updates_driven is None where
    the spikes were not recorded, hops are None where the chip states no mesh. state_bytes: of one word of neuron state.
    recorded: the program and the spikes of all its populations, None where not all were recorded.
    """

    counts: Counts
    network: Traffic
    layers: tuple[Layer, ...]
    cells: Mapping[str, int]
    derived: Mapping[str, int | None]
    state_bytes: int
    recorded: tuple[Program, Trace] | None = None

    @property
    def chips(self) -> int:
        """Chips that hold neurons."""
        return self.counts.chips

    def total(self, name: str) -> int | None:
        """A count of counts.TOTALS or DERIVED; None where it is not known. Raises UnknownName."""
        if name == "cycles" and self.counts.cycles is None:
            return None
        if name in TOTALS:
            return self.counts.total(name)
        if name not in self.derived:
            raise UnknownName.among("count", name, [*TOTALS, *DERIVED])
        return self.derived[name]

    def moving(self, name: str) -> int:
        """How much of a count grows with the spikes; the rest is there without any.

        Driven updates are taken to grow in proportion, which overstates them at high rates. An unknown count gives 0.
        """
        if name in ("state_read_bytes", "state_write_bytes"):
            return self.counts.total("synaptic_operations") * self.state_bytes
        if name in FIXED:
            return 0
        return self.total(name) or 0


FIXED = (
    "samples",
    "steps",
    "neuron_updates",
    "neuron_updates_idle",
    "cycles",
    "chips",
    "barriers",
    "control_events",
    "encoder_operations",
    "readout_operations",
)
"""Counts that do not grow with the spikes."""


def workload_of(program: Program, counts: Counts, trace: Trace | None = None, mesh: Mesh | None = None) -> Workload:
    """The workload of a run. trace: spikes of every population that has targets, for the driven updates.

    Raises InvalidGraph where a core lies outside the mesh, which is that of the program's chip by default.
    """
    network = traffic(program, counts, mesh)
    spikes = {p.name: counts.spikes[p.name] for p in program.populations}
    family = {p.name: p.neuron.family for p in program.populations}
    active = None
    if trace is not None and all(q.source in trace.spikes for q in program.projections):
        active = sum(driven(program, trace).values())
    kinds: dict[str, int] = {"dense": 0, "conv": 0, "sparse": 0}
    for q in program.projections:
        kinds[_kind(q)] += counts.synaptic_operations[q.name]
    hops = network.hops
    derived: dict[str, int | None] = {
        "neuron_updates_driven": active,
        "neuron_updates_idle": None if active is None else counts.neuron_updates - active,
        "placed_spikes": sum(n for name, n in spikes.items() if family[name] not in HOST_FAMILIES),
        "input_events": sum(n for name, n in spikes.items() if family[name] == "input"),
        "control_events": sum(n for name, n in spikes.items() if family[name] == "generator"),
        "output_events": sum(spikes[name] for name in program.outputs),
        "hops": None if hops is None else hops.total,
        "hops_x": None if hops is None else hops.x,
        "hops_y": None if hops is None else hops.y,
        "chip_messages": network.chip_messages,
        "barriers": counts.steps * counts.samples,
        **{f"synaptic_operations_{kind}": n for kind, n in kinds.items()},
        "encoder_operations": _encoder_operations(program, counts),
        "readout_operations": _readout_operations(program, counts),
    }
    state_bits = int(program.chip["state_bits"]) if "state_bits" in program.chip.numbers else DEFAULT_STATE_BITS
    layers = tuple(_layer(program, q, counts) for q in program.projections)
    cells = MappingProxyType({p.name: p.size for p in program.populations if family[p.name] not in HOST_FAMILIES})
    recorded = None if trace is None or any(p.name not in trace.spikes for p in program.populations) else (program, trace)
    return Workload(counts, network, layers, cells, MappingProxyType(derived), -(-state_bits // 8), recorded)


def _encoder_operations(program: Program, counts: Counts) -> int:
    """A scaling and rounding for each value of a sample, and a comparison for each of its neurons and steps; 0 for spikes."""
    encoder = program.meta.get("encoder")
    if encoder is None:
        return 0
    neurons = sum(program.population(name).size for name in program.inputs)
    values = neurons // 2 if _doubled(encoder) else neurons
    return counts.samples * (values + neurons * counts.steps)


def _doubled(encoder: Mapping[str, Any]) -> bool:
    """Whether signed input comes twice, as x and -x; a message carries its sign."""
    return bool(encoder.get("signed")) and encoder.get("kind") not in NUMBERS


def _readout_operations(program: Program, counts: Counts) -> int:
    """Spikes counted, or potentials read (of every step where their sum or maximum decides), and the comparisons after."""
    outputs = [program.population(name) for name in program.outputs]
    readout = program.meta.get("readout")
    steps = counts.steps if readout in ("sum", "max") else 1
    read = sum(counts.spikes[p.name] if readout == "count" else counts.samples * p.size * steps for p in outputs)
    return read + counts.samples * sum(p.size - 1 for p in outputs)


def _kind(projection: Projection) -> str:
    return KINDS.get(type(projection.synapse), "sparse")


def _layer(program: Program, q: Projection, counts: Counts) -> Layer:
    synapse, source, target = q.synapse, program.population(q.source), program.population(q.target)
    fan = fan_out(synapse, q.name)
    if isinstance(synapse, Conv):
        kernel = synapse.codes.size // synapse.input_shape[0]
    else:
        kernel = target.size if isinstance(synapse, Dense) else 1
    low, high = int(synapse.codes.min(initial=0)), int(synapse.codes.max(initial=0))
    windows = (program.meta.get("windows") or {}).get(source.name)
    encoder = program.meta.get("encoder") or {}
    is_input = source.neuron.family == "input"
    return Layer(
        q.name,
        q.source,
        q.target,
        _kind(q),
        _events(q, counts),
        counts.synaptic_operations[q.name],
        len(fan),
        target.size,
        int(fan.sum()),
        int(synapse.codes.size),
        signed_bits(low, high),
        kernel,
        _levels(windows, encoder if is_input else {}, counts.steps),
        isinstance(synapse, Diagonal) and low == high,
        source.neuron.family == "generator",
        is_input and _doubled(encoder),
    )


def _events(q: Projection, counts: Counts) -> int:
    fired = counts.spikes_per_neuron[q.source]
    if q.pool is None:
        return int(fired.sum())
    y, x = map_taps(q.pool, q.name)
    _, height, width = q.pool.input_shape
    times = np.outer(y.per_source(), x.per_source())
    return int((fired.reshape(-1, height, width).sum(axis=0) * times).sum())


def _levels(window: Mapping[str, int] | None, encoder: Mapping[str, int], steps: int) -> int:
    """Greatest activation: what the code says, else one spike a step."""
    if window is not None:
        return max(1, int(window["levels"]))
    return int(encoder.get("levels", steps))
