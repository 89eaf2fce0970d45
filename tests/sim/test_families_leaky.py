"""lif and alif on hand-written numbers: the tables of docs/semantics.md, and the edges."""

from __future__ import annotations

import pytest
from sim_programs import traced

from snnport.errors import InvalidGraph

pytestmark = pytest.mark.usefixtures("unexpected_overflow")


@pytest.mark.parametrize(
    ("v", "params", "after"),
    [
        (-65, {"decay": 2048}, -32),
        (65, {"decay": 2048}, 32),
        (1, {"decay": 1}, 0),
        (-1, {"decay": 1}, 0),
        (5, {"decay": 4096}, 0),
        (-65, {"decay_shift": 1}, -32),
        (65, {"decay_shift": 1}, 33),
        (1, {"decay_shift": 4}, 1),
        (-1, {"decay_shift": 4}, 0),
        (7, {"decay_shift": 0}, 0),
        (7, {}, 7),
    ],
)
def test_the_two_decays_of_lif(v, params, after):
    # Both paths of the engine: without and with a bound.
    for more in ({}, {"v_min": -100}):
        assert traced("lif", [0], v_init=v, v_threshold=1000, **params, **more)[1] == [after]


def test_a_decay_of_64_bits_is_exact():
    big = (1 << 60) - 1
    assert traced("lif", [0], v_init=big, v_threshold=1 << 61, decay=1)[1] == [big * 4095 >> 12]
    assert traced("lif", [0], v_init=-big, v_threshold=1 << 61, decay=1)[1] == [-(big * 4095 >> 12)]


def test_lif_decays_then_adds_then_fires():
    spikes, v, _ = traced("lif", [8, 8, 0, 8], v_threshold=10, decay=2048)
    assert (spikes, v) == ([0, 1, 0, 0], [8, 2, 1, 8])
    spikes, v, _ = traced("lif", [8, 8, 0, 8], v_threshold=10, decay=2048, reset=1, v_reset=-4)
    assert (spikes, v) == ([0, 1, 0, 0], [8, -4, -2, 7])


def test_lif_with_bias_decays_without_arrivals():
    spikes, v, _ = traced("lif", [0, 0, 0, 0], v_threshold=6, decay=2048, bias=4)
    assert (spikes, v) == ([0, 1, 0, 1], [4, 0, 4, 0])


def test_lif_with_several_spikes_a_step():
    spikes, v, _ = traced("lif", [17, 0], v_threshold=5, max_spikes=10, decay_shift=1)
    assert (spikes, v) == ([3, 0], [2, 1])


def test_lif_rests_after_a_spike():
    # Two steps lose what arrives, and v stands still; then decay and arrivals go on.
    spikes, v, _ = traced("lif", [13, 100, 100, 4, 0], v_threshold=10, decay=2048, refractory=2)
    assert (spikes, v) == ([1, 0, 0, 0, 0], [3, 3, 3, 5, 2])
    spikes, v, _ = traced("lif", [10, 10, 10, 10, 10], v_threshold=10, reset=1, refractory=1)
    assert (spikes, v) == ([1, 0, 1, 0, 1], [0] * 5)


@pytest.mark.saturates
def test_lif_saturates_behind_decay_and_bias():
    spikes, v, counts = traced("lif", [50, -300, 0], v_threshold=1000, v_min=-100, v_max=40, decay=2048, bias=2)
    assert (spikes, v, counts.v_saturations["cell"]) == ([0] * 3, [40, -100, -48], 2)


def test_alif_raises_its_threshold_at_every_spike():
    spikes, v, _ = traced("alif", [10, 10, 16, 0], v_threshold=10, a_step=8, a_decay=2048)
    # a decays to 0, 4, 2 and 5 before it is compared; the spikes add 8 after that.
    assert (spikes, v) == ([1, 0, 1, 1], [0, 10, 16, 6])


def test_the_three_resets_of_alif():
    rest = {"v_threshold": 10, "a_step": 4}
    assert traced("alif", [10, 20], **rest)[:2] == ([1, 1], [0, 10])
    assert traced("alif", [10, 20], **rest, reset=1, v_reset=-3)[:2] == ([1, 1], [-3, -3])
    assert traced("alif", [10, 20], **rest, reset=2)[:2] == ([1, 1], [0, 6])
    assert traced("alif", [10, 13], **rest, reset=2)[:2] == ([1, 0], [0, 13])


def test_the_adaptation_of_alif_decays_by_shift():
    # a = 9 after the spike; 9 - (9 >> 1) = 5, 5 - 2 = 3, 3 - 1 = 2, 2 - 1 = 1, 1 - 0 = 1.
    for t, a in ((1, 5), (2, 3), (3, 2), (4, 1), (5, 1)):
        for short in (0, 1):
            arrivals = [10] + [0] * (t - 1) + [10 + a - short]
            assert traced("alif", arrivals, v_threshold=10, a_step=9, a_decay_shift=1)[0] == [1] + [0] * (t - 1) + [1 - short]


@pytest.mark.parametrize(
    ("family", "params", "match"),
    [
        ("lif", {"v_threshold": 1, "decay": 4097}, r"decay spans 4097\.\.4097, the range is 0\.\.4096"),
        ("lif", {"v_threshold": 1, "decay_shift": 63}, "decay_shift spans 63"),
        ("lif", {"v_threshold": 1, "decay": 1, "decay_shift": 0}, "both decay and decay_shift"),
        ("lif", {"v_threshold": 1, "refractory": -1}, "refractory spans -1"),
        ("lif", {"v_threshold": 1, "reset": 2}, "reset is neither 0"),
        ("alif", {"v_threshold": 1, "a_step": 1, "reset": 3}, r"nor 2 \(subtract all\)"),
        ("alif", {"v_threshold": 1, "a_step": -1}, "a_step spans -1"),
        ("alif", {"v_threshold": 1, "a_step": 1, "a_decay": 3, "a_decay_shift": 1}, "both a_decay and a_decay_shift"),
        ("alif", {"v_threshold": 1, "a_step": 1, "v_min": 2, "v_max": 1}, "v_min is above v_max"),
    ],
)
def test_refused_parameters_of_leaky_neurons(family, params, match):
    with pytest.raises(InvalidGraph, match=match):
        traced(family, [1], **params)
