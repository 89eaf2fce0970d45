"""A graph as a module gives the spikes of the reference, whatever wrote it, and gives itself back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from graphs import KINDS, RULE, maps, small, tangled
from interop_files import names, recorded

from snnport.convention import Convention
from snnport.errors import InvalidGraph, InvalidInput, UnknownName, UnsupportedNode
from snnport.graph import Graph, build
from snnport.importers.dialect_table import DIALECTS
from snnport.importers.nir import read_nir
from snnport.nodes import AdaptiveLIF, SigmaDelta, input_node, output_node
from snnport.reference import run_spiking
from snnport.training.module import Held, Result, SpikingModule, as_module


def run(module: SpikingModule, x: Any, **more: Any) -> Result:
    with torch.no_grad():
        return module(torch.from_numpy(np.asarray(x, module.convention.dtype)), **more)  # type: ignore[no-any-return]


def rows(tensor: torch.Tensor) -> Any:
    return tensor.reshape(*tensor.shape[:2], -1).numpy()


def assert_same(graph: Graph, rule: Convention, x: Any, *, exact: bool = True) -> int:
    """The same spikes, and potentials if `exact`; returns how many spikes."""
    recordable = [name for name, node in graph.nodes.items() if hasattr(node, "r")]
    expected = run_spiking(graph, x, rule, record_v=recordable)
    found = run(as_module(graph, rule, exact=exact), x, record_v=recordable)
    assert found.spikes.keys() == {name for name in expected.spikes if hasattr(graph.nodes[name], "v_threshold")} | {
        name for name, node in graph.nodes.items() if isinstance(node, nir.Threshold)
    }
    for name, spikes in found.spikes.items():
        assert np.array_equal(rows(spikes), expected.spikes[name]), name
    for name, v in found.v.items() if exact else ():
        assert np.array_equal(rows(v), expected.v[name]), name
    return sum(int(spikes.sum()) for spikes in found.spikes.values())


FLOATS = [key for key in names() if not key[1].startswith("fixed_")]


@pytest.mark.parametrize(("framework", "name"), FLOATS, ids=lambda value: value)
def test_networks_of_the_frameworks(framework: str, name: str, tmp_path: Path) -> None:
    case = recorded(framework, name)
    imported = read_nir(case.unpack(tmp_path), **case.about["flags"])
    assert imported.convention is not None
    assert assert_same(imported.graph, imported.convention, case.x[:, :60]) > 0 or case.v


@pytest.mark.parametrize("dialect", sorted(name for name in DIALECTS if name != "lava-fixed"))
def test_random_networks_of_every_dialect(dialect: str) -> None:
    found = DIALECTS[dialect]
    rng = np.random.default_rng(len(dialect))
    # Time constants of the networks are in steps of 1 ms; a dialect has its own unit and step.
    rule = found.convention
    rule = rule.having(dt=1e-3 / rule.tau_unit * rule.tau_unit) if rule.dt != 1.0 else rule.having(dt=1e-3)
    rule = rule.having(tau_unit=1.0)
    spikes = 0
    for kind in ("IF", "LIF", "CubaLIF"):
        for loop in ("", "all", "one"):
            graph = small(rng, kind, loop=loop)
            x = rng.normal(0.5, 1.5, (3, 20, 5))
            spikes += assert_same(graph, rule, x)
            assert_same(graph, rule.having(dtype="float64"), x, exact=False)
    assert spikes > 40


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_delays_skips_loops_and_maps(dtype: str) -> None:
    rng = np.random.default_rng(1)
    rule = RULE.having(dtype=dtype)
    assert assert_same(tangled(rng), rule, rng.normal(0.5, 1, (2, 25, 4))) > 50
    assert assert_same(tangled(rng), rule.having(recurrent_delay=3, spike_delay=1), rng.normal(0.5, 1, (2, 25, 4))) > 50
    assert assert_same(maps(rng), rule, rng.normal(0.3, 1, (2, 6, 2, 8, 8))) > 50


@pytest.mark.parametrize("rules", [{"reset": "subtract"}, {"reset": "zero"}, {"reset": "subtract", "reset_when": "next_end"}])
def test_adaptive_neurons(rules: dict[str, str]) -> None:
    rng = np.random.default_rng(2)
    for loop in ("", "all"):
        graph = small(rng, "AdaptiveLIF", loop=loop)
        assert assert_same(graph, RULE.having(**rules), rng.normal(0.5, 1.5, (3, 25, 5))) > 50


def test_graded_spikes() -> None:
    rng = np.random.default_rng(3)
    rule = RULE.having(multi_spike=True, reset="subtract", comparison=">=")
    graph = small(rng, "IF")
    x = rng.normal(2, 3, (2, 15, 5))
    assert assert_same(graph, rule, x) > 0
    assert run(as_module(graph, rule), x).spikes["n"].max() > 1


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_steps_and_held_inputs(kind: str) -> None:
    rng = np.random.default_rng(4)
    module = as_module(small(rng, kind, loop="all"), RULE)
    x = rng.normal(0.5, 1.5, (3, 12, 5))
    whole = run(module, x)
    first = run(module, x[:, :5])
    rest = run(module, x[:, 5:], state=first.state)
    for name, spikes in whole.spikes.items():
        assert torch.equal(torch.cat([first.spikes[name], rest.spikes[name]], 1), spikes)
    assert torch.equal(torch.cat([first.output, rest.output], 1), whole.output)
    still = torch.from_numpy(x[:, 0])
    with torch.no_grad():
        held = module(Held(still, 12))
        spread = module(still[:, None].expand(3, 12, 5))
    assert torch.equal(held.output, spread.output)


def test_several_inputs_by_their_names() -> None:
    rng = np.random.default_rng(5)
    graph = small(rng, "LIF")
    graph = build({**graph.nodes, "other": input_node((6,))}, [*graph.edges, ("other", "n")])
    x = {"input": rng.normal(0, 1, (2, 9, 5)), "other": rng.normal(0, 1, (2, 9, 6))}
    expected = run_spiking(graph, x, RULE)
    with torch.no_grad():
        found = as_module(graph, RULE)({name: torch.from_numpy(array) for name, array in x.items()})
    assert np.array_equal(rows(found.spikes["n"]), expected.spikes["n"])


def test_the_graph_comes_back() -> None:
    rng = np.random.default_rng(6)
    graph = small(rng, "CubaLIF", loop="all")
    fields = ("weight", "bias", "tau_mem", "tau_syn", "v_threshold", "v_leak", "r", "w_in")
    module = as_module(graph, RULE, trainable=fields)
    back = module.to_graph()
    assert list(back.nodes) == list(graph.nodes)
    assert back.edges == graph.edges
    for name, node in graph.nodes.items():
        for field, value in vars(node).items():
            if isinstance(value, np.ndarray):
                assert np.array_equal(getattr(back.nodes[name], field), value)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05)
    changed = module.to_graph()
    moved: Any = changed.nodes["n"]
    before: Any = graph.nodes["n"]
    np.testing.assert_allclose(moved.tau_mem, before.tau_mem * np.exp(0.05))
    np.testing.assert_allclose(moved.v_leak, before.v_leak + 0.05)
    x = rng.normal(0.5, 1.5, (3, 20, 5))
    expected = run_spiking(changed, x, RULE)
    with torch.no_grad():
        found = module(torch.from_numpy(x))
    assert np.array_equal(rows(found.spikes["n"]), expected.spikes["n"])
    assert not np.array_equal(expected.spikes["n"], run_spiking(graph, x, RULE).spikes["n"])


@pytest.mark.parametrize("dialect", ["norse", "snntorch", "spikingjelly", "rockpool", "sinabs"])
def test_learned_time_constants_are_those_of_the_reference(dialect: str) -> None:
    rng = np.random.default_rng(7)
    rule = DIALECTS[dialect].convention.having(dt=1e-3, tau_unit=1.0)
    graph = small(rng, "LIF")
    module = as_module(graph, rule, trainable=("tau", "v_threshold"), exact=True)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.from_numpy(rng.normal(0, 0.1, parameter.shape)))
    x = rng.normal(1.5, 3, (3, 30, 5))
    expected = run_spiking(module.to_graph(), x, rule)
    assert expected.spikes["n"].sum() > 10
    assert np.array_equal(rows(run(module, x).spikes["n"]), expected.spikes["n"])


@pytest.mark.parametrize("make", [tangled, maps])
def test_the_references_own_products_have_the_gradients_of_torchs(make: Any) -> None:
    graph = make(np.random.default_rng(4))
    x = torch.from_numpy(np.random.default_rng(5).normal(1, 2, (3, 12, *graph.nodes["input"].input_type["input"])))
    found = []
    for exact in (True, False):
        module = as_module(graph, RULE, dtype="float64", exact=exact)
        sum(spikes.sum() for spikes in module(x).spikes.values()).backward()
        found.append({name: value.grad.numpy() for name, value in module.named_parameters() if value.grad is not None})
    exact, own = found
    assert exact.keys() == own.keys()
    assert any(np.any(gradient) for gradient in own.values())
    for name, gradient in own.items():
        assert np.allclose(exact[name], gradient, rtol=1e-9, atol=1e-9), name


def test_one_field_of_one_node() -> None:
    graph = small(np.random.default_rng(8), "LIF")
    module = as_module(graph, RULE, trainable=("fc1.weight",))
    assert [name for name, _ in module.named_parameters()] == ["fc1/weight"]


def test_what_cannot_be_trained() -> None:
    rng = np.random.default_rng(9)
    graph = small(rng, "LIF")
    with pytest.raises(UnknownName, match="weigth"):
        as_module(graph, RULE, trainable=("weigth",))
    with pytest.raises(UnsupportedNode, match="computes in lava-fixed"):
        as_module(graph, RULE.having(dtype="lava-fixed"))
    sending = build({**graph.nodes, "n": SigmaDelta(np.ones(6), True)}, graph.edges)
    with pytest.raises(UnsupportedNode, match="SigmaDelta cannot be trained"):
        as_module(sending, RULE)
    coded = build(
        graph.nodes, graph.edges, {"snnport": '{"coding": {"code": "gate", "n_steps": 4, "encoder": {}, "windows": {}}}'}
    )
    with pytest.raises(UnsupportedNode, match="integer codes"):
        as_module(coded)
    without = build({"input": input_node((2,))}, [])
    with pytest.raises(InvalidGraph, match="no Output"):
        as_module(without, RULE)
    odd = build({"input": input_node((2,)), "o": output_node(), "x": nir.Input({"input": np.array([2])})}, [("input", "o")])
    with pytest.raises(InvalidInput, match="the graph has the Inputs input, x"):
        as_module(odd, RULE)(torch.zeros(1, 2, 2))
    with pytest.raises(UnsupportedNode, match="several spikes a step"):
        as_module(small(rng, "AdaptiveLIF"), RULE.having(multi_spike=True))(torch.zeros(1, 2, 5))
    assert isinstance(small(rng, "AdaptiveLIF").nodes["n"], AdaptiveLIF)


def test_input_that_does_not_fit() -> None:
    module = as_module(small(np.random.default_rng(10), "LIF"), RULE)
    with pytest.raises(InvalidInput, match=r"it gives \(4,\) a step for 'input', which takes \(5,\)"):
        module(torch.zeros(2, 3, 4))
    with pytest.raises(InvalidInput, match="there is no such node"):
        module(torch.zeros(2, 3, 5), record_v=("nobody",))
    with pytest.raises(InvalidInput, match=r"\[0\] steps"):
        module(torch.zeros(2, 0, 5))
