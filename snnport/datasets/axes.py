"""The order of the axes: an array of samples turned into the order of the model's input, where one reading alone is left."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from snnport.datasets.files import Array
from snnport.errors import InvalidInput
from snnport.nodes import Shape

LAYOUTS = ("ntc", "tnc", "nct")
"""Order of the axes of spikes: n sample, t step, c all axes of the model's input."""
_CHUNK = 1 << 22


def checked(where: str, x: Array) -> Array:
    """`x`, booleans as bytes. Raises InvalidInput if it is empty or holds anything but finite numbers."""
    if x.dtype.kind not in "buif":
        raise InvalidInput(where, f"its values are of type {x.dtype}, numbers are needed")
    if x.size == 0 or x.ndim == 0:
        raise InvalidInput(where, f"it holds no samples, its shape is {x.shape}")
    if x.dtype.kind == "f":
        step = max(1, _CHUNK // max(1, x[0].size))
        for start in range(0, len(x), step):
            finite = np.isfinite(x[start : start + step])
            if not finite.all():
                place = tuple(int(i) for i in np.argwhere(~finite)[0])
                first = (start + place[0], *place[1:])
                raise InvalidInput(where, f"x{list(first)} is {x[first]}, only finite numbers can be used")
    return x.view(np.uint8) if x.dtype.kind == "b" else x


@dataclass(frozen=True)
class _Reading:
    """One way to read the axes: n_steps (0: images), the order of the axes of a sample before turning, and what was done."""

    n_steps: int
    order: Shape
    turned: bool
    words: str


def rows_of_pixels(where: str, pixels: Array, shape: Shape) -> Array:
    """`pixels` as samples (n, height, width, channels) of a network that takes `shape`: a row each, or all of it as one.

    Raises InvalidInput if neither fits.
    """
    channels, size = (shape[0], math.prod(shape[1:])) if len(shape) == 3 else (1, math.prod(shape))
    height, width = (shape[1], shape[2]) if len(shape) == 3 else (1, size)
    if pixels.shape[2] == channels and pixels.shape[1] == size:
        return pixels.reshape(len(pixels), height, width, channels)
    if pixels.shape == (height, width, channels):
        return pixels[None]
    what = f"its pixels are {pixels.shape} (rows, columns, channels), the network takes {shape}"
    raise InvalidInput(where, what, f"Give one sample of {size} pixels a row, or one image")


def in_order(where: str, x: Array, shape: Shape, layout: str) -> tuple[Array, int, str]:
    """x as (n_samples, *shape) or (n_samples, n_steps, *shape), the number of steps (0: images), and what was done."""
    named = "" if layout == "ntc" else f", its axes taken in the order {', '.join(layout)}"
    if layout != "ntc" and x.ndim >= 2:
        x = np.swapaxes(x, 0, 1) if layout == "tnc" else np.moveaxis(x, -1, 1)
    reading = _the_reading(where, x, shape, images=layout == "ntc")
    steps = (reading.n_steps,) if reading.n_steps else ()
    if reading.words:
        x = x.reshape(len(x), *steps, *reading.order)
    if reading.turned:
        x = np.moveaxis(x, -1, -3)
    return x, reading.n_steps, named + reading.words


def _the_reading(where: str, x: Array, shape: Shape, *, images: bool) -> _Reading:
    as_images = _readings(x.shape[1:], shape, 0) if images else []
    as_spikes = _readings(x.shape[2:], shape, x.shape[1]) if x.ndim > 1 else []
    for found in (as_images, as_spikes):
        exact = [r for r in found if not r.words]
        if exact and not (exact[0].n_steps == 1 and as_images):
            return exact[0]
    found = as_images + [r for r in as_spikes if not as_images or not (r.n_steps == 1 and r.words)]
    if len(found) == 1:
        return found[0]
    wanted = f"(n_samples, {_words(shape)}) images or (n_samples, n_steps, {_words(shape)}) spikes"
    if found:
        both = " or ".join(f"{'spikes of ' + str(r.n_steps) + ' steps' if r.n_steps else 'images'}{r.words}" for r in found)
        raise InvalidInput(where, f"x of shape {x.shape} can be read as {both}", f"Save it as {wanted}")
    remedy = "Is this the file of the labels?" if x.ndim == 1 else f"Save it in that shape; the model's input is {shape}"
    raise InvalidInput(where, f"x has shape {x.shape}, wanted is {wanted}", remedy)


def _readings(body: Shape, shape: Shape, n_steps: int) -> list[_Reading]:
    if body == shape:
        return [_Reading(n_steps, shape, False, "")]
    found = []
    if _thin(body) == _thin(shape):
        found.append(_Reading(n_steps, shape, False, ", axes of length 1 added or removed"))
    if len(shape) == 3 and shape[0] > 1 and len(_thin(shape)) > 1:
        last = (*shape[1:], shape[0])
        if _thin(body) == _thin(last):
            found.append(_Reading(n_steps, last, True, ", channels moved from last to first"))
    if len(shape) == 1 and len(_thin(body)) == 2 and math.prod(body) == shape[0]:
        found.append(_Reading(n_steps, shape, False, ", rows put one after another"))
    return found


def _thin(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def _words(shape: Shape) -> str:
    return ", ".join(map(str, shape))
