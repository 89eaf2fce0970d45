"""Weights that are others in every batch: what changes, what it is drawn from, and that nothing of it is kept or judged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from graphs import RULE, dense, neuron

from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput, UnknownName
from snnport.graph import Graph, chain
from snnport.models.recipe import Fit
from snnport.models.spiking import told
from snnport.nodes import input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_snn import QuantizeSnn
from snnport.training.by_gradient import Running, module_of, quantised_for, train_graph
from snnport.training.objective import Objective
from snnport.training.perturbations import DropConnect, WeightNoise, perturbations_of, perturbed

WEIGHT = torch.randn(200, 300, generator=torch.Generator().manual_seed(1), requires_grad=True)
FIT = Fit(2, 20, 0.02, "cross-entropy{of=membrane,over=sum}", "direct{steps=6}", perturb=("drop-connect{p=0.5}",))
CPU = Running(device="cpu")
X = torch.rand(40, 6, generator=torch.Generator().manual_seed(2))
Y = (X.sum(1) > 3).long()


def draw(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> Graph:
    rng = np.random.default_rng(1)
    nodes = {"input": input_node((6,)), "fc1": dense(rng, 6, 12), "n": neuron(rng, "LIF", (12,)), "fc2": dense(rng, 12, 2)}
    return chain({**nodes, "out": neuron(rng, "LI", (2,)), "output": output_node((2,))}, told(RULE.having(dtype="float32")))


def test_weights_are_left_out_and_their_sum_stays() -> None:
    found = DropConnect(0.25).changed(WEIGHT, draw())
    kept = found != 0
    assert torch.equal(found[kept], WEIGHT[kept] / 0.75)
    assert abs(float(kept.float().mean()) - 0.75) < 0.01
    (gradient,) = torch.autograd.grad(found.sum(), WEIGHT)
    torch.testing.assert_close(gradient, kept / 0.75)


def test_noise_is_as_wide_as_asked() -> None:
    weight = 3 * WEIGHT.detach()
    found = WeightNoise(0.2).changed(weight, draw()) - weight
    assert abs(float(found.std()) / float(weight.square().mean().sqrt()) - 0.2) < 0.002
    assert abs(float(found.mean())) < 0.01


@pytest.mark.parametrize("part", [DropConnect(0.0), WeightNoise(0.0)])
def test_nothing_is_asked_for(part: DropConnect | WeightNoise) -> None:
    assert torch.equal(part.changed(WEIGHT, draw()), WEIGHT)


def test_a_seed_says_what_is_drawn() -> None:
    module = module_of(network(), FIT)
    first, again, other = (perturbed(module, (DropConnect(0.5),), seed) for seed in (1, 1, 2))
    assert set(first) == {"fc1", "fc2"}
    for name in first:
        assert torch.equal(first[name]["weight"], again[name]["weight"])
    assert not torch.equal(first["fc1"]["weight"], other["fc1"]["weight"])
    both = perturbed(module, perturbations_of(["drop-connect{p=0.5}", "weight-noise{by=0.1}"]), 1)
    assert not torch.equal(both["fc1"]["weight"], first["fc1"]["weight"])


@pytest.mark.parametrize("tbptt", [0, 3])
def test_only_what_learns_is_perturbed(tbptt: int) -> None:
    graph = network()
    module = module_of(graph, FIT)
    seeds = torch.tensor([5] * 40)

    def loss(how: Fit, training: bool) -> float:
        module.train(training)
        found = Objective.of(how, graph)(module, (X, Y, seeds))
        return sum(float(part.detach()) for part in found) if tbptt else float(found.detach())  # type: ignore[union-attr]

    how = Fit(**{**vars(FIT), "tbptt": tbptt})
    plain = Fit(**{**vars(how), "perturb": ("none",)})
    assert loss(how, training=True) != loss(plain, training=True)
    assert loss(how, training=True) == loss(how, training=True)
    assert loss(how, training=False) == loss(plain, training=True)


def test_what_is_kept_are_the_weights_themselves() -> None:
    data = Splits(X.numpy(), Y.numpy(), X.numpy(), Y.numpy())
    trained = train_graph(network(), data, FIT, running=CPU)
    plain = train_graph(network(), data, Fit(**{**vars(FIT), "perturb": ()}), running=CPU)
    assert not np.array_equal(trained.graph.nodes["fc1"].weight, plain.graph.nodes["fc1"].weight)
    assert np.count_nonzero(trained.graph.nodes["fc1"].weight) == np.count_nonzero(network().nodes["fc1"].weight)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"p = 1\.0 is not in"):
        perturbations_of(["drop-connect{p=1}"])
    with pytest.raises(InvalidInput, match="is below 0"):
        perturbations_of(["weight-noise{by=-1}"])
    with pytest.raises(UnknownName, match="drop-connect"):
        perturbations_of(["drop-conect{p=0.1}"])
    data = Splits(X.numpy(), Y.numpy(), X.numpy(), Y.numpy())
    make = quantised_for(lambda graph: run_passes(graph, (QuantizeSnn(8),), Context()))
    with pytest.raises(InvalidInput, match="weights that learn on codes are not perturbed"):
        train_graph(network(), data, FIT, running=CPU, make=make)
