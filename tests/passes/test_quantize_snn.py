from __future__ import annotations

import json

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spiking import PLAIN_IF, conv, dense, fire, gate_mlp, integrate, plain, said, sum_pool, wired

from snnport.convention import Convention
from snnport.errors import PassFailed
from snnport.graph import Graph, build, names_of
from snnport.nodes import ReLU, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_snn import QuantizeSnn, decays, gain
from snnport.passes.spec import parse_pass
from snnport.quant import codes_of
from snnport.reference import run_spiking

EULER = Convention("t", dt=1e-3, reset="zero")


def real(weight: object, bias: object = None) -> nir.Affine:
    node = dense(weight, bias)
    node.metadata = {}
    return node


def quantised(graph: Graph, **options: object) -> tuple[Graph, Context]:
    ctx = Context()
    return run_passes(graph, (QuantizeSnn(**options),), ctx), ctx


def codes(graph: Graph, name: str, field: str = "weight") -> list[object]:
    node = graph.nodes[name]
    return codes_of(getattr(node, field), node.metadata["scale"], name).tolist()


def test_weights_thresholds_and_biases_share_one_scale() -> None:
    graph = plain((2,), {"w": real([[0.5, -0.25]], [0.125]), "n": fire((1,), 1.0)})
    after, ctx = quantised(graph)
    # At most 254 codes fit into the threshold; with 252 of them 0.5 and 0.25 are whole: 126 and 63.
    scale = after.nodes["n"].metadata["scale"]
    assert after.nodes["w"].metadata == {"scale": scale, "bits": 8}
    assert after.nodes["n"].metadata == {"scale": scale, "theta": 252}
    assert codes(after, "w") == [[126, -63]]
    assert codes(after, "w", "bias") == [32]
    assert codes(after, "n", "v_threshold") == [252]
    assert ctx.findings["quantize-snn{bits=8,threshold_bits=24,bias_bits=0,scale=None,accumulator_bits=0}"]["scales"] == {
        "n": scale
    }
    assert [(e.node, e.fate, e.into) for e in ctx.entries] == [("w", "became", ("w",))]


def test_weights_that_round_to_zero_are_counted_and_named() -> None:
    nodes = {"a": real([[1.0, 0.001, -0.002], [0.0, 0.5, 0.003]]), "n": fire((2,), 1.0)}
    graph = plain((3,), {**nodes, "b": real([[1.0, -1.0]]), "out": fire((1,), 1.0)})
    after, ctx = quantised(graph)
    assert codes(after, "a")[0][1:] == [0, 0]
    (found,) = ctx.findings.values()
    assert found["zeroed_weights"] == {"a": 3, "b": 0}
    assert found["deaf"] == []


def test_several_weights_into_one_population_share_it_too() -> None:
    nodes = {
        "input": input_node((1,)),
        "a": real([[1.0]]),
        "b": real([[-4.0]]),
        "n": fire((1,), 2.0),
        "output": output_node(),
    }
    after, _ = quantised(wired(nodes, [("input", "a"), ("input", "b"), ("a", "n"), ("b", "n"), ("n", "output")]))
    assert after.nodes["a"].metadata["scale"] == after.nodes["b"].metadata["scale"] == after.nodes["n"].metadata["scale"]
    assert codes(after, "b") == [[-4 * codes(after, "a")[0][0]]]


@pytest.mark.parametrize(
    ("reset", "comparison", "theta"),
    [("zero", ">", 25), ("zero", ">=", 26), ("value", ">", 25), ("subtract", ">", 26), ("subtract", ">=", 26)],
)
def test_a_threshold_between_two_codes_decides_as_before(reset: str, comparison: str, theta: int) -> None:
    convention = PLAIN_IF.having(reset=reset, comparison=comparison)
    graph = plain((1,), {"w": real([[10.0]]), "n": fire((1,), 25.6)}, convention)
    assert quantised(graph, scale=1.0)[0].nodes["n"].metadata["theta"] == theta


def test_a_whole_threshold_stays_itself() -> None:
    for comparison in (">", ">="):
        graph = plain((1,), {"w": real([[0.3]]), "n": fire((1,), 0.9)}, PLAIN_IF.having(comparison=comparison))
        assert quantised(graph, scale=0.1)[0].nodes["n"].metadata["theta"] == 9


def test_thresholds_and_biases_can_set_the_scale() -> None:
    graph = plain((1,), {"w": real([[1.0]], [0.0]), "n": fire((1,), 1000.0)})
    after, _ = quantised(graph, threshold_bits=8)
    assert codes(after, "n", "v_threshold") == [126]
    assert codes(after, "w")[0][0] == 0
    graph = plain((1,), {"w": real([[1.0]], [1000.0]), "n": fire((1,), 1.0)})
    after, _ = quantised(graph, bias_bits=8)
    assert codes(after, "w", "bias") == [127]
    after, _ = quantised(graph)
    assert codes(after, "w", "bias")[0] > 100_000


@pytest.mark.parametrize("seed", range(5))
def test_what_arrives_in_a_step_can_set_the_scale(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = plain((300,), {"w": real(rng.normal(-1, 1, (4, 300))), "n": fire((4,), rng.uniform(20, 40, 4))})
    free, _ = quantised(graph)
    held, _ = quantised(graph, accumulator_bits=12)
    wide, fits = (np.array(codes(after, "w")) for after in (free, held))
    sums = [max(np.maximum(sign * found, 0).sum(axis=1).max() for sign in (1, -1)) for found in (wide, fits)]
    assert sums[1] <= 2047 < sums[0]
    assert sums[1] > 0.9 * 2047, "no coarser than it has to be"
    assert codes(quantised(graph, accumulator_bits=32)[0], "w") == codes(free, "w")


def test_neurons_with_thresholds_of_their_own_keep_the_smallest_scale() -> None:
    graph = plain((1,), {"w": real([[1.0], [2.0]]), "n": fire((2,), [3.0, 4.0])}, PLAIN_IF.having(reset="subtract"))
    after, _ = quantised(graph)
    assert after.nodes["n"].metadata["scale"] == 2.0 / 127
    assert "theta" not in after.nodes["n"].metadata
    assert codes(after, "n", "v_threshold") == [190, 254]


def test_an_all_zero_layer_has_a_scale_and_is_reported() -> None:
    after, ctx = quantised(plain((1,), {"w": real([[0.0]]), "n": integrate((1,))}))
    assert after.nodes["w"].metadata["scale"] == 1.0
    assert next(iter(ctx.findings.values()))["deaf"] == ["w"]


# ------------------------------------------------------------------------------------------------------------- dynamics


def lif(n: int, tau: object, r: float, theta: float, **fields: float) -> nir.LIF:
    full = {k: np.full(n, v) for k, v in fields.items()}
    shape = (n,)
    taus = np.array(np.broadcast_to(np.asarray(tau, np.float64), shape))
    zeros = np.zeros(n)
    return nir.LIF(taus, np.full(n, r), full.get("v_leak", zeros), np.full(n, theta), full.get("v_reset", zeros))


@pytest.mark.parametrize(("decay", "lost"), [("euler", 0.1), ("exponential", 1 - np.exp(-0.1))])
def test_decays_and_gains(decay: str, lost: float) -> None:
    convention = EULER.having(decay=decay)
    node = lif(1, 0.01, 3.0, 1.0)
    assert decays(node, convention)[0][0] == pytest.approx(lost)
    assert gain(node, convention)[0] == pytest.approx(3 * lost)
    cuba = nir.CubaLIF(*[np.array([v]) for v in (0.002, 0.01, 3.0, 0.0, 1.0, 0.0, 5.0)])
    synapse = 0.5 if decay == "euler" else 1 - np.exp(-0.5)
    assert [float(d[0]) for d in decays(cuba, convention)] == pytest.approx([synapse, lost])
    assert gain(cuba, convention)[0] == pytest.approx(synapse * 5 * lost * 3)
    assert gain(fire((1,)), convention)[0] == pytest.approx(1e-3)
    assert decays(fire((1,)), convention) == (0.0,)


def test_gains_move_into_the_weights() -> None:
    graph = plain((1,), {"w": real([[2.0]], [0.5]), "n": lif(1, 0.01, 3.0, 1.0)}, EULER)
    after, _ = quantised(graph, scale=0.01)
    assert codes(after, "w") == [[60]]
    assert codes(after, "w", "bias") == [15]
    assert codes(after, "n", "v_threshold") == [100]
    assert after.nodes["n"].r.tolist() == pytest.approx([10.0])
    assert gain(after.nodes["n"], EULER).tolist() == pytest.approx([1.0])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 9999), decay=st.sampled_from(["euler", "exponential"]), kind=st.sampled_from(["IF", "LIF", "CubaLIF"])
)
def test_potentials_stay_within_the_rounding_of_their_inputs(seed: int, decay: str, kind: str) -> None:
    """Each of 4 weights, the bias and the rest potential is off by q/2 at most, in each of the steps, through the synapse."""
    rng = np.random.default_rng(seed)
    convention = EULER.having(decay=decay, reset="value")
    n, n_steps = 3, 30
    tau, syn = rng.uniform(0.005, 0.05, n), rng.uniform(0.002, 0.02, n)
    r, w_in, rest = rng.uniform(1, 3, n), rng.uniform(1, 3, n), rng.uniform(-0.3, 0, n)
    theta, back = np.full(n, 100.0), np.zeros(n)
    neuron: nir.NIRNode
    if kind == "IF":
        neuron = nir.IF(r * 300, theta, back)
    elif kind == "LIF":
        neuron = nir.LIF(tau, r * 8, rest, theta, back)
    else:
        neuron = nir.CubaLIF(syn, tau, r * 8, rest, theta, back, w_in)
    graph = plain((4,), {"w": real(rng.normal(0, 1, (n, 4)), rng.normal(0, 0.1, n)), "n": neuron}, convention)
    after, _ = quantised(graph, bits=10)
    raster = rng.integers(0, 2, (3, n_steps, 4))
    want, got = (run_spiking(g, raster, convention, record_v=["n"]) for g in (graph, after))
    assert want.spikes["n"].sum() == got.spikes["n"].sum() == 0
    memory = 1.0 if kind != "CubaLIF" else 1 / float(np.min(decays(neuron, convention)[0]))
    bound = (n_steps * 2.5 * memory + 1) * after.nodes["n"].metadata["scale"]
    error = np.abs(want.v["n"] - got.v["n"]).max()
    assert 0 < error <= bound


def test_a_channel_with_two_gains_is_refused() -> None:
    node = lif(4, [0.01, 0.01, 0.01, 0.02], 1.0, 1.0)
    for field in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        setattr(node, field, getattr(node, field).reshape(1, 2, 2))
    graph = plain((1, 2, 2), {"c": conv([[[[1.0]]]]), "n": node}, EULER)
    with pytest.raises(PassFailed, match=r"c: the neurons of one of its channels differ in gain"):
        quantised(graph)


def test_a_scale_node_takes_every_gain() -> None:
    graph = plain((2,), {"s": nir.Scale(np.array([1.0, 2.0])), "n": lif(2, [0.01, 0.02], 1.0, 1.0)}, EULER)
    after, _ = quantised(graph, scale=0.001)
    node = after.nodes["s"]
    assert codes_of(node.scale, node.metadata["scale"], "s").tolist() == [100, 100]


def test_a_connection_without_weights_gets_one() -> None:
    graph = plain((1, 4, 4), {"p": sum_pool(2), "n": fire((1, 2, 2), 3.0)})
    after, _ = quantised(graph)
    assert [type(after.nodes[name]).__name__ for name in names_of(after, nir.Scale)] == ["Scale"]
    assert codes_of(after.nodes["p->n.unit"].scale, after.nodes["n"].metadata["scale"], "p").tolist() == [[[127] * 2] * 2]
    assert after.nodes["n"].metadata["theta"] == 381


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1}, "widths lie outside"),
        ({"bits": 17}, "widths lie outside"),
        ({"threshold_bits": 33}, "widths lie outside"),
        ({"bias_bits": 1}, "widths lie outside"),
        ({"scale": 0.0}, "a scale of 0.0 is not positive"),
        ({"scale": float("nan")}, "a scale of nan is not positive"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(PassFailed, match=message):
        quantised(plain((1,), {"w": real([[1.0]]), "n": fire((1,))}), **options)


def test_graphs_that_are_not_for_it() -> None:
    with pytest.raises(PassFailed, match="was converted by snnport"):
        quantised(gate_mlp())
    with pytest.raises(PassFailed, match="r is a ReLU"):
        quantised(plain((1,), {"w": real([[1.0]]), "r": ReLU()}))
    with pytest.raises(PassFailed, match="it has no spiking neuron"):
        quantised(plain((1,), {"w": real([[1.0]])}))


def test_shared_nodes_are_refused() -> None:
    nodes = {
        "input": input_node((2,)),
        "w": real(np.eye(2)),
        "a": fire((2,)),
        "b": fire((2,)),
        "o": output_node(),
        "q": output_node(),
    }
    graph = wired(nodes, [("input", "w"), ("w", "a"), ("w", "b"), ("a", "o"), ("b", "q")])
    with pytest.raises(PassFailed, match="w: it feeds a, b"):
        quantised(graph)
    nodes = {
        "input": input_node((2,)),
        "w": real(np.eye(2)),
        "f": nir.Flatten({"input": np.array([2])}, 0, -1),
        "n": fire((2,)),
        "o": output_node(),
    }
    graph = wired(nodes, [("input", "w"), ("w", "f"), ("input", "f"), ("f", "n"), ("n", "o")])
    with pytest.raises(PassFailed, match="f: ways with and without weights join in it"):
        quantised(graph)


def test_a_scale_that_is_too_small_breaks_the_promise() -> None:
    with pytest.raises(PassFailed, match=r"w: its codes reach 1000, 8 bits hold 127"):
        quantised(plain((1,), {"w": real([[1.0]]), "n": fire((1,))}), scale=0.001)


def test_the_pass_is_spelled_and_read_back() -> None:
    step = QuantizeSnn(8, 17, 13, 1 / 256)
    assert step.spelling == "quantize-snn{bits=8,threshold_bits=17,bias_bits=13,scale=0.00390625,accumulator_bits=0}"
    assert parse_pass(step.spelling) == step
    assert parse_pass("quantize-snn") == QuantizeSnn()


def test_the_convention_stays_in_the_metadata() -> None:
    graph = plain((1,), {"w": real([[1.0]]), "n": fire((1,))})
    after, _ = quantised(build(graph.nodes, graph.edges, said(EULER)))
    assert json.loads(after.metadata["snnport"])["convention"] == EULER.to_json()
