"""Readings, label codes, decoders, losses on counts, rates, potentials and spike times, and regularisers, against numbers
worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from snnport.errors import InvalidInput, UnknownName
from snnport.spelling import parse_among
from snnport.training.decoders import DECODERS, Coded, Count, FirstSpike, Membrane, PopulationVote, first_steps
from snnport.training.label_codes import nearest_label, patterns_of
from snnport.training.losses import LOSSES, CodedCrossEntropy, CrossEntropy, SquaredError, Trajectory
from snnport.training.reading import Reading
from snnport.training.regularisers import REGULARISERS, Lower, RateL1, RateL2, Upper
from snnport.training.spike_times import FirstTime, SpikeTimeCrossEntropy, SpikeTimeError

RNG = np.random.default_rng(0)
V = torch.from_numpy(RNG.normal(size=(4, 6, 3)))
S = torch.from_numpy((RNG.random((4, 6, 3)) < 0.4).astype(np.float64))
Y = torch.tensor([0, 2, 1, 1])


def entropy(values: Tensor, y: Tensor) -> float:
    logs = values - torch.log(torch.exp(values).sum(1, keepdim=True))
    return float(-logs[torch.arange(len(y)), y].mean())


@pytest.mark.parametrize(("over", "wanted"), [("sum", V.sum(1)), ("last", V[:, 5]), ("mean", V.mean(1)), ("max", V.amax(1))])
def test_readings_of_potentials(over: str, wanted: Tensor) -> None:
    assert torch.equal(Reading("membrane", over).of_output(S, V), wanted)
    assert float(CrossEntropy("membrane", over).value(S, V, Y)) == pytest.approx(entropy(wanted, Y))
    hot = torch.eye(3, dtype=torch.float64)[Y]
    assert float(SquaredError("membrane", over).value(S, V, Y)) == pytest.approx(float(((wanted - hot) ** 2).mean()))


def test_readings_of_spikes() -> None:
    assert torch.equal(Reading("count").of_output(S, None), S.sum(1))
    assert torch.equal(Reading("rate").of_output(S, None), S.mean(1))
    assert float(CrossEntropy("count").value(S, None, Y)) == pytest.approx(entropy(S.sum(1), Y))
    assert float(CrossEntropy("rate").value(S, None, Y)) == pytest.approx(entropy(S.mean(1), Y))
    targets = 0.1 + 0.7 * torch.eye(3, dtype=torch.float64)[Y]
    rate, count = (float(SquaredError(of, on=0.8, off=0.1).value(S, None, Y)) for of in ("rate", "count"))
    assert rate == pytest.approx(float(((S.mean(1) - targets) ** 2).mean()))
    assert count == pytest.approx(float(((S.sum(1) - 6 * targets) ** 2).mean()))
    own = torch.rand(4, 3, dtype=torch.float64)
    assert float(SquaredError("rate").value(S, None, own)) == pytest.approx(float(((S.mean(1) - own) ** 2).mean()))


def test_a_reading_of_what_is_not_there() -> None:
    with pytest.raises(InvalidInput, match="potentials were not recorded"):
        Reading("membrane").of_output(S, None)
    with pytest.raises(InvalidInput, match="never fire"):
        Reading("count").of_output(None, V)
    with pytest.raises(InvalidInput, match="no reading 'spin'"):
        Reading("spin")
    with pytest.raises(InvalidInput, match="there is no 'first'"):
        Reading("membrane", "first")
    with pytest.raises(InvalidInput, match="there is no count"):
        CrossEntropy("count", every="sum").value(None, V, Y)


def test_cross_entropy_of_every_step() -> None:
    each = [entropy(V[:, t], Y) for t in range(6)]
    assert float(CrossEntropy(every="sum").value(S, V, Y)) == pytest.approx(sum(each))
    assert float(CrossEntropy(every="mean").value(S, V, Y)) == pytest.approx(np.mean(each))


def test_cross_entropy_of_populations() -> None:
    wide = torch.from_numpy(RNG.normal(size=(4, 6, 6)))
    summed = wide.sum(1).reshape(4, 3, 2).sum(2)
    assert float(CrossEntropy(population=2).value(None, wide, Y)) == pytest.approx(entropy(summed, Y))


CODES = {
    "one-hot": [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]],
    "inverted-one-hot": [[0, 1, 1, 1, 1], [1, 0, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 1, 0, 1], [1, 1, 1, 1, 0]],
    "binary": [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]],
    "gray": [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1]],
}


@pytest.mark.parametrize("name", sorted(CODES))
def test_label_codes(name: str) -> None:
    patterns = patterns_of(name, 5)
    assert patterns.tolist() == CODES[name]
    assert torch.equal(nearest_label(patterns - 0.5, patterns), torch.arange(5))
    ten = patterns_of(name, 10)
    assert len({tuple(row) for row in ten.tolist()}) == 10
    if name == "gray":
        assert all(int((a != b).sum()) == 1 for a, b in pairwise(ten))
    v = (ten[torch.tensor([3, 7])] * 2 - 1)[:, None].expand(2, 4, -1)
    assert Coded(name, 10).labels(None, v).tolist() == [3, 7]
    loss = CodedCrossEntropy(name, 10, over="mean")
    right, wrong = (float(loss.value(None, v * 5, torch.tensor(y))) for y in ([3, 7], [7, 3]))
    assert right < 0.01 < wrong
    reached = float(SquaredError("membrane", "mean", 1, -1, name, 10).value(None, v, torch.tensor([3, 7])))
    assert reached == 0


def test_binary_cross_entropy_by_hand() -> None:
    z = V.sum(1)
    wanted = torch.tensor(CODES["gray"], dtype=torch.float64)[Y]
    p = 1 / (1 + torch.exp(-2 * (z - 0.5)))
    by_hand = -(wanted * p.log() + (1 - wanted) * (1 - p).log()).mean()
    assert float(CodedCrossEntropy("gray", 5, middle=0.5, gain=2).value(None, V, Y)) == pytest.approx(float(by_hand))


def test_decoders() -> None:
    spikes = torch.zeros(3, 5, 4)
    spikes[0, 1, 2] = spikes[0, 3, 1] = spikes[0, 4, 1] = 1
    spikes[1, 2, 3] = spikes[1, 2, 1] = spikes[1, 3, 3] = 1
    assert Count().labels(spikes, None).tolist() == [1, 3, 0]
    assert FirstSpike().labels(spikes, None).tolist() == [2, 3, 0]
    assert first_steps(spikes).tolist() == [[5, 3, 1, 5], [5, 2, 5, 2], [5, 5, 5, 5]]
    assert Membrane("last").labels(None, V).tolist() == V[:, -1].argmax(1).tolist()
    assert PopulationVote(2).labels(spikes, None).tolist() == [0, 1, 0]
    with pytest.raises(InvalidInput, match="4 neurons for 3 classes"):
        PopulationVote(3).labels(spikes, None)
    with pytest.raises(InvalidInput, match="never fire"):
        FirstSpike().labels(None, V)
    assert not PopulationVote(2).reads_v
    assert sorted(DECODERS) == ["coded", "count", "first-spike", "membrane", "population"]


def test_spike_times_force_a_last_spike() -> None:
    spikes = torch.zeros(2, 5, 3, dtype=torch.float64)
    spikes[0, 1, 0] = spikes[0, 3, 0] = spikes[0, 2, 1] = 1
    spikes.requires_grad_()
    times: Tensor = FirstTime.apply(spikes)
    assert times.tolist() == [[1, 2, 4], [4, 4, 4]]
    y = torch.tensor([0, 2])
    loss = SpikeTimeCrossEntropy(2.0).value(spikes, None, y)
    assert float(loss.detach()) == pytest.approx(entropy(-times.detach() / 2, y))
    loss.backward()
    assert spikes.grad is not None
    # The label's neuron shall spike sooner: more of a spike lowers the loss, also in the forced last step.
    assert spikes.grad[0, 1, 0] < 0 < spikes.grad[0, 2, 1]
    assert spikes.grad[1, 4, 2] < 0 < spikes.grad[1, 4, 0]
    assert int((spikes.grad != 0).sum()) == 6
    wanted = torch.tensor([[0.0, 4, 4], [4, 4, 0]])
    assert float(SpikeTimeError().value(spikes.detach(), None, y)) == pytest.approx(
        float((((times.detach() - wanted) / 5) ** 2).mean())
    )
    own = torch.tensor([[1.0, 2, 4], [4, 4, 4]])
    assert float(SpikeTimeError().value(spikes.detach(), None, own)) == 0
    with pytest.raises(InvalidInput, match="never fire"):
        SpikeTimeError().value(None, V, y)


def test_trajectories() -> None:
    course = torch.zeros_like(V)
    assert float(Trajectory().value(None, V, course)) == pytest.approx(float((V**2).mean()))
    with pytest.raises(InvalidInput, match="its course"):
        Trajectory().value(None, V, course[:, 1:])


def test_regularisers() -> None:
    rates = S.mean((0, 1))
    assert float(RateL1(2.0).value(S)) == pytest.approx(2 * float(S.mean()))
    assert float(RateL2(2.0, 0.1).value(S)) == pytest.approx(2 * float(((rates - 0.1) ** 2).mean()))
    each, whole = S.mean(1), S.mean((1, 2))
    for made, sign in ((Upper, 1), (Lower, -1)):
        by_neuron = torch.clamp(sign * (each - 0.4), min=0) ** 2
        by_population = torch.clamp(sign * (whole - 0.4), min=0) ** 2
        assert float(made(3.0, 0.4).value(S)) == pytest.approx(3 * float(by_neuron.mean()))
        assert float(made(3.0, 0.4, "population").value(S)) == pytest.approx(3 * float(by_population.mean()))
        assert float(by_neuron.mean()) > 0
        with pytest.raises(InvalidInput, match="there is no 'layer'"):
            made(1.0, 0.5, "layer")


def test_spelling_of_parts() -> None:
    assert parse_among("loss", LOSSES, "cross-entropy{of=count}") == CrossEntropy("count")
    assert parse_among("loss", LOSSES, "mse{of=rate,on=0.8}") == SquaredError("rate", on=0.8)
    assert parse_among("regulariser", REGULARISERS, "upper{weight=1,bound=0.1,per=population}") == Upper(1.0, 0.1, "population")
    with pytest.raises(UnknownName, match="cross-entropy"):
        parse_among("loss", LOSSES, "cross-entrpy")
    with pytest.raises(UnknownName, match="over"):
        parse_among("loss", LOSSES, "cross-entropy{ovr=sum}")
    with pytest.raises(InvalidInput, match="option 'of' has no value"):
        parse_among("loss", LOSSES, "cross-entropy{of}")
    with pytest.raises(InvalidInput, match="'much' is no float"):
        parse_among("regulariser", REGULARISERS, "rate-l1{weight=much}")
    with pytest.raises(InvalidInput, match="lacks one of its options: weight"):
        parse_among("regulariser", REGULARISERS, "rate-l1")
    with pytest.raises(InvalidInput, match="not spelled"):
        parse_among("loss", LOSSES, "mse(of=rate)")
    for made in (SquaredError, lambda code: CodedCrossEntropy(code, 3)):
        with pytest.raises(UnknownName, match="gray"):
            made(code="grey")
