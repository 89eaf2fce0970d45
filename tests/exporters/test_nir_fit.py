"""One neuron for another framework's importer: the same step, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spiking import plain, said

from snnport.convention import PLAIN, Convention
from snnport.errors import UnknownName
from snnport.exporters.nir_dialect import INPUT_RULE, Rewriting, changed_spikes, rewritten
from snnport.exporters.nir_loaders import LOADERS
from snnport.exporters.nir_step import LONG, step_of, tau_for
from snnport.graph import Graph
from snnport.importers.dialect_table import DIALECTS
from snnport.reference import run_spiking

SNNTORCH = DIALECTS["snntorch"].convention.having(reset="zero")
SINABS = DIALECTS["sinabs"].convention
SUBTRACT = PLAIN.having(dt=1e-3, reset="subtract")


def full(*values: Any, shape: tuple[int, ...] = (3,)) -> list[Any]:
    return [np.array(np.broadcast_to(np.asarray(value, float), shape)) for value in values]


def lif(tau: Any, r: Any = 1.0, leak: Any = 0.0, threshold: Any = 1.0, reset: Any = 0.0) -> nir.LIF:
    return nir.LIF(*full(tau, r, leak, threshold, reset))


def net(node: nir.NIRNode, rule: Convention, weight: Any = None) -> Graph:
    weight = np.array([[0.5, 0.25], [0.75, -0.5], [1.0, 0.125]]) if weight is None else np.asarray(weight)
    return plain((2,), {"fc": nir.Linear(weight), "n": node}, rule)


def export(node: nir.NIRNode, rule: Convention, dialect: str, weight: Any = None) -> Rewriting:
    return rewritten(net(node, rule, weight), rule, dialect)


def differing(found: Rewriting) -> set[str]:
    return {difference.rule for difference in found.differences}


@pytest.mark.parametrize("decay", ["euler", "exponential"])
@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e3])
def test_a_time_constant_leaves_what_it_is_to_leave(decay: str, unit: float) -> None:
    rule = PLAIN.having(decay=decay, tau_unit=unit, dt=1e-3)
    a = np.array([0.1, 0.5, 0.9, 0.9999])
    node = nir.LIF(tau_for(a, rule), *full(1, 0, 1, 0, shape=(4,)))
    assert np.allclose(step_of(node, (4,), rule).a, a, rtol=1e-12, atol=0)
    never = tau_for(np.ones(1), rule)
    assert never[0] == pytest.approx(LONG * 1e-3 / unit)
    assert np.float32(step_of(nir.LIF(never, *full(1, 0, 1, 0, shape=(1,))), (1,), rule).a[0]) == 1.0


def test_nothing_is_left_of_a_state_that_forgets() -> None:
    for decay in ("euler", "exponential"):
        rule = PLAIN.having(decay=decay)
        node = nir.LIF(tau_for(np.zeros(1), rule), *full(1, 0, 1, 0, shape=(1,)))
        assert np.float32(1.0) + np.float32(step_of(node, (1,), rule).a[0]) == 1.0


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31 - 1),
    st.sampled_from(["nir", "snntorch", "norse", "spikingjelly"]),
    st.sampled_from(["nir", "snntorch", "norse", "spikingjelly"]),
)
def test_whatever_is_written_spikes_alike(seed: int, source: str, dialect: str) -> None:
    """Random constants, one number a population or one a neuron; float64 on both sides, so that nothing is rounded away."""
    rng = np.random.default_rng(seed)
    rule = {"nir": PLAIN, "snntorch": SNNTORCH}.get(source, DIALECTS[source].convention).having(dtype="float64")
    size = () if rng.random() < 0.5 else (3,)
    leak = rng.uniform(-0.2, 0.2, size) * (rng.random() < 0.5)
    reset = leak if rng.random() < 0.5 else rng.uniform(-0.2, 0.2, size)
    tau = rule.dt / rule.tau_unit * rng.uniform(1.5, 20, size)
    node = lif(tau, rng.uniform(1, 5, size), leak, rng.uniform(0.5, 1.5, size), reset)
    graph = net(node, rule, rng.normal(0.3, 0.7, (3, 2)))
    found = rewritten(graph, rule, dialect)
    assert found.runs or dialect == "spikingjelly"
    if found.differences:
        assert differing(found) <= {"v_leak", "v_reset", "v_threshold", "tau", "start"}
        return
    raster = (rng.random((2, 80, 2)) < 0.5).astype(float)
    ours = run_spiking(graph, raster, rule).spikes["n"]
    theirs = run_spiking(found.graph, raster, found.convention.having(dtype="float64", unity=0.0)).spikes["n"]
    assert np.array_equal(ours, theirs)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.sampled_from(["sinabs", "rockpool"]), st.booleans())
def test_soft_resets_stay_soft(seed: int, dialect: str, synapse: bool) -> None:
    rng = np.random.default_rng(seed)
    rule = (DIALECTS["rockpool"].convention if synapse else SINABS.having(v_min=None)).having(dtype="float64")
    tau = rule.dt * rng.uniform(1.5, 20, 3)
    node: Any = lif(tau, threshold=rng.uniform(0.5, 1.5, 3))
    if synapse:
        node = nir.CubaLIF(*full(rule.dt * rng.uniform(1.5, 9), tau, 1, 0, rng.uniform(0.5, 1.5, 3), 0, 1))
    graph = net(node, rule, rng.normal(0.3, 0.7, (3, 2)))
    found = rewritten(graph, rule, dialect)
    if dialect == "rockpool" and not synapse:
        assert differing(found) == {"node"}
        return
    assert found.differences == ()
    raster = (rng.random((2, 80, 2)) < 0.5).astype(float)
    ours = run_spiking(graph, raster, rule).spikes["n"]
    assert np.array_equal(ours, run_spiking(found.graph, raster, found.convention.having(dtype="float64")).spikes["n"])


# ------------------------------------------------------------------------------------------------ what is said, and where


@pytest.mark.parametrize(
    ("node", "rule", "dialect", "expected"),
    [
        (lif(1e-3), SUBTRACT, "snntorch", {"reset"}),
        (lif(1e-3), SUBTRACT, "nir", {"reset"}),
        (lif(1e-3), SUBTRACT.having(reset="none"), "nir", {"reset"}),
        (lif(1e-3), SNNTORCH.having(reset_when="next_end"), "norse", {"reset_when"}),
        (lif(1e-3, r=30.0), SNNTORCH.having(reset="subtract", reset_when="carried"), "norse", {"reset_when"}),
        (lif(5.0), SINABS.having(v_min=None), "norse", {"multi_spike", "comparison"}),
        (nir.IF(*full(1, 1, 0)), SINABS, "rockpool", {"node"}),
        (lif(5.0), SINABS.having(v_min=None), "rockpool", {"node"}),
        (lif([1e-3, 2e-3, 3e-3]), PLAIN, "spikingjelly", {"tau"}),
        (lif(1e-4), PLAIN, "spikingjelly", {"tau"}),
        (lif(5e-5), PLAIN, "snntorch", {"decay"}),
        (lif(1e-3, leak=0.1), PLAIN, "spikingjelly", {"v_leak"}),
        (lif(1e-3, leak=0.1), PLAIN, "snntorch", {"v_reset"}),
        (lif(1e-3, leak=0.1), SUBTRACT, "norse", {"v_leak"}),
        (nir.IF(*full(1e4, 1, 0.5)), PLAIN, "norse", {"start"}),
        (nir.IF(*full(1e4, 1, 0.5)), PLAIN, "spikingjelly", {"start"}),
        (nir.LI(*full(1e-3, 1, 0)), PLAIN, "snntorch", {"node"}),
        (lif(1e-3), PLAIN, "lava", {"synapse_delay"}),
        (lif(1e-3), PLAIN, "jaxsnn", {"time"}),
        (lif(1e-3), PLAIN.having(dtype="lava-fixed", synapse_delay=0), "nir", {"dtype"}),
        (lif(1e-3), PLAIN.having(spike_delay=1), "nir", {"spike_delay"}),
    ],
)
def test_every_rule_that_differs_is_named(node: nir.NIRNode, rule: Convention, dialect: str, expected: set[str]) -> None:
    found = export(node, rule, dialect)
    assert differing(found) == expected
    assert all(difference.what and difference.where for difference in found.differences)


def test_a_rest_or_a_reset_that_is_not_0_moves_to_0() -> None:
    """snnTorch takes neither v_leak nor v_reset; Norse no v_reset: the whole axis of the potential moves."""
    at_rest = export(lif(1e-3, leak=0.25, reset=0.25, threshold=1.25), PLAIN, "snntorch")
    assert at_rest.differences == ()
    moved: Any = at_rest.graph.nodes["n"]
    assert (moved.v_leak == 0).all()
    assert moved.v_threshold == pytest.approx(10.0)
    other: Any = export(lif(1e-3, leak=0.5, reset=0.25, threshold=1.25), PLAIN, "norse").graph.nodes["n"]
    assert other.v_leak == pytest.approx(0.25)
    assert other.v_threshold == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rule", "dialect", "side"), [(PLAIN, "spikingjelly", 1), (DIALECTS["spikingjelly"].convention, "nir", -1)]
)
def test_a_strict_comparison_takes_the_next_number(rule: Convention, dialect: str, side: int) -> None:
    node: Any = export(lif(1e-3), rule, dialect).graph.nodes["n"]
    assert np.all(np.sign(node.v_threshold - 1.0) == side)
    assert np.allclose(node.v_threshold, 1.0, rtol=2e-7)


def test_what_may_only_happen_once_is_proven_from_the_weights() -> None:
    once = SINABS.having(multi_spike=False, v_min=None, name="once")
    small = export(lif(5.0), once, "sinabs", np.full((3, 2), 0.5))
    assert small.differences == ()
    assert small.conditions == (INPUT_RULE,)
    assert differing(export(lif(5.0), once, "sinabs", np.full((3, 2), 0.51))) == {"multi_spike"}
    bounded = DIALECTS["snntorch"].convention.having(reset="zero", v_min=-1.0)
    assert differing(export(nir.IF(*full(1e4, 1, 0)), bounded, "norse", np.full((3, 2), 0.4))) == set()
    assert differing(export(nir.IF(*full(1e4, 1, 0)), bounded, "norse", np.full((3, 2), -0.4))) == {"v_min"}


def test_spikes_are_counted_where_a_rule_differs() -> None:
    graph = net(lif(4e-3, r=30.0), SUBTRACT)
    found = rewritten(graph, SUBTRACT, "snntorch")
    raster = (np.random.default_rng(0).random((1, 60, 2)) < 0.6).astype(float)
    ours = run_spiking(graph, raster, SUBTRACT).spikes["n"]
    theirs = run_spiking(found.graph, raster, found.convention).spikes["n"]
    assert changed_spikes(graph, SUBTRACT, None, found, raster) == {"n": int(np.abs(ours - theirs).sum())}
    assert int(np.abs(ours - theirs).sum()) > 0


def test_an_unknown_dialect() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'snntorch'"):
        rewritten(net(lif(1e-3), PLAIN), PLAIN, "snntorh")


def test_every_loader_says_how_its_file_is_loaded() -> None:
    for dialect, loader in LOADERS.items():
        found = rewritten(net(lif(1e-3), PLAIN), PLAIN, dialect)
        lines = found.call(Path("x.nir"))
        assert loader.refuses or any("x.nir" in line for line in lines)
        assert not any("{" in line for line in lines)


def test_the_metadata_say_what_the_importer_makes_of_the_file() -> None:
    found = export(lif(1e-3), PLAIN, "norse")
    assert found.graph.metadata == said(found.convention)
