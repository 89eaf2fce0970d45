"""The stateless part of a written graph: layers that the importer lacks, loops, order and names."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spiking import plain, wired

from snnport.convention import PLAIN
from snnport.exporters.nir_bounds import arriving, never_below, never_twice
from snnport.exporters.nir_dialect import Rewriting, rewritten
from snnport.exporters.nir_loaders import LOADERS
from snnport.exporters.nir_wiring import diagonal
from snnport.graph import Graph, predecessors
from snnport.importers.dialect_table import DIALECTS
from snnport.nodes import flatten_node, input_node, output_node
from snnport.reference import run_spiking

SNNTORCH = DIALECTS["snntorch"].convention.having(reset="zero")
RNG = np.random.default_rng(3)


def lif(*shape: int, threshold: float = 1.0) -> nir.LIF:
    return nir.LIF(*(np.full(shape, v) for v in (1e-3, 10.0, 0.0, threshold, 0.0)))


def conv(shape: tuple[int, int, int], outputs: int) -> nir.Conv2d:
    weight = RNG.integers(-2, 4, (outputs, shape[0], 3, 3)) / 4
    options: Any = (shape[1:], weight, (1, 1), (1, 1), (1, 1), 1, np.zeros(outputs))
    return nir.Conv2d(*options)


def pool(kind: Any, k: int, padding: int = 0) -> Any:
    return kind(*(np.array([v, v]) for v in (k, k, padding)))


def spikes_of(graph: Graph, found: Rewriting, shape: tuple[int, ...], seed: int = 0) -> tuple[Any, Any]:
    """Of the last population, in the source and with the importer; both summed in float64."""
    raster = (np.random.default_rng(seed).random((2, 50, *shape)) < 0.4).astype(float)
    ours = run_spiking(graph, raster, SNNTORCH.having(dtype="float64"))
    theirs = run_spiking(found.graph, raster, found.convention.having(dtype="float64"))
    last = list(found.populations)[-1]
    return ours.spikes[last], theirs.spikes[found.populations[last]]


@pytest.mark.parametrize("dialect", ["snntorch", "norse", "spikingjelly", "nir"])
@pytest.mark.parametrize(("kind", "k", "padding"), [(nir.SumPool2d, 2, 0), (nir.SumPool2d, 3, 1), (nir.AvgPool2d, 2, 1)])
def test_pools_are_exact_wherever_they_are_written(dialect: str, kind: Any, k: int, padding: int) -> None:
    side = (6 + 2 * padding - k) // k + 1
    nodes = {"c": conv((2, 6, 6), 3), "n": lif(3, 6, 6), "p": pool(kind, k, padding), "n2": lif(3, side, side)}
    graph = plain((2, 6, 6), nodes, SNNTORCH)
    found = rewritten(graph, SNNTORCH, dialect)
    assert found.differences == ()
    ours, theirs = spikes_of(graph, found, (2, 6, 6))
    assert ours.any()
    assert np.array_equal(ours, theirs)


def test_a_pool_that_the_importer_sums_inexactly_becomes_a_convolution() -> None:
    nodes = {"p": pool(nir.SumPool2d, 3), "n": lif(2, 2, 2)}
    found = rewritten(plain((2, 6, 6), nodes, SNNTORCH), SNNTORCH, "norse")
    assert isinstance(found.graph.nodes["p"], nir.Conv2d)
    assert any("written as Conv2d" in note for note in found.notes)
    plain_pool = rewritten(plain((2, 6, 6), {"p": pool(nir.SumPool2d, 2), "n": lif(2, 3, 3)}, SNNTORCH), SNNTORCH, "norse")
    assert isinstance(plain_pool.graph.nodes["p"], nir.SumPool2d)


def test_a_scale_becomes_a_layer() -> None:
    nodes = {"s": nir.Scale(np.array([0.5, 2.0, 1.5])), "n": lif(3)}
    graph = plain((3,), nodes, SNNTORCH)
    found = rewritten(graph, SNNTORCH, "snntorch")
    assert isinstance(found.graph.nodes["s"], nir.Affine)
    ours, theirs = spikes_of(graph, found, (3,))
    assert np.array_equal(ours, theirs)
    maps = diagonal(np.broadcast_to(np.array([1.0, 2.0])[:, None, None], (2, 3, 3)), LOADERS["norse"])
    assert isinstance(maps, nir.Conv2d)
    assert diagonal(np.arange(18.0).reshape(2, 3, 3), LOADERS["norse"]) is None
    uneven = rewritten(plain((2, 3, 3), {"s": nir.Scale(np.arange(18.0).reshape(2, 3, 3)), "n": lif(2, 3, 3)}), PLAIN, "norse")
    assert [d.rule for d in uneven.differences] == ["node"]
    assert not uneven.runs


def test_a_factor_that_no_weight_can_take_gets_a_layer_of_its_own() -> None:
    """One threshold a layer in snnTorch: two populations that one layer feeds cannot both scale it."""
    low, high = lif(2, threshold=1.0), nir.LIF(*(np.broadcast_to(v, (2,)).copy() for v in (1e-3, 10.0, 0.0, [1.0, 2.0], 0.0)))
    nodes = {
        "input": input_node((2,)),
        "fc": nir.Linear(np.array([[0.5, 0.25], [0.75, 1.0]])),
        "a": low,
        "b": high,
        "out_fc": nir.Linear(np.eye(2)),
        "z": lif(2, threshold=0.5),
        "output": output_node((2,)),
    }
    edges = [("input", "fc"), ("fc", "a"), ("fc", "b"), ("a", "out_fc"), ("b", "out_fc"), ("out_fc", "z"), ("z", "output")]
    graph = wired(nodes, edges, SNNTORCH)
    found = rewritten(graph, SNNTORCH, "snntorch")
    assert found.differences == ()
    assert isinstance(found.graph.nodes["b_gain"], nir.Affine)
    ours, theirs = spikes_of(graph, found, (2,))
    assert np.array_equal(ours, theirs)


def loop(bias: float) -> Graph:
    nodes = {
        "input": input_node((2,)),
        "fc": nir.Linear(RNG.integers(0, 4, (3, 2)) / 4),
        "n": lif(3),
        "rec": nir.Affine(RNG.integers(-3, 3, (3, 3)) / 4, np.full(3, bias)),
        "output": output_node((3,)),
    }
    return wired(nodes, [("input", "fc"), ("fc", "n"), ("n", "output"), ("n", "rec"), ("rec", "n")], SNNTORCH)


@pytest.mark.parametrize("dialect", ["snntorch", "norse", "spikingjelly", "nir"])
@pytest.mark.parametrize("bias", [0.0, 0.125])
def test_loops(dialect: str, bias: float) -> None:
    graph = loop(bias)
    found = rewritten(graph, SNNTORCH, dialect)
    assert found.differences == ()
    assert found.arguments["looped"]
    ours, theirs = spikes_of(graph, found, (2,))
    assert ours.any()
    assert np.array_equal(ours, theirs)
    pairs = set(found.graph.edges)
    assert dialect != "snntorch" or not any((b, a) in pairs for a, b in pairs)


def test_loops_that_an_importer_does_not_build() -> None:
    assert "recurrence" in {d.rule for d in rewritten(loop(0.0), SNNTORCH, "lava").differences}


def branches(join_first: bool) -> Graph:
    nodes = {"input": input_node((2,)), "a": lif(2), "b": lif(2), "fa": nir.Linear(np.eye(2)), "z": lif(2)}
    nodes |= {"fb": nir.Linear(np.eye(2)), "output": output_node((2,))}
    edges = [("input", "fa"), ("fa", "a"), ("a", "z"), ("input", "fb"), ("fb", "b"), ("b", "z"), ("z", "output")]
    return wired(nodes, edges[::-1] if join_first else edges, SNNTORCH)


def test_two_branches_that_meet_are_refused_where_one_would_come_late() -> None:
    for order in (True, False):
        assert "order" in {d.rule for d in rewritten(branches(order), SNNTORCH, "norse").differences}
        assert rewritten(branches(order), SNNTORCH, "spikingjelly").differences == ()
        assert "branches" in {d.rule for d in rewritten(branches(order), SNNTORCH, "spyx").differences}


@pytest.mark.parametrize("skip_first", [True, False])
def test_a_skip_over_a_layer_is_put_into_an_order_that_works(skip_first: bool) -> None:
    nodes = {"input": input_node((2,)), "n": lif(2), "fc": nir.Linear(np.eye(2)), "m": lif(2), "z": lif(2)}
    nodes |= {"j": nir.Linear(np.eye(2)), "output": output_node((2,))}
    edges = [("input", "n"), ("n", "fc"), ("fc", "m"), ("m", "j"), ("n", "j"), ("j", "z"), ("z", "output")]
    found = rewritten(wired(nodes, edges[::-1] if skip_first else edges, SNNTORCH), SNNTORCH, "norse")
    assert found.differences == ()
    ways = [b for a, b in found.graph.edges if a == "n"]
    assert ways == ["fc", "j"]


def test_names_that_hdf5_torch_or_python_have_for_something_else() -> None:
    nodes = {"class": nir.Linear(np.eye(2)), "a.b": lif(2), "10": nir.Linear(np.eye(2)), "a/b": lif(2)}
    found = rewritten(plain((2,), nodes, SNNTORCH), SNNTORCH, "spikingjelly")
    assert found.populations == {"a.b": "a_b", "a/b": "a_b_2"}
    assert all(name.isidentifier() for name in found.graph.nodes)
    assert next(iter(found.graph.nodes)) == "input"
    assert [*found.graph.nodes][-1] == "output"
    assert all(predecessors(found.graph, b) == (a,) for a, b in pairwise(found.graph.nodes))


# --------------------------------------------------------------------------------------------------------------- bounds


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_what_arrives_lies_within_the_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(3, 2, 3, 3))
    options: Any = ((4, 4), weight, (1, 1), (1, 1), (1, 1), 1, rng.normal(size=3))
    nodes = {"c": nir.Conv2d(*options), "p": pool(nir.AvgPool2d, 2), "f": flatten_node((3, 2, 2))}
    nodes |= {"fc": nir.Affine(rng.normal(size=(4, 12)), rng.normal(size=4)), "n": lif(4)}
    graph = plain((2, 4, 4), nodes)
    low, high = arriving(graph)["n"]
    raster = rng.integers(0, 2, (1, 40, 2, 4, 4)).astype(float)
    given_ = run_spiking(graph, raster, PLAIN, None, ["fc"]).v["fc"]
    assert (given_ >= low - 1e-9).all()
    assert (given_ <= high + 1e-9).all()


def test_what_can_be_proven_of_a_potential() -> None:
    def proven(weight: float, rule: Any = SNNTORCH) -> tuple[bool, bool]:
        graph = plain((2,), {"fc": nir.Linear(np.full((1, 2), weight)), "n": lif(1)}, rule)
        return "n" in never_below(graph, rule, 0.0), "n" in never_twice(graph, rule)

    assert proven(0.5) == (True, True)
    assert proven(0.51) == (True, False)
    assert proven(-0.5) == (False, True)


def test_nothing_is_known_of_a_potential_that_is_passed_on() -> None:
    leaky = nir.LI(*(np.full((1,), v) for v in (1e-3, 1.0, 0.0)))
    graph = plain((1,), {"li": leaky, "fc": nir.Linear(np.ones((1, 1))), "n": lif(1)}, SNNTORCH)
    assert np.isinf(arriving(graph)["n"]).all()
    assert never_twice(graph, SNNTORCH) == set()


def test_a_delay_gives_nothing_at_first() -> None:
    graph = plain((1,), {"fc": nir.Affine(np.eye(1), np.ones(1)), "d": nir.Delay(np.full(1, 1e-3)), "n": lif(1)}, PLAIN)
    assert [float(side[0]) for side in arriving(graph)["n"]] == [0.0, 2.0]
