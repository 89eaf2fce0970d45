"""The event pre-processing of Speck: on counts, on lists of events, and against sinabs's own DVSLayer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnport.errors import InvalidInput
from snnport.targets.speck.sensor import NoiseFilter, Preprocessing, parse_preprocessing

GOLDEN = Path(__file__).parent.parent / "golden" / "samna" / "sensor.npz"
STAGES = (
    "merge",
    "pool=2",
    "pool=4x1",
    "region=1:2:7:8",
    "mirror=x",
    "mirror=y",
    "mirror=xy,swap",
    "pool=2,region=1:0:4:3,mirror=x,swap",
    "merge,pool=4,region=0:1:2:3,mirror=y,swap",
)


def test_what_a_spelling_means() -> None:
    assert parse_preprocessing("") == Preprocessing()
    found = parse_preprocessing("merge, pool=2, region=0:1:30:31, mirror=x, swap, sensor, size=64x64")
    assert found == Preprocessing("merge", (2, 2), (0, 1, 30, 31), (False, True), True, NoiseFilter(), True, (64, 64))
    assert found.output_shape == (1, 30, 30)
    assert parse_preprocessing("filter=3x5,threshold=2,hot-pixel").noise == NoiseFilter(True, (3, 5), 2, True)
    assert parse_preprocessing("low-pass,threshold=25").noise == NoiseFilter(True, (0, 0), 25, False, True)


@pytest.mark.parametrize(
    "text", ["bend", "pool=3", "pool=x", "region=1:2:3", "mirror=z", "filter=16", "threshold=-1", "size=0"]
)
def test_spellings_without_meaning(text: str) -> None:
    with pytest.raises(InvalidInput, match=f"--sensor: '{text}' is no stage of the event pre-processing. Known: merge on"):
        parse_preprocessing(text)


def test_a_region_lies_within_the_pooled_map() -> None:
    stage = parse_preprocessing("size=8x8,pool=2,region=0:0:5:4")
    with pytest.raises(InvalidInput, match=r"rows 0..5 and columns 0..4 are no part of the pooled map of 4x4"):
        _ = stage.output_shape


def test_the_fields_of_samna() -> None:
    fields = parse_preprocessing("size=16x16,on,pool=2x4,region=1:0:7:3,mirror=y,sensor").fields()
    assert fields == {
        "merge": False,
        "on_channel": True,
        "off_channel": False,
        "pooling": {"x": 4, "y": 2},
        "origin": {"x": 0, "y": 1},
        "cut": {"x": 2, "y": 6},
        "mirror": {"x": False, "y": True},
        "mirror_diagonal": False,
        "pass_sensor_events": True,
        "monitor_enable": False,
        "raw_monitor_enable": False,
    }
    noise = parse_preprocessing("filter=3x5,threshold=2,hot-pixel").noise.fields()
    assert noise == {
        "enable": True,
        "filter_size": {"x": 5, "y": 3},
        "hot_pixel_filter_enable": True,
        "low_pass_mode_enable": False,
        "threshold": 2,
    }


@pytest.mark.parametrize("text", STAGES)
def test_counts_are_those_of_sinabs(text: str) -> None:
    recorded = np.load(GOLDEN)
    stage = parse_preprocessing(f"size=8x12,{text}")
    assert np.array_equal(stage.apply(recorded["events"]), recorded[text])


@given(
    polarity=st.sampled_from(["both", "merge", "on", "off"]),
    pool=st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4])),
    corner=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    mirror=st.tuples(st.booleans(), st.booleans()),
    swap=st.booleans(),
    seed=st.integers(0, 99),
)
def test_moving_events_one_by_one_gives_the_counts(
    polarity: str, pool: tuple[int, int], corner: tuple[int, int], mirror: tuple[bool, bool], swap: bool, seed: int
) -> None:
    size = (10, 9)
    height, width = size[0] // pool[0], size[1] // pool[1]
    stage = Preprocessing(polarity, pool, (corner[0], corner[1], height, width), mirror, swap, size=size)
    index = np.random.default_rng(seed).integers(0, 2 * 90, 60)
    counts = np.bincount(index, minlength=180).reshape(stage.shape)
    moved = stage.moved(index)
    again = np.bincount(moved[moved >= 0], minlength=int(np.prod(stage.output_shape))).reshape(stage.output_shape)
    assert np.array_equal(stage.apply(counts), again)
