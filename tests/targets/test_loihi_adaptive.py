"""The adaptive neuron on Loihi 2: as the reference where nothing rounds, near it where decays do; and where it does not fit."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

from snnport.encoders import Stimulus
from snnport.errors import UnsupportedNode
from snnport.graph import Graph, build
from snnport.models.spiking import TRAINED, li, lif, tau_of, told
from snnport.nodes import AdaptiveLIF, input_node, output_node
from snnport.passes.alif_to_nir import AlifToNir
from snnport.passes.base import Context, run_passes
from snnport.reference import run_spiking
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.targets.loihi.lavable import check_lava

LOIHI = resolve_target("loihi2")
HALF = tau_of(0.5)
STEPS = 6
"""Steps for which decays of one half keep potentials whole in units of 1/64."""
RESETS = {"zero": TRAINED, "value": TRAINED.having(reset="value"), "subtract": TRAINED.having(reset="subtract")}


def network(neurons: nir.NIRNode, seed: int, rule=TRAINED) -> Graph:
    """8 inputs, 6 neurons with a loop, a readout; whole weights beside thresholds of 64."""
    rng = np.random.default_rng(seed)
    nodes = {
        "input": input_node((8,)),
        "fc1": nir.Affine(rng.integers(-40, 64, (6, 8)), rng.integers(-8, 9, 6)),
        "hidden": neurons,
        "recurrent": nir.Linear(rng.integers(-30, 30, (6, 6))),
        "fc2": nir.Linear(rng.integers(-64, 64, (3, 6))),
        "readout": li((3,), HALF),
        "output": output_node((3,)),
    }
    edges = [("input", "fc1"), ("fc1", "hidden"), ("hidden", "fc2"), ("fc2", "readout"), ("readout", "output")]
    return build(nodes, [*edges, ("hidden", "recurrent"), ("recurrent", "hidden")], told(rule))


def adaptive(tau: float = HALF, tau_adapt: float = HALF, beta: float = 128.0, back: float = 0.0) -> AdaptiveLIF:
    plain, ones = lif((6,), tau, 64.0), np.ones(6)
    return AdaptiveLIF(plain.tau, plain.r, plain.v_leak, plain.v_threshold, back * ones, tau_adapt * ones, beta * ones)


def traces(graph: Graph, raster: np.ndarray, rule=TRAINED):
    """Hidden spikes of the coded graph by the reference, of its program by the engine a step later; the program."""
    coded = run_passes(graph, LOIHI.passes_for(graph), Context())
    program = LOIHI.lower(coded)
    late = np.concatenate([raster, np.zeros_like(raster[:, :1])], axis=1)
    result = run(replace(program, n_steps=late.shape[1]), Stimulus(late, None, late.shape[1]), record_spikes=["hidden"])
    folded = rule.having(membrane_gain="leak", leaky_gain="leak", synapse_gain="leak", dtype="float64")
    wanted = run_spiking(coded, raster, folded).spikes["hidden"]
    return wanted, result.trace.spikes["hidden"][:, 1:], program


@pytest.mark.parametrize("reset", list(RESETS))
def test_a_rising_threshold_is_the_reference_s(reset: str) -> None:
    rule, seen = RESETS[reset], 0
    for seed in range(8):
        raster = (np.random.default_rng(seed).random((4, STEPS, 8)) < 0.5).astype(np.uint8)
        graph = network(adaptive(back=8.0 if reset == "value" else 0.0), seed, rule)
        wanted, found, program = traces(graph, raster, rule)
        assert np.array_equal(found, wanted)
        assert {p.name: p.neuron.family for p in program.populations if p.name in ("hidden", "readout")} == {
            "hidden": "alif",
            "readout": "cuba",
        }
        seen += int(not np.array_equal(wanted, traces(network(adaptive(beta=0.0), seed, rule), raster, rule)[0]))
    assert seen > 3


def test_in_nir_s_own_nodes_it_is_found_again() -> None:
    rule = RESETS["subtract"]
    raster = (np.random.default_rng(1).random((4, STEPS, 8)) < 0.5).astype(np.uint8)
    graph = network(adaptive(), 1, rule)
    plain = run_passes(graph, (AlifToNir(),), Context())
    assert np.array_equal(traces(plain, raster, rule)[1], traces(graph, raster, rule)[1])


def test_long_runs_with_decays_that_round_stay_near() -> None:
    rule = RESETS["subtract"]
    raster = (np.random.default_rng(5).random((8, 200, 8)) < 0.15).astype(np.uint8)
    wanted, found, program = traces(network(adaptive(tau_of(0.95), 0.05), 3, rule), raster, rule)
    assert wanted.sum() > 100
    assert np.mean(found == wanted) > 0.97
    assert LOIHI.check(run_passes(network(adaptive(), 3, rule), LOIHI.passes_for(network(adaptive(), 3, rule)), Context())).fits
    assert any(line.startswith("hidden: v_threshold = ") for line in program.meta["derivation"])
    with pytest.raises(UnsupportedNode, match="Lava has no neurons of family 'alif'"):
        check_lava(program)


def checked(graph: Graph, target: str = "loihi2"):
    chip = resolve_target(target)
    return chip.check(run_passes(graph, chip.passes_for(graph), Context()))


def test_loihi1_has_no_such_neuron() -> None:
    found = checked(network(adaptive(), 0, RESETS["subtract"]), "loihi1")
    assert [v.rule for v in found.violations] == ["programmable"]
    assert "the neurons of loihi1 cannot be programmed" in found.violations[0].message


def test_a_threshold_beyond_its_register_and_a_potential_that_saturates() -> None:
    found = checked(network(adaptive(tau_adapt=10.0, beta=4e5), 0))
    assert any("its threshold can rise to" in v.message for v in found.violations)
    graph = network(adaptive(tau_of(0.9999)), 0)
    assert any("bits saturate at 8388607" in w.message for w in checked(graph).warnings)
