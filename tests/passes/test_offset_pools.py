"""Max pooling of signed maps counts from the lowest value, and the outputs stay what they were."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from coded_runs import coded_network
from exact_runs import logit_mismatches
from networks import conv, dense, max_pool

from snnport.graph import Graph, build, chain, names_of
from snnport.nodes import BatchNorm, ReLU, flatten_node, input_node, output_node
from snnport.passes.base import Context
from snnport.passes.offset_pools import OffsetPools
from snnport.passes.proof import same_output

RNG = np.random.default_rng(0)


def leaky_and_pooled() -> Graph:
    """A leaky rectifier behind a convolution, pooled, behind it a padding convolution."""
    minus = nir.Scale(np.full((3, 4, 4), -1.0))
    nodes = {
        "input": input_node((2, 4, 4)),
        "a": conv(RNG, (2, 4, 4), 3),
        "up": ReLU(),
        "minus": minus,
        "down": ReLU(),
        "slope": nir.Scale(np.full((3, 4, 4), -0.1)),
        "p": max_pool(3, 2, (1, 1, 1, 1)),
        "b": conv(RNG, (3, 2, 2), 2),
        "r": ReLU(),
        "f": flatten_node((2, 2, 2)),
        "d": dense(RNG, 8, 3),
        "output": output_node(),
    }
    edges = [*(("input", "a"), ("a", "up"), ("a", "minus"), ("minus", "down"), ("down", "slope"), ("up", "p"), ("slope", "p"))]
    edges += [("p", "b"), ("b", "r"), ("r", "f"), ("f", "d"), ("d", "output")]
    return build(nodes, edges)


def test_a_signed_map_is_counted_from_its_lowest_value() -> None:
    graph, x = leaky_and_pooled(), RNG.uniform(-1, 1, (16, 2, 4, 4))
    ctx = Context(x)
    after = OffsetPools().apply(graph, ctx)
    same_output(graph, after, ctx, "test")
    lowest = after.nodes["p.up"]
    assert isinstance(lowest, BatchNorm)
    assert (lowest.shift < 0).any()
    assert "counted from its lowest value on the samples" in ctx.entries[0].why


@pytest.mark.parametrize("code", ["gate", "ramp", "ttfs", "graded"])
def test_every_code_that_pools_carries_it(code: str) -> None:
    x = RNG.uniform(-1, 1, (16, 2, 4, 4))
    assert logit_mismatches(coded_network(leaky_and_pooled(), code, x).graph, x) == 0


@pytest.mark.parametrize(("low", "populations"), [(0.0, 0), (-1.0, 1)])
def test_an_input_is_pooled_as_it_is_only_if_it_is_never_negative(low: float, populations: int) -> None:
    head = {"f": flatten_node((2, 2, 2)), "d": dense(RNG, 8, 3), "output": output_node()}
    graph = chain({"input": input_node((2, 4, 4)), "p": max_pool(), **head})
    x = RNG.uniform(low, 1, (16, 2, 4, 4))
    assert len(names_of(OffsetPools().apply(graph, Context(x)), ReLU)) == populations
    assert logit_mismatches(coded_network(graph, "gate", x).graph, x) == 0
