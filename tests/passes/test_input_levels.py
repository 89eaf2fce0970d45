"""How many levels the input gets: as few as leave the float network's answers as they are."""

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


def test_rounding_that_changes_no_answer_needs_no_more() -> None:
    assert enough_input_levels(network(np.array([[1.0, 1.0], [-1.0, -1.0]])), samples(32), 4, "consecutive", signed=False) == 4


def test_never_more_than_pixels_have() -> None:
    x = np.random.default_rng(0).uniform(0.5, 0.5001, (400, 2))
    found = enough_input_levels(network(COMPARE), x, 64, "consecutive", signed=False)
    assert found in (64, 128, MOST)


def test_levels_beyond_those_of_pixels_stay() -> None:
    assert enough_input_levels(network(COMPARE), samples(32), 300, "consecutive", signed=False) == 300
