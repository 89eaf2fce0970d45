"""Speck's scales chosen by unlabelled samples: an outlier that nothing reaches costs nothing."""

from __future__ import annotations

import json

import nir
import numpy as np

from snnport.convention import Convention
from snnport.graph import Graph, build
from snnport.nodes import input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_speck import QuantizeSpeck
from snnport.targets.agreement import Answers
from snnport.targets.base import resolve_target
from snnport.targets.speck.choosing import calibrate, candidates, prepare
from snnport.targets.speck.lower import lower

SPECK = resolve_target("speck2f")
SINABS = Convention("sinabs", dt=1.0, reset="subtract", comparison=">=", multi_spike=True, v_min=-1.0, integrator_gain="unit")


def network(outlier: float) -> Graph:
    """Two input channels, the second silent in `samples`; one of its weights is `outlier`."""
    rng = np.random.default_rng(2)
    first, second = rng.normal(0, 0.12, (6, 2, 3, 3)), rng.normal(0, 0.05, (4, 6, 6, 6))
    first[0, 1, 0, 0] = outlier
    nodes = {
        "input": input_node((2, 8, 8)),
        "conv": nir.Conv2d((8, 8), first, 1, 0, 1, 1, np.zeros(6)),
        "a": nir.IF(np.ones((6, 6, 6)), np.ones((6, 6, 6)), np.zeros((6, 6, 6))),
        "last": nir.Conv2d((6, 6), second, 1, 0, 1, 1, np.zeros(4)),
        "b": nir.IF(np.ones((4, 1, 1)), np.ones((4, 1, 1)), np.zeros((4, 1, 1))),
        "output": output_node((4, 1, 1)),
    }
    edges = [("input", "conv"), ("conv", "a"), ("a", "last"), ("last", "b"), ("b", "output")]
    header = {"version": 1, "coding": None, "convention": SINABS.to_json()}
    return build(nodes, edges, {"snnport": json.dumps(header)})


def samples() -> np.ndarray:
    raster = (np.random.default_rng(3).random((12, 20, 2, 8, 8)) < 0.15).astype(np.uint8)
    raster[:, :, 1] = 0
    return raster.reshape(12, 20, -1)


def codes(graph: Graph, step: QuantizeSpeck) -> np.ndarray:
    node = run_passes(graph, (step,), Context()).nodes["conv"]
    return np.rint(np.asarray(node.weight) / node.metadata["scale"])


def test_a_weight_that_nothing_reaches_is_clipped_for_the_others() -> None:
    graph = network(20.0)
    weighted, *_ = candidates(graph, SPECK.chip, samples(), Answers.of_graph(graph, samples()))
    assert isinstance(weighted, QuantizeSpeck)
    assert set(weighted.chosen()) == {"conv", "last"}
    ours, sinabs = codes(graph, weighted), codes(graph, QuantizeSpeck(method="sinabs"))
    assert np.count_nonzero(sinabs[:, 0]) < 35
    assert np.count_nonzero(ours[:, 0]) > 45
    assert ours[0, 1, 0, 0] == 127


def test_the_candidate_that_answers_most_alike_is_chosen() -> None:
    graph, raster = network(20.0), samples()
    wanted = Answers.of_graph(graph, raster)
    scores = {}
    for candidate in candidates(graph, SPECK.chip, raster, wanted):
        program = lower(run_passes(graph, (candidate,), Context()), SPECK.chip)
        scores[candidate] = wanted.met_by(Answers.of_program(program, raster, {"a": 0, "b": 0}))
    (chosen,) = calibrate(graph, SPECK.chip, raster)
    assert scores[chosen] == max(scores.values())


def test_without_samples_every_input_counts_alike() -> None:
    graph = network(0.1)
    assert prepare(graph, SPECK.chip) == (QuantizeSpeck(),)
    assert SPECK.passes_for(graph) == (QuantizeSpeck(),)
    assert calibrate(graph, SPECK.chip, samples()[:0]) == (QuantizeSpeck(),)


def test_a_network_in_integers_is_left_alone() -> None:
    done = run_passes(network(0.1), (QuantizeSpeck(),), Context())
    assert prepare(done, SPECK.chip) == ()
    assert calibrate(done, SPECK.chip, samples()) == ()
