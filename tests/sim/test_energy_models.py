"""Workloads, the shipped price models on them, times, what-ifs, and price files that are refused."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_programs import chip_with, random_program

from snnport.encoders import Stimulus
from snnport.errors import InvalidInput, UnknownName
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Slice, SumPool
from snnport.sim.analytic import Widths, access_pj, spiking_lines, summed
from snnport.sim.baseline import compare
from snnport.sim.counts import TOTALS
from snnport.sim.energy import STATIC, estimates, machine_time_s, models_for, price, what_ifs_for
from snnport.sim.engine import run
from snnport.sim.network import Hops
from snnport.sim.price_file import load_model, shipped
from snnport.sim.price_model import PROVENANCES
from snnport.sim.workload import DERIVED, workload_of

NOT_EXPLAINED = ("samples", "steps", "cycles", "chips", "v_saturations", "u_wraps")
"""Counts that docs/semantics.md explains."""
MESH = {"mesh_width": 2, "mesh_height": 2, "cores_per_tile": 1, "cores": 4}


def small(**numbers) -> Program:
    """4x4 input, pooled 2x2 into a convolution of 3 channels, then 5 outputs; on cores 0, 1 and 3 of a 2x2 mesh."""
    populations = (
        Population("in", (1, 4, 4), Neuron("input", {})),
        Population("conv", (3, 2, 2), Neuron("if", {"v_threshold": np.array(2)})),
        Population("out", (5,), Neuron("integrator", {})),
    )
    pool = SumPool((1, 4, 4), (2, 2), (2, 2), (0, 0, 0, 0))
    conv = Conv(np.ones((3, 1, 1, 1), np.int64), (1, 2, 2), (1, 1), (0, 0, 0, 0))
    links = (
        Projection("c", "in", "conv", conv, pool, 1),
        Projection("d", "conv", "out", Dense(np.full((5, 12), 3)), None, 1),
    )
    places = (Slice("conv", 0, 0, 6), Slice("conv", 1, 6, 12), Slice("out", 3, 0, 5))
    meta = {
        "encoder": {"kind": "even", "step": 1.0, "levels": 3, "signed": False},
        "readout": "last",
        "windows": {"in": {"role": "input", "arrival": 0, "open": 0, "levels": 3}},
    }
    return Program("cpu", chip_with(**MESH, **numbers), populations, links, places, ("in",), ("out",), 4, meta)


def worked(program=None, raster=None, record=True):
    program = program or small()
    raster = np.ones((2, 4, 16), np.int64) if raster is None else raster
    names = [p.name for p in program.populations] if record else []
    result = run(program, Stimulus(raster, None, raster.shape[1]), record_spikes=names, threads=1)
    return workload_of(program, result.counts, result.trace if record else None), result


def test_derived_counts_by_hand():
    work, result = worked()
    # Every step 4 events arrive at each neuron of the map, from the second on, and it fires once (theta 2, one spike a step).
    assert result.counts.spikes == {"in": 128, "conv": 2 * 3 * 12, "out": 0}
    expected = {
        "neuron_updates_driven": 2 * (3 * 12 + 2 * 5),
        "neuron_updates_idle": 2 * 4 * 17 - 2 * (3 * 12 + 2 * 5),
        "placed_spikes": 72,
        "input_events": 128,
        "control_events": 0,
        "output_events": 0,
        "barriers": 8,
        "chip_messages": 0,
        "synaptic_operations_conv": 2 * 3 * 16 * 3,
        "synaptic_operations_dense": 2 * 2 * 12 * 5,
        "synaptic_operations_sparse": 0,
        "encoder_operations": 2 * (16 + 16 * 4),
        "readout_operations": 2 * 5 + 2 * 4,
        # From the corner the input goes to cores 0 (0 hops) and 1 (1 along y); the map to core 3: 2 hops and 1 along x.
        "hops_x": 36 + 36,
        "hops_y": 128 + 36,
        "hops": 36 + 36 + 128 + 36,
    }
    assert {name: work.total(name) for name in DERIVED} == expected
    assert work.network.hops == Hops(east=72, north=164)
    assert work.cells == {"conv": 12, "out": 5}


def test_readout_and_encoder_work():
    counts = worked()[1].counts
    program = small()

    def total(name, **meta):
        return workload_of(replace(program, meta={**program.meta, **meta}), counts).total(name)

    assert total("readout_operations", readout="max") == 2 * 5 * 4 + 2 * 4
    assert total("readout_operations", readout="count") == 0 + 2 * 4
    assert total("encoder_operations", encoder=None) == 0
    assert total("encoder_operations", encoder={"signed": True, "levels": 3}) == 2 * (8 + 16 * 4)


def test_layers():
    conv, dense = worked()[0].layers
    assert (conv.kind, conv.events, conv.operations, conv.sources, conv.targets) == ("conv", 128, 288, 4, 12)
    assert (conv.connections, conv.weights, conv.weight_bits, conv.kernel, conv.levels) == (12, 3, 2, 3, 3)
    assert (dense.kind, dense.events, dense.connections, dense.weights, dense.kernel) == ("dense", 72, 60, 60, 5)
    assert (dense.levels, dense.weight_bits, dense.controlled) == (4, 3, False)


def test_what_was_not_recorded_or_stated_is_unknown():
    work, _ = worked(record=False)
    assert (work.total("neuron_updates_driven"), work.total("neuron_updates_idle")) == (None, None)
    program = replace(small(), chip=chip_with())
    assert worked(program)[0].total("hops") is None
    program = replace(small(), chip=chip_with(lanes=8))
    no_clock = replace(worked()[0], counts=replace(worked()[1].counts, cycles=None))
    assert no_clock.total("cycles") is None
    with pytest.raises(UnknownName, match="Did you mean 'hops'"):
        work.total("hop")


@given(st.integers(0, 10**6))
def test_a_workload_of_any_program(seed):
    program, raster = random_program(seed, every=True)
    work, result = worked(program, raster.astype(np.int64))
    assert work.total("neuron_updates_driven") + work.total("neuron_updates_idle") == result.counts.neuron_updates
    assert sum(layer.operations for layer in work.layers) == work.total("synaptic_operations")
    for name in (*TOTALS, *DERIVED):
        assert 0 <= work.moving(name) <= max(0, work.total(name) or 0)
    for model in shipped():
        estimate = price(work, model, 1.0)
        assert 0 <= estimate.low_j <= estimate.mid_j <= estimate.high_j < math.inf


@pytest.mark.parametrize("model", shipped(), ids=lambda m: m.name)
def test_shipped_models_say_what_they_are(model):
    assert model.provenance in PROVENANCES
    assert model.unpriced
    assert model.targets
    sources = [entry.pj.source for entry in model.terms.values()]
    assert all(any(c.isdigit() for c in source) for source in sources)
    assert len({m.name for m in shipped()}) == len(shipped())


@pytest.mark.parametrize(
    ("target", "own", "others"),
    [
        ("cpu", 2, 3),
        ("loihi2", 2, 1),
        ("speck2f", 1, 1),
        ("tinyodin", 1, 0),
        ("xylo_audio2", 1, 0),
        ("abacus", 0, 0),
    ],
)
def test_models_of_a_target(target, own, others):
    assert (len(models_for(target)), len(what_ifs_for(target))) == (own, others)


def test_side_by_side():
    work, _ = worked()
    mine = replace(models_for("cpu")[0], name="mine")
    got = estimates(work, (*models_for("cpu"), mine), 1e-6, what_ifs_for("cpu"))
    assert [e.model for e in got] == [
        *("digital 45 nm", "analytic (Lemaire 2022)", "mine"),
        *("what if: Loihi 1 (Davies 2018)", "what if: Loihi 1 (SANA-FE)", "what if: ODIN"),
    ]
    assert [e.what_if for e in got] == [False, False, False, True, True, True]
    assert [e.to_json()["voltage"] for e in got] == [0.9, 0.9, 0.9, 0.75, None, 0.55]


def model_called(name):
    return next(m for m in shipped() if m.name == name)


def test_loihi_by_hand():
    work, result = worked()
    estimate = price(work, model_called("Loihi 1 (Davies 2018)"), None)
    operations, updates, active = 288 + 240, 2 * 4 * 17, work.total("neuron_updates_driven")
    messages = sum(result.counts.messages.values())
    assert messages == 128 * 2 + 72
    dynamic = operations * 23.6 + updates * 52 + active * 29 + messages * 1.7 + 72 * 3.0 + 164 * 4.0
    # The busiest core of the whole run holds the 5 outputs, to which 72 spikes are sent: what is known without the spikes.
    whole = 8 * 289e-9 + 360 * 3.5e-9 + 40 * 5.3e-9
    unknown, _ = worked(record=False)
    assert machine_time_s(unknown, model_called("Loihi 1 (Davies 2018)").time)[1] == pytest.approx(whole, rel=1e-12)
    assert (
        "waiting for the busiest core of each step (spikes were not recorded)"
        in price(unknown, model_called("Loihi 1 (Davies 2018)"), None).unpriced
    )
    # Step by step it is another core in some of them (test_steps.py).
    time = machine_time_s(work, model_called("Loihi 1 (Davies 2018)").time)[1]
    assert time > whole
    assert estimate.mid_j == pytest.approx(dynamic * 1e-12 + 0.104 * time, rel=1e-12)
    assert abs(estimate.terms[STATIC].count - time * 1e9) <= 1


def test_unknown_driven_neurons_are_priced_by_their_bounds():
    work, _ = worked(record=False)
    estimate = price(work, model_called("Loihi 1 (Davies 2018)"), None)
    term = estimate.terms["driven-neurons"]
    assert (term.low_j, term.count, term.high_j) == (0.0, 68, pytest.approx(136 * 29e-12, rel=1e-12))
    assert "how many driven-neurons: 0 to 136 are priced (spikes were not recorded)" in estimate.unpriced


def test_without_a_mesh_hops_are_unpriced():
    work, _ = worked(replace(small(), chip=chip_with()))
    estimate = price(work, model_called("Loihi 1 (SANA-FE)"), None)
    assert "hops-east-west (the hops_x of the run are not known)" in estimate.unpriced


def test_bare_counts_can_be_priced_as_far_as_they_go():
    estimate = price(worked()[1].counts, model_called("analytic (Lemaire 2022)"), 1.0)
    assert (estimate.mid_j, estimate.unpriced[-1]) == (0.0, "operations and memory accesses (the layers are not known)")


def test_powers_need_a_time():
    work, _ = worked()
    for name, watts in (("Speck at rest", 0.42e-3), ("Xylo Audio 2 (power)", 0.312e-3)):
        assert price(work, model_called(name), 2.0).mid_j == pytest.approx(2 * watts, rel=1e-12)
        assert price(work, model_called(name), None).mid_j == 0.0


def test_lemaire_by_hand():
    work, _ = worked()
    model = model_called("analytic (Lemaire 2022)").analytic
    got = {line.name: line for line in spiking_lines(work, model)}
    assert got["additions"].joules[1] == pytest.approx((528 + 72) * 0.1e-12, rel=1e-12)
    # 128 events of the convolution: 3 additions each, and two multiplications and additions; 72 of the dense layer: 5 each.
    assert got["addressing"].joules[1] == pytest.approx((128 * 3 + 72 * 5) * 0.1e-12 + 256 * 3.2e-12, rel=1e-12)
    pj_per_byte = 10 / 8192
    weights = 288 * 12 * pj_per_byte + 240 * 240 * pj_per_byte
    assert got["weight memory"].joules[1] == pytest.approx(weights * 1e-12, rel=1e-12)
    at_events = 2 * 288 * 48 * pj_per_byte + 2 * 240 * 20 * pj_per_byte
    assert got["potentials, at events"].joules[1] == pytest.approx(at_events * 1e-12, rel=1e-12)
    at_updates = 2 * 96 * 48 * pj_per_byte + 2 * 40 * 20 * pj_per_byte
    assert got["potentials, at updates"].joules[1] == pytest.approx(at_updates * 1e-12, rel=1e-12)
    assert got["spike queues"].joules[1] == pytest.approx((128 + 72 + 72) * 4000 * pj_per_byte * 1e-12, rel=1e-12)
    whole, grows = summed(got.values())
    assert whole[1] - grows[1] == pytest.approx(at_updates * 1e-12, rel=1e-9)
    narrow = {line.name: line for line in spiking_lines(work, model, Widths(weight=8))}
    assert narrow["weight memory"].joules[1] == pytest.approx(weights / 16 * 1e-12, rel=1e-12)


def test_the_price_of_an_access_follows_the_table():
    model = model_called("analytic (Lemaire 2022)").analytic
    for size, pj in ((8192, 10.0), (20480, 15.0), (32768, 20.0), (1 << 20, 100.0), (1 << 30, 100.0)):
        assert access_pj(model, size, 32) == (pj / 2, pj, 100.0)
    assert access_pj(model, 8192, 8)[1] == 2.5


GOOD = """
name = "mine"
provenance = "analytic"
[terms.x]
count = "hops_x"
low_pj = 1
mid_pj = 1
high_pj = 1
source = "a bench"
[time.barrier]
low_ns = 1
mid_ns = 1
high_ns = 1
source = "a bench"
[analytic]
add_pj = 1
multiply_pj = 2
word_bits = 8
queue_messages = 10
memory_bytes = [0, 1]
memory_pj = [1, 2]
source = "a bench"
"""


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        (('"hops_x"', '"hops_z"'), UnknownName, "count 'hops_z'"),
        (("[time.barrier]", "[time.sent]"), InvalidInput, "time: it has no 'barrier'"),
        (("[time.barrier]", "[time.wait]"), UnknownName, r"entry of \[time\] 'wait'"),
        (("[time.barrier]\nlow_ns = 1", "[time]\nbarrier = 3\nlow_ns = 1"), InvalidInput, "time.barrier: it is no table"),
        (("add_pj = 1", ""), InvalidInput, "analytic: add_pj must be numbers"),
        (("[1, 2]", '[1, "2"]'), InvalidInput, "memory_bytes and memory_pj must be lists of numbers"),
        (("[1, 2]", "[1]"), InvalidInput, "must be equally long, the sizes ascending"),
        (("[0, 1]", "[1, 0]"), InvalidInput, "must be equally long, the sizes ascending"),
        (("word_bits = 8", "word_bits = 0"), InvalidInput, "word_bits is 0"),
        (("[analytic]", "[analytic]\nwhat_if = 3\n[multiply]\nlow_pj = 1\n[x]"), InvalidInput, r"unknown entries \['x'\]"),
        (("[analytic]", "[multiply]\nlow_pj = 1\n[analytic]"), InvalidInput, "multiply: low_pj, mid_pj and high_pj"),
    ],
)
def test_refused_files(change, kind, match, tmp_path):
    assert change[0] in GOOD
    path = tmp_path / "m.toml"
    path.write_text(GOOD.replace(*change), encoding="utf-8")
    with pytest.raises(kind, match=match):
        load_model(path)


def test_a_file_without_a_price_is_refused(tmp_path):
    path = tmp_path / "m.toml"
    path.write_text('name = "x"\nprovenance = "measured"\n', encoding="utf-8")
    with pytest.raises(InvalidInput, match="it prices nothing"):
        load_model(path)


def test_a_users_model_is_loaded_and_priced(tmp_path):
    path = tmp_path / "m.toml"
    path.write_text(GOOD, encoding="utf-8")
    work, _ = worked()
    estimate = price(work, load_model(path), None)
    assert estimate.terms["x"].mid_j == pytest.approx(72e-12, rel=1e-12)
    assert set(estimate.terms) > {"additions", "weight memory"}


def test_the_price_file_of_the_docs_is_one(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "energy.md").read_text(encoding="utf-8")
    path = tmp_path / "m.toml"
    path.write_text(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0], encoding="utf-8")
    model = load_model(path)
    estimate = price(worked()[0], model, None)
    assert {"operations", STATIC} == set(estimate.terms)
    assert compare(worked()[0], model) is None
    for name in (*TOTALS, *DERIVED):
        known = re.sub(r"synaptic_operations_(conv|sparse)", r"_\1", name.replace("neuron_updates_idle", "_idle"))
        assert f"`{known}`" in page or name in NOT_EXPLAINED, name
