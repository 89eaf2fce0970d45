"""What a run counted: exact integers, the same for any number of threads, kept apart from what they cost (energy.py).

docs/semantics.md, "What is counted", is normative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput, UnknownName
from snnport.fixed import signed_bits
from snnport.program import Program

Ints = npt.NDArray[np.int64]
DEFAULT_STATE_BITS = 32


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of all samples of a run together, unless said otherwise.

    steps: of one sample. spikes, v_saturations, u_wraps, messages: population -> total. synaptic_operations: projection ->
    spikes that arrived x synapses. neuron_updates: neurons on cores x steps. cycles: (n_samples,), None where the chip has
    no cpu machine's clock. weight_read_bytes, state_read_bytes, state_write_bytes: traffic of the cpu machine's memories.
    chips: number of chips that hold neurons. core_cycles, queue_peak: one entry a core, chip after chip: cycles of work
    without barriers and waiting; most spikes that arrived in one step of one sample. spikes_per_step: population ->
    (steps,). spikes_per_neuron: population -> (n,), C order.
    """

    samples: int
    steps: int
    spikes: Mapping[str, int]
    synaptic_operations: Mapping[str, int]
    neuron_updates: int
    v_saturations: Mapping[str, int]
    u_wraps: Mapping[str, int]
    messages: Mapping[str, int]
    cycles: Ints | None
    weight_read_bytes: int
    state_read_bytes: int
    state_write_bytes: int
    chips: int
    core_cycles: Ints
    queue_peak: Ints
    spikes_per_step: Mapping[str, Ints]
    spikes_per_neuron: Mapping[str, Ints]

    @property
    def total_cycles(self) -> int | None:
        """Cycles of all samples, one after another; None where there is no clock."""
        return None if self.cycles is None else int(self.cycles.sum(dtype=np.int64))

    def total(self, name: str) -> int:
        """One count summed over populations, projections, or samples; `steps` is steps x samples.

        Raises UnknownName unless it is one of TOTALS, InvalidInput for the cycles of a chip without a clock.
        """
        if name not in TOTALS:
            raise UnknownName.among("count", name, TOTALS)
        if name == "steps":
            return self.steps * self.samples
        if name == "cycles":
            if self.total_cycles is None:
                raise InvalidInput("cycles", "the chip has no clock, they are not known", "Choose a chip with a clock")
            return self.total_cycles
        value: Mapping[str, int] | int = getattr(self, name)
        return sum(value.values()) if isinstance(value, Mapping) else value


TOTALS = (
    "samples",
    "steps",
    "spikes",
    "synaptic_operations",
    "neuron_updates",
    "v_saturations",
    "u_wraps",
    "messages",
    "cycles",
    "weight_read_bytes",
    "state_read_bytes",
    "state_write_bytes",
    "chips",
)
"""Counts that `total` sums up and that a price can be put on."""


def code_bytes(program: Program) -> dict[str, int]:
    """Projection -> the fewest whole bytes that hold every one of its codes."""
    spans = {q.name: (int(q.synapse.codes.min(initial=0)), int(q.synapse.codes.max(initial=0))) for q in program.projections}
    return {name: -(-signed_bits(low, high) // 8) for name, (low, high) in spans.items()}


def memory_traffic(
    program: Program, operations: Mapping[str, int], update_words: int, widths: Mapping[str, int] | None = None
) -> tuple[int, int, int]:
    """Bytes of weights read, state read and state written by the cpu machine.

    A synaptic operation reads one code, in the fewest whole bytes that hold every code of its projection, and reads and
    writes one word of state; updates read and write `update_words` in all. A word has the chip's state_bits.
    widths: what code_bytes gives, where it is known already.
    """
    state_bits = int(program.chip["state_bits"]) if "state_bits" in program.chip.numbers else DEFAULT_STATE_BITS
    word = -(-state_bits // 8)
    known = code_bytes(program) if widths is None else widths
    weights = sum(operations[q.name] * known[q.name] for q in program.projections)
    state = (sum(operations.values()) + update_words) * word
    return weights, state, state
