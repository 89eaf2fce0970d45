"""xylo and dynap: every spike is met on its own, in a fixed order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_programs import chip_with
from sim_programs import fed, traced

from snnport.encoders import Stimulus
from snnport.errors import InvalidGraph
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Slice, Sparse, SumPool
from snnport.sim.engine import run

pytestmark = pytest.mark.usefixtures("unexpected_overflow")

SLOW = {"v_threshold": 32767, "dash_mem": 15, "dash_syn": 15}
DEAF = {"v_threshold": 32767, "dash_mem": 0, "dash_syn": 15}
"""With dash_mem 0, v forgets everything and shows I of this step."""


def met(family, codes, spikes=None, **params):
    """(spikes, v, counts) of one neuron that meets sources of these codes in one step, all of them once by default."""
    codes = np.array([codes])
    n = codes.shape[1]
    neuron = Neuron(family, {name: np.asarray(value) for name, value in params.items()})
    populations = Population("in", (n,), Neuron("input", {})), Population("cell", (1,), neuron)
    wire = Projection("w", "in", "cell", Dense(codes), delay=0)
    program = Program("cpu", chip_with(), populations, (wire,), (Slice("cell", 0, 0, 1),), ("in",), ("cell",), 1)
    x = np.ones((1, 1, n), int) if spikes is None else np.array([[spikes]])
    result = run(program, Stimulus(x, None, 1), record_spikes=["cell"], threads=1)
    return int(result.trace.spikes["cell"][0, 0, 0]), int(result.final_v["cell"][0, 0]), result.counts


def test_dynap_fires_once_an_event_and_keeps_the_rest():
    assert met("dynap", [25], v_threshold=10)[:2] == (1, 15)
    assert met("dynap", [25, 0], v_threshold=10)[:2] == (2, 5)
    assert met("dynap", [25, 0], [1, 3], v_threshold=10)[:2] == (2, 5)
    assert met("dynap", [25, 1], v_threshold=10, reset=1, v_reset=-3)[:2] == (1, -2)


def test_dynap_depends_on_the_order_of_events():
    """The running maximum of the sums, in units of the threshold, rather than the last sum."""
    assert met("dynap", [10, -10], v_threshold=10)[:2] == (1, -10)
    assert met("dynap", [-10, 10], v_threshold=10)[:2] == (0, 0)
    # A source's spikes come one after another: +6 +6 -6 -6 crosses 10, +6 -6 +6 -6 would not.
    assert met("dynap", [6, -6], [2, 2], v_threshold=10)[:2] == (1, -10)


@pytest.mark.parametrize("seed", range(5))
def test_dynap_fires_as_often_as_the_closed_form_says(seed):
    """n = max(0, max over events of floor((v_init + prefix sum) / v_threshold)) where no weight exceeds the threshold."""
    weights = np.random.default_rng(seed).integers(-100, 101, 60)
    threshold = 100
    spikes, v, _ = met("dynap", weights, v_threshold=threshold, v_init=threshold // 2)
    n = max(0, ((threshold // 2 + np.cumsum(weights)) // threshold).max())
    assert (spikes, v) == (n, threshold // 2 + weights.sum() - n * threshold)


@pytest.mark.saturates
def test_dynap_is_clipped_below_at_every_event():
    spikes, v, counts = met("dynap", [-30, 12, -2], v_threshold=10, v_min=-5)
    assert (spikes, v, counts.v_saturations["cell"]) == (0, 5, 1)
    spikes, v, counts = met("dynap", [12] * 5, v_threshold=10, max_spikes=2)
    assert (spikes, v, counts.v_saturations["cell"]) == (2, 40, 3)


def test_dynap_takes_its_bias_as_the_first_event_of_a_step():
    spikes, v, _ = traced("dynap", [0, -6, 0], v_threshold=10, bias=6)
    assert (spikes, v) == ([0, 1, 0], [6, -4, 2])


def test_dynap_meets_projections_in_their_order_and_maps_in_c_order():
    """A convolution's target is stored with the channels last; what it feeds still meets its spikes channel by channel."""
    start = {"v_threshold": np.array(1), "v_init": np.array([0, 1, 1, 0, 0, 1, 1, 0])}
    source = Population("map", (2, 2, 2), Neuron("if", start))
    cell = Population("cell", (1,), Neuron("dynap", {"v_threshold": np.array(10)}))
    silent = Population("in", (1, 3, 3), Neuron("input", {}))
    kernel = Conv(np.ones((2, 1, 2, 2), np.int8), (1, 3, 3), (1, 1), (0, 0, 0, 0))
    # In C order 1, 2, 5, 6 fire: +9, -9, +9, +1. Channels last would be +9 (1), +9 (5): two spikes.
    codes = np.array([[0, 9, -9, 0, 0, 9, 1, 0]])
    wires = (Projection("k", "in", "map", kernel), Projection("w", "map", "cell", Dense(codes), delay=0))
    program = Program(
        "cpu",
        chip_with(),
        (silent, source, cell),
        wires,
        (Slice("map", 0, 0, 8), Slice("cell", 0, 0, 1)),
        ("in",),
        ("cell",),
        1,
    )
    result = run(program, Stimulus(np.zeros((1, 1, 9), int), None, 1), threads=1)
    assert (result.spike_counts["cell"][0, 0], result.final_v["cell"][0, 0]) == (1, 0)


def test_dynap_meets_a_spike_once_in_every_window_that_holds_it():
    pool = SumPool((1, 1, 3), (1, 2), (1, 1), (0, 0, 0, 0))
    populations = (
        Population("in", (1, 1, 3), Neuron("input", {})),
        Population("cell", (1,), Neuron("dynap", {"v_threshold": np.array(10)})),
    )
    wire = Projection("w", "in", "cell", Dense(np.array([[12, -4]])), pool, 0)
    program = Program("cpu", chip_with(), populations, (wire,), (Slice("cell", 0, 0, 1),), ("in",), ("cell",), 1)
    # Neuron 0 is in window 0, neuron 1 in both, neuron 2 in window 1: 12 | 12 -4 | -4.
    result = run(program, Stimulus(np.ones((1, 1, 3), int), None, 1), threads=1)
    assert (result.spike_counts["cell"][0, 0], result.final_v["cell"][0, 0]) == (2, -4)
    assert result.counts.synaptic_operations["w"] == 4


@pytest.mark.saturates
def test_xylo_saturates_at_every_spike():
    # 300 spikes of 127 fill 16 bits; what comes after counts from there. I loses 1 of 2^15 before v takes it.
    _, v, counts = met("xylo", [127 << 6, -100], [5, 1], **DEAF)
    assert (v, counts.v_saturations["cell"]) == (32767 - 100 - 1, 1)
    _, v, counts = met("xylo", [-100, 127 << 6], [1, 5], **DEAF)
    assert (v, counts.v_saturations["cell"]) == (32767 - 1, 1)


def test_xylo_decays_by_shift_and_at_least_by_one():
    # The arrivals decay before v takes them: 100 - 25 = 75, 75 - 18, 57 - 14.
    _, v, _ = traced("xylo", [100, 0, 0], v_threshold=32767, dash_mem=0, dash_syn=2)
    assert v == [75, 57, 43]
    _, v, _ = traced("xylo", [-100, 0, 0], v_threshold=32767, dash_mem=0, dash_syn=2)
    assert v == [-75, -56, -42]
    _, v, _ = traced("xylo", [3, 0, 0, 0], v_threshold=32767, dash_mem=0, dash_syn=4)
    assert v == [2, 1, 0, 0]
    _, v, _ = traced("xylo", [8, 0, 0], v_threshold=32767, dash_mem=1, dash_syn=0, bias=20)
    assert v == [20, 30, 35]


def test_xylo_fires_up_to_its_most():
    fast = {"dash_mem": 15, "dash_syn": 1}
    assert traced("xylo", [200, 0], v_threshold=10, **fast)[:2] == ([10, 5], [0, 0])
    assert traced("xylo", [200, 0], v_threshold=10, max_spikes=1, **fast)[:2] == ([1, 1], [90, 129])
    assert traced("xylo", [2000, 0], v_threshold=10, **fast)[0] == [31, 31]


def test_xylo_hands_spikes_to_its_alias():
    """To a later neuron before it is evaluated, to an earlier one after it was."""
    for alias, codes, spikes in (([1, -1], [40, 20], [2, 3]), ([-1, 0], [40, 20], [3, 1]), ([1, -1], [4000, 20], [31, 31])):
        neuron = {"v_threshold": np.array(10), "dash_mem": np.array(15), "dash_syn": np.array(1), "alias": np.array(alias)}
        populations = Population("in", (1,), Neuron("input", {})), Population("cell", (2,), Neuron("xylo", neuron))
        wire = Projection("w", "in", "cell", Dense(np.array(codes)[:, None]), delay=0)
        program = Program("cpu", chip_with(), populations, (wire,), (Slice("cell", 0, 0, 2),), ("in",), ("cell",), 1)
        result = run(program, Stimulus(np.ones((1, 1, 1), int), None, 1), threads=1)
        np.testing.assert_array_equal(result.spike_counts["cell"], [spikes])


def test_xylo_has_two_synaptic_states():
    program = fed("xylo", [64, 0, 0], **DEAF, dash_syn_2=2)
    second = replace(program, projections=(replace(program.projections[0], port=1),))
    stimulus = Stimulus(np.eye(3, dtype=np.uint8)[None], None, 3)
    first_v, second_v = (run(p, stimulus, record_v=["cell"]).trace.v["cell"].ravel().tolist() for p in (program, second))
    assert (first_v, second_v) == ([63, 62, 61], [48, 36, 27])


@pytest.mark.saturates
def test_xylo_wraps_the_one_loss_that_16_bits_cannot_hold():
    _, v, counts = traced("xylo", [-32768, 0, 0], v_threshold=32767, dash_mem=0, dash_syn=15, bias=-32768)
    assert v[0] == -32768
    assert v[1] == -32768
    assert counts.u_wraps["cell"] == 2


def test_a_pair_listed_twice_is_met_in_the_order_of_the_list():
    neuron = Neuron("dynap", {"v_threshold": np.array(10)})
    populations = Population("in", (1,), Neuron("input", {})), Population("cell", (1,), neuron)
    for codes, spikes in (([10, -10], 1), ([-10, 10], 0)):
        pair = Sparse(np.array(codes), np.zeros(2, np.int64), np.zeros(2, np.int64), (1, 1))
        wire = Projection("w", "in", "cell", pair, delay=0)
        program = Program("cpu", chip_with(), populations, (wire,), (Slice("cell", 0, 0, 1),), ("in",), ("cell",), 1)
        assert run(program, Stimulus(np.ones((1, 1, 1), int), None, 1)).spike_counts["cell"][0, 0] == spikes


@pytest.mark.parametrize(
    ("family", "params", "match"),
    [
        ("xylo", {**SLOW, "v_threshold": 0}, r"v_threshold spans 0\.\.0, the range is 1\.\.32767"),
        ("xylo", {**SLOW, "dash_mem": 16}, "dash_mem spans 16"),
        ("xylo", {**SLOW, "max_spikes": 32}, "max_spikes spans 32"),
        ("xylo", {**SLOW, "alias": 1}, r"alias spans 1\.\.1, the range is -1\.\.0"),
        ("dynap", {"v_threshold": 0, "max_spikes": 1}, "v_threshold is 0, at least 1"),
        ("dynap", {"v_threshold": 1, "max_spikes": 0}, "max_spikes is 0"),
        ("dynap", {"v_threshold": 1, "max_spikes": 65536}, "max_spikes spans 65536"),
        ("dynap", {"v_threshold": 1, "reset": 2}, "reset is neither 0"),
    ],
)
def test_refused_parameters(family, params, match):
    with pytest.raises(InvalidGraph, match=match):
        traced(family, [1], **params)


def test_ports_that_are_not_there_are_refused():
    for program, ports in (
        (fed("if", [1], v_threshold=1), 1),
        (fed("xylo", [1], **SLOW), 1),
        (fed("xylo", [1], **SLOW, dash_syn_2=1), 2),
    ):
        wrong = replace(program, projections=(replace(program.projections[0], port=ports),))
        with pytest.raises(InvalidGraph, match=f"its port is {ports}, 'cell' has {ports}"):
            run(wrong, Stimulus(np.ones((1, 1, 1), int), None, 1))


def test_numbers_do_not_go_where_spikes_are_met_one_by_one():
    program = fed("dynap", [1], v_threshold=1)
    graded = replace(program.populations[0], neuron=Neuron("input", {"graded": np.array(1)}))
    with pytest.raises(InvalidGraph, match=r"'in' sends numbers, 'cell' of family 'dynap' takes single spikes"):
        run(replace(program, populations=(graded, program.populations[1])), Stimulus(np.ones((1, 1, 1), int), None, 1))
