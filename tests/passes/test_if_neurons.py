"""The start of a hybrid training: integrate-and-fire neurons whose rates approach the rectifiers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from networks import avg_pool, conv, dense, max_pool, norm

from snnport.convention import convention_of
from snnport.errors import PassFailed
from snnport.graph import Graph, build, chain
from snnport.nodes import ReLU, flatten_node, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.if_neurons import IfNeurons
from snnport.reference import forward, run_spiking


def network(rng: np.random.Generator) -> Graph:
    nodes = {
        "input": input_node((1, 6, 6)),
        "conv": conv(rng, (1, 6, 6), 3, 3, 1, 1),
        "relu": ReLU(),
        "pool": avg_pool(2),
        "flatten": flatten_node((3, 3, 3)),
        "fc1": dense(rng, 27, 12),
        "relu2": ReLU(),
        "fc2": dense(rng, 12, 4),
        "output": output_node(),
    }
    return chain(nodes)


def test_rates_approach_the_network() -> None:
    rng = np.random.default_rng(0)
    ann = network(rng)
    x = rng.random((30, 1, 6, 6))
    expected = forward(ann, x)
    errors = []
    for steps in (8, 64, 512):
        ctx = Context(calibration=x)
        graph = run_passes(ann, (IfNeurons(100.0, steps),), ctx)
        assert [name for name, node in graph.nodes.items() if isinstance(node, ReLU)] == []
        held = np.repeat(x[:, None], steps, axis=1)
        rule = convention_of(graph.metadata).having(dtype="float64")
        v = run_spiking(graph, held, rule, record_v=["readout"]).v["readout"]
        errors.append(float(np.abs(v[:, -1] - expected).mean()))
        assert {type(node) for node in graph.nodes.values()} >= {nir.IF, nir.I}
    assert errors[2] < 0.1 * errors[0]
    assert errors[2] < 0.02 * np.abs(expected).mean()


def test_ways_that_part_get_a_scale() -> None:
    rng = np.random.default_rng(3)
    nodes = {
        "input": input_node((5,)),
        "fc1": dense(rng, 5, 6),
        "relu": ReLU(),
        "fc2": dense(rng, 6, 6),
        "relu2": ReLU(),
        "fc3": dense(rng, 6, 3),
        "output": output_node(),
    }
    ann = build(nodes, [*pairwise(nodes), ("relu", "relu2")])
    x = rng.random((20, 5))
    graph = run_passes(ann, (IfNeurons(100.0, 400),), Context(calibration=x))
    assert isinstance(graph.nodes["relu.worth"], nir.Scale)
    rule = convention_of(graph.metadata).having(dtype="float64")
    v = run_spiking(graph, np.repeat(x[:, None], 400, axis=1), rule, record_v=["readout"]).v["readout"][:, -1]
    np.testing.assert_allclose(v, forward(ann, x), atol=0.05 * np.abs(forward(ann, x)).max())


def test_a_rectifier_that_was_never_positive() -> None:
    rng = np.random.default_rng(1)
    ann = network(rng)
    ctx = Context(calibration=np.zeros((2, 1, 6, 6)))
    old: Any = ann.nodes["conv"]
    silent = chain({**ann.nodes, "conv": nir.Conv2d((6, 6), old.weight, 1, 1, 1, 1, -np.ones(3))})
    run_passes(silent, (IfNeurons(),), ctx)
    assert ctx.findings[IfNeurons().spelling]["thresholds"]["relu"] == 1.0


def test_what_it_refuses() -> None:
    rng = np.random.default_rng(2)
    ann = network(rng)
    ctx = Context(calibration=rng.random((2, 1, 6, 6)))
    pooled = chain({name: max_pool() if name == "pool" else node for name, node in ann.nodes.items()})
    assert isinstance(run_passes(pooled, (IfNeurons(),), ctx).nodes["pool"], nir.AvgPool2d)
    odd = chain({name: max_pool(2, 2, (0, 0, 1, 1)) if name == "pool" else node for name, node in ann.nodes.items()})
    with pytest.raises(PassFailed, match="not the same on both sides"):
        IfNeurons().requires(odd)
    with pytest.raises(PassFailed, match="a BatchNorm has no neuron"):
        IfNeurons().requires(chain({**ann.nodes, "norm": norm(rng, 4)}))
    with pytest.raises(PassFailed, match="out of range"):
        run_passes(ann, (IfNeurons(percentile=0),), ctx)
    bare = chain({"input": input_node((3,)), "fc": dense(rng, 3, 2), "output": output_node()})
    with pytest.raises(PassFailed, match="no rectifier"):
        run_passes(bare, (IfNeurons(),), ctx)
    with pytest.raises(PassFailed, match="needs calibration"):
        run_passes(ann, (IfNeurons(),), Context())
