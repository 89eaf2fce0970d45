"""Images changed in ways that leave what they show: mirrored, shifted, or with a box of another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from snnport.training.batches import Batch

KINDS = ("flip", "shift", "cutmix")
REACH = 8
"""Images are shifted by up to a side / REACH."""


@dataclass(frozen=True)
class Augmentation:
    """kinds: of KINDS. background: the value of a pixel that a shift brings in, one a channel."""

    kinds: tuple[str, ...]
    background: tuple[float, ...]

    @classmethod
    def of(cls, text: str, x: npt.NDArray[np.float32]) -> Augmentation:
        """The augmentation that `text` names for samples x: "auto" is all of it for colour images, shifting for others.

        What is no image (n, channels, height, width) with more than one row is left alone.
        """
        if x.ndim != 4 or min(x.shape[2:]) < 2 or text == "none":
            return cls((), ())
        kinds = (KINDS if x.shape[1] == 3 else ("shift",)) if text == "auto" else tuple(text.split("+"))
        return cls(kinds, tuple(float(v) for v in x.min(axis=(0, 2, 3))))

    def __call__(self, batch: Batch, draw: np.random.Generator) -> Batch:
        """The batch with its images (n, channels, height, width) changed. A box brings its share of the other image's targets
        (n, classes) with it; all else stays."""
        x, *others = batch
        if "flip" in self.kinds:
            mirrored = torch.from_numpy(draw.random(len(x)) < 0.5)
            x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
        if "shift" in self.kinds:
            x = self._shifted(x, draw)
        if "cutmix" in self.kinds:
            return _with_boxes((x, *others), draw)
        return (x, *others)

    def _shifted(self, x: torch.Tensor, draw: np.random.Generator) -> torch.Tensor:
        height, width = x.shape[-2:]
        reach = max(1, height // REACH)
        ground = torch.tensor(self.background, dtype=x.dtype).reshape(1, -1, 1, 1)
        padded = ground.expand(len(x), -1, height + 2 * reach, width + 2 * reach).clone()
        padded[:, :, reach : reach + height, reach : reach + width] = x
        rows, columns = draw.integers(0, 2 * reach + 1, (2, len(x))).tolist()
        parts = [image[:, r : r + height, c : c + width] for image, r, c in zip(padded, rows, columns, strict=True)]
        return torch.stack(parts)


def _with_boxes(batch: Batch, draw: np.random.Generator) -> Batch:
    """Each image with a box of another one, and the targets mixed as the areas are (S. Yun et al., CutMix, ICCV 2019); a box
    covers a uniform share, where it fits."""
    x, *targets = batch
    inside = []
    side = np.sqrt(draw.random(len(x)))
    for length in x.shape[-2:]:
        covered = (length * side).astype(np.int64)
        first = (draw.random(len(x)) * (length - covered + 1)).astype(np.int64)
        place = np.arange(length)
        inside.append((place >= first[:, None]) & (place < (first + covered)[:, None]))
    box = torch.from_numpy(inside[0][:, None, :, None] & inside[1][:, None, None, :])
    other, share = torch.from_numpy(draw.permutation(len(x))), box.float().mean((1, 2, 3))[:, None]
    return (torch.where(box, x[other], x), *((1 - share) * one + share * one[other] for one in targets))
