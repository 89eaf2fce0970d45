"""Tiles: their layout, the sums of their rows, and runs in tiles and blocks against the oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numba import njit
from random_programs import chip_with
from test_engine import assert_equal_to_oracle, assert_same, outcome

from snnport.encoders import Stimulus
from snnport.program import Dense, Neuron, Population, Program, Projection, Slice
from snnport.sim import engine, schedule
from snnport.sim.neurons import FAMILIES, HOST_FAMILIES
from snnport.sim.plan import make_plan
from snnport.sim.tiles import LANES, MOST_ROWS, NARROW, add_lists, in_tiles, tile_count

pytestmark = pytest.mark.usefixtures("unexpected_overflow")
RNG = np.random.default_rng(6)
_njit: Any = njit


@_njit
def sums_of(out, codes, base, lanes, index, count, spans):
    add_lists(out, codes, base, lanes, index, count, spans)


@pytest.mark.parametrize("targets", [1, NARROW, NARROW + 1, LANES, LANES + NARROW, 2 * LANES + NARROW + 1])
def test_the_layout_holds_every_code_once(targets):
    rows = RNG.integers(-128, 128, (5, targets)).astype(np.int8)
    flat, start = in_tiles(rows), 0
    for tile in range(tile_count(targets)):
        here = rows[:, tile * LANES : (tile + 1) * LANES]
        lanes = LANES if here.shape[1] > NARROW else NARROW
        part = flat[start : start + 5 * lanes].reshape(5, lanes)
        np.testing.assert_array_equal(part[:, : here.shape[1]], here)
        assert not part[:, here.shape[1] :].any()
        start += 5 * lanes
    assert start == flat.size


@pytest.mark.parametrize("lanes", [LANES, NARROW])
@pytest.mark.parametrize(("codes_type", "state_type"), [("i1", "i4"), ("i2", "i4"), ("i4", "i4"), ("i4", "i8")])
@pytest.mark.parametrize("counted", [False, True])
def test_sums_of_rows_are_exact_however_many_there_are(lanes, codes_type, state_type, counted):
    """Three lists of spikes: none, as many as 16 bits hold, and more; all codes at the end of their range."""
    limits = np.iinfo(codes_type)
    sources, extreme = 2 * MOST_ROWS + 3, max(limits.min, -(1 << 20))
    codes = np.full((sources, lanes), extreme, codes_type)
    codes[:, ::2] = RNG.integers(max(limits.min, -1000), min(limits.max, 1000), (sources, -(-lanes // 2)))
    index = np.concatenate([np.arange(MOST_ROWS), np.arange(sources)]).astype(np.int32)
    count = np.ones(index.size, np.int32)
    if counted:
        count[::3] = RNG.integers(-4, 5, count[::3].shape)
    spans = np.array([[0, 0, 0], [0, MOST_ROWS, counted], [MOST_ROWS, sources, counted]], np.int64)
    out = np.ones(3 * LANES, state_type)
    sums_of(out, np.concatenate([codes.ravel()[:3], codes.ravel()]), 3, lanes, index, count, spans)
    for i, (first, n, _) in enumerate(spans):
        chosen = slice(first, first + n)
        expected = 1 + count[chosen].astype(np.int64) @ codes[index[chosen]].astype(np.int64)
        np.testing.assert_array_equal(out[i * LANES :][:lanes], expected)


def chain(sizes, steps, delays, neuron="if", low=-9, high=12, **params):
    """Dense layers, two cores each; the first projection is given twice, with 8 and with 16 bits."""
    params = params or {"v_threshold": np.array(60)}
    populations = [Population("p0", (sizes[0],), Neuron("input", {}))]
    projections, slices = [], []
    for i, (source, target, delay) in enumerate(zip(sizes, sizes[1:], delays, strict=False), start=1):
        populations.append(Population(f"p{i}", (target,), Neuron(neuron, params)))
        codes = RNG.integers(low, high, (target, source)).astype(np.int8)
        projections.append(Projection(f"w{i}", f"p{i - 1}", f"p{i}", Dense(codes), delay=delay))
        slices += [Slice(f"p{i}", 2 * i, 0, target // 2), Slice(f"p{i}", 2 * i + 1, target // 2, target)]
    again = Projection("again", "p0", "p1", Dense(RNG.integers(-300, 300, projections[0].synapse.codes.shape)), delay=2)
    chip = chip_with(cores=2 * len(sizes))
    last = f"p{len(sizes) - 1}"
    return Program("cpu", chip, tuple(populations), (*projections, again), tuple(slices), ("p0",), (last,), steps)


def raster(n, steps, size, rate, most=1):
    return (RNG.random((n, steps, size)) < rate) * RNG.integers(1, most + 1, (n, steps, size))


CASES = {
    "thinly": (0.05, 1),
    "half": (0.5, 1),
    "all": (1.0, 1),
    "many at once": (0.6, 4),
}


@pytest.mark.parametrize(("rate", "most"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("fast", [True, False])
def test_tiles_and_products_equal_the_oracle(rate, most, fast, monkeypatch):
    monkeypatch.setattr(engine, "FAST", fast)
    monkeypatch.setattr(schedule, "MOST_STEPS", 8)
    program = chain((22, 83, 64 + 7, 5), 19, (0, 1, 3))
    plan = make_plan(program, 19, most)
    assert set(plan.cell_records["tiles"]) == {0, 1, 2}
    assert 1 < plan.pace.steps < 19
    assert_equal_to_oracle(program, raster(2, 19, 22, rate, most))


IN_TILES = {
    "reset to a value": ("if", {"v_threshold": 50, "reset": 1, "v_reset": -7}),
    "many spikes": ("if", {"v_threshold": 20, "max_spikes": 5, "v_min": -90}),
    "loads": ("if", {"v_threshold": 50, "load_step": 5, "v_load": 45}),
    "threshold below 0": ("if", {"v_threshold": -3, "v_min": -900}),
    "bias": ("if", {"v_threshold": 60, "bias": 3}),
    "lif": ("lif", {"v_threshold": 60, "decay": 400}),
    "lif with bounds": ("lif", {"v_threshold": 60, "decay_shift": 3, "refractory": 2, "v_min": -50}),
    "alif": ("alif", {"v_threshold": 60, "decay": 400, "a_step": 9, "a_decay": 99}),
    "cuba": ("cuba", {"du": 900, "dv": 300, "vth": 70}),
    "cuba_reset": ("cuba_reset", {"du": 900, "dv": 300, "vth": 70, "reset_interval": 4}),
    "atrlif": ("atrlif", {"du": 900, "dv": 300, "dtheta": 200, "dr": 300, "theta_0": 70, "theta_step": 5}),
    "graded": ("graded", {"shift": 2}),
    "graded_relu": ("graded_relu", {"shift": 2}),
    "delta": ("delta", {"v_threshold": 9}),
    "sigma_delta": ("sigma_delta", {"v_threshold": 30, "rectify": 1}),
    "slope": ("slope", {"v_threshold": 90}),
    "integrator": ("integrator", {"bias": 1}),
}


def test_no_family_that_goes_in_tiles_is_forgotten():
    known = {name for name, family in FAMILIES.items() if not family.one_by_one} - HOST_FAMILIES
    assert known == {family for family, _ in IN_TILES.values()}


@pytest.mark.saturates
@pytest.mark.parametrize(("family", "params"), IN_TILES.values(), ids=IN_TILES.keys())
def test_every_family_goes_in_tiles(family, params):
    """82 neurons: two tiles, each with parameters of its own."""
    arrays = {name: np.array(value) for name, value in params.items()}
    program = chain((20, 64 + 18, 9), 13, (0, 1), family, low=-6, high=7, **arrays)
    some = "v_threshold" if "v_threshold" in params else next(iter(params))
    if family not in ("graded", "graded_relu"):
        varied = program.populations[1].neuron.params | {some: params[some] + np.arange(82) % 7}
        middle = replace(program.populations[1], neuron=Neuron(family, varied))
        program = replace(program, populations=(program.populations[0], middle, program.populations[2]))
    assert set(make_plan(program, 13, 1).cell_records["tiles"]) == {0, 1, 2}
    assert_equal_to_oracle(program, raster(2, 13, 20, 0.3))


@pytest.mark.parametrize("rate", [0.05, 0.9])
def test_threads_chunks_blocks_and_samples_side_by_side_change_nothing(rate, monkeypatch):
    program = chain((40, 130, 20), 30, (0, 1))
    x = raster(11, 30, 40, rate, 2)
    alone = outcome(program, x, threads=1, chunk=1)
    assert_same(alone, outcome(program, x, threads=2))
    for steps, samples in ((1, 1), (9, 3), (128, 8)):
        monkeypatch.setattr(schedule, "MOST_STEPS", steps)
        monkeypatch.setattr(schedule, "MOST_SAMPLES", samples)
        assert_same(alone, outcome(program, x, threads=2, chunk=4))


def test_a_loop_is_taken_step_by_step():
    program = chain((10, 40, 30), 12, (0, 0))
    back = Projection("back", "p2", "p1", Dense(RNG.integers(-9, 9, (40, 30)).astype(np.int8)), delay=1)
    looped = replace(program, projections=(*program.projections, back))
    plan = make_plan(looped, 12, 1)
    assert not plan.cell_records["tiles"].any()
    assert plan.groups.tolist() == [0, 1, 3]
    assert_equal_to_oracle(looped, raster(1, 12, 10, 0.4))
    again = replace(back, target="p2", synapse=Dense(np.eye(30, dtype=np.int8)))
    own = replace(program, projections=(*program.projections, again))
    assert make_plan(own, 12, 1).cell_records["tiles"].tolist() == [0, 1, 0]
    assert_equal_to_oracle(own, raster(1, 12, 10, 0.4))


def test_a_prepared_program_runs_again_and_again():
    program = chain((30, 70, 5), 15, (1, 0))
    prepared = engine.prepare(program)
    few, many = raster(3, 15, 30, 0.2), raster(9, 15, 30, 0.8, 3)
    for x in (few, many, few):
        expected = outcome(program, x)
        names = [p.name for p in program.populations]
        again = prepared.run(Stimulus(x, None, 15), record_spikes=names, record_v=["p1", "p2"])
        assert_same(expected, again)
    assert len(prepared._layouts) == 2


def test_a_network_too_large_for_blocks_goes_step_by_step(monkeypatch):
    monkeypatch.setattr(schedule, "MOST_EVENTS", 100)
    program = chain((20, 70, 9), 13, (0, 1))
    plan = make_plan(program, 13, 1)
    assert (plan.pace.steps, plan.pace.samples) == (1, 1)
    assert not plan.cell_records["tiles"].any()
    assert_equal_to_oracle(program, raster(1, 13, 20, 0.4))
