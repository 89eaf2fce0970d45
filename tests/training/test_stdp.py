"""STDP of one layer: the rule by hand on a few steps, its invariants, and the recipe that leaves as a graph."""

from __future__ import annotations

import json

import numpy as np
import pytest

from snnport.convention import convention_of
from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput
from snnport.models.diehl_cook import RECIPE, layer_graph, spikes
from snnport.reference import run_spiking
from snnport.training.stdp import Layer, Rule, assigned, classes_of, learn, on_grid, respond, settled, untrained
from snnport.training.unsupervised import learned

RULE = Rule(threshold=1.0, tau=10.0, inhibition=3.0, norm=2.0, theta_plus=0.1)


def one_by_one(weights: np.ndarray, theta: np.ndarray, raster: np.ndarray, rule: Rule) -> np.ndarray:
    """The rule as it is written, in numpy: spike counts; weights and theta change in place."""
    n = weights.shape[1]
    keep, keep_trace = np.exp(-1 / rule.tau), np.exp(-1 / rule.tau_trace)
    v, x, y, fired = np.zeros(n), np.zeros(len(weights)), np.zeros(n), np.zeros(n)
    counts = np.zeros(n, int)
    for row in raster:
        v = keep * v - rule.inhibition * (fired.sum() - fired)
        x, y = keep_trace * x, keep_trace * y
        for i in np.flatnonzero(row):
            v += weights[i]
            x[i] = 1
            weights[i] = np.maximum(weights[i] - rule.eta_pre * y, 0)
        fired = (v > rule.threshold + theta).astype(float)
        v[fired > 0] = 0
        counts += fired.astype(int)
        for k in np.flatnonzero(fired):
            theta[k] += rule.theta_plus
            y[k] = 1
            change = rule.eta_post * (x - rule.x_target) * (rule.w_max - weights[:, k])
            weights[:, k] = np.clip(weights[:, k] + change, 0, rule.w_max)
    return counts


def test_the_rule_step_by_step() -> None:
    layer = untrained(12, 5, RULE, 0)
    raster = (np.random.default_rng(1).random((1, 40, 12)) < 0.3).astype(np.uint8)
    weights, theta = layer.weights.astype(np.float64), layer.theta.astype(np.float64)
    expected = one_by_one(weights, theta, raster[0], RULE)
    grown, counts = learn(layer, raster, RULE)
    assert expected.sum() > 5
    assert np.array_equal(counts[0], expected)
    assert np.allclose(grown.theta, theta, atol=1e-5)
    assert np.allclose(grown.weights, weights * (RULE.norm / weights.sum(axis=0)), atol=1e-5)


def test_weights_on_a_grid_and_thresholds_that_settle_under_them() -> None:
    layer = Layer(np.array([[0.1, 0.9], [0.5, 0.3], [0.4, 1.3]], np.float32), np.array([2.0, 0.5], np.float32))
    coarse = on_grid(layer, RULE, 0.8, 0.5)
    assert np.array_equal(coarse.weights, np.array([[0, 0.8], [0.8, 0], [0.8, 1.6]], np.float32))
    assert np.allclose(coarse.theta, 0.9 * (1 + layer.theta * [1.6, 2.4 / 2.5]) - 1)
    raster = (np.random.default_rng(5).random((6, 30, 3)) < 0.5).astype(np.uint8)
    fired = respond(coarse, raster, RULE).sum(axis=0)
    after = settled(coarse, raster, RULE)
    assert np.array_equal(after.weights, coarse.weights)
    assert fired.any()
    assert (after.theta[fired > 0] > coarse.theta[fired > 0]).all()
    assert respond(after, raster, RULE).sum() < fired.sum()
    with pytest.raises(InvalidInput, match="not above 0"):
        on_grid(layer, RULE, 0.0, 0.5)


def test_weights_stay_positive_and_normalised_and_the_layer_given_stays_as_it_is() -> None:
    layer = untrained(30, 8, RULE, 2)
    before = layer.weights.copy()
    grown, _ = learn(layer, (np.random.default_rng(3).random((20, 30, 30)) < 0.2).astype(np.uint8), RULE)
    assert grown.weights.min() >= 0
    assert np.allclose(grown.weights.sum(axis=0), RULE.norm, rtol=1e-5)
    assert np.array_equal(layer.weights, before)
    assert grown.theta.min() >= 0
    assert grown.theta.max() > 0


def test_a_neuron_takes_on_what_it_sees() -> None:
    raster = np.zeros((30, 20, 10), np.uint8)
    raster[:, ::2, :5] = 1
    grown, _ = learn(untrained(10, 1, RULE, 0), raster, RULE)
    assert grown.weights[:5].min() > 5 * grown.weights[5:].max()


def test_neurons_get_names_and_vote() -> None:
    counts = np.array([[5, 0, 0, 1], [4, 1, 0, 0], [0, 6, 0, 2], [0, 5, 0, 3]])
    names = assigned(counts, np.array([0, 0, 1, 1]), 3)
    assert names.tolist() == [0, 1, -1, 1]
    assert classes_of(counts, names, 3).tolist() == [0, 0, 1, 1]


def test_spikes_of_a_part_are_those_of_the_whole() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 784), np.uint8)
    whole = spikes(images, 10, 0.5, seed=3)
    assert np.array_equal(whole[2:4], spikes(images[2:4], 10, 0.5, seed=3, first=2))
    assert np.isclose(whole.mean(), images.mean() / 255 * 0.5, rtol=0.05)


def test_the_graph_fires_as_the_layer() -> None:
    rng = np.random.default_rng(0)
    layer = Layer(rng.integers(0, 9, (784, 6)).astype(np.float32) / 8, rng.integers(0, 9, 6).astype(np.float32))
    rule, settings = Rule(tau=-1 / np.log(0.5), threshold=9.0, inhibition=4.0), {"tau": -1 / np.log(0.5), "threshold": 9.0}
    graph = layer_graph(layer.weights, layer.theta, np.array([0, 1, 2, 2, -1, 9]), {**settings, "inhibition": 4.0})
    raster = (rng.random((3, 12, 784)) < 0.05).astype(np.uint8)
    trace = run_spiking(graph, raster, convention_of(graph.metadata), record_v=("votes",))
    counts = respond(layer, raster, rule)
    assert counts.sum() > 20
    assert np.array_equal(trace.spikes["neurons"].sum(axis=1), counts)
    assert np.allclose(trace.v["votes"][:, -1, 2], counts[:, 2:4].mean(axis=1))
    assert json.loads(graph.metadata["classes"]) == [0, 1, 2, 2, -1, 9]


def test_a_killed_run_goes_on_to_the_same_layer(tmp_path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(1300) % 2
    x = (rng.random((1300, 784)) < np.where(y, 0.05, 0.2)[:, None]).astype(np.uint8) * 255
    recipe = RECIPE.having(hidden_size=4, steps=5, rate=0.5, named_on=50)
    whole, log = learned(recipe, Splits(x, y, x[:40], y[:40]), 0)
    learned(recipe, Splits(x[:1000], y[:1000], x[:1], y[:1]), 0, checkpoint=tmp_path)
    resumed, again = learned(recipe, Splits(x, y, x[:40], y[:40]), 0, checkpoint=tmp_path)
    assert np.array_equal(whole.nodes["excite"].weight, resumed.nodes["excite"].weight)
    assert log == again
    with pytest.raises(InvalidInput, match="it was begun with seed 0, not 1"):
        learned(recipe, Splits(x, y, x[:4], y[:4]), 1, checkpoint=tmp_path)
    with pytest.raises(InvalidInput, match="it holds no layer of 5 neurons"):
        learned(recipe.having(hidden_size=5), Splits(x, y, x[:4], y[:4]), 0, checkpoint=tmp_path)


def test_what_cannot_be_used() -> None:
    with pytest.raises(InvalidInput, match="norm: 0 is not above 0"):
        Rule(norm=0)
    with pytest.raises(InvalidInput, match="a layer of 0 neurons on 3 inputs"):
        untrained(3, 0, RULE, 0)
    with pytest.raises(InvalidInput, match=r"shape \(1, 2, 3\), \(n_samples, n_steps, 4\) is needed"):
        respond(untrained(4, 2, RULE, 0), np.zeros((1, 2, 3), np.uint8), RULE)
