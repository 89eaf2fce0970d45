"""Event after event: the three orders against a plain oracle, against the engine, against Sinabs, and against one another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from async_oracle import run_events

from snnport.chip import load_chip
from snnport.encoders import Stimulus
from snnport.errors import InvalidGraph, InvalidInput, UnknownName
from snnport.program import Conv, Dense, Diagonal, Neuron, Population, Program, Projection, Slice, Sparse, SumPool
from snnport.registry import TARGETS
from snnport.sim import engine
from snnport.sim.asynchronous import ORDERS, run

CHIP = load_chip(TARGETS.load("speck2f").chip_file)
GOLDEN = Path(__file__).parents[1] / "golden" / "sinabs_speck" / "networks.npz"


def population(name: str, shape: tuple[int, ...], family: str = "if", **params: object) -> Population:
    return Population(name, shape, Neuron(family, {key: np.asarray(value) for key, value in params.items()}))


def program(populations, projections, inputs=("in",), outputs=None) -> Program:
    kept = tuple(p.name for p in populations if p.neuron.family not in ("input", "generator"))
    slices = tuple(Slice(name, i, 0, next(p for p in populations if p.name == name).size) for i, name in enumerate(kept))
    return Program("speck2f", CHIP, tuple(populations), tuple(projections), slices, inputs, outputs or kept[-1:], 0, {})


def random_program(seed: int) -> tuple[Program, np.ndarray]:
    """Convolutions, sum pooling (overlapping ones too), merges, branches, biases, pulses, clips, both resets."""
    rng = np.random.default_rng(seed)
    channels, side = int(rng.integers(1, 3)), int(rng.integers(5, 8))
    populations = [population("in", (channels, side, side), "input")]
    projections: list[Projection] = []
    maps = {"in": (channels, side, side)}

    def neurons(name: str, shape: tuple[int, ...]) -> Population:
        n = int(np.prod(shape))
        theta = int(rng.integers(3, 30))
        params: dict[str, object] = {"v_threshold": theta, "max_spikes": 1 << 15, "v_init": rng.integers(-3, theta, n)}
        if rng.random() < 0.4:
            params["bias"] = rng.integers(-2, 4, n) if rng.random() < 0.5 else int(rng.integers(-2, 4))
        if rng.random() < 0.6:
            params["v_min"] = -int(rng.integers(0, 20))
        if rng.random() < 0.4:
            params["v_max"] = int(rng.integers(theta, 3 * theta))
        if rng.random() < 0.3:
            params |= {"reset": 1, "v_reset": int(rng.integers(-2, 2)), "max_spikes": 1}
        return population(name, shape, **params)

    def codes(*shape: int) -> np.ndarray:
        return rng.integers(-8, 14, shape)

    for k in range(int(rng.integers(2, 5))):
        name = f"p{k}"
        source = str(rng.choice(list(maps)[-2:]))
        c, h, w = maps[source]
        pool = None
        if h >= 4 and rng.random() < 0.4:
            size, stride = (2, 2) if rng.random() < 0.7 else (2, 1)
            pool = SumPool((c, h, w), (size, size), (stride, stride), (0, 0, 0, 0))
            h, w = (h - size) // stride + 1, (w - size) // stride + 1
        kind = rng.random()
        if kind < 0.65:
            size, stride, rim = int(rng.integers(1, min(4, h + 1))), int(rng.integers(1, 3)), int(rng.integers(0, 2))
            out = int(rng.integers(1, 4)) * (c if kind < 0.15 else 1)
            groups = c if kind < 0.15 else 1
            conv = Conv(codes(out, c // groups, size, size), (c, h, w), (stride, stride), (rim,) * 4, (1, 1), groups)
            shape: tuple[int, ...] = (out, *[(s + 2 * rim - size) // stride + 1 for s in (h, w)])
            synapse: object = conv
        elif kind < 0.85:
            shape = (int(rng.integers(2, 6)),)
            synapse = Dense(codes(shape[0], c * h * w))
        else:
            shape, m = (int(rng.integers(2, 6)),), int(rng.integers(3, 15))
            synapse = Sparse(codes(m), rng.integers(0, shape[0], m), rng.integers(0, c * h * w, m), (shape[0], c * h * w))
        populations.append(neurons(name, shape))
        projections.append(Projection(f"{source}>{name}", source, name, synapse, pool, 0, int(rng.integers(0, 2))))
        maps[name] = (shape[0], *(shape[1:] or (1, 1)))  # type: ignore[assignment]
        others = [s for s in maps if s not in (source, name)]
        if others and rng.random() < 0.6:
            other = str(rng.choice(others))
            n = int(np.prod(maps[other]))
            dense = Dense(codes(populations[-1].size, n))
            projections.append(Projection(f"{other}>{name}", other, name, dense, None, 0))
        if n_same := populations[-1].size == populations[-2].size:
            assert n_same
            before = populations[-2].name
            projections.append(Projection(f"{before}={name}", before, name, Diagonal(codes(populations[-1].size)), None, 0))
    if rng.random() < 0.5:
        target = populations[-1]
        time, index = rng.integers(0, 5, 4), rng.integers(0, 2, 4)
        populations.append(population("pulse", (2,), "generator", time=time, index=index))
        projections.append(Projection("pulse", "pulse", target.name, Dense(codes(target.size, 2) * 3), None, 1))
    raster = (rng.random((2, 5, channels * side * side)) < 0.15) * rng.integers(1, 4, (2, 5, channels * side * side))
    return program(populations, projections, outputs=(f"p{k}",)), raster.astype(np.int64)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", range(40))
def test_random_programs_equal_the_oracle(seed: int, order: str) -> None:
    net, raster = random_program(seed)
    names = [p.name for p in net.populations]
    found = run(net, Stimulus(raster, None, raster.shape[1]), order=order, record_spikes=names, threads=1, all_counts=True)
    spikes, final, operations = run_events(net, raster, order)
    for name in names:
        assert np.array_equal(found.trace.spikes[name], spikes[name]), (name, order)
        assert found.counts.spikes[name] == spikes[name].sum()
        assert np.array_equal(found.counts.spikes_per_neuron[name], spikes[name].sum(axis=(0, 1)))
        assert np.array_equal(found.counts.spikes_per_step[name], spikes[name].sum(axis=(0, 2)))
    assert np.array_equal(found.final_v[net.outputs[0]], final[net.outputs[0]])
    assert {k: n for k, n in found.counts.synaptic_operations.items() if n} == {k: n for k, n in operations.items() if n}


@pytest.mark.parametrize("seed", range(40, 52))
def test_time_stepped_is_what_the_engine_runs(seed: int) -> None:
    net, raster = random_program(seed)
    names = [p.name for p in net.populations]
    neurons = [n for n in names if n.startswith("p") and n != "pulse"]
    stimulus = Stimulus(raster, None, raster.shape[1])
    wanted = engine.run(net, stimulus, record_spikes=names, record_v=neurons)
    found = run(net, stimulus, order="time-stepped", record_spikes=names, record_v=neurons, threads=1)
    for name in names:
        assert np.array_equal(found.trace.spikes[name], wanted.trace.spikes[name]), name
    for name in neurons:
        assert np.array_equal(found.trace.v[name], wanted.trace.v[name]), name
    assert found.counts.synaptic_operations == wanted.counts.synaptic_operations
    assert found.counts.v_saturations == wanted.counts.v_saturations


with np.load(GOLDEN) as _file:
    NETWORKS = dict(_file)


def of_sinabs(seed: int) -> tuple[Program, np.ndarray]:
    raster = NETWORKS[f"{seed}/raster"]
    steps, *shape = raster.shape
    populations, projections = [population("in", tuple(shape), "input")], []
    source, here, pool = "in", tuple(shape), None
    for k, (stride, padding, pooled) in enumerate(NETWORKS[f"{seed}/geometry"].tolist()):
        codes, (high, low) = NETWORKS[f"{seed}/{k}/weight"], NETWORKS[f"{seed}/{k}/scalars"].tolist()
        out = NETWORKS[f"{seed}/{k}/spikes"].shape[1:]
        bias = np.repeat(NETWORKS[f"{seed}/{k}/bias"], int(np.prod(out[1:])))
        populations.append(
            population(f"p{k}", out, v_threshold=high, v_min=low, v_max=(1 << 15) - 1, max_spikes=1 << 15, bias=bias)
        )
        projections.append(Projection(f"{k}", source, f"p{k}", Conv(codes, here, (stride,) * 2, (padding,) * 4), pool, 0))
        pool = SumPool(out, (2, 2), (2, 2), (0, 0, 0, 0)) if pooled == 2 else None
        source, here = f"p{k}", out if pool is None else (out[0], out[1] // 2, out[2] // 2)
    return program(populations, projections), raster.reshape(1, steps, -1).astype(np.int64)


@pytest.mark.parametrize("seed", range(8))
def test_time_stepped_is_sinabs_spike_for_spike(seed: int) -> None:
    net, raster = of_sinabs(seed)
    names = [p.name for p in net.populations][1:]
    found = run(net, Stimulus(raster, None, raster.shape[1]), order="time-stepped", record_spikes=names, threads=1)
    assert sum(found.counts.spikes[name] for name in names) > 0
    for k, name in enumerate(names):
        wanted = NETWORKS[f"{seed}/{k}/spikes"]
        assert np.array_equal(found.trace.spikes[name][0], wanted.reshape(len(wanted), -1)), name


@pytest.mark.parametrize("seed", range(8))
def test_a_chain_is_the_same_depth_first_and_breadth_first(seed: int) -> None:
    """Each layer sees the spikes of the one before in the order in which they were sent, in either order of work."""
    net, raster = of_sinabs(seed)
    names = [p.name for p in net.populations]
    deep, broad, summed = (
        run(net, Stimulus(raster, None, raster.shape[1]), order=o, record_spikes=names, threads=1).trace.spikes for o in ORDERS
    )
    assert all(np.array_equal(deep[name], broad[name]) for name in names)
    differ = sum(int((deep[name] != summed[name]).sum()) for name in names)
    assert (differ > 0) == (seed != 7), "network 7 is too quiet for a difference"


def test_where_branches_meet_the_orders_differ() -> None:
    """b gets a's spike (-9) through c first or after the +5 of the input itself."""
    net = program(
        [population("in", (1,), "input"), population("c", (1,), v_threshold=1), population("b", (1,), v_threshold=4)],
        [
            Projection("in>c", "in", "c", Dense(np.array([[1]])), None, 0),
            Projection("in>b", "in", "b", Dense(np.array([[5]])), None, 0),
            Projection("c>b", "c", "b", Dense(np.array([[-9]])), None, 0),
        ],
    )
    stimulus = Stimulus(np.ones((1, 1, 1), np.int64), None, 1)
    counts = {order: int(run(net, stimulus, order=order, threads=1).spike_counts["b"][0, 0]) for order in ORDERS}
    assert counts == {"depth-first": 0, "breadth-first": 1, "time-stepped": 0}


@pytest.mark.parametrize(
    ("events", "spikes", "v"), [([25], 1, 15), ([25, 0], 2, 5), ([10, -10], 1, -10), ([-10, 10], 0, 0), ([-30, 12, -2], 0, -20)]
)
def test_one_spike_an_event(events: list[int], spikes: int, v: int) -> None:
    net = program(
        [population("in", (len(events),), "input"), population("a", (1,), v_threshold=10)],
        [Projection("w", "in", "a", Dense(np.array([events])), None, 0)],
    )
    found = run(net, Stimulus(np.ones((1, 1, len(events)), np.int64), None, 1), threads=1)
    assert (int(found.spike_counts["a"][0, 0]), int(found.final_v["a"][0, 0])) == (spikes, v)


def test_threads_and_chunks_change_nothing() -> None:
    net, raster = random_program(7)
    stimulus = Stimulus(np.tile(raster, (5, 1, 1)), None, raster.shape[1])
    one, many = (run(net, stimulus, threads=t, chunk=c, record_spikes=("p0",)) for t, c in ((1, 10), (4, 3)))
    assert np.array_equal(one.trace.spikes["p0"], many.trace.spikes["p0"])
    assert one.counts.synaptic_operations == many.counts.synaptic_operations
    assert all(np.array_equal(one.worst[k], many.worst[k]) for k in one.worst)


def test_windows_of_operations() -> None:
    """Two synapses an event; 1, 3, 0, 2 events a step: the worst two steps in a row hold 8 operations and end in step 1."""
    net = program(
        [population("in", (3,), "input"), population("a", (2,), v_threshold=100)],
        [Projection("w", "in", "a", Dense(np.ones((2, 3), np.int64)), None, 0)],
    )
    raster = np.array([[[1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1]]])
    found = run(net, Stimulus(raster, None, 4), window=2, threads=1)
    assert (found.operations["a"].tolist(), found.worst["a"].tolist(), found.worst_at["a"].tolist()) == ([12], [8], [1])


def small(**changes: object) -> Program:
    neuron = {"family": "if", "v_threshold": 1, **changes}
    delay = int(neuron.pop("delay", 0))  # type: ignore[call-overload]
    return program(
        [population("in", (1,), "input"), population("a", (1,), **neuron)],  # type: ignore[arg-type]
        [Projection("w", "in", "a", Dense(np.array([[1]])), None, delay)],
    )


@pytest.mark.parametrize(
    ("net", "error", "match"),
    [
        (small(delay=1), InvalidInput, "its spikes take 1 steps"),
        (small(load_step=2, v_load=1), InvalidInput, "no meaning event by event"),
        (small(family="lif"), InvalidInput, "no meaning event by event"),
        (small(v_threshold=0), InvalidGraph, "at least 1 is needed"),
    ],
)
def test_what_has_steps_is_refused(net: Program, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        run(net, Stimulus(np.ones((1, 1, 1), np.int64), None, 1))


def test_loops_are_refused() -> None:
    net = small()
    loop = Projection("back", "a", "a", Dense(np.array([[1]])), None, 0)
    looped = Program(net.target, net.chip, net.populations, (*net.projections, loop), (), ("in",), ("a",), 0, {})
    with pytest.raises(InvalidInput, match="in a loop"):
        run(looped, Stimulus(np.ones((1, 1, 1), np.int64), None, 1))


def test_messages_are_refused() -> None:
    net = program(
        [population("in", (1,), "input", graded=1), population("a", (1,), v_threshold=1)],
        [Projection("w", "in", "a", Dense(np.array([[1]])), None, 0)],
    )
    with pytest.raises(InvalidInput, match="it sends numbers"):
        run(net, Stimulus(np.ones((1, 1, 1), np.int64), None, 1))


def test_different_bounds_on_spikes_are_refused() -> None:
    net = program(
        [population("in", (1,), "input"), population("a", (2,), v_threshold=1, max_spikes=[1, 2])],
        [Projection("w", "in", "a", Dense(np.array([[1], [1]])), None, 0)],
    )
    with pytest.raises(InvalidGraph, match="max_spikes differs"):
        run(net, Stimulus(np.ones((1, 1, 1), np.int64), None, 1))


@pytest.mark.parametrize(
    ("raster", "options", "error", "match"),
    [
        (np.ones((1, 1, 2), np.int64), {}, InvalidInput, "it has 2 neurons"),
        (np.ones((1, 1, 1)), {}, InvalidInput, "integers are needed"),
        (-np.ones((1, 1, 1), np.int64), {}, InvalidInput, "is needed"),
        (np.ones((1, 1, 1), np.int64), {"order": "random"}, UnknownName, "random"),
        (np.ones((1, 1, 1), np.int64), {"window": 0}, InvalidInput, "Give 1 or more"),
        (np.ones((1, 1, 1), np.int64), {"record_spikes": ["b"]}, UnknownName, "b"),
        (np.ones((1, 1, 1), np.int64), {"record_v": ["in"]}, InvalidInput, "has no v"),
    ],
)
def test_refusals(raster: np.ndarray, options: dict, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        run(small(), Stimulus(raster, None, 1), **options)


def test_a_stimulus_longer_than_the_run_is_refused() -> None:
    net = small()
    short = Program(net.target, net.chip, net.populations, net.projections, (), ("in",), ("a",), 1, {})
    with pytest.raises(InvalidInput, match="the program runs 1"):
        run(short, Stimulus(np.ones((1, 2, 1), np.int64), None, 2))


def test_no_samples() -> None:
    found = run(small(), Stimulus(np.zeros((0, 3, 1), np.int64), None, 3))
    assert found.spike_counts["a"].shape == (0, 1)
    assert found.counts.spikes["a"] == 0
