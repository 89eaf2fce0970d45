"""The running maximum predicts the counts of the asynchronous engine, layer by layer, wherever its assumptions hold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnport.chip import load_chip
from snnport.encoders import Stimulus
from snnport.errors import InvalidInput
from snnport.program import Dense, Neuron, Population, Program, Projection
from snnport.reference.running_maximum import EventLayer, counts_of, in_order, predict, reflected, running_maximum
from snnport.registry import TARGETS
from snnport.sim.asynchronous import run

CHIP = load_chip(TARGETS.load("speck2f").chip_file)


def drawn(seed: int, *, bounded: bool, large: bool) -> tuple[list[EventLayer], np.ndarray]:
    rng = np.random.default_rng(seed)
    widths = rng.integers(3, 12, 4)
    layers = []
    for sources, n in pairwise(widths):
        theta = int(rng.integers(20, 60))
        top = 2 * theta if large else theta
        weight = rng.integers(-30, top + 1, (n, sources))
        layers.append(EventLayer(weight, theta, rng.integers(-10, theta, n), -int(rng.integers(0, 40)) if bounded else None))
    return layers, rng.integers(0, widths[0], 60)


def engine_counts(layers: list[EventLayer], events: np.ndarray) -> dict[str, np.ndarray]:
    populations = [Population("in", (layers[0].weight.shape[1],), Neuron("input", {}))]
    projections = []
    for k, layer in enumerate(layers):
        low = {} if layer.v_min is None else {"v_min": np.asarray(layer.v_min)}
        params = {"v_threshold": np.asarray(layer.theta), "v_init": np.asarray(layer.v_init), "max_spikes": np.asarray(1 << 15)}
        populations.append(Population(f"p{k}", (len(layer.weight),), Neuron("if", {**params, **low})))
        projections.append(Projection(f"w{k}", populations[-2].name, f"p{k}", Dense(layer.weight), None, 0))
    program = Program("speck2f", CHIP, tuple(populations), tuple(projections), (), ("in",), (f"p{len(layers) - 1}",), 0, {})
    raster = np.zeros((1, len(events), layers[0].weight.shape[1]), np.int64)
    raster[0, np.arange(len(events)), events] = 1
    found = run(program, Stimulus(raster, None, len(events)), all_counts=True, threads=1)
    return {name: counts[0] for name, counts in found.spike_counts.items() if name != "in"}


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_counts_of_every_layer_are_those_of_the_engine(seed: int, bounded: bool, large: bool) -> None:
    layers, events = drawn(seed, bounded=bounded, large=large)
    wanted = engine_counts(layers, events)
    for k, counts in enumerate(predict(layers, events)):
        assert np.array_equal(counts, wanted[f"p{k}"])
    assert all(layer.closed for layer in layers) or bounded or large


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-20, 10), min_size=1, max_size=40), st.integers(10, 25), st.integers(-5, 9))
def test_closed_form_is_the_recursion(charges: list[int], theta: int, start: int) -> None:
    walk = np.array(charges)[:, None]
    assert np.array_equal(running_maximum(walk, theta, start), reflected(walk, theta, start, None))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-20, 10), min_size=1, max_size=40), st.integers(-20, 0))
def test_errors_are_one_sided_and_a_bound_makes_them_larger(charges: list[int], low: int) -> None:
    walk, theta = np.array(charges)[:, None], 10
    quantised = max(0, (5 + sum(charges)) // theta)
    free, clipped = running_maximum(walk, theta, 5)[-1, 0], reflected(walk, theta, 5, low)[-1, 0]
    assert quantised <= free <= clipped


def test_a_charge_above_the_threshold_leaves_the_closed_form() -> None:
    layer = EventLayer(np.array([[25]]), 10)
    assert not layer.closed
    assert counts_of(layer, np.array([0, 0])).tolist() == [[1], [2]]
    assert running_maximum(np.array([[25], [25]]), 10).tolist() == [[2], [5]]


def test_spikes_leave_in_the_order_of_events_and_places() -> None:
    counts = np.array([[0, 1, 0], [1, 1, 1], [1, 2, 1]])
    assert in_order(counts).tolist() == [1, 0, 2, 1]
    assert in_order(counts, np.array([2, 1, 0])).tolist() == [1, 2, 0, 1]


def test_no_events() -> None:
    assert predict([EventLayer(np.ones((2, 3), np.int64), 2)], np.zeros(0, np.int64))[0].tolist() == [0, 0]


def test_events_of_neurons_that_are_not_there_are_refused() -> None:
    with pytest.raises(InvalidInput, match="there are 3"):
        counts_of(EventLayer(np.ones((2, 3), np.int64), 2), np.array([3]))
