"""From a Program to what the core holds: addresses, the crossbar of weights, thresholds, and rasters as input events.

Neurons take the lowest addresses, in the order of their placement, so that a sweep processes them and nothing else. Inputs
come behind them: an input is a row of the crossbar whose own neuron is never processed; it is disabled all the same, with a
threshold that nothing reaches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.exporters.memory import Core
from snnport.fixed import IntArray
from snnport.program import Program, Projection
from snnport.sim.tinyodin import MAX_CYCLES, NEURONS, NEVER, Inputs
from snnport.targets.unrolled import unrolled

Matrix = npt.NDArray[np.int64]


def addresses(program: Program) -> dict[str, int]:
    """The address of neuron 0 of every placed population; the others follow in C order."""
    bases: dict[str, int] = {}
    used = 0
    for piece in program.placements:
        bases.setdefault(piece.population, used)
        used += piece.stop - piece.start
    return bases


def matrix(projection: Projection) -> Matrix:
    """The weights (target, source) of a projection, pooling included."""
    synapse: Any = unrolled(projection).synapse
    weights = np.zeros(synapse.shape, np.int64)
    np.add.at(weights, (synapse.target, synapse.source), synapse.codes)
    return weights


def fan_out(projection: Projection) -> Matrix:
    """How many neurons each source reaches (sources,), whatever the weights are."""
    ones = replace(projection.synapse, codes=np.ones_like(projection.synapse.codes))
    reached = matrix(replace(projection, synapse=ones))
    return np.asarray(np.count_nonzero(reached, axis=0), np.int64)


def crossbar(program: Program) -> Matrix:
    """All weights as (pre, post); projections between the same two neurons add."""
    bases = addresses(program)
    weights = np.zeros((NEURONS, NEURONS), np.int64)
    for p in program.projections:
        source, target = program.population(p.source), program.population(p.target)
        rows, columns = bases[source.name], bases[target.name]
        weights[rows : rows + source.size, columns : columns + target.size] += matrix(p).T
    return weights


def core_of(program: Program, words: IntArray | None = None) -> Inputs:
    """The configuration and memories of the core, and input events `words` to be sent as soon as possible.

    The program fits, as the rules of the target say. Spikes are fed back only if some neuron drives another.
    """
    bases, chip = addresses(program), program.chip
    thr, disable = np.full(NEURONS, NEVER, np.uint16), np.ones(NEURONS, np.uint8)
    neurons = [p for p in program.populations if p.neuron.family != "input"]
    for population in neurons:
        if population.neuron.family == "if":
            own = slice(bases[population.name], bases[population.name] + population.size)
            thr[own] = population.neuron["v_threshold"]
            disable[own] = 0
    events = np.zeros(0, np.uint16) if words is None else words
    return Inputs(
        max_neur=sum(p.size for p in neurons) - 1,
        open_loop=int(not any(program.population(p.source).neuron.family == "if" for p in program.projections)),
        aer_src=0,
        max_cycles=MAX_CYCLES,
        req_low_delay=int(chip["req_low_delay"]),
        req_gap=int(chip["req_gap"]),
        ack_delay=np.array([chip["ack_delay"]]),
        acklow_delay=np.array([chip["acklow_delay"]]),
        thr=thr,
        leak=np.zeros(NEURONS, np.uint8),
        disable=disable,
        v0=np.zeros(NEURONS, np.int16),
        W=crossbar(program).astype(np.int8),
        ev_addr=events,
        ev_t=np.zeros(len(events), np.int32),
    )


def image_of(inputs: Inputs) -> Core:
    """What exporters/memory.py writes: the inputs of a run without its environment."""
    return Core(**{f.name: getattr(inputs, f.name) for f in fields(Core)})


def event_words(raster: IntArray, bases: Mapping[str, int], inputs: Mapping[str, int]) -> tuple[IntArray, Matrix]:
    """The input events of one sample, and how many of them belong to each step (n_steps,).

    raster (n_steps, n_inputs): spike counts. inputs: size of each input population, in the order of the raster's columns.
    Within a step spikes go by column; two spikes of one input follow each other.
    """
    column = np.concatenate([bases[name] + np.arange(size) for name, size in inputs.items()])
    step, source = np.nonzero(raster)
    times = np.asarray(raster)[step, source].astype(np.int64)
    per_step = np.zeros(len(raster), np.int64)
    np.add.at(per_step, step, times)
    return np.repeat(column[source], times).astype(np.uint16), per_step
