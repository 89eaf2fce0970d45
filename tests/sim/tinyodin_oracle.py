"""tinyODIN one clock edge after another: registers, two-stage synchronisers, and an environment that watches the wires.

Nothing is computed ahead. Every duration that the engine knows as a formula comes about here by waiting for a wire.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from snnport.sim.tinyodin import Inputs, Outputs

DEPTH = 128


class Clocked:
    """All registers of the core, and the two sides of its ports."""

    def __init__(self, inputs: Inputs) -> None:
        self.x = inputs
        self.cycle = 0
        self.v = [int(v) for v in inputs.v0]
        self.fifo: deque[int] = deque()
        # Controller: a state, the half of an update (read, write), the neuron of the sweep.
        self.state, self.half, self.index = "wait", 0, 0
        self.address = 0
        # Output port: request, busy, and the acknowledge behind its synchroniser and one register more.
        self.out_req, self.busy = False, False
        self.out_sync = [False, False, False]
        # Environment at the output: handshake number, and when acknowledge rises and falls.
        self.handshake, self.ack_up, self.ack_down = -1, None, None
        self.out_req_before = False
        # Environment at the input: event number, request, its synchroniser, when it may rise, when it must fall.
        self.event, self.in_req, self.in_sync = 0, False, [False, False]
        self.in_ack_before = False
        self.last_done: int | None = None
        self.req_down: int | None = None
        n = len(inputs.ev_addr)
        self.ev = {key: [-1] * n for key in ("req", "accept", "ack", "done")}
        self.spk: list[tuple[int, int]] = []
        self.fire: list[tuple[int, int]] = []
        self.srv: list[list[int]] = []
        self.peak = self.dropped = self.strobes = 0
        self.saturations = [0] * 256

    # ---------------------------------------------------------------------------------------------------- environment

    def out_ack(self) -> bool:
        """The acknowledge of the environment at the output, in this cycle."""
        if self.out_req and not self.out_req_before:
            self.handshake += 1
            delays = self.x.ack_delay
            self.ack_up, self.ack_down = self.cycle + int(delays[self.handshake % len(delays)]), None
        if not self.out_req and self.out_req_before:
            delays = self.x.acklow_delay
            self.ack_down = self.cycle + int(delays[self.handshake % len(delays)])
        self.out_req_before = self.out_req
        risen = self.ack_up is not None and self.cycle >= self.ack_up
        return risen and not (self.ack_down is not None and self.cycle >= self.ack_down)

    def drive_input(self) -> None:
        """Raise and lower the request at the input, as seen in this cycle."""
        ack = self.state == "acknowledge"
        if ack and not self.in_ack_before:
            self.ev["ack"][self.event] = self.cycle
            self.req_down = self.cycle + self.x.req_low_delay
        if not ack and self.in_ack_before:
            self.ev["done"][self.event] = self.last_done = self.cycle
            self.event, self.req_down = self.event + 1, None
        self.in_ack_before = ack
        if self.req_down is not None and self.cycle >= self.req_down:
            self.in_req = False
        free = not self.in_req and not ack and self.event < len(self.x.ev_addr)
        rested = self.last_done is None or self.cycle >= self.last_done + self.x.req_gap
        if free and rested and self.cycle >= int(self.x.ev_t[self.event]):
            self.in_req = True
            self.ev["req"][self.event] = self.cycle

    # ------------------------------------------------------------------------------------------------------------ core

    def update(self, neuron: int, weight: int | None) -> bool:
        """New potential of `neuron` (weight None: leak), written at the end of this cycle; whether it sends a spike."""
        v = self.v[neuron]
        if weight is not None:
            whole, v = v + weight, max(-2048, min(2047, v + weight))
            self.saturations[neuron] += self.takes_effect() and v != whole
        elif v >= 0:
            v = max(v - int(self.x.leak[neuron]), 0)
        else:
            v = min(v + int(self.x.leak[neuron]), 0)
        fires = v >= 0 and v >= int(self.x.thr[neuron])
        if self.takes_effect():
            self.v[neuron] = 0 if fires else v
            self.strobes += 1
        sends = fires and not self.x.disable[neuron]
        if sends:
            self.fire.append((self.cycle, neuron))
        return sends

    def takes_effect(self) -> bool:
        return self.cycle < self.x.max_cycles

    def tick(self) -> tuple[int, int] | None:
        """One cycle; (completed, end cycle) if the run ends in it."""
        out_ack = self.out_ack()
        self.drive_input()
        idle = self.state == "wait" and not self.busy and not self.fifo and self.event == len(self.x.ev_addr)
        if idle and self.takes_effect():
            return 1, self.cycle
        starts: int | None = None
        push: int | None = None
        pop = False
        next_state = self.state
        moving = not self.busy
        if self.state == "wait" and moving:
            if len(self.fifo) == DEPTH or (self.fifo and not self.in_sync[1]):
                next_state = "virtual" if self.fifo[0] >> 8 else "sweep"
            elif self.in_sync[1]:
                self.address = int(self.x.ev_addr[self.event])
                next_state = "leak" if self.address & 0x100 else "push"
            self.half = self.index = 0
        elif self.state == "push":
            word = self.address
            push = ((word & 0xF0) << 4 | word & 0xF) if word & 0x200 else word & 0xFF
            self.log_accept()
            next_state = "acknowledge"
        elif self.state == "acknowledge":
            next_state = "acknowledge" if self.in_sync[1] else "wait"
        elif self.state == "virtual":
            self.log_service()
            if self.half:
                word = self.fifo[0]
                weight = word >> 8
                if self.update(word & 0xFF, weight - 16 if weight >= 8 else weight):
                    starts = word & 0xFF
                pop, next_state = True, "wait"
                self.srv[-1][2] = self.cycle
            self.half = 1
        elif self.state in ("sweep", "leak"):
            if self.state == "leak":
                self.log_accept()
            else:
                self.log_service()
            if moving:
                starts, next_state = self.sweep()
        elif self.state == "pop" and moving:
            pop, next_state = True, "wait"
            self.srv[-1][2] = self.cycle
        feedback = starts if starts is not None and not self.x.open_loop else None
        sent = starts if not self.x.aer_src else None
        if self.x.aer_src and self.state == "sweep" and next_state == "pop":
            sent = self.fifo[0]
        self.edge(out_ack, sent, push if feedback is None else feedback, pop)
        self.state = next_state
        if self.cycle == self.x.max_cycles:
            return 0, self.cycle
        self.cycle += 1
        self.peak = max(self.peak, len(self.fifo))
        if self.out_req and not self.out_req_before:
            self.spk.append((self.cycle, self.out_addr))
        return None

    def sweep(self) -> tuple[int | None, str]:
        """One half of one neuron's update; the neuron that sends a spike, and the next state."""
        if not self.half:
            self.half = 1
            return None, self.state
        self.half = 0
        one = self.state == "leak" and self.address & 0xFF != 0xFF
        neuron = self.address & 0xFF if one else self.index
        weight = None if self.state == "leak" else int(self.x.W[self.fifo[0], neuron])
        sent = neuron if self.update(neuron, weight) else None
        self.index += 1
        if not one and self.index <= self.x.max_neur:
            return sent, self.state
        return sent, "acknowledge" if self.state == "leak" else "pop"

    def edge(self, out_ack: bool, sent: int | None, push: int | None, pop: bool) -> None:
        """What the registers take over at the end of the cycle."""
        if self.takes_effect():
            full = len(self.fifo) == DEPTH
            if pop:
                self.fifo.popleft()
            if push is not None and not full:
                self.fifo.append(push)
            self.dropped += push is not None and full
        if sent is not None:
            self.out_req, self.busy, self.out_addr = True, True, sent
        elif self.out_sync[1]:
            self.out_req = False
        elif self.out_sync[2]:
            self.busy = False
        self.out_sync = [out_ack, *self.out_sync[:2]]
        self.in_sync = [self.in_req, self.in_sync[0]]

    def log_accept(self) -> None:
        if self.ev["accept"][self.event] < 0:
            self.ev["accept"][self.event] = self.cycle

    def log_service(self) -> None:
        if not self.srv or self.srv[-1][2] >= 0:
            self.srv.append([self.fifo[0], self.cycle, -1])


def run(inputs: Inputs) -> tuple[Outputs, Clocked]:
    """The record of a run, and the core behind it."""
    core = Clocked(inputs)
    end = None
    while end is None:
        end = core.tick()

    def column(lines: list[Any], number: int) -> np.ndarray:
        return np.array([line[number] for line in lines], np.int64)

    return Outputs(
        *end,
        column(core.spk, 0),
        column(core.spk, 1),
        column(core.fire, 0),
        column(core.fire, 1),
        *(np.array(core.ev[key], np.int64) for key in ("req", "accept", "ack", "done")),
        *(column(core.srv, number) for number in range(3)),
        np.array(core.v),
        core.peak,
        len(core.fifo),
        core.dropped,
    ), core
