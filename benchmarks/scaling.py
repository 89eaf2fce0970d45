"""Do time and memory grow in proportion to the work? Three decades each of samples, of steps, and of neurons.

Every line of the table is a process of its own, so that its peak of memory is its own: the growth over what the process
takes after a small run of the same kind. Usage: python benchmarks/scaling.py, or with the name of one table.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import snnport
from snnport.chip import load_chip
from snnport.encoders import Stimulus
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Slice, SumPool
from snnport.sim.engine import run

CHIP = load_chip(Path(snnport.__file__).parent / "targets" / "cpu" / "chip.toml")
RATE = 0.1
TABLES = {
    "samples": [(28, 100, n) for n in (1, 10, 100, 1000)],
    "steps": [(28, n, 1) for n in (100, 1000, 10000, 100000)],
    "neurons": [(side, 4, 1) for side in (16, 48, 152, 480)],
}
"""(side of the input map, steps, samples); a network of maps for the last table, a dense one for the others."""


class Stream:
    """Random spikes (n_samples, n_steps, n_neurons), drawn when they are read: nothing is ever held as a whole."""

    def __init__(self, samples: int, steps: int, size: int) -> None:
        self.shape = (samples, steps, size)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(len(self))
        made = np.zeros((stop - start, *self.shape[1:]), np.uint8)
        for row, sample in zip(made, range(start, stop), strict=True):
            generator = np.random.default_rng(sample)
            for spikes in row:
                spikes[:] = generator.integers(0, 256, self.shape[2], np.uint8) < 256 * RATE
        return made


def assemble(populations: list[Population], projections: list[Projection], steps: int) -> Program:
    """A program with every 1024 neurons on a core; its output is the last population."""
    slices: list[Slice] = []
    for p in populations[1:]:
        slices += [Slice(p.name, len(slices) + i, s, min(s + 1024, p.size)) for i, s in enumerate(range(0, p.size, 1024))]
    last = populations[-1].name
    return Program("cpu", CHIP, tuple(populations), tuple(projections), tuple(slices), ("in",), (last,), steps)


def dense(side: int, steps: int) -> Program:
    """side^2-400-400-10."""
    generator, neuron = np.random.default_rng(0), Neuron("if", {"v_threshold": np.array(3000), "v_min": np.array(-3000)})
    populations = [Population("in", (side * side,), Neuron("input", {}))]
    populations += [Population(f"layer{i}", (n,), neuron) for i, n in enumerate((400, 400, 10))]
    projections = [
        Projection(f"w{b.name}", a.name, b.name, Dense(generator.integers(-120, 128, (b.size, a.size)).astype(np.int8)))
        for a, b in pairwise(populations)
    ]
    return assemble(populations, projections, steps)


def maps(side: int, steps: int) -> Program:
    """Four convolutions of 3 x 3 over a square of `side` (5.5 side^2 neurons), and a pooled readout of ten."""
    generator, neuron = np.random.default_rng(0), Neuron("if", {"v_threshold": np.array(150)})
    populations, projections = [Population("in", (1, side, side), Neuron("input", {}))], []
    shape = (1, side, side)
    for i, (channels, stride) in enumerate(((8, 2), (16, 2), (16, 1), (8, 1))):
        codes = generator.integers(-50, 100, (channels, shape[0], 3, 3)).astype(np.int8)
        conv = Conv(codes, shape, (stride, stride), (1, 1, 1, 1))
        shape = (channels, *((n - 1) // stride + 1 for n in shape[1:]))
        populations.append(Population(f"map{i}", shape, neuron))
        projections.append(Projection(f"k{i}", populations[-2].name, f"map{i}", conv))
    window = shape[1] // 4
    readout = Dense(generator.integers(-120, 128, (10, 16 * shape[0])).astype(np.int8))
    pool = SumPool(shape, (window, window), (window, window), (0, 0, 0, 0))
    populations.append(Population("out", (10,), Neuron("integrator", {})))
    projections.append(Projection("readout", populations[-2].name, "out", readout, pool))
    return assemble(populations, projections, steps)


def peak() -> int:
    """Most bytes that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(table: str, side: int, steps: int, samples: int) -> dict[str, float]:
    """One line: what a run does, its seconds with preparation, and by how many bytes it raises the peak of memory."""
    make = maps if table == "neurons" else dense

    def once(program: Program, steps: int, samples: int) -> int:
        size = program.population("in").size
        return run(program, Stimulus(Stream(samples, steps, size), None, steps), threads=1).counts.total("synaptic_operations")

    once(make(16, 4), 4, 1)
    program, before, start = make(side, steps), peak(), time.perf_counter()
    events = once(program, steps, samples)
    wall = time.perf_counter() - start
    neurons = sum(p.size for p in program.populations)
    return {"neurons": neurons, "steps": steps, "samples": samples, "events": events, "s": wall, "bytes": peak() - before}


def main() -> None:
    """Print the tables, or with the arguments of a line that line as JSON."""
    if len(sys.argv) == 5:
        print(json.dumps(measured(sys.argv[1], *(int(value) for value in sys.argv[2:]))))
        return
    for table in sys.argv[1:] or TABLES:
        print(f"\n{table}\n   neurons   steps  samples         events        s   ns an event   MB more   bytes a neuron")
        for line in TABLES[table]:
            command = [sys.executable, __file__, table, *map(str, line)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            each, size = row["s"] / row["events"] * 1e9, row["bytes"] / row["neurons"]
            print(
                f"{row['neurons']:10} {row['steps']:7} {row['samples']:8} {row['events']:14} {row['s']:8.2f} {each:13.2f} "
                f"{row['bytes'] / 1e6:9.1f} {size:16.0f}"
            )


if __name__ == "__main__":
    main()
