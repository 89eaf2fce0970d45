"""Samples changed in ways that leave what they show: moved in time or across a picture, stretched, with spikes left out.

A part changes x (batch, steps, ...) or pictures (batch, ..., height, width), every sample by draws of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from snnport.errors import InvalidInput
from snnport.spelling import parse_among
from snnport.training.batches import Batch


class SampleChange(Protocol):
    """changed(x, draw): x with every sample changed by itself."""

    def changed(self, x: Tensor, draw: np.random.Generator) -> Tensor:
        """Of the shape and type of x."""
        ...


@dataclass(frozen=True)
class TimeShift:
    """Earlier or later by up to `steps`; silence comes in."""

    steps: int

    def __post_init__(self) -> None:
        _require("time-shift", "steps", self.steps)

    def changed(self, x: Tensor, draw: np.random.Generator) -> Tensor:
        """x: (batch, steps, ...)."""
        return _moved(x, 1, torch.from_numpy(draw.integers(-self.steps, self.steps + 1, len(x))))


@dataclass(frozen=True)
class ImageShift:
    """Up or down and to a side by up to `pixels`; zeros come in."""

    pixels: int

    def __post_init__(self) -> None:
        _require("image-shift", "pixels", self.pixels)

    def changed(self, x: Tensor, draw: np.random.Generator) -> Tensor:
        """x: (batch, ..., height, width)."""
        down, right = torch.from_numpy(draw.integers(-self.pixels, self.pixels + 1, (2, len(x))))
        return _moved(_moved(x, x.ndim - 2, down), x.ndim - 1, right)


@dataclass(frozen=True)
class Stretch:
    """Slower or faster by up to the fraction `by`, about the middle; steps are shown again or left out."""

    by: float

    def __post_init__(self) -> None:
        _require("stretch", "by", self.by, 1)

    def changed(self, x: Tensor, draw: np.random.Generator) -> Tensor:
        """x: (batch, steps, ...)."""
        steps, middle = x.shape[1], (x.shape[1] - 1) / 2
        factor = torch.from_numpy(1.0 + draw.uniform(-self.by, self.by, len(x)))[:, None]
        source = torch.round((torch.arange(steps) - middle) * factor + middle).long()
        return _taken(x, 1, source)


@dataclass(frozen=True)
class Drop:
    """Every number becomes 0 with the probability p."""

    p: float

    def __post_init__(self) -> None:
        _require("drop", "p", self.p, 1)

    def changed(self, x: Tensor, draw: np.random.Generator) -> Tensor:
        """x: any shape."""
        return x * torch.from_numpy(draw.random(tuple(x.shape), np.float32) >= self.p).to(x.dtype)


@dataclass(frozen=True)
class Silence:
    """A channel says nothing in a whole sample with the probability p."""

    p: float

    def __post_init__(self) -> None:
        _require("silence", "p", self.p, 1)

    def changed(self, x: Tensor, draw: np.random.Generator) -> Tensor:
        """x: (batch, steps, *channels)."""
        heard = torch.from_numpy(draw.random((len(x), 1, *x.shape[2:])) >= self.p)
        return x * heard.to(x.dtype)


@dataclass(frozen=True)
class Jitter:
    """Each channel by itself earlier or later by up to `steps`."""

    steps: int

    def __post_init__(self) -> None:
        _require("jitter", "steps", self.steps)

    def changed(self, x: Tensor, draw: np.random.Generator) -> Tensor:
        """x: (batch, steps, *channels)."""
        flat = x.flatten(2).transpose(1, 2).flatten(0, 1)
        moved = _moved(flat, 1, torch.from_numpy(draw.integers(-self.steps, self.steps + 1, len(flat))))
        back: Tensor = moved.unflatten(0, (len(x), -1)).transpose(1, 2).reshape(x.shape)
        return back


AUGMENTATIONS = MappingProxyType(
    {
        "time-shift": TimeShift,
        "image-shift": ImageShift,
        "stretch": Stretch,
        "drop": Drop,
        "silence": Silence,
        "jitter": Jitter,
    }
)


def change_of(spelled: Sequence[str]) -> Callable[[Batch, np.random.Generator], Batch]:
    """What changes a batch as the spelled parts say, one after the other. Raises UnknownName, InvalidInput for a wrong one."""
    parts: list[SampleChange] = [parse_among("augment", AUGMENTATIONS, text) for text in spelled]

    def change(batch: Batch, draw: np.random.Generator) -> Batch:
        x, *others = batch
        for part in parts:
            x = part.changed(x, draw)
        return (x, *others)

    return change


def _require(part: str, name: str, value: float, most: float = np.inf) -> None:
    if not 0 <= value <= most:
        raise InvalidInput(f"augment {part}", f"{name} = {value} is not in 0..{most}")


def _moved(x: Tensor, axis: int, by: Tensor) -> Tensor:
    """x with sample k moved by by[k] along an axis; zeros come in. by: (batch,)."""
    return _taken(x, axis, torch.arange(x.shape[axis])[None] - by[:, None])


def _taken(x: Tensor, axis: int, source: Tensor) -> Tensor:
    """x with, at place p of an axis, what sample k had at source[k, p]; 0 where that is outside. source: (batch, places)."""
    shape = [len(x) if d == 0 else source.shape[1] if d == axis else 1 for d in range(x.ndim)]
    there = ((source >= 0) & (source < x.shape[axis])).reshape(shape)
    index = source.clamp(0, x.shape[axis] - 1).reshape(shape).expand_as(x)
    return torch.gather(x, axis, index) * there.to(x.dtype)
