"""The busiest core of every step against a walk over every spike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snnport.encoders import Stimulus
from snnport.program import Conv, Dense, Diagonal, Neuron, Population, Program, Projection, Slice, Sparse
from snnport.sim import steps
from snnport.sim.energy import machine_time_s, models_for
from snnport.sim.engine import run
from snnport.sim.steps import longest_steps
from snnport.sim.workload import workload_of
from snnport.targets.base import resolve_target
from snnport.trace import Trace

PRICES = (
    {"operations": 3.0, "neurons": 0.5, "sent": 7.0, "received": 11.0, "spikes": 13.0},
    {"operations": 1.0},
    {"sent": 2.0},
)


def network(seed: int) -> Program:
    """A chain with a convolution, a loop, a skip and populations that share cores of two chips."""
    rng = np.random.default_rng(seed)
    conv = Conv(rng.integers(-2, 9, (2, 1, 2, 2)), (1, 4, 4), (1, 1), (1, 1, 0, 0))

    def firing(name: str, shape: tuple[int, ...]) -> Population:
        return Population(name, shape, Neuron("if", {"v_threshold": np.array(6), "max_spikes": np.array(3)}))

    populations = (
        Population("in", (16,), Neuron("input", {})),
        firing("a", (2, 4, 4)),
        firing("b", (32,)),
        firing("c", (5,)),
    )
    listed = Sparse(np.full(9, 4), rng.integers(0, 5, 9), rng.integers(0, 32, 9), (5, 32))
    links = (
        Projection("ia", "in", "a", conv),
        Projection("ab", "a", "b", Diagonal(np.full(32, 7))),
        Projection("bc", "b", "c", listed),
        Projection("ac", "a", "c", Dense(rng.integers(-3, 4, (5, 32))), None, 3),
        Projection("cc", "c", "c", Dense(rng.integers(-3, 4, (5, 5)))),
    )
    places = (
        Slice("a", 0, 0, 20),
        Slice("a", 1, 20, 32),
        Slice("b", 1, 0, 9),
        Slice("b", 0, 9, 32, chip=1),
        Slice("c", 1, 0, 5, chip=1),
    )
    return Program("loihi1", resolve_target("loihi1").chip, populations, links, places, ("in",), ("c",), 12)


def reach(q: Projection, n: int, size: int) -> np.ndarray:
    """(sources, targets): synapses."""
    s = q.synapse
    if isinstance(s, Dense):
        return np.ones((n, size), int)
    if isinstance(s, Diagonal):
        return np.eye(n, dtype=int)
    table = np.zeros((n, size), int)
    if isinstance(s, Sparse):
        np.add.at(table, (s.source, s.target), 1)
        return table
    for y in range(4):
        for x in range(4):
            for i in range(2):
                for j in range(2):
                    if y + i - 1 >= 0 and x + j - 1 >= 0:
                        table[(y + i - 1) * 4 + x + j - 1, [y * 4 + x, 16 + y * 4 + x]] += 1
    return table


def walked(program: Program, trace: Trace, price: dict[str, float]) -> float:
    at = {(s.population, i): (s.chip, s.core) for s in program.placements for i in range(s.start, s.stop)}
    cores = sorted(set(at.values()))
    size = {p.name: p.size for p in program.populations}
    tables = {q.name: reach(q, size[q.source], size[q.target]) for q in program.projections}
    total = 0.0
    samples, n_steps = trace.spikes["in"].shape[:2]
    for sample in range(samples):
        for t in range(n_steps):
            busy = {core: price.get("neurons", 0.0) * sum(1 for place in at.values() if place == core) for core in cores}
            for p in program.populations:
                for i in np.flatnonzero(trace.spikes[p.name][sample, t]):
                    c = int(trace.spikes[p.name][sample, t, i])
                    here, reached = at.get((p.name, int(i))), set()
                    for q in program.projections:
                        if q.source == p.name:
                            for j in np.flatnonzero(tables[q.name][i]):
                                core = at[q.target, int(j)]
                                reached.add(core)
                                busy[core] += c * int(tables[q.name][i, j]) * price.get("operations", 0.0)
                    for core in reached:
                        busy[core] += c * price.get("received", 0.0)
                    if here is not None:
                        busy[here] += c * (price.get("spikes", 0.0) + len(reached) * price.get("sent", 0.0))
            total += max(busy.values())
    return total


@pytest.mark.parametrize("seed", range(3))
def test_every_step_waits_for_its_busiest_core(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = network(seed)
    raster = np.random.default_rng(seed).integers(0, 2, (3, 12, 16)).astype(np.uint8)
    result = run(program, Stimulus(raster, None, 12), record_spikes=[p.name for p in program.populations])
    assert min(result.counts.spikes.values()) > 0
    expected = [walked(program, result.trace, price) for price in PRICES]
    assert longest_steps(program, result.trace, PRICES) == expected
    monkeypatch.setattr(steps, "BLOCK", 1)
    assert longest_steps(program, result.trace, PRICES) == expected


def test_nothing_takes_no_time() -> None:
    program = network(0)
    assert longest_steps(program, Trace({}, {}), PRICES) == [0.0, 0.0, 0.0]


def test_several_chips_wait_longer_for_one_another() -> None:
    program = network(0)
    alone = replace(program, placements=tuple(replace(s, chip=0, core=s.core + 2 * s.chip) for s in program.placements))
    raster = np.ones((1, 12, 16), np.uint8)
    seconds = {}
    for name, one in (("two", program), ("one", alone)):
        result = run(one, Stimulus(raster, None, 12), record_spikes=[p.name for p in one.populations])
        model = models_for("loihi1")[0].time
        assert model is not None
        seconds[name] = machine_time_s(workload_of(one, result.counts, result.trace), model)
    assert seconds["two"][0] - seconds["one"][0] == pytest.approx(12 * (14300 - 113) * 1e-9, rel=1e-9)
