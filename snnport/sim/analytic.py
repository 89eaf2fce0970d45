"""Lemaire's analytic model: what a layer's operations, addressing and memory accesses cost, spiking or not.

E. Lemaire et al., "An Analytical Estimation of Spiking Neural Networks Energy Efficiency", ICONIP 2022, for integrate and
fire without leak. Their model reads and writes whole words; here an access costs in proportion to the bits it moves, so
that networks of different widths can be compared. With 32 bits everywhere it is theirs.

A synaptic operation is an addition, a read of a weight, and a read and a write of a potential; a neuron update reads and
writes a potential; spikes go through queues. Every event of a convolution is located by two multiplications and additions,
and every synapse by an addition. Memories are as large as what they hold. The band: low halves every memory price (the
table gives them for 64 bits where the paper charges 32), high takes every memory for the largest of the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from snnport.sim.price_model import Analytic, Triple
from snnport.sim.workload import Workload

PICO = 1e-12
ZERO: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Line:
    """One line of a bill: what was counted, its joules (low, mid, high), and the part of them that grows with the spikes."""

    name: str
    count: int
    joules: Triple
    moving: Triple = ZERO


@dataclass(frozen=True)
class Widths:
    """Bits of one weight (None: as stored), one potential, and one spike in a queue."""

    weight: int | None = 32
    potential: int = 32
    spike: int = 32


PUBLISHED = Widths()
"""32 bits for everything, as in the paper."""
AS_STORED = Widths(weight=None)
"""Weights as narrow as the program keeps them, for the comparison with a quantised ANN."""


def access_pj(model: Analytic, size_bytes: float, bits: float) -> Triple:
    """Energy of moving `bits` into or out of a memory of `size_bytes`."""
    part = bits / model.word_bits
    price = _interpolated(model, size_bytes) * part
    return (price / 2, price, model.memory_pj[-1] * part)


def spiking_lines(workload: Workload, model: Analytic, widths: Widths = PUBLISHED) -> tuple[Line, ...]:
    """The bill of the spiking network."""
    counts = workload.counts
    operations = sum(layer.operations for layer in workload.layers)
    additions = operations + (workload.total("placed_spikes") or 0)
    adds = multiplications = 0
    weights, queues, potentials, waiting = [], [], [], []
    for layer in workload.layers:
        adds += layer.operations if layer.kind == "sparse" else layer.events * layer.kernel
        multiplications += 2 * layer.events * (layer.kind == "conv")
        bits = layer.weight_bits if widths.weight is None else widths.weight
        weights.append((layer.operations, access_pj(model, layer.weights * bits / 8, bits)))
        queues.append((layer.events, access_pj(model, model.queue_messages * widths.spike / 8, widths.spike)))
        potential = access_pj(model, layer.targets * widths.potential / 8, widths.potential)
        potentials.append((2 * layer.operations, potential))
    for name, size in workload.cells.items():
        queue = access_pj(model, model.queue_messages * widths.spike / 8, widths.spike)
        queues.append((counts.spikes[name], queue))
        potential = access_pj(model, size * widths.potential / 8, widths.potential)
        waiting.append((2 * size * counts.steps * counts.samples, potential))
    address = (adds + multiplications) * model.add_pj + multiplications * model.multiply_pj
    return (
        moving("additions", additions, _flat(additions * model.add_pj)),
        moving("addressing", adds + multiplications, _flat(address)),
        _memory("weight memory", weights),
        _memory("potentials, at events", potentials),
        _memory("potentials, at updates", waiting, grows=False),
        _memory("spike queues", queues),
    )


def moving(name: str, count: int, joules: Triple) -> Line:
    """A line all of which grows with the spikes."""
    return Line(name, count, joules, joules)


def summed(lines: Iterable[Line]) -> tuple[Triple, Triple]:
    """(all joules, those that grow with the spikes) of `lines`."""
    kept = tuple(lines)
    return _sums([line.joules for line in kept]), _sums([line.moving for line in kept])


def _sums(triples: list[Triple]) -> Triple:
    low, mid, high = (math.fsum(t[i] for t in triples) for i in range(3))
    return (low, mid, high)


def _flat(pj: float) -> Triple:
    return (pj * PICO, pj * PICO, pj * PICO)


def _memory(name: str, accesses: list[tuple[int, Triple]], grows: bool = True) -> Line:
    low, mid, high = (math.fsum(n * price[i] for n, price in accesses) * PICO for i in range(3))
    joules = (low, mid, high)
    return Line(name, sum(n for n, _ in accesses), joules, joules if grows else ZERO)


def _interpolated(model: Analytic, size: float) -> float:
    sizes, energies = model.memory_bytes, model.memory_pj
    if size <= sizes[0]:
        return energies[0]
    for (a, x), (b, y) in zip(zip(sizes, energies, strict=True), zip(sizes[1:], energies[1:], strict=True), strict=False):
        if size <= b:
            return x + (y - x) * (size - a) / (b - a)
    return energies[-1]
