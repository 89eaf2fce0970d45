"""equalize-channels: what the network computes stays, channels get one range, and counts of so many levels tell more."""

from __future__ import annotations

import json
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import conv, convnet, dense, max_pool, residual, uneven
from random_networks import random_network

from snnport.errors import InvalidGraph, InvalidInput
from snnport.flow.convert import FOLDING, ConvertOptions, convert_graph
from snnport.graph import Graph, build, chain, names_of, shapes, successors, the_input
from snnport.importers.base import Imported
from snnport.nodes import MaxPool2d, ReLU, flatten_node, input_node, output_node
from snnport.passes.base import Context, fingerprint, run_passes
from snnport.passes.equalize_channels import FACTORS, EqualizeChannels, as_equalized
from snnport.passes.quantize_activations import QuantizeActivations
from snnport.passes.rescale import input_scaled, output_scaled
from snnport.passes.split_signed_input import SplitSignedInput
from snnport.reference import forward, node_function, values_at


def samples(graph: Graph, n: int = 256, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (n, *shapes(graph)[the_input(graph)]))


def equalized(graph: Graph, x: np.ndarray) -> tuple[Graph, Graph]:
    """The folded graph before and after the pass, which proves on `x` that outputs are equal."""
    folded = run_passes(graph, FOLDING, Context(x))
    return folded, run_passes(folded, [EqualizeChannels()], Context(x))


def rescaled_rectifiers(graph: Graph) -> set[str]:
    return set(json.loads(graph.metadata[FACTORS]))


def uneven_channels(rng: np.random.Generator, widths: np.ndarray) -> Graph:
    """Two convolutions; the channels of the first rectifier differ by the factors `widths`, those behind undo it."""
    first, second = conv(rng, (2, 8, 8), len(widths)), conv(rng, (len(widths), 8, 8), 4)
    first.weight, first.bias = first.weight * widths[:, None, None, None], np.abs(first.bias) * widths
    second.weight = second.weight / widths[None, :, None, None]
    nodes = {
        "input": input_node((2, 8, 8)),
        "c1": first,
        "r1": ReLU(),
        "c2": second,
        "r2": ReLU(),
        "flat": flatten_node((4, 8, 8)),
        "d": dense(rng, 256, 5),
        "output": output_node(),
    }
    return chain(nodes)


WIDTHS = np.array([1.0, 0.5, 0.2, 0.1, 0.05, 0.02])


@pytest.mark.parametrize("make", [convnet, residual, uneven])
def test_every_unbounded_rectifier_between_weights_is_rescaled(make: object) -> None:
    graph = make(np.random.default_rng(1))  # type: ignore[operator]
    mark = fingerprint(graph)
    folded, after = equalized(graph, samples(graph))
    free = {name for name in names_of(folded, ReLU) if folded.nodes[name].maximum == np.inf}
    assert rescaled_rectifiers(after) == free
    assert fingerprint(graph) == mark
    x = samples(graph, 20, seed=5)
    np.testing.assert_allclose(forward(after, x), forward(folded, x), rtol=0, atol=1e-10)


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_outputs_of_random_networks_stay(seed: int, depth: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_network(rng, depth)
    folded, after = equalized(graph, samples(graph, 40))
    x = samples(graph, 8, seed=9)
    expected = forward(folded, x)
    np.testing.assert_allclose(forward(after, x), expected, rtol=0, atol=1e-9 * max(1.0, np.abs(expected).max()))
    again = as_equalized(folded, after.metadata)
    for name, node in after.nodes.items():
        for field in ("weight", "bias", "scale"):
            if getattr(node, field, None) is not None:
                np.testing.assert_array_equal(getattr(again.nodes[name], field), getattr(node, field))


def test_ranges_become_one() -> None:
    graph = uneven_channels(np.random.default_rng(3), WIDTHS)
    x = samples(graph)
    folded, after = equalized(graph, x)
    before, then = (np.quantile(values_at(g, x, ["r1"])["r1"], 0.99, axis=(0, 2, 3)) for g in (folded, after))
    assert before.max() / before.min() > 20
    assert then.max() / then.min() < 3


def test_counts_of_so_many_levels_tell_more() -> None:
    graph = uneven_channels(np.random.default_rng(3), WIDTHS)
    x = samples(graph)
    folded, after = equalized(graph, x)
    fresh = samples(graph, 64, seed=8)
    wanted = forward(folded, fresh)

    def error(g: Graph) -> float:
        counting = run_passes(g, [QuantizeActivations(8, 256, "off")], Context(x))
        return float(np.square(forward(counting, fresh) - wanted).mean())

    assert error(after) < error(folded) / 5


def test_no_row_of_weights_outgrows_its_layer() -> None:
    rng = np.random.default_rng(4)
    graph = uneven_channels(rng, np.array([1.0, 1e-3, 1.0, 1.0, 1.0, 1.0]))
    first = graph.nodes["c1"]
    first.weight[1] = first.weight[0] * 0.5  # wide weights whose sums are seldom above 0, and little
    first.bias[1] = -np.quantile(node_function("", nir.Conv2d(*_bare(first)))(samples(graph))[:, 1], 0.98)
    folded, after = equalized(graph, samples(graph))
    assert np.abs(after.nodes["c1"].weight).max() <= np.abs(folded.nodes["c1"].weight).max() * (1 + 1e-12)
    factor = json.loads(after.metadata[FACTORS])["r1"]
    assert factor[1] == pytest.approx(np.abs(first.weight[1]).max() / np.abs(first.weight).max())


def _bare(node: nir.Conv2d) -> tuple[object, ...]:
    return (node.input_shape, node.weight, node.stride, node.padding, node.dilation, node.groups, np.zeros(len(node.weight)))


def test_what_bounds_or_reads_a_rectifier_keeps_it_as_it_is() -> None:
    rng = np.random.default_rng(5)
    clipped = chain(
        {"input": input_node((4,)), "a": dense(rng, 4, 6), "r": ReLU(1.0), "b": dense(rng, 6, 2), "o": output_node()}
    )
    read = chain({"input": input_node((4,)), "a": dense(rng, 4, 6), "r": ReLU(), "o": output_node()})
    nodes = {
        "input": input_node((4,)),
        "a": dense(rng, 4, 6),
        "r": ReLU(),
        "q": ReLU(),
        "b": dense(rng, 6, 2),
        "c": dense(rng, 6, 2),
        "o": output_node(),
    }
    shared = build(
        nodes, [("input", "a"), ("a", "r"), ("a", "q"), ("r", "b"), ("q", "c"), ("b", "o"), ("c", "o")]
    )  # the weights of one rectifier are the other's
    for graph in (clipped, read, shared):
        after = run_passes(graph, [EqualizeChannels()], Context(samples(graph)))
        assert rescaled_rectifiers(after) == set()


def test_silent_and_rarely_seen_channels_keep_their_scale() -> None:
    rng = np.random.default_rng(6)
    layer = dense(rng, 4, 5)
    layer.weight[:] = np.abs(layer.weight)
    layer.bias[:] = 0.0
    layer.bias[0] = -100.0
    x = rng.uniform(0, 1, (256, 4))
    layer.bias[1] = -np.sort(x @ layer.weight[1])[-20]
    nodes = {"input": input_node((4,)), "a": layer, "r": ReLU(), "b": dense(rng, 5, 2), "o": output_node()}
    factor = json.loads(run_passes(chain(nodes), [EqualizeChannels()], Context(x)).metadata[FACTORS])["r"]
    assert factor[:2] == [1.0, 1.0]
    assert not np.isclose(factor[2:], 1.0).all()


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_factor_of_the_input_is_that_of_the_weights(groups: int) -> None:
    rng = np.random.default_rng(7)
    factor = rng.uniform(0.1, 3, 6)
    x = rng.normal(size=(3, 6, 5, 5))
    along = factor[:, None, None]
    scales = (nir.Scale(rng.normal(size=shape)) for shape in ((6, 5, 5), (6, 1, 1), ()))
    for node in (conv(rng, (6, 5, 5), 6, groups=groups), *scales):
        y = node_function("n", node)(x)
        np.testing.assert_allclose(node_function("n", input_scaled(node, along))(x), node_function("n", node)(x * along))
        np.testing.assert_allclose(node_function("n", output_scaled(node, along))(x), y * along)


def test_signed_input_in_two_populations() -> None:
    graph = convnet(np.random.default_rng(8))
    x = samples(graph) - 0.4
    folded = run_passes(graph, [*FOLDING, SplitSignedInput()], Context(x))
    after = run_passes(folded, [EqualizeChannels()], Context(x))
    assert rescaled_rectifiers(after) == set(names_of(folded, ReLU))


@pytest.mark.parametrize(
    "told",
    [
        "[",
        "[1]",
        '{"none": [1.0]}',
        '{"flat": [1.0]}',
        '{"r1": [1.0]}',
        '{"r1": "x"}',
        '{"r1": [0, 1, 1, 1]}',
        '{"r1": [1, NaN, 1, 1]}',
        "7",
    ],
)
def test_factors_of_another_network_are_refused(told: str) -> None:
    graph = run_passes(convnet(np.random.default_rng(9)), FOLDING, Context(None))
    with pytest.raises(InvalidGraph, match="do not fit the network"):
        as_equalized(graph, {FACTORS: told})
    assert as_equalized(graph, {}) is graph


def test_pools_keep_channels_apart() -> None:
    rng = np.random.default_rng(10)
    first = conv(rng, (1, 6, 6), 3)
    first.weight *= np.array([1.0, 0.1, 0.02])[:, None, None, None]
    nodes = {
        "input": input_node((1, 6, 6)),
        "c": first,
        "r": ReLU(),
        "p": max_pool(3, 2, (1, 1, 1, 1)),
        "flat": flatten_node((3, 3, 3)),
        "d": dense(rng, 27, 2),
        "o": output_node(),
    }
    folded, after = equalized(chain(nodes), samples(chain(nodes)))
    assert isinstance(after.nodes[successors(after, "r")[0]], MaxPool2d)
    ratio = after.nodes["d"].weight / folded.nodes["d"].weight
    np.testing.assert_allclose(ratio, np.repeat(json.loads(after.metadata[FACTORS])["r"], 9)[None].repeat(2, 0))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"equalize": "on", "levels": 300}, True),
        ({"equalize": "off"}, False),
        ({}, True),
        ({"levels": 127}, True),
        ({"levels": 128}, False),
        ({"code": "rate"}, True),
        ({"code": "graded"}, False),
        ({"code": "graded", "levels": 16}, True),
    ],
)
def test_it_is_left_out_where_there_are_levels_to_spare(options: dict[str, Any], expected: bool) -> None:
    graph = chain(
        {
            "input": input_node((2, 4, 4)),
            "c": conv(np.random.default_rng(11), (2, 4, 4), 3),
            "r": ReLU(),
            "flat": flatten_node((3, 4, 4)),
            "d": dense(np.random.default_rng(12), 48, 2),
            "o": output_node(),
        }
    )
    found = convert_graph(Imported(graph, "test", ()), samples(graph), "", ConvertOptions(**options))
    assert (FACTORS in found.graph.metadata) is expected
    assert any(spelling.startswith("equalize-channels") for spelling in found.passes) is expected


def test_another_choice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Known: on, off, auto"):
        ConvertOptions(equalize="maybe")
