"""atrlif and cuba_reset on hand-written numbers; cuba is in test_neurons.py."""

from __future__ import annotations

import pytest
from sim_programs import traced

from snnport.errors import InvalidGraph

pytestmark = pytest.mark.usefixtures("unexpected_overflow")

PLAIN = {"du": 4095, "dv": 4096, "dtheta": 2048, "dr": 2048, "theta_0": 10, "theta_step": 4}
"""u and v forget at once, so that v is 64 a unit of arrivals."""


def test_atrlif_fires_at_the_threshold_and_does_not_reset():
    spikes, v, _ = traced("atrlif", [10, 9], **{**PLAIN, "dr": 4096, "dtheta": 4096})
    assert (spikes, v) == ([1, 0], [640, 576])


def test_atrlif_raises_threshold_and_refractoriness():
    # At the spike r = 2 * 640 and theta = 640 + 256. One step later r = 640, theta = 640 + 128: v = 1408 is 22 units.
    assert traced("atrlif", [10, 22], **PLAIN)[0] == [1, 1]
    assert traced("atrlif", [10, 21], **PLAIN)[0] == [1, 0]
    # Two steps later r = 320, theta = 640 + 64: 1024 is 16 units.
    assert traced("atrlif", [10, 0, 16], **PLAIN)[0] == [1, 0, 1]
    assert traced("atrlif", [10, 0, 15], **PLAIN)[0] == [1, 0, 0]
    # The second spike adds twice the threshold before it rises: r = 640 + 2 * 768, theta = 768 + 256; a step later
    # r = 1088 and theta = 640 + 192, together 1920, which is 30 units.
    assert traced("atrlif", [10, 22, 30], **PLAIN)[0] == [1, 1, 1]
    assert traced("atrlif", [10, 22, 29], **PLAIN)[0] == [1, 1, 0]


def test_atrlif_without_decay_keeps_what_it_learnt():
    # r = 1280, theta = 896 stay: 2176 is 34 units.
    still = {**PLAIN, "dtheta": 0, "dr": 0}
    assert traced("atrlif", [10, 0, 0, 0, 34], **still)[0] == [1, 0, 0, 0, 1]
    assert traced("atrlif", [10, 0, 0, 0, 33], **still)[0] == [1, 0, 0, 0, 0]


def test_atrlif_charges_like_cuba():
    slow = {**PLAIN, "du": 2047, "dv": 1024, "theta_0": 1000}
    _, v, _ = traced("atrlif", [1, 0, 0, 0], **slow)
    assert v == [64, 48 + 32, 60 + 16, 57 + 8]
    _, v, _ = traced("atrlif", [0, 0], **{**slow, "dv": 0}, bias_mant=-3, bias_exp=-1)
    assert v == [-2, -4]


@pytest.mark.saturates
def test_atrlif_wraps_u_and_clips_v():
    top = 1 << 23
    _, v, counts = traced("atrlif", [top // 64 + 1, 0], **{**PLAIN, "theta_0": 1 << 17})
    assert (v, counts.u_wraps["cell"]) == ([64 - top, 0], 1)
    _, v, counts = traced("atrlif", [top // 64, 0], **{**PLAIN, "theta_0": 1 << 17})
    assert (v, counts.u_wraps["cell"], counts.v_saturations["cell"]) == ([top - 1, 0], 0, 1)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"du": 4096}, r"du spans 4096\.\.4096"),
        ({"dtheta": 4097}, "dtheta spans 4097"),
        ({"dr": -1}, "dr spans -1"),
        ({"theta_0": -1}, "theta_0 spans -1"),
        ({"theta_step": (1 << 17) + 1}, "theta_step spans 131073"),
    ],
)
def test_refused_parameters_of_atrlif(changes, match):
    with pytest.raises(InvalidGraph, match=match):
        traced("atrlif", [1], **{**PLAIN, **changes})


KEEPS = {"du": 4095, "dv": 0, "vth": 100}
"""v is the sum of what arrived, 64 a unit."""


def test_cuba_reset_forgets_before_it_integrates():
    # Steps 2 and 5 have the numbers 3 and 6.
    _, v, _ = traced("cuba_reset", [1, 2, 3, 0, 5, 7], **KEEPS, reset_interval=3)
    assert v == [64 * n for n in (1, 3, 3, 3, 8, 7)]


@pytest.mark.parametrize("offset", [1, 4, 7])
def test_cuba_reset_counts_from_its_offset(offset):
    _, v, _ = traced("cuba_reset", [1, 2, 3, 0, 5, 7], **KEEPS, reset_interval=3, reset_offset=offset)
    assert v == [64 * n for n in (1, 3, 6, 0, 5, 12)]


def test_cuba_reset_forgets_the_current_too():
    slow = {"du": 2047, "dv": 4096, "vth": 1000}
    _, v, _ = traced("cuba_reset", [64, 0, 0, 0], **slow, reset_interval=4, reset_offset=3)
    assert v == [4096, 2048, 0, 0]


def test_cuba_reset_fires_as_cuba_does_in_between():
    spikes, v, _ = traced("cuba_reset", [100, 1, 60, 50, 60], **KEEPS, reset_interval=4)
    assert (spikes, v) == ([0, 1, 0, 0, 1], [6400, 0, 3840, 3200, 0])


def test_cuba_reset_in_every_step_is_forgetting():
    _, v, _ = traced("cuba_reset", [3, 0, 4, 0], **KEEPS, reset_interval=1, bias_mant=1)
    assert v == [193, 1, 257, 1]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"reset_interval": 0}, r"reset_interval spans 0\.\.0"),
        ({"reset_interval": 4, "reset_offset": -1}, "reset_offset spans -1"),
        ({}, "missing parameters"),
        ({"reset_interval": 4, "du": 4096}, "du spans 4096"),
    ],
)
def test_refused_parameters_of_cuba_reset(changes, match):
    with pytest.raises(InvalidGraph, match=match):
        traced("cuba_reset", [1], **{**KEEPS, **changes})
