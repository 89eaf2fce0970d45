"""What a price model is made of. price_file.py reads one, energy.py and baseline.py put it on counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

PROVENANCES = ("measured", "calibrated", "pre-silicon", "analytic")
"""measured: on silicon; calibrated: fitted to silicon; pre-silicon: simulated circuits; analytic: operation counts times a
table of operation energies."""
CORE_COUNTS = ("operations", "neurons", "sent", "received", "spikes")
"""What a core is busy with: synaptic operations, neuron updates, messages sent and received, spikes fired."""

Triple: TypeAlias = tuple[float, float, float]
"""A low, a middle and a high figure."""


@dataclass(frozen=True)
class Band:
    """A low, a middle and a high figure, and where they come from."""

    low: float
    mid: float
    high: float
    source: str

    @property
    def figures(self) -> Triple:
        """The three figures alone."""
        return (self.low, self.mid, self.high)


@dataclass(frozen=True)
class Price:
    """`pj` picojoules for each unit of the count called `count`."""

    count: str
    pj: Band


@dataclass(frozen=True)
class TimeModel:
    """Seconds of a machine without a clock: a barrier a step, and the work of the busiest core.

    barrier_ns: of one step. core_ns: a name of CORE_COUNTS -> nanoseconds for each. barrier_chips_ns: of one step of a
    network on several chips, None where it is not known to differ.
    """

    barrier_ns: Band
    core_ns: Mapping[str, Band]
    barrier_chips_ns: Band | None = None


@dataclass(frozen=True)
class Analytic:
    """Lemaire et al. (ICONIP 2022): operations, addressing and memory accesses whose price grows with the memory.

    add_pj, multiply_pj: of integers of word_bits. memory_bytes, memory_pj: energy of an access to one word by the memory's
    size, linear between the points and level behind the last. queue_messages: size of the queues for spikes.
    """

    add_pj: float
    multiply_pj: float
    word_bits: int
    memory_bytes: tuple[float, ...]
    memory_pj: tuple[float, ...]
    queue_messages: int
    source: str


@dataclass(frozen=True)
class PriceModel:
    """Prices of one machine. node_nm, voltage: None where unknown. static_w: power of a chip at rest, None if not known.

    targets: whose machine this is. what_if: targets whose programs may be priced as if they ran there. time: seconds of the
    machine itself, for static power, where the target has no clock. multiply_pj: of one 8-bit by 8-bit multiplication, for the
    ANN beside the spiking network (baseline.py); None if the machine could not run it.
    """

    name: str
    provenance: str
    node_nm: float | None
    voltage: float | None
    targets: tuple[str, ...]
    terms: Mapping[str, Price]
    unpriced: tuple[str, ...]
    static_w: Band | None
    what_if: tuple[str, ...] = ()
    time: TimeModel | None = None
    analytic: Analytic | None = None
    multiply_pj: Band | None = None
