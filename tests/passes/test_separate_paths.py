from __future__ import annotations

import nir
import numpy as np
import pytest
from networks import conv, dense, max_pool

from snnport.errors import PassFailed
from snnport.graph import build, chain, names_of, predecessors, successors
from snnport.nodes import LINEAR_NODES, ReLU, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.separate_paths import SeparatePaths
from snnport.reference import forward

RNG = np.random.default_rng(0)


def test_a_shared_layer_is_copied_for_every_source_and_target_and_keeps_its_bias_once() -> None:
    nodes = {
        "input": input_node((4,)),
        "a": dense(RNG, 4, 4),
        "ra": ReLU(),
        "shared": dense(RNG, 4, 3),
        "r1": ReLU(),
        "r2": ReLU(0.5),
        "o1": dense(RNG, 3, 2),
        "o2": dense(RNG, 3, 2),
        "output": output_node(),
    }
    edges = [
        *(("input", "a"), ("a", "ra"), ("ra", "shared"), ("input", "shared"), ("shared", "r1"), ("shared", "r2")),
        *(("r1", "o1"), ("r2", "o2"), ("o1", "output"), ("o2", "output")),
    ]
    graph = build(nodes, edges)
    separate = run_passes(graph, [SeparatePaths()], Context())
    for name in names_of(separate, *LINEAR_NODES):
        assert len(predecessors(separate, name)) == len(successors(separate, name)) == 1
    assert sum(name.startswith("shared") for name in separate.nodes) == 4
    x = RNG.normal(size=(6, 4))
    np.testing.assert_allclose(forward(separate, x), forward(graph, x), rtol=0, atol=1e-12)


def test_a_skip_gets_a_weight_of_its_own() -> None:
    nodes = {
        "input": input_node((3,)),
        "a": dense(RNG, 3, 3),
        "r": ReLU(),
        "b": dense(RNG, 3, 3),
        "r2": ReLU(),
        "o": dense(RNG, 3, 2),
        "output": output_node(),
    }
    edges = [("input", "a"), ("a", "r"), ("r", "b"), ("b", "r2"), ("r", "r2"), ("r2", "o"), ("o", "output")]
    separate = run_passes(build(nodes, edges), [SeparatePaths()], Context())
    assert isinstance(separate.nodes["r2.skip"], nir.Scale)


def test_max_pooling_of_signed_values_is_refused() -> None:
    nodes = {"input": input_node((1, 4, 4)), "c": conv(RNG, (1, 4, 4), 2), "p": max_pool(), "output": output_node()}
    with pytest.raises(PassFailed, match="separate-paths: p: max pooling of Conv2d"):
        run_passes(chain(nodes), [SeparatePaths()], Context())
