"""Learning rates over time, and the optimisers that take them."""

from __future__ import annotations

import pytest
import torch

from snnport.spelling import parse_among
from snnport.training.optimisers import OPTIMISERS, Adam, AdamW, Sgd
from snnport.training.schedules import SCHEDULES, Constant, Cosine, Exponential, Linear, OneCycle, Schedule, Steps


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (Constant(), {0: 1, 99: 1}),
        (Steps(0.1, 4), {0: 1, 24: 1, 25: 0.1, 75: 1e-3}),
        (Exponential(0.01), {0: 1, 50: 0.1, 100: 0.01}),
        (Linear(0.2), {0: 1, 50: 0.6, 100: 0.2}),
        (Cosine(), {0: 1, 50: 0.5, 100: 0}),
        (Cosine(0.2, 0.1), {0: 0.05, 19: 1, 20: 1, 60: 0.55, 100: 0.1}),
        (OneCycle(0.3, 25), {0: 0.04, 15: 0.52, 30: 1, 100: 4e-6}),
    ],
)
def test_factors(schedule: Schedule, wanted: dict[int, float]) -> None:
    assert {step: schedule.factor(step, 100) for step in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_every_factor_is_a_fraction(name: str) -> None:
    schedule = parse_among("schedule", SCHEDULES, name)
    assert all(0 <= schedule.factor(step, 37) <= 1 for step in range(38))
    assert schedule.factor(0, 0) >= 0


def test_optimisers_are_those_of_torch() -> None:
    weight = [torch.nn.Parameter(torch.ones(2))]
    assert isinstance(Adam(lr=0.1).make(weight), torch.optim.Adam)
    assert isinstance(AdamW().make(weight), torch.optim.AdamW)
    made = Sgd(lr=0.1, momentum=0.8).make(weight)
    assert isinstance(made, torch.optim.SGD)
    assert (made.defaults["lr"], made.defaults["momentum"]) == (0.1, 0.8)
    assert parse_among("optimiser", OPTIMISERS, "sgd{momentum=0.5,nesterov=true}") == Sgd(momentum=0.5, nesterov=True)
