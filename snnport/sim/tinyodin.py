"""tinyODIN, cycle for cycle: one core of 256 neurons, its event queue, and the handshakes at its two ports.

docs/semantics-tinyodin.md is normative. Cycle numbers, fields and edge cases are those of runs recorded from the RTL
(ChFrenkel/tinyODIN, commit 1865653), which tests/golden/tinyodin holds and this engine reproduces in every field.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.fixed import IntArray, signed_range
from snnport.sim import tinyodin_kernel as kernel

NEURONS = kernel.NEURONS
FIFO_ENTRIES = kernel.FIFO_ENTRIES
WEIGHT_BITS, STATE_BITS, THRESHOLD_BITS, LEAK_BITS, EVENT_BITS = 4, 12, 12, 7, 10
TIME_REFERENCE = 0x1FF
"""Event word that makes all processed neurons leak."""
NEVER = (1 << THRESHOLD_BITS) - 1
"""A threshold that no potential reaches."""
MAX_CYCLES = (1 << 31) - 1

_FIRST_ROOM = 1024


@dataclass(frozen=True, eq=False)
class Inputs:
    """Configuration, memories and input events of one run, and the delays of the environment; cycles everywhere.

    max_neur: last processed neuron. open_loop: spikes are not fed back. aer_src: 0 the output port sends neurons when they
    fire, 1 spike entries when their service ends. max_cycles: the run stops in this cycle. req_low_delay, req_gap: of the
    input handshake. ack_delay (k,), acklow_delay (m,): of output handshake j, entries j mod k and j mod m. thr (256,)
    unsigned 12 bits, leak (256,) unsigned 7, disable (256,) 0 or 1, v0 (256,) signed 12. W (256, 256) signed 4 bits,
    W[pre, post]. ev_addr (n,): event words of 10 bits. ev_t (n,): earliest cycle of each request.
    Raises InvalidInput for shapes and numbers that the core cannot hold.
    """

    max_neur: int
    open_loop: int
    aer_src: int
    max_cycles: int
    req_low_delay: int
    req_gap: int
    ack_delay: IntArray
    acklow_delay: IntArray
    thr: IntArray
    leak: IntArray
    disable: IntArray
    v0: IntArray
    W: IntArray
    ev_addr: IntArray
    ev_t: IntArray

    def __post_init__(self) -> None:
        for field in fields(self):
            value = np.asarray(getattr(self, field.name))
            low, high = _RANGES[field.name]
            shape = _SHAPES.get(field.name, ())
            if not np.issubdtype(value.dtype, np.integer) and value.dtype != np.bool_:
                raise InvalidInput(f"in_{field.name}", f"its type is {value.dtype}, integers are needed")
            if len(shape) != value.ndim or any(n not in (None, m) for n, m in zip(shape, value.shape, strict=True)):
                wanted = ", ".join("n" if n is None else str(n) for n in shape)
                raise InvalidInput(f"in_{field.name}", f"its shape is {value.shape}, ({wanted}) is needed")
            if value.size and not (low <= int(value.min()) and int(value.max()) <= high):
                raise InvalidInput(f"in_{field.name}", f"it spans {value.min()}..{value.max()}, the core takes {low}..{high}")
            if field.name not in _SHAPES:
                object.__setattr__(self, field.name, int(value))
        for name in ("ack_delay", "acklow_delay"):
            if not len(getattr(self, name)):
                raise InvalidInput(f"in_{name}", "it is empty, at least 1 delay is needed", "Write 0 for no delay")
        if len(self.ev_addr) != len(self.ev_t):
            raise InvalidInput("in_ev_t", f"it has {len(self.ev_t)} entries, in_ev_addr has {len(self.ev_addr)}")

    @property
    def neurons(self) -> int:
        """Neurons that a sweep processes."""
        return self.max_neur + 1


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a run gave; cycles are -1 where the run stopped before.

    completed, end_cycle: 1 and the first cycle at rest, or 0 and max_cycles. spk_*: output events, when their request rises.
    fire_*: strobes of firing enabled neurons. ev_*: handshake of each input event. srv_*: each queue entry served, (virtual
    weight, address) as 4 + 8 bits. v_final (256,). fifo_max, fifo_final: entries in the queue. dropped: spikes it lost.
    """

    completed: int
    end_cycle: int
    spk_cycle: IntArray
    spk_addr: IntArray
    fire_cycle: IntArray
    fire_neuron: IntArray
    ev_req: IntArray
    ev_accept: IntArray
    ev_ack: IntArray
    ev_done: IntArray
    srv_entry: IntArray
    srv_start: IntArray
    srv_end: IntArray
    v_final: IntArray
    fifo_max: int
    fifo_final: int
    dropped: int


@dataclass(frozen=True, eq=False)
class StepRun:
    """A run whose input came in steps, each held back until the core was at rest after the one before.

    inputs: those of the run, with the cycles in ev_t at which the requests rose; `simulate(inputs)` gives the same outputs.
    starts (n_steps + 1,): the cycle in which each step began, and in the end the one in which the last came to rest.
    v (n_steps, 256): potentials at rest after each step. steps: how many came to rest before max_cycles.
    neuron_updates: strobes of neuron memory that took effect. saturations (256,): those that left v at the end of its range.
    """

    inputs: Inputs
    outputs: Outputs
    starts: npt.NDArray[np.int64]
    v: npt.NDArray[np.int16]
    steps: int
    neuron_updates: int
    saturations: npt.NDArray[np.int64]


def _bits(width: int) -> tuple[int, int]:
    return 0, (1 << width) - 1


_RANGES: dict[str, tuple[int, int]] = {
    "max_neur": (0, NEURONS - 1),
    "open_loop": (0, 1),
    "aer_src": (0, 1),
    "max_cycles": (0, MAX_CYCLES),
    "req_low_delay": (0, MAX_CYCLES),
    "req_gap": (0, MAX_CYCLES),
    "ack_delay": (0, MAX_CYCLES),
    "acklow_delay": (0, MAX_CYCLES),
    "thr": _bits(THRESHOLD_BITS),
    "leak": _bits(LEAK_BITS),
    "disable": (0, 1),
    "v0": signed_range(STATE_BITS),
    "W": signed_range(WEIGHT_BITS),
    "ev_addr": _bits(EVENT_BITS),
    "ev_t": (-MAX_CYCLES - 1, MAX_CYCLES),
}
_SHAPES: dict[str, tuple[int | None, ...]] = {
    **dict.fromkeys(("ack_delay", "acklow_delay", "ev_addr", "ev_t"), (None,)),
    **dict.fromkeys(("thr", "leak", "disable", "v0"), (NEURONS,)),
    "W": (NEURONS, NEURONS),
}


@dataclass(eq=False)
class _Run:
    """A run under way. Only the logs are replaced, by longer ones."""

    cores: npt.NDArray[Any]
    ack_delay: npt.NDArray[np.int64]
    acklow_delay: npt.NDArray[np.int64]
    events: npt.NDArray[np.int64]
    spikes: npt.NDArray[np.int64]
    fires: npt.NDArray[np.int64]
    services: npt.NDArray[np.int64]

    @property
    def core(self) -> Any:
        """The record of the core, by field name."""
        return self.cores[0]

    def go(self, n_events: int) -> int:
        """Go on with the first n_events events: kernel.AT_REST or kernel.STOPPED."""
        while True:
            delays, logs = (self.ack_delay, self.acklow_delay), (self.spikes, self.fires, self.services)
            status = kernel.advance(self.cores, *delays, self.events, n_events, *logs)
            if status != kernel.LOG_FULL:
                return int(status)
            for name in ("spikes", "fires", "services"):
                log = getattr(self, name)
                setattr(self, name, np.concatenate([log, np.empty_like(log)]))


def simulate(inputs: Inputs) -> Outputs:
    """Run until the core is at rest with all events behind it, or until max_cycles."""
    run = _begin(inputs)
    return _outputs(run, run.go(len(inputs.ev_addr)))


def simulate_steps(inputs: Inputs, events_per_step: IntArray, step_cycles: int = MAX_CYCLES) -> StepRun:
    """Run steps of events_per_step[t] input events each, in order; ev_t of `inputs` is replaced, see StepRun.

    step_cycles: a step that is not at rest by then ends the run, as max_cycles does.
    """
    given = int(np.sum(events_per_step))
    if given != len(inputs.ev_addr):
        raise InvalidInput("events_per_step", f"it sums to {given}, in_ev_addr has {len(inputs.ev_addr)} entries")
    run = _begin(inputs)
    n_steps, first, done, status = len(events_per_step), 0, 0, kernel.AT_REST
    starts = np.zeros(n_steps + 1, np.int64)
    potentials = np.zeros((n_steps, NEURONS), np.int16)
    for step, count in enumerate(events_per_step):
        run.events[first:, kernel.EARLIEST] = starts[step]
        run.core["max_cycles"] = min(inputs.max_cycles, starts[step] + step_cycles)
        first += int(count)
        status = run.go(first)
        starts[step + 1 :] = run.core["end"]
        potentials[step] = run.core["v"]
        if status != kernel.AT_REST:
            break
        done += 1
    played = replace(inputs, ev_t=run.events[:, kernel.EARLIEST].astype(np.int32))
    core = run.core
    return StepRun(played, _outputs(run, status), starts, potentials, done, int(core["updates"]), core["saturations"].copy())


def _begin(inputs: Inputs) -> _Run:
    cores = np.zeros(1, kernel.CORE)
    core = cores[0]
    core["last_neuron"], core["request"] = inputs.max_neur, -1
    for name in ("open_loop", "aer_src", "max_cycles", "req_low_delay", "req_gap", "thr", "leak", "disable"):
        core[name] = getattr(inputs, name)
    core["v"], core["weights"] = inputs.v0, inputs.W
    n = len(inputs.ev_addr)
    events = np.full((n, 6), -1, np.int64)
    events[:, kernel.ADDR], events[:, kernel.EARLIEST] = inputs.ev_addr, inputs.ev_t
    room = _FIRST_ROOM + n
    return _Run(
        cores,
        np.array(inputs.ack_delay, np.int64),
        np.array(inputs.acklow_delay, np.int64),
        events,
        np.empty((room, 2), np.int64),
        np.empty((room, 2), np.int64),
        np.empty((room, 3), np.int64),
    )


def _outputs(run: _Run, status: int) -> Outputs:
    """The record of a run, in the types of the recorded files."""
    core = run.core
    spikes, fires, services = run.spikes[: core["spikes"]], run.fires[: core["fires"]], run.services[: core["services"]]
    events = run.events.astype(np.int32)
    return Outputs(
        completed=int(status == kernel.AT_REST),
        end_cycle=int(core["end"]),
        spk_cycle=spikes[:, 0].astype(np.int32),
        spk_addr=spikes[:, 1].astype(np.uint8),
        fire_cycle=fires[:, 0].astype(np.int32),
        fire_neuron=fires[:, 1].astype(np.uint8),
        ev_req=events[:, kernel.REQ],
        ev_accept=events[:, kernel.ACCEPT],
        ev_ack=events[:, kernel.ACK],
        ev_done=events[:, kernel.DONE],
        srv_entry=services[:, 0].astype(np.uint16),
        srv_start=services[:, 1].astype(np.int32),
        srv_end=services[:, 2].astype(np.int32),
        v_final=core["v"].copy(),
        fifo_max=int(core["peak"]),
        fifo_final=int(core["count"]),
        dropped=int(core["dropped"]),
    )
