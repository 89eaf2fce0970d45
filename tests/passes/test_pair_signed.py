"""Linear layers that are no single layer get populations between them, and the outputs stay what they were."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from coded_runs import coded_network
from exact_runs import logit_mismatches
from networks import avg_pool, conv, dense

from snnport.errors import PassFailed
from snnport.graph import Graph, build, chain, names_of
from snnport.nodes import ReLU, flatten_node, input_node, output_node
from snnport.passes import merge_linear
from snnport.passes.base import Context, run_passes
from snnport.passes.merge_linear import MergeLinear
from snnport.passes.pair_signed import PairSigned
from snnport.passes.separate_paths import SeparatePaths

RNG = np.random.default_rng(0)
HEAD = {"f": flatten_node((2, 4, 4)), "d": dense(RNG, 32, 3), "output": output_node()}


def paired(graph: Graph, low: float = -1.0) -> Graph:
    """The graph after the pass, which proves that it computes the same."""
    x = RNG.uniform(low, 1, (8, 2, 4, 4))
    result = run_passes(graph, [PairSigned(), SeparatePaths(), MergeLinear()], Context(x))
    assert len(names_of(result, ReLU)) >= len(names_of(graph, ReLU))
    return result


def test_two_convolutions_that_pad_have_a_pair_between_them() -> None:
    nodes = {"input": input_node((2, 4, 4)), "a": conv(RNG, (2, 4, 4), 3), "b": conv(RNG, (3, 4, 4), 2), "r": ReLU(), **HEAD}
    graph = paired(chain(nodes))
    assert names_of(graph, ReLU) == ("b.above", "b.below", "r")
    x = RNG.uniform(-1, 1, (8, 2, 4, 4))
    for code in ("gate", "ramp", "ttfs", "delay", "graded"):
        assert logit_mismatches(coded_network(chain(nodes), code, x).graph, x) == 0, code


def test_layers_that_are_one_layer_have_none() -> None:
    nodes = {"input": input_node((2, 4, 4)), "a": conv(RNG, (2, 4, 4), 3), "b": conv(RNG, (3, 4, 4), 2, k=1, pad=0), **HEAD}
    assert not names_of(paired(chain(nodes)), ReLU)


def test_what_is_never_negative_has_one_population() -> None:
    factors = nir.Scale(RNG.uniform(0.5, 1, (2, 2, 2)))
    head = {"f": flatten_node((2, 2, 2)), "d": dense(RNG, 8, 3), "output": output_node()}
    nodes = {"r": ReLU(), "p": avg_pool(2), "s": factors, "c": conv(RNG, (2, 2, 2), 2), "r2": ReLU(), **head}
    assert names_of(paired(chain({"input": input_node((2, 4, 4)), **nodes})), ReLU) == ("r", "c.above", "r2")
    del nodes["r"]
    assert names_of(paired(chain({"input": input_node((2, 4, 4)), **nodes}), 0.0), ReLU) == ("c.above", "r2")
    names = ("p.above", "p.below", "c.above", "c.below", "r2")
    assert names_of(paired(chain({"input": input_node((2, 4, 4)), **nodes})), ReLU) == names


def test_readers_of_one_sum_share_its_pair() -> None:
    nodes = {
        "input": input_node((2, 4, 4)),
        "a": conv(RNG, (2, 4, 4), 2),
        "b": conv(RNG, (2, 4, 4), 2),
        "c": conv(RNG, (2, 4, 4), 2),
        "d": conv(RNG, (2, 4, 4), 2),
        "r": ReLU(),
        "f": flatten_node((2, 4, 4)),
        "e": dense(RNG, 32, 3),
        "output": output_node(),
    }
    edges = [("input", "a"), ("input", "b"), *((s, t) for s in "ab" for t in "cd"), ("c", "r"), ("d", "r")]
    graph = build(nodes, [*edges, ("r", "f"), ("f", "e"), ("e", "output")])
    assert len(names_of(paired(graph), ReLU)) == 3


def test_a_factor_a_value_is_taken_into_a_dense_layer_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_linear, "MAX_DENSE", 100)
    factors = nir.Scale(RNG.uniform(0.5, 1, (2, 4, 4)))
    nodes = {"input": input_node((2, 4, 4)), "r": ReLU(), "s": factors, **HEAD}
    assert "s" not in paired(chain(nodes)).nodes


def test_a_sum_of_vectors_too_large_for_one_layer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_linear, "MAX_DENSE", 100)
    nodes = {
        "input": input_node((2, 4, 4)),
        "a": conv(RNG, (2, 4, 4), 2),
        "b": conv(RNG, (2, 4, 4), 2),
        "f": flatten_node((2, 4, 4)),
        "g": flatten_node((2, 4, 4)),
        "d": dense(RNG, 32, 30),
        "output": output_node(),
    }
    edges = [("input", "a"), ("input", "b"), ("a", "f"), ("b", "g"), ("f", "d"), ("g", "d"), ("d", "output")]
    with pytest.raises(PassFailed, match=r"pair-signed: d.minus: .* as a dense layer too large, whatever is put"):
        paired(build(nodes, edges))
