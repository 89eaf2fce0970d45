"""The engine and Lava, run side by side on random networks: spikes, v and u in every step, integer for integer.

`make study` takes 400 of them. The seeds are others than those of the stored runs. Lava takes seconds to start, so that one
start runs all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from lava_parity import by_engine, by_lava, differences, job_of
from lava_programs import CHIP, lava_program

from snnport.encoders import Stimulus
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection
from snnport.sim.engine import run
from snnport.targets.loihi.vendor import run_jobs, run_lava
from snnport.trace import Trace, first_divergence

pytestmark = pytest.mark.lava
FIRST_SEED = 10_000


def network(families, projections, size=4, steps=9, **params) -> Program:
    """Populations "in", "a", "b", .. of `size` neurons; params: of all of them by name of the population."""
    populations = [Population("in", (size,), Neuron("input", {"graded": np.array(1)}))]
    for name, family in families.items():
        given = {key: np.asarray(value) for key, value in params.get(name, {}).items()}
        populations.append(Population(name, (size,), Neuron(family, given)))
    return Program("loihi2", CHIP, tuple(populations), tuple(projections), (), ("in",), (populations[-1].name,), steps)


def timing() -> tuple[Program, np.ndarray]:
    """Delay 0, biases that come through relays, an island, and a reset between samples."""
    rng = np.random.RandomState(3)
    codes = [2 * rng.randint(-20, 20, (4, 4)) for _ in range(6)]
    program = network(
        {"a": "delta", "b": "graded_relu", "c": "sigma_delta", "d": "cuba_reset", "e": "atrlif", "f": "cuba"},
        (
            Projection("1", "in", "a", Dense(codes[0]), delay=0),
            Projection("2", "a", "b", Dense(codes[1]), delay=2),
            Projection("3", "in", "b", Dense(codes[2]), delay=1),
            Projection("4", "b", "c", Dense(codes[3]), delay=0),
            Projection("5", "c", "d", Dense(codes[4]), delay=3),
            Projection("6", "d", "e", Dense(codes[5]), delay=0),
        ),
        a={"v_threshold": 3, "bias": [5, -7, 0, 9], "shift": 1},
        b={"shift": 3, "bias": [17, -5, 1, 0]},
        c={"v_threshold": [1, 2, 3, 4], "bias": -3, "shift": 2},
        d={"du": 100, "dv": 50, "vth": 300, "reset_interval": 4, "reset_offset": 1, "bias_mant": 100},
        e={"du": 4095, "dv": 100, "theta_0": 0, "theta_step": 3, "dtheta": 9, "dr": 2000, "bias_mant": [1, -1, 5, 7]},
        f={"du": 0, "dv": 0, "vth": 2, "bias_mant": 50},
    )
    return program, rng.randint(-9, 9, (5, 9, 4)).astype(np.int32)


def edge() -> tuple[Program, np.ndarray]:
    """u reaches 2^23, stays there, and wraps with the next spike."""
    wire = Projection("w", "in", "a", Dense(np.array([[128]])), exponent=10)
    program = network({"a": "cuba"}, (wire,), size=1, steps=4, a={"du": -1, "dv": 4096, "vth": 1 << 17})
    return program, np.array([[[1], [0], [1], [0]]], np.int32)


def maps(padding: tuple[int, int, int, int]) -> tuple[Program, np.ndarray]:
    """A convolution with everything; Lava's own takes equal padding on both sides alone."""
    rng = np.random.RandomState(5)
    conv = Conv(2 * rng.randint(-9, 9, (4, 1, 3, 2)), (2, 5, 4), (2, 1), padding, (1, 2), 2)
    height, width = (5 + padding[0] + padding[2] - 3) // 2 + 1, 4 + padding[1] + padding[3] - 2
    params = {key: np.array(value) for key, value in {"du": 9, "dv": 9, "vth": 30}.items()}
    populations = (
        Population("in", (2, 5, 4), Neuron("input", {})),
        Population("a", (4, height, width), Neuron("cuba", params)),
    )
    wire = Projection("w", "in", "a", conv, exponent=1)
    return Program("loihi2", CHIP, populations, (wire,), (), ("in",), ("a",), 12), rng.randint(0, 2, (2, 12, 40)).astype(
        np.int32
    )


SPECIAL = {"timing": timing(), "edge": edge(), "own convolution": maps((1, 0, 1, 0)), "lopsided": maps((1, 0, 0, 1))}


@pytest.fixture(scope="module")
def ran(request: pytest.FixtureRequest) -> Mapping[object, tuple[Program, np.ndarray, Trace]]:
    """Seed or name -> program, raster, Lava's trace."""
    networks = 400 if request.config.getoption("--hypothesis-profile") == "study" else 20
    made = {seed: lava_program(seed) for seed in range(FIRST_SEED, FIRST_SEED + networks)} | SPECIAL
    traces = run_jobs([job_of(*case) for case in made.values()])
    return {key: (*case, trace) for (key, case), trace in zip(made.items(), traces, strict=True)}


def test_random_networks(ran) -> None:
    cases = [(key, *case) for key, case in ran.items() if isinstance(key, int)]
    assert differences([case[:3] for case in cases], [trace for *_, trace in cases]) == []
    fired = [np.count_nonzero(raster) for *_, trace in cases for raster in trace.spikes.values()]
    assert np.count_nonzero(fired) > len(cases) // 2
    assert sum(fired) > 50 * len(cases)


@pytest.mark.parametrize("name", SPECIAL)
def test_special_networks(ran, name: str) -> None:
    program, raster, trace = ran[name]
    assert first_divergence(by_lava(trace), by_engine(program, raster)) is None
    assert trace.meta["vendor"] == "lava-nc 0.10.0"
    if name != "edge":
        assert all(raster.any() for raster in trace.spikes.values())


def test_a_network_that_starts_later_takes_more_steps_in_lava(ran) -> None:
    program, _, trace = ran["timing"]
    assert trace.meta["lava_steps"] == program.n_steps + max(trace.meta["start"].values()) > program.n_steps


def test_the_largest_u_is_lavas_own(ran) -> None:
    """What silicon does at 2^23 is not known; other simulators wrap there."""
    _, _, trace = ran["edge"]
    assert trace.v["u of a"].ravel().tolist() == [0, 1 << 23, 1 << 23, 0]
    assert trace.v["a"].ravel().tolist() == [0, (1 << 23) - 1, (1 << 23) - 1, 0]


def test_inputs_and_generators_are_recorded_and_progress_is_told() -> None:
    control = Population("beat", (2,), Neuron("generator", {"time": np.array([1, 1, 3]), "index": np.array([0, 0, 1])}))
    wires = (Projection("w", "in", "a", Dense(np.eye(4, dtype=int))), Projection("x", "beat", "a", Dense(np.ones((4, 2), int))))
    program = network({"a": "integrator"}, wires, steps=5)
    program = replace(program, populations=(*program.populations, control))
    stimulus, told = Stimulus(np.ones((2, 3, 4), np.int32), None, 3), []
    theirs = run_lava(program, stimulus, ("in", "beat", "a"), ("a",), lambda done, of: told.append((done, of)))
    ours = run(program, stimulus, record_spikes=("in", "beat", "a"), record_v=("a",)).trace
    assert first_divergence(ours, theirs) is None
    assert ours.v["a"].any()
    assert told == [(2, 2)]
