"""Leaky networks on the cpu machine: integers fire as the reference where nothing rounds, and stay near it where they do."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnport.encoders import Stimulus
from snnport.graph import Graph, build, chain
from snnport.models.conv_lif import RECIPE as CONV
from snnport.models.lsnn import RECIPE as LSNN
from snnport.models.spiking import TRAINED, cuba_lif, li, lif, tau_of, told
from snnport.nodes import AdaptiveLIF, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_shifts import QuantizeShifts
from snnport.reference import run_spiking
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.targets.cpu.leaky import FRACTION

CPU = resolve_target("cpu")
HALF = tau_of(0.5)
"""Decays of one half keep potentials whole in FRACTION bits for as many steps."""
STEPS = FRACTION
RESETS = {"zero": TRAINED, "value": TRAINED.having(reset="value"), "subtract": TRAINED.having(reset="subtract")}


def traces(graph: Graph, raster: np.ndarray, rule=TRAINED, record: tuple[str, ...] = ()):
    """The reference's trace of the graph in codes, the engine's of its program, and the program."""
    coded = run_passes(graph, CPU.passes_for(graph), Context())
    program = CPU.lower(coded)
    result = run(
        replace(program, n_steps=raster.shape[1]),
        Stimulus(raster, None, raster.shape[1]),
        record_spikes={p.name for p in program.populations},
        record_v=set(record),
    )
    folded = rule.having(membrane_gain="leak", leaky_gain="leak", synapse_gain="leak", dtype="float64")
    return run_spiking(coded, raster, folded, record_v=record), result, program


def network(neurons: nir.NIRNode, seed: int, rule=TRAINED, loop: bool = True) -> Graph:
    """8 inputs, 6 neurons with a loop, a readout; weights in 1/64."""
    rng = np.random.default_rng(seed)
    nodes = {
        "input": input_node((8,)),
        "fc1": nir.Affine(rng.integers(-40, 64, (6, 8)) / 64, rng.integers(-8, 9, 6) / 64),
        "hidden": neurons,
        "recurrent": nir.Linear(rng.integers(-30, 30, (6, 6)) / 64),
        "fc2": nir.Affine(rng.integers(-64, 64, (3, 6)) / 64, np.zeros(3)),
        "readout": li((3,), HALF),
        "output": output_node((3,)),
    }
    edges = [("input", "fc1"), ("fc1", "hidden"), ("hidden", "fc2"), ("fc2", "readout"), ("readout", "output")]
    if not loop:
        del nodes["recurrent"]
        return build(nodes, edges, told(rule))
    return build(nodes, [*edges, ("hidden", "recurrent"), ("recurrent", "hidden")], told(rule))


def adaptive(tau_adapt: float) -> AdaptiveLIF:
    plain = lif((6,), HALF)
    return AdaptiveLIF(
        plain.tau, plain.r, plain.v_leak, plain.v_threshold, plain.v_reset, tau_adapt * np.ones(6), 2.0 * np.ones(6)
    )


def spikes_in(seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((4, STEPS, 8)) < 0.5).astype(np.uint8)


@given(st.integers(0, 10_000), st.sampled_from(list(RESETS)))
def test_lif_fires_as_the_reference(seed: int, reset: str) -> None:
    neurons = lif((6,), HALF)
    if reset == "value":
        neurons.v_reset = np.full(6, 0.25)
    wanted, result, program = traces(network(neurons, seed, RESETS[reset]), spikes_in(seed), RESETS[reset], ("readout",))
    assert np.array_equal(result.trace.spikes["hidden"], wanted.spikes["hidden"])
    assert np.allclose(result.trace.v["readout"] * program.meta["scale"]["readout"], wanted.v["readout"], atol=0.02)
    assert program.population("hidden").neuron.family == "lif"


@given(st.integers(0, 10_000))
def test_synaptic_neurons_fire_as_the_reference(seed: int) -> None:
    graph = network(cuba_lif((6,), HALF, HALF), seed)
    wanted, result, program = traces(graph, spikes_in(seed)[:, :5])
    assert np.array_equal(result.trace.spikes["hidden"], wanted.spikes["hidden"])
    assert {p.neuron.family for p in program.populations} == {"input", "cuba", "lif"}


def test_a_rising_threshold_is_native() -> None:
    rule, seen = RESETS["subtract"], 0
    for seed in range(6):
        graph = network(adaptive(HALF), seed, rule)
        wanted, result, program = traces(graph, spikes_in(seed), rule)
        plain = traces(network(lif((6,), HALF), seed, rule), spikes_in(seed), rule)[1]
        assert np.array_equal(result.trace.spikes["hidden"], wanted.spikes["hidden"])
        assert program.population("hidden").neuron.family == "alif"
        seen += int(not np.array_equal(result.trace.spikes["hidden"], plain.trace.spikes["hidden"]))
    assert seen > 2


def test_long_runs_with_decays_that_round_stay_near() -> None:
    rng = np.random.default_rng(5)
    raster = (rng.random((8, 200, 8)) < 0.15).astype(np.uint8)
    for neurons in (lif((6,), tau_of(0.95)), cuba_lif((6,), tau_of(0.7), tau_of(0.9)), adaptive(0.05)):
        wanted, result, _ = traces(network(neurons, 3), raster)
        same = np.mean(result.trace.spikes["hidden"] == wanted.spikes["hidden"])
        assert wanted.spikes["hidden"].sum() > 100
        assert same > 0.97


def test_a_resting_potential_of_its_own() -> None:
    for neurons in (lif((6,), HALF), cuba_lif((6,), HALF, HALF)):
        neurons.v_leak = np.full(6, 0.5)
        graph = network(neurons, 1, loop=False)
        wanted, result, _ = traces(graph, np.zeros((1, 40, 8), np.uint8), record=("hidden",))
        scale = CPU.lower(run_passes(graph, CPU.passes_for(graph), Context())).meta["scale"]["hidden"]
        assert np.allclose(result.trace.v["hidden"][:, -1] * scale, wanted.v["hidden"][:, -1], atol=0.02)


def test_what_the_machine_has_not() -> None:
    graph = network(cuba_lif((6,), HALF, HALF), 0, RESETS["subtract"])
    found = CPU.check(run_passes(graph, CPU.passes_for(graph), Context()))
    assert [v.rule for v in found.violations] == ["synaptic-neurons"]
    assert "resets by 'subtract'" in found.violations[0].message


def test_currents_that_could_wrap_are_told() -> None:
    graph = chain(
        {
            "input": input_node((900,)),
            "fc": nir.Affine(np.ones((2, 900)), np.zeros(2)),
            "hidden": cuba_lif((2,), tau_of(0.999), HALF),
            "output": output_node((2,)),
        },
        told(TRAINED),
    )
    found = CPU.check(run_passes(graph, CPU.passes_for(graph), Context()))
    assert found.fits
    assert [w.rule for w in found.warnings] == ["synaptic-currents"]
    assert "24 bits hold 8388607" in found.warnings[0].message


@given(st.integers(0, 10_000), st.integers(3, 8))
def test_codes_fit_their_width_and_lie_within_half_a_shifted_code(seed: int, bits: int) -> None:
    graph = network(lif((6,), tau_of(0.9)), seed)
    graph.nodes["recurrent"].weight *= 40
    coded = run_passes(graph, (QuantizeShifts(bits),), Context())
    q = coded.nodes["hidden"].metadata["scale"]
    theta = float(coded.nodes["hidden"].v_threshold[0]) / q
    assert np.isclose(theta, round(theta))
    for name in ("fc1", "recurrent"):
        real, whole = graph.nodes[name].weight, np.rint(coded.nodes[name].weight / q).astype(np.int64)
        shift = coded.nodes[name].metadata["bits"] - bits
        assert np.abs(whole >> shift).max() <= (1 << (bits - 1)) - 1
        assert not (whole % (1 << shift)).any()
        assert np.abs(whole * q - real).max() <= q * (1 << shift) / 2 + 1e-9


def test_a_large_projection_does_not_coarsen_a_small_one() -> None:
    graph = network(lif((6,), tau_of(0.9)), 0)
    graph.nodes["recurrent"].weight *= 100
    coded = run_passes(graph, (QuantizeShifts(8),), Context())
    error = np.abs(coded.nodes["fc1"].weight - graph.nodes["fc1"].weight).max()
    assert error <= np.abs(graph.nodes["fc1"].weight).max() / 127
    program = CPU.lower(coded)
    exponents = {p.name: p.exponent for p in program.projections}
    assert exponents["recurrent"] >= exponents["fc1"] + 5


@pytest.mark.parametrize("name", ["fc1", "recurrent"])
def test_silent_layers_are_quantised_too(name: str) -> None:
    graph = network(lif((6,), HALF), 0)
    graph.nodes[name].weight[:] = 0
    coded = run_passes(graph, (QuantizeShifts(8),), Context())
    assert not coded.nodes[name].weight.any()


def test_maps_of_leaky_neurons() -> None:
    network_settings = {**CONV.network, "conv": 8, "fc": 16, "gain": 4.0}
    graph = CONV.build(network_settings, 1)
    raster = (np.random.default_rng(0).random((3, STEPS, 1, 28, 28)) < 0.4).astype(np.uint8)
    wanted, result, program = traces(graph, raster)
    assert wanted.spikes["lif3"].sum() > 50
    assert np.mean(result.trace.spikes["lif3"] == wanted.spikes["lif3"]) > 0.99
    assert program.population("lif1").shape == (2, 14, 14)


def test_a_wide_readout_leaves_room_on_loihi2() -> None:
    rng = np.random.default_rng(0)
    graph = chain(
        {
            "input": input_node((8,)),
            "fc1": nir.Affine(rng.normal(size=(1500, 8)), np.zeros(1500)),
            "hidden": lif((1500,), tau_of(0.95)),
            "fc2": nir.Affine(rng.normal(size=(3, 1500)), np.zeros(3)),
            "readout": li((3,), tau_of(0.95)),
            "output": output_node((3,)),
        },
        told(TRAINED),
    )
    loihi = resolve_target("loihi2")
    (scaling,) = loihi.passes_for(graph)
    assert 7 <= scaling.readout < 255
    assert loihi.check(run_passes(graph, (scaling,), Context())).fits
    assert not loihi.check(run_passes(graph, (replace(scaling, readout=255),), Context())).fits


def test_a_readout_of_adaptive_neurons_leaves_room_on_loihi2() -> None:
    graph = LSNN.build({**LSNN.network, "hidden_size": 900}, 0)
    loihi = resolve_target("loihi2")
    passes = loihi.passes_for(graph)
    # Inhibition may saturate the recurrent neurons, far below their thresholds, which a run counts; the readout may not.
    assert loihi.check(run_passes(graph, passes, Context())).fits
    *first, scaling = passes
    finest = run_passes(graph, (*first, replace(scaling, readout=255)), Context())
    assert [violation.where for violation in loihi.check(finest).violations] == ["readout"]
