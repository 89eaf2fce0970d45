"""Fine-tuning: what trains are the integers of the converted network, and a run that was stopped ends as one that was not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from networks import convnet, mlp, residual

from snnport.encoders import encoder_of
from snnport.errors import InvalidInput, PassFailed
from snnport.flow.convert import FOLDING
from snnport.graph import Graph, names_of, predecessors, shapes, the_input
from snnport.nodes import WEIGHTED_NODES, QuantReLU, ReLU
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_activations import QuantizeActivations
from snnport.passes.quantize_weights import QuantizeWeights, weights_of
from snnport.passes.split_signed_input import SplitSignedInput
from snnport.reference import forward
from snnport.training.augment import Augmentation
from snnport.training.finetune import fine_tune
from snnport.training.finetune_recipe import Thresholds, Weights, parse_recipe
from snnport.training.lesson import Lesson, divergence, matched_rectifiers
from snnport.training.loop import Plan
from snnport.training.qcfs_net import CountingNetwork, FloatNetwork, _Counted

QUICK = Weights(epochs=2, batch=16, augment="none", held_out=0.2)


def made(build: object, seed: int = 0, low: float = 0.0, levels: int = 3) -> tuple[Graph, Graph, np.ndarray]:
    """A folded float network, the same with counting rectifiers, and samples for it."""
    rng = np.random.default_rng(seed)
    graph = build(rng)  # type: ignore[operator]
    x = rng.uniform(low, 1, (80, *shapes(graph)[the_input(graph)]))
    folded = run_passes(graph, (*FOLDING, SplitSignedInput()), Context(x))
    return folded, run_passes(folded, (QuantizeActivations(levels, levels),), Context(x)), x


def counts_of(graph: Graph, x: np.ndarray) -> np.ndarray:
    return encoder_of(graph.metadata).counts(x)


@pytest.mark.parametrize("build", [mlp, convnet, residual])
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_the_integers_that_train_are_those_of_the_converted_network(build: object, low: float) -> None:
    _, counting, x = made(build, low=low)
    student = CountingNetwork(counting, 8)
    with torch.no_grad():  # weights that no longer stand where quantize-weights would find its own rounding
        for parameter in student.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    integers = student(torch.from_numpy(counts_of(counting, x)).float())[0].detach().numpy()
    quantised = run_passes(student.trained(), (QuantizeWeights(8),), Context(x))
    np.testing.assert_array_equal(integers, forward(quantised, counts_of(counting, x), integers=True))


@pytest.mark.parametrize("build", [convnet, residual])
def test_rounded_sums_are_for_learning_alone(build: object) -> None:
    _, counting, x = made(build)
    exact, rounded = CountingNetwork(counting, 8), CountingNetwork(counting, 8, torch.bfloat16)
    counts = torch.from_numpy(counts_of(counting, x)).float()
    learning = rounded(counts)[0].detach().numpy()
    np.testing.assert_array_equal(rounded.eval()(counts)[0].detach().numpy(), exact(counts)[0].detach().numpy())
    wanted = exact(counts)[0].detach().numpy()
    assert not np.array_equal(learning, wanted)
    assert np.abs(learning - wanted).mean() < 0.1 * wanted.std()


def test_a_count_takes_no_gradient_beyond_the_clip() -> None:
    z = torch.tensor([-9.0, -6.0, -5.0, 0.0, 34.0, 35.0, 60.0], requires_grad=True)  # theta 10: counts -1, -1, 0, 0, 3, 4, 6
    for dtype in (torch.float32, torch.bfloat16):
        z.grad = None
        counts = _Counted.apply(z.to(dtype), 10.0, 3)
        counts.sum().backward()
        assert counts.tolist() == [0, 0, 0, 0, 3, 3, 3]
        torch.testing.assert_close(z.grad, torch.tensor([0, 0, 0.1, 0.1, 0.1, 0, 0]), atol=1e-3, rtol=0)


def test_learning_with_rounded_sums_comes_as_near() -> None:
    folded, counting, x = made(residual, levels=2)
    recipe = replace(QUICK, epochs=6, rate=2e-3)
    exact, rounded = (fine_tune(folded, counting, x, replace(recipe, sums=sums), 8) for sums in ("float32", "bfloat16"))
    first, last = (run.log[k]["held_out_loss"] for run, k in ((exact, 0), (rounded, -1)))
    assert last < first
    assert abs(last - exact.log[-1]["held_out_loss"]) < 0.2 * (first - last)


def test_the_teacher_answers_as_the_reference_does() -> None:
    folded, _, x = made(residual)
    np.testing.assert_allclose(FloatNetwork(folded)(torch.from_numpy(x).float())[""], forward(folded, x), atol=1e-4)


def test_tuning_comes_nearer_to_the_float_network_and_adds_no_synapse() -> None:
    folded, counting, x = made(residual, levels=2)
    tuned = fine_tune(folded, counting, x, replace(QUICK, epochs=6, rate=2e-3), 8)
    after = run_passes(tuned.graph, (QuantizeWeights(8),), Context(x))
    before = run_passes(counting, (QuantizeWeights(8),), Context(x))
    assert tuned.log[-1]["loss"] < tuned.log[0]["loss"]
    for name in names_of(counting, *WEIGHTED_NODES):
        gone = weights_of(counting.nodes[name]) == 0
        assert not weights_of(tuned.graph.nodes[name])[gone].any()
    wanted = forward(folded, x).argmax(1)
    agreement = [float((forward(g, counts_of(g, x), integers=True).argmax(1) == wanted).mean()) for g in (before, after)]
    assert agreement[1] >= agreement[0]


def test_thresholds_alone_leave_the_weights_as_they_are() -> None:
    folded, counting, x = made(convnet)
    tuned = fine_tune(folded, counting, x, Thresholds(epochs=1, batch=16, augment="none", held_out=0.2), 8)
    for name in names_of(counting, *WEIGHTED_NODES):
        np.testing.assert_allclose(weights_of(tuned.graph.nodes[name]), weights_of(counting.nodes[name]), rtol=1e-6)
    moved = [tuned.graph.nodes[n].step != counting.nodes[n].step for n in names_of(counting, QuantReLU)]
    assert any(moved)


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folded, counting, x = made(mlp)
    whole = fine_tune(folded, counting, x, QUICK, 8, checkpoint=tmp_path / "whole")

    class Killed(Exception):
        pass

    def stop(done: int, total: int, text: str) -> None:
        if done == total // 2 + 1:  # one batch into the second epoch: its checkpoint is that of the first
            raise Killed

    with pytest.raises(Killed):
        fine_tune(folded, counting, x, QUICK, 8, checkpoint=tmp_path / "parts", progress=stop)
    again = fine_tune(folded, counting, x, QUICK, 8, checkpoint=tmp_path / "parts")
    for name in names_of(counting, *WEIGHTED_NODES):
        np.testing.assert_array_equal(weights_of(again.graph.nodes[name]), weights_of(whole.graph.nodes[name]))
    for name in names_of(counting, QuantReLU):
        assert again.graph.nodes[name].step == whole.graph.nodes[name].step


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    folded, counting, x = made(mlp)
    fine_tune(folded, counting, x, replace(QUICK, epochs=1), 8, checkpoint=tmp_path)
    with pytest.raises(InvalidInput, match=r"it began with recipe .*epochs=1.*, this run has .*epochs=2"):
        fine_tune(folded, counting, x, QUICK, 8, checkpoint=tmp_path)
    with pytest.raises(InvalidInput, match="it began with bits 8, this run has 6"):
        fine_tune(folded, counting, x, replace(QUICK, epochs=1), 6, checkpoint=tmp_path)
    with pytest.raises(InvalidInput, match="it began with samples"):
        fine_tune(folded, counting, x[:70], replace(QUICK, epochs=1), 8, checkpoint=tmp_path)
    (tmp_path / "finetune.json").write_text("{")
    with pytest.raises(InvalidInput, match="it is damaged"):
        fine_tune(folded, counting, x, replace(QUICK, epochs=1), 8, checkpoint=tmp_path)


def test_it_stops_early_where_nothing_gets_better(monkeypatch: pytest.MonkeyPatch) -> None:
    folded, counting, x = made(mlp)
    tuned = fine_tune(folded, counting, x, replace(QUICK, epochs=30, rate=1e-9, step_rate=1e-9, patience=2), 8)
    assert len(tuned.log) < 30
    assert tuned.best <= len(tuned.log) - 2
    assert Plan(1).patience == 0


def test_labels_are_for_show_alone() -> None:
    folded, counting, x = made(mlp)
    labels = forward(folded, x).argmax(1)
    with_labels = fine_tune(folded, counting, x, QUICK, 8, labels=labels)
    without = fine_tune(folded, counting, x, QUICK, 8)
    assert with_labels.log[-1]["accuracy"] == with_labels.log[-1]["agreement"]
    name = names_of(counting, nir.Affine)[0]
    np.testing.assert_array_equal(weights_of(with_labels.graph.nodes[name]), weights_of(without.graph.nodes[name]))


def test_labels_are_learned_where_the_recipe_says_so(tmp_path: Path) -> None:
    folded, counting, x = made(mlp)
    flat = x.reshape(len(x), -1)
    labels = (flat[:, 0] > flat[:, 1]).astype(np.int64)
    recipe = replace(QUICK, epochs=40, rate=1e-2, labels=1.0, blocks=0.0)
    tuned = fine_tune(folded, counting, x, recipe, 8, labels=labels, checkpoint=tmp_path)
    assert tuned.log[-1]["loss"] < tuned.log[0]["loss"] / 2
    coded = run_passes(tuned.graph, (QuantizeWeights(8),), Context(x))
    given = forward(coded, counts_of(coded, x), integers=True).argmax(1)
    assert np.mean(forward(folded, x).argmax(1) == labels) < 0.6
    assert np.mean(given == labels) > 0.9
    with pytest.raises(InvalidInput, match="it began with samples"):
        fine_tune(folded, counting, x, recipe, 8, labels=1 - labels, checkpoint=tmp_path)
    with pytest.raises(InvalidInput, match="the recipe learns from labels, there are none"):
        fine_tune(folded, counting, x, recipe, 8)
    with pytest.raises(InvalidInput, match="labels run from -1 to"):
        fine_tune(folded, counting, x, recipe, 8, labels=np.where(labels == 0, -1, labels))
    with pytest.raises(InvalidInput, match=r"labels = 2\.0 is no share"):
        Weights(labels=2.0)


def test_the_loss_of_the_answers_is_shared_between_network_and_labels() -> None:
    folded, counting, _ = made(mlp)
    logits, wanted = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).split(3)
    targets = torch.eye(5)[[0, 2, 4]]
    lesson = Lesson(FloatNetwork(folded), encoder_of(counting.metadata), Weights(labels=0.25), ())
    mixed = 0.75 * divergence(logits, wanted, 2.0) + 0.25 * torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2, 4]))
    torch.testing.assert_close(lesson.of_answers(logits, wanted, targets), mixed)
    torch.testing.assert_close(lesson.of_answers(logits, wanted), divergence(logits, wanted, 2.0))


def test_a_box_brings_its_share_of_the_other_label() -> None:
    x = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 3, 8, 8)
    boxed, targets = Augmentation(("cutmix",), (0.0,) * 3)((x, torch.eye(4)), np.random.default_rng(3))
    for image, shares in zip(boxed, targets, strict=True):
        torch.testing.assert_close(shares, torch.stack([(image[0] == value).float().mean() for value in range(4)]))
    assert ((targets > 0).sum(1) == 2).any()


def test_the_rectifiers_behind_adds_are_matched_or_all() -> None:
    folded, _, _ = made(residual)
    behind = matched_rectifiers(folded)
    assert behind
    assert all(len(predecessors(folded, name)) > 1 for name in behind)
    chain = made(mlp)[0]
    assert matched_rectifiers(chain) == names_of(chain, ReLU)


def test_recipes_are_spelled() -> None:
    assert parse_recipe("7") == Weights(7)
    assert parse_recipe("weights{epochs=3,rate=0.01}") == Weights(3, 0.01)
    assert parse_recipe("thresholds") == Thresholds()
    with pytest.raises(InvalidInput, match="cannot be used"):
        parse_recipe("0")
    with pytest.raises(InvalidInput, match="there are no sums 'float8'"):
        parse_recipe("weights{sums=float8}")
    with pytest.raises(InvalidInput, match="there is no augmentation 'turn'"):
        parse_recipe("weights{augment=turn}")


def test_too_few_samples_and_nodes_without_a_form_are_refused() -> None:
    folded, counting, x = made(mlp)
    with pytest.raises(InvalidInput, match="20 samples leave 16 to learn from, a batch has 50"):
        fine_tune(folded, counting, x[:20], Weights(1, held_out=0.2), 8)
    strange = made(mlp)[0]
    strange.nodes[names_of(strange, ReLU)[0]] = nir.Threshold(np.ones(1))
    with pytest.raises(PassFailed, match="Threshold has no torch form here"):
        FloatNetwork(strange)


def test_images_are_changed_only_in_ways_that_leave_what_they_show() -> None:
    x = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)
    assert Augmentation.of("auto", x).kinds == ("flip", "shift", "cutmix")
    assert Augmentation.of("auto", x[:, :1]).kinds == ("shift",)
    assert Augmentation.of("auto", x[:, 0, 0]).kinds == ()
    (flipped,) = Augmentation.of("flip", x)((torch.from_numpy(x),), np.random.default_rng(1))
    for before, after in zip(x, flipped.numpy(), strict=True):
        assert np.array_equal(after, before) or np.array_equal(after, before[:, :, ::-1])
    (shifted,) = Augmentation.of("shift", x)((torch.from_numpy(x),), np.random.default_rng(1))
    inner = {before[0, 3, 3] for before in x}
    assert all(inner & set(after[0].reshape(-1).tolist()) for after in shifted.numpy())
    (boxed,) = Augmentation.of("cutmix", x)((torch.from_numpy(x),), np.random.default_rng(1))
    for image in boxed.numpy():
        own = (image[None] == x).all(1).any(axis=(1, 2))
        assert 1 <= np.count_nonzero(own) <= 2, "pixels of itself and of one other"
        assert ((image[None] == x[own]).all(1).any(0)).all(), "and of nothing else"
    assert len({float((image == own).sum()) for image, own in zip(boxed.numpy(), x, strict=True)}) > 1, "boxes of their own"
    first, second = (Augmentation.of("auto", x)((torch.from_numpy(x),), np.random.default_rng(5))[0] for _ in range(2))
    assert torch.equal(first, second)
