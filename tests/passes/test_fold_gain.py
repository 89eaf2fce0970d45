"""Gains folded into weights: the same potentials, with r and w_in at 1."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from snnport.convention import Convention
from snnport.graph import Graph, build, chain
from snnport.nodes import input_node, output_node
from snnport.passes.fold_gain import gains_folded
from snnport.reference import run_spiking

RULE = Convention("nir", dt=0.25)
RNG = np.random.default_rng(1)


def powers(*shape: int) -> Any:
    """Powers of two: products with them are exact."""
    return 2.0 ** RNG.integers(-2, 3, shape)


def grid(*shape: int) -> Any:
    return RNG.integers(-8, 9, shape) / 8


def lif(n: int) -> nir.LIF:
    return nir.LIF(np.full(n, 0.5), powers(n), np.zeros(n), np.ones(n), np.zeros(n))


def dense() -> Graph:
    return chain({"input": input_node((4,)), "w": nir.Affine(grid(3, 4), grid(3)), "n": lif(3), "output": output_node((3,))})


def recurrent() -> Graph:
    cuba = nir.CubaLIF(np.full(3, 0.5), np.full(3, 1.0), powers(3), np.zeros(3), np.ones(3), np.zeros(3), powers(3))
    nodes = {"input": input_node((3,)), "n": cuba, "rec": nir.Linear(grid(3, 3)), "output": output_node((3,))}
    return build(nodes, [("input", "n"), ("n", "rec"), ("rec", "n"), ("n", "output")])


def convolution() -> Graph:
    r = np.broadcast_to(powers(2, 1, 1), (2, 3, 3))
    neuron = nir.IF(r, np.ones((2, 3, 3)), np.zeros((2, 3, 3)))
    conv = nir.Conv2d((3, 3), grid(2, 1, 3, 3), (1, 1), (1, 1), (1, 1), 1, grid(2))
    return chain({"input": input_node((1, 3, 3)), "c": conv, "n": neuron, "output": output_node((2, 3, 3))})


def uneven_convolution() -> Graph:
    graph = convolution()
    neuron = nir.IF(powers(2, 3, 3), np.ones((2, 3, 3)), np.zeros((2, 3, 3)))
    return build({**graph.nodes, "n": neuron}, graph.edges)


@pytest.mark.parametrize(
    ("make", "scales"),
    [(dense, 0), (recurrent, 1), (convolution, 0), (uneven_convolution, 1)],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_potentials_stay(make: Any, scales: int) -> None:
    graph = make()
    after = gains_folded(graph)
    assert sum(isinstance(node, nir.Scale) for node in after.nodes.values()) == scales
    neuron: Any = after.nodes["n"]
    assert np.all(neuron.r == 1.0)
    assert np.all(getattr(neuron, "w_in", 1.0) == 1.0)
    shape = tuple(int(n) for n in graph.nodes["input"].input_type["input"])
    raster = RNG.integers(0, 2, (2, 30, *shape))
    before, now = (run_spiking(g, raster, RULE, record_v=["n"]) for g in (graph, after))
    assert before.spikes["n"].any()
    np.testing.assert_array_equal(now.spikes["n"], before.spikes["n"])
    np.testing.assert_allclose(now.v["n"], before.v["n"], rtol=0, atol=1e-12)


def test_a_scale_takes_it_and_nothing_is_done_twice() -> None:
    nodes: dict[str, Any] = {"input": input_node((3,)), "s": nir.Scale(grid(3)), "n": lif(3), "output": output_node((3,))}
    after = gains_folded(chain(nodes))
    scale: Any = after.nodes["s"]
    np.testing.assert_array_equal(scale.scale, nodes["s"].scale * nodes["n"].r)
    assert gains_folded(after) is after
