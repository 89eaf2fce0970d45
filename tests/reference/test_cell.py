"""Every rule of a convention, on numbers that can be followed by hand."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from snnport.convention import Convention
from snnport.reference.cell import Cell

BASE = Convention("test", dt=1.0)
HALF = 2.0
"""A time constant of two steps: half is kept by Euler."""


def filled(kind: Any, **values: float) -> Any:
    return kind(**{key: np.array([float(value)]) for key, value in values.items()})


def lif(tau: float = HALF, r: float = 2.0, leak: float = 0.0, theta: float = 1.0, reset: float = 0.0) -> nir.LIF:
    return filled(nir.LIF, tau=tau, r=r, v_leak=leak, v_threshold=theta, v_reset=reset)


def cuba(tau_syn: float = HALF, w_in: float = 2.0, theta: float = 100.0) -> nir.CubaLIF:
    return filled(nir.CubaLIF, tau_syn=tau_syn, tau_mem=HALF, r=2, v_leak=0, v_threshold=theta, v_reset=0, w_in=w_in)


def steps(node: Any, drive: list[float], **rules: Any) -> tuple[list[float], list[float]]:
    """What leaves in every step, and the potential after it."""
    cell = Cell.of(node, (1, 1), BASE.having(**rules))
    given, v = [], []
    for step, x in enumerate(drive):
        given.append(float(cell.advance(np.full((1, 1), x, cell.v.dtype), step)[0, 0]))
        v.append(float(cell.v[0, 0]))
    return given, v


def test_the_potential_of_plain_nir() -> None:
    assert steps(lif(theta=100, leak=1.0), [4, 0, 0])[1] == [5.0, 3.0, 2.0]


@pytest.mark.parametrize(("gain", "v"), [("leak", [3.0, 1.5]), ("unit", [6.0, 3.0]), ("keep", [3.0, 1.5])])
def test_gains_of_the_membrane(gain: str, v: list[float]) -> None:
    assert steps(lif(theta=100, r=3), [2, 0], membrane_gain=gain)[1] == v


def test_an_early_input_decays_with_the_state() -> None:
    four = filled(nir.LI, tau=4, r=1, v_leak=0)
    assert steps(four, [4, 0], leaky_gain="keep")[1] == [3.0, 2.25]
    assert steps(four, [4, 0], leaky_gain="unit")[1] == [4.0, 3.0]
    assert steps(four, [4, 0])[1] == [1.0, 0.75]


@pytest.mark.parametrize(("gain", "i"), [("leak", [4.0, 2.0]), ("unit", [8.0, 4.0]), ("keep", [4.0, 2.0])])
def test_gains_of_the_synapse(gain: str, i: list[float]) -> None:
    v = steps(cuba(), [4, 0], synapse_gain=gain)[1]
    assert v == [i[0], i[0] / 2 + i[1]]


def test_the_current_of_the_step_before() -> None:
    assert steps(cuba(), [4, 0, 0], current="old")[1] == [0.0, 4.0, 4.0]


def test_integrators() -> None:
    node = filled(nir.IF, r=10, v_threshold=1000, v_reset=0)
    assert steps(node, [3, 3], dt=0.1)[1] == [3.0, 6.0]
    assert steps(node, [3, 3], dt=0.1, integrator_gain="unit")[1] == [30.0, 60.0]
    assert steps(node, [3, 3], dt=0.1, integrator_gain="unit", ignores=("r",))[1] == [3.0, 6.0]


def test_what_is_ignored_counts_as_nothing() -> None:
    node = lif(r=6, leak=5, theta=3, reset=-1)
    assert steps(node, [8], ignores=("r", "v_leak", "v_reset"))[1] == [0.0]
    assert steps(node, [8], ignores=("r", "v_leak"))[1] == [-1.0]
    assert steps(cuba(w_in=7), [4], ignores=("w_in",))[1] == [2.0]


def test_a_gain_near_one_is_one() -> None:
    node = lif(r=2.000001, theta=100)
    assert steps(node, [1], unity=1e-5)[1] == [1.0]
    assert steps(node, [1])[1] != [1.0]


def test_decays_and_units_of_time() -> None:
    (first, second) = steps(lif(theta=100), [1, 0], decay="exponential")[1]
    assert second / first == pytest.approx(np.exp(-0.5), rel=1e-15)
    assert steps(lif(tau=2000, theta=100), [4, 0], tau_unit=1e-3)[1] == steps(lif(theta=100), [4, 0])[1]


@pytest.mark.parametrize(("comparison", "spikes"), [(">", 0.0), (">=", 1.0)])
def test_comparisons(comparison: str, spikes: float) -> None:
    assert steps(lif(), [1.0], comparison=comparison)[0] == [spikes]


@pytest.mark.parametrize(
    ("reset", "v"), [("zero", [0.0, 0.0]), ("value", [-0.5, -0.25]), ("subtract", [1.5, 0.75]), ("none", [3.0, 1.5])]
)
def test_resets(reset: str, v: list[float]) -> None:
    assert steps(lif(reset=-0.5, theta=1.5), [3, 0], reset=reset)[1] == v


def test_several_spikes_in_a_step() -> None:
    assert steps(lif(), [3.5], reset="subtract", multi_spike=True) == ([3.0], [0.5])


def test_the_lower_bound() -> None:
    assert steps(lif(theta=2), [-9, 0], v_min=-1.5)[1] == [-3.0, -1.5]


@pytest.mark.parametrize(
    ("reset", "when", "v"),
    [
        ("zero", "at_once", [0.0, 0.5]),
        ("zero", "next_start", [3.0, 0.5]),
        ("zero", "next_end", [3.0, 0.0]),
        ("subtract", "at_once", [2.0, 0.5]),
        ("subtract", "next_start", [3.0, 1.5]),
        ("subtract", "next_end", [3.0, 1.0]),
    ],
)
def test_when_neurons_reset(reset: str, when: str, v: list[float]) -> None:
    spikes, potential = steps(lif(), [3, 0.5], reset=reset, reset_when=when)
    assert spikes[0] == 1.0
    assert potential == v


def test_a_carried_reset_lowers_the_next_comparison() -> None:
    # v = 3 fires, leaves 2 > 1; the next 1.5 is compared as 0.5 and stays.
    assert steps(lif(), [3, 0.5], reset="subtract", reset_when="carried") == ([1.0, 0.0], [2.0, 1.5])
    assert steps(lif(), [3, 0.5], reset="subtract") == ([1.0, 1.0], [2.0, 0.5])


@pytest.mark.parametrize("update", ["product", "increment"])
def test_single_precision_rounds_every_operation(update: str) -> None:
    node = lif(tau=3.0, r=1.0, theta=100)
    cell = Cell.of(node, (1, 1), BASE.having(update=update, dtype="float32"))
    keep, lose, x, v = np.float32(1 - 1 / 3.0), np.float32(1 / 3.0), np.float32(0.1), np.float32(0)
    for step in range(50):
        cell.advance(np.full((1, 1), x), step)
        v = keep * v + lose * x if update == "product" else v + lose * (x - v)
        assert cell.v.dtype == np.float32
        assert cell.v[0, 0] == v
