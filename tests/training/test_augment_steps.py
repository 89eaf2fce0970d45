"""Samples changed in time and place: what moves, what comes in, what stays, and the same for the same draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from snnport.errors import InvalidInput, UnknownName
from snnport.training.augment_steps import AUGMENTATIONS, Drop, ImageShift, Jitter, Silence, Stretch, TimeShift, change_of

X = torch.from_numpy(np.random.default_rng(0).integers(1, 9, (40, 12, 5)).astype(np.uint8))


def draw() -> np.random.Generator:
    return np.random.default_rng(3)


def whole(part: object) -> torch.Tensor:
    return part.changed(X, draw())  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", [TimeShift(3), ImageShift(2), Stretch(0.3), Drop(0.4), Silence(0.5), Jitter(2)])
def test_shape_type_and_repetition(part: object) -> None:
    found = whole(part)
    assert (found.shape, found.dtype) == (X.shape, X.dtype)
    assert torch.equal(found, whole(part))
    assert not torch.equal(found, X)


@pytest.mark.parametrize("part", [TimeShift(0), ImageShift(0), Stretch(0.0), Drop(0.0), Silence(0.0), Jitter(0)])
def test_nothing_is_asked_for(part: object) -> None:
    assert torch.equal(whole(part), X)


def test_a_sample_moves_as_one_and_zeros_come_in() -> None:
    seen = set()
    for before, after in zip(X, whole(TimeShift(2)), strict=True):
        (by,) = [k for k in range(-2, 3) if torch.equal(after[max(k, 0) : 12 + min(k, 0)], before[max(-k, 0) : 12 - max(k, 0)])]
        assert int((after == 0).sum()) == 5 * abs(by)
        seen.add(by)
    assert seen == {-2, -1, 0, 1, 2}


def test_a_picture_moves_in_both_directions() -> None:
    picture = torch.zeros(200, 1, 7, 7, dtype=torch.uint8)
    picture[:, 0, 3, 3] = 9
    found = ImageShift(2).changed(picture, draw())
    assert found.flatten(1).sum(1).tolist() == [9] * 200
    assert {tuple(place) for place in (found[:, 0] == 9).nonzero()[:, 1:].tolist()} == {
        (r, c) for r in range(1, 6) for c in range(1, 6)
    }


def test_channels_move_by_themselves_or_fall_silent() -> None:
    found = whole(Jitter(1))
    lead = [(found[:, :, c] == 0).sum(1) for c in range(5)]
    assert all(int(zeros.max()) == 1 for zeros in lead)
    assert any(not torch.equal(lead[0], other) for other in lead[1:])
    silent = (whole(Silence(0.3)) == 0).all(1)
    assert 0.2 < silent.float().mean() < 0.4
    assert torch.equal(whole(Silence(0.3))[~silent[:, None].expand_as(X)], X[~silent[:, None].expand_as(X)])


def test_stretching_keeps_the_middle_and_the_order() -> None:
    course = torch.arange(1, 102).reshape(1, 101, 1).expand(60, 101, 1)
    found = Stretch(0.2).changed(course, draw())
    assert (found[:, 50] == 51).all()
    for row in found[:, :, 0]:
        inside = row[row > 0]
        assert (inside.diff() >= 0).all()
        assert 0.75 < (inside[-1] - inside[0]) / (len(inside) - 1) < 1.25


def test_spelled_parts_follow_one_another_and_leave_labels_alone() -> None:
    y = torch.arange(40)
    found = change_of(("time-shift{steps=2}", "drop{p=0.5}"))((X, y), draw())
    rng = draw()
    assert torch.equal(found[0], Drop(0.5).changed(TimeShift(2).changed(X, rng), rng))
    assert torch.equal(found[1], y)
    assert torch.equal(change_of(())((X, y), draw())[0], X)


@pytest.mark.parametrize(
    "text",
    ["time-shift{steps=-1}", "image-shift{pixels=-2}", "stretch{by=1.5}", "drop{p=2}", "silence{p=-1}", "jitter{steps=-1}"],
)
def test_what_is_out_of_range(text: str) -> None:
    assert text.partition("{")[0] in AUGMENTATIONS
    with pytest.raises(InvalidInput, match=r"is not in 0\.\."):
        change_of((text,))


def test_what_is_not_known() -> None:
    with pytest.raises(UnknownName, match="turn"):
        change_of(("turn{by=3}",))
