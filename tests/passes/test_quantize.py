"""quantize-activations and quantize-weights."""

from __future__ import annotations

import numpy as np
import pytest
from networks import conv, convnet, dense, mlp

from snnport.errors import InvalidInput, PassFailed
from snnport.flow.convert import ConvertOptions
from snnport.graph import chain, names_of, shapes, the_input
from snnport.nodes import WEIGHTED_NODES, QuantReLU, ReLU, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.fold_batchnorm import FoldBatchNorm
from snnport.passes.hoist_relu import HoistReLU
from snnport.passes.merge_linear import MergeLinear
from snnport.passes.quantize_activations import QuantizeActivations
from snnport.passes.quantize_weights import QuantizeWeights
from snnport.passes.separate_paths import SeparatePaths
from snnport.passes.steps import best_step, step_by
from snnport.passes.sum_pool import SumPool

FOLD = (HoistReLU(), FoldBatchNorm(), SeparatePaths(), MergeLinear(), SumPool())


def test_the_best_step_of_exact_multiples_is_their_unit() -> None:
    values = np.repeat(np.arange(9.0), 5) * 0.25
    assert best_step(values, values, 8) == pytest.approx(0.25, rel=1e-9)


def test_the_best_step_beats_its_neighbours() -> None:
    values = np.abs(np.random.default_rng(0).normal(size=4000))
    step = best_step(values, values, 8)

    def error(s: float) -> float:
        return float(np.square(values - s * np.clip(np.floor(values / s + 0.5), 0, 8)).sum())

    assert error(step) <= min(error(step * 1.03), error(step / 1.03), error(values.max() / 8))


def test_the_best_step_respects_a_clipped_rectifier_and_dead_layers() -> None:
    values = np.linspace(0, 1, 100)
    assert best_step(values, values, 4, maximum=0.5) * 4 <= 0.5
    assert best_step(np.zeros(3), np.zeros(3), 4) == 0.25


def test_a_fully_quantised_network_has_even_thresholds_and_codes_in_range() -> None:
    rng = np.random.default_rng(2)
    graph = convnet(rng)
    ctx = Context(rng.uniform(0, 1, (32, *shapes(graph)[the_input(graph)])))
    quantised = run_passes(graph, [*FOLD, QuantizeActivations(8, 8), QuantizeWeights(6)], ctx)
    for name in names_of(quantised, QuantReLU):
        node = quantised.nodes[name]
        assert node.metadata["theta"] % 2 == 0
        assert node.step == pytest.approx(node.metadata["theta"] * node.metadata["scale"], rel=1e-12)
    for name in names_of(quantised, *WEIGHTED_NODES):
        node = quantised.nodes[name]
        codes = node.weight / node.metadata["scale"]
        np.testing.assert_allclose(codes, np.rint(codes), atol=1e-9)
        assert np.abs(codes).max() <= 31 + 1e-9


def test_thresholds_use_the_bits_they_have() -> None:
    nodes = {"input": input_node((2,)), "a": dense(np.random.default_rng(0), 2, 3), "r": ReLU(), "output": output_node()}
    ctx = Context(np.random.default_rng(1).uniform(0, 1, (16, 2)))
    quantised = run_passes(chain(nodes), [SeparatePaths(), QuantizeActivations(4, 4, "off"), QuantizeWeights(8)], ctx)
    codes = quantised.nodes["a"].weight / quantised.nodes["a"].metadata["scale"]
    assert 120 <= np.abs(codes).max() <= 127


def test_correction_auto_takes_the_better_of_the_two() -> None:
    rng = np.random.default_rng(4)
    graph = mlp(rng)
    x = rng.uniform(0, 1, (64, 12))
    found = {}
    for correction in ("off", "on", "auto"):
        ctx = Context(x)
        run_passes(graph, [*FOLD, QuantizeActivations(4, 4, correction)], ctx)
        facts = next(f for spelling, f in ctx.findings.items() if spelling.startswith("quantize-activations"))
        found[correction] = (facts["agreement"], -facts["squared_error"])
    assert found["auto"] == max(found["off"], found["on"])


def test_impossible_requests_are_refused() -> None:
    graph = mlp(np.random.default_rng(0))
    with pytest.raises(PassFailed, match="needs calibration samples and there are 0"):
        run_passes(graph, [*FOLD, QuantizeActivations()], Context())
    with pytest.raises(PassFailed, match="there is no correction 'maybe'"):
        run_passes(graph, [QuantizeActivations(correction="maybe")], Context(np.ones((2, 12))))
    with pytest.raises(PassFailed, match="levels must be at least 1"):
        run_passes(graph, [QuantizeActivations(levels=0)], Context(np.ones((2, 12))))
    with pytest.raises(PassFailed, match="activations are not counts yet"):
        run_passes(graph, [QuantizeWeights()], Context(np.ones((2, 12))))
    with pytest.raises(PassFailed, match=r"17 bits are outside 2\.\.16"):
        run_passes(graph, [QuantizeWeights(17)], Context(np.ones((2, 12))))


def test_a_threshold_that_two_bits_cannot_hold_grows_and_is_told() -> None:
    rng = np.random.default_rng(0)
    ctx = Context(rng.uniform(0, 1, (16, 12)))
    graph = run_passes(mlp(rng), [*FOLD, QuantizeActivations(64, 64), QuantizeWeights(2)], ctx)
    grown = ctx.findings["quantize-weights{bits=2}"]["widened_steps"]
    assert grown
    assert all(factor > 1 for factor in grown.values())
    assert all(graph.nodes[name].metadata["theta"] == 2 for name in grown)
    assert set(grown) <= set(ctx.findings["quantize-weights{bits=2}"]["coarse_thetas"])


def test_percentiles_and_the_greatest_value_are_rules_of_the_literature() -> None:
    values = np.linspace(-1, 1, 2001)
    assert step_by("max", values, values, 4) == pytest.approx(0.25)
    assert step_by("50", values, values, 4) == pytest.approx(0.125, rel=1e-2)
    assert step_by("100", values, values, 4, maximum=0.5) == pytest.approx(0.125)
    assert step_by("99.9", np.zeros(4), np.zeros(4), 4) == 0.25
    assert step_by("mse", values, values, 4) == best_step(values, values, 4)


@pytest.mark.parametrize("rule", ["least", "0", "101", "nan"])
def test_an_unknown_rule_of_thresholds_is_refused(rule: str) -> None:
    with pytest.raises(InvalidInput, match=f"there is no rule '{rule}'"):
        QuantizeActivations(thresholds=rule).requires(mlp(np.random.default_rng(0)))
    with pytest.raises(InvalidInput, match="Known: mse, max, or a percentile"):
        ConvertOptions(thresholds=rule)


def test_thresholds_follow_the_rule_that_was_asked_for() -> None:
    rng = np.random.default_rng(2)
    graph = mlp(rng)
    x = rng.uniform(0, 1, (64, 12))
    steps = {}
    for rule in ("mse", "max", "90"):
        result = run_passes(graph, [*FOLD, QuantizeActivations(4, 4, "off", thresholds=rule)], Context(x))
        steps[rule] = result.nodes["r"].step  # type: ignore[attr-defined]
    assert steps["90"] < steps["mse"] < steps["max"]


def test_a_bias_for_every_position_is_corrected_channel_by_channel() -> None:
    rng = np.random.default_rng(3)
    layer = conv(rng, (1, 4, 4), 2)
    layer.bias = rng.normal(0, 0.3, (2, 4, 4))
    graph = chain({"input": input_node((1, 4, 4)), "c": layer, "r": ReLU(), "output": output_node()})
    result = run_passes(graph, [QuantizeActivations(2, 2, "on")], Context(rng.uniform(0, 1, (32, 1, 4, 4))))
    moved = result.nodes["c"].bias - layer.bias  # type: ignore[attr-defined]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1, :1], moved.shape))
    assert np.abs(moved).max() > 0
