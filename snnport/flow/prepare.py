"""From an opened file to a graph that a target can judge: conversion for an ANN, the target's own passes for the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.convention import coding_of
from snnport.datasets import Samples, Scaling, load_samples
from snnport.errors import InvalidInput
from snnport.flow.convert import CALIBRATION_SAMPLES, Conversion, ConvertOptions, Refine, convert_graph
from snnport.flow.model import Model
from snnport.flow.netx import entered, entering, header_of
from snnport.flow.sensor import through
from snnport.graph import Graph, build
from snnport.passes.base import Context, run_passes
from snnport.targets.base import Target
from snnport.targets.speck.sensor import parse_preprocessing

MAX_CALIBRATION = 4096
UNIFORM_SEED = 0
CALIBRATION_SPIKES = 128
"""Samples of the input that choose a scale where --calibration gives none: each is run once for every scale."""


@dataclass(frozen=True)
class InputOptions:
    """How input files are read: x / scale + shift, then (x - mean) / std; `labels` and `layout` as on the command line.

    calibration: file of unlabelled samples. value_range: of x / scale + shift, for uniform samples where there is nothing else.
    sensor: what happens to a vision sensor's events before the first layer (targets/speck/sensor.py); "" for nothing.
    """

    scale: float = 1.0
    shift: float = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: str = "ntc"
    labels: Path | None = None
    calibration: Path | None = None
    value_range: tuple[float, float] = (0.0, 1.0)
    sensor: str = ""

    def load(self, path: Path, model: Model, *, labels: Path | None = None) -> Samples:
        """The samples in the file at `path`, in the order and scale of `model`'s input."""
        stage = parse_preprocessing(self.sensor) if self.sensor else None
        samples = load_samples(
            path,
            labels,
            model.input_shape if stage is None else stage.shape,
            inputs=model.inputs if stage is None else None,
            dt=model.dt,
            scale=self.scale,
            shift=self.shift,
            mean=self.mean,
            std=self.std,
            layout=self.layout,
        )
        if stage is not None:
            if stage.output_shape != model.input_shape:
                what = f"it makes {stage.output_shape} of events on {stage.shape}, the network takes {model.input_shape}"
                raise InvalidInput("--sensor", what, "Choose size, pool and region so that they agree")
            samples = through(samples, stage)
        header = header_of(model.program.meta if model.program is not None else model.graph.metadata)
        return samples if header is None else entering(samples, header, replaceable=model.program is None)


@dataclass(frozen=True, eq=False)
class Spikes:
    """The first `count` samples by which a target may choose a scale, without their labels, and where they come from."""

    samples: Samples
    count: int
    source: str

    def raster(self) -> npt.NDArray[Any]:
        """Spike counts (count, n_steps, n_neurons). Raises InvalidInput if the samples hold no counts."""
        return self.samples.raster(0, self.count)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A spiking graph ready for a target. done: what was applied to get it, in words or pass spellings.

    spikes: of a network that was trained with spikes, None without any. seeds: of all that was drawn at random, by what was.
    """

    model: Model
    graph: Graph
    conversion: Conversion | None
    done: tuple[str, ...]
    warnings: tuple[str, ...]
    spikes: Spikes | None = None
    seeds: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Samples (n, *input shape), where they come from, and the seeds of those that were drawn."""

    x: npt.NDArray[np.float64]
    source: str
    seeds: Mapping[str, int] = field(default_factory=dict)


def spiking(
    model: Model,
    inputs: InputOptions,
    options: ConvertOptions | None = None,
    samples: Samples | None = None,
    say: Callable[[str], None] = lambda stage: None,
    refine: Refine | None = None,
) -> Prepared:
    """The spiking graph of `model`: converted if it is an ANN, else as it is, with what its neurons mean in its metadata.

    refine: as of convert_graph.

    Raises InvalidInput while something that the file leaves open would change the result.
    """
    imported = model.imported
    if imported is None or not model.is_ann:
        graph, done = entered(_meant(model), samples)
        return Prepared(model, graph, None, done, (), calibration_spikes(model, inputs, samples))
    given = calibration_samples(model, inputs, samples)
    conversion = convert_graph(imported, given.x, given.source, options, say, refine)
    done = (f"calibrated on {given.source}", *conversion.passes)
    return Prepared(model, conversion.graph, conversion, done, conversion.warnings, seeds=given.seeds)


def _meant(model: Model) -> Graph:
    """The graph of a spiking model with its convention in its metadata, where targets and the reference read it."""
    graph, imported = model.graph, model.imported
    assert imported is not None
    if imported.ambiguous:
        remedy = "snnport inspect tells more; --dialect lava-fixed reads a file as NIR's own nir_to_lava.py does for Loihi"
        raise InvalidInput(str(model.path), f"it leaves open: {'; '.join(imported.ambiguous)}", remedy)
    if imported.convention is None or coding_of(graph.metadata) is not None:
        return graph
    header = {"version": 1, "coding": None, "convention": imported.convention.to_json()}
    return build(graph.nodes, graph.edges, {**graph.metadata, "snnport": json.dumps(header)})


def for_target(prepared: Prepared, target: Target) -> Prepared:
    """`prepared` after the passes that `target` still needs."""
    spikes = prepared.spikes if target.calibrate is not None else None
    raster = None if spikes is None else spikes.raster()
    passes = target.passes_for(prepared.graph, raster)
    if not passes:
        return prepared
    graph = run_passes(prepared.graph, passes, Context(calibration=raster))
    chosen = () if spikes is None or passes == target.passes_for(prepared.graph) else (f"calibrated on {spikes.source}",)
    done = (*prepared.done, *chosen, *(step.spelling for step in passes))
    drawn = {what: seed for step in passes for what, seed in step.seeds.items()}
    return replace(prepared, graph=graph, done=done, seeds={**prepared.seeds, **drawn})


def calibration_spikes(model: Model, inputs: InputOptions, samples: Samples | None) -> Spikes | None:
    """Spikes of --calibration, else the first of the input, without labels; None where neither holds spikes."""
    if inputs.calibration is not None:
        given = inputs.load(inputs.calibration, model)
        count = min(given.n_samples, MAX_CALIBRATION)
        return Spikes(given, count, f"{count} samples of {inputs.calibration.name}") if given.n_steps else None
    if samples is None or not samples.n_steps:
        return None
    count = min(samples.n_samples, CALIBRATION_SPIKES)
    return Spikes(samples, count, f"the first {count} samples of the input, without labels")


def calibration_samples(model: Model, inputs: InputOptions, samples: Samples | None) -> Calibration:
    """Calibration samples: of --calibration, else the first of the input, else uniform numbers."""
    if inputs.calibration is not None:
        given = inputs.load(inputs.calibration, model)
        if given.n_steps:
            raise InvalidInput(str(inputs.calibration), "it holds spikes, images are needed", "Give images without a time axis")
        count = min(given.n_samples, MAX_CALIBRATION)
        return Calibration(given.batch(0, count), f"{count} samples of {inputs.calibration.name}")
    if samples is not None and not samples.n_steps:
        count = min(samples.n_samples, CALIBRATION_SAMPLES)
        return Calibration(samples.batch(0, count), f"the first {count} samples of the input, without labels")
    low, high = inputs.value_range
    if not low < high:
        raise InvalidInput("--range", f"{low}..{high} is empty", "Give LOW,HIGH")
    uniform = np.random.default_rng(UNIFORM_SEED).uniform(low, high, (CALIBRATION_SAMPLES, *model.input_shape))
    scaled = Scaling(1.0, 0.0, inputs.mean, inputs.std).apply(uniform)
    words = f"{CALIBRATION_SAMPLES} uniform samples of the range {low:g}..{high:g}: give real ones for accuracy"
    return Calibration(scaled, words, {"uniform calibration samples": UNIFORM_SEED})
