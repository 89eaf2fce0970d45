"""The networks and inputs of the speed benchmark, made once and written where every contender reads them.

The dense network has 8-bit weights with a small positive mean and integrate-and-fire neurons. Its thresholds are chosen
such that a hidden neuron fires in about 15 % of the steps at an input rate of 10 %. All weights are even, because Loihi's
8-bit mixed-sign weights are. Sums stay far below 2^24, so that the peers' float32 is exact and spikes must agree.

The convolutional network is the NIR paper's, quantised and lowered by snnport; the peers get the same integer weights.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import snnport
from snnport.chip import load_chip
from snnport.flow.model import ReadOptions, open_model
from snnport.flow.prepare import InputOptions, for_target, spiking
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Slice
from snnport.targets.base import resolve_target

TARGETS = Path(snnport.__file__).parent / "targets"
CNN = "snntorch__examples-scnn_mnist__89e0a618.nir"
RECORDING = "tonic_sample_nmnist.bin"
MEAN, SPREAD, RATE = 4.0, 40.0, 0.15
STEPS, FRAMES = 100, 300
Raster = npt.NDArray[np.uint8]


def dense_program(*sizes: int) -> Program:
    """Random weights; thresholds that lead to the rate RATE; spikes arrive in their own step."""
    rng = np.random.default_rng(sum(sizes))
    populations = [Population("input", (sizes[0],), Neuron("input", {}))]
    projections = []
    for i, (source, target) in enumerate(pairwise(sizes), start=1):
        drawn = 2 * np.rint(rng.normal(MEAN, SPREAD, (target, source)) / 2)
        threshold = 2 * round(source * (0.1 if i == 1 else RATE) * MEAN / RATE / 2)
        populations.append(Population(f"layer{i}", (target,), Neuron("if", {"v_threshold": np.array(threshold)})))
        weights = Dense(np.clip(drawn, -126, 126).astype(np.int8))
        projections.append(Projection(f"w{i}", populations[-2].name, f"layer{i}", weights, delay=0))
    starts = [(p, start) for p in populations[1:] for start in range(0, p.size, 1024)]
    slices = tuple(Slice(p.name, core, start, min(start + 1024, p.size)) for core, (p, start) in enumerate(starts))
    chip = load_chip(TARGETS / "cpu" / "chip.toml")
    outputs = (populations[-1].name,)
    return Program("cpu", chip, tuple(populations), tuple(projections), slices, ("input",), outputs, STEPS)


def nir_program(data: Path) -> Program:
    """The NIR paper's convolutional network, quantised and lowered for the target cpu as the command line does it."""
    model = open_model(data / "nir" / CNN, ReadOptions(reset="subtract"))
    cpu = resolve_target("cpu")
    program = cpu.lower(for_target(spiking(model, InputOptions()), cpu).graph)
    names = {p.name: f"layer{i}" if i else "input" for i, p in enumerate(program.populations)}
    return replace(
        program,
        populations=tuple(replace(p, name=names[p.name]) for p in program.populations),
        projections=tuple(replace(q, source=names[q.source], target=names[q.target]) for q in program.projections),
        placements=tuple(replace(s, population=names[s.population]) for s in program.placements),
        outputs=tuple(names[name] for name in program.outputs),
    )


def strict(program: Program) -> Program:
    """Firing on v > threshold, at most once a step: on integers, v starts one lower."""
    return _with_neurons(program, lambda threshold: {"v_threshold": threshold, "v_init": np.array(-1)})


def strict_to_zero(program: Program) -> Program:
    """Firing on v > threshold and reset to 0: on integers, a threshold that is one higher."""
    return _with_neurons(program, lambda threshold: {"v_threshold": threshold + 1, "reset": np.array(1)})


def next_step(program: Program) -> Program:
    """Spikes arrive one step later."""
    return replace(program, projections=tuple(replace(q, delay=1) for q in program.projections))


def on_loihi(program: Program) -> Program:
    """Loihi's neuron without decay of the potential, all decay of the current: v > threshold, reset to 0."""
    made = _with_neurons(program, lambda threshold: {"du": np.array(4095), "dv": np.array(0), "vth": threshold}, "cuba")
    return replace(made, target="loihi2", chip=load_chip(TARGETS / "loihi" / "chip.toml"))


def _with_neurons(program: Program, params: Any, family: str = "if") -> Program:
    populations = [
        replace(p, neuron=Neuron(family, params(p.neuron["v_threshold"].astype(np.int64)))) for p in program.populations[1:]
    ]
    return replace(program, populations=(program.populations[0], *populations))


def spikes(n_samples: int, rate: float, n_inputs: int = 784) -> Raster:
    """Independent spikes (n_samples, STEPS, n_inputs)."""
    rng = np.random.default_rng(int(1000 * rate))
    return (rng.random((n_samples, STEPS, n_inputs), np.float32) < rate).astype(np.uint8)


def frames(data: Path, n_samples: int) -> Raster:
    """N-MNIST-like frames (n_samples, FRAMES, 2, 34, 34) of 1 ms: one recording, each time shifted by up to 3 pixels."""
    words = np.fromfile(data / "events" / RECORDING, np.uint8).reshape(-1, 5).astype(np.int64)
    x, y, polarity = words[:, 0], words[:, 1], words[:, 2] >> 7
    t = ((words[:, 2] & 127) << 16 | words[:, 3] << 8 | words[:, 4]) // 1000
    rng = np.random.default_rng(0)
    result = np.zeros((n_samples, FRAMES, 2, 34, 34), np.uint8)
    for sample in result:
        dx, dy = rng.integers(-3, 4, 2)
        inside = (t < FRAMES) & (x + dx >= 0) & (x + dx < 34) & (y + dy >= 0) & (y + dy < 34)
        sample[t[inside], polarity[inside], (y + dy)[inside], (x + dx)[inside]] = 1
    return result


def write_case(path: Path, program: Program, x: Raster) -> Path:
    """The file that the contenders read (feedforward.py says what is in it)."""
    layers = []
    for q in program.projections:
        params = program.population(q.target).neuron.params
        geometry: dict[str, Any] = {"stride": None, "padding": None, "pool": None}
        if isinstance(q.synapse, Conv):
            geometry |= {"stride": q.synapse.stride, "padding": q.synapse.padding[:2]}
        if q.pool is not None:
            geometry["pool"] = q.pool.kernel_size
        multiple = int(params["max_spikes"]) > 1 if "max_spikes" in params else False
        layers.append({"threshold": int(params["v_threshold"]), "multiple": multiple, **geometry})
    weights: dict[str, Any] = {f"w{i}": q.synapse.codes for i, q in enumerate(program.projections)}
    np.savez(path, x=x, layers=np.array(json.dumps(layers)), **weights)
    return path
