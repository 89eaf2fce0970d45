"""Encoders: what every step gets, by formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from snnport.errors import InvalidInput
from snnport.spelling import parse_among
from snnport.training.encoding import ENCODERS, Delta, Direct, Even, Latency, NoEncoder, Pixels, Population, Rate, Rows, unit
from snnport.training.module import Given, Held

RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.random((5, 7)).astype(np.float32))


def spread(given: Given) -> torch.Tensor:
    assert isinstance(given, torch.Tensor)
    return given


def test_bytes_are_fractions_of_255() -> None:
    assert unit(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx([0, 0.2, 1])


def test_none_and_direct() -> None:
    raster = torch.randint(0, 9, (2, 4, 3), dtype=torch.uint8)
    assert NoEncoder().encode(raster, RNG) is raster
    held = Direct(25, gain=2).encode(X, RNG)
    assert isinstance(held, Held)
    assert held.steps == 25
    assert torch.equal(held.x, 2 * X)


def test_rate_is_bernoulli_and_follows_the_generator() -> None:
    found = [spread(Rate(4000).encode(X, np.random.default_rng(seed))) for seed in (1, 1, 2)]
    assert found[0].shape == (5, 4000, 7)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert set(found[0].unique().tolist()) == {0.0, 1.0}
    # Five standard deviations of 4000 draws.
    assert float((found[0].mean(1) - X).abs().max()) < 5 * 0.5 / np.sqrt(4000)


def test_even_spikes() -> None:
    found = spread(Even(25).encode(torch.tensor([[0.0, 0.1, 0.5, 1.0]]), RNG))[0]
    assert found.sum(0).tolist() == [0, 3, 13, 25]
    for column in found.T:
        gaps = np.diff(np.flatnonzero(column.numpy()))
        assert np.ptp(gaps) <= 1 if len(gaps) else True


def test_latency() -> None:
    x = torch.tensor([[0.0, 0.01, 0.02, 0.5, 1.0]])
    found = spread(Latency(20, tau=5, threshold=0.01).encode(x, RNG))[0]
    assert found.sum(0).tolist() == [0, 0, 1, 1, 1]
    steps = [round(5 * np.log(v / (v - 0.01))) for v in (0.02, 0.5, 1.0)]
    assert [int(found[:, k].argmax()) for k in (2, 3, 4)] == steps
    linear = spread(Latency(11, linear=True).encode(x, RNG))[0]
    assert [int(linear[:, k].argmax()) for k in (3, 4)] == [5, 0]
    assert spread(Latency(2, tau=5).encode(x, RNG))[0].sum(0).tolist()[2] == 0


def test_delta_modulation_follows_the_signal() -> None:
    t = torch.linspace(0, 6.28, 200)
    x = torch.stack([torch.sin(t), t / 7])[None].transpose(1, 2).float()
    found = spread(Delta(0.05).encode(x, RNG))
    assert found.shape == (1, 200, 4)
    rebuilt = x[:, :1] + 0.05 * (found[:, :, :2] - found[:, :, 2:]).cumsum(1)
    assert float((rebuilt - x).abs().max()) <= 0.05 + 1e-6
    assert float(found[:, :, 3].sum()) == 0
    with pytest.raises(InvalidInput, match="Give \\(samples, steps, channels\\)"):
        Delta().encode(X, RNG)


def test_population() -> None:
    held = Population(10, neurons=5, beta=1.5).encode(X, RNG)
    assert isinstance(held, Held)
    centres, width = np.linspace(0, 1, 5), 1 / (1.5 * 3)
    by_hand = np.exp(-((X.numpy()[:, :, None] - centres) ** 2) / (2 * width**2)).reshape(5, 35)
    np.testing.assert_allclose(held.x.numpy(), by_hand, rtol=1e-5)
    with pytest.raises(InvalidInput, match="2 neurons are below 3"):
        Population(10, neurons=2).encode(X, RNG)


def test_rows_and_pixels() -> None:
    image = torch.arange(24, dtype=torch.float32).reshape(2, 1, 4, 3)
    rows = spread(Rows(repeat=2, gain=0.5).encode(image, RNG))
    assert rows.shape == (2, 8, 3)
    assert rows[1, 5].tolist() == [9.0, 9.5, 10.0]
    pixels = spread(Pixels().encode(image, RNG))
    assert pixels.shape == (2, 12, 1)
    assert torch.equal(pixels.flatten(), image.flatten())


def test_spelling() -> None:
    assert parse_among("encoder", ENCODERS, "latency{steps=20,linear=true}") == Latency(20, linear=True)
    with pytest.raises(InvalidInput, match="lacks one of its options: steps"):
        parse_among("encoder", ENCODERS, "direct")
