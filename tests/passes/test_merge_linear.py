from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from networks import avg_pool, conv, dense

from snnport.errors import PassFailed
from snnport.graph import Graph, chain
from snnport.nodes import ReLU, flatten_node, input_node, output_node
from snnport.passes import merge_linear
from snnport.passes.base import Context, run_passes
from snnport.passes.merge_linear import MergeLinear
from snnport.reference import forward

RNG = np.random.default_rng(0)


def merged(shape: tuple[int, ...], **nodes: nir.NIRNode) -> Graph:
    graph = chain({"input": input_node(shape), **nodes, "output": output_node()})
    result = run_passes(graph, [MergeLinear()], Context())
    x = np.random.default_rng(1).normal(size=(4, *shape))
    np.testing.assert_allclose(forward(result, x), forward(graph, x), rtol=0, atol=1e-12)
    return result


def kinds(graph: Graph) -> list[str]:
    return [type(node).__name__ for node in graph.nodes.values()]


def test_dense_after_dense() -> None:
    assert kinds(merged((6,), a=dense(RNG, 6, 5), b=dense(RNG, 5, 4), c=dense(RNG, 4, 3))) == ["Input", "Affine", "Output"]


def test_scale_around_dense() -> None:
    scale = nir.Scale(np.array([1.0, -2.0, 3.0]))
    assert kinds(merged((3,), s=scale, a=dense(RNG, 3, 3), t=scale)) == ["Input", "Affine", "Output"]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_after_convolution(stride: int, groups: int) -> None:
    first = conv(RNG, (2, 9, 9), 4, k=3, stride=stride, pad=1, groups=groups)
    size = 9 if stride == 1 else 5
    second = conv(RNG, (4, size, size), 3, k=2, stride=2, pad=0)
    assert kinds(merged((2, 9, 9), a=first, b=second)) == ["Input", "Conv2d", "Output"]


def test_dilated_convolutions() -> None:
    first = nir.Conv2d((9, 9), RNG.normal(size=(3, 2, 2, 3)), (2, 1), (1, 0), (2, 1), 1, RNG.normal(size=3))
    second = nir.Conv2d(None, RNG.normal(size=(2, 3, 2, 2)), (1, 2), (0, 0), (1, 3), 1, RNG.normal(size=2))
    assert kinds(merged((2, 9, 9), a=first, b=second)) == ["Input", "Conv2d", "Output"]


def test_average_pooling_behind_a_convolution() -> None:
    assert kinds(merged((2, 8, 8), a=conv(RNG, (2, 8, 8), 3), p=avg_pool())) == ["Input", "Conv2d", "Output"]


def test_a_pointwise_layer_in_front_of_a_padding_one_keeps_its_bias_out_of_the_padding() -> None:
    first = nir.Conv2d((5, 5), RNG.normal(size=(3, 2, 1, 1)), (1, 1), (0, 0), (1, 1), 1, np.zeros(3))
    assert kinds(merged((2, 5, 5), a=first, b=conv(RNG, (3, 5, 5), 2))) == ["Input", "Conv2d", "Output"]
    result: Any = merged((2, 5, 5), a=conv(RNG, (2, 5, 5), 3, k=1, pad=0), b=conv(RNG, (3, 5, 5), 2))
    assert result.nodes["b"].bias.shape == (2, 5, 5)


def test_two_convolutions_that_pad_are_not_one() -> None:
    with pytest.raises(PassFailed, match=r"merge-linear: a -> b: .* no single convolution .* Run pair-signed first"):
        merged((2, 5, 5), a=conv(RNG, (2, 5, 5), 3), b=conv(RNG, (3, 5, 5), 2))


def test_a_factor_a_channel_keeps_groups() -> None:
    factors = nir.Scale(np.broadcast_to(RNG.normal(size=(4, 1, 1)), (4, 5, 5)).copy())
    depthwise = nir.Conv2d((5, 5), RNG.normal(size=(4, 1, 1, 1)), (1, 1), (0, 0), (1, 1), 4, RNG.normal(size=4))
    grouped = conv(RNG, (4, 5, 5), 4, groups=2)
    for chain_ in ({"a": factors, "b": grouped}, {"a": grouped, "b": factors}, {"a": grouped, "b": depthwise}):
        result: Any = merged((4, 5, 5), **chain_)
        assert result.nodes["b"].groups == 2
    result = merged((4, 5, 5), a=depthwise, b=grouped)
    assert result.nodes["b"].bias.shape == (4, 5, 5)


def test_convolution_flatten_dense_becomes_dense() -> None:
    result = merged((2, 4, 4), a=conv(RNG, (2, 4, 4), 3), f=flatten_node((3, 4, 4)), d=dense(RNG, 48, 5))
    assert sorted(kinds(result)) == ["Affine", "Flatten", "Input", "Output"]


def test_what_would_be_too_large_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_linear, "MAX_DENSE", 100)
    with pytest.raises(PassFailed, match="no dense layer of 100 weights at most"):
        merged((2, 4, 4), a=conv(RNG, (2, 4, 4), 3), f=flatten_node((3, 4, 4)), d=dense(RNG, 48, 5))


def test_layers_with_a_rectifier_between_them_stay() -> None:
    assert kinds(merged((6,), a=dense(RNG, 6, 5), r=ReLU(), b=dense(RNG, 5, 4))) == [
        "Input",
        "Affine",
        "ReLU",
        "Affine",
        "Output",
    ]
