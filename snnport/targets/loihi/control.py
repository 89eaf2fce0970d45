"""Control spikes on Loihi: weights of any width, as planes of one sign and one weight exponent each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnport.fixed import IntArray, narrowest
from snnport.program import Dense, Diagonal, Neuron, Population, Projection
from snnport.targets.codes.base import Driven, generator
from snnport.targets.decay_codes import ONE
from snnport.targets.intervals import NEVER_FIRES

PLANE_EXPONENT = 7
"""Weight exponent of the coarse planes: units of 128."""
FORGOTTEN, KEPT = ONE - 1, -1
"""du of a current that is that of its step alone, and of one that stays (lava-nc 0.10.0, lif/models.py)."""


def perfect(vth: IntArray, du: int = FORGOTTEN) -> Neuron:
    """Integrate and fire, reset to zero: the potential keeps all. du: FORGOTTEN, or KEPT for a current that stays."""
    return Neuron("cuba", {"du": np.asarray(du), "dv": np.asarray(0), "vth": np.clip(vth, 0, NEVER_FIRES)})


def controlled(population: Population, pulses: list[tuple[int, IntArray]], more: tuple[Projection, ...] = ()) -> Driven:
    """`population` with a control population that sends `pulses` (see generator), and the projections `more`."""
    if not any(codes.any() for _, codes in pulses):
        return Driven(population, projections=more)
    control, whole = generator(f"{population.name}.control", population.name, pulses)
    return Driven(population, before=(control,), projections=(*planes(whole), *more))


def planes(whole: Projection) -> tuple[Projection, ...]:
    """A projection of any codes as several of one sign each, whose codes are below 2^7 or a multiple of it."""
    synapse = whole.synapse
    assert isinstance(synapse, Dense | Diagonal)
    codes = synapse.codes.astype(np.int64)
    found = []
    for sign, letter in ((1, "+"), (-1, "-")):
        size = np.maximum(sign * codes, 0)
        for exponent, part in ((PLANE_EXPONENT, size >> PLANE_EXPONENT), (0, size & ((1 << PLANE_EXPONENT) - 1))):
            if part.any():
                small = (sign * part).astype(narrowest(-int(part.max()), int(part.max())))
                name = f"{whole.name}{letter}{exponent}"
                found.append(replace(whole, name=name, synapse=replace(synapse, codes=small), exponent=exponent))
    return tuple(found)
