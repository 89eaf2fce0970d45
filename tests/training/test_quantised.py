"""Quantisation-aware training computes on the integers that the target's passes make of the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest
import torch
from torch.nn import functional

from snnport.convention import Convention, convention_of
from snnport.errors import UnsupportedNode
from snnport.graph import Graph, chain
from snnport.nodes import input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_snn import QuantizeSnn
from snnport.quant import codes_of
from snnport.reference import run_spiking
from snnport.registry import TARGETS
from snnport.training.quantised import quantised_module

RULE = Convention("test", dt=1e-3, reset="zero", dtype="float32")
KIND = {"xylo_audio2": "CubaLIF", "xylo_audio3": "CubaLIF", "xylo_imu": "CubaLIF", "loihi1": "LIF", "loihi2": "LIF"}


def network(kind: str, rule: Convention = RULE) -> Graph:
    """8 inputs, 6 hidden neurons, 3 outputs, of `kind`."""
    rng = np.random.default_rng(0)

    def neuron(n: int) -> Any:
        one = np.ones(n)
        if kind == "IF":
            return nir.IF(one / rule.dt, 0.8 * one, 0 * one)
        if kind == "LIF":
            return nir.LIF(0.008 * one, 8 * one, 0 * one, 0.8 * one, 0 * one)
        return nir.CubaLIF(0.004 * one, 0.008 * one, 8 * one, 0 * one, 0.8 * one, 0 * one, 4 * one)

    nodes = {
        "input": input_node((8,)),
        "fc1": nir.Linear(rng.normal(0, 0.5, (6, 8))),
        "hidden": neuron(6),
        "fc2": nir.Linear(rng.normal(0, 0.6, (3, 6))),
        "out": neuron(3),
        "output": output_node((3,)),
    }
    text = json.dumps({"version": 1, "coding": None, "convention": rule.to_json()})
    return chain(nodes, {"snnport": text})


def for_target(name: str) -> Callable[[Graph], Graph]:
    target = TARGETS.load(name)
    return lambda graph: run_passes(graph, target.passes_for(graph), Context())


def codes(graph: Graph) -> dict[str, Any]:
    weighted: dict[str, Any] = {
        name: node for name, node in graph.nodes.items() if "scale" in node.metadata and hasattr(node, "weight")
    }
    return {name: codes_of(node.weight, float(node.metadata["scale"]), name) for name, node in weighted.items()}


X = (np.random.default_rng(1).random((24, 15, 8)) < 0.4).astype(np.float32)
Y = torch.from_numpy(np.random.default_rng(2).integers(0, 3, 24))


def learn(module: Any, steps: int) -> list[float]:
    optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
    losses = []
    module.train()
    for _ in range(steps):
        optimiser.zero_grad()
        loss = functional.cross_entropy(module(torch.from_numpy(X)).output.sum(1), Y)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    module.eval()
    return losses


@pytest.mark.parametrize("name", sorted(TARGETS.names()))
def test_what_was_trained_for_is_what_the_target_gets(name: str) -> None:
    quantise = for_target(name)
    rule = RULE.having(reset="subtract", multi_spike=True) if name.startswith("xylo") else RULE
    rule = RULE.having(reset="subtract", comparison=">=") if name.startswith(("speck", "dynapcnn")) else rule
    graph = network(KIND.get(name, "IF"), rule)
    module = quantised_module(graph, quantise, exact=True)
    first = codes(module.quantised())
    losses = learn(module, 25)
    assert min(losses[-5:]) < losses[0]
    trained = module.to_graph()
    found = quantise(trained)
    assert any(not np.array_equal(codes(found)[layer], before) for layer, before in first.items())
    with torch.no_grad():
        mine = module(torch.from_numpy(X))
    for layer, integers in codes(found).items():
        used = module._overrides(module.inner[0])[layer]["weight"]
        assert np.array_equal(
            codes_of(used.detach().double().numpy(), float(found.nodes[layer].metadata["scale"]), layer), integers
        )
    rules = convention_of(found.metadata).having(dtype="float32")
    expected = run_spiking(found, X, rules)
    assert expected.spikes["hidden"].sum() > 0
    assert np.array_equal(mine.spikes["hidden"].numpy(), expected.spikes["hidden"])
    assert np.array_equal(mine.spikes["out"].numpy(), expected.spikes["out"])


def four_bits(graph: Graph) -> Graph:
    return run_passes(graph, (QuantizeSnn(4),), Context())


def test_it_learns_what_rounding_afterwards_loses() -> None:
    graph = network("LIF")
    module = quantised_module(graph, four_bits)
    losses = learn(module, 60)
    assert losses[-1] < 0.8 * losses[0]
    assert all(np.abs(array).max() <= 7 for array in codes(module.quantised()).values())


def test_scales_that_are_kept_for_some_batches() -> None:
    calls: list[int] = []

    def counted(graph: Graph) -> Graph:
        calls.append(1)
        return four_bits(graph)

    module = quantised_module(network("LIF"), counted, every=10, exact=True)
    learn(module, 25)
    assert len(calls) == 3
    trained = module.quantised()
    with torch.no_grad():
        found = module(torch.from_numpy(X))
    expected = run_spiking(trained, X, convention_of(trained.metadata).having(dtype="float32"))
    assert np.array_equal(found.spikes["hidden"].numpy(), expected.spikes["hidden"])


def test_scales_survive_a_checkpoint() -> None:
    def run(break_at: int) -> Any:
        module = quantised_module(network("LIF"), four_bits, every=10)
        optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
        for step in range(23):
            if step == break_at:
                state, optimal = module.state_dict(), optimiser.state_dict()
                module = quantised_module(network("LIF"), four_bits, every=10)
                optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
                module.load_state_dict(state)
                optimiser.load_state_dict(optimal)
                module.train()
            optimiser.zero_grad()
            functional.cross_entropy(module(torch.from_numpy(X)).output.sum(1), Y).backward()
            optimiser.step()
        return module.get_parameter("fc1/weight").detach()

    assert torch.equal(run(14), run(-1))


def test_what_is_not_learned_on_codes() -> None:
    with pytest.raises(UnsupportedNode, match="only weights, biases and scales"):
        quantised_module(network("LIF"), four_bits, trainable=("weight", "tau"))
    module = quantised_module(network("LIF"), lambda graph: graph)
    with pytest.raises(UnsupportedNode, match="fc1: quantisation takes it apart"):
        module(torch.from_numpy(X))
