from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
import pytest
from spiking import PLAIN_IF, conv, dense, fire, gate_mlp, integrate, leaky, plain, sum_pool, wired

from snnport.chip import Number
from snnport.convention import PLAIN, Convention
from snnport.encoders import Stimulus
from snnport.errors import DoesNotFit, InvalidInput, UnknownName
from snnport.graph import Graph
from snnport.nodes import flatten_node, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.program import Program
from snnport.sim.tinyodin import NEVER, simulate
from snnport.targets.base import Target
from snnport.targets.tinyodin.crossbar import addresses, core_of, crossbar, event_words, fan_out, image_of, matrix
from snnport.targets.tinyodin.runner import event_program, run, run_sample
from snnport.targets.tinyodin.target import TINYODIN


def two_layers(seed: int = 0, inputs: int = 12, hidden: int = 9, outputs: int = 4, theta: int = 9) -> Graph:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(-7, 8, (hidden, inputs)), rng.integers(-7, 8, (outputs, hidden))
    return plain((inputs,), {"a": dense(first), "h": fire((hidden,), theta), "b": dense(second), "o": fire((outputs,), 6.0)})


def spikes(seed: int, *shape: int, rate: float = 0.3) -> npt.NDArray[np.uint8]:
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.uint8)


def varied(**numbers: Any) -> Target:
    chip = TINYODIN.chip
    changed = {key: Number(value, "test", "test", "defined") for key, value in numbers.items()}
    return TINYODIN.with_chip(replace(chip, numbers={**chip.numbers, **changed}))


def broken(graph: Graph, target: Target = TINYODIN) -> dict[str, str]:
    return {v.rule: v.text("tinyodin") for v in target.check(graph).violations}


# ------------------------------------------------------------------------------------------------------------ rules


def test_a_network_that_fits_uses_addresses_and_synapses() -> None:
    result = TINYODIN.check(two_layers())
    assert result.violations == ()
    used = {usage.resource: (usage.used, usage.limit) for usage in result.usage if usage.where == "tinyodin"}
    assert used["addresses"] == (25, 256)
    assert used["synapses"] == (np.count_nonzero(crossbar(TINYODIN.lower(two_layers()))), 65536)
    assert {w.rule for w in result.warnings} == {"event-order", "state-range"}


REFUSED: dict[str, tuple[Graph, str, str]] = {
    "leak": (plain((2,), {"w": dense([[3, 4]]), "n": leaky((1,), 4.0, 5.0)}), "linear-leak", "takes a constant off .0..127."),
    "delay": (
        plain((2,), {"w": dense([[3, 4]]), "d": nir.Delay(np.full(1, 2.0)), "n": fire((1,))}),
        "supported-nodes",
        "a Delay has no counterpart on tinyodin",
    ),
    "real": (
        plain((2,), {"w": nir.Linear(np.ones((1, 2))), "n": fire((1,))}),
        "integer-weights",
        "its weights are real numbers",
    ),
    "pool behind": (
        plain((1, 4, 4), {"c": conv(np.ones((1, 1, 3, 3)), padding=(1, 1)), "p": sum_pool(2), "n": fire((1, 2, 2))}),
        "path-form",
        "this pooling follows the weights of 'c'",
    ),
    "soft": (
        plain((2,), {"w": dense([[3, 4]]), "n": fire((1,))}, PLAIN_IF.having(reset="subtract")),
        "hard-reset-to-zero",
        "1 populations subtract their threshold .* Train with a reset to zero",
    ),
    "reset value": (
        plain((2,), {"w": dense([[3, 4]]), "n": fire((1,), reset=2.0)}, PLAIN_IF.having(reset="value")),
        "hard-reset-to-zero",
        "it resets to values up to 2 away from 0",
    ),
    "gate": (gate_mlp(), "hard-reset-to-zero", "the code 'gate' loads potentials .* choose a target with a soft reset: cpu"),
    "bias": (plain((2,), {"w": dense([[3, 4], [1, 1]], [0, 2]), "n": fire((2,))}), "no-bias", "1 of its 2 neurons have a bias"),
    "floor": (
        plain((2,), {"w": dense([[3, 4]]), "n": fire((1,))}, PLAIN_IF.having(v_min=-1.0)),
        "lower-bound",
        "its potential stops at -1 thresholds, the core's at -2048",
    ),
    "threshold": (
        plain((2,), {"w": dense([[3, 4]]), "n": fire((1,), 2048.0)}),
        "threshold-range",
        "its thresholds span 2048..2048, the core fires at 1..2047",
    ),
    "threshold 0": (plain((2,), {"w": dense([[3, 4]]), "n": fire((1,), 0.0)}), "threshold-range", "its thresholds span 0..0"),
    "wide": (plain((2,), {"w": dense([[8, 4]]), "n": fire((1,))}), "weight-bits", "its codes span 4..8, 4 bits hold -8..7"),
    "large": (
        plain((200,), {"w": dense(np.ones((60, 200))), "n": fire((60,))}),
        "neurons",
        "its 200 inputs and 60 neurons need 260 addresses, the core has 256",
    ),
    "sum": (
        wired(
            {
                "input": input_node((1,)),
                "a": dense([[5]]),
                "b": dense([[4]]),
                "n": fire((1,)),
                "output": output_node(),
            },
            [("input", "a"), ("input", "b"), ("a", "n"), ("b", "n"), ("n", "output")],
        ),
        "synapses",
        "the ways between two neurons add up to 0..9, a synapse holds -8..7",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_its_remedy(name: str) -> None:
    graph, rule, message = REFUSED[name]
    found = [v for v in TINYODIN.check(graph).violations if v.rule == rule]
    with pytest.raises(DoesNotFit, match=message):
        raise DoesNotFit("tinyodin", found[0].text("tinyodin"))
    assert found[0].remedy
    with pytest.raises(DoesNotFit, match="tinyodin"):
        TINYODIN.lower(graph)


def test_all_violations_come_at_once() -> None:
    graph = plain(
        (300,), {"w": dense(np.full((2, 300), 9), [1, 1]), "n": fire((2,), 3000.0)}, PLAIN_IF.having(reset="subtract")
    )
    assert set(broken(graph)) == {"hard-reset-to-zero", "no-bias", "threshold-range", "weight-bits", "neurons"}


def test_a_variant_may_have_fewer_addresses_and_no_other_widths() -> None:
    assert broken(two_layers(), varied(neurons=20)) == {
        "neurons": "tinyodin: tinyodin: its 12 inputs and 13 neurons need 25 addresses, the core has 20. "
        "Use a smaller network, or pool the input first."
    }
    assert (
        "fifo_entries is 64, the core that is simulated has 128" in broken(two_layers(), varied(fifo_entries=64))["core-widths"]
    )
    assert "neurons is 512" in broken(two_layers(), varied(neurons=512))["core-widths"]


def test_a_loop_is_a_warning() -> None:
    nodes = {"input": input_node((2,)), "w": dense([[3, 4]]), "n": fire((1,)), "r": dense([[1]]), "output": output_node()}
    graph = wired(nodes, [("input", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "output")])
    warnings = {w.rule: w.message for w in TINYODIN.check(graph).warnings}
    assert "a loop through it waits for the next step" in warnings["recurrence"]
    assert {p.delay for p in TINYODIN.lower(graph).projections} == {0}


# --------------------------------------------------------------------------------------------------------- lowering


@pytest.mark.parametrize(("convention", "theta", "thr"), [(PLAIN_IF, 5.0, 5), (PLAIN_IF.having(comparison=">"), 5.0, 6)])
def test_firing_above_a_threshold_is_firing_at_the_next_integer(convention: Convention, theta: float, thr: int) -> None:
    program = TINYODIN.lower(plain((2,), {"w": dense([[3, 4]]), "n": fire((1,), theta)}, convention))
    assert program.population("n").neuron["v_threshold"].tolist() == [thr]
    assert core_of(program).thr[0] == thr


def test_neurons_come_first_and_inputs_behind_the_last_that_is_swept() -> None:
    program = TINYODIN.lower(two_layers())
    assert addresses(program) == {"h": 0, "o": 9, "input": 13}
    core = core_of(program)
    assert core.max_neur == 12
    np.testing.assert_array_equal(core.disable, np.arange(256) > 12)
    np.testing.assert_array_equal(core.thr, np.repeat([9, 6, NEVER], [9, 4, 243]))
    assert core.open_loop == 0
    a, b = (p.synapse.codes for p in program.projections)
    np.testing.assert_array_equal(core.W[13:25, 0:9], a.T)
    np.testing.assert_array_equal(core.W[0:9, 9:13], b.T)
    assert np.count_nonzero(core.W) == np.count_nonzero(a) + np.count_nonzero(b)


def test_one_layer_runs_in_open_loop_and_a_readout_is_a_disabled_neuron() -> None:
    program = TINYODIN.lower(plain((3,), {"w": dense([[1, 2, 3]]), "n": integrate((1,))}))
    core = core_of(program)
    assert (core.open_loop, core.thr[0], core.disable[0]) == (1, NEVER, 1)


def test_a_real_valued_network_is_quantised_to_4_bits_and_fits() -> None:
    rng = np.random.default_rng(3)
    neuron = nir.IF(np.full(5, 1 / PLAIN.dt), np.full(5, 1.3), np.zeros(5))
    graph = plain((30,), {"w": nir.Linear(rng.normal(0, 0.3, (5, 30))), "n": neuron}, None)
    passes = TINYODIN.passes_for(graph)
    assert [p.name for p in passes] == ["quantize-snn"]
    program = TINYODIN.lower(run_passes(graph, passes, Context()))
    weights = core_of(program).W
    assert (int(np.abs(weights).max()), int(weights.min()) >= -8) == (7, True)
    assert run(program, Stimulus(spikes(1, 2, 20, 30), None, 20)).spike_counts["n"].sum() > 0


PATHS: dict[str, Callable[[np.random.Generator], Graph]] = {
    "dense": lambda rng: plain((6,), {"w": dense(rng.integers(-7, 8, (4, 6))), "n": fire((4,))}),
    "scale": lambda rng: plain(
        (6,), {"w": nir.Scale(np.arange(1.0, 7.0), metadata={"scale": 1.0, "bits": 4}), "n": fire((6,))}
    ),
    "conv": lambda rng: plain(
        (2, 5, 4), {"w": conv(rng.integers(-7, 8, (4, 1, 3, 2)), (2, 1), (1, 0), groups=2), "n": fire((4, 3, 3))}
    ),
    "pool, conv": lambda rng: plain(
        (1, 6, 6), {"p": sum_pool(2), "w": conv(rng.integers(-7, 8, (3, 1, 2, 2))), "n": fire((3, 2, 2))}
    ),
    "pool, dense": lambda rng: plain(
        (2, 4, 4),
        {"p": sum_pool(2), "f": flatten_node((2, 2, 2)), "w": dense(rng.integers(-7, 8, (3, 8))), "n": fire((3,))},
    ),
}


@pytest.mark.parametrize("name", PATHS)
def test_the_crossbar_is_what_each_path_computes(name: str) -> None:
    graph = PATHS[name](np.random.default_rng(7))
    program = TINYODIN.lower(graph)
    projection = program.projections[0]
    weights, n = matrix(projection), program.population("n").size
    size = program.population("input").size
    assert weights.shape == (n, size)
    for source in range(size):
        image = np.zeros(size)
        image[source] = 1
        np.testing.assert_array_equal(weights[:, source], through(graph, image), f"source {source}")
    ones = matrix(projection) != 0
    assert np.all(fan_out(projection) >= ones.sum(axis=0))
    np.testing.assert_array_equal(crossbar(program)[n : n + size, :n], weights.T)


def through(graph: Graph, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What one vector of input adds to the neurons, node by node, by loops."""
    node: Any
    value = image.reshape(graph.nodes["input"].input_type["input"])
    for name, node in graph.nodes.items():
        if name == "p":
            c, h, w = value.shape
            value = value.reshape(c, h // 2, 2, w // 2, 2).sum(axis=(2, 4))
        elif isinstance(node, nir.Affine):
            value = node.weight @ value.reshape(-1)
        elif isinstance(node, nir.Scale):
            value = node.scale * value
        elif isinstance(node, nir.Conv2d):
            value = convolved(node, value)
    return value.reshape(-1)


def convolved(node: nir.Conv2d, value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    py, px = (int(p) for p in np.broadcast_to(node.padding, 2))
    sy, sx = (int(s) for s in np.broadcast_to(node.stride, 2))
    padded = np.pad(value, ((0, 0), (py, py), (px, px)))
    out, inside, kh, kw = node.weight.shape
    height, width = (padded.shape[1] - kh) // sy + 1, (padded.shape[2] - kw) // sx + 1
    result = np.zeros((out, height, width))
    for o in range(out):
        first = o // (out // int(node.groups)) * inside
        for y in range(height):
            for x in range(width):
                part = padded[first : first + inside, y * sy : y * sy + kh, x * sx : x * sx + kw]
                result[o, y, x] = (part * node.weight[o]).sum()
    return result


# ---------------------------------------------------------------------------------------------------------- running


def played(program: Program, raster: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Spikes and potentials (n_steps, neurons) of a feed-forward program, by a plain queue of events and no clock."""
    core = core_of(program)
    n = core.max_neur + 1
    weights, v = core.W.astype(int), np.zeros(n, int)
    fired, potentials = np.zeros((len(raster), n), int), np.zeros((len(raster), n), int)
    base = addresses(program)["input"]
    for step, row in enumerate(raster):
        arrivals = [base + i for i in np.flatnonzero(row) for _ in range(row[i])]
        queue: list[int] = []
        while arrivals or queue:
            # The host is faster than a sweep, so its events are served first, each followed by nothing but its successor.
            if arrivals:
                queue.append(arrivals.pop(0))
            pre = queue.pop(0)
            for i in range(n):
                v[i] = max(-2048, min(2047, v[i] + weights[pre, i]))
                if v[i] >= core.thr[i]:
                    v[i] = 0
                    fired[step, i] += 1
                    queue.append(i)
        potentials[step] = v
    return fired, potentials


@pytest.mark.parametrize("seed", range(6))
def test_spikes_and_potentials_of_every_step_are_those_of_a_plain_queue(seed: int) -> None:
    program = TINYODIN.lower(two_layers(seed))
    x = spikes(seed, 3, 15, 12) * np.random.default_rng(seed).integers(1, 3, (3, 15, 12)).astype(np.uint8)
    result = run(program, Stimulus(x, None, 15), record_spikes=("h", "o", "input"), record_v=("h", "o"))
    for sample in range(3):
        fired, v = played(program, x[sample])
        np.testing.assert_array_equal(result.trace.spikes["h"][sample], fired[:, :9])
        np.testing.assert_array_equal(result.trace.spikes["o"][sample], fired[:, 9:])
        np.testing.assert_array_equal(result.trace.v["h"][sample], v[:, :9])
        np.testing.assert_array_equal(result.trace.v["o"][sample], v[:, 9:])
        np.testing.assert_array_equal(result.final_v["o"][sample], v[-1, 9:])
        np.testing.assert_array_equal(result.spike_counts["o"][sample], fired[:, 9:].sum(axis=0))
    np.testing.assert_array_equal(result.trace.spikes["input"], x)


def test_counts_are_those_of_the_queue_and_of_the_clock() -> None:
    program = TINYODIN.lower(two_layers(2))
    x = spikes(2, 2, 10, 12)
    counts = run(program, Stimulus(x, None, 10)).counts
    fired = np.concatenate([played(program, sample)[0] for sample in x])
    hidden, out = int(fired[:, :9].sum()), int(fired[:, 9:].sum())
    assert counts.spikes == {"input": int(x.sum()), "h": hidden, "o": out}
    assert counts.synaptic_operations == {"a": 9 * int(x.sum()), "b": 4 * hidden}
    served = int(x.sum()) + hidden + out
    assert counts.neuron_updates == 13 * served
    assert (counts.weight_read_bytes, counts.state_read_bytes) == (8 * served, 4 * 13 * served)
    assert (counts.samples, counts.steps, counts.chips) == (2, 10, 1)
    assert counts.spikes_per_step["o"].sum() == counts.spikes_per_neuron["o"].sum() == out
    ends = [simulate(event_program(program, sample)).end_cycle for sample in x]
    np.testing.assert_array_equal(counts.cycles, ends)


def test_the_event_program_replays_what_the_runner_did() -> None:
    program = TINYODIN.lower(two_layers(4))
    done, fired = run_sample(program, spikes(4, 12, 12))
    again = simulate(event_program(program, spikes(4, 12, 12)))
    for f in fields(again):
        np.testing.assert_array_equal(getattr(again, f.name), getattr(done.outputs, f.name), f.name)
    assert fired.sum() == len(again.fire_cycle)


def test_a_step_without_events_takes_no_cycle() -> None:
    program = TINYODIN.lower(two_layers())
    counts = run(program, Stimulus(np.zeros((1, 5, 12), np.uint8), None, 5)).counts
    assert (counts.total_cycles, counts.neuron_updates) == (0, 0)


def test_saturations_and_lost_spikes_are_counted() -> None:
    chain = plain((1,), {"w": dense([[-8]]), "n": integrate((1,))})
    counts = run(TINYODIN.lower(chain), Stimulus(np.full((1, 1, 1), 300), None, 1)).counts
    assert counts.v_saturations == {"input": 0, "n": 300 - 256}
    flood = plain(
        (1,), {"w": dense(np.full((200, 1), 7)), "n": fire((200,), 1.0), "b": dense(np.zeros((1, 200))), "o": fire((1,))}
    )
    result = run(TINYODIN.lower(flood), Stimulus(np.ones((1, 1, 1), np.uint8), None, 1))
    assert result.trace.meta["dropped"] == 200 - 127
    assert result.counts.queue_peak.tolist() == [128]


def test_event_words_go_by_step_and_column() -> None:
    raster = np.array([[0, 2, 1], [0, 0, 0], [1, 0, 0]])
    words, per_step = event_words(raster, {"a": 40, "b": 9}, {"a": 2, "b": 1})
    assert (words.tolist(), per_step.tolist()) == ([41, 41, 9, 40], [3, 0, 1])


def test_the_image_holds_the_inputs_without_the_environment() -> None:
    inputs = event_program(TINYODIN.lower(two_layers()), spikes(1, 4, 12))
    image = image_of(inputs)
    assert all(getattr(image, f.name) is getattr(inputs, f.name) for f in fields(image))


def test_progress_is_told_after_each_sample() -> None:
    told: list[tuple[int, int]] = []
    run(TINYODIN.lower(two_layers()), Stimulus(spikes(0, 3, 2, 12), None, 2), progress=lambda *done: told.append(done))
    assert told == [(1, 3), (2, 3), (3, 3)]


BAD: dict[str, tuple[npt.NDArray[Any], dict[str, Any], type[Exception], str]] = {
    "width": (np.zeros((1, 2, 5), np.uint8), {}, InvalidInput, "it has 5 neurons, the inputs of the program have 12"),
    "type": (np.zeros((1, 2, 12)), {}, InvalidInput, "its spikes have type float64"),
    "sign": (np.full((1, 2, 12), -1), {}, InvalidInput, "counts of 0 or more are needed"),
    "name": (np.zeros((1, 2, 12), int), {"record_spikes": ["p"]}, UnknownName, "population 'p'"),
    "v": (np.zeros((1, 2, 12), int), {"record_v": ["input"]}, InvalidInput, "an input has no v"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_stimulus_or_record_that_does_not_fit(name: str) -> None:
    x, options, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        run(TINYODIN.lower(two_layers()), Stimulus(x, None, 2), **options)


def test_a_stimulus_longer_than_the_run_and_one_that_is_shorter() -> None:
    program = replace(TINYODIN.lower(two_layers()), n_steps=4)
    with pytest.raises(InvalidInput, match="it has 5 steps, the program runs 4"):
        run(program, Stimulus(spikes(0, 1, 5, 12), None, 5))
    x = spikes(0, 1, 3, 12)
    assert run(program, Stimulus(x, None, 3), record_spikes=["o"]).trace.spikes["o"].shape == (1, 4, 4)


def test_a_network_that_never_comes_to_rest() -> None:
    nodes = {
        "input": input_node((1,)),
        "w": dense([[7], [7]]),
        "n": fire((2,), 1.0),
        "r": dense([[0, 7], [7, 0]]),
        "output": output_node(),
    }
    graph = wired(nodes, [("input", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "output")])
    program = varied(step_cycles=5000).lower(graph)
    with pytest.raises(InvalidInput, match="step 1 is not at rest after 5000 cycles: its spikes drive themselves"):
        run(program, Stimulus(np.array([[[0], [1]]]), None, 2))
