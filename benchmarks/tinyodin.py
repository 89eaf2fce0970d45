"""How many clock cycles of tinyODIN does the engine model a second, on one core?

Three feed-forward runs: two recorded from the RTL, and the first one's network under 20,000 random input spikes, so far
apart that its queue never overflows. Times are of whole calls, from input arrays to output arrays, compilation left out; the
best of many, since other work may share the machine. A model of the same RTL made with Verilator 5 does 1.5 to 4.6 million
cycles a second.
Usage: python benchmarks/tinyodin.py
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from snnport.sim.tinyodin import MAX_CYCLES, Inputs, simulate
from snnport.targets.tinyodin.case import compare, load_case

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "tinyodin"
VERILATOR = (1.5e6, 4.6e6)
GOAL = 500e6
SPACING = 2000


def long(inputs: Inputs, n: int = 20_000) -> Inputs:
    """The same core under n spikes of the inputs that its recorded run uses, SPACING cycles apart."""
    spikes = inputs.ev_addr[(inputs.ev_addr & 0x300) == 0]
    words = np.random.default_rng(0).choice(spikes, n)
    return replace(inputs, ev_addr=words, ev_t=SPACING * np.arange(n), max_cycles=MAX_CYCLES)


def best(inputs: Inputs, seconds: float) -> tuple[float, int, int]:
    """Shortest time of one call, its cycles and its firings."""
    outputs = simulate(inputs)
    shortest, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        simulate(inputs)
        shortest = min(shortest, time.perf_counter() - start)
    assert outputs.completed
    assert not outputs.dropped
    return shortest, outputs.end_cycle, len(outputs.fire_cycle)


def machine() -> str:
    """Processor, cores and Python."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"


def main() -> None:
    """Print one line a run."""
    print(machine())
    print(f"{'run':<34}{'cycles':>12}{'firings':>9}{'time':>12}{'cycles/s':>12}{'x Verilator':>16}")
    cases = {name: load_case(next(GOLDEN.glob(f"{name}_*.npz"))) for name in ("s34", "s35")}
    for name, case in cases.items():
        assert compare(case.outputs, simulate(case.inputs)) == (), name
    runs = {f"recorded {name} (feed-forward)": case.inputs for name, case in cases.items()}
    for name, inputs in {**runs, "s34's network, 20,000 spikes": long(cases["s34"].inputs)}.items():
        seconds, cycles, firings = best(inputs, 3.0)
        rate = cycles / seconds
        ratios = f"{rate / VERILATOR[1]:.0f} to {rate / VERILATOR[0]:.0f}"
        told = f"{name:<34}{cycles:>12,}{firings:>9,}{seconds * 1e6:>9,.0f} us{rate / 1e6:>10,.0f} M{ratios:>16}"
        print(told + ("" if rate >= GOAL else f"   below the goal of {GOAL / 1e6:.0f} M"))


if __name__ == "__main__":
    main()
