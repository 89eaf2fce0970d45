from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snnport.encoders import CountEncoder, Stimulus
from snnport.errors import InvalidInput

COUNTS = st.integers(1, 12).flatmap(
    lambda levels: st.tuples(st.just(levels), hnp.arrays(np.int32, (2, 3), elements=st.integers(0, levels)))
)


def consecutive(step: float = 0.25, levels: int = 4, signed: bool = False) -> CountEncoder:
    return CountEncoder("consecutive", step, levels, signed)


@pytest.mark.parametrize(
    ("x", "count"), [(0.0, 0), (0.124, 0), (0.125, 1), (0.25, 1), (0.375, 2), (0.9, 4), (1.0, 4), (7.0, 4), (-0.1, 0), (-9, 0)]
)
def test_counts_round_half_up_and_stay_within_the_levels(x: float, count: int) -> None:
    assert consecutive().counts([[x]]) == [[count]]


def test_a_signed_encoder_puts_the_negative_part_behind() -> None:
    x = np.array([[[0.5, -0.25]], [[-1.0, 0.0]]])
    found = consecutive(signed=True).counts(x)
    np.testing.assert_array_equal(found, [[[2, 0], [0, 1]], [[0, 0], [4, 0]]])


@given(COUNTS, st.integers(0, 5))
def test_consecutive_spikes_are_the_first_n_steps(drawn: tuple[int, np.ndarray], longer: int) -> None:
    levels, counts = drawn
    raster = consecutive(levels=levels).raster(counts, levels + longer)
    assert raster.shape == (2, levels + longer, 3)
    np.testing.assert_array_equal(raster.sum(axis=1), counts)
    assert not (np.diff(raster.astype(int), axis=1) > 0).any()


@given(COUNTS)
def test_even_spikes_are_n_in_every_run_of_levels_steps(drawn: tuple[int, np.ndarray]) -> None:
    levels, counts = drawn
    raster = CountEncoder("even", 1.0, levels).raster(counts, 3 * levels)
    assert set(np.unique(raster)) <= {0, 1}
    for start in range(2 * levels + 1):
        np.testing.assert_array_equal(raster[:, start : start + levels].sum(axis=1), counts)


def test_even_spikes_by_hand() -> None:
    raster = CountEncoder("even", 1.0, 4).raster(np.array([[0, 1, 2, 3, 4]]), 4)
    np.testing.assert_array_equal(raster[0].T, [[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]])


def test_maps_become_neurons_in_c_order() -> None:
    counts = np.arange(6).reshape(1, 1, 2, 3)
    raster = consecutive(levels=5).raster(counts, 5)
    np.testing.assert_array_equal(raster.sum(axis=1), [[0, 1, 2, 3, 4, 5]])


@pytest.mark.parametrize("encoder", [consecutive(), CountEncoder("even", 0.1, 7, True)])
def test_an_encoder_comes_back_from_json(encoder: CountEncoder) -> None:
    assert CountEncoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder


def test_an_unknown_kind() -> None:
    with pytest.raises(InvalidInput, match=r"encoder: there is no kind 'poisson'\. Known: .*even, message, change"):
        CountEncoder("poisson", 1.0, 1)


@pytest.mark.parametrize(("step", "levels"), [(0.0, 1), (-1.0, 1), (float("inf"), 1), (float("nan"), 1), (1.0, 0)])
def test_steps_and_levels_must_be_positive(step: float, levels: int) -> None:
    with pytest.raises(InvalidInput, match=f"encoder: step {step} and levels {levels} must be positive"):
        CountEncoder("even", step, levels)


# ----------------------------------------------------------------------------------------------------------- stimulus


def test_a_stimulus_encodes_numbers_a_few_samples_at_a_time() -> None:
    x = np.linspace(0, 1, 24).reshape(4, 2, 3)
    stimulus = Stimulus(x, consecutive(), 4)
    assert stimulus.n_samples == 4
    whole = stimulus.raster(0, 4)
    assert whole.shape == (4, 4, 6)
    np.testing.assert_array_equal(whole.sum(axis=1), consecutive().counts(x).reshape(4, 6))
    np.testing.assert_array_equal(np.concatenate([stimulus.raster(i, i + 1) for i in range(4)]), whole)


@pytest.mark.parametrize("axes", [(6,), (2, 3), (1, 2, 3)])
def test_spikes_pass_as_they_are(axes: tuple[int, ...]) -> None:
    x = np.arange(4 * 5 * 6).reshape(4, 5, *axes)
    stimulus = Stimulus(x, None, 5)
    np.testing.assert_array_equal(stimulus.raster(1, 3), x.reshape(4, 5, 6)[1:3])
    assert stimulus.raster(2, 2).shape == (0, 5, 6)


@pytest.mark.parametrize("x", [np.zeros((4, 10, 3)), np.zeros((4, 4, 5)), np.zeros(4)])
def test_spikes_of_another_length_are_not_cut_anew(x: Any) -> None:
    with pytest.raises(InvalidInput, match=r"stimulus: its spikes have shape \(4,.*\), the run takes 5 steps"):
        Stimulus(x, None, 5).raster(0, 4)


@pytest.mark.parametrize("kind", ["message", "change"])
@pytest.mark.parametrize(("signed", "count"), [(False, 0), (True, -3)])
def test_a_number_goes_out_in_the_first_step_with_its_sign(kind: str, signed: bool, count: int) -> None:
    encoder = CountEncoder(kind, 0.25, 3, signed)
    counts = encoder.counts([[0.5, -9.0, 9.0]])
    assert counts.tolist() == [[2, count, 3]]
    raster = encoder.raster(counts, 4)
    assert raster.shape == (1, 4, 3)
    assert raster[0, 0].tolist() == [2, count, 3]
    assert not raster[0, 1:].any()
    assert (encoder.doubles, encoder.most_in_a_step) == (False, 3)


def test_spikes_come_one_a_step_and_double_signed_channels() -> None:
    assert (consecutive(signed=True).doubles, consecutive().most_in_a_step) == (True, 1)
