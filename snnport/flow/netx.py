"""How samples enter a netx network: as spikes, or as the numbers that drive its input layer.

lava-dl has no place for it in the file: its users set the bias of a CUBA input layer (or feed a_in of an SDNN one) themselves.
- no input layer: spikes, 0 or 1 (Lava takes any other number for 1, so they are refused).
- SDNN input layer: numbers, one a step (n_samples, n_steps, ...), or one image for all steps.
- CUBA input layer: an image is its bias_mant, the same in all steps; with a time axis and other numbers than 0 and 1, x is
  bias_mant step by step; with a time axis and 0 and 1 alone, x is what the input layer sends, and takes its place.
Fractions become weight * x + bias with the transform of the input layer where the file has one, and lose what is behind the
point, as in lava-dl's PilotNet example.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.datasets import Samples
from snnport.errors import InvalidGraph, InvalidInput
from snnport.events import Events
from snnport.graph import Graph, build, shapes
from snnport.importers.netx import HEADER
from snnport.nodes import input_node

CHUNK = 64


@dataclass(frozen=True, eq=False)
class Driving(Samples):
    """Samples that are numbers, one a step. transform: (weight, bias), or None. images: one frame for all steps."""

    transform: tuple[int, int] | None = None
    images: bool = False

    def batch(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        """The numbers (n, n_steps, *shape)."""
        whole = self.raster(start, stop)
        return whole.reshape(len(whole), self.n_steps, *self.shape).astype(np.float64)

    def raster(self, start: int, stop: int) -> npt.NDArray[np.integer]:
        """The whole numbers (n, n_steps, n_neurons) of samples start..stop-1."""
        part = np.asarray(self._part(start, stop), np.float64)
        part = self.scaling.apply(part) if self.images else part
        if self.transform is not None:
            part = self.transform[0] * part + self.transform[1]
        whole = np.trunc(part).astype(np.int64)
        if self.images:
            return np.repeat(whole.reshape(len(whole), 1, -1), self.n_steps, axis=1)
        return whole.reshape(len(whole), self.n_steps, -1)


@dataclass(frozen=True, eq=False)
class Unary(Samples):
    """Spikes for a network that takes one of a neuron in a step."""

    def raster(self, start: int, stop: int) -> npt.NDArray[np.integer]:
        """Spikes (n, n_steps, n_neurons). Raises InvalidInput above 1."""
        part = super().raster(start, stop)
        if part.size and part.max() > 1:
            what = f"x holds {int(part.max())} spikes of one neuron in a step, which Lava takes for one"
            raise InvalidInput("input", what, "Give 0 and 1")
        return part


def header_of(metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the netx file said beside its layers, by the metadata of a graph or program; None for any other."""
    text = metadata.get(HEADER)
    try:
        return None if text is None else dict(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidGraph(f"metadata '{HEADER}'", f"it cannot be read ({error})", "Read the netx file again") from None


def entering(samples: Samples, header: Mapping[str, Any], *, replaceable: bool) -> Samples:
    """`samples` as the network takes them. replaceable: spikes may take the place of the input layer.

    Raises InvalidInput for images where nothing says how many steps they last.
    """
    layer = header.get("input_layer")
    if layer is None:
        return _as(Unary, samples)
    if replaceable and samples.n_steps and layer["kind"] != "delta" and (isinstance(samples.x, Events) or _binary(samples.x)):
        return _as(Unary, samples)
    steps = samples.n_steps or header.get("steps")
    if not steps:
        what = "x is images, and the file does not say how many steps each lasts (simulation/tSample)"
        raise InvalidInput("input", what, "Give x with a time axis: (n_samples, n_steps, ...)")
    transform = (int(layer["weight"]), int(layer.get("bias", 0))) if "weight" in layer and not _whole(samples) else None
    kept = {f.name: getattr(samples, f.name) for f in fields(Samples)}
    return Driving(**{**kept, "n_steps": int(steps)}, transform=transform, images=not samples.n_steps)


def entered(graph: Graph, samples: Samples | None) -> tuple[Graph, tuple[str, ...]]:
    """The graph that `samples` are for, and in words how they enter: without its input layer where they take its place."""
    header = header_of(graph.metadata)
    if header is None or samples is None or not header.get("input_layer"):
        return graph, ()
    name, kind = header["input_layer"]["name"], header["input_layer"]["kind"]
    if isinstance(samples, Driving):
        how = "numbers in each step" if not samples.images else f"an image for {samples.n_steps} steps"
        scaled = "" if samples.transform is None else ", {} x + {} with the fraction cut off".format(*samples.transform)
        return graph, (f"x drives the {'input' if kind == 'delta' else 'bias'} of {name}: {how}{scaled}",)
    place = input_node(shapes(graph)[name])
    place.metadata = {"loihi": {"family": "input"}}
    nodes = {k: place if k == name else node for k, node in graph.nodes.items() if not isinstance(node, nir.Input)}
    edges = [(a, b) for a, b in graph.edges if b != name]
    metadata = {**graph.metadata, HEADER: json.dumps({**header, "input_layer": None})}
    return build(nodes, edges, metadata), (f"x holds 0 and 1 in steps: it takes the place of the spikes of {name}",)


def _as(kind: type[Samples], samples: Samples) -> Samples:
    return kind(**{f.name: getattr(samples, f.name) for f in fields(Samples)})


def _binary(x: npt.NDArray[Any]) -> bool:
    return x.dtype.kind == "b" or all(np.all((part == 0) | (part == 1)) for part in _parts(x))


def _whole(samples: Samples) -> bool:
    if isinstance(samples.x, Events):
        return True
    starts = range(0, samples.n_samples, CHUNK)
    parts = (samples.batch(start, min(start + CHUNK, samples.n_samples)) for start in starts)
    return all(bool(np.all(part == np.trunc(part))) for part in parts)


def _parts(x: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    return [x[start : start + CHUNK] for start in range(0, len(x), CHUNK)]
