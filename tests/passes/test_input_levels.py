"""How many levels the input gets: as few as leave the float network's outputs as they are."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from snnport.graph import Graph, build
from snnport.passes.input_levels import MOST, enough_input_levels


def network(weight: np.ndarray) -> Graph:
    nodes = {
        "input": nir.Input({"input": np.array([weight.shape[1]])}),
        "out": nir.Affine(weight, np.zeros(len(weight))),
        "output": nir.Output({"output": np.array([len(weight)])}),
    }
    return build(nodes, [("input", "out"), ("out", "output")])


def samples(grid: int, n: int = 400) -> np.ndarray:
    """Numbers that `grid` levels hold exactly."""
    return np.random.default_rng(3).integers(0, grid + 1, (n, 2)) / grid


COMPARE = np.array([[1.0, -1.0], [-1.0, 1.0]])
"""Which of two numbers is greater: rounding them alike makes ties, and ties change answers."""


@pytest.mark.parametrize(("grid", "expected"), [(4, 4), (8, 8), (16, 16), (32, 32)])
def test_as_many_as_the_samples_need(grid: int, expected: int) -> None:
    assert enough_input_levels(network(COMPARE), samples(grid), 4, "consecutive", signed=False) == expected


def test_answers_that_stay_say_nothing() -> None:
    """A network is sure of the images that it was trained on: outputs move long before its answers do."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random((400, 1)) < 0.5, [[0.9, 0.1]], [[0.1, 0.9]]) + rng.uniform(-0.1, 0.1, (400, 2))
    coarse = np.round(x * 4) / 4
    assert ((coarse @ COMPARE.T).argmax(1) == (x @ COMPARE.T).argmax(1)).all()
    assert enough_input_levels(network(COMPARE), x, 4, "consecutive", signed=False) == 16


@pytest.mark.parametrize(("levels", "expected"), [(2, 32), (4, 32), (16, 32), (24, 24), (64, 64)])
def test_what_is_needed_does_not_depend_on_the_start(levels: int, expected: int) -> None:
    """One number and one layer: L levels leave 1 / L^2 of the variance, 1 / 24^2 is the first below 0.2 %."""
    x = np.random.default_rng(1).uniform(0.0, 1.0, (400, 1))
    assert enough_input_levels(network(np.ones((1, 1))), x, levels, "consecutive", signed=False) == expected


def test_one_sample_is_enough_to_judge_by() -> None:
    assert enough_input_levels(network(COMPARE), np.array([[0.5, 1.0]]), 4, "consecutive", signed=False) == 4


def test_never_more_than_pixels_have() -> None:
    x = np.random.default_rng(0).uniform(0.5, 0.5001, (400, 2))
    assert enough_input_levels(network(COMPARE), x, 64, "consecutive", signed=False) == MOST


def test_levels_beyond_those_of_pixels_stay() -> None:
    assert enough_input_levels(network(COMPARE), samples(32), 300, "consecutive", signed=False) == 300
