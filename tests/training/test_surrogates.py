"""Every surrogate's slope is the derivative of the function it is named after, and takes part in the backward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from snnport.spelling import parse_among, spell_among
from snnport.training.stepping import Fires, FiresOften
from snnport.training.surrogates import SURROGATES, SpikeOperator, Surrogate

NAMED = [made() for made in SURROGATES.values()]


@pytest.mark.parametrize("surrogate", [*NAMED, SpikeOperator(0.2)], ids=str)
def test_the_slope_is_the_derivative(surrogate: Surrogate) -> None:
    x = torch.linspace(-2.0, 2.0, 402, dtype=torch.float64)
    h = 1e-6
    measured = (surrogate.primitive(x + h) - surrogate.primitive(x - h)) / (2 * h)
    torch.testing.assert_close(surrogate.slope(x.clone()), measured, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("surrogate", NAMED, ids=str)
def test_the_backward_pass_takes_the_slope(surrogate: Surrogate) -> None:
    v = torch.linspace(0.0, 2.0, 21, dtype=torch.float64, requires_grad=True)
    limit = torch.ones(21, dtype=torch.float64, requires_grad=True)
    spikes: Tensor = Fires.apply(v, limit, False, surrogate)
    assert np.array_equal(spikes.detach().numpy(), v.detach().numpy() > 1)
    spikes.sum().backward()
    assert v.grad is not None
    assert limit.grad is not None
    torch.testing.assert_close(v.grad, surrogate.slope(v.detach() - 1))
    assert torch.equal(limit.grad, -v.grad)


def test_at_the_threshold() -> None:
    v = torch.tensor([1.0])
    assert Fires.apply(v, v, False, NAMED[0]) == 0
    assert Fires.apply(v, v, True, NAMED[0]) == 1


def test_several_spikes_are_counted_and_followed_back() -> None:
    v = torch.tensor([-1.0, 0.4, 1.1, 2.6, 3.9], dtype=torch.float64, requires_grad=True)
    limit = torch.ones(5, dtype=torch.float64, requires_grad=True)
    spikes: Tensor = FiresOften.apply(v, limit, True, NAMED[0])
    assert spikes.tolist() == [0, 0, 1, 2, 3]
    spikes.sum().backward()
    nearest = torch.tensor([1.0, 1.0, 1.0, 3.0, 4.0], dtype=torch.float64)
    slope = NAMED[0].slope(v.detach() - nearest)
    assert v.grad is not None
    assert limit.grad is not None
    torch.testing.assert_close(v.grad, slope)
    torch.testing.assert_close(limit.grad, -nearest * slope)


@pytest.mark.parametrize("text", ["arctan{alpha=3.0}", "triangular{height=0.3,width=1.0}", "straight-through"])
def test_spelling(text: str) -> None:
    assert spell_among(SURROGATES, parse_among("surrogate", SURROGATES, text)) == text
