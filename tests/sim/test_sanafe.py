"""SANA-FE's totals in closed form against what SANA-FE 2.2.9 gave (tests/golden/sanafe), and live where it is installed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from snnport.encoders import Stimulus
from snnport.errors import InvalidInput, UnsupportedNode
from snnport.program import Dense, Neuron, Population, Projection, Slice
from snnport.sim.engine import run
from snnport.sim.sanafe import FIELDS, account, check, units_of
from snnport.sim.sanafe_arch import Architecture
from snnport.trace import Trace

GOLDEN = Path(__file__).parents[1] / "golden" / "sanafe"
sys.path.insert(0, str(GOLDEN))
from sanafe_networks import NETWORKS, layers  # noqa: E402

RESULTS = json.loads((GOLDEN / "results.json").read_text(encoding="utf-8"))
ARCHITECTURES = {
    name: Architecture.from_json(data)
    for name, data in json.loads((GOLDEN / "architectures.json").read_text(encoding="utf-8")).items()
}
CASES = [(architecture, network) for architecture, networks in RESULTS.items() for network in networks]
LOIHI = ARCHITECTURES["loihi"]


@cache
def ran(name):
    program, raster = NETWORKS[name]()
    return program, *recorded(program, raster)


def recorded(program, raster):
    stimulus = Stimulus(raster[None].astype(np.int64), None, len(raster))
    with_v = [p.name for p in program.populations if p.neuron.family not in ("input", "generator")]
    result = run(program, stimulus, record_spikes=[p.name for p in program.populations], record_v=with_v, threads=1)
    return result.counts, result.trace


@pytest.mark.parametrize(("architecture", "network"), CASES)
def test_spikes_messages_updates_and_every_field_of_energy(architecture, network):
    program, counts, trace = ran(network)
    got, expected = account(program, counts, trace, ARCHITECTURES[architecture]), RESULTS[architecture][network]
    for name in ("spikes", "packets_sent", "neurons_updated", "neurons_fired"):
        assert getattr(got, name) == expected[name], name
    assert set(expected["energy"]) == set(FIELDS)
    for field, joules in expected["energy"].items():
        assert got.energy[field] == pytest.approx(joules, rel=1e-9, abs=0), field


def test_every_network_of_the_golden_files_is_compared():
    assert {network for _, network in CASES} == set(NETWORKS)
    assert all(RESULTS["loihi"][name]["spikes"] > 1000 for name in NETWORKS)


def test_dense_synapses_cost_what_they_have_cost():
    # 784-256-256-10, 200 steps: 4 528 328 synaptic events are 160.756 uJ at 35.5 pJ, as SANA-FE 2.2.9 printed for them.
    assert 4_528_328 * LOIHI.synapses["loihi_dense_synapse"] == pytest.approx(160.755644e-6, rel=1e-12)
    dense = RESULTS["loihi"]["784-256-256-10"]
    assert dense["energy"]["synapse"] == pytest.approx(dense["spikes"] * 35.5e-12, rel=1e-9)


def test_units_go_by_their_names():
    program = ran("convolution")[0]
    units = units_of(program, LOIHI)
    assert dict(units.synapse) == {"a": "loihi_conv_synapse", "b": "loihi_conv_synapse", "out": "loihi_dense_synapse"}
    assert units_of(ran("recurrent")[0], LOIHI).synapse["b"] == "loihi_sparse_synapse"
    assert (units.soma["a"], units.inputs[:2]) == ("loihi_lif", ("loihi_inputs[0]", "loihi_inputs[1]"))
    nameless = replace(LOIHI, synapses={"x": 1.0, "y": 2.0})
    assert set(units_of(program, nameless).synapse.values()) == {"x"}


def changed(**params):
    """A net of one neuron with other parameters than those that SANA-FE takes."""
    program = layers((3, 2), 5, 0, spread=0)[0]
    cell = program.population("l1")
    neuron = Neuron("if", {**cell.neuron.params, **{name: np.asarray(value) for name, value in params.items()}})
    return replace(program, populations=(program.populations[0], replace(cell, neuron=neuron)))


@pytest.mark.parametrize(
    ("program", "kind", "match"),
    [
        (changed(v_init=3), UnsupportedNode, "v_init must be -1 with a subtracting reset"),
        (changed(reset=0), UnsupportedNode, "v_init must be -1 with a subtracting reset"),
        (changed(max_spikes=2), UnsupportedNode, "fire several times in a step"),
        (changed(load_step=2), UnsupportedNode, "or load a potential"),
    ],
)
def test_neurons_without_a_counterpart_are_refused(program, kind, match):
    with pytest.raises(kind, match=match):
        check(program, LOIHI)


def test_other_programs_without_a_counterpart_are_refused():
    program = layers((3, 2), 5, 0, spread=0)[0]
    at_once = replace(program, projections=(replace(program.projections[0], delay=0),))
    with pytest.raises(UnsupportedNode, match="its delay is 0 steps"):
        check(at_once, LOIHI)
    cuba = replace(program, populations=(program.populations[0], Population("l1", (2,), Neuron("cuba", {}))))
    with pytest.raises(UnsupportedNode, match="neurons of family 'cuba' have no counterpart"):
        check(cuba, LOIHI)
    graded = Population("in", (3,), Neuron("input", {"graded": np.array(1)}))
    with pytest.raises(UnsupportedNode, match="its spikes carry numbers"):
        check(replace(program, populations=(graded, program.populations[1])), LOIHI)
    started = Population("l1", (2,), Neuron("integrator", {"v_init": np.array(1)}))
    with pytest.raises(UnsupportedNode, match="its potential does not start at 0"):
        check(replace(program, populations=(program.populations[0], started)), LOIHI)
    with pytest.raises(InvalidInput, match="neuron 0 sits on no core of chip 0"):
        check(replace(program, placements=program.placements[1:]), LOIHI)
    with pytest.raises(InvalidInput, match="core 500 is used, loihi_chip has 128 cores"):
        check(replace(program, placements=(*program.placements[:1], Slice("l1", 500, 0, 2))), LOIHI)
    with pytest.raises(InvalidInput, match="a core holds 5 neurons, loihi_chip takes 4"):
        check(program, replace(LOIHI, neurons_per_core=4))


def test_architectures_that_lack_units_are_refused():
    program = layers((3, 2), 5, 0, spread=0)[0]
    with pytest.raises(InvalidInput, match="0 units of model leaky_integrate_fire and 1024 of model input"):
        units_of(program, replace(LOIHI, somas={k: v for k, v in LOIHI.somas.items() if v.model == "input"}))
    few = {k: v for k, v in LOIHI.somas.items() if k in ("loihi_lif", "loihi_inputs[0]")}
    with pytest.raises(InvalidInput, match="a core plays 3 stimuli, loihi_chip has 1 units for them"):
        units_of(program, replace(LOIHI, somas=few))


def test_what_was_not_recorded_is_refused():
    program, counts, trace = ran("one core")
    with pytest.raises(InvalidInput, match="'in' was not recorded"):
        account(program, counts, Trace({}, trace.v), LOIHI)
    with pytest.raises(InvalidInput, match="'l1' was not recorded"):
        account(program, counts, Trace(trace.spikes, {}), LOIHI)


def test_a_neuron_is_updated_while_its_potential_is_not_zero():
    """One spike of weight 1 reaches a neuron that never fires: updated from the next step on, to the end."""
    populations = (
        Population("in", (1,), Neuron("input", {})),
        Population("a", (1,), Neuron("if", {"v_threshold": np.array(9), "reset": np.array(1)})),
    )
    link = Projection("w", "in", "a", Dense(np.array([[1]])), None, 1)
    program = replace(layers((1, 1), 1, 0)[0], populations=populations, projections=(link,), outputs=("a",))
    program = replace(program, placements=(Slice("in", 0, 0, 1), Slice("a", 0, 0, 1)))
    got = account(program, *recorded(program, np.array([[1], [0], [0], [0]])), LOIHI)
    # The stimulus counts as one update at its spike, the neuron three.
    assert (got.neurons_updated, got.spikes, got.packets_sent) == (4, 1, 1)
    assert got.energy["soma"] == pytest.approx((4 * 51.2 + 3 * 21.6) * 1e-12, rel=1e-12)
