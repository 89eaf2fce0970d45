"""The engine against the oracle, against itself, and against what it must refuse."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from engine_oracle import simulate
from hypothesis import settings
from random_programs import chip_with, random_program

from snnport.chip import Chip
from snnport.encoders import CountEncoder, Stimulus
from snnport.errors import InvalidInput, SnnportError, UnknownName
from snnport.program import Conv, Dense, Diagonal, Neuron, Population, Program, Projection, Slice, Sparse, SumPool
from snnport.sim.engine import run
from snnport.sim.neurons import FAMILIES

pytestmark = pytest.mark.usefixtures("unexpected_overflow")

BATCH = 30
BATCHES = settings().max_examples // 4
"""Of random programs, of either kind: 10 in a test, 500 in a study."""


def outcome(program, raster, **options):
    names = [p.name for p in program.populations]
    cells = [p.name for p in program.populations if p.neuron.family not in ("input", "generator")]
    return run(program, Stimulus(raster, None, raster.shape[1]), record_spikes=names, record_v=cells, **options)


def assert_equal_to_oracle(program, raster):
    expected = simulate(program, raster, program.n_steps)
    result = outcome(program, raster, threads=1)
    counts = result.counts
    for name, spikes in result.trace.spikes.items():
        np.testing.assert_array_equal(spikes, expected["spikes"][name], err_msg=f"spikes of {name}")
        np.testing.assert_array_equal(counts.spikes_per_step[name], expected["events"][name].sum(axis=(0, 2)))
        np.testing.assert_array_equal(counts.spikes_per_neuron[name], expected["events"][name].sum(axis=(0, 1)))
        assert counts.spikes[name] == expected["events"][name].sum()
    for name, v in result.trace.v.items():
        np.testing.assert_array_equal(v, expected["v"][name], err_msg=f"v of {name}")
    for name in program.outputs:
        np.testing.assert_array_equal(result.final_v[name], expected["v"][name][:, -1])
        np.testing.assert_array_equal(result.spike_counts[name], expected["events"][name].sum(axis=1))
        if name in result.payload_sums:
            np.testing.assert_array_equal(result.payload_sums[name], expected["spikes"][name].sum(axis=1))
    assert counts.synaptic_operations == dict(expected["operations"])
    assert counts.messages == dict(expected["messages"])
    assert counts.v_saturations == dict(expected["saturations"])
    assert counts.u_wraps == dict(expected["wraps"])
    np.testing.assert_array_equal(counts.cycles, expected["cycles"])
    per_chip = program.chip["cores"]
    for quantity in ("core_cycles", "queue_peak"):
        spread = np.zeros_like(counts.core_cycles)
        for (chip, core), value in expected[quantity].items():
            spread[chip * per_chip + core] = value
        np.testing.assert_array_equal(getattr(counts, quantity), spread, err_msg=quantity)


@pytest.mark.saturates
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("batch", range(BATCHES))
def test_equals_the_oracle_on_random_programs(batch, every):
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        program, raster = random_program(seed, every)
        try:
            assert_equal_to_oracle(program, raster)
        except (AssertionError, SnnportError) as error:
            raise AssertionError(f"seed {seed}, every {every}: {error}") from None


@pytest.mark.saturates
def test_random_programs_exercise_what_they_should():
    seen = {"int64": 0, "saturations": 0, "wraps": 0, "pool": 0, "conv": 0, "groups": 0, "many": 0, "sparse": 0, "port": 0}
    seen |= {name: 0 for name in FAMILIES if name != "integrator"}
    for seed in range(260):
        program, raster = random_program(seed, every=seed % 3 > 0)
        result = outcome(program, raster, threads=1)
        for name in {p.neuron.family for p in program.populations if result.counts.spikes[p.name]}:
            seen[name] += 1
        operations = result.counts.synaptic_operations
        used = [q for q in program.projections if operations[q.name]]
        seen["int64"] += any(v.dtype == np.int64 for v in result.trace.v.values())
        seen["saturations"] += sum(result.counts.v_saturations.values()) > 0
        seen["wraps"] += sum(result.counts.u_wraps.values()) > 0
        seen["pool"] += any(q.pool is not None for q in used)
        seen["conv"] += any(isinstance(q.synapse, Conv) for q in used)
        seen["groups"] += any(isinstance(q.synapse, Conv) and q.synapse.groups > 1 for q in used)
        seen["sparse"] += any(isinstance(q.synapse, Sparse) for q in used)
        seen["port"] += any(q.port for q in used)
        seen["many"] += any(spikes.max(initial=0) > 1 for spikes in result.trace.spikes.values())
    assert min(seen.values()) >= 3, seen


@pytest.mark.parametrize("delay", [1, 17, 61, 62])
def test_recurrent_delays_up_to_62(delay):
    """A ring of neurons passes one spike on; it comes round every `delay` steps, and to a second population as late."""
    n, steps = 3, 200
    ring = np.roll(np.eye(n, dtype=np.int8), 1, axis=0)
    neuron = Neuron("if", {"v_threshold": np.array(1)})
    populations = tuple(Population(name, (n,), neuron) for name in ("ring", "copy"))
    projections = (
        Projection("start", "in", "ring", Diagonal(np.ones(n, np.int8)), delay=0),
        Projection("round", "ring", "ring", Dense(ring), delay=delay),
        Projection("out", "ring", "copy", Diagonal(np.ones(n, np.int8)), delay=delay),
    )
    slices = Slice("ring", 0, 0, n), Slice("copy", 1, 0, n)
    source = Population("in", (n,), Neuron("input", {}))
    program = Program("cpu", chip_with(), (source, *populations), projections, slices, ("in",), ("copy",), steps)
    raster = np.zeros((1, 1, n), np.uint8)
    raster[0, 0, 0] = 1
    expected = np.zeros((steps, n), int)
    expected[np.arange(0, steps, delay), np.arange(len(range(0, steps, delay))) % n] = 1
    result = outcome(program, raster, threads=1)
    np.testing.assert_array_equal(result.trace.spikes["ring"][0], expected)
    np.testing.assert_array_equal(result.trace.spikes["copy"][0, delay:], expected[:-delay])
    assert_equal_to_oracle(program, raster)


def assert_same(a, b):
    for group in ("spikes", "v"):
        for name, array in getattr(a.trace, group).items():
            np.testing.assert_array_equal(array, getattr(b.trace, group)[name])
    for name in a.final_v:
        np.testing.assert_array_equal(a.final_v[name], b.final_v[name])
        np.testing.assert_array_equal(a.spike_counts[name], b.spike_counts[name])
    for field in fields(a.counts):
        left, right = getattr(a.counts, field.name), getattr(b.counts, field.name)
        if isinstance(left, dict):
            assert left.keys() == right.keys()
            for name in left:
                np.testing.assert_array_equal(left[name], right[name], err_msg=f"{field.name} of {name}")
        else:
            np.testing.assert_array_equal(left, right, err_msg=field.name)


@pytest.mark.saturates
@pytest.mark.parametrize("seed", range(12))
def test_threads_and_chunks_change_nothing(seed):
    program, raster = random_program(seed, every=seed % 2 == 1)
    many = np.concatenate([raster] * 5)
    many = many[np.random.default_rng(seed).permutation(len(many))]
    alone = outcome(program, many, threads=1, chunk=1)
    for threads, chunk in ((1, 64), (2, 1), (3, 4), (5, None), (None, None)):
        assert_same(alone, outcome(program, many, threads=threads, chunk=chunk))


@pytest.mark.saturates
@pytest.mark.parametrize("seed", range(12))
def test_the_order_of_samples_changes_nothing(seed):
    program, raster = random_program(seed, every=seed % 2 == 1)
    rng = np.random.default_rng(seed)
    many = (rng.random((9, *raster.shape[1:])) < 0.4) * rng.integers(1, 3, (9, *raster.shape[1:]))
    order = rng.permutation(9)
    straight, shuffled = outcome(program, many, threads=2), outcome(program, many[order], threads=2)
    for name, spikes in straight.trace.spikes.items():
        np.testing.assert_array_equal(spikes[order], shuffled.trace.spikes[name])
    for name, v in straight.final_v.items():
        np.testing.assert_array_equal(v[order], shuffled.final_v[name])
    np.testing.assert_array_equal(straight.counts.cycles[order], shuffled.counts.cycles)
    assert straight.counts.synaptic_operations == shuffled.counts.synaptic_operations
    np.testing.assert_array_equal(straight.counts.queue_peak, shuffled.counts.queue_peak)


def tiny(**changes):
    """Two inputs, one neuron of threshold 3 that adds 2 and 1, one step of delay; three steps."""
    populations = (
        Population("in", (2,), Neuron("input", {})),
        Population("out", (1,), Neuron("if", {"v_threshold": np.array(3)})),
    )
    projection = Projection("w", "in", "out", Dense(np.array([[2, 1]], np.int8)))
    whole = Program("cpu", chip_with(), populations, (projection,), (Slice("out", 0, 0, 1),), ("in",), ("out",), 3)
    return replace(whole, **changes)


def test_a_hand_written_program():
    raster = np.array([[[1, 0], [1, 1], [1, 1]]])
    result = run(tiny(), Stimulus(raster, None, 3), record_spikes=["out"], record_v=["out"])
    # v: 0, then +2, then +3 -> 5 >= 3 fires, 2 remain; the spikes of the last step never arrive.
    np.testing.assert_array_equal(result.trace.v["out"], [[[0], [2], [2]]])
    np.testing.assert_array_equal(result.trace.spikes["out"], [[[0], [0], [1]]])
    np.testing.assert_array_equal(result.final_v["out"], [[2]])
    np.testing.assert_array_equal(result.spike_counts["out"], [[1]])
    counts = result.counts
    assert (counts.synaptic_operations, counts.spikes) == ({"w": 3}, {"in": 5, "out": 1})
    assert (counts.neuron_updates, counts.messages) == (3, {"in": 5, "out": 0})
    # A step: sweep 1 + 16 barrier; each arrival 4 + 1.
    np.testing.assert_array_equal(counts.cycles, [17 + (17 + 5) + (17 + 10)])
    assert counts.core_cycles.tolist() == [3 + 15, 0, 0, 0, 0, 0, 0, 0]
    assert counts.queue_peak.tolist() == [2, 0, 0, 0, 0, 0, 0, 0]
    assert (counts.weight_read_bytes, counts.state_read_bytes, counts.state_write_bytes) == (3, 4 * (3 + 3), 4 * (3 + 3))


def test_an_encoder_and_the_steps_of_the_stimulus():
    stimulus = Stimulus(np.array([[1.0, 0.5]]), CountEncoder("consecutive", 0.25, 4), 6)
    result = run(tiny(n_steps=0), stimulus, record_spikes=["in"])
    np.testing.assert_array_equal(result.trace.spikes["in"][0].sum(axis=0), [4, 2])
    assert result.counts.steps == 6
    assert result.counts.spikes["out"] == (4 * 2 + 2 * 1) // 3


def test_samples_may_be_read_lazily():
    class Lazy:
        def __len__(self):
            return 100

        def __getitem__(self, part):
            start, stop, _ = part.indices(100)
            return np.arange(start, stop)[:, None, None] % 3 * np.ones((1, 3, 2), np.int64)

    eager = run(tiny(), Stimulus(Lazy()[0:100], None, 3), record_spikes=["out"], threads=2, chunk=7)
    assert_same(eager, run(tiny(), Stimulus(Lazy(), None, 3), record_spikes=["out"]))


def test_no_samples_and_progress():
    empty = run(tiny(), Stimulus(np.zeros((0, 3, 2), np.uint8), None, 3), record_spikes=["out"])
    assert empty.trace.spikes["out"].shape == (0, 3, 1)
    assert empty.counts.total("spikes") == empty.counts.total_cycles == 0
    calls = []
    run(tiny(), Stimulus(np.zeros((5, 3, 2), bool), None, 3), progress=lambda *call: calls.append(call), chunk=2, threads=1)
    assert [c[1] for c in calls] == [5, 5, 5]
    assert calls[-1] == (5, 5)


def test_a_chip_without_a_clock_has_no_cycles():
    bare = Chip.from_json({"name": "bare", "target": "loihi2"})
    result = run(tiny(chip=bare, placements=()), Stimulus(np.ones((2, 3, 2), np.uint8), None, 3))
    assert result.counts.cycles is None
    assert result.counts.total_cycles is None
    assert result.counts.messages == {"in": 0, "out": 0}
    assert result.counts.spikes["out"] == 4


def test_the_trace_is_in_the_order_of_the_program():
    result = run(tiny(), Stimulus(np.zeros((1, 3, 2), np.uint8), None, 3), record_spikes=["out", "in", "out"])
    assert list(result.trace.spikes) == ["in", "out"]


def refused(kind, match, program=None, x=None, **options):
    x = np.ones((1, 3, 2), np.uint8) if x is None else x
    with pytest.raises(kind, match=match):
        run(program or tiny(), Stimulus(x, None, x.shape[1] if x.ndim > 1 else 3), **options)


def test_refused_stimuli():
    refused(InvalidInput, "it has 4 steps, the program runs 3", x=np.ones((1, 4, 2), np.uint8))
    refused(InvalidInput, "type float64, integers are needed", x=np.ones((1, 3, 2)))
    refused(InvalidInput, r"its shape is \(1,\)", x=np.ones(1, np.uint8))
    refused(InvalidInput, "span -1..1", x=-np.ones((1, 3, 2), np.int64))
    refused(InvalidInput, "span 0..4294967296", x=np.full((1, 3, 2), 1 << 32))
    refused(InvalidInput, "it has 3 neurons, the inputs of the program have 2", x=np.ones((1, 3, 3), np.uint8))


def test_refused_records():
    refused(UnknownName, "Did you mean 'out'", record_spikes=["outt"])
    refused(InvalidInput, "family 'input' has no v", record_v=["in"])


def test_the_gate_code_is_exact():
    """Two gated layers give min(L, max(0, floor((W n + theta/2) / theta))) spikes, a relay the maximum of its window."""
    rng, levels, gate = np.random.default_rng(3), 8, 1 << 20
    first, second = rng.integers(-100, 128, (12, 20)), rng.integers(-100, 128, (5, 4))
    populations = [Population("in", (20,), Neuron("input", {}))]
    projections = []
    for k, (name, n, theta, synapse) in enumerate((("a", 12, 700, Dense(first)), ("b", 5, 400, Dense(second))), start=1):
        opening, closed = k * (levels + 2), theta // 2 - gate
        params = {"v_init": closed, "v_load": closed, "load_step": opening + levels, "v_threshold": theta}
        populations.append(Population(name, (n,), Neuron("if", {key: np.array(value) for key, value in params.items()})))
        times = {"time": np.array([opening - 1]), "index": np.array([0])}
        populations.append(Population(f"{name}.control", (1,), Neuron("generator", times)))
        projections.append(Projection(f"{name}.open", f"{name}.control", name, Dense(np.full((n, 1), gate))))
        projections.append(Projection(f"{name}.w", "in" if k == 1 else "relay", name, synapse))
    relay = {"v_threshold": np.array(1), "reset": np.array(1)}
    populations.append(Population("relay", (4,), Neuron("if", relay)))
    window = SumPool((1, 1, 12), (1, 3), (1, 3), (0, 0, 0, 0))
    projections.append(Projection("max", "a", "relay", Diagonal(np.ones(4, np.int8)), window))
    slices = tuple(Slice(name, 0, 0, n) for name, n in (("a", 12), ("b", 5), ("relay", 4)))
    steps = 3 * (levels + 2)
    program = Program("cpu", chip_with(), tuple(populations), tuple(projections), slices, ("in",), ("a", "relay", "b"), steps)
    n = rng.integers(0, levels + 1, (50, 20))
    result = run(program, Stimulus(n / levels, CountEncoder("consecutive", 1 / levels, levels), steps))
    a = np.clip((n @ first.T + 350) // 700, 0, levels)
    np.testing.assert_array_equal(result.spike_counts["a"], a)
    largest = a.reshape(50, 4, 3).max(axis=2)
    np.testing.assert_array_equal(result.spike_counts["relay"], largest)
    np.testing.assert_array_equal(result.spike_counts["b"], np.clip((largest @ second.T + 200) // 400, 0, levels))
