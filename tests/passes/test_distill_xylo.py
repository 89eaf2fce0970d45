"""Learning in Xylo's integers: the kernel is the engine's arithmetic, and what is learned answers more as the network did."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from snnport.convention import Convention, convention_of
from snnport.encoders import Stimulus
from snnport.errors import PassFailed
from snnport.graph import Graph, build, names_of
from snnport.nodes import input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.distill_xylo import DistillXylo
from snnport.passes.quantize_xylo import QuantizeXylo
from snnport.passes.spec import parse_pass
from snnport.passes.xylo_form import XyloForm
from snnport.passes.xylo_gradient import gradient, loss_of, simulate
from snnport.passes.xylo_matrices import has_matrices, matrices_of, with_weights
from snnport.reference import run_spiking
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.targets.xylo.preparing import prepare
from snnport.targets.xylo.target import lower

DT = 1e-4
RULE = Convention("snntorch", dt=DT, reset="subtract", reset_when="carried")
AUDIO2 = resolve_target("xylo_audio2")


def snntorch_cell(n: int, alpha: float = 0.55, beta: float = 0.9) -> nir.CubaLIF:
    """As snnTorch writes it: gains of 1 for one spike."""
    ones = np.ones(n)
    return nir.CubaLIF(
        DT / (1 - alpha) * ones, DT / (1 - beta) * ones, ones / (1 - beta), 0 * ones, ones, 0 * ones, ones / (1 - alpha)
    )


def network(seed: int, layers: tuple[int, ...] = (5, 14, 3), spread: float = 0.35, **changes: Any) -> Graph:
    """Inputs, hidden populations with loops of their own, outputs."""
    rng = np.random.default_rng(seed)
    nodes: dict[str, Any] = {"input": input_node((layers[0],))}
    edges: list[tuple[str, str]] = []
    before = "input"
    for k, (m, n) in enumerate(pairwise(layers)):
        nodes |= {f"w{k}": nir.Linear(rng.normal(0, spread, (n, m))), f"n{k}": snntorch_cell(n)}
        edges += [(before, f"w{k}"), (f"w{k}", f"n{k}")]
        before = f"n{k}"
        if k < len(layers) - 2:
            nodes[f"r{k}"] = nir.Linear(rng.normal(0, spread / 3, (n, n)))
            edges += [(before, f"r{k}"), (f"r{k}", before)]
    nodes["output"] = output_node((layers[-1],))
    meta = {"snnport": json.dumps({"version": 1, "coding": None, "convention": RULE.to_json()})}
    return build({**nodes, **changes}, [*edges, (before, "output")], meta)


def spikes(seed: int, n: int = 48, steps: int = 60, inputs: int = 5) -> np.ndarray:
    """Samples of five kinds, so that there is something to tell apart."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.02, 0.4, (5, inputs))[rng.integers(0, 5, n)]
    return (rng.random((n, steps, inputs)) < rate[:, None]).astype(np.int64)


@pytest.mark.parametrize("layers", [(5, 14, 3), (4, 7, 6, 2)])
def test_the_kernel_computes_what_the_engine_does(layers: tuple[int, ...]) -> None:
    """Weights so large that neurons fire several times a step; two hidden populations are one with a matrix in blocks."""
    graph = run_passes(network(1, layers, spread=0.8), (XyloForm(), QuantizeXylo(3000)), Context())
    net, program = matrices_of(graph), lower(graph, AUDIO2.chip)
    x = spikes(2, 6, 50, layers[0]) * 2
    names = [*net.first, net.output]
    trace = run(program, Stimulus(x, None, 50), record_spikes=names).trace
    hidden = np.concatenate([trace.spikes[name] for name in net.first], axis=2)
    assert hidden.max() > 1
    assert trace.spikes[net.output].any()
    for k in range(len(x)):
        _, fired, _, _, out, _ = simulate(x[k], *net.weights, net.hidden, net.outputs, 31)
        np.testing.assert_array_equal(fired, hidden[k])
        np.testing.assert_array_equal(out, trace.spikes[net.output][k])


def test_depths_and_blocks_follow_the_layers() -> None:
    net = matrices_of(run_passes(network(1, (4, 7, 6, 2)), (XyloForm(), QuantizeXylo(500)), Context()))
    assert net.depth == {"n0": 0, "n1": 1, "n2": 2}
    assert (net.first, [w.shape for w in net.weights]) == ({"n0": 0, "n1": 7}, [(4, 13), (13, 13), (13, 2)])
    assert [int(used.sum()) for used in net.used] == [4 * 7, 7 * 7 + 6 * 6 + 7 * 6, 6 * 2]


def test_the_gradient_points_downhill() -> None:
    """A step against it lowers the loss of the very samples that it came from."""
    graph = network(3)
    ready = run_passes(graph, (XyloForm("charge"), QuantizeXylo(8192, 7)), Context())
    net, x = matrices_of(ready), spikes(4, 16)
    wanted = run_spiking(graph, x, RULE).spikes
    hidden, out, chosen = wanted["n0"].astype(np.int64), wanted["n1"].astype(np.int64), np.arange(16)
    args = (net.hidden, net.outputs, 31, chosen)
    loss, *grads = gradient(x, hidden, out, net.weights, *args)
    assert loss == pytest.approx(loss_of(x, hidden, out, net.weights, *args), rel=1e-12)
    size = np.sqrt(sum(float((g**2).sum()) for g in grads))
    moved = tuple(w - np.rint(g * 600 / size).astype(np.int64) for w, g in zip(net.weights, grads, strict=True))
    assert loss_of(x, hidden, out, moved, *args) < loss


def test_a_network_that_the_decays_bend_learns_to_answer_as_before() -> None:
    graph, x, unseen = network(5), spikes(6, 64), spikes(6, 300)[64:]
    ctx = Context(calibration=x)
    step = DistillXylo(theta=6144)
    taught = run_passes(graph, (step,), ctx)
    plain = run_passes(graph, step.before, Context())
    found = ctx.findings[step.spelling]
    assert found["loss"] < found["loss_before"]
    assert 1 <= found["epoch"] <= 48
    wanted = run_spiking(graph, unseen, RULE).spikes

    def same(ready: Graph) -> tuple[float, float]:
        trace = run(lower(ready, AUDIO2.chip), Stimulus(unseen, None, 60), record_spikes=["n0", "n1"]).trace
        answers = trace.spikes["n1"].sum(axis=1).argmax(axis=1) == wanted["n1"].sum(axis=1).argmax(axis=1)
        return float(answers.mean()), float(np.mean((trace.spikes["n0"] > 0) == (wanted["n0"] > 0)))

    before, after = same(plain), same(taught)
    assert after[0] >= before[0]
    assert after[1] > before[1]
    assert AUDIO2.check(taught).fits
    assert convention_of(taught.metadata).decay == "euler"


def test_the_same_samples_teach_the_same_codes() -> None:
    graph, x = network(7), spikes(8, 32)
    made = [
        run_passes(graph, (parse_pass(DistillXylo(theta=5000, epochs=3).spelling),), Context(calibration=x)) for _ in range(2)
    ]
    a, b = (matrices_of(graph) for graph in made)
    for one, other in zip(a.weights, b.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(np.abs(w).max() <= 127 << e for w, e in zip(a.weights, a.shifts, strict=True))


def test_no_epoch_is_quantising_alone_and_codes_are_written_where_they_belong() -> None:
    graph, x = network(9, (4, 7, 6, 2)), spikes(8, 8, inputs=4)
    step = DistillXylo(theta=2000, epochs=0)
    still = run_passes(graph, (step,), Context(calibration=x))
    plain: Any = run_passes(graph, step.before, Context())
    for name in names_of(graph, nir.Linear):
        np.testing.assert_array_equal(still.nodes[name].weight, plain.nodes[name].weight)  # type: ignore[attr-defined]
    net = matrices_of(plain)
    turned: Any = with_weights(plain, net, (-net.weights[0], -net.weights[1], -net.weights[2]))
    for name in names_of(graph, nir.Linear):
        np.testing.assert_array_equal(turned.nodes[name].weight, -plain.nodes[name].weight)


def test_charge_keeps_what_one_spike_adds() -> None:
    """r (1 - a_mem) w_in (1 - a_syn) of a step stays; at level the gain at rest, r w_in, does."""
    graph: Any = network(1, n0=snntorch_cell(14, 0.55, 0.9))
    cell = graph.nodes["n0"]
    made: dict[str, Any] = {
        keep: run_passes(graph, (XyloForm(keep, 0.5),), Context()).nodes["n0"] for keep in ("level", "charge")
    }
    once = {keep: node.r * DT / node.tau_mem * node.w_in * DT / node.tau_syn for keep, node in made.items()}
    np.testing.assert_allclose(once["charge"], 0.5 * cell.r * DT / cell.tau_mem * cell.w_in * DT / cell.tau_syn, rtol=1e-12)
    np.testing.assert_allclose(made["level"].r * made["level"].w_in, 0.5 * cell.r * cell.w_in, rtol=1e-12)
    np.testing.assert_allclose(made["charge"].tau_mem, 8 * DT)


def test_charge_keeps_the_constant_of_a_step() -> None:
    leaking = snntorch_cell(14)
    leaking.v_leak = np.full(14, 0.3)
    graph: Any = network(1, n0=leaking)
    node: Any = run_passes(graph, (XyloForm("charge"),), Context()).nodes["n0"]
    np.testing.assert_allclose(node.v_leak * DT / node.tau_mem, 0.3 * 0.1, rtol=1e-9)


def test_weights_beyond_the_greatest_shift_are_clipped_and_counted() -> None:
    graph = network(1, spread=1.5)
    ctx = Context()
    ready: Any = run_passes(graph, (XyloForm("charge"), QuantizeXylo(16384, 7)), ctx)
    clipped = ctx.findings[QuantizeXylo(16384, 7).spelling]["clipped"]
    net = matrices_of(ready)
    assert net.shifts == (7, 7, 7)
    assert clipped["w0"] > 0
    assert np.abs(net.weights[0]).max() == 127 << 7
    free = Context()
    run_passes(graph, (XyloForm("charge"), QuantizeXylo(16384)), free)
    assert sum(free.findings[QuantizeXylo(16384).spelling]["clipped"].values()) == 0


def test_without_samples_nothing_is_clipped_and_charge_is_kept_where_decays_bend() -> None:
    graph = network(1)
    form, quantise = prepare(graph, AUDIO2.chip, lower)
    assert isinstance(form, XyloForm)
    assert form.keep == "charge"
    ctx = Context()
    run_passes(graph, (form, quantise), ctx)
    assert sum(ctx.findings[quantise.spelling]["clipped"].values()) == 0
    straight = network(1, n0=snntorch_cell(14, 0.5, 0.75), n1=snntorch_cell(3, 0.5, 0.75))
    assert prepare(straight, AUDIO2.chip, lower)[0] == XyloForm()


def test_the_target_teaches_where_the_search_is_not_enough() -> None:
    graph, x = network(5), spikes(6, 64)
    (step,) = AUDIO2.passes_for(graph, x)
    assert isinstance(step, DistillXylo)
    assert len(AUDIO2.passes_for(graph, x[:16])) == 2
    again = run_passes(graph, (step,), Context(calibration=x))
    assert AUDIO2.passes_for(again, x) == ()


def test_which_networks_have_matrices() -> None:
    graph = network(1)
    assert has_matrices(graph)
    nodes, edges = dict(graph.nodes), list(graph.edges)
    scaled = build({**nodes, "w0": nir.Scale(np.ones(5)), "n0": snntorch_cell(5)}, [e for e in edges if "r0" not in e], {})
    assert not has_matrices(scaled)
    twice = build({**nodes, "again": nir.Linear(np.ones((3, 14)))}, [*edges, ("n0", "again"), ("again", "n1")], {})
    assert not has_matrices(twice)
    direct = build({**nodes, "again": nir.Linear(np.ones((3, 5)))}, [*edges, ("input", "again"), ("again", "n1")], {})
    assert not has_matrices(direct)


@pytest.mark.parametrize(
    ("step", "samples", "message"),
    [
        (DistillXylo(), None, "it needs calibration samples"),
        (DistillXylo(), np.full((2, 3, 5), 0.5), "no spike counts"),
        (DistillXylo(), np.ones((2, 5)), "no spike counts"),
        (DistillXylo(epochs=-1), None, "epochs are 0 or more"),
        (DistillXylo(keep="rate"), None, "keep is one of level, charge"),
        (DistillXylo(most_shift=16), np.ones((2, 3, 5)), "most_shift = 16, 0..15 are possible"),
    ],
)
def test_refusals(step: DistillXylo, samples: np.ndarray | None, message: str) -> None:
    with pytest.raises(PassFailed, match=message):
        run_passes(network(1), (step,), Context(calibration=samples))


def test_a_network_without_matrices_is_refused() -> None:
    nodes = {"input": input_node((3,)), "s": nir.Scale(np.ones(3)), "n": snntorch_cell(3), "output": output_node((3,))}
    graph = build(nodes, [("input", "s"), ("s", "n"), ("n", "output")], dict(network(1).metadata))
    with pytest.raises(PassFailed, match="not three matrices"):
        run_passes(graph, (DistillXylo(),), Context(calibration=np.ones((2, 3, 3))))
