"""Neuron families on hand-written numbers, at the edges of their ranges."""

from __future__ import annotations

import numpy as np
import pytest
from sim_programs import traced

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.program import Neuron, Population
from snnport.sim.neurons import FAMILIES, family_of, parameters

pytestmark = pytest.mark.usefixtures("unexpected_overflow")

TOP = 1 << 23


def test_if_fires_at_the_threshold_and_subtracts_it():
    spikes, v, _ = traced("if", [4, 1, 0, 7, 0, 0], v_threshold=5)
    assert spikes == [0, 1, 0, 1, 0, 0]
    assert v == [4, 0, 0, 2, 2, 2]


def test_if_that_keeps_more_than_a_threshold_fires_again():
    spikes, v, _ = traced("if", [13, 0, 0, -3], v_threshold=5)
    assert (spikes, v) == ([1, 1, 0, 0], [8, 3, 3, 0])


def test_if_resets_to_a_value():
    spikes, v, _ = traced("if", [9, 0, 6], v_threshold=5, reset=1, v_reset=-2)
    assert (spikes, v) == ([1, 0, 0], [-2, -2, 4])


def test_if_with_several_spikes_a_step():
    spikes, v, _ = traced("if", [17, -9, 0], v_threshold=5, max_spikes=10)
    assert (spikes, v) == ([3, 0, 0], [2, -7, -7])
    spikes, v, _ = traced("if", [17, 0, 0], v_threshold=5, max_spikes=2)
    assert (spikes, v) == ([2, 1, 0], [7, 2, 2])
    spikes, v, _ = traced("if", [17, 0], v_threshold=5, max_spikes=2, reset=1)
    assert (spikes, v) == ([2, 0], [0, 0])


def test_if_with_bias_start_and_load():
    spikes, v, _ = traced("if", [0, 0, 1, 0], v_threshold=6, v_init=3, bias=1, load_step=2, v_load=-9)
    assert (spikes, v) == ([0, 0, 0, 0], [4, 5, -7, -6])
    spikes, v, _ = traced("if", [0, 0], v_threshold=6, load_step=0, v_load=7)
    assert (spikes, v) == ([1, 0], [1, 1])


@pytest.mark.saturates
def test_if_saturates_after_arrivals_and_bias_and_counts_it():
    spikes, v, counts = traced("if", [90, -300, 5, 0], v_threshold=1000, v_min=-100, v_max=80, bias=1)
    assert (spikes, v) == ([0] * 4, [80, -100, -94, -93])
    assert counts.v_saturations["cell"] == 2
    # A reset may leave the bounds; the next step brings v back.
    spikes, v, counts = traced("if", [7, 0], v_threshold=5, reset=1, v_reset=-9, v_min=-3)
    assert (spikes, v, counts.v_saturations["cell"]) == ([1, 0], [-9, -3], 1)


def test_if_with_a_threshold_below_one_gains_on_firing():
    spikes, v, _ = traced("if", [0, -1, 0], v_threshold=-2)
    assert (spikes, v) == ([1, 1, 1], [2, 3, 5])


def test_if_beyond_32_bits():
    spikes, v, _ = traced("if", [2**31 - 1] * 3, v_threshold=2**32)
    assert (spikes, v) == ([0, 0, 1], [2**31 - 1, 2**32 - 2, 3 * (2**31 - 1) - 2**32])


def test_integrator_never_fires():
    spikes, v, _ = traced("integrator", [5, -7, 0], v_init=100, bias=2)
    assert (spikes, v) == ([0, 0, 0], [107, 102, 104])


def test_cuba_decays_toward_zero():
    # du = 2047 keeps half of u, dv = 1024 keeps three quarters of v; 64 a unit of arrivals.
    _, v, _ = traced("cuba", [1, 0, 0, 0], du=2047, dv=1024, vth=100)
    u = [64, 32, 16, 8]
    assert v == [64, 48 + 32, 60 + 16, 57 + 8]
    _, v, _ = traced("cuba", [-1, 0, 0, 0], du=2047, dv=1024, vth=100)
    assert v == [-64, -80, -76, -65]
    assert sum(u) == 120


def test_cuba_fires_above_the_threshold_only_and_resets_to_zero():
    spikes, v, _ = traced("cuba", [10, 0, 1], du=4095, dv=0, vth=10)
    assert (spikes, v) == ([0, 0, 1], [640, 640, 0])


def test_cuba_bias():
    _, v, _ = traced("cuba", [0, 0], du=4095, dv=0, vth=1000, bias_mant=-3, bias_exp=2)
    assert v == [-12, -24]
    _, v, _ = traced("cuba", [0, 0], du=4095, dv=0, vth=1000, bias_mant=-3, bias_exp=-1)
    assert v == [-2, -4]


@pytest.mark.saturates
def test_cuba_wraps_u_and_clips_v():
    just, above = TOP // 64, TOP // 64 + 1
    _, v, counts = traced("cuba", [just, 0], du=4095, dv=4096, vth=1 << 17)
    # u = 2^23 does not wrap, v is clipped to 2^23 - 1, which is not above 2^17 * 64 = 2^23.
    assert (v, counts.u_wraps["cell"], counts.v_saturations["cell"]) == ([TOP - 1, 0], 0, 1)
    _, v, counts = traced("cuba", [above, 0], du=4095, dv=4096, vth=1 << 17)
    assert (v, counts.u_wraps["cell"]) == ([64 - TOP, 0], 1)
    _, v, counts = traced("cuba", [-just, 0], du=4095, dv=4096, vth=1 << 17)
    # u = -2^23 wraps to +2^23.
    assert (v, counts.u_wraps["cell"]) == ([TOP - 1, 0], 1)


def test_cuba_that_never_forgets_is_an_integrator_of_u():
    _, v, _ = traced("cuba", [1, 1, -1, 0], du=-1, dv=0, vth=1 << 17)
    assert v == [64, 64 + 128, 64 + 128 + 64, 64 + 128 + 64 + 64]


@pytest.mark.parametrize(
    ("family", "params", "match"),
    [
        ("if", {"v_threshold": 1, "vth": 1}, r"unknown parameters \['vth'\]"),
        ("if", {}, r"missing parameters \['v_threshold'\]"),
        ("if", {"v_threshold": [1, 2]}, r"shape \(2,\), \(\) or \(1,\)"),
        ("if", {"v_threshold": 1, "max_spikes": 0}, "max_spikes is 0"),
        ("if", {"v_threshold": 0, "max_spikes": 2}, "v_threshold is below 1"),
        ("if", {"v_threshold": 1, "reset": 2}, "reset is neither 0"),
        ("if", {"v_threshold": 1, "v_min": 2, "v_max": 1}, "v_min is above v_max"),
        ("cuba", {"du": 4096, "dv": 0, "vth": 1}, "du spans 4096..4096, the range is -1..4095"),
        ("cuba", {"du": 0, "dv": 0, "vth": -1}, "vth spans -1..-1"),
    ],
)
def test_refused_parameters(family, params, match):
    with pytest.raises(InvalidGraph, match=match):
        traced(family, [1], **params)


def test_an_unknown_family_is_refused():
    with pytest.raises(UnsupportedNode, match=r"no neuron family 'izhikevich'\. Known: input"):
        traced("izhikevich", [1])


def test_the_table_gives_every_parameter_a_value():
    neuron = Neuron("if", {"v_threshold": np.array(3)})
    population = Population("p", (4,), neuron)
    values = parameters(population)
    assert set(values) == {*FAMILIES["if"].required, *FAMILIES["if"].optional}
    assert all(v.shape == (4,) for v in values.values())
    assert family_of(population) is FAMILIES["if"]
