"""The ANNs beside the spiking network: by hand, against limits that must hold, and the break-even rate as a fixed point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_programs import chip_with

from snnport.encoders import Stimulus
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Slice
from snnport.sim.baseline import compare, matched_bits, spike_rate, trained
from snnport.sim.engine import run
from snnport.sim.price_file import shipped
from snnport.sim.workload import workload_of

LEMAIRE = next(m for m in shipped() if m.analytic is not None)
FLAT = next(m for m in shipped() if m.name == "digital 45 nm")


def dense(levels=3, signed=False, control=True) -> Program:
    """10 inputs, 20 neurons, 5 outputs, with 8-bit codes; a generator opens the neurons."""
    rng = np.random.default_rng(0)
    neuron = Neuron("if", {"v_threshold": np.array(100), "v_init": np.array(50)})
    populations = [
        Population("in", (10,), Neuron("input", {})),
        Population("hidden", (20,), neuron),
        Population("out", (5,), Neuron("integrator", {})),
    ]
    links = [
        Projection("a", "in", "hidden", Dense(rng.integers(-127, 128, (20, 10))), None, 0),
        Projection("b", "hidden", "out", Dense(rng.integers(-127, 128, (5, 20))), None, 1),
    ]
    if control:
        fires = {"time": np.array([0]), "index": np.array([0])}
        populations.append(Population("control", (1,), Neuron("generator", fires)))
        links.append(Projection("c", "control", "hidden", Dense(np.full((20, 1), 1000)), None, 1))
    windows = {name: {"levels": levels} for name in ("in", "hidden")}
    meta = {"encoder": {"levels": levels, "signed": signed}, "windows": windows, "readout": "last"}
    places = (Slice("hidden", 0, 0, 20), Slice("out", 1, 0, 5))
    return Program("cpu", chip_with(), tuple(populations), tuple(links), places, ("in",), ("out",), 4, meta)


def work_of(program, rate=0.3, samples=6, seed=1):
    raster = (np.random.default_rng(seed).random((samples, 4, 10)) < rate).astype(np.int64)
    result = run(program, Stimulus(raster, None, 4), threads=1)
    return workload_of(program, result.counts)


def test_bits_that_say_as_much_as_spikes():
    assert [matched_bits(replace(work_of(dense()).layers[0], levels=n)) for n in (1, 2, 3, 4, 7, 8, 15, 16, 255)] == [
        *(1, 2, 2, 3, 3, 4, 4, 5, 8)
    ]


def test_the_anns_have_the_layers_of_the_trained_network():
    work = work_of(dense())
    assert [layer.name for layer in trained(work)] == ["a", "b"]
    matched, int8 = compare(work, FLAT).anns
    assert (matched.macs, int8.macs) == (6 * 300, 6 * 300)
    assert (matched.activation_bits, matched.weight_bits) == ((2, 2), (8, 8))
    assert (int8.activation_bits, int8.weight_bits) == ((8, 8), (8, 8))


def test_a_signed_input_comes_once():
    assert compare(work_of(dense(signed=True)), FLAT).anns[0].macs == 6 * (100 + 100)


def test_flat_prices_by_hand():
    _, int8 = compare(work_of(dense()), FLAT).anns
    per_sample = 300 * (0.2 + 0.1) + 25 * 0.2 + 300 * 3.47 + (10 + 20) * 1.25 + 25 * 1.25
    assert int8.joules[1] == pytest.approx(6 * per_sample * 1e-12, rel=1e-12)


def test_analytic_prices_by_hand():
    _, int8 = compare(work_of(dense()), LEMAIRE).anns
    slope = 10 / 8192 / 4
    first = 200 * 0.3 + 30 * 0.1 + slope * (200 * 200 + 10 * 10 + 20 * 20)
    second = 100 * 0.3 + 25 * 0.1 + slope * (100 * 100 + 20 * 20 + 5 * 5)
    assert int8.joules[1] == pytest.approx(6 * (first + second) * 1e-12, rel=1e-12)


@pytest.mark.parametrize("model", [LEMAIRE, FLAT], ids=lambda m: m.name)
def test_fewer_bits_cost_less(model):
    for levels in (1, 3, 15, 100):
        matched, int8 = compare(work_of(dense(levels)), model).anns
        assert matched.joules[1] < int8.joules[1]
    assert compare(work_of(dense(255)), model).anns[0].joules == pytest.approx(int8.joules, rel=1e-12)


@pytest.mark.parametrize("model", [LEMAIRE, FLAT], ids=lambda m: m.name)
def test_the_band_is_in_order_and_terms_add_up(model):
    got = compare(work_of(dense()), model)
    for ann in got.anns:
        assert 0 < ann.joules[0] <= ann.joules[1] <= ann.joules[2]
        for i in range(3):
            assert sum(line.joules[i] for line in ann.terms) == pytest.approx(ann.joules[i], rel=1e-12)


@pytest.mark.parametrize("model", [LEMAIRE, FLAT], ids=lambda m: m.name)
def test_at_the_break_even_rate_both_cost_the_same(model):
    # Without a generator all that moves is in proportion to the spikes of the input and of the hidden layer.
    work = work_of(dense(control=False), samples=20)
    got = compare(work, model)
    for ann, even in zip(got.anns, got.break_even, strict=True):
        factor = even.mid / got.spike_rate
        scaled = replace(
            work,
            layers=tuple(
                replace(layer, events=layer.events * factor, operations=layer.operations * factor) for layer in work.layers
            ),
            counts=replace(
                work.counts,
                spikes={name: n * factor for name, n in work.counts.spikes.items()},
                synaptic_operations={name: n * factor for name, n in work.counts.synaptic_operations.items()},
                weight_read_bytes=work.counts.weight_read_bytes * factor,
                **{
                    name: work.total(name) + work.moving(name) * (factor - 1)
                    for name in ("state_read_bytes", "state_write_bytes")
                },
            ),
            derived={**work.derived, "placed_spikes": work.derived["placed_spikes"] * factor},
        )
        assert compare(scaled, model).spiking[1] == pytest.approx(ann.joules[1], rel=1e-9)
        assert even.least <= even.mid <= even.most
        assert even.mid < even.event_driven


def test_a_network_that_loses_even_when_silent_breaks_even_at_zero():
    work = work_of(dense())
    idle = replace(work, counts=replace(work.counts, neuron_updates=10**9))
    assert [b.mid for b in compare(idle, FLAT).break_even] == [0.0, 0.0]
    assert all(b.event_driven > 0 for b in compare(idle, FLAT).break_even)


def test_a_silent_network_has_no_break_even_rate():
    got = compare(work_of(dense(control=False), rate=0.0), FLAT)
    assert (got.spike_rate, got.spikes_per_synapse) == (0.0, 0.0)
    assert [(b.least, b.mid, b.most, b.event_driven) for b in got.break_even] == [(None,) * 4] * 2


def test_rates():
    work = work_of(dense())
    counts = work.counts
    assert spike_rate(work) == pytest.approx((counts.spikes["in"] + counts.spikes["hidden"]) / (30 * 4 * 6), rel=1e-12)
    operations = sum(counts.synaptic_operations[name] for name in ("a", "b"))
    assert compare(work, FLAT).spikes_per_synapse == pytest.approx(operations / (300 * 6), rel=1e-12)


def test_convolutions_read_their_input_for_every_multiplication_or_once():
    populations = (
        Population("in", (1, 6, 6), Neuron("input", {})),
        Population("out", (2, 4, 4), Neuron("integrator", {})),
    )
    conv = Conv(np.full((2, 1, 3, 3), 5), (1, 6, 6), (1, 1), (0, 0, 0, 0))
    links = (Projection("c", "in", "out", conv, None, 0),)
    program = Program("cpu", chip_with(), populations, links, (Slice("out", 0, 0, 32),), ("in",), ("out",), 2)
    result = run(program, Stimulus(np.ones((1, 2, 36), np.int64), None, 2), threads=1)
    _, int8 = compare(workload_of(program, result.counts), FLAT).anns
    assert int8.macs == 2 * 16 * 9
    terms = {line.name: line for line in int8.terms}
    assert terms["activation bytes read"].joules[1] == pytest.approx(288 * 1.25e-12, rel=1e-12)
    assert terms["activation bytes read"].joules[0] == pytest.approx(36 * 1.25e-12, rel=1e-12)
    assert terms["weight bytes"].joules[0] == pytest.approx(18 * 1.25e-12, rel=1e-12)


def test_models_without_a_multiplication_have_no_ann():
    work = work_of(dense())
    for model in shipped():
        assert (compare(work, model) is None) == (model.multiply_pj is None)
    assert compare(work, replace(FLAT, terms={})) is None


def test_json_is_plain():
    data = compare(work_of(dense()), LEMAIRE).to_json()
    assert list(data) == ["model", "spiking", "spike_rate", "spikes_per_synapse", "anns", "break_even"]
    assert data["anns"][1]["name"] == data["break_even"][1]["against"] == "int8 ANN"
    assert set(data["spiking"]) == {"low_j", "mid_j", "high_j"}
