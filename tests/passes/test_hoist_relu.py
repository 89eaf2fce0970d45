from __future__ import annotations

import numpy as np
from networks import conv, max_pool

from snnport.graph import chain, topological_order
from snnport.nodes import ReLU, flatten_node, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.hoist_relu import HoistReLU
from snnport.reference import forward

RNG = np.random.default_rng(0)


def test_a_rectifier_moves_before_pooling_and_flattening() -> None:
    nodes = {
        "input": input_node((1, 6, 6)),
        "c": conv(RNG, (1, 6, 6), 2),
        "p": max_pool(),
        "f": flatten_node((2, 3, 3)),
        "r": ReLU(0.4),
        "output": output_node(),
    }
    graph = chain(nodes)
    hoisted = run_passes(graph, [HoistReLU()], Context())
    assert topological_order(hoisted) == ("input", "c", "r", "p", "f", "output")
    x = RNG.normal(size=(3, 1, 6, 6))
    assert np.array_equal(forward(hoisted, x), forward(graph, x))


def test_two_rectifiers_become_the_stricter_one() -> None:
    nodes = {
        "input": input_node((1, 6, 6)),
        "c": conv(RNG, (1, 6, 6), 2),
        "a": ReLU(0.7),
        "p": max_pool(),
        "b": ReLU(0.3),
        "output": output_node(),
    }
    ctx = Context()
    hoisted = run_passes(chain(nodes), [HoistReLU()], ctx)
    assert topological_order(hoisted) == ("input", "c", "a", "p", "output")
    assert hoisted.nodes["a"].maximum == 0.3
    assert [(e.node, e.fate, e.into) for e in ctx.entries] == [("b", "merged", ("a",))]
