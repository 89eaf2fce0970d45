"""Messages, hops and per-core work against a walk over every spike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_programs import chip_with, random_program

from snnport.encoders import Stimulus
from snnport.errors import InvalidGraph, InvalidInput
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Slice, Sparse, SumPool
from snnport.sim.activity import driven, reached
from snnport.sim.engine import run
from snnport.sim.network import Hops, Mesh, mesh_of, traffic
from snnport.trace import Trace


def ran(program, raster):
    stimulus = Stimulus(raster.astype(np.int64), None, raster.shape[1])
    return run(program, stimulus, record_spikes=[p.name for p in program.populations], threads=1)


def targets_of(projection, source, n_sources, n_targets):
    """(target, how often) of one spike, by sending it through dense matrices of ones."""
    x = np.zeros(n_sources, np.int64)
    x[source] = 1
    if projection.pool is not None:
        x = windows(x.reshape(projection.pool.input_shape), projection.pool, projection.pool.kernel_size, (1, 1)).ravel()
    synapse = projection.synapse
    if isinstance(synapse, Dense):
        return np.full(n_targets, x.sum())
    if isinstance(synapse, Sparse):
        return np.bincount(synapse.target, weights=x[synapse.source], minlength=n_targets).astype(np.int64)
    if not isinstance(synapse, Conv):
        return x
    per_group = synapse.input_shape[0] // synapse.groups
    maps = x.reshape(synapse.input_shape)
    places = windows(maps, synapse, synapse.codes.shape[2:], synapse.dilation)
    grouped = places.reshape(synapse.groups, per_group, *places.shape[1:]).sum(axis=1)
    return np.repeat(grouped, synapse.codes.shape[0] // synapse.groups, axis=0).ravel()


def windows(maps, window, kernel, dilation):
    """Sum over the kernel's entries at every output position, channel by channel."""
    top, left, bottom, right = window.padding
    padded = np.pad(maps, ((0, 0), (top, bottom), (left, right)))
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    shape = [(padded.shape[i + 1] - span[i]) // window.stride[i] + 1 for i in (0, 1)]
    result = np.zeros((maps.shape[0], *shape), np.int64)
    for y in range(shape[0]):
        for x in range(shape[1]):
            at = [y * window.stride[0], x * window.stride[1]]
            cut = padded[:, at[0] : at[0] + span[0] : dilation[0], at[1] : at[1] + span[1] : dilation[1]]
            result[:, y, x] = cut.sum(axis=(1, 2))
    return result


def walk(program, result, mesh):
    """(messages, between chips, hops, operations and messages received by core) spike by spike."""
    at = {}
    for s in program.placements:
        for i in range(s.start, s.stop):
            at[s.population, i] = (s.chip, s.core)
    messages = between = 0
    hops = [0, 0, 0, 0]
    operations, received = {}, {}
    for p in program.populations:
        links = [q for q in program.projections if q.source == p.name]
        for i, fired in enumerate(result.counts.spikes_per_neuron[p.name].tolist()):
            destinations = set()
            for q in links:
                size = program.population(q.target).size
                for j, times in enumerate(targets_of(q, i, p.size, size).tolist()):
                    if times and (q.target, j) in at:
                        destinations.add(at[q.target, j])
                        operations[at[q.target, j]] = operations.get(at[q.target, j], 0) + fired * times
            messages += fired * len(destinations)
            for chip, core in destinations:
                received[chip, core] = received.get((chip, core), 0) + fired
                source = at.get((p.name, i))
                if source is not None and source[0] != chip:
                    between += fired
                    continue
                here, there = mesh.place(0 if source is None else source[1]), mesh.place(core)
                dx, dy = there[0] - here[0], there[1] - here[1]
                for k, steps in enumerate((max(dx, 0), max(-dx, 0), max(dy, 0), max(-dy, 0))):
                    hops[k] += fired * steps
    return messages, between, Hops(*hops), operations, received


@given(st.integers(0, 10**6))
def test_traffic_is_what_a_walk_over_every_spike_finds(seed):
    program, raster = random_program(seed, every=True)
    result, mesh = ran(program, raster), Mesh(2, 2, 1)
    got = traffic(program, result.counts, mesh)
    messages, between, hops, operations, received = walk(program, result, mesh)
    assert (got.messages, got.chip_messages, got.hops) == (messages, between, hops)
    cores = sorted({(s.chip, s.core) for s in program.placements})
    assert got.core_operations.tolist() == [operations.get(core, 0) for core in cores]
    assert got.core_received.tolist() == [received.get(core, 0) for core in cores]
    assert got.core_neurons.sum() == sum(s.stop - s.start for s in program.placements)
    # Every message counts where it is sent, but those of the host.
    host = sum(result.counts.messages[p.name] for p in program.populations if p.neuron.family in ("input", "generator"))
    assert got.messages == sum(result.counts.messages.values()) == got.core_sent.sum() + host


@given(st.integers(0, 10**6))
def test_driven_updates_are_those_with_an_arrival(seed):
    program, raster = random_program(seed, every=True)
    result = ran(program, raster)
    expected = {}
    for p in program.populations:
        if p.neuron.family in ("input", "generator"):
            continue
        flags = np.zeros((len(raster), program.n_steps, p.size), bool)
        for q in program.into(p.name):
            source = program.population(q.source)
            table = np.stack([targets_of(q, i, source.size, p.size) for i in range(source.size)]) > 0
            fired = result.trace.spikes[q.source] != 0
            flags[:, q.delay :] |= (fired[:, : max(0, program.n_steps - q.delay)].astype(int) @ table.astype(int)) > 0
        expected[p.name] = int(flags.sum())
    assert driven(program, result.trace) == expected


def chain(at, mesh=(8, 4, 4), **other):
    """Input of 2 to two populations of one neuron each, on the given cores; every input spike costs a message a core."""
    populations = (
        Population("in", (2,), Neuron("input", {})),
        *(Population(f"p{i}", (1,), Neuron("if", {"v_threshold": np.array(1)})) for i in range(2)),
    )
    links = (
        Projection("a", "in", "p0", Dense(np.array([[1, 1]])), None, 0),
        Projection("b", "p0", "p1", Dense(np.array([[1]]))),
    )
    numbers = dict(zip(("mesh_width", "mesh_height", "cores_per_tile"), mesh, strict=True))
    places = tuple(Slice(f"p{i}", core, 0, 1) for i, core in enumerate(at))
    return Program("cpu", chip_with(**{"cores": 8, **numbers, **other}), populations, links, places, ("in",), ("p1",), 3)


def test_hops_along_x_and_y():
    program = chain((127, 0))
    result = ran(program, np.array([[[1, 1], [0, 0], [0, 0]]]))
    got = traffic(program, result.counts)
    # Two inputs from tile (0, 0) to tile 31 at (7, 3); p0 fires twice, with what is left of the two, back to core 0.
    assert result.counts.spikes["p0"] == 2
    assert got.hops == Hops(east=14, west=14, north=6, south=6)
    assert (got.hops.x, got.hops.y, got.hops.total, got.tiles) == (28, 12, 40, 2)
    assert got.core_sent.tolist() == [0, 2]


def test_one_tile_needs_no_hop():
    program = chain((0, 3))
    assert traffic(program, ran(program, np.ones((1, 3, 2), int)).counts).hops == Hops()


def test_no_mesh_no_hops():
    program = replace(chain((0, 3)), chip=chip_with())
    got = traffic(program, ran(program, np.ones((1, 3, 2), int)).counts)
    assert (got.hops, got.tiles, mesh_of(program.chip)) == (None, None, None)


def test_a_chip_with_more_cores_than_its_mesh_has_no_known_hops():
    assert mesh_of(chain((0, 3), cores=128).chip) == Mesh(8, 4, 4)
    program = chain((0, 3), cores=129)
    assert traffic(program, ran(program, np.ones((1, 3, 2), int)).counts).hops is None


def test_what_is_refused():
    with pytest.raises(InvalidGraph, match="every number must be at least 1"):
        mesh_of(chip_with(mesh_width=0, mesh_height=1, cores_per_tile=1))
    program = chain((0, 9), (2, 1, 4))
    counts = ran(program, np.ones((1, 3, 2), int)).counts
    with pytest.raises(InvalidGraph, match="core 9 of chip 0: test has a mesh of 8 cores"):
        traffic(program, counts)
    with pytest.raises(InvalidInput, match="the spikes of 'in' were not recorded"):
        driven(program, Trace({}, {}))


def test_a_pooled_spike_reaches_every_window_that_holds_it():
    pool = SumPool((1, 3, 3), (2, 2), (1, 1), (0, 0, 0, 0))
    conv = Conv(np.zeros((2, 1, 1, 1), np.int64), (1, 2, 2), (1, 1), (0, 0, 0, 0))
    fired = np.zeros((1, 1, 9), bool)
    fired[..., 4] = True
    assert reached(Projection("q", "a", "b", conv, pool), fired).all()
    fired = np.eye(9, dtype=bool)[None, :1]
    assert reached(Projection("q", "a", "b", conv, pool), fired)[0, 0].tolist() == [True, False, False, False] * 2
