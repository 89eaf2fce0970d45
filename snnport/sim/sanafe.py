"""SANA-FE's accounting in closed form: the energies that it would report for a program, from counts and recorded rasters.

SANA-FE (Boyle et al., IEEE TCAD 2025) simulates neuromorphic chips event by event; it is under the GPL and runs in a process
of its own (workers/sanafe_run.py, sanafe_process.py). What follows was learnt by running version 2.2.9 on small networks:

    synapse   every spike x every synapse, at the price of the unit of the neuron it reaches
    dendrite  the same count
    soma      every neuron and step: access; a neuron that was driven, has a bias, or ended the step before with a potential
              other than 0: update; a spike: spike_out. Units that play stimuli: access always, update and spike_out at a spike
    network   a message for each spike and core that it reaches: message_out, message_in, and hops along x, then y

Spikes of the last step are charged although they arrive after it. Tiles are numbered column by column, cores within them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput, UnsupportedNode
from snnport.program import Conv, Dense, Population, Program
from snnport.sim.activity import arrivals
from snnport.sim.conventions import exact
from snnport.sim.counts import Counts
from snnport.sim.network import traffic
from snnport.sim.neurons import HOST_FAMILIES, parameters, sends_payloads
from snnport.sim.sanafe_arch import Architecture
from snnport.trace import Trace


@dataclass(frozen=True)
class Units:
    """Which unit of a core serves what. soma, synapse: population -> unit. inputs: units that play one stimulus each."""

    soma: Mapping[str, str]
    synapse: Mapping[str, str]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class SanafeResult:
    """SANA-FE's totals: spikes are synaptic events, packets messages; energies in joules."""

    spikes: int
    packets_sent: int
    neurons_updated: int
    neurons_fired: int
    energy: Mapping[str, float]


FIELDS = ("synapse", "dendrite", "soma", "network", "total")
"""Fields of SANA-FE's energy."""


def check(program: Program, architecture: Architecture) -> None:
    """Raises UnsupportedNode for what SANA-FE's neurons cannot say, InvalidInput for neurons on no core or too many on one."""
    for q in program.projections:
        if q.delay != 1:
            raise UnsupportedNode(q.name, f"its delay is {q.delay} steps, in SANA-FE a spike takes 1", "Lower with delay 1")
    for p in program.populations:
        if p.neuron.family not in (*HOST_FAMILIES, "if", "integrator"):
            raise UnsupportedNode(p.name, f"neurons of family '{p.neuron.family}' have no counterpart in SANA-FE")
        if sends_payloads(p):
            raise UnsupportedNode(p.name, "its spikes carry numbers, which has no counterpart in SANA-FE")
        if p.neuron.family in ("if", "integrator"):
            _check_neuron(p)
    placed = np.concatenate([_cores(program, p) for p in program.populations])
    most = int(np.bincount(placed).max(initial=0))
    if most > architecture.neurons_per_core:
        limit = architecture.neurons_per_core
        raise InvalidInput("placements", f"a core holds {most} neurons, {architecture.name} takes {limit}", "Spread them")
    if placed.max(initial=0) >= architecture.cores:
        raise InvalidInput("placements", f"core {placed.max()} is used, {architecture.name} has {architecture.cores} cores")


def _check_neuron(p: Population) -> None:
    values = parameters(p)
    if p.neuron.family == "integrator":
        if np.any(values["v_init"]):
            raise UnsupportedNode(p.name, "its potential does not start at 0, as all do in SANA-FE")
        return
    subtracts = values["reset"] == 0
    # v > threshold and v - threshold, SANA-FE's soft reset, is v >= threshold on a potential kept 1 lower.
    if np.any(values["v_init"] != np.where(subtracts, -1, 0)):
        raise UnsupportedNode(p.name, "v_init must be -1 with a subtracting reset and 0 otherwise: SANA-FE starts at 0")
    if np.any(values["max_spikes"] != 1) or np.any(values["load_step"] >= 0):
        raise UnsupportedNode(p.name, "neurons that fire several times in a step, or load a potential, are not in SANA-FE")


def units_of(program: Program, architecture: Architecture) -> Units:
    """Units by their names: a synapse unit whose name holds conv, dense or sparse for such projections, else the first one.

    A population takes one unit for all that reaches it. Raises InvalidInput where a core lacks a unit for neurons or stimuli.
    """
    somas = [name for name, soma in architecture.somas.items() if soma.model == "leaky_integrate_fire"]
    inputs = tuple(name for name, soma in architecture.somas.items() if soma.model == "input")
    if not somas or not inputs:
        what = f"it has {len(somas)} units of model leaky_integrate_fire and {len(inputs)} of model input, 1 of each is needed"
        raise InvalidInput(architecture.name, what, "Choose another architecture")
    cells = [p for p in program.populations if p.neuron.family not in HOST_FAMILIES]
    hosts = [_cores(program, p) for p in program.populations if p.neuron.family in HOST_FAMILIES]
    most = int(np.bincount(np.concatenate(hosts)).max(initial=0)) if hosts else 0
    if most > len(inputs):
        what = f"a core plays {most} stimuli, {architecture.name} has {len(inputs)} units for them"
        raise InvalidInput("placements", what, "Spread the inputs over more cores")
    return Units({p.name: somas[0] for p in cells}, {p.name: _synapse_unit(program, p, architecture) for p in cells}, inputs)


def _synapse_unit(program: Program, p: Population, architecture: Architecture) -> str:
    kinds = {type(q.synapse) for q in program.into(p.name)}
    word = "conv" if Conv in kinds else "dense" if Dense in kinds or not kinds else "sparse"
    return architecture.synapse(word)


def account(program: Program, counts: Counts, trace: Trace, architecture: Architecture) -> SanafeResult:
    """What SANA-FE reports for this run of one sample or several one after another.

    trace: spikes of every population and v of every one with neurons. Raises what `check` and `units_of` raise, and
    InvalidInput where something was not recorded.
    """
    check(program, architecture)
    units, network = units_of(program, architecture), traffic(program, counts, architecture.mesh, host_placed=True)
    dendrite = next(iter(architecture.dendrites.values()))
    synapse = events = 0.0
    for q in program.projections:
        raster = _recorded(trace.spikes, q.source)
        n = exact(q, raster)
        events += n
        synapse += n * architecture.synapses[units.synapse[q.target]]
    soma, updated = 0.0, 0
    for p in program.populations:
        chances = p.size * counts.steps * counts.samples
        fired = counts.spikes[p.name]
        host = p.neuron.family in HOST_FAMILIES
        active = fired if host else updates(program, trace, p)
        unit = architecture.somas[units.inputs[0] if host else units.soma[p.name]]
        soma += chances * unit.access + active * unit.update + fired * unit.spike_out
        updated += active
    hops, price = network.hops, architecture.hops
    assert hops is not None
    distance = hops.east * price.east + hops.west * price.west + hops.north * price.north + hops.south * price.south
    messages = network.messages * (architecture.message_in + architecture.message_out) + distance
    energy = {"synapse": synapse, "dendrite": events * dendrite, "soma": soma, "network": messages}
    return SanafeResult(
        int(events),
        network.messages,
        updated,
        sum(counts.spikes.values()),
        {**energy, "total": sum(energy.values())},
    )


def updates(program: Program, trace: Trace, p: Population) -> int:
    """Neuron updates that SANA-FE charges: driven, biased, or with a potential other than 0 before the step."""
    v = _recorded(trace.v, p.name).astype(np.int64) + _offset(p)
    total = 0
    for s in range(len(v)):
        active = arrivals(program, trace, p.name, s, s + 1)[0] | (parameters(p)["bias"] != 0)
        active[1:] |= v[s, :-1] != 0
        total += int(np.count_nonzero(active))
    return total


def _offset(p: Population) -> npt.NDArray[np.int64]:
    """What SANA-FE's potential is higher by."""
    values = parameters(p)
    if p.neuron.family != "if":
        return np.zeros(p.size, np.int64)
    return np.where(values["reset"] == 0, 1, 0)


def _recorded(table: Mapping[str, Any], name: str) -> Any:
    if name not in table:
        raise InvalidInput("SANA-FE", f"'{name}' was not recorded", "Record the spikes and v of every population")
    return table[name]


def _cores(program: Program, p: Population) -> npt.NDArray[np.int64]:
    """Core of every neuron, inputs and generators included. Raises InvalidInput if one has none or sits on another chip."""
    core = np.full(p.size, -1, np.int64)
    for s in program.placements:
        if s.population == p.name and s.chip == 0:
            core[s.start : s.stop] = s.core
    if np.any(core < 0):
        what = f"neuron {int(np.argmax(core < 0))} sits on no core of chip 0; in SANA-FE inputs sit on cores, too"
        raise InvalidInput(p.name, what, "Place every population on one chip")
    return core
