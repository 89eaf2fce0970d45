"""The adaptive neuron in NIR's own nodes computes what the cell does, in the reference and behind a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from snnport.convention import Convention, convention_of
from snnport.errors import PassFailed
from snnport.exporters.nir import write_nir
from snnport.flow.check import lower
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import open_model
from snnport.flow.prepare import InputOptions
from snnport.flow.write import write_quantised
from snnport.graph import Graph, build
from snnport.importers.nir import read_nir
from snnport.nodes import AdaptiveLIF, input_node, output_node
from snnport.passes.alif_to_nir import AlifToNir, NirToAlif
from snnport.passes.base import Context, run_passes
from snnport.passes.spec import parse_pass
from snnport.reference import run_spiking

RULE = Convention("test", dt=0.125, membrane_gain="unit", leaky_gain="unit", reset="subtract")
GAINS = ("leak", "unit")


def network(rng: np.random.Generator, rule: Convention, n: int, *, dyadic: bool) -> Graph:
    """3 inputs, n adaptive neurons with a loop of their own. dyadic: every number is a short binary fraction."""

    def some(low: float, high: float, shape: Any) -> Any:
        values = rng.uniform(low, high, shape)
        return np.round(values * 16) / 16 if dyadic else values

    def tau(choices: tuple[float, ...]) -> Any:
        lost = rng.choice(choices, n) if dyadic else rng.uniform(min(choices), max(choices), n)
        return rule.dt / lost

    adaptive = AdaptiveLIF(
        tau((0.5, 0.25)),
        rng.choice((0.5, 1.0, 2.0), n),
        some(-0.2, 0.2, n),
        some(0.5, 1, n),
        np.zeros(n),
        tau((0.25, 0.5)),
        some(0.5, 2, n),
    )
    nodes: dict[str, nir.NIRNode] = {
        "input": input_node((3,)),
        "fc": nir.Linear(some(-1, 2, (n, 3))),
        "n": adaptive,
        "again": nir.Linear(some(-0.5, 0.5, (n, n))),
        "output": output_node((n,)),
    }
    edges = [("input", "fc"), ("fc", "n"), ("n", "again"), ("again", "n"), ("n", "output")]
    text = json.dumps({"version": 1, "coding": None, "convention": rule.to_json()})
    return build(nodes, edges, {"snnport": text})


def plain(graph: Graph) -> Graph:
    return run_passes(graph, (AlifToNir(),), Context())


@pytest.mark.parametrize("seed", range(6))
def test_equal_to_the_cell_in_every_spike_and_potential(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rule = RULE.having(comparison=(">", ">=")[seed % 2], membrane_gain=GAINS[seed // 2 % 2])
    graph = network(rng, rule, 6, dyadic=True)
    # Short binary fractions leave nothing to round in so few steps.
    x = np.round(rng.normal(0.5, 1, (4, 12, 3)) * 8) / 8
    cell = run_spiking(graph, x, rule, record_v=["n"])
    parts = run_spiking(plain(graph), x, rule, record_v=["n.v"])
    assert cell.spikes["n"].sum() > 20
    assert np.array_equal(cell.spikes["n"], parts.spikes["n"])
    node: Any = graph.nodes["n"]
    reset = cell.v["n"] + cell.spikes["n"] * node.v_threshold
    assert np.array_equal(reset, parts.v["n.v"])


@pytest.mark.parametrize("leaky_gain", GAINS)
@pytest.mark.parametrize("decay", ["euler", "exponential"])
def test_equal_spikes_over_many_steps(leaky_gain: str, decay: str) -> None:
    rng = np.random.default_rng(7)
    rule = RULE.having(leaky_gain=leaky_gain, decay=decay)
    graph = network(rng, rule, 8, dyadic=False)
    x = rng.normal(0.5, 1, (4, 300, 3))
    cell, parts = run_spiking(graph, x, rule), run_spiking(plain(graph), x, rule)
    assert cell.spikes["n"].sum() > 500
    assert np.array_equal(cell.spikes["n"], parts.spikes["n"])


def test_it_goes_through_a_file_that_nir_itself_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    graph = plain(network(rng, RULE, 5, dyadic=False))
    path = tmp_path / "adaptive.nir"
    write_nir(graph, path)
    kinds = {type(node).__name__ for node in nir.read(path).nodes.values()}
    assert kinds == {"Input", "Linear", "LI", "Scale", "Threshold", "Output"}
    x = rng.normal(0.5, 1, (2, 50, 3))
    read = read_nir(path)
    assert read.convention is not None
    again = run_spiking(read.graph, x, read.convention)
    assert np.array_equal(again.spikes["n"], run_spiking(graph, x, RULE).spikes["n"])
    whole = run_passes(read.graph, (NirToAlif(),), Context())
    assert isinstance(whole.nodes["n"], AdaptiveLIF)


@pytest.mark.parametrize("reset", ["zero", "value"])
def test_a_reset_to_a_value_travels_in_the_metadata(reset: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(13)
    rule = RULE.having(reset=reset)
    graph = network(rng, rule, 5, dyadic=False)
    node: Any = graph.nodes["n"]
    node.v_reset = rng.uniform(-0.2, 0.2, 5) if reset == "value" else np.zeros(5)
    ctx = Context()
    written = run_passes(graph, (AlifToNir(),), ctx)
    (warning,) = ctx.findings["alif-to-nir"]["warnings"]
    assert "another reader computes a reset by subtraction" in warning
    write_nir(written, tmp_path / "n.nir")
    opened = open_model(tmp_path / "n.nir")
    x = rng.normal(0.5, 1, (2, 60, 3))
    expected = run_spiking(graph, x, rule)
    assert opened.imported is not None
    assert opened.imported.convention is not None
    assert np.array_equal(run_spiking(opened.graph, x, opened.imported.convention).spikes["n"], expected.spikes["n"])
    assert expected.spikes["n"].sum() > 20


@pytest.mark.parametrize("gain", GAINS)
def test_found_again(gain: str) -> None:
    rng = np.random.default_rng(9)
    rule = RULE.having(membrane_gain=gain)
    graph = network(rng, rule, 5, dyadic=False)
    ctx = Context()
    back = run_passes(plain(graph), (NirToAlif(),), ctx)
    assert set(back.nodes) == set(graph.nodes)
    assert set(back.edges) == set(graph.edges)
    for field in ("tau", "r", "v_leak", "v_threshold", "v_reset", "tau_adapt", "beta"):
        np.testing.assert_allclose(getattr(back.nodes["n"], field), getattr(graph.nodes["n"], field), rtol=1e-12)
    assert [entry.node for entry in ctx.entries] == ["n"]


def test_what_has_another_form_stays() -> None:
    graph = plain(network(np.random.default_rng(10), RULE, 4, dyadic=False))
    odd = build({**graph.nodes, "spy": output_node((4,))}, [*graph.edges, ("n.v", "spy")], graph.metadata)
    assert set(run_passes(odd, (NirToAlif(),), Context()).nodes) == set(odd.nodes)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"reset_when": "next_end"}, "resets late"),
        ({"recurrent_delay": 2}, "loops of one step"),
        ({"membrane_gain": "keep"}, "rounds otherwise"),
    ],
)
def test_what_no_nir_node_says_is_refused(changes: dict[str, Any], what: str) -> None:
    graph = network(np.random.default_rng(11), RULE.having(**changes), 4, dyadic=False)
    with pytest.raises(PassFailed, match=what):
        plain(graph)


def test_a_graph_without_adaptive_neurons_stays_as_it_is() -> None:
    graph = plain(network(np.random.default_rng(12), RULE, 4, dyadic=False))
    assert plain(graph).nodes.keys() == graph.nodes.keys()


@pytest.mark.parametrize(
    ("target", "bits", "spelled"),
    [("cpu", None, ()), ("loihi2", None, ()), (None, 8, ()), (None, None, ("nir-to-alif", "quantize-snn{bits=7}"))],
)
def test_a_quantised_file_computes_what_its_codes_say_and_runs_on_chips(
    tmp_path: Path, target: str | None, bits: int | None, spelled: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(11)
    graph = network(rng, RULE, 6, dyadic=True)
    source, output = tmp_path / "net.nir", tmp_path / "codes.nir"
    write_nir(plain(graph), source)
    model = open_model(source)
    done = write_quantised(model, output, target, bits, spelled)["done"]
    coded = open_model(output)
    x = rng.integers(0, 2, (5, 20, 3)).astype(np.float64)
    cell = run_passes(model.graph, [NirToAlif(), *(parse_pass(text) for text in done[:-1] if text != "nir-to-alif")], Context())
    expected, actual = (run_spiking(found, x, convention_of(found.metadata)) for found in (cell, coded.graph))
    np.testing.assert_array_equal(actual.spikes["n"], expected.spikes["n"])
    assert expected.spikes["n"].any()
    for chip in ("loihi2",) if target == "loihi2" else ("cpu", "loihi2"):  # its planes hold more codes than 8 bits
        program, passes = lower(coded, chip, InputOptions(), ConvertOptions())
        assert passes == ("nir-to-alif",), "the codes of the file are taken as they are"
        assert {p.neuron.family for p in program.populations} >= {"alif"}
