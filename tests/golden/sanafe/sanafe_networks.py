"""Networks, mappings and stimuli for the comparison with SANA-FE, drawn from seeds; used by the generator and by the tests."""

from __future__ import annotations

import numpy as np

from snnport.chip import Chip
from snnport.program import Conv, Dense, Diagonal, Neuron, Population, Program, Projection, Slice, Sparse, SumPool

CHIP = Chip.from_json({"name": "any", "target": "cpu", "numbers": {}})
HARD = {"reset": np.array(1)}
SOFT = {"reset": np.array(0), "v_init": np.array(-1)}


def cells(name, shape, threshold, **params) -> Population:
    return Population(name, shape, Neuron("if", {"v_threshold": np.asarray(threshold), **params}))


def program(populations, projections, cores) -> Program:
    """cores: population -> list of (core, start, stop), or one core for all."""
    places = []
    for p in populations:
        where = cores[p.name]
        for core, start, stop in [(where, 0, p.size)] if isinstance(where, int) else where:
            places.append(Slice(p.name, core, start, stop))
    inputs = tuple(p.name for p in populations if p.neuron.family == "input")
    return Program("cpu", CHIP, tuple(populations), tuple(projections), tuple(places), inputs, (populations[-1].name,), 0)


def dense(name, source, target, rng, sizes, exponent=0) -> Projection:
    return Projection(name, source, target, Dense(rng.integers(-40, 60, sizes)), None, 1, exponent)


def layers(sizes, steps, seed, rate=0.1, spread=1, soft=False) -> tuple[Program, np.ndarray]:
    """Fully connected layers; layer k on core k * spread."""
    rng = np.random.default_rng(seed)
    populations = [Population("in", (sizes[0],), Neuron("input", {}))]
    projections = []
    for k, n in enumerate(sizes[1:], 1):
        threshold = rng.integers(200, 900, n)
        populations.append(cells(f"l{k}", (n,), threshold, **(SOFT if soft else HARD)))
        source = populations[-2]
        projections.append(dense(f"w{k}", source.name, f"l{k}", rng, (n, source.size)))
    cores = {p.name: k * spread for k, p in enumerate(populations)}
    return program(populations, projections, cores), (rng.random((steps, sizes[0])) < rate).astype(np.uint8)


def convolution(seed=3) -> tuple[Program, np.ndarray]:
    """Convolution with stride, padding and groups; pooled convolution; readout; slices over cores of far tiles."""
    rng = np.random.default_rng(seed)
    first = Conv(rng.integers(-20, 30, (4, 1, 3, 3)), (2, 8, 8), (1, 1), (1, 1, 1, 1), (1, 1), 2)
    second = Conv(rng.integers(-20, 30, (6, 4, 3, 3)), (4, 4, 4), (1, 1), (0, 1, 0, 1), (1, 1), 1)
    populations = [
        Population("in", (2, 8, 8), Neuron("input", {})),
        cells("a", (4, 8, 8), 60, **HARD),
        cells("b", (6, 2, 4), 90, **SOFT),
        Population("out", (5,), Neuron("integrator", {})),
    ]
    projections = [
        Projection("c1", "in", "a", first, None, 1),
        Projection("c2", "a", "b", second, SumPool((4, 8, 8), (2, 2), (2, 2), (0, 0, 0, 0)), 1),
        dense("d", "b", "out", rng, (5, 48)),
    ]
    cores = {
        "in": [(0, 0, 50), (5, 50, 128)],
        "a": [(1, 0, 100), (127, 100, 200), (64, 200, 256)],
        "b": [(2, 0, 20), (90, 20, 48)],
        "out": 31,
    }
    return program(populations, projections, cores), (rng.random((40, 128)) < 0.15).astype(np.uint8)


def recurrent(seed=4) -> tuple[Program, np.ndarray]:
    """A loop, a generator, biases, a reset to another value, a shifted projection, one-to-one synapses."""
    rng = np.random.default_rng(seed)
    fires = {"time": np.array([0, 3, 3, 9, 30]), "index": np.array([0, 0, 1, 1, 1])}
    populations = [
        Population("in", (12,), Neuron("input", {})),
        Population("clock", (2,), Neuron("generator", fires)),
        cells("a", (10,), 100, bias=np.array([0] * 8 + [3, -2]), v_reset=np.array(5), **HARD),
        cells("b", (10,), 120, **SOFT),
    ]
    projections = [
        dense("w", "in", "a", rng, (10, 12), exponent=1),
        dense("k", "clock", "a", rng, (10, 2)),
        dense("loop", "b", "a", rng, (10, 10)),
        Projection("one", "a", "b", Diagonal(rng.integers(30, 90, 10)), None, 1),
    ]
    cores = {"in": 3, "clock": 3, "a": [(4, 0, 5), (21, 5, 10)], "b": 77}
    return program(populations, projections, cores), (rng.random((60, 12)) < 0.2).astype(np.uint8)


def sparse(seed=5) -> tuple[Program, np.ndarray]:
    """Listed synapses, some of them twice, some of code 0, behind a pooling and without."""
    rng = np.random.default_rng(seed)

    def listed(name, source, target, targets, sources, n, pool=None) -> Projection:
        ends = rng.integers(0, targets, n), rng.integers(0, sources, n)
        return Projection(name, source, target, Sparse(rng.integers(-20, 50, n), *ends, (targets, sources)), pool, 1)

    populations = [
        Population("in", (2, 6, 6), Neuron("input", {})),
        cells("a", (30,), 70, **HARD),
        cells("b", (20,), 80, **SOFT),
    ]
    pool = SumPool((2, 6, 6), (3, 3), (2, 2), (1, 0, 0, 1))
    projections = [listed("pooled", "in", "a", 30, 18, 150, pool), listed("listed", "a", "b", 20, 30, 200)]
    cores = {"in": 8, "a": [(9, 0, 12), (60, 12, 30)], "b": [(61, 0, 3), (100, 3, 20)]}
    return program(populations, projections, cores), (rng.random((50, 72)) < 0.2).astype(np.uint8)


NETWORKS = {
    "784-256-256-10": lambda: layers((784, 256, 256, 10), 200, 0),
    "one core": lambda: layers((20, 15, 10), 50, 1, spread=0),
    "far cores": lambda: layers((40, 30, 20, 10), 60, 2, spread=33, soft=True),
    "convolution": convolution,
    "recurrent": recurrent,
    "sparse": sparse,
}
