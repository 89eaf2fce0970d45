"""Thresholds that are powers of two, counts that are bounded by proof, and what the graded code refuses."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from exact_runs import logit_mismatches
from networks import NETWORKS, dense
from random_networks import random_network

from snnport.encoders import encoder_of
from snnport.errors import PassFailed
from snnport.flow.convert import ConvertOptions, convert_graph
from snnport.graph import Graph, chain, names_of, shapes, the_input, with_nodes
from snnport.importers.base import Imported
from snnport.nodes import QuantReLU, ReLU, input_node, output_node
from snnport.passes.align_steps import AlignSteps
from snnport.passes.base import Context, run_passes
from snnport.passes.bound_counts import BoundCounts
from snnport.passes.fit_sums import FitSums
from snnport.passes.quantize_activations import QuantizeActivations
from snnport.passes.quantize_weights import QuantizeWeights
from snnport.passes.spike import Spike
from snnport.reference import values_at


def messages(graph: Graph, x: np.ndarray, levels: int = 32, bits: int = 8, sum_bits: int = 23) -> tuple[Graph, Context]:
    ctx = Context(x)
    counts = QuantizeActivations(levels, levels, "off", "message")
    return run_passes(graph, (counts, AlignSteps(bits), QuantizeWeights(bits), BoundCounts(sum_bits)), ctx), ctx


def layers(rng: np.random.Generator, *widths: int, top: float = float("inf")) -> Graph:
    nodes = {"input": input_node((widths[0],))}
    for i, (a, b) in enumerate(pairwise(widths)):
        nodes |= {f"d{i}": dense(rng, a, b), f"r{i}": ReLU(top)}
    del nodes[f"r{len(widths) - 2}"]
    return chain({**nodes, "output": output_node()})


def facts(ctx: Context, name: str) -> dict[str, object]:
    return next(found for spelled, found in ctx.findings.items() if spelled.startswith(name))


def test_thresholds_are_powers_of_two_and_weights_keep_their_bits() -> None:
    rng = np.random.default_rng(1)
    graph, _ = messages(layers(rng, 9, 12, 7, 4), rng.uniform(0, 1, (60, 9)))
    for name in names_of(graph, QuantReLU):
        theta = int(graph.nodes[name].metadata["theta"])
        assert theta & (theta - 1) == 0
    for name in ("d0", "d1", "d2"):
        node = graph.nodes[name]
        assert np.abs(np.rint(node.weight / node.metadata["scale"])).max() == 127


def test_steps_shrink_by_less_than_two() -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 1, (60, 9))
    before = run_passes(layers(rng, 9, 12, 4), (QuantizeActivations(32, 32, "off", "message"),), Context(x))
    after = run_passes(before, (AlignSteps(8),), Context(x))
    ratio = after.nodes["r0"].step / before.nodes["r0"].step
    assert 0.5 < ratio <= 1
    assert after.nodes["r0"].levels == np.floor(32 / ratio + 0.5)


def test_a_coarse_layer_divides_by_one() -> None:
    rng = np.random.default_rng(2)
    graph, ctx = messages(layers(rng, 9, 12, 4), rng.uniform(0, 1, (60, 9)), levels=255, bits=2)
    assert facts(ctx, "align-steps")["shifts"] == {"r0": 0}
    assert graph.nodes["r0"].metadata["theta"] == 1


@pytest.mark.parametrize("signed", [False, True])
def test_no_count_ever_leaves_its_bound(signed: bool) -> None:
    rng = np.random.default_rng(3)
    shape = (6,)
    graph, _ = messages(layers(rng, 6, 10, 8, 3), rng.uniform(-1 if signed else 0, 1, (60, *shape)))
    encoder = encoder_of(graph.metadata)
    assert encoder.signed is signed
    worst = np.array([encoder.levels, -encoder.levels if signed else 0])
    counts = rng.choice(worst, (2000, *shape))
    rectifiers = names_of(graph, QuantReLU)
    loose = {name: QuantReLU(1.0, 1 << 40, 1.0, metadata=graph.nodes[name].metadata) for name in rectifiers}
    found = values_at(with_nodes(graph, loose), counts, rectifiers, integers=True)
    for name in rectifiers:
        assert found[name].max() <= graph.nodes[name].levels


def test_a_bound_of_one_layer_is_reached() -> None:
    rng = np.random.default_rng(4)
    graph, _ = messages(layers(rng, 6, 10, 3), rng.uniform(0, 1, (60, 6)))
    codes = np.rint(graph.nodes["d0"].weight / graph.nodes["d0"].metadata["scale"])
    best = (codes > 0).astype(int) * 32
    found = values_at(graph, best, ["r0"], integers=True)["r0"]
    assert found.max() == graph.nodes["r0"].levels


def test_a_clip_stays_only_where_sums_would_grow_too_large() -> None:
    rng = np.random.default_rng(5)
    graph, x = layers(rng, 6, 30, 30, 30, 3), rng.uniform(0, 1, (60, 6))
    free, ctx = messages(graph, x)
    assert facts(ctx, "bound-counts")["clipped"] == []
    tight, ctx = messages(graph, x, sum_bits=17)
    assert facts(ctx, "bound-counts")["clipped"] == ["r2"]
    assert tight.nodes["r2"].levels < free.nodes["r2"].levels
    assert tight.nodes["r0"].levels == free.nodes["r0"].levels


def test_a_sum_that_no_clip_can_tame_is_refused_with_its_numbers() -> None:
    rng = np.random.default_rng(5)
    with pytest.raises(PassFailed, match=r"bound-counts.*: r0: its sum may reach \d+ \(2\^[\d.]+\), 10 bits hold up to 511"):
        messages(layers(rng, 40, 30, 3), rng.uniform(0, 1, (60, 40)), sum_bits=10)


def test_a_rectifier_with_a_maximum_keeps_its_clip() -> None:
    rng = np.random.default_rng(6)
    graph, ctx = messages(layers(rng, 6, 30, 3, top=0.2), rng.uniform(0, 1, (60, 6)))
    node = graph.nodes["r0"]
    assert facts(ctx, "bound-counts")["clipped"] == ["r0"]
    assert (
        abs(node.levels * node.metadata["theta"] * node.metadata["scale"] - 0.2)
        <= node.metadata["theta"] * node.metadata["scale"]
    )


def test_thresholds_that_are_no_powers_of_two_are_refused() -> None:
    rng = np.random.default_rng(7)
    passes = (QuantizeActivations(32, 32, "off", "message"), QuantizeWeights(8), Spike("graded"))
    with pytest.raises(PassFailed, match=r"r0: its threshold \d+ is no power of two.*align-steps"):
        run_passes(layers(rng, 9, 12, 4), passes, Context(rng.uniform(0, 1, (60, 9))))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_layer_takes_one_step_and_branches_meet(name: str) -> None:
    rng = np.random.default_rng(8)
    graph = NETWORKS[name](rng)
    x = rng.uniform(0, 1, (20, *shapes(graph)[the_input(graph)]))
    conversion = convert_graph(Imported(graph, "onnx", ()), x, "test", ConvertOptions(code="graded"))
    coding = json.loads(conversion.graph.metadata["snnport"])["coding"]
    steps = {"mlp": 4, "convnet": 8, "residual": 7, "uneven": 7, "spiking_output": 3}
    assert coding["n_steps"] == steps[name]
    assert coding["encoder"]["kind"] == "message"
    assert all(w["arrival"] <= w["open"] for w in coding["windows"].values())


def test_more_levels_come_close_to_the_float_network() -> None:
    rng = np.random.default_rng(9)
    graph = random_network(rng, 6)
    x = rng.uniform(-1, 1, (64, *shapes(graph)[the_input(graph)]))
    errors = []
    for levels in (15, 255):
        conversion = convert_graph(Imported(graph, "onnx", ()), x, "test", ConvertOptions("graded", levels))
        agreement = next(f for s, f in conversion.findings.items() if s.startswith("quantize-activations"))
        errors.append(agreement["squared_error"])
    assert errors[1] < errors[0] / 100


def test_what_feeds_a_sum_too_large_counts_more_coarsely_and_nothing_else() -> None:
    rng = np.random.default_rng(5)
    graph, x = layers(rng, 6, 30, 30, 200, 3), rng.uniform(0, 1, (60, 6))
    ctx = Context(x)
    counts = QuantizeActivations(255, 255, "off", "message")
    fitted = run_passes(graph, (counts, AlignSteps(8), FitSums(8, 21)), ctx)
    fewer = facts(ctx, "fit-sums")["levels"]
    assert isinstance(fewer, dict)
    assert set(fewer) == {"r2"}
    before = run_passes(graph, (counts, AlignSteps(8)), Context(x))
    assert fewer["r2"] * fitted.nodes["r2"].step == pytest.approx(before.nodes["r2"].levels * before.nodes["r2"].step, rel=0.02)
    for name in ("r0", "r1"):
        assert fitted.nodes[name].levels == before.nodes[name].levels >= 255
    run_passes(fitted, (QuantizeWeights(8), BoundCounts(21)), Context(x))


def test_an_input_that_feeds_a_sum_too_large_counts_more_coarsely() -> None:
    rng = np.random.default_rng(5)
    graph, x = layers(rng, 1500, 8, 3), rng.uniform(0, 1, (60, 1500))
    conversion = convert_graph(Imported(graph, "onnx", ()), x, "test", ConvertOptions("graded"))
    fewer = next(found["levels"] for spelled, found in conversion.findings.items() if spelled.startswith("fit-sums"))
    assert fewer == {"input": 127}
    with pytest.raises(PassFailed, match=r"r0: its sum may reach .* or leave --levels out"):
        convert_graph(Imported(graph, "onnx", ()), x, "test", ConvertOptions("graded", levels=255))
    assert logit_mismatches(conversion.graph, x[:8]) == 0


def test_a_sum_that_one_level_does_not_tame_is_left_to_be_refused() -> None:
    rng = np.random.default_rng(5)
    graph, x = layers(rng, 40, 30, 3), rng.uniform(0, 1, (60, 40))
    passes = (QuantizeActivations(8, 8, "off", "message"), AlignSteps(8), FitSums(8, 8), QuantizeWeights(8), BoundCounts(8))
    with pytest.raises(PassFailed, match="its sum may reach"):
        run_passes(graph, passes, Context(x))
