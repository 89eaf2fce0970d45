"""e-prop: the gradients that torch gives are the sums over eligibility traces, and differ from those of BPTT."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from snnport.convention import convention_of
from snnport.datasets.splits import Splits
from snnport.errors import InvalidGraph
from snnport.models.leaky_mlp import RECIPE as LEAKY
from snnport.models.lsnn import RECIPE as LSNN
from snnport.reference import run_spiking
from snnport.training.eprop import EpropNet, accuracy, eligibility, learned
from snnport.training.surrogates import Triangular

SMALL = {**LSNN.network, "hidden_size": 7}
SURROGATE = Triangular(height=0.3)


def net_and_input(steps: int = 6, **settings: object) -> tuple[EpropNet, torch.Tensor]:
    torch.manual_seed(0)
    net = EpropNet(LSNN.build({**SMALL, **settings}, 3), SURROGATE)
    return net, torch.randint(0, 16, (2, steps, 28)).float()


@pytest.mark.parametrize("v_reset", ["0", "none"])
@pytest.mark.parametrize("adapts", [True, False])
def test_torch_gives_the_sum_over_eligibility_traces(adapts: bool, v_reset: str) -> None:
    net, x = net_and_input(use_sfa=adapts, v_reset=v_reset)
    spikes = net.spikes(x)
    fired = spikes.detach().requires_grad_()
    torch.nn.functional.cross_entropy(net.read(fired).mean(dim=1), torch.tensor([3, 5])).backward()
    learning_signal = fired.grad
    assert learning_signal is not None
    torch.nn.functional.cross_entropy(net.read(spikes).mean(dim=1), torch.tensor([3, 5])).backward()

    numbers = net.numbers
    for weight, arrives in ((net.w_in, x), (net.w_loop, torch.nn.functional.pad(fired.detach(), (0, 0, 1, 0))[:, :-1])):
        total = torch.zeros_like(weight)
        for sample in range(len(x)):
            psi = slopes(net, x[sample], fired.detach()[sample])
            traces = eligibility(psi, arrives[sample], fired.detach()[sample], numbers)
            total += (learning_signal[sample][:, :, None] * traces).sum(dim=0)
        assert weight.grad is not None
        assert torch.allclose(weight.grad, total, atol=1e-6)
        assert total.abs().max() > 1e-4


def slopes(net: EpropNet, x: torch.Tensor, fired: torch.Tensor) -> torch.Tensor:
    """psi (steps, neurons), from the spikes that were seen."""
    numbers, v, b, before, found = net.numbers, torch.zeros(7), torch.zeros(7), torch.zeros(7), []
    for step in range(len(x)):
        v = numbers.alpha * v + net.w_in @ x[step] + net.b_in + net.w_loop @ before
        b = numbers.rho * b + (1 - numbers.rho) * before
        found.append(SURROGATE.slope((v - numbers.v_threshold - numbers.beta * b).detach()))
        before = fired[step]
        v = v - before * numbers.v_threshold if numbers.subtracts else v * (1 - before)
    return torch.stack(found)


@pytest.mark.parametrize("v_reset", ["none", "0.0"])
def test_it_fires_as_the_reference(v_reset: str) -> None:
    net, x = net_and_input(steps=28, v_reset=v_reset)
    trace = run_spiking(net.graph, x.numpy().astype(np.uint8), convention_of(net.graph.metadata))
    assert trace.spikes["hidden"].sum() > 20
    assert np.array_equal(net.spikes(x).detach().numpy(), trace.spikes["hidden"])


def test_random_feedback_changes_the_learning_signal_only() -> None:
    graph = LSNN.build(SMALL, 3)
    torch.manual_seed(0)
    same, random = EpropNet(graph, SURROGATE), EpropNet(graph, SURROGATE, "random")
    x = torch.randint(0, 16, (2, 8, 28)).float()
    assert torch.allclose(same(x), random(x))
    for net in (same, random):
        net(x).square().sum().backward()
    assert torch.allclose(same.w_out.grad, random.w_out.grad)
    assert not torch.allclose(same.w_in.grad, random.w_in.grad)


def test_a_tiny_run_learns_and_goes_on_from_its_checkpoint(tmp_path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = (rng.random((40, 10, 28)) < np.where(y, 0.6, 0.1)[:, None, None]).astype(np.uint8) * 9
    recipe = LSNN.having(hidden_size=12, epochs=6, batch_size=8, lr=5e-3)
    splits = Splits(x, y, x, y)
    graph, log = learned(recipe, splits, 0, checkpoint=tmp_path / "run")
    again, _ = learned(recipe, splits, 0, checkpoint=tmp_path / "run")
    assert log["accuracy"] >= 0.9
    assert np.array_equal(graph.nodes["fc1"].weight, again.nodes["fc1"].weight)
    assert accuracy(EpropNet(graph, SURROGATE), splits) == log["accuracy"]


def test_a_graph_of_another_form() -> None:
    with pytest.raises(InvalidGraph, match="0 recurrent populations and 1 LI readouts, 1 of each is needed"):
        EpropNet(LEAKY.build({"hidden_size": 4, "beta": 0.9}, 0), SURROGATE)


def test_an_unknown_feedback() -> None:
    with pytest.raises(InvalidGraph, match="known are symmetric, random"):
        EpropNet(LSNN.build(SMALL, 0), SURROGATE, "none")


def test_neurons_that_differ() -> None:
    graph = LSNN.build(SMALL, 0)
    graph.nodes["hidden"].tau = np.linspace(0.01, 0.02, 7)
    with pytest.raises(InvalidGraph, match=r"the neurons differ in a field \(0.01 .. 0.02\)"):
        EpropNet(graph, SURROGATE)
