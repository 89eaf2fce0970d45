"""Networks in the graded and the sigma-delta code in stock Lava give the integers of the quantised ANN."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from graded_networks import coding, convert, expected, small
from hypothesis import settings
from networks import NETWORKS
from random_networks import random_network

from snnport.datasets import Samples
from snnport.encoders import CountEncoder, Stimulus
from snnport.flow.convert import ConvertOptions
from snnport.flow.execute import validate_model
from snnport.flow.model import open_model
from snnport.flow.prepare import InputOptions
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.targets.loihi.vendor import Job, run_jobs
from snnport.targets.streamed import streamed, unstreamed
from snnport.trace import first_divergence

pytestmark = pytest.mark.lava
STUDY = settings().max_examples > 1000
RANDOM = 30 if STUDY else 4


def test_graded_networks_in_stock_lava() -> None:
    cases = [(name, NETWORKS[name](np.random.default_rng(3)), 3) for name in NETWORKS]
    cases += [(f"random {s}", random_network(np.random.default_rng(s), 2 + s % 5), s) for s in range(50, 50 + RANDOM)]
    made, jobs = [], []
    for name, graph, seed in cases:
        conversion, x = convert(graph, np.random.default_rng(seed), signed=seed % 2 == 1, levels=32)
        program = resolve_target("loihi2").lower(conversion.graph)
        stream, rows = streamed(program, Stimulus(x, CountEncoder.from_json(program.meta["encoder"]), program.n_steps))
        made.append((name, conversion.graph, x, program, stream, rows))
        jobs.append(Job(stream, rows, tuple(p.name for p in program.populations if p.neuron.family != "generator")))
    for (name, graph, x, program, stream, rows), theirs in zip(made, run_jobs(jobs), strict=True):
        ours = run(stream, rows, record_spikes=tuple(theirs.spikes)).trace
        assert first_divergence(theirs, ours) is None, name
        found = unstreamed(program, len(x), theirs).spikes[program.outputs[0]].astype(np.int64).sum(axis=1)
        assert np.array_equal(found, expected(graph, x)), name


def test_sigma_delta_streams_in_stock_lava() -> None:
    made, jobs = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        conversion, x = convert(small(rng), rng, signed=seed % 2 == 1, code="sigma-delta", bits=4)
        program = resolve_target("loihi2").lower(conversion.graph)
        latency = coding(conversion.graph).n_steps - 1
        levels = CountEncoder.from_json(program.meta["encoder"]).counts(x).reshape(3, 8, -1)
        raster = np.pad(np.diff(levels, axis=1, prepend=0), ((0, 0), (0, latency), (0, 0)))
        stream = replace(program, n_steps=8 + latency)
        made.append((conversion.graph, x, program.outputs[0], latency))
        jobs.append(Job(stream, Stimulus(raster, None, 8 + latency), program.outputs))
    for (graph, x, output, latency), theirs in zip(made, run_jobs(jobs), strict=True):
        frames = theirs.spikes[output].astype(np.int64).cumsum(axis=1)[:, latency:]
        assert np.array_equal(frames.reshape(24, -1), expected(graph, x))


@pytest.mark.data
def test_lenet_on_mnist_in_stock_lava(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(data_dir / "ann" / "lenet5_torch_lenet.onnx")
    images, labels = data_dir / "mnist" / "t10k-images-idx3-ubyte.gz", data_dir / "mnist" / "t10k-labels-idx1-ubyte.gz"
    inputs = InputOptions(scale=255.0, labels=labels)
    load = InputOptions.load
    monkeypatch.setattr(InputOptions, "load", lambda *given, **named: _first(load(*given, **named), 10_000 if STUDY else 200))
    found = validate_model(model, None, "loihi2", images, inputs, ConvertOptions("graded"), engine="vendor")
    assert found.logits_equal is True
    assert found.stages[-1].accuracy is not None
    assert found.stages[-1].accuracy >= 0.99


def _first(samples: Samples, count: int) -> Samples:
    assert isinstance(samples.x, np.ndarray)
    return replace(samples, x=samples.x[:count], y=None if samples.y is None else samples.y[:count], n_samples=count)
