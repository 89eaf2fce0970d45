"""Xylo as a target: the graph's meaning in the chip's integers, every rule broken once, and the vendor's simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from snnport.convention import Convention, convention_of
from snnport.encoders import Stimulus
from snnport.errors import InvalidInput, PassFailed, UnsupportedNode
from snnport.graph import Graph, build
from snnport.nodes import input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_xylo import QuantizeXylo
from snnport.passes.xylo_form import XyloForm
from snnport.program import Neuron, Population, Program
from snnport.reference import run_spiking
from snnport.sim.engine import run
from snnport.targets.base import CheckResult, resolve_target
from snnport.targets.xylo import vendor
from snnport.targets.xylo.vendor import described, run_xylosim

DT = 1e-3
RULE = Convention("rockpool", dt=DT, reset="subtract", comparison=">=", multi_spike=True)
AUDIO2 = resolve_target("xylo_audio2")


def cuba(n: int, tau_syn: float = 4 * DT, tau_mem: float = 8 * DT, threshold: float = 1.0, leak: float = 0.0) -> nir.CubaLIF:
    ones = np.ones(n)
    return nir.CubaLIF(tau_syn * ones, tau_mem * ones, 4 * ones, leak * ones, threshold * ones, 0 * ones, 2 * ones)


def meant(nodes: dict[str, Any], edges: list[tuple[str, str]], rule: Convention = RULE) -> Graph:
    import json

    return build(nodes, edges, {"snnport": json.dumps({"version": 1, "coding": None, "convention": rule.to_json()})})


def network(rng: np.random.Generator, sizes: tuple[int, int, int] = (6, 12, 3), **changes: Any) -> Graph:
    """Inputs, recurrent hidden neurons, outputs."""
    inputs, hidden, outputs = sizes
    nodes: dict[str, Any] = {
        "input": input_node((inputs,)),
        "w": nir.Linear(rng.normal(0, 0.6, (hidden, inputs))),
        "hidden": cuba(hidden),
        "rec": nir.Linear(rng.normal(0, 0.2, (hidden, hidden))),
        "u": nir.Linear(rng.normal(0, 0.5, (outputs, hidden))),
        "out": cuba(outputs),
        "output": output_node((outputs,)),
    }
    edges = [
        ("input", "w"),
        ("w", "hidden"),
        ("hidden", "rec"),
        ("rec", "hidden"),
        ("hidden", "u"),
        ("u", "out"),
        ("out", "output"),
    ]
    return meant({**nodes, **changes}, edges)


def prepared(graph: Graph, *passes: Any) -> Graph:
    return run_passes(graph, passes or AUDIO2.passes_for(graph), Context())


def broken(result: CheckResult) -> set[str]:
    return {violation.rule for violation in result.violations}


# ------------------------------------------------------------------------------------------------------------ semantics


def test_the_chip_does_in_integers_what_the_prepared_graph_does() -> None:
    """Dashes of 1 and weights of 2^10 codes: nothing is rounded for some steps, so that potentials are equal, not near."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-3, 4, (4, 3)) / 16
    nodes: dict[str, Any] = {
        "input": input_node((3,)), "w": nir.Linear(weight), "hidden": cuba(4, 2 * DT, 2 * DT), "u": nir.Linear(np.eye(4)),
        "out": cuba(4, 2 * DT, 2 * DT), "output": output_node((4,)),
    }  # fmt: skip
    graph = meant(nodes, list(zip(nodes, list(nodes)[1:], strict=False)))
    ready = prepared(graph, XyloForm(), QuantizeXylo(4096))
    program = AUDIO2.with_chip(AUDIO2.chip).lowering(ready, AUDIO2.chip)
    x = rng.integers(0, 3, (2, 6, 3))
    real = run_spiking(ready, x, convention_of(ready.metadata), record_v=["hidden"])
    whole = run(program, Stimulus(x, None, 6), record_spikes=["hidden"], record_v=["hidden"])
    q = float(ready.nodes["hidden"].metadata["scale"])
    assert real.spikes["hidden"].any()
    np.testing.assert_array_equal(whole.trace.spikes["hidden"], real.spikes["hidden"])
    np.testing.assert_allclose(whole.trace.v["hidden"] * q, real.v["hidden"], rtol=0, atol=0.5 * q)


def test_a_trained_network_fits_and_answers_like_itself() -> None:
    rng = np.random.default_rng(5)
    graph = network(rng)
    x = (rng.random((20, 60, 6)) < 0.3).astype(np.int64)
    ready = run_passes(graph, AUDIO2.passes_for(graph, x), Context())
    assert AUDIO2.check(ready).fits
    program = AUDIO2.lower(ready)
    whole = run(program, Stimulus(x, None, 60), record_spikes=["hidden", "out"])
    real = run_spiking(graph, x, RULE)
    assert 0.01 < real.spikes["hidden"].mean() < 1
    assert np.mean(whole.trace.spikes["hidden"] == real.spikes["hidden"]) > 0.97
    same = whole.trace.spikes["out"].sum(axis=1).argmax(axis=1) == real.spikes["out"].sum(axis=1).argmax(axis=1)
    assert same.mean() >= 0.9


def test_a_bias_becomes_a_constant_of_the_neuron() -> None:
    rng = np.random.default_rng(1)
    bias = rng.normal(0, 0.05, 12)
    graph = network(rng, w=nir.Affine(rng.normal(0, 0.3, (12, 6)), bias))
    program = AUDIO2.lower(prepared(graph))
    hidden = program.population("hidden").neuron
    q = float(program.meta["scale"]["hidden"])
    # r w_in b = 8 b in the end, of which a step adds 1 - a = 1/8.
    np.testing.assert_array_equal(hidden["bias"], np.rint(bias / q))


def test_codes_round_trip_through_check_and_a_second_lowering(tmp_path: Path) -> None:
    ready = prepared(network(np.random.default_rng(2)))
    assert AUDIO2.passes_for(ready) == ()
    program = AUDIO2.lower(ready)
    kinds = {q.name: (q.delay, q.exponent) for q in program.projections}
    assert kinds["w"][0] == 0
    assert kinds["rec"][0] == kinds["u"][0] == 1
    assert all(np.abs(q.synapse.codes.astype(int)).max() <= 127 for q in program.projections)
    program.save(tmp_path / "p.npz")
    again = Program.load(tmp_path / "p.npz")
    assert (again.target, again.placements, again.meta) == ("xylo_audio2", program.placements, program.meta)


# ---------------------------------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"hidden": nir.LIF(*(np.full(12, v) for v in (0.01, 1.0, 0.0, 1.0, 0.0)))}, "supported-nodes"),
        ({"hidden": cuba(12, tau_mem=5 * DT)}, "decay-shifts"),
        ({}, "integer-weights"),
    ],
)
def test_graph_rules(change: dict[str, Any], rule: str) -> None:
    assert rule in broken(AUDIO2.check(network(np.random.default_rng(3), **change)))


def test_the_reset_and_the_lower_bound() -> None:
    graph = network(np.random.default_rng(3))
    other = meant(dict(graph.nodes), list(graph.edges), RULE.having(reset="zero", v_min=-1.0))
    found = AUDIO2.check(other)
    assert [v.message for v in found.violations if v.rule == "subtracting-reset"] == [
        "its neurons reset by 'zero', xylo_audio2 subtracts the threshold",
        "its potential stops at -1 thresholds, that of xylo_audio2 at -32768",
    ]
    assert AUDIO2.passes_for(other) == ()


def test_where_outputs_and_inputs_go() -> None:
    graph = network(np.random.default_rng(3))
    direct = {**graph.nodes, "s": nir.Linear(np.ones((3, 6))), "back": nir.Linear(np.ones((12, 3)))}
    edges = [*graph.edges, ("input", "s"), ("s", "out"), ("out", "back"), ("back", "hidden")]
    messages = [v.message for v in AUDIO2.check(meant(direct, edges)).violations if v.rule == "one-output-layer"]
    assert sorted(messages) == [
        "inputs reach it, output neurons hear hidden neurons alone",
        "its spikes go on to 'hidden', those of output neurons leave the chip",
    ]


@pytest.mark.parametrize(
    ("sizes", "device", "rules"),
    [
        ((6, 12, 9), "audio2", {"neurons"}),
        ((17, 12, 3), "imu", {"neurons"}),
        ((6, 70, 3), "audio2", {"fan-out"}),
        ((6, 140, 3), "audio3", {"reach"}),
        ((6, 500, 3), "imu", {"neurons", "reach"}),
        ((6, 60, 3), "audio3", set()),
    ],
)
def test_program_rules(sizes: tuple[int, int, int], device: str, rules: set[str]) -> None:
    target = resolve_target(f"xylo_{device}")
    graph = network(np.random.default_rng(4), sizes)
    result = target.check(run_passes(graph, target.passes_for(graph), Context()))
    assert broken(result) == rules


def test_thresholds_shifts_and_constants_that_do_not_fit() -> None:
    rng = np.random.default_rng(6)
    wide = network(rng, w=nir.Linear(rng.normal(0, 50, (12, 6))), hidden=cuba(12, leak=1e3))
    found = AUDIO2.check(prepared(wide, XyloForm(), QuantizeXylo(20000)))
    assert {"weight-bits", "biases"} <= broken(found)
    uneven = network(rng, hidden=cuba(12, threshold=1.0))
    high: Any = uneven.nodes["hidden"]
    high.v_threshold = np.linspace(1.0, 9.0, 12)
    assert "thresholds" in broken(AUDIO2.check(prepared(uneven, XyloForm(), QuantizeXylo(8000))))


def test_warnings() -> None:
    found = AUDIO2.check(prepared(network(np.random.default_rng(7)), XyloForm(), QuantizeXylo(20000)))
    assert {"spike-timing", "saturation"} <= {warning.rule for warning in found.warnings}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: XyloForm().requires(meant({"input": input_node((2,)), "output": output_node((2,))}, [])), "it has no CubaLIF"),
        (lambda: QuantizeXylo(0).requires(network(np.random.default_rng(0))), "1..32767 are possible"),
    ],
)
def test_passes_refuse(make: Any, message: str) -> None:
    with pytest.raises(PassFailed, match=message):
        make()


# --------------------------------------------------------------------------------------------------------------- vendor


@pytest.mark.xylo
def test_the_vendor_s_simulator_gives_the_engine_s_trace() -> None:
    rng = np.random.default_rng(8)
    program = AUDIO2.lower(prepared(network(rng)))
    x = rng.integers(0, 4, (3, 40, 6))
    ours = run(program, Stimulus(x, None, 40), record_spikes=["hidden", "out"], record_v=["out"]).trace
    theirs = run_xylosim(program, Stimulus(x, None, 40), ["hidden", "out"], ["out"])
    assert theirs.spikes["out"].any()
    for name in ("hidden", "out"):
        np.testing.assert_array_equal(ours.spikes[name], theirs.spikes[name])
    np.testing.assert_array_equal(ours.v["out"], theirs.v["out"])
    assert set(theirs.v) == {"out"}


def test_programs_that_are_no_xylo() -> None:
    populations = (
        Population("in", (1,), Neuron("input", {})),
        Population("n", (1,), Neuron("if", {"v_threshold": np.asarray(1)})),
    )
    with pytest.raises(UnsupportedNode, match="xylosim runs one input"):
        described(Program("cpu", AUDIO2.chip, populations, (), (), ("in",), ("n",), 0, {}))


@pytest.mark.xylo
def test_a_simulator_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text("raise SystemExit('no luck')")
    monkeypatch.setattr(vendor, "WORKER", tmp_path / "worker.py")
    program = AUDIO2.lower(prepared(network(np.random.default_rng(8))))
    with pytest.raises(InvalidInput, match="xylosim: it failed: no luck"):
        run_xylosim(program, Stimulus(np.zeros((1, 2, 6), np.int64), None, 2))
