"""The event pre-processing before the first layer: polarities, pooling, region, mirrors, noise filter.

Order of the stages: polarities, pooling, region, mirror in x and y, exchange of x and y (sinabs 3.1.3, dvs_layer.py; SynSense,
Speck Dev Kit Datasheet, Aug 2023, 3.2.3). The noise filter works on a slow clock and is described, not computed, here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput

POOLS = (1, 2, 4)
POLARITIES = ("both", "merge", "on", "off")
FILTER_SIZE = 15


@dataclass(frozen=True)
class NoiseFilter:
    """Fields of samna's dvs_filter. size: (y, x) of the neighbourhood, up to 15x15; threshold: in ticks of the slow clock."""

    enable: bool = False
    size: tuple[int, int] = (3, 3)
    threshold: int = 5
    hot_pixel: bool = False
    low_pass: bool = False

    def fields(self) -> dict[str, Any]:
        """As samna names them."""
        if not self.enable:
            return {"enable": False}
        return {
            "enable": True,
            "filter_size": {"x": self.size[1], "y": self.size[0]},
            "hot_pixel_filter_enable": self.hot_pixel,
            "low_pass_mode_enable": self.low_pass,
            "threshold": self.threshold,
        }


@dataclass(frozen=True)
class Preprocessing:
    """What happens to events (polarity, y, x) before the first layer. Polarity 1 is "on".

    polarity: "both" keep their channels, "merge" adds them into one, "on" and "off" drop the other's events.
    pool: (y, x) windows of 1, 2 or 4. region: (top, left, bottom, right) of the pooled map, the last two not included;
    None for all. mirror: flip (y, x). swap: exchange x and y. sensor: take the events of the chip's own sensor. size: (y, x) of
    the sensor.
    """

    polarity: str = "both"
    pool: tuple[int, int] = (1, 1)
    region: tuple[int, int, int, int] | None = None
    mirror: tuple[bool, bool] = (False, False)
    swap: bool = False
    noise: NoiseFilter = field(default_factory=NoiseFilter)
    sensor: bool = False
    size: tuple[int, int] = (128, 128)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (polarity, y, x) of the events that enter."""
        return 2, *self.size

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Shape (channels, y, x) of what leaves. Raises InvalidInput for a region outside the map."""
        top, left, bottom, right = self._region()
        height, width = bottom - top, right - left
        channels = 1 if self.polarity == "merge" else 2
        return (channels, width, height) if self.swap else (channels, height, width)

    def apply(self, events: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Counts (..., polarity, y, x) after the stages, without the noise filter. Raises InvalidInput as output_shape does."""
        top, left, bottom, right = self._region()
        x = events.astype(np.int64)
        if self.polarity == "merge":
            x = x.sum(axis=-3, keepdims=True)
        elif self.polarity != "both":
            keep = 1 if self.polarity == "on" else 0
            x[..., np.arange(x.shape[-3]) != keep, :, :] = 0
        height, width = (x.shape[-2] // self.pool[0], x.shape[-1] // self.pool[1])
        x = x[..., : height * self.pool[0], : width * self.pool[1]]
        x = x.reshape(*x.shape[:-2], height, self.pool[0], width, self.pool[1]).sum(axis=(-3, -1))
        x = x[..., top:bottom, left:right]
        for axis, flip in zip((-2, -1), self.mirror, strict=True):
            x = np.flip(x, axis) if flip else x
        return np.swapaxes(x, -1, -2) if self.swap else x

    def moved(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where events end up: flat indices into `shape` to flat indices into `output_shape`, -1 for those that are dropped."""
        top, left, bottom, right = self._region()
        channel, y, x = np.unravel_index(index, self.shape)
        kept = np.ones(len(index), bool)
        if self.polarity in ("on", "off"):
            kept = channel == (1 if self.polarity == "on" else 0)
        y, x = y // self.pool[0], x // self.pool[1]
        kept &= (top <= y) & (y < bottom) & (left <= x) & (x < right)
        y, x = y - top, x - left
        y = bottom - top - 1 - y if self.mirror[0] else y
        x = right - left - 1 - x if self.mirror[1] else x
        y, x = (x, y) if self.swap else (y, x)
        channel = 0 * channel if self.polarity == "merge" else channel
        _, height, width = self.output_shape
        return np.where(kept, (channel * height + y) * width + x, -1).astype(np.int64)

    def fields(self) -> dict[str, Any]:
        """The fields of samna's dvs_layer, but for its destinations."""
        top, left, bottom, right = self._region()
        return {
            "merge": self.polarity == "merge",
            "on_channel": self.polarity != "off",
            "off_channel": self.polarity != "on",
            "pooling": {"x": self.pool[1], "y": self.pool[0]},
            "origin": {"x": left, "y": top},
            "cut": {"x": right - 1, "y": bottom - 1},
            "mirror": {"x": self.mirror[1], "y": self.mirror[0]},
            "mirror_diagonal": self.swap,
            "pass_sensor_events": self.sensor,
            "monitor_enable": False,
            "raw_monitor_enable": False,
        }

    def _region(self) -> tuple[int, int, int, int]:
        height, width = self.size[0] // self.pool[0], self.size[1] // self.pool[1]
        if self.region is None:
            return 0, 0, height, width
        top, left, bottom, right = self.region
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            what = f"rows {top}..{bottom} and columns {left}..{right} are no part of the pooled map of {height}x{width}"
            raise InvalidInput("--sensor: region", what, "Give region=TOP:LEFT:BOTTOM:RIGHT")
        return self.region


def parse_preprocessing(text: str) -> Preprocessing:
    """What `text` spells: "merge,pool=2,region=0:0:32:32,mirror=x,swap,hot-pixel,filter=3x3,threshold=5,sensor".

    Words: merge, on, off, swap, sensor, hot-pixel, low-pass; size=YxX of the sensor, 128x128 if not given. Raises
    InvalidInput, naming the part that is wrong.
    """
    found = Preprocessing()
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, _, value = part.partition("=")
        try:
            found = _with(found, key, value)
        except ValueError:
            known = "merge on off swap sensor size= pool= region= mirror= filter= threshold= hot-pixel low-pass"
            raise InvalidInput("--sensor", f"'{part}' is no stage of the event pre-processing", f"Known: {known}") from None
    return found


def _with(found: Preprocessing, key: str, value: str) -> Preprocessing:
    noise = replace(found.noise, enable=True)
    if not value:
        words: dict[str, dict[str, Any]] = {
            **{word: {"polarity": word} for word in POLARITIES},
            "swap": {"swap": True},
            "sensor": {"sensor": True},
            "hot-pixel": {"noise": replace(noise, hot_pixel=True)},
            "low-pass": {"noise": replace(noise, low_pass=True, size=(0, 0))},
        }
        if key not in words:
            raise ValueError(key)
        return replace(found, **words[key])
    if key == "pool":
        pool = _pair(value)
        if not set(pool) <= set(POOLS):
            raise ValueError(value)
        return replace(found, pool=pool)
    if key == "size" and min(_pair(value)) > 0:
        return replace(found, size=_pair(value))
    if key == "region":
        top, left, bottom, right = (int(v) for v in value.split(":"))
        return replace(found, region=(top, left, bottom, right))
    if key == "mirror" and value and set(value) <= {"x", "y"}:
        return replace(found, mirror=("y" in value, "x" in value))
    if key == "filter":
        size = _pair(value)
        if max(size) > FILTER_SIZE or min(size) < 0:
            raise ValueError(value)
        return replace(found, noise=replace(noise, size=size))
    if key == "threshold" and int(value) >= 0:
        return replace(found, noise=replace(noise, threshold=int(value)))
    raise ValueError(key)


def _pair(value: str) -> tuple[int, int]:
    """YxX, or one number for both."""
    numbers = [int(v) for v in value.split("x")]
    y, x = numbers if len(numbers) == 2 else numbers * 2
    return y, x
