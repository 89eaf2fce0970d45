from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from networks import avg_pool, conv, dense, max_pool, norm

from snnport.graph import Graph, build, chain, names_of
from snnport.nodes import BatchNorm, ReLU, flatten_node, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.fold_batchnorm import FoldBatchNorm
from snnport.reference import forward

RNG = np.random.default_rng(0)


def fold(graph: Graph) -> tuple[Graph, Context]:
    ctx = Context()
    return run_passes(graph, [FoldBatchNorm()], ctx), ctx


def equal(graph: Graph, shape: tuple[int, ...]) -> Graph:
    folded, ctx = fold(graph)
    x = np.random.default_rng(1).normal(size=(5, *shape))
    assert not names_of(folded, BatchNorm)
    np.testing.assert_allclose(forward(folded, x), forward(graph, x), rtol=0, atol=1e-12)
    assert ctx.findings["fold-batchnorm"]["largest_error"] <= 1e-12
    return folded


def test_into_the_layer_before() -> None:
    folded = equal(
        chain({"input": input_node((3, 5, 5)), "c": conv(RNG, (3, 5, 5), 4), "n": norm(RNG, 4), "output": output_node()}),
        (3, 5, 5),
    )
    assert set(folded.nodes) == {"input", "c", "output"}


def test_through_max_pooling_only_where_every_scale_is_positive() -> None:
    def graph(scale: list[float]) -> Graph:
        nodes = {
            "input": input_node((1, 4, 4)),
            "c": conv(RNG, (1, 4, 4), 2),
            "p": max_pool(),
            "n": BatchNorm(np.array(scale), np.array([0.1, -0.2])),
            "output": output_node(),
        }
        return chain(nodes)

    assert set(equal(graph([0.5, 2.0]), (1, 4, 4)).nodes) == {"input", "c", "p", "output"}
    assert isinstance(equal(graph([0.5, -2.0]), (1, 4, 4)).nodes["n"], nir.Conv2d)


@pytest.mark.parametrize("pool", [max_pool, avg_pool])
def test_into_the_dense_layer_after_pooling_and_flattening(pool: object) -> None:
    nodes = {
        "input": input_node((2, 4, 4)),
        "c": conv(RNG, (2, 4, 4), 3),
        "r": ReLU(),
        "n": norm(RNG, 3),
        "p": pool(),
        "f": flatten_node((3, 2, 2)),
        "d": dense(RNG, 12, 5),
        "output": output_node(),
    }
    assert set(equal(chain(nodes), (2, 4, 4)).nodes) == {"input", "c", "r", "p", "f", "d", "output"}


def test_into_every_grouped_convolution_that_follows() -> None:
    nodes = {
        "input": input_node((4, 5, 5)),
        "n": norm(RNG, 4),
        "a": conv(RNG, (4, 5, 5), 6, pad=0, groups=2),
        "b": conv(RNG, (4, 5, 5), 6, pad=0),
        "output": output_node(),
    }
    edges = [("input", "n"), ("n", "a"), ("n", "b"), ("a", "output"), ("b", "output")]
    assert set(equal(build(nodes, edges), (4, 5, 5)).nodes) == {"input", "a", "b", "output"}


def test_a_shift_before_padding_differs_at_the_border() -> None:
    nodes = {"input": input_node((2, 4, 4)), "n": norm(RNG, 2), "c": conv(RNG, (2, 4, 4), 3), "output": output_node()}
    folded: Any = equal(chain(nodes), (2, 4, 4)).nodes["c"]
    assert folded.bias.shape == (3, 4, 4)
    assert (folded.bias[:, 1:3, 1:3] == folded.bias[:, 1:2, 1:2]).all()
    assert (folded.bias[:, 0] != folded.bias[:, 1]).any()


def test_a_further_norm_scales_biases_of_every_position() -> None:
    nodes = {
        "input": input_node((2, 4, 4)),
        "n": norm(RNG, 2),
        "c": conv(RNG, (2, 4, 4), 3),
        "n2": norm(RNG, 3),
        "c2": conv(RNG, (3, 4, 4), 2, pad=0),
        "output": output_node(),
    }
    assert set(equal(chain(nodes), (2, 4, 4)).nodes) == {"input", "c", "c2", "output"}


def test_a_norm_with_one_value_a_position() -> None:
    scale, shift = RNG.normal(size=(2, 4, 4)), RNG.normal(size=(2, 4, 4))
    dense_behind = {"f": flatten_node((2, 4, 4)), "d": dense(RNG, 32, 5), "output": output_node()}
    nodes = {"input": input_node((2, 4, 4)), "n": BatchNorm(scale, shift), **dense_behind}
    assert set(equal(chain(nodes), (2, 4, 4)).nodes) == {"input", "f", "d", "output"}
    nodes = {"input": input_node((2, 4, 4)), "n": BatchNorm(np.ones(2), shift), "c": conv(RNG, (2, 4, 4), 3)}
    assert set(equal(chain({**nodes, "output": output_node()}), (2, 4, 4)).nodes) == {"input", "c", "output"}
    nodes = {"input": input_node((2, 4, 4)), "n": BatchNorm(scale, shift), "c": conv(RNG, (2, 4, 4), 3)}
    after = equal(chain({**nodes, "output": output_node()}), (2, 4, 4))
    assert isinstance(after.nodes["n"], nir.Scale)
    assert isinstance(after.nodes["n.shift"], nir.Conv2d)
    nodes = {"input": input_node((2, 4, 4)), "r": ReLU(), "n": BatchNorm(scale, 0 * shift), "r2": ReLU()}
    after = equal(chain({**nodes, "output": output_node()}), (2, 4, 4))
    assert isinstance(after.nodes["n"], nir.Scale)


def test_a_scale_without_shift_passes_padding() -> None:
    nodes = {
        "input": input_node((2, 4, 4)),
        "n": BatchNorm(np.array([2.0, -1.0]), np.zeros(2)),
        "c": conv(RNG, (2, 4, 4), 3),
        "output": output_node(),
    }
    assert set(equal(chain(nodes), (2, 4, 4)).nodes) == {"input", "c", "output"}


def test_between_a_rectifier_and_a_rectifier_it_becomes_a_layer() -> None:
    nodes = {"input": input_node((3,)), "n": norm(RNG, 3), "r": ReLU(), "output": output_node()}
    assert isinstance(equal(chain(nodes), (3,)).nodes["n"], nir.Affine)
