"""How many synaptic events a second does the engine do?

Two cases with random weights: one sample of a dense network on one core, and many samples of a LeNet on all cores, input
encoding included. The peer, run in the same process, is plain numpy: a float32 matrix product a step and layer, which
takes no advantage of silence. Usage: python benchmarks/engine.py [images]
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

import snnport
from snnport.chip import load_chip
from snnport.encoders import CountEncoder, Stimulus
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Slice, SumPool, Synapse
from snnport.sim.engine import available_cores, run

CHIP = load_chip(Path(snnport.__file__).parent / "targets" / "cpu" / "chip.toml")
LEVELS = 16
RNG = np.random.default_rng(0)


def codes(*shape: int, low: int = -120) -> np.ndarray:
    """8-bit weights."""
    return RNG.integers(low, 128, shape).astype(np.int8)


def assemble(populations: list[Population], projections: list[Projection], output: str, steps: int) -> Program:
    """A program with every 1024 neurons on a core."""
    slices: list[Slice] = []
    for p in populations:
        if p.neuron.family not in ("input", "generator"):
            slices += [Slice(p.name, len(slices) + i, s, min(s + 1024, p.size)) for i, s in enumerate(range(0, p.size, 1024))]
    return Program("cpu", CHIP, tuple(populations), tuple(projections), tuple(slices), ("input",), (output,), steps)


def dense() -> Program:
    """784-1200-1200-10, always open, 100 steps."""
    sizes = (784, 1200, 1200, 10)
    populations = [Population("input", (784,), Neuron("input", {}))]
    projections = []
    for i, (source, target) in enumerate(pairwise(sizes), start=1):
        neuron = Neuron("if", {"v_threshold": np.array(5000), "v_min": np.array(-5000)})
        populations.append(Population(f"layer{i}", (target,), neuron))
        weights = codes(target, source, low=-127)
        projections.append(Projection(f"w{i}", populations[-2].name, f"layer{i}", Dense(weights)))
    return assemble(populations, projections, "layer3", 100)


def lenet() -> Program:
    """conv 6 x 5 x 5, pool, conv 16 x 5 x 5, pool, 120, 84, 10 in the gate code with 16 levels."""
    populations = [Population("input", (1, 28, 28), Neuron("input", {}))]
    projections = []

    def gated(shape: tuple[int, ...], synapse: Synapse, pool: SumPool | None, threshold: int) -> None:
        source, k = populations[-1 if len(populations) == 1 else -2].name, (len(populations) + 1) // 2
        name, gate, opening = f"layer{k}", 10**6, k * (LEVELS + 1)
        closed = np.array(threshold // 2 - gate)
        neuron = {
            "v_init": closed,
            "v_load": closed,
            "v_threshold": np.array(threshold),
            "load_step": np.array(opening + LEVELS),
        }
        control = {"time": np.array([opening - 1]), "index": np.array([0])}
        populations.append(Population(name, shape, Neuron("if", neuron)))
        populations.append(Population(f"{name}.control", (1,), Neuron("generator", control)))
        projections.append(Projection(f"{name}.w", source, name, synapse, pool))
        gates = Dense(np.full((int(np.prod(shape)), 1), gate))
        projections.append(Projection(f"{name}.g", f"{name}.control", name, gates))

    flat = (0, 0, 0, 0)
    gated((6, 24, 24), Conv(codes(6, 1, 5, 5, low=-60), (1, 28, 28), (1, 1), flat), None, 1500)
    gated(
        (16, 8, 8),
        Conv(codes(16, 6, 5, 5, low=-110), (6, 12, 12), (1, 1), flat),
        SumPool((6, 24, 24), (2, 2), (2, 2), flat),
        8000,
    )
    gated((120,), Dense(codes(120, 256)), SumPool((16, 8, 8), (2, 2), (2, 2), flat), 8000)
    gated((84,), Dense(codes(84, 120)), None, 2000)
    populations.append(Population("logits", (10,), Neuron("integrator", {})))
    projections.append(Projection("logits.w", "layer4", "logits", Dense(codes(10, 84))))
    return assemble(populations, projections, "logits", 5 * (LEVELS + 1) + 1)


def blobs(n: int) -> np.ndarray:
    """Images (n, 1, 28, 28) in 0..1, about a fifth of the pixels lit."""
    y, x = np.mgrid[:28, :28]
    centre = RNG.uniform(6, 22, (n, 4, 2, 1, 1))
    return np.clip(np.exp(-((y - centre[:, :, 0]) ** 2 + (x - centre[:, :, 1]) ** 2) / 8).sum(1), 0, 1)[:, None]


def numpy_dense(program: Program, raster: np.ndarray) -> None:
    """The peer: the same layers and steps, without reset, as float32 products."""
    weights = [q.synapse.codes.astype(np.float32) for q in program.projections]
    v = [np.zeros(len(w), np.float32) for w in weights]
    for step in raster[0].astype(np.float32):
        x = step
        for w, potential in zip(weights, v, strict=True):
            potential += w @ x
            x = (potential >= 5000).astype(np.float32)


def best(job: Callable[[], object], times: int) -> float:
    """Shortest of `times` wall times, in seconds."""
    walls = []
    for _ in range(times):
        start = time.perf_counter()
        job()
        walls.append(time.perf_counter() - start)
    return min(walls)


def main() -> None:
    """Run both cases and print a line each."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(
        f"machine: {platform.processor() or platform.machine()}, {available_cores()} cores, Python {platform.python_version()}"
    )
    program, raster = dense(), (RNG.random((1, 100, 784)) < 0.1).astype(np.uint8)
    stimulus = Stimulus(raster, None, 100)
    start = time.perf_counter()
    run(program, stimulus, threads=1)
    print(f"first run, compiled or from the cache: {time.perf_counter() - start:.1f} s")
    repeated = Stimulus(np.repeat(raster, 64, axis=0), None, 100)
    events = run(program, repeated, threads=1).counts.total("synaptic_operations") // 64
    many, few = best(lambda: run(program, repeated, threads=1), 5), best(lambda: run(program, stimulus, threads=1), 5)
    wall, peer = (many - few) / 63, best(lambda: numpy_dense(program, raster), 3)
    print(
        f"dense 784-1200-1200-10, 100 steps, one core: {events} events a sample, {wall * 1e3:.2f} ms, "
        f"{events / wall / 1e9:.2f} G events/s, {peer / wall:.0f} x numpy; preparing the program takes {few - wall:.3f} s"
    )
    program, x = lenet(), blobs(images)
    stimulus = Stimulus(x, CountEncoder("consecutive", 1 / LEVELS, LEVELS), program.n_steps)
    for threads in sorted({1, available_cores()}):
        counts = run(program, stimulus, threads=threads).counts
        wall = best(lambda threads=threads: run(program, stimulus, threads=threads), 3)
        events = counts.total("synaptic_operations")
        print(
            f"LeNet, gate code, {LEVELS} levels, {images} images, {threads} threads: {events // images} events an image, "
            f"{wall:.2f} s, {wall / images * 1e3:.2f} ms an image, {events / wall / 1e9:.2f} G events/s"
        )


if __name__ == "__main__":
    main()
