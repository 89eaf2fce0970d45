"""The running maximum as a forward pass: equal to the engine's counts, differentiable, and what training with it gains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from snnport.chip import load_chip
from snnport.encoders import Stimulus
from snnport.errors import InvalidInput, UnknownName
from snnport.models.digits import DIGITS
from snnport.program import Dense, Neuron, Population, Program, Projection
from snnport.registry import TARGETS
from snnport.sim.asynchronous import run
from snnport.training.running_maximum import AsyncNet, asynchronous_net, event_paths, running_maximum, whole

CHIP = load_chip(TARGETS.load("speck2f").chip_file)
LEVELS = 4


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("order", ["random", "ascending"])
def test_paths_end_at_the_counts_and_never_fall(order: str) -> None:
    counts = torch.randint(0, 5, (3, 4, 2), generator=seeded()).float()
    path = event_paths(counts, 7, seeded(), order)
    assert path.shape == (7, 3, 4, 2)
    assert torch.equal(path[-1], counts)
    assert bool((path.diff(dim=0) >= 0).all())


def test_ascending_paths_send_neuron_after_neuron() -> None:
    path = event_paths(torch.tensor([[2.0, 0.0, 2.0]]), 4, order="ascending")
    assert path[:, 0].tolist() == [[1, 0, 0], [2, 0, 0], [2, 0, 1], [2, 0, 2]]


def test_random_paths_differ_by_draw_and_agree_by_seed() -> None:
    counts = torch.full((2, 50), 3.0)
    assert torch.equal(event_paths(counts, 9, seeded(1)), event_paths(counts, 9, seeded(1)))
    assert not torch.equal(event_paths(counts, 9, seeded(1)), event_paths(counts, 9, seeded(2)))


def test_the_maximum_counts_and_gets_the_gradient() -> None:
    charge = torch.tensor([0.2, 2.1, 1.3]).reshape(3, 1, 1).requires_grad_()
    found = running_maximum(charge, 0.5)
    assert found.reshape(-1).tolist() == [0, 2, 2]
    found[-1].sum().backward()
    assert charge.grad is not None
    assert charge.grad.reshape(-1).tolist() == [0, 1, 0]
    silent = torch.tensor([-2.0, -3.0]).reshape(2, 1, 1).requires_grad_()
    running_maximum(silent)[-1].sum().backward()
    assert silent.grad is not None
    assert not silent.grad.any()


def test_floor_has_the_gradient_of_the_identity() -> None:
    x = torch.tensor([1.7, -0.2], requires_grad=True)
    whole(x).sum().backward()
    assert whole(x).tolist() == [1.0, -1.0]
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0]


def test_one_point_is_the_quantised_rectifier() -> None:
    layer = nn.Linear(6, 5)
    net = asynchronous_net([layer, nn.Linear(5, 2)], [0.25, 0.5, 1.0], points=1)
    counts = torch.randint(0, 5, (4, 6), generator=seeded()).float()
    hidden = net.layers[0](event_paths(counts, 1))[-1]
    wanted = torch.relu(torch.floor((layer(counts * 0.25)) / 0.5 + 0.5))
    assert torch.equal(hidden, wanted)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: event_paths(torch.ones(1, 1), 0), InvalidInput, "Give 1 or more"),
        (lambda: event_paths(torch.full((1, 1), 0.5), 1), InvalidInput, "no whole numbers"),
        (lambda: event_paths(torch.ones(1, 1), 1, order="sorted"), UnknownName, "sorted"),
        (lambda: asynchronous_net([nn.Linear(2, 2)], [1.0]), InvalidInput, "1 of them for 1 layers"),
    ],
)
def test_refusals(call, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def as_program(net: AsyncNet) -> Program:
    populations, projections = [Population("in", (64,), Neuron("input", {}))], []
    for k, part in enumerate(net.layers):
        weight = part.layer.weight.detach().numpy()
        theta = int(min(32000, 127 / np.abs(weight).max()))
        start = np.clip(np.rint(part.start.detach().numpy() * theta), -32768, 32767).astype(np.int64)
        params = {"v_threshold": theta, "v_init": start, "v_min": -32768, "v_max": 32767, "max_spikes": 1 << 15}
        neuron = Neuron("if", {key: np.asarray(value) for key, value in params.items()})
        populations.append(Population(f"p{k}", (len(weight),), neuron))
        codes = np.rint(weight * theta).astype(np.int64)
        projections.append(Projection(f"w{k}", populations[-2].name, f"p{k}", Dense(codes), None, 0))
    return Program("speck2f", CHIP, tuple(populations), tuple(projections), (), ("in",), ("p1",), 0, {})


def deployed(net: AsyncNet, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and hidden spikes on the chip, whose events come in one step in C order."""
    program = as_program(net)
    found = run(program, Stimulus(counts[:, None].astype(np.int64), None, 1), all_counts=True, threads=1)
    theta = int(program.population("p1").neuron["v_threshold"])
    return found.spike_counts["p1"] + found.final_v["p1"] / theta, found.spike_counts["p0"]


def test_training_with_it_raises_the_asynchronous_accuracy() -> None:
    """64-32-10 on digits with 5 input levels, 200 for training and 200 for testing; about 10 s."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with np.load(DIGITS.test) as file:
        counts, y = np.floor(file["x"].reshape(-1, 64) / 16.0 * LEVELS + 0.5).astype(np.float32), file["y"].astype(np.int64)
    x, labels = torch.tensor(counts[:200]), torch.tensor(y[:200])
    ann = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimiser = torch.optim.Adam(ann.parameters(), 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(ann(x / LEVELS), labels).backward()
        optimiser.step()
    with torch.no_grad():
        steps = [1 / LEVELS, float(torch.relu(ann[0](x / LEVELS)).max()) / 4, float(ann(x / LEVELS).abs().max()) / 8]
    accuracy, apart = {}, {}
    for points, epochs in ((64, 0), (1, 60), (16, 60)):
        net = asynchronous_net([ann[0], ann[2]], steps, points=points, generator=seeded(), order="ascending")
        optimiser = torch.optim.Adam(net.parameters(), 3e-3)
        for _ in range(epochs):
            for part in torch.randperm(200, generator=seeded()).split(50):
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(x[part]) * steps[2], labels[part]).backward()
                optimiser.step()
        scores, hidden = deployed(net, counts[200:])
        accuracy[points] = float((scores.argmax(axis=1) == y[200:]).mean())
        with torch.no_grad():
            path = event_paths(torch.tensor(counts[200:]), points, order="ascending")
            expected = net.layers[0](path)[-1].numpy()
        apart[points] = np.abs(hidden - expected).sum() / hidden.sum()
    assert apart[64] < 0.02, "the running maximum foresees the chip's counts"
    assert apart[1] > 0.1, "a quantised rectifier does not"
    assert accuracy[16] >= accuracy[64] + 0.05, "trained with it the chip is right more often"
    assert accuracy[16] >= accuracy[1] + 0.03, "and more often than trained as a rectifier for as long"
