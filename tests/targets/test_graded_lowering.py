"""The graded code on its two targets: engine, reference and quantised ANN give the same integers on every sample."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from graded_networks import coding, convert, expected, small
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NETWORKS
from random_networks import random_network

from snnport.convention import CODED
from snnport.encoders import CountEncoder, Stimulus
from snnport.errors import PassFailed
from snnport.flow.convert import Conversion
from snnport.graph import Graph, predecessors, the_output
from snnport.program import Program
from snnport.reference import forward, run_spiking
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.targets.streamed import streamed, streams, unstreamed
from snnport.trace import first_divergence


def by_reference(graph: Graph, x: np.ndarray) -> np.ndarray:
    encoder = CountEncoder.from_json(coding(graph).encoder)
    raster = encoder.raster(encoder.counts(x), coding(graph).n_steps).reshape(len(x), -1, *x.shape[1:])
    output = predecessors(graph, the_output(graph))[0]
    trace = run_spiking(graph, raster, CODED, coding(graph), [output])
    return trace.v[output][:, -1] if output == "readout" else trace.spikes[output].sum(axis=1)


def by_engine(program: Program, x: np.ndarray) -> np.ndarray:
    stimulus = Stimulus(x, CountEncoder.from_json(program.meta["encoder"]), program.n_steps)
    result = run(program, stimulus, threads=1)
    assert not any(result.counts.v_saturations[name] for name in program.meta["sums"] if program.target == "loihi2")
    return result.payload_sums[program.outputs[0]]


def agree(graph: Graph, x: np.ndarray) -> None:
    wanted = expected(graph, x)
    assert np.array_equal(by_reference(graph, x), wanted)
    for target in ("cpu", "loihi2"):
        assert np.array_equal(by_engine(resolve_target(target).lower(graph), x), wanted), target


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_engine_reference_and_quantised_ann_agree(name: str, seed: int, signed: bool) -> None:
    rng = np.random.default_rng(seed)
    conversion, x = convert(NETWORKS[name](rng), rng, signed=signed, levels=(255, 16, 3)[seed])
    assert json.loads(conversion.graph.metadata["snnport"])["coding"]["code"] == "graded"
    assert np.array_equal(expected(conversion.graph, x), forward_of(conversion, x))
    agree(conversion.graph, x)


def forward_of(conversion: Conversion, x: np.ndarray) -> np.ndarray:
    counts = CountEncoder.from_json(coding(conversion.graph).encoder).counts(x)
    return forward(conversion.stages["quantised weights"], counts, integers=True).reshape(len(x), -1)


@settings(max_examples=200 if settings().max_examples > 1000 else 25)
@given(st.integers(0, 1 << 32), st.integers(2, 20), st.booleans())
def test_random_networks_of_any_depth_are_exact(seed: int, depth: int, signed: bool) -> None:
    rng = np.random.default_rng(seed)
    graph = random_network(rng, depth)
    levels, bits = int(rng.choice([7, 32, 255])), int(rng.choice([4, 6, 8]))
    conversion, x = convert(graph, rng, signed=signed, levels=levels, bits=bits)
    agree(conversion.graph, x[:6])


@pytest.mark.parametrize("target", ["cpu", "loihi2"])
@pytest.mark.parametrize("seed", range(4))
def test_sigma_delta_gives_the_logits_of_every_frame_of_a_stream(seed: int, target: str) -> None:
    rng = np.random.default_rng(seed)
    conversion, x = convert(small(rng), rng, signed=seed % 2 == 1, code="sigma-delta", bits=4)
    program = resolve_target(target).lower(conversion.graph)
    latency = coding(conversion.graph).n_steps - 1
    encoder = CountEncoder.from_json(program.meta["encoder"])
    levels = encoder.counts(x).reshape(3, 8, -1)
    raster = np.pad(np.diff(levels, axis=1, prepend=0), ((0, 0), (0, latency), (0, 0)))
    result = run(replace(program, n_steps=8 + latency), Stimulus(raster, None, 8 + latency), record_spikes=program.outputs)
    frames = result.trace.spikes[program.outputs[0]].cumsum(axis=1)[:, latency:]
    assert np.array_equal(frames.reshape(24, -1), expected(conversion.graph, x))
    assert not any(result.counts.v_saturations.values())


@pytest.mark.parametrize("seed", range(2))
def test_sigma_delta_agrees_with_the_reference_on_single_frames(seed: int) -> None:
    rng = np.random.default_rng(seed)
    conversion, x = convert(small(rng), rng, signed=False, code="sigma-delta", bits=4)
    agree(conversion.graph, x)


def test_sigma_delta_refuses_what_grows_beyond_its_registers() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(
        PassFailed, match=r"its sum may reach \d+ \(2\^\d+\.\d\), 24 bits hold up to 8388607.*--levels 15 --bits 4"
    ):
        convert(NETWORKS["residual"](rng), rng, signed=False, code="sigma-delta", levels=255)


def test_sigma_delta_refuses_a_clip() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(PassFailed, match="r2: 1 rectifiers have a maximum"):
        convert(NETWORKS["mlp"](rng), rng, signed=False, code="sigma-delta", bits=4)


@pytest.mark.parametrize("target", ["cpu", "loihi2"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_sample_may_enter_in_every_step(name: str, target: str) -> None:
    rng = np.random.default_rng(4)
    conversion, x = convert(NETWORKS[name](rng), rng, signed=True, levels=32)
    program = resolve_target(target).lower(conversion.graph)
    stimulus = Stimulus(x, CountEncoder.from_json(program.meta["encoder"]), program.n_steps)
    assert streams(program)
    stream, rows = streamed(program, stimulus)
    assert stream.n_steps == 24 + program.n_steps - 1
    names = [p.name for p in program.populations]
    apart = run(program, stimulus, record_spikes=names)
    together = run(stream, rows, record_spikes=names)
    found = unstreamed(program, 24, together.trace)
    assert first_divergence(found, apart.trace) is None
    assert np.array_equal(found.spikes[program.outputs[0]].sum(axis=1), expected(conversion.graph, x))


def test_long_streams_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnport.targets.streamed.MOST", 7)
    rng = np.random.default_rng(4)
    conversion, x = convert(NETWORKS["mlp"](rng), rng, signed=True, levels=32)
    program = resolve_target("loihi2").lower(conversion.graph)
    stream, rows = streamed(program, Stimulus(x, CountEncoder.from_json(program.meta["encoder"]), program.n_steps))
    assert rows.n_samples == 4
    found = unstreamed(program, 24, run(stream, rows, record_spikes=program.outputs).trace)
    assert np.array_equal(found.spikes[program.outputs[0]].sum(axis=1), expected(conversion.graph, x))


def test_messages_are_counted_once_a_neuron_and_sample() -> None:
    rng = np.random.default_rng(4)
    conversion, x = convert(NETWORKS["convnet"](rng), rng, signed=True, levels=32)
    program = resolve_target("loihi2").lower(conversion.graph)
    stimulus = Stimulus(x, CountEncoder.from_json(program.meta["encoder"]), program.n_steps)
    result = run(program, stimulus, record_spikes=[p.name for p in program.populations])
    for population in program.populations:
        sent = result.trace.spikes[population.name]
        assert result.counts.spikes[population.name] == np.count_nonzero(sent)
        assert (np.count_nonzero(sent, axis=1) <= 1).all(), population.name
        step = program.meta["sent"][population.name]
        assert np.count_nonzero(sent[:, step]) == np.count_nonzero(sent)
