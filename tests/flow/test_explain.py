"""Causes on the command line: compare with the program at hand, run --expect, and validate's first mismatch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Command
from random_programs import chip_with

from snnport.datasets import load_samples
from snnport.errors import InvalidInput
from snnport.flow.compare import compare_traces
from snnport.flow.explain import compare_on, with_cause
from snnport.flow.outcome import Outcome
from snnport.flow.prepare import InputOptions
from snnport.flow.validate import Expectation, Mismatch, Validation
from snnport.program import Dense, Neuron, Population, Program, Projection, Slice
from snnport.sim.altered.rules import Rules
from snnport.sim.altered.run import Altered
from snnport.trace import Trace


def program(readout: str = "count") -> Program:
    """Two inputs, two leaky neurons, an output that fires, or only adds up."""
    leaky = Neuron("lif", {"v_threshold": np.asarray(8), "decay": np.asarray(1000)})
    last = leaky if readout == "count" else Neuron("integrator", {})
    populations = (Population("in", (2,), Neuron("input", {})), Population("a", (2,), leaky), Population("b", (2,), last))
    links = (
        Projection("in->a", "in", "a", Dense(np.array([[5, 1], [2, 6]], np.int8)), None, 1),
        Projection("a->b", "a", "b", Dense(np.array([[7, -3], [1, 6]], np.int8)), None, 1),
    )
    places = tuple(Slice(name, 0, 0, 2) for name in ("a", "b"))
    return Program("cpu", chip_with(clock_hz=1e6), populations, links, places, ("in",), ("b",), 0, {"readout": readout})


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A program, its input, what it gives, and what an executor gives that rounds away from zero."""
    x = (np.random.default_rng(3).random((3, 40, 2)) < 0.6).astype(np.int64)
    paths = {name: tmp_path / f"{name}.npz" for name in ("program", "x", "own", "other")}
    program().save(paths["program"])
    np.savez(paths["x"], x=x)
    executor = Altered(program())
    for name, rules in (("own", Rules()), ("other", Rules(rounding="away"))):
        parts = [executor.run(sample, rules) for sample in x]
        spikes = {"b": np.concatenate([p.spikes["b"] for p in parts])}
        Trace(spikes, {"a": np.concatenate([p.v["a"] for p in parts])}).save(paths[name])
    return paths


@pytest.mark.parametrize("order", [("other", "own"), ("own", "other")])
def test_compare_names_the_cause_whichever_trace_is_the_program_s(
    snnport: Command, files: dict[str, Path], order: tuple[str, str]
) -> None:
    a, b = (str(files[name]) for name in order)
    answer = snnport("compare", a, b, "--program", str(files["program"]), "--input", str(files["x"]), "--json")
    assert answer.code == 1
    first = answer.data["first"]
    assert (first["cause"], first["detail"], first["also"]) == ("rounding", "the other executor rounds away from zero", [])
    around = answer.data["around"]
    assert len(around["expected_v"]) == len(around["actual_v"]) > 1
    assert around["expected_v"] != around["actual_v"]


def test_without_a_program_nothing_is_guessed(snnport: Command, files: dict[str, Path]) -> None:
    answer = snnport("compare", str(files["own"]), str(files["other"]), "--json")
    assert answer.code == 1
    assert answer.data["first"]["cause"] == "unknown"
    assert answer.data["first"]["detail"].startswith("the potential is off by")


def test_run_expect_names_the_cause(snnport: Command, files: dict[str, Path]) -> None:
    answer = snnport("run", files["program"], "--input", files["x"], "--expect", files["other"], "--json")
    assert answer.code == 1
    assert answer.data["comparison"]["first"]["cause"] == "rounding"


def test_both_options_or_none(snnport: Command, files: dict[str, Path]) -> None:
    assert snnport("compare", files["own"], files["other"], "--program", files["program"]).code == 2


def test_equal_traces_are_equal_with_a_program_too(files: dict[str, Path]) -> None:
    assert compare_on(files["own"], files["own"], files["program"], files["x"], InputOptions()).first is None


def test_traces_of_another_input_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    np.savez(tmp_path / "y.npz", x=np.ones((3, 40, 2), np.int64))
    with pytest.raises(InvalidInput, match=r"neither own[.]npz nor other[.]npz is what it gives on y[.]npz"):
        compare_on(files["own"], files["other"], files["program"], tmp_path / "y.npz", InputOptions())


def test_a_network_is_no_program(converted: Path, files: dict[str, Path]) -> None:
    with pytest.raises(InvalidInput, match="it is no lowered program"):
        compare_on(files["own"], files["other"], converted / "digits.nir", files["x"], InputOptions())


@pytest.mark.parametrize("readout", ["count", "last", "max", "sum"])
def test_a_mismatch_of_logits_has_a_cause(readout: str, tmp_path: Path) -> None:
    """Logits of a run in which a reset waits for the next step, the program's without that."""
    net, x = program(readout), (np.random.default_rng(4).random((2, 30, 2)) < 0.5).astype(np.int64)
    np.savez(tmp_path / "x.npz", x=x)
    samples = load_samples(tmp_path / "x.npz", None, (2,))

    def logits(rules: Rules) -> Any:
        rows = []
        for sample in x:
            trace = Altered(net).run(sample, rules)
            v = trace.v["b"][0]
            rows.append(
                {"count": trace.spikes["b"][0].sum(axis=0), "last": v[-1], "max": v.max(axis=0), "sum": v.sum(axis=0)}[readout]
            )
        return np.array(rows)

    wanted, own = logits(Rules(reset="next end")), logits(Rules())
    assert np.any(wanted != own)
    found = Validation((), False, 2, Mismatch(0, 0, 1, 2))
    outcome = Outcome("cpu", "sim", 30, readout, own, None, Trace({}), None, (), None, 0.0)
    named = with_cause(found, Expectation({}, wanted), net, samples, outcome).first_divergence
    assert named is not None
    assert named.cause in ("reset order", "comparison")
    assert named.detail.startswith("the logits are the ANN's where the executor")
    other = with_cause(found, Expectation({}, wanted + 100), net, samples, outcome)
    assert other.first_divergence == found.first_divergence
    done = replace(found, first_divergence=None)
    assert with_cause(done, Expectation({}, wanted), net, samples, outcome) is done


def test_a_delay_is_seen_without_a_program() -> None:
    spikes = np.zeros((1, 6, 1), np.int64)
    spikes[0, 2] = 1
    found = compare_traces(Trace({"a": spikes}), Trace({"a": np.roll(spikes, 1, axis=1)}))
    assert (found.cause, found.detail) == ("delay", "the actual trace is 1 step late")
    extra = compare_traces(Trace({"a": 0 * spikes}), Trace({"a": spikes}))
    assert (extra.cause, extra.detail) == ("unknown", "there is an extra spike")
