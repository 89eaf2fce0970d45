"""Average poolings in a row: one pooling where they are one, else weights; exact in every code, whatever built the graph."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from exact_runs import logit_mismatches
from networks import conv, dense

from snnport.flow.convert import ConvertOptions, convert_graph
from snnport.graph import Graph, chain, names_of, shapes
from snnport.importers.base import Imported
from snnport.nodes import ReLU, flatten_node, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.convolve_pools import ConvolvePools
from snnport.reference import forward

Pool = tuple[int, int, int]
"""Kernel, stride, padding."""
TILING: list[tuple[Pool, ...]] = [((2, 2, 0), (2, 2, 0)), ((2, 2, 0), (3, 2, 0)), ((3, 1, 0),), ((3, 2, 1),)]
OTHERS: list[tuple[Pool, ...]] = [
    ((3, 1, 0), (3, 1, 0)),
    ((2, 1, 0), (2, 2, 0)),
    ((3, 2, 1), (2, 1, 0)),
    ((2, 2, 0), (3, 2, 1)),
    ((2, 2, 0), (3, 2, 0), (2, 1, 0)),
    ((3, 1, 0), (2, 2, 0), (2, 1, 0)),
]


def pooled(pools: tuple[Pool, ...], *, dense_behind: bool) -> Graph:
    """Convolution, rectifier, `pools` (kernel, stride, padding), and a convolution or a dense layer."""
    rng = np.random.default_rng(3)
    nodes: dict[str, nir.NIRNode] = {"input": input_node((2, 12, 12)), "c": conv(rng, (2, 12, 12), 3), "r": ReLU()}
    for i, (kernel, stride, padding) in enumerate(pools):
        nodes[f"p{i}"] = nir.AvgPool2d(*(np.array([n, n]) for n in (kernel, stride, padding)))
    shape = shapes(chain({**nodes, "output": output_node()}))[f"p{len(pools) - 1}"]
    if not dense_behind:
        nodes |= {"c2": conv(rng, (shape[0], shape[1], shape[2]), 2), "r2": ReLU()}
        shape = (2, *shape[1:])
    nodes |= {"flat": flatten_node(shape), "d": dense(rng, int(np.prod(shape)), 3), "output": output_node()}
    return chain(nodes)


@pytest.mark.parametrize("pools", OTHERS)
def test_a_pooling_that_is_not_one_with_the_pooling_before_becomes_weights(pools: tuple[Pool, ...]) -> None:
    graph, x = pooled(pools, dense_behind=False), np.random.default_rng(0).uniform(0, 1, (5, 2, 12, 12))
    ctx = Context(x)
    changed = run_passes(graph, (ConvolvePools(),), ctx)
    left = names_of(changed, nir.AvgPool2d)
    assert len(left) < len(pools)
    assert [entry.node for entry in ctx.entries] == [name for name in names_of(graph, nir.AvgPool2d) if name not in left]
    np.testing.assert_allclose(forward(changed, x), forward(graph, x), atol=1e-12)


@pytest.mark.parametrize("pools", TILING)
def test_poolings_that_are_one_stay(pools: tuple[Pool, ...]) -> None:
    graph = pooled(pools, dense_behind=False)
    assert run_passes(graph, (ConvolvePools(),), Context()).nodes == graph.nodes


@pytest.mark.parametrize("pools", [*TILING, *OTHERS])
@pytest.mark.parametrize(("code", "dense_behind"), [("gate", True), ("gate", False), ("delay", False), ("graded", True)])
def test_poolings_in_a_row_are_exact(pools: tuple[Pool, ...], code: str, dense_behind: bool) -> None:
    graph, x = pooled(pools, dense_behind=dense_behind), np.random.default_rng(0).uniform(0, 1, (8, 2, 12, 12))
    conversion = convert_graph(Imported(graph, "onnx", ()), x, "test", ConvertOptions(code, levels=4))
    assert logit_mismatches(conversion.graph, x) == 0
