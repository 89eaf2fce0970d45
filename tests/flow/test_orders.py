"""--order, --cap and --window: the order of events of an asynchronous chip, what it changes, and which layer would stall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import Command

from snnport.chip import load_chip
from snnport.encoders import Stimulus
from snnport.errors import InvalidInput
from snnport.flow.orders import EventOptions, asynchronous, events_of, order_effect, running
from snnport.program import Conv, Dense, Neuron, Population, Program, Projection, Slice, SumPool
from snnport.registry import TARGETS
from snnport.report.event_rates import EventReport, LayerRate, Rates, rate_rows, sentences
from snnport.sim import engine
from snnport.sim.asynchronous import run
from snnport.sim.rates import rates_of

CHIP = load_chip(TARGETS.load("speck2f").chip_file)
STEPS, SAMPLES = 6, 5


def neurons(name: str, shape: tuple[int, ...], theta: int) -> Population:
    params = {"v_threshold": theta, "v_min": -theta, "v_max": 32767, "max_spikes": 1 << 15}
    return Population(name, shape, Neuron("if", {key: np.asarray(value) for key, value in params.items()}))


@pytest.fixture(scope="module")
def chain() -> Program:
    rng = np.random.default_rng(3)
    populations = (Population("in", (1, 8, 8), Neuron("input", {})), neurons("a", (3, 6, 6), 20), neurons("out", (4,), 30))
    pool = SumPool((3, 6, 6), (2, 2), (2, 2), (0, 0, 0, 0))
    second = Conv(rng.integers(-9, 13, (4, 3, 3, 3)), (3, 3, 3), (1, 1), (0, 0, 0, 0))
    projections = (
        Projection("conv", "in", "a", Conv(rng.integers(-9, 13, (3, 1, 3, 3)), (1, 8, 8), (1, 1), (0, 0, 0, 0)), None, 0),
        Projection("dense", "a", "out", second, pool, 0),
    )
    meta = {"readout": "count", "convention": {"dt": 1e-3}, "encoder": None}
    return Program(
        "speck2f", CHIP, populations, projections, (Slice("a", 0, 0, 108), Slice("out", 3, 0, 4)), ("in",), ("out",), 0, meta
    )


@pytest.fixture(scope="module")
def raster() -> np.ndarray:
    return (np.random.default_rng(4).random((SAMPLES, STEPS, 64)) < 0.3).astype(np.uint8)


def test_what_another_order_changes_is_counted_neuron_by_neuron(chain: Program, raster: np.ndarray) -> None:
    stimulus = Stimulus(raster, None, STEPS)
    effect = order_effect(chain, stimulus, "depth-first", 3)
    deep, summed = (
        run(chain, Stimulus(raster[:3], None, STEPS), order=o, all_counts=True) for o in ("depth-first", "time-stepped")
    )
    wanted = {k: int(np.abs(deep.spike_counts[k] - summed.spike_counts[k]).sum()) for k in ("a", "out")}
    assert effect.samples == 3
    assert effect.changed == {"breadth-first": {"a": 0, "out": 0}, "time-stepped": wanted}
    assert wanted["a"] > 0
    assert effect.spikes["depth-first"]["a"] == deep.spike_counts["a"].sum()


def test_branches_are_run_breadth_first_too(chain: Program, raster: np.ndarray) -> None:
    skip = Projection("skip", "in", "out", Dense(np.random.default_rng(5).integers(-20, 25, (4, 64))), None, 0)
    merged = Program(
        "speck2f", CHIP, chain.populations, (*chain.projections, skip), chain.placements, ("in",), ("out",), 0, chain.meta
    )
    effect = order_effect(merged, Stimulus(raster, None, STEPS), "time-stepped", SAMPLES)
    assert set(effect.changed) == {"depth-first", "breadth-first"}
    assert effect.changed["depth-first"]["out"] != effect.changed["breadth-first"]["out"]


def test_rates_of_every_core(chain: Program, raster: np.ndarray) -> None:
    """Against a count by hand: what reaches `a` is 27 synapses of every inner pixel, fewer at the rim."""
    result = run(chain, Stimulus(raster, None, STEPS), window=2)
    rates = rates_of(chain, result, 1e-3, 1e6)
    reach = np.convolve(np.ones(6), np.ones(3))
    synapses = 3 * np.outer(reach, reach).reshape(-1)
    each = (raster * synapses).sum(axis=2)
    windows = each[:, 1:] + each[:, :-1]
    layer = rates.layers[0]
    assert (layer.layer, layer.core) == ("a", 0)
    assert layer.mean == each.mean()
    assert layer.worst_sample == each.sum(axis=1).max() / STEPS
    assert layer.worst_window == windows.max() / 2
    assert windows[layer.sample, layer.step - 1] == windows.max()
    found = rates.to_json()
    assert found["unit"] == "synaptic operations a second"
    assert found["layers"][0]["mean"] == each.mean() / 1e-3


def test_the_layer_that_stalls_first_is_named(chain: Program, raster: np.ndarray) -> None:
    result = run(chain, Stimulus(raster, None, STEPS))
    busiest = rates_of(chain, result, 1e-3, None).busiest
    assert busiest is not None
    assert rates_of(chain, result, 1e-3, None).stalls is None
    assert rates_of(chain, result, 1e-3, busiest.worst_window * 1e3).stalls is None
    assert rates_of(chain, result, 1e-3, busiest.worst_window * 1e3 - 1).stalls == busiest.layer
    assert rates_of(chain, result, None, 1.0).stalls is None
    assert rates_of(chain, result, None, 1.0).to_json()["unit"] == "synaptic operations a step"


def test_the_chip_file_may_set_the_cap(chain: Program, raster: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    head = 'target = "speck2f"\nname = "mine"\nextends = "speck2f"\n\n[numbers.synops_per_s]\nvalue = 1000000\n'
    file.write_text(head + 'unit = "operations a second"\nsource = "our board"\nconfidence = "defined"\n')
    chip = load_chip(file, {"speck2f": TARGETS.load("speck2f").chip_file})
    mine = Program("speck2f", chip, chain.populations, chain.projections, chain.placements, ("in",), ("out",), 0, chain.meta)
    result = run(mine, Stimulus(raster, None, STEPS))
    assert rates_of(mine, result, 1e-3, None).cap == 1e6
    assert rates_of(mine, result, 1e-3, 5.0).cap == 5.0


def test_a_run_of_no_samples_has_no_rates(chain: Program) -> None:
    result = run(chain, Stimulus(np.zeros((0, STEPS, 64), np.uint8), None, STEPS))
    assert rates_of(chain, result, 1e-3, None).busiest is None


def test_seconds_come_from_the_user_or_the_network(chain: Program, raster: np.ndarray) -> None:
    stimulus = Stimulus(raster, None, STEPS)
    result = run(chain, stimulus)
    untimed = Program(
        "speck2f", CHIP, chain.populations, chain.projections, (), ("in",), ("out",), 0, {"convention": {"dt": 1.0}}
    )

    def dt(program: Program, told: float | None) -> float | None:
        events = events_of(program, stimulus, result, EventOptions(), told)
        assert events is not None
        return events.rates.dt

    assert (dt(chain, None), dt(chain, 0.5), dt(untimed, None), dt(untimed, 0.5)) == (1e-3, 0.5, None, 0.5)


def test_chips_with_a_clock_have_no_order(chain: Program, raster: np.ndarray) -> None:
    stepped = Program("cpu", CHIP, chain.populations, chain.projections, chain.placements, ("in",), ("out",), 0, chain.meta)
    assert asynchronous(chain)
    assert not asynchronous(stepped)
    assert running(stepped, EventOptions()) == {}
    assert running(chain, EventOptions("breadth-first", window=3)) == {"order": "breadth-first", "window": 3}
    result = engine.run(stepped, Stimulus(raster, None, STEPS))
    assert events_of(stepped, Stimulus(raster, None, STEPS), result, EventOptions(), None) is None
    for options in (EventOptions(order="depth-first"), EventOptions(cap=1.0)):
        with pytest.raises(InvalidInput, match="works in steps"):
            running(stepped, options)


@pytest.mark.parametrize(
    ("options", "match"),
    [({"order": "deep"}, "no such order"), ({"cap": 0.0}, "positive number"), ({"window": 0}, "1 or more")],
)
def test_refusals(options: dict, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        EventOptions(**options)


def test_run_on_the_command_line(chain: Program, raster: np.ndarray, snnport: Command, tmp_path: Path) -> None:
    chain.save(tmp_path / "chain.npz")
    np.savez(tmp_path / "x.npz", x=raster.reshape(SAMPLES, STEPS, 1, 8, 8))
    arguments = ("run", tmp_path / "chain.npz", "--target", "speck2f", "--input", tmp_path / "x.npz")
    default, stepped = (snnport(*arguments, *more, "--json").data for more in ((), ("--order", "time-stepped")))
    assert default["events"]["order"] == "depth-first"
    assert stepped["events"]["order"] == "time-stepped"
    changed = sum(stepped["events"]["changed"]["depth-first"].values())
    assert changed == sum(default["events"]["changed"]["time-stepped"].values()) > 0
    assert default["spikes"]["a"] == default["events"]["spikes"]["depth-first"]["a"]
    shown = snnport(*arguments, "--cap", "100", "--window", "2")
    assert shown.code == 0
    words = " ".join(shown.out.split())
    assert "Events run depth-first" in words
    assert "breadth-first would change no spike" in words
    assert "would stall the chip first" in words
    refused = snnport("run", tmp_path / "chain.npz", "--target", "cpu", "--input", tmp_path / "x.npz", "--order", "depth-first")
    assert refused.code == 1


def report(**changes: object) -> EventReport:
    layer = LayerRate("a", 0, 1e5, 2e5, 3e5, 4, 7)
    values = {
        "unit": "",
        "window_steps": 2,
        "dt": 1e-3,
        "cap": None,
        "layers": (layer,),
        "busiest": "a",
        "stalls": None,
        **changes,
    }
    spikes = {"depth-first": {"a": 100}, "time-stepped": {"a": 90}}
    return EventReport("depth-first", 3, spikes, {"time-stepped": {"a": 10}}, Rates(**values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "the chip's limit is not published"),
        ({"cap": 1e6}, "below the cap"),
        ({"cap": 1e5, "stalls": "a"}, "a would stall the chip first"),
        ({"cap": 1e5, "dt": None}, "give --dt"),
    ],
)
def test_sentences(changes: dict, words: str) -> None:
    lines = sentences(report(**changes))
    assert words in lines[-1]
    assert lines[1] == "time-stepped would change 10 of 100 spikes (10 in a)."
    assert sentences(None) == rate_rows(None) == []
    assert sentences(report(busiest=None))[-1] == lines[1]
    assert rate_rows(report())[0][0] == "a"
