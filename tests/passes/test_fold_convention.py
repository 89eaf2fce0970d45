"""A convention folded into the numbers of a graph fires the same spikes, or is refused by name."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from spiking import PLAIN_IF, said

from snnport.convention import PLAIN, Convention, convention_of
from snnport.errors import PassFailed
from snnport.graph import Graph, build, chain
from snnport.importers.dialect_table import DIALECTS
from snnport.nodes import input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.fold_convention import folded
from snnport.passes.quantize_snn import QuantizeSnn
from snnport.reference import run_spiking

RNG = np.random.default_rng(11)
RASTER = (RNG.random((3, 60, 5)) < 0.4).astype(np.uint8)
FIELDS = {"tau": 9.0, "tau_mem": 9.0, "tau_syn": 4.0, "r": 3.0, "w_in": 2.0, "v_leak": 0.1, "v_reset": -0.2, "v_threshold": 2.0}


def network(kind: str, convention: Convention, loop: bool = False, bias: float = 0.2) -> Graph:
    make: Any = getattr(nir, kind)
    values = {k: np.full(7, v) * RNG.uniform(0.8, 1.2, 7) for k, v in FIELDS.items() if k in make.__dataclass_fields__}
    for key in ("tau", "tau_mem", "tau_syn"):
        if key in values:
            values[key] *= convention.dt / convention.tau_unit
    nodes = {
        "input": input_node((5,)),
        "w": nir.Affine(RNG.normal(0.3, 0.8, (7, 5)), RNG.normal(0, bias, 7)),
        "n": make(**values),
        "output": output_node((7,)),
    }
    edges = [("input", "w"), ("w", "n"), ("n", "output")]
    if loop:
        nodes["back"] = nir.Affine(RNG.normal(0, 0.1, (7, 7)), np.full(7, bias))
        edges += [("n", "back"), ("back", "n")]
    return build(nodes, edges, said(convention))


FOLDING = [
    (name, kind)
    for name, dialect in DIALECTS.items()
    for kind in dialect.neurons
    if name not in ("spyx", "hxtorch", "lava", "lava-fixed")
]


@pytest.mark.parametrize(("name", "kind"), FOLDING)
def test_the_folded_graph_fires_as_before(name: str, kind: str) -> None:
    convention = DIALECTS[name].convention.having(dtype="float64", start="leak")
    before = network(kind, convention)
    after = folded(before, "test")
    plain = convention_of(after.metadata)
    assert (plain.ignores, plain.tau_unit, plain.membrane_gain, plain.update) == ((), 1.0, "leak", "product")
    old = run_spiking(before, RASTER, convention, record_v=["n"])
    new = run_spiking(after, RASTER, plain, record_v=["n"])
    assert np.array_equal(old.spikes["n"], new.spikes["n"])
    assert np.allclose(old.v["n"], new.v["n"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_reset_before_the_next_step_is_one_at_once(reset: str) -> None:
    convention = PLAIN.having(dt=1e-3, reset=reset, reset_when="next_start")
    before = network("LIF", convention)
    after = folded(before, "test")
    assert convention_of(after.metadata).reset_when == "at_once"
    spikes = [run_spiking(g, RASTER, convention_of(g.metadata)).spikes["n"] for g in (before, after)]
    assert spikes[0].any()
    assert np.array_equal(*spikes)


def test_a_start_away_from_the_leak_is_refused() -> None:
    convention = DIALECTS["spikingjelly"].convention
    with pytest.raises(PassFailed, match="do not keep start = reset"):
        folded(network("LIF", convention), "test")
    beside = PLAIN.having(v_min=-1.0, unbounded=("n",))
    with pytest.raises(PassFailed, match="do not keep unbounded"):
        folded(network("LIF", beside), "test")
    same = network("LIF", convention)
    same.nodes["n"].v_reset = same.nodes["n"].v_leak
    assert convention_of(folded(same, "test").metadata).start == "leak"


def test_delays_become_seconds() -> None:
    nodes = {"input": input_node((1,)), "d": nir.Delay(np.array([5.0])), "n": nir.I(np.ones(1)), "output": output_node()}
    after: Any = folded(chain(nodes, said(PLAIN.having(tau_unit=1e-3))), "test").nodes["d"]
    assert after.delay.tolist() == [0.005]


@pytest.mark.parametrize("convention", [PLAIN, PLAIN_IF])
def test_nothing_to_fold(convention: Convention) -> None:
    graph = network("IF", convention)
    assert folded(graph, "test") is graph


@pytest.mark.parametrize(
    ("kind", "rules", "message"),
    [
        ("LIF", {"reset_when": "next_end"}, "reset_when = next_end"),
        ("LIF", {"reset_when": "carried"}, "reset_when = carried"),
        ("LIF", {"reset": "none", "dtype": "float32"}, "reset = none"),
        ("IF", {"spike_delay": 1, "synapse_delay": 1}, "spike_delay = 1, synapse_delay = 1"),
        ("CubaLIF", {"current": "old"}, "current = old"),
        ("LIF", {"loop_start": "nothing"}, "loop_start = nothing"),
        ("LIF", {"dtype": "lava-fixed"}, "dtype = lava-fixed"),
    ],
)
def test_rules_of_time_that_a_program_does_not_keep(kind: str, rules: dict[str, Any], message: str) -> None:
    graph = network(kind, PLAIN.having(dt=1e-3, **rules), loop=True)
    with pytest.raises(PassFailed, match=rf"quantize-snn.*: convention 'nir': lowered programs do not keep {message}\."):
        run_passes(graph, [QuantizeSnn()], Context())


def test_rules_that_change_nothing_here_are_no_reason_to_refuse() -> None:
    graph = network("LIF", PLAIN.having(dt=1e-3, loop_start="nothing", current="old"), loop=True, bias=0.0)
    assert convention_of(folded(graph, "test").metadata) == PLAIN.having(dt=1e-3)


def test_quantising_reads_the_gains_of_the_framework() -> None:
    rockpool = DIALECTS["rockpool"].convention
    nodes = {
        "input": input_node((2,)),
        "w": nir.Linear(np.array([[3.0, -1.0]])),
        "n": nir.LIF(*(np.full(1, v) for v in (0.01, 24.0, 0.0, 6.0, 0.0))),
        "output": output_node((1,)),
    }
    after = run_passes(chain(nodes, said(rockpool)), [QuantizeSnn(scale=1.0)], Context())
    weight: Any = after.nodes["w"]
    # A spike adds its weight to the potential there, whatever r says.
    assert weight.weight.tolist() == [[3.0, -1.0]]
