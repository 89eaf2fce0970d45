"""The codes' schedules, what they refuse, and what they write into the graph."""

from __future__ import annotations

import json

import nir
import numpy as np
import pytest
from coded_runs import coded_network
from networks import NETWORKS

from snnport.convention import CODED, Coding, Window, coding_of
from snnport.encoders import CountEncoder
from snnport.errors import InvalidGraph
from snnport.flow.convert import Conversion
from snnport.graph import build, names_of, shapes, the_input
from snnport.nodes import QuantReLU
from snnport.passes.base import Context, run_passes
from snnport.passes.codes.gate import least_period
from snnport.passes.codes.table import CODES, code_of
from snnport.passes.codes.waits import with_wait
from snnport.passes.spike import Spike
from snnport.passes.unclip import UNCLIPPED, Unclip
from snnport.passes.unspike import quantised_ann
from snnport.reference import run_spiking


def converted(name: str, code: str, **options: int) -> tuple[Conversion, Coding]:
    rng = np.random.default_rng(0)
    graph = NETWORKS[name](rng)
    x = rng.uniform(0, 1, (12, *shapes(graph)[the_input(graph)]))
    conversion = coded_network(graph, code, x, **options)
    coding = coding_of(conversion.graph.metadata)
    assert coding is not None
    return conversion, coding


def test_the_ramp_has_the_gates_windows_and_spikes_at_their_ends() -> None:
    _, gate = converted("convnet", "gate", levels=8, input_levels=16)
    conversion, ramp = converted("convnet", "ramp", levels=8, input_levels=16)
    assert (ramp.windows, ramp.n_steps) == (gate.windows, gate.n_steps)
    assert (gate.encoder["kind"], ramp.encoder["kind"]) == ("consecutive", "late")
    assert json.loads(conversion.graph.metadata["snnport"])["convention"]["reset"] == "zero"


def test_ttfs_takes_one_step_more_a_layer() -> None:
    _, coding = converted("convnet", "ttfs", levels=8, input_levels=16)
    assert coding.encoder["kind"] == "once"
    assert coding.windows["r1"] == Window("gated", 1, 17, 8)
    assert coding.windows["p1"] == Window("relay", 18, 18, 8)
    assert coding.windows["r2"] == Window("gated", 19, 27, 8)
    assert coding.windows["readout"] == Window("readout", 28, 36, 1)


def test_a_source_that_is_done_early_waits_in_ttfs() -> None:
    conversion, coding = converted("residual", "ttfs", levels=4)
    waits = {name: conversion.graph.nodes[name] for name in names_of(conversion.graph, nir.Delay)}
    steps = {name: float(np.unique(wait.delay)[0] / CODED.dt) for name, wait in waits.items()}
    done = coding.windows["r0"].open + 4 + 1
    assert steps == {"r2.skip.wait": coding.windows["r2"].open - done, "s4.wait": coding.windows["r4"].open - done - 10}
    assert set(quantised_ann(conversion.graph).nodes).isdisjoint(waits)


def test_an_output_that_fires_once_is_read_by_an_integrator() -> None:
    conversion, _ = converted("spiking_output", "ttfs", levels=4)
    assert names_of(conversion.graph, nir.I) == ("readout",)


def test_periods_of_chains_and_of_a_skip() -> None:
    assert least_period(converted("spiking_output", "gate", levels=8, input_levels=8)[1]) == 15
    assert least_period(converted("spiking_output", "ttfs", levels=8, input_levels=8)[1]) == 16
    assert least_period(converted("residual", "gate", levels=8, input_levels=8)[1]) == 23
    assert least_period(converted("spiking_output", "gate", levels=2, input_levels=9)[1]) == 10


def test_inhibition_comes_at_once_and_excitation_after_all_of_it() -> None:
    conversion, coding = converted("spiking_output", "delay", levels=4)
    graph = conversion.graph
    assert np.all(graph.nodes["a"].weight <= 0)
    assert np.all(graph.nodes["a.excite"].weight >= 0)
    assert np.unique(graph.nodes["a.excite.wait"].delay) == pytest.approx(3 * CODED.dt)
    assert coding.windows["r"].open == 4
    whole = conversion.stages["quantised weights"]
    assert np.array_equal(graph.nodes["a"].weight + graph.nodes["a.excite"].weight, whole.nodes["a"].weight)


def test_delay_windows_are_proven_or_measured_and_steps_makes_them_longer() -> None:
    conversion, coding = converted("residual", "delay", levels=4)
    facts = conversion.findings["spike{code=delay,steps=0}"]["windows"]
    assert {name: fact["steps"] for name, fact in facts.items()} == {
        name: window.levels for name, window in coding.windows.items() if window.role == "free"
    }
    assert all(fact["proven"] == (fact["steps"] == fact["bound"]) for fact in facts.values())
    _, longer = converted("residual", "delay", levels=4, steps=1000)
    assert longer.n_steps > coding.n_steps
    bounds = [fact["bound"] for fact in facts.values() if fact["proven"]]
    assert all(bound >= 1 for bound in bounds)


def test_delay_windows_hold_every_calibration_sample() -> None:
    conversion, _ = converted("residual", "delay", levels=4)
    quantised = conversion.stages["quantised weights"]
    x = np.zeros((70, *shapes(quantised)[the_input(quantised)]))
    x[69] = np.random.default_rng(0).uniform(0, 1, x[69].shape)
    many, alone, quiet = Context(x), Context(x[69:]), Context(x[:69])
    found = []
    for ctx in (many, alone, quiet):
        run_passes(quantised, [Spike("delay")], ctx)
        found.append({name: fact["steps"] for name, fact in ctx.findings["spike{code=delay,steps=0}"]["windows"].items()})
    assert found[0] == found[1] != found[2]


def test_a_network_without_calibration_samples_gets_the_bounds() -> None:
    conversion, _ = converted("spiking_output", "delay", levels=4)
    ctx = Context()
    run_passes(conversion.stages["quantised weights"], [Spike("delay")], ctx)
    assert all(fact["proven"] for fact in ctx.findings["spike{code=delay,steps=0}"]["windows"].values())


def test_unclip_takes_the_bound_off() -> None:
    conversion, _ = converted("residual", "gate", levels=3)
    graph = run_passes(conversion.stages["quantised activations"], [Unclip()], Context())
    assert {graph.nodes[name].levels for name in names_of(graph, QuantReLU)} == {UNCLIPPED}


def test_a_wait_of_no_steps_is_no_node() -> None:
    conversion, _ = converted("mlp", "gate")
    assert with_wait(conversion.graph, "a", 0) is conversion.graph


def test_the_encoders_kinds() -> None:
    counts = np.array([[0, 2, 4]])
    late = CountEncoder("late", 1.0, 4).raster(counts, 5)[0].T.tolist()
    once = CountEncoder("once", 1.0, 4).raster(counts, 5)[0].T.tolist()
    assert late == [[0, 0, 0, 0, 0], [0, 0, 1, 1, 0], [1, 1, 1, 1, 0]]
    assert once == [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 0, 0]]


def test_a_code_that_is_not_there_is_refused_everywhere() -> None:
    conversion, coding = converted("mlp", "gate")
    unknown = Coding("morse", coding.n_steps, coding.encoder, coding.windows)
    with pytest.raises(InvalidGraph, match="there is no code 'morse'"):
        code_of(unknown)
    header = json.loads(conversion.graph.metadata["snnport"])
    text = json.dumps({**header, "coding": unknown.to_json()})
    graph = build(conversion.graph.nodes, conversion.graph.edges, {"snnport": text})
    with pytest.raises(InvalidGraph, match="there is no code 'morse'"):
        run_spiking(graph, np.zeros((1, 3, 12)), CODED, unknown)
    from snnport.targets.base import resolve_target

    with pytest.raises(InvalidGraph, match="there is no code 'morse'"):
        resolve_target("cpu").lower(graph)
    assert set(CODES) >= {"gate", "ramp", "ttfs", "delay", "rate"}
