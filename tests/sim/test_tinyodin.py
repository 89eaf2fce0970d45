from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyodin_oracle
import tinyodin_programs

from snnport.errors import InvalidInput
from snnport.sim.tinyodin import FIFO_ENTRIES, NEVER, TIME_REFERENCE, Inputs, Outputs, simulate, simulate_steps
from snnport.targets.tinyodin.case import compare, load_case

GOLDEN = sorted((Path(__file__).parent.parent / "golden" / "tinyodin").glob("*.npz"))
FEEDS = ("s34_feedforward", "s35_feedforward")


def assert_same(actual: Outputs, expected: Outputs) -> None:
    for f in fields(Outputs):
        np.testing.assert_array_equal(getattr(actual, f.name), getattr(expected, f.name), f.name)


def silent(words: Any = (), **changes: Any) -> Inputs:
    """A core in which nothing fires, with a fast environment."""
    events = np.asarray(words, np.uint16)
    plain = Inputs(
        max_neur=255,
        open_loop=0,
        aer_src=0,
        max_cycles=1_000_000,
        req_low_delay=0,
        req_gap=0,
        ack_delay=np.array([0]),
        acklow_delay=np.array([0]),
        thr=np.full(256, NEVER),
        leak=np.zeros(256, np.uint8),
        disable=np.zeros(256, np.uint8),
        v0=np.zeros(256, np.int16),
        W=np.zeros((256, 256), np.int8),
        ev_addr=events,
        ev_t=np.zeros(len(events), np.int32),
    )
    return replace(plain, **changes)


def with_value(values: np.ndarray, index: Any, value: int) -> np.ndarray:
    result = np.array(values)
    result[index] = value
    return result


# -------------------------------------------------------------------------------------------------- against the RTL


def test_there_are_forty_recorded_cases() -> None:
    assert len(GOLDEN) == 40


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_recorded_field_is_reproduced(path: Path) -> None:
    case = load_case(path)
    actual = simulate(case.inputs)
    assert compare(case.outputs, actual) == ()
    assert_same(actual, case.outputs)


SHORT = [path for path in GOLDEN if path.stat().st_size and load_case(path).outputs.end_cycle < 12_000]


@pytest.mark.parametrize("path", SHORT, ids=lambda path: path.stem)
def test_the_ticking_oracle_is_the_rtl_too(path: Path) -> None:
    case = load_case(path)
    assert_same(tinyodin_oracle.run(case.inputs)[0], case.outputs)


@pytest.mark.data
def test_the_golden_cases_are_the_recorded_ones(data_dir: Path) -> None:
    source = sorted((data_dir / "tinyodin").glob("*.npz"))
    assert [path.name for path in source] == [path.name for path in GOLDEN]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(source, GOLDEN, strict=True))


# ----------------------------------------------------------------------------------------------- against the oracle


@pytest.mark.parametrize("block", range(8))
def test_random_runs_equal_the_ticking_oracle(block: int) -> None:
    for seed in range(60 * block, 60 * block + 60):
        rng = np.random.default_rng(seed)
        inputs = tinyodin_programs.inputs(rng, int(rng.choice([4000, rng.integers(0, 2000)])))
        assert_same(simulate(inputs), tinyodin_oracle.run(inputs)[0])
        whole = simulate_steps(inputs, np.array([len(inputs.ev_addr)]))
        replayed, clocked = tinyodin_oracle.run(whole.inputs)
        assert_same(whole.outputs, replayed)
        assert whole.neuron_updates == clocked.strobes
        np.testing.assert_array_equal(whole.saturations, clocked.saturations)


@pytest.mark.parametrize("seed", [3, 11, 14, 21, 28, 32])
def test_a_run_may_stop_in_any_cycle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = replace(tinyodin_programs.inputs(rng), max_neur=5)
    end = min(simulate(inputs).end_cycle, 260)
    for stop in range(end + 2):
        cut = replace(inputs, max_cycles=stop)
        assert_same(simulate(cut), tinyodin_oracle.run(cut)[0])


def avalanche(**changes: Any) -> Inputs:
    """Every neuron fires on every event: one sweep of 40 neurons puts 40 entries into the queue."""
    words = [7, 0x200 | 0x33, TIME_REFERENCE, 9, 0x200 | 0x15, 0x103, 8, 0x200 | 0xF2]
    return silent(words, max_neur=39, thr=np.zeros(256, np.uint16), max_cycles=9000, **changes)


@pytest.mark.parametrize("aer_src", [0, 1])
@pytest.mark.parametrize("stop", [9000, 2801, 2402, 1603, 804])
def test_a_full_queue_drops_what_is_fed_back(aer_src: int, stop: int) -> None:
    inputs = avalanche(aer_src=aer_src, ack_delay=np.array([1, 0, 4]))
    inputs = replace(inputs, max_cycles=stop)
    expected, _ = tinyodin_oracle.run(inputs)
    assert_same(simulate(inputs), expected)
    if stop == 9000:
        assert expected.fifo_max == FIFO_ENTRIES
        assert expected.dropped > 100


def test_a_virtual_event_served_from_a_full_queue_loses_its_own_spike() -> None:
    words = [*[0x200 | 0x11] * 3, 5]
    fills = silent(words, thr=np.zeros(256, np.uint16), max_neur=255, max_cycles=40_000, disable=np.arange(256) < 2)
    late = replace(fills, ack_delay=np.array([900, 0, 0]))
    for inputs in (fills, late, replace(late, disable=np.zeros(256, np.uint8))):
        assert_same(simulate(inputs), tinyodin_oracle.run(inputs)[0])


def test_ten_thousand_firings_outgrow_the_first_log() -> None:
    inputs = silent([1] * 60, thr=np.zeros(256, np.uint16), open_loop=1)
    outputs = simulate(inputs)
    assert (len(outputs.fire_cycle), len(outputs.spk_cycle), outputs.completed) == (60 * 256, 60 * 256, 1)
    assert outputs.end_cycle == 60 * (2 * 256 + 7 + 256 * 6) + 2


# ------------------------------------------------------------------------------------- the rules, one after another


@pytest.mark.parametrize("low_delay", [0, 5])
def test_a_spike_from_rest_takes_the_cycles_of_the_specification(low_delay: int) -> None:
    outputs = simulate(silent([3], req_low_delay=low_delay, ev_t=np.array([10])))
    assert (outputs.ev_req[0], outputs.ev_accept[0], outputs.ev_ack[0]) == (10, 13, 14)
    assert outputs.ev_done[0] == 17 + low_delay
    assert outputs.srv_start[0] == 18 + low_delay
    assert outputs.end_cycle == 19 + low_delay + 2 * 256


@pytest.mark.parametrize(
    ("word", "period"),
    [(3, 2 * 256 + 7 + 2), (0x231, 8 + 2), (TIME_REFERENCE, 2 * 256 + 6 + 2 + 4), (0x105, 8 + 2 + 4), (0x305, 8 + 2 + 4)],
    ids=["spike", "virtual", "leak", "leak-one", "leak-one-with-both-bits"],
)
def test_the_steady_period_of_each_event(word: int, period: int) -> None:
    gap = 4 if word & 0x100 else 0
    accept = simulate(silent([word] * 5, req_low_delay=2, req_gap=gap)).ev_accept
    np.testing.assert_array_equal(np.diff(accept), period)


def test_nothing_to_do_is_rest_in_cycle_0() -> None:
    outputs = simulate(silent())
    assert (outputs.completed, outputs.end_cycle, outputs.fifo_max) == (1, 0, 0)


def test_a_run_that_is_at_rest_only_in_max_cycles_is_not_complete() -> None:
    assert simulate(silent(max_cycles=0)).completed == 0
    end = simulate(silent([3])).end_cycle
    assert (simulate(silent([3], max_cycles=end)).completed, simulate(silent([3], max_cycles=end + 1)).completed) == (0, 1)


def test_events_far_apart_cost_no_time() -> None:
    late = np.array([0, 1_000_000_000, 2_000_000_000])
    outputs = simulate(silent([3, 4, 5], ev_t=late, max_cycles=(1 << 31) - 1))
    np.testing.assert_array_equal(outputs.ev_req, late)
    assert outputs.end_cycle == 2_000_000_000 + 9 + 512


def test_an_event_that_is_never_reached_has_no_cycles() -> None:
    outputs = simulate(silent([3, 4], ev_t=np.array([0, 5000]), max_cycles=4999))
    assert (outputs.completed, outputs.end_cycle) == (0, 4999)
    assert [outputs.ev_req[1], outputs.ev_accept[1], outputs.ev_ack[1], outputs.ev_done[1]] == [-1] * 4


@pytest.mark.parametrize(
    ("v", "weight", "after"), [(2047, 7, 2047), (-2048, -8, -2048), (2040, 7, 2047), (-1, 1, 0), (-2045, -3, -2048)]
)
def test_a_potential_saturates_at_12_bits(v: int, weight: int, after: int) -> None:
    inputs = silent([0], v0=np.full(256, v), W=np.full((256, 256), weight, np.int8), max_neur=99)
    np.testing.assert_array_equal(simulate(inputs).v_final, np.repeat([after, v], [100, 156]))


@pytest.mark.parametrize(
    ("v", "leak", "after"), [(5, 3, 2), (5, 9, 0), (-5, 3, -2), (-5, 9, 0), (0, 127, 0), (-2048, 127, -1921)]
)
def test_leak_goes_towards_zero_and_stops_there(v: int, leak: int, after: int) -> None:
    inputs = silent([TIME_REFERENCE], v0=np.full(256, v), leak=np.full(256, leak), max_neur=9)
    np.testing.assert_array_equal(simulate(inputs).v_final, np.repeat([after, v], [10, 246]))


@pytest.mark.parametrize(
    ("thr", "v", "fires"),
    [(0, 0, True), (0, -1, False), (2047, 2047, True), (2048, 2047, False), (4095, 2047, False), (1, 0, False)],
)
def test_the_threshold_is_unsigned_and_met_by_what_is_not_negative(thr: int, v: int, fires: bool) -> None:
    inputs = silent([0], thr=np.full(256, thr), v0=np.full(256, v), max_neur=2, open_loop=1)
    outputs = simulate(inputs)
    assert len(outputs.fire_cycle) == (3 if fires else 0)
    assert outputs.v_final[0] == (0 if fires else v)


def test_a_time_reference_fires_neurons_and_one_alone_may_lie_behind_the_last() -> None:
    base = silent([0x100 | 200], max_neur=3, thr=np.full(256, 4), v0=np.full(256, 9), leak=np.full(256, 5), open_loop=1)
    outputs = simulate(base)
    np.testing.assert_array_equal(outputs.fire_neuron, [200])
    assert (outputs.v_final[200], outputs.v_final[0]) == (0, 9)
    np.testing.assert_array_equal(simulate(replace(base, ev_addr=np.array([TIME_REFERENCE]))).fire_neuron, [0, 1, 2, 3])


def test_the_last_neurons_output_does_not_hold_back_the_acknowledge() -> None:
    base = silent([TIME_REFERENCE], max_neur=3, thr=np.full(256, NEVER), open_loop=1, ack_delay=np.array([50]))
    quiet = simulate(base)
    last = simulate(replace(base, thr=with_value(base.thr, 3, 0)))
    first = simulate(replace(base, thr=with_value(base.thr, 0, 0)))
    assert (last.ev_ack[0], last.ev_done[0]) == (quiet.ev_ack[0], quiet.ev_done[0])
    assert first.ev_ack[0] == quiet.ev_ack[0] + 56
    assert last.end_cycle == last.spk_cycle[0] + 56


def test_a_disabled_neuron_is_reset_and_says_nothing() -> None:
    base = silent([0], thr=np.full(256, 3), v0=np.full(256, 7), disable=np.arange(256) == 1, max_neur=2, aer_src=1)
    outputs = simulate(base)
    np.testing.assert_array_equal(outputs.fire_neuron, [0, 2])
    np.testing.assert_array_equal(outputs.v_final[:4], [0, 0, 0, 7])
    assert simulate(replace(base, disable=np.ones(256, np.uint8))).srv_entry.tolist() == [0]


def test_a_virtual_event_of_weight_0_is_a_spike() -> None:
    weights = with_value(np.zeros((256, 256), np.int8), 9, 5)
    outputs = simulate(silent([0x209], W=weights, aer_src=1))
    np.testing.assert_array_equal(outputs.srv_entry, [9])
    np.testing.assert_array_equal(outputs.v_final, 5)
    np.testing.assert_array_equal(outputs.spk_addr, [9])


@pytest.mark.parametrize(("weight", "value"), [(1, 1), (7, 7), (8, -8), (15, -1)])
def test_a_virtual_event_reaches_one_neuron_and_no_output_when_served(weight: int, value: int) -> None:
    outputs = simulate(silent([0x200 | weight << 4 | 12], aer_src=1))
    np.testing.assert_array_equal(outputs.srv_entry, [weight << 8 | 12])
    np.testing.assert_array_equal(outputs.v_final, value * (np.arange(256) == 12))
    assert len(outputs.spk_cycle) == 0


def test_acknowledge_delays_are_taken_in_turn() -> None:
    base = silent([0], thr=np.zeros(256, np.uint16), max_neur=4, open_loop=1)
    outputs = simulate(replace(base, ack_delay=np.array([3, 0]), acklow_delay=np.array([0, 10, 20])))
    busy = [6 + k + m for k, m in zip([3, 0, 3, 0], [0, 10, 20, 0], strict=True)]
    np.testing.assert_array_equal(np.diff(outputs.spk_cycle), [2 + b for b in busy])


def test_the_open_loop_feeds_nothing_back() -> None:
    base = silent([0], thr=np.zeros(256, np.uint16), max_neur=4, max_cycles=3000)
    once, again = simulate(replace(base, open_loop=1)), simulate(base)
    np.testing.assert_array_equal(once.srv_entry, [0])
    np.testing.assert_array_equal(again.srv_entry[:6], [0, 0, 1, 2, 3, 4])


# --------------------------------------------------------------------------------------------------------- in steps


def test_a_step_waits_until_the_core_is_at_rest() -> None:
    weights = with_value(np.zeros((256, 256), np.int8), (0, slice(1, 3)), 4)
    weights[1, 3] = 4
    inputs = silent([0, 0, 0], W=weights, thr=np.full(256, 4), max_neur=3)
    done = simulate_steps(inputs, np.array([1, 0, 2, 0]))
    assert done.steps == 4
    np.testing.assert_array_equal(done.starts[1:3], [done.starts[1]] * 2)
    assert done.starts[3] == done.starts[4] == done.outputs.end_cycle
    assert done.starts[1] == simulate(replace(inputs, ev_addr=inputs.ev_addr[:1], ev_t=inputs.ev_t[:1])).end_cycle
    np.testing.assert_array_equal(done.inputs.ev_t, [0, done.starts[1], done.starts[1]])
    assert_same(simulate(done.inputs), done.outputs)
    np.testing.assert_array_equal(done.v[-1], done.outputs.v_final)


def test_a_step_that_drives_itself_ends_the_run() -> None:
    done = simulate_steps(avalanche(), np.array([0, 4, 4]), step_cycles=700)
    assert (done.steps, done.outputs.completed, done.outputs.end_cycle) == (1, 0, 700)


def test_steps_must_hold_all_events() -> None:
    with pytest.raises(InvalidInput, match="it sums to 3, in_ev_addr has 2 entries"):
        simulate_steps(silent([1, 2]), np.array([1, 2]))


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_neur": 256}, "in_max_neur: it spans 256..256, the core takes 0..255"),
        ({"thr": np.full(256, 4096)}, "in_thr: it spans 4096..4096, the core takes 0..4095"),
        ({"leak": np.full(256, 128)}, "in_leak: it spans 128..128"),
        ({"v0": np.full(256, -2049)}, "in_v0: it spans -2049"),
        ({"W": np.full((256, 256), 8)}, r"in_W: it spans 8..8, the core takes -8..7"),
        ({"W": np.zeros((256, 4), int)}, r"in_W: its shape is \(256, 4\), \(256, 256\) is needed"),
        ({"thr": np.zeros(256)}, "in_thr: its type is float64, integers are needed"),
        ({"ack_delay": np.zeros(0, int)}, "in_ack_delay: it is empty, at least 1 delay is needed"),
        ({"acklow_delay": np.array([-1])}, "in_acklow_delay: it spans -1"),
        ({"ev_addr": np.array([1024]), "ev_t": np.array([0])}, "in_ev_addr: it spans 1024"),
        ({"ev_addr": np.array([1])}, "in_ev_t: it has 0 entries, in_ev_addr has 1"),
        ({"max_cycles": -1}, "in_max_cycles: it spans -1"),
        ({"disable": np.full(256, 2)}, "in_disable: it spans 2..2"),
    ],
)
def test_what_the_core_cannot_hold_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        silent(**changes)


def test_the_input_stays_as_it_was() -> None:
    inputs = tinyodin_programs.inputs(np.random.default_rng(5))
    before = {f.name: np.array(getattr(inputs, f.name)) for f in fields(inputs)}
    simulate(inputs)
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(inputs, name), value, name)
