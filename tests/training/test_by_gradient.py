"""A recipe trained: the numbers it tells, learned time constants, cut gradients, noise that follows the seed, a teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
import torch
from graphs import RULE, dense, neuron

from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput
from snnport.graph import Graph, chain
from snnport.models.recipe import Fit
from snnport.nodes import ReLU, input_node, output_node
from snnport.reference import forward
from snnport.training.batches import ArrayBatches
from snnport.training.by_gradient import Running, device_of, module_of, train_graph
from snnport.training.distillation import Distilled, distilled, graph_teacher
from snnport.training.encoding import Direct
from snnport.training.losses import CrossEntropy
from snnport.training.module import Held
from snnport.training.objective import Objective, Output

RNG = np.random.default_rng(0)
X = RNG.random((140, 6)).astype(np.float32)
Y = (X[:, :3].sum(1) > X[:, 3:].sum(1)).astype(np.int64)
DATA = Splits(X[:100], Y[:100], X[100:], Y[100:])
FIT = Fit(epochs=12, batch_size=20, lr=0.02, loss="cross-entropy{of=membrane,over=sum}", encoder="direct{steps=8}")
QUICK = replace(FIT, epochs=2)
CPU = Running(device="cpu")


def network(kind: str = "LIF", out: str = "LI") -> Graph:
    rng = np.random.default_rng(1)
    nodes = {
        "input": input_node((6,)),
        "fc1": dense(rng, 6, 12),
        "n": neuron(rng, kind, (12,)),
        "fc2": dense(rng, 12, 2),
        "out": neuron(rng, out, (2,)),
        "output": output_node((2,)),
    }
    return chain(nodes)


def with_rule(graph: Graph) -> Graph:
    import json

    text = json.dumps({"version": 1, "coding": None, "convention": RULE.having(dtype="float32").to_json()})
    return chain(graph.nodes, {"snnport": text})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tbptt": 3},
        {"checkpoint_steps": 3},
        {"trainable": ("weight", "bias", "tau", "v_threshold"), "optimiser": "sgd", "lr": 0.1, "clip_grad": 1.0},
        {"loss": "mse{of=membrane,over=mean}", "optimiser": "adamw", "weight_decay": 0.01},
        {"regularisers": ("upper{weight=1,bound=0.3}", "lower{weight=1,bound=0.05,per=population}")},
        {"encoder": "rate{steps=20}"},
    ],
    ids=str,
)
def test_it_learns(changes: dict[str, Any]) -> None:
    trained = train_graph(with_rule(network()), DATA, replace(FIT, **changes), running=CPU)
    losses = [entry["loss"] for entry in trained.at.log]
    assert losses[-1] < 0.9 * losses[0]
    assert trained.accuracy is not None
    assert trained.accuracy >= 0.7
    before: Any = network().nodes["n"]
    after: Any = trained.graph.nodes["n"]
    assert np.array_equal(before.tau, after.tau) == ("tau" not in changes.get("trainable", ()))
    assert (after.tau > 0).all()


@pytest.mark.parametrize("loss", ["cross-entropy{of=count}", "cross-entropy{of=rate}", "mse{of=count,on=0.5,off=0.1}"])
def test_spiking_outputs_learn(loss: str) -> None:
    how = replace(FIT, loss=loss, surrogate="triangular", encoder="direct{steps=12,gain=2}")
    trained = train_graph(with_rule(network(out="LIF")), DATA, how, running=CPU)
    assert trained.at.log[-1]["loss"] < trained.at.log[0]["loss"]


def test_spike_times_learn() -> None:
    how = replace(FIT, loss="spike-time-cross-entropy{scale=2}", surrogate="triangular", encoder="direct{steps=12,gain=2}")
    trained = train_graph(with_rule(network(out="LIF")), DATA, how, running=CPU)
    assert trained.at.log[-1]["loss"] < trained.at.log[0]["loss"]


@pytest.mark.parametrize("encoder", ["direct{steps=6}", "rate{steps=6}"])
def test_the_same_seed_gives_the_same_weights(encoder: str) -> None:
    found = []
    for seed in (1, 1, 2):
        trained = train_graph(with_rule(network()), DATA, replace(QUICK, seed=seed, encoder=encoder), running=CPU)
        node: Any = trained.graph.nodes["fc1"]
        found.append(node.weight)
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_cut_gradients_reach_back_so_far_and_no_farther() -> None:
    graph = with_rule(network())
    module = module_of(graph, QUICK)
    objective = replace(Objective.of(QUICK, graph), tbptt=4)
    batch = (torch.from_numpy(X[:5]), torch.from_numpy(Y[:5]))
    parts = objective(module, batch)
    assert not isinstance(parts, torch.Tensor)
    assert len(list(parts)) == 2
    state = module(Held(batch[0], 4)).state
    assert state.cells["n"].v.requires_grad
    cut = state.detached()
    assert not any(tensor.requires_grad for cell in cut.cells.values() for tensor in (cell.v, cell.i, cell.fired, cell.b))


def test_a_teacher_is_followed() -> None:
    rng = np.random.default_rng(2)
    ann = chain({"input": input_node((6,)), "a": dense(rng, 6, 5), "r": ReLU(), "b": dense(rng, 5, 2), "output": output_node()})
    teacher = graph_teacher(ann, scale=2.0)
    x = torch.from_numpy(X[:7])
    np.testing.assert_allclose(teacher(x).numpy(), forward(ann, X[:7].astype(np.float64) / 2), rtol=1e-6)
    graph = with_rule(network())
    module = module_of(graph, QUICK)
    objective = Objective.of(QUICK, graph)
    batch = (x, torch.from_numpy(Y[:7]))
    plain, both, soft = (objective, Distilled(objective, teacher, 3.0, 0.4), Distilled(objective, teacher, 3.0, 1.0))
    values = [float(loss(module, batch).detach()) for loss in (plain, both, soft)]  # type: ignore[union-attr]
    assert values[1] == pytest.approx(0.6 * values[0] + 0.4 * values[2], rel=1e-5)
    logits = module(Held(x, 8)).output.sum(1).detach()
    p, q = (torch.softmax(t / 3, 1) for t in (teacher(x), logits))
    assert values[2] == pytest.approx(9 * float((p * (p / q).log()).sum(1).mean()), rel=1e-4)
    labels = Splits(X[:100], forward(ann, X[:100].astype(np.float64) / 2).argmax(1), X[:1], Y[:1])
    alone = distilled(FIT, graph, ann, 2.0, 3.0, 1.0)
    trained = train_graph(graph, labels, replace(FIT, lr=0.05, epochs=20), running=CPU, loss=alone)
    again = Objective.of(FIT, trained.graph).answers(module_of(trained.graph, FIT), X[:100])
    before = objective.answers(module, X[:100])
    assert np.mean(before == labels.train_y) + 0.1 < np.mean(again == labels.train_y) > 0.8
    with pytest.raises(InvalidInput, match="share: 2 is no fraction"):
        Distilled(objective, teacher, share=2)
    with pytest.raises(InvalidInput, match="temperature: 0 is not above 0"):
        Distilled(objective, teacher, temperature=0)


def test_a_teacher_takes_the_steps_in_its_own_order() -> None:
    rng = np.random.default_rng(3)
    weight, bias = rng.normal(size=(3, 5, 1, 4)), np.zeros(3)
    conv = nir.Conv2d(None, weight, 1, 0, 1, 1, bias)
    ann = chain(
        {
            "input": input_node((5, 1, 4)),
            "conv": conv,
            "flat": nir.Flatten({"input": np.array([3, 1, 1])}, 0, -1),
            "output": output_node(),
        }
    )
    x = rng.uniform(size=(6, 4, 5)).astype(np.float32)  # steps, channels; the ANN has the channels first
    found = graph_teacher(ann)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, np.einsum("ntc,oct->no", x, weight[:, :, 0]), rtol=1e-5)
    with pytest.raises(InvalidInput, match=r"--teacher: it takes \(6,\) at once, the samples have 9 steps of it"):
        graph_teacher(chain({"input": input_node((6,)), "a": dense(rng, 6, 2), "output": output_node()}))(torch.ones(2, 9, 6))
    with pytest.raises(InvalidInput, match=r"--teacher: x has shape \(2, 9, 7\)"):
        graph_teacher(chain({"input": input_node((6,)), "a": dense(rng, 6, 2), "output": output_node()}))(torch.ones(2, 9, 7))


def test_outputs_of_all_kinds() -> None:
    assert Output.of(network()) == Output("out", False)
    assert Output.of(network(out="LIF")) == Output("out", True)
    nodes = network().nodes
    several = chain(nodes)
    several.edges.append(("fc2", "output"))
    assert Output.of(several) == Output("", False)
    odd = chain({**{k: v for k, v in nodes.items() if k != "out"}, "output": nir.Threshold(np.ones(2)), "o": output_node()})
    with pytest.raises(InvalidInput, match="the output has no potential"):
        Objective.of(FIT, odd)
    raster = replace(Objective.of(FIT, network()), encoder=Direct(3)).raster(X[:4])
    assert raster.shape == (4, 3, 6)
    with pytest.raises(InvalidInput, match="none of labels"):
        replace(Objective.of(FIT, network()), loss=CrossEntropy(), decoder=None).answers(module_of(network(), FIT), X[:2])


def test_what_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the graph has none of tau_syn"):
        train_graph(network(), DATA, replace(QUICK, trainable=("tau_syn",)), running=CPU)
    with pytest.raises(InvalidInput, match="there is no 'tpu'"):
        device_of("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InvalidInput, match="no CUDA device"):
            device_of("cuda")
    with pytest.raises(InvalidInput, match="3 samples and 2 labels"):
        Splits(X[:3], Y[:2], X, Y)
    with pytest.raises(InvalidInput, match="training samples have shape"):
        Splits(X, Y, X[:, :2], Y)
    assert len(ArrayBatches((X, Y), 20)) == 7


def test_parts_of_splits() -> None:
    part = DATA.held_out(0.2, 3)
    assert (len(part.train_x), len(part.test_x)) == (80, 20)
    assert np.array_equal(np.sort(np.concatenate([part.train_x, part.test_x]), 0), np.sort(DATA.train_x, 0))
    assert np.array_equal(DATA.held_out(0.2, 3).test_y, part.test_y)
    few = DATA.first(10, None)
    assert (len(few.train_x), len(few.test_x)) == (10, 40)
