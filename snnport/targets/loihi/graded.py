"""Graded networks on Loihi 2: every projection as a list, codes doubled so that they are even, biases in digits.

GradedReluVec (lava-nc 0.10.0, proc/graded/models.py) rectifies what arrives and has neither bias nor bound; its shift is the
weight exponent -k of Sparse and Dense, which is applied to the sum (proc/sparse/models.py). Synapses of both signs hold even
numbers -256..254, so codes are doubled and shifts are one more. A bias of up to 24 bits comes from three neurons that send 1,
2^8 and 2^16 once a sample, its digits base 256 (-128..127) doubled as weights.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnport.chip import Chip
from snnport.fixed import IntArray
from snnport.program import Dense, Neuron, Population, Program, Projection
from snnport.targets.graded import graded_program
from snnport.targets.plan import Plan
from snnport.targets.unrolled import unrolled

FACTOR = 2
BASE_BITS, DIGITS = 8, 3
FAMILIES = ("graded", "graded_relu")


def lower_graded(plan: Plan, chip: Chip, semantics: str) -> Program:
    """A program of families graded and graded_relu, not placed yet. meta "scale" and "sums" count doubled codes.

    Sigma-delta neurons have a bias and no shift; their codes stay as they are (odd ones of both signs are stored doubled, with
    an exponent of -1, which is exact for every sum).
    """
    program = graded_program(plan, chip.target, chip, semantics, clips=False)
    if plan.coding is not None and plan.coding.code == "sigma-delta":
        return replace(program, projections=tuple(unrolled(p) for p in program.projections))
    populations, biases = [], {}
    for population in program.populations:
        if population.neuron.family == "generator":
            (projection,) = (p for p in program.projections if p.source == population.name)
            population, biases[projection.name] = _constants(population, projection)
        populations.append(_doubled(population))
    projections = tuple(biases.get(p.name) or _even(unrolled(p)) for p in program.projections)
    meta = {
        **program.meta,
        "scale": {name: value / FACTOR for name, value in plan.scale.items()},
        "sums": {name: FACTOR * worst for name, worst in program.meta["sums"].items()},
    }
    return replace(program, populations=tuple(populations), projections=projections, meta=meta)


def _doubled(population: Population) -> Population:
    """A population whose sums are twice what they were, its messages as they were."""
    if population.neuron.family not in FAMILIES:
        return population
    shift = int(population.neuron.params.get("shift", np.asarray(0))) + 1
    return replace(
        population, neuron=Neuron(population.neuron.family, {**population.neuron.params, "shift": np.asarray(shift)})
    )


def _even(projection: Projection) -> Projection:
    codes = projection.synapse.codes.astype(np.int16) * np.int16(FACTOR)
    return replace(projection, synapse=replace(projection.synapse, codes=codes))


def _constants(population: Population, projection: Projection) -> tuple[Population, Projection]:
    """The neurons that send powers of 256, and the doubled digits of what `projection` brings (targets, 1)."""
    rest = projection.synapse.codes.astype(np.int64)[:, 0]
    columns: list[IntArray] = []
    for _ in range(DIGITS):
        digit = ((rest + 128) & 255) - 128
        columns.append(digit)
        rest = (rest - digit) >> BASE_BITS
    used = [i for i, column in enumerate(columns) if column.any()]
    time = np.repeat(population.neuron["time"], len(used))
    values = np.array([1 << (BASE_BITS * i) for i in used], np.int64)
    neuron = Neuron("generator", {"time": time, "index": np.arange(len(used)), "value": values})
    codes = np.stack([FACTOR * columns[i] for i in used], axis=1).astype(np.int16)
    return replace(population, shape=(len(used),), neuron=neuron), replace(projection, synapse=Dense(codes))
