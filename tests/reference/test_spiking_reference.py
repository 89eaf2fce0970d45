"""Graphs in time: every primitive of NIR, delays, loops, several inputs and outputs, against sums written out."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from snnport.convention import Convention
from snnport.errors import InvalidGraph, InvalidInput, UnsupportedNode
from snnport.graph import Graph, build, chain
from snnport.importers.dialect_table import DIALECTS, LAVA_FIXED
from snnport.nodes import input_node, output_node
from snnport.reference import run_spiking

RULE = Convention("test", dt=1.0, reset="zero")
RNG = np.random.default_rng(5)


def through(node: nir.NIRNode, shape: tuple[int, ...], x: Any, rule: Convention = RULE) -> Any:
    """What `node` gives for the real input x (n_samples, n_steps, *shape)."""
    graph = chain({"input": input_node(shape), "node": node, "output": output_node()})
    return run_spiking(graph, np.asarray(x), rule, record_v=["node"]).v["node"]


def fire(n: int, theta: float = 0.5) -> nir.IF:
    return nir.IF(np.ones(n), np.full(n, theta), np.zeros(n))


def naive_conv(x: Any, node: Any, stride: tuple[int, int], pad: tuple[int, int]) -> Any:
    """One map (channels, h, w) convolved by loops."""
    weight, groups = node.weight, node.groups
    outs, per, kh, kw = weight.shape
    x = np.pad(x, ((0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    height, width = (x.shape[1] - kh) // stride[0] + 1, (x.shape[2] - kw) // stride[1] + 1
    y = np.zeros((outs, height, width))
    for o, i, j in np.ndindex(y.shape):
        first = (o // (outs // groups)) * per
        for c, u, v in np.ndindex(per, kh, kw):
            y[o, i, j] += weight[o, c, u, v] * x[first + c, i * stride[0] + u, j * stride[1] + v]
        y[o, i, j] += node.bias[o]
    return y


def whole(*shape: int) -> Any:
    return RNG.integers(-4, 5, shape).astype(float)


def test_conv2d_with_groups_and_a_kernel_that_is_not_square() -> None:
    node = nir.Conv2d(None, whole(4, 2, 3, 2), (2, 1), (1, 2), (1, 1), 2, whole(4))
    x = whole(2, 3, 4, 6, 5)
    found = through(node, (4, 6, 5), x)
    for sample, step in np.ndindex(2, 3):
        assert np.array_equal(found[sample, step], naive_conv(x[sample, step], node, (2, 1), (1, 2)).ravel())


def test_conv1d_scale_and_dense() -> None:
    x = whole(1, 2, 3, 7)
    node = nir.Conv1d(7, whole(2, 3, 3), 2, 1, 1, 1, whole(2))
    same = nir.Conv2d(None, node.weight[:, :, None], (1, 2), (0, 1), (1, 1), 1, node.bias)
    expected = naive_conv(x[0, 1][:, None], same, (1, 2), (0, 1))
    assert np.array_equal(through(node, (3, 7), x)[0, 1], expected.ravel())
    factors = whole(3, 7)
    assert np.array_equal(through(nir.Scale(factors), (3, 7), x)[0, 1], (factors * x[0, 1]).ravel())
    y = whole(1, 2, 4)
    affine = nir.Affine(whole(3, 4), whole(3))
    assert np.array_equal(through(affine, (4,), y)[0, 0], affine.weight @ y[0, 0] + affine.bias)
    assert np.array_equal(through(nir.Linear(affine.weight), (4,), y)[0, 0], affine.weight @ y[0, 0])


def test_pooling_and_flatten() -> None:
    x = whole(1, 1, 2, 4, 4)
    window = [np.array(v) for v in ((2, 2), (2, 2), (0, 0))]
    blocks = x[0, 0].reshape(2, 2, 2, 2, 2)
    assert np.array_equal(through(nir.SumPool2d(*window), (2, 4, 4), x)[0, 0], blocks.sum(axis=(2, 4)).ravel())
    assert np.array_equal(through(nir.AvgPool2d(*window), (2, 4, 4), x)[0, 0], blocks.mean(axis=(2, 4)).ravel())
    part = nir.Flatten({"input": np.array([2, 4, 4])}, 1, 2)
    assert np.array_equal(through(part, (2, 4, 4), x)[0, 0], x.ravel())


def test_thresholds_follow_the_comparison() -> None:
    node = nir.Threshold(np.array([1.0, 1.0, 2.0]))
    x = np.array([[[1.0, 2.0, 2.5]]])
    assert through(node, (3,), x)[0, 0].tolist() == [0.0, 1.0, 1.0]
    assert through(node, (3,), x, RULE.having(comparison=">="))[0, 0].tolist() == [1.0, 1.0, 1.0]
    graph = chain({"input": input_node((3,)), "t": node, "output": output_node()})
    assert run_spiking(graph, x, RULE).spikes["t"][0, 0].tolist() == [0, 1, 1]


def test_delays_differ_from_neuron_to_neuron() -> None:
    x = np.arange(1.0, 7.0).reshape(1, 6, 1) * np.ones((1, 1, 3))
    found = through(nir.Delay(np.array([0.0, 0.1, 0.3])), (3,), x, RULE.having(dt=0.1))
    assert found[0].T.tolist() == [[1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("delay", "message"),
    [(0.25, r"node: a delay of 2.5 steps of 0.1 s is no whole number"), (1e5, r"1e\+06 steps.*from 0 to 65536")],
)
def test_a_delay_between_two_steps(delay: float, message: str) -> None:
    with pytest.raises(UnsupportedNode, match=message):
        through(nir.Delay(np.array([delay])), (1,), np.zeros((1, 1, 1)), RULE.having(dt=0.1))


def test_integrators_that_never_fire() -> None:
    node = nir.I(np.full(2, 3.0))
    graph = chain({"input": input_node((2,)), "i": node, "output": output_node()})
    trace = run_spiking(graph, np.ones((1, 4, 2)), RULE, record_v=["i"])
    assert trace.v["i"][0, :, 0].tolist() == [3, 6, 9, 12]
    assert not trace.spikes["i"].any()
    synapse = nir.CubaLI(*(np.array([v]) for v in (2.0, 2.0, 2.0, 0.0)), w_in=np.array([2.0]))
    assert through(synapse, (1,), np.array([[[4.0], [0.0]]]))[0, :, 0].tolist() == [4.0, 4.0]


def two_ways() -> Graph:
    nodes = {
        "left": input_node((2,)),
        "right": input_node((2,)),
        "a": fire(2),
        "b": fire(2, 1.5),
        "out": output_node((2,)),
        "second": output_node((2,)),
    }
    edges = [("left", "a"), ("left", "b"), ("right", "b"), ("a", "out"), ("b", "out"), ("b", "second")]
    return build(nodes, edges)


def test_several_inputs_and_outputs_add_where_they_meet() -> None:
    left, right = np.array([[[1, 0], [1, 1]]]), np.array([[[1, 1], [0, 0]]])
    trace = run_spiking(two_ways(), {"left": left, "right": right}, RULE, record_v=["out", "second"])
    assert trace.spikes["a"][0].tolist() == [[1, 0], [1, 1]]
    assert trace.spikes["b"][0].tolist() == [[1, 0], [0, 1]]
    assert trace.v["out"][0].tolist() == [[2, 0], [1, 2]]
    assert trace.v["second"][0].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("raster", "message"),
    [
        (np.zeros((1, 1, 2)), "raster: the graph has the Inputs left, right.*one an Input by its name"),
        ({"left": np.zeros((1, 1, 2))}, "the graph has the Inputs left, right"),
        ({"left": np.zeros((1, 1, 2)), "right": np.zeros((1, 2, 2))}, "its arrays differ in samples and steps"),
        ({"left": np.zeros((1, 1, 2)), "right": np.zeros((1, 1, 3))}, r"it gives \(3,\) a step for 'right'"),
    ],
)
def test_rasters_that_do_not_fit(raster: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run_spiking(two_ways(), raster, RULE)


def ring(bias: float = 0.0) -> Graph:
    nodes = {
        "input": input_node((1,)),
        "n": fire(1),
        "back": nir.Affine(np.ones((1, 1)), np.array([bias])),
        "output": output_node((1,)),
    }
    return build(nodes, [("input", "n"), ("n", "back"), ("back", "n"), ("n", "output")])


def spikes(graph: Graph, drive: list[float], name: str = "n", **rules: Any) -> list[int]:
    return run_spiking(graph, np.reshape(drive, (1, -1, 1)), RULE.having(**rules)).spikes[name][0, :, 0].tolist()


def test_a_loop_waits_as_long_as_the_convention_says() -> None:
    assert spikes(ring(), [1, 0, 0, 0, 0]) == [1, 1, 1, 1, 1]
    assert spikes(ring(), [1, 0, 0, 0, 0], recurrent_delay=2) == [1, 0, 1, 0, 1]
    assert spikes(ring(), [1, 0, 0, 0, 0], synapse_delay=1) == [1, 1, 1, 1, 1]
    assert spikes(ring(), [1, 0, 0, 0, 0], synapse_delay=3) == [1, 0, 0, 1, 0]


def test_a_neuron_may_drive_itself() -> None:
    nodes = {"input": input_node((1,)), "n": fire(1), "output": output_node((1,))}
    assert spikes(build(nodes, [("input", "n"), ("n", "n"), ("n", "output")]), [1, 0, 0]) == [1, 1, 1]


def test_the_bias_of_a_loop_in_the_first_step() -> None:
    assert spikes(ring(bias=1.0), [0, 0, 0]) == [1, 1, 1]
    assert spikes(ring(bias=1.0), [0, 0, 0], loop_start="nothing") == [0, 1, 1]


def test_late_spikes_and_slow_synapses() -> None:
    nodes = {
        "input": input_node((1,)),
        "w": nir.Linear(np.ones((1, 1))),
        "n": fire(1),
        "u": nir.Linear(np.ones((1, 1))),
        "m": fire(1),
        "output": output_node((1,)),
    }
    graph, drive = chain(nodes), [1, 0, 0, 0, 0]
    assert [spikes(graph, drive, k) for k in ("n", "m")] == [[1, 0, 0, 0, 0], [1, 0, 0, 0, 0]]
    assert [spikes(graph, drive, k, synapse_delay=1) for k in ("n", "m")] == [[0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]
    assert [spikes(graph, drive, k, spike_delay=1) for k in ("n", "m")] == [[0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]


def test_a_loop_of_late_spikes_closes_in_the_step_that_shows_them() -> None:
    late = {"spike_delay": 1, "recurrent_delay": 0}
    assert spikes(ring(), [1, 0, 0, 0], **late) == [0, 1, 1, 1]


def test_a_loop_without_delay() -> None:
    nodes = {
        "input": input_node((1,)),
        "li": nir.LI(np.full(1, 2.0), np.ones(1), np.zeros(1)),
        "w": nir.Linear(np.ones((1, 1))),
        "output": output_node((1,)),
    }
    graph = build(nodes, [("input", "li"), ("li", "w"), ("w", "li"), ("li", "output")])
    with pytest.raises(InvalidGraph, match="this loop takes no step"):
        run_spiking(graph, np.zeros((1, 2, 1)), RULE.having(spike_delay=1, recurrent_delay=0))


def random_net(kind: str) -> Graph:
    fields = {"tau": 0.01, "tau_mem": 0.01, "tau_syn": 0.004, "r": 8.0, "w_in": 3.0, "v_leak": 0.05, "v_reset": -0.1}
    rng = np.random.default_rng(3)

    def neuron(n: int) -> nir.NIRNode:
        make: Any = getattr(nir, kind)
        names = [f for f in make.__dataclass_fields__ if f in fields or f == "v_threshold"]
        values = {f: np.full(n, 1.0 if f == "v_threshold" else fields[f]) * rng.uniform(0.9, 1.1, n) for f in names}
        return make(**values)

    nodes = {
        "input": input_node((6,)),
        "w": nir.Affine(rng.normal(0.2, 0.6, (9, 6)), rng.normal(0, 0.1, 9)),
        "n": neuron(9),
        "rec": nir.Linear(rng.normal(-0.05, 0.1, (9, 9))),
        "output": output_node((9,)),
    }
    return build(nodes, [("input", "w"), ("w", "n"), ("n", "rec"), ("rec", "n"), ("n", "output")])


def lively(graph: Graph, raster: Any, rule: Convention) -> None:
    """Thresholds that the network's potentials cross now and then, and loops that add about as much as the input."""
    neuron: Any = graph.nodes["n"]
    neuron.v_threshold = np.full(9, 1e30)
    v = run_spiking(graph, raster[None], rule.having(v_min=None), record_v=["n"]).v["n"][0]
    neuron.v_threshold = np.quantile(np.abs(v[:20]), 0.7) * np.random.default_rng(1).uniform(0.8, 1.2, 9)
    if "v_reset" in vars(neuron):
        neuron.v_reset = -0.1 * neuron.v_threshold


def decayed(tau: Any, rule: Convention) -> Any:
    ratio = rule.dt / (tau * rule.tau_unit)
    return np.exp(-ratio) if rule.decay == "exponential" else 1 - ratio


def oracle(graph: Graph, raster: Any, rule: Convention) -> Any:
    """Spikes (n_steps, n) of the one population of `random_net`, each rule written out, in float64."""
    n, w, rec = graph.nodes["n"], graph.nodes["w"], graph.nodes["rec"]
    neutral = {"r": 1.0, "w_in": 1.0, "v_leak": 0.0, "v_reset": 0.0}
    p: dict[str, Any] = {k: neutral[k] if k in rule.ignores else getattr(n, k, neutral[k]) for k in neutral}
    gains = {"leak": lambda a: 1 - a, "unit": lambda a: 1.0, "keep": lambda a: a}
    v, i, crossed = np.zeros(9) + p["v_reset" if rule.start == "reset" else "v_leak"], np.zeros(9), [np.zeros(9)]
    for x in raster:
        now = (w.weight @ x + w.bias) + rec.weight @ crossed[-1]
        was = v
        if rule.reset_when == "next_start":
            v = v - crossed[-1] * n.v_threshold if rule.reset == "subtract" else np.where(crossed[-1] > 0, 0, v)
        if hasattr(n, "tau_syn"):
            a = decayed(n.tau_syn, rule)
            new = a * i + gains[rule.synapse_gain](a) * p["w_in"] * now
            now, i = (new if rule.current == "new" else i), new
        if isinstance(n, nir.IF):
            v = v + (rule.dt if rule.integrator_gain == "dt" else 1) * p["r"] * now
        else:
            a = decayed(getattr(n, "tau_mem", getattr(n, "tau", None)), rule)
            v = a * v + (1 - a) * p["v_leak"] + gains[rule.membrane_gain](a) * p["r"] * now
        high = (was > n.v_threshold) * n.v_threshold if rule.reset_when == "carried" else 0.0
        if rule.reset_when == "next_end":
            v = v - crossed[-1] * n.v_threshold if rule.reset == "subtract" else np.where(crossed[-1] > 0, 0, v)
        s = (v - high >= n.v_threshold if rule.comparison == ">=" else v - high > n.v_threshold).astype(float)
        if rule.multi_spike:
            s = s * np.floor(v / n.v_threshold)
        if rule.reset_when in ("at_once", "carried"):
            back = p["v_reset"] if rule.reset == "value" else 0.0
            v = v - s * n.v_threshold if rule.reset == "subtract" else np.where(s > 0, back, v)
        if rule.v_min is not None:
            low = rule.v_min * n.v_threshold
            v = np.maximum(v - low, 0) + low if np.isfinite(low).all() else np.maximum(v, low)
        crossed.append(s)
    return np.array(crossed[1:])


CASES = [(name, kind) for name, d in DIALECTS.items() for kind in d.neurons if kind in ("IF", "LIF", "CubaLIF")]


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if not case[0].startswith("lava")])
def test_every_dialect_against_its_rules_written_out(name: str, kind: str) -> None:
    unit = DIALECTS[name].convention.tau_unit
    rule = DIALECTS[name].convention.having(dt=1e-3 * unit, dtype="float64")
    if unit == 1.0 and name in ("sinabs", "spyx"):
        rule = rule.having(dt=1e-3)
    graph = random_net(kind)
    raster = (np.random.default_rng(9).random((80, 6)) < 0.4).astype(float)
    lively(graph, raster, rule)
    found = run_spiking(graph, raster[None], rule).spikes["n"][0]
    late = rule.spike_delay
    expected = oracle(graph, raster, rule)
    assert 20 < expected.sum() < 5000
    assert np.array_equal(found[late:], expected[: len(expected) - late])
    assert not found[:late].any()


@pytest.mark.parametrize("when", ["carried", "next_start", "next_end"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_resets_that_wait_in_a_network(when: str, reset: str) -> None:
    rule = DIALECTS["snntorch"].convention.having(dt=1e-3, dtype="float64", reset=reset, reset_when=when)
    graph = random_net("LIF")
    raster = (np.random.default_rng(9).random((80, 6)) < 0.4).astype(float)
    assert np.array_equal(run_spiking(graph, raster[None], rule).spikes["n"][0], oracle(graph, raster, rule))


def lava(nodes: dict[str, nir.NIRNode]) -> Graph:
    return chain({"input": input_node((1,)), **nodes, "output": output_node()})


LIF = nir.LIF(*(np.full(1, v) for v in (2.5e-3, 1.0, 0.0, 0.1, 0.0)))


@pytest.mark.parametrize(
    ("nodes", "rules", "message"),
    [
        ({"n": fire(1)}, {}, "n: IF has no fixed-point form"),
        ({"w": nir.Affine(np.ones((1, 1)), np.ones(1)), "n": LIF}, {}, "w: nir_to_lava takes no bias"),
        ({"w": nir.Linear(np.ones((1, 1))), "u": nir.Linear(np.ones((1, 1))), "n": LIF}, {}, "w: its weights are scaled"),
        ({"w": nir.Linear(np.ones((1, 1))), "n": LIF}, {"reset": "subtract"}, "resets to 0 and fires on >"),
    ],
)
def test_what_the_fixed_point_cannot_take(nodes: dict[str, nir.NIRNode], rules: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedNode, match=message):
        run_spiking(lava(nodes), np.zeros((1, 2, 1)), LAVA_FIXED.having(**rules))


def test_spikes_that_outgrow_the_record() -> None:
    nodes = {"input": input_node((1,)), "n": fire(1, 1.0), "w": nir.Linear(np.full((1, 1), 1e4)), "output": output_node((1,))}
    graph = build(nodes, [("input", "n"), ("n", "w"), ("w", "n"), ("n", "output")])
    with pytest.raises(InvalidGraph, match=r"n: 1e\+12 spikes in step 3"):
        spikes(graph, [1, 0, 0, 0, 0], reset="subtract", comparison=">=", multi_spike=True)


def test_fixed_point_saturates_where_loihi_does() -> None:
    """A weight is cut to 8 bits, so that it takes 600 inputs of -255 << 6 to fill 24 bits."""
    nodes = {"input": input_node((600,)), "w": nir.Linear(np.full((1, 600), -1e6)), "n": LIF, "output": output_node()}
    v = run_spiking(chain(nodes), np.ones((1, 4, 600)), LAVA_FIXED, record_v=["n"]).v["n"][0, :, 0]
    assert v.tolist() == [0, -(2**23 - 1), -(2**23 - 1), -(2**23 - 1)]
