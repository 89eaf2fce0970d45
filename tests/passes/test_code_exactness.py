"""Every lossless code gives the quantised ANN's integers, in the reference and in the engine, spike for spike."""

from __future__ import annotations

import numpy as np
import pytest
from coded_runs import coded_network, three_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NETWORKS, random_network

from snnport.errors import PassFailed
from snnport.graph import shapes, the_input

CODES = ("gate", "ramp", "ttfs", "delay")
EXAMPLES = 200 if settings().max_examples > 100 else 25


@settings(max_examples=EXAMPLES)
@pytest.mark.parametrize("code", CODES)
@given(seed=st.integers(0, 2**32 - 1), depth=st.integers(2, 20), levels=st.integers(1, 6), input_levels=st.integers(1, 9))
def test_random_networks_are_exact(code: str, seed: int, depth: int, levels: int, input_levels: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_network(rng, depth, max_pools=code != "delay")
    x = rng.uniform(-1 if seed % 3 == 0 else 0, 1, (6, *shapes(graph)[the_input(graph)]))
    conversion = coded_network(graph, code, x, levels=levels, input_levels=input_levels)
    found = three_runs(conversion.graph, x, fits=False)
    assert found.exact, (found.unequal, code)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("code", ["ramp", "ttfs"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_test_networks_are_exact_on_both_machines(name: str, code: str, signed: bool) -> None:
    rng = np.random.default_rng(5)
    graph = NETWORKS[name](rng)
    x = rng.uniform(-1 if signed else 0, 1, (8, *shapes(graph)[the_input(graph)]))
    conversion = coded_network(graph, code, x, levels=5, input_levels=3)
    for target in ("cpu", "loihi2"):
        assert three_runs(conversion.graph, x, target).exact, target


@pytest.mark.parametrize("name", NETWORKS)
def test_ttfs_spends_one_spike_a_neuron_at_most(name: str) -> None:
    rng = np.random.default_rng(1)
    graph = NETWORKS[name](rng)
    x = rng.uniform(0, 1, (8, *shapes(graph)[the_input(graph)]))
    found = three_runs(coded_network(graph, "ttfs", x, levels=8).graph, x)
    for population, spikes in found.result.trace.spikes.items():
        assert spikes.sum(axis=1).max() <= 1, population


@pytest.mark.parametrize("name", ["convnet", "uneven"])
def test_the_delay_code_refuses_max_pooling(name: str) -> None:
    rng = np.random.default_rng(1)
    graph = NETWORKS[name](rng)
    x = rng.uniform(0, 1, (8, *shapes(graph)[the_input(graph)]))
    with pytest.raises(PassFailed, match=r"spike.*p1: max pooling is an OR of spikes only .* and the delay code's are not"):
        coded_network(graph, "delay", x)


def test_the_delay_code_refuses_rectifiers_that_clip() -> None:
    rng = np.random.default_rng(1)
    graph = NETWORKS["mlp"](rng)
    x = rng.uniform(0, 1, (8, 12))
    with pytest.raises(PassFailed, match=r"unclip: r2: the source network clips 1 rectifiers, and this code"):
        coded_network(graph, "delay", x)
