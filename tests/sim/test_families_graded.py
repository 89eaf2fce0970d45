"""Families that send numbers, graded inputs, and how both are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_programs import chip_with
from sim_programs import fed, traced

from snnport.encoders import Stimulus
from snnport.errors import InvalidGraph, InvalidInput
from snnport.program import Dense, Diagonal, Neuron, Population, Program, Projection, Slice, SumPool
from snnport.sim.engine import run

pytestmark = pytest.mark.usefixtures("unexpected_overflow")


def test_graded_sends_what_exceeds_its_threshold_and_keeps_nothing():
    spikes, v, counts = traced("graded", [5, -7, 4, 0, -4], v_threshold=4)
    assert (spikes, v) == ([5, -7, 0, 0, 0], [0] * 5)
    assert counts.spikes["cell"] == 2


def test_graded_shifts_toward_minus_infinity():
    assert traced("graded", [5, -5, 1, -1], shift=1)[0] == [2, -3, 0, -1]
    assert traced("graded", [5, -5], shift=1, bias=3)[0] == [4, -1]


def test_graded_relu_sends_nothing_negative():
    assert traced("graded_relu", [5, -7, 3, 0])[0] == [5, 0, 3, 0]
    assert traced("graded_relu", [5, -7, 3, 0], v_threshold=3)[0] == [5, 0, 0, 0]
    assert traced("graded_relu", [5, -7], bias=8)[0] == [13, 1]


@pytest.mark.saturates
def test_a_bounded_value_saturates():
    spikes, _, counts = traced("graded", [500, -500, 7], v_min=-128, v_max=127)
    assert (spikes, counts.v_saturations["cell"]) == ([127, -128, 7], 2)


def test_delta_sends_changes_and_remembers_what_it_sent():
    spikes, v, _ = traced("delta", [5, 6, 8, 8, 0, 0], v_threshold=3)
    assert (spikes, v) == ([5, 0, 3, 0, -8, 0], [5, 5, 8, 8, 0, 0])
    assert traced("delta", [5, 5], v_threshold=1, bias=-2)[0] == [3, 0]


def test_sigma_delta_sums_changes_and_sends_its_own():
    spikes, v, _ = traced("sigma_delta", [5, 1, -20, 3, 16], v_threshold=2)
    # x = max(0, v): 5, 6, 0, 0, 5; 6 - 5 is too small to send, and is sent later as part of what follows.
    assert (spikes, v) == ([5, 0, -5, 0, 5], [5, 6, -14, -11, 5])
    assert traced("sigma_delta", [5, -20], v_threshold=1, rectify=0)[0] == [5, -20]
    assert traced("sigma_delta", [0, 0, 2], v_threshold=1, bias=4)[0] == [4, 0, 2]


def vector(family, codes, **params):
    neuron = Neuron(family, {name: np.asarray(value) for name, value in params.items()})
    return Population(family, (len(codes),), neuron), Dense(np.asarray(codes))


def test_streamed_sigma_delta_equals_the_network_on_each_frame():
    """Differences in, differences through two layers, differences out: their running sum is the plain network's output."""
    rng = np.random.default_rng(5)
    frames = rng.integers(0, 16, (3, 8, 12))
    a, b = rng.integers(-7, 8, (9, 12)), rng.integers(-7, 8, (4, 9))
    bias = rng.integers(-40, 40, 9)
    first, wa = vector("sigma_delta", a, v_threshold=1, bias=bias)
    populations = (
        Population("in", (12,), Neuron("input", {"graded": np.array(1)})),
        Population("encode", (12,), Neuron("delta", {"v_threshold": np.array(1)})),
        first,
        Population("out", (4,), Neuron("integrator", {})),
    )
    wires = (
        Projection("e", "in", "encode", Diagonal(np.ones(12, np.int8)), delay=0),
        Projection("a", "encode", "sigma_delta", wa, delay=0),
        Projection("b", "sigma_delta", "out", Dense(b), delay=0),
    )
    slices = tuple(Slice(p.name, 0, 0, p.size) for p in populations[1:])
    program = Program("cpu", chip_with(), populations, wires, slices, ("in",), ("out",), 8)
    v = run(program, Stimulus(frames, None, 8), record_v=["out"]).trace.v["out"]
    np.testing.assert_array_equal(v, np.maximum(frames @ a.T + bias, 0) @ b.T)


def test_an_event_counts_once_whatever_it_carries():
    """Multiplicity and payload are two things: three spikes are three events, the payload 3 is one."""
    results = []
    for graded in (0, 1):
        program = fed("integrator", [10, 20, 30])
        source = Population("in", (3,), Neuron("input", {"graded": np.array(graded)}))
        program = replace(program, populations=(source, program.populations[1]), n_steps=1, outputs=("in", "cell"))
        results.append(run(program, Stimulus(np.array([[[3, 0, 2]]]), None, 1), record_spikes=["in"]))
    spikes, numbers = results
    for result in results:
        assert result.final_v["cell"][0, 0] == 3 * 10 + 2 * 30
        np.testing.assert_array_equal(result.trace.spikes["in"], [[[3, 0, 2]]])
    assert (spikes.counts.spikes["in"], numbers.counts.spikes["in"]) == (5, 2)
    assert (spikes.counts.synaptic_operations["w"], numbers.counts.synaptic_operations["w"]) == (5, 2)
    assert (spikes.counts.messages["in"], numbers.counts.messages["in"]) == (5, 2)
    assert spikes.counts.cycles[0] - numbers.counts.cycles[0] == 3 * 5
    np.testing.assert_array_equal(numbers.spike_counts["in"], [[1, 0, 1]])
    np.testing.assert_array_equal(numbers.payload_sums["in"], [[3, 0, 2]])
    assert spikes.payload_sums == {}


def test_a_window_sums_payloads_that_cancel():
    pool = SumPool((1, 1, 4), (1, 2), (1, 1), (0, 0, 0, 0))
    populations = (
        Population("in", (1, 1, 4), Neuron("input", {"graded": np.array(1)})),
        Population("out", (3,), Neuron("integrator", {})),
    )
    wire = Projection("w", "in", "out", Diagonal(np.array([1, 10, 100])), pool, 0)
    program = Program("cpu", chip_with(), populations, (wire,), (Slice("out", 0, 0, 3),), ("in",), ("out",), 1)
    result = run(program, Stimulus(np.array([[[5, -5, 5, 7]]]), None, 1))
    np.testing.assert_array_equal(result.final_v["out"], [[0, 0, 1200]])


def test_refused_payloads():
    program = fed("integrator", [1, 1, 1])
    for x, match in ((np.full((1, 3, 3), -1), "span -1..1"), (np.full((1, 3, 3), 1 << 31), "2147483648")):
        with pytest.raises(InvalidInput, match=match):
            run(program, Stimulus(x, None, 3))
    graded = Population("in", (3,), Neuron("input", {"graded": np.array(1)}))
    program = replace(program, populations=(graded, program.populations[1]))
    assert run(program, Stimulus(np.full((1, 3, 3), -1), None, 3)).final_v["cell"][0, 0] == -9
    with pytest.raises(InvalidInput, match=r"span 0\.\.2147483648"):
        run(program, Stimulus(np.full((1, 3, 3), -(1 << 31)), None, 3))


@pytest.mark.parametrize(
    ("family", "params", "match"),
    [
        ("graded", {"v_threshold": -1}, "v_threshold spans -1"),
        ("graded", {"shift": -1}, "shift spans -1"),
        ("graded", {"v_min": 1}, r"0 does not lie within v_min\.\.v_max"),
        ("graded_relu", {"v_min": 3, "v_max": 2}, "v_min is above v_max"),
        ("graded", {"bias": 1 << 31}, r"a neuron may send 2147483649, 2\^31 - 1 is the limit\. Give it v_min"),
        ("delta", {"v_threshold": 0}, "v_threshold spans 0"),
        ("sigma_delta", {"v_threshold": 1, "rectify": 2}, "rectify spans 2"),
        ("sigma_delta", {"v_threshold": 1, "bias": 1 << 30}, "a neuron may send"),
    ],
)
def test_refused_parameters_of_graded_neurons(family, params, match):
    with pytest.raises(InvalidGraph, match=match):
        traced(family, [1], **params)


def test_an_input_is_graded_as_a_whole():
    program = fed("integrator", [1, 1])
    half = Population("in", (2,), Neuron("input", {"graded": np.array([0, 1])}))
    with pytest.raises(InvalidGraph, match="some of its neurons are graded"):
        run(replace(program, populations=(half, program.populations[1])), Stimulus(np.ones((1, 2, 2), int), None, 2))


def test_a_generator_of_values_sends_numbers():
    params = {"time": np.array([0, 2, 2, 1, 1]), "index": np.array([0, 0, 0, 1, 1]), "value": np.array([7, -3, 1, 5, -5])}
    source = Population("source", (2,), Neuron("generator", params))
    cell = Population("cell", (2,), Neuron("integrator", {}))
    wire = Projection("wire", "source", "cell", Diagonal(np.array([10, 100], np.int8)))
    chip = chip_with()
    program = Program("cpu", chip, (source, cell), (wire,), (Slice("cell", 0, 0, 2),), (), ("cell",), 4)
    result = run(program, Stimulus(np.zeros((1, 4, 0), np.int32), None, 4), record_spikes=["source"], record_v=["cell"])
    assert result.trace.spikes["source"][0].tolist() == [[7, 0], [0, 0], [-2, 0], [0, 0]]
    assert result.trace.v["cell"][0].tolist() == [[0, 0], [70, 0], [70, 0], [50, 0]]
    assert result.counts.spikes["source"] == 2
    assert result.counts.synaptic_operations["wire"] == 2
