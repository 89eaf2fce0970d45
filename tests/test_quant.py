from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snnport.errors import InvalidGraph
from snnport.fixed import signed_range
from snnport.quant import MAX_CODE, QTensor, codes_of, round_half_even

SCALES = st.floats(1e-6, 1e6)


@given(st.data(), st.integers(1, 16), SCALES)
def test_codes_come_back_from_the_real_values(data: st.DataObject, bits: int, scale: float) -> None:
    low, high = signed_range(bits)
    codes = data.draw(
        hnp.arrays(np.int64, hnp.array_shapes(max_dims=3, min_side=0, max_side=4), elements=st.integers(low, high))
    )
    tensor = QTensor(codes, scale, bits)
    np.testing.assert_array_equal(tensor.real, codes * scale)
    np.testing.assert_array_equal(codes_of(tensor.real, scale, "w"), codes)


@given(hnp.arrays(np.int64, 5, elements=st.integers(-127, 127)), st.floats(2.0**-10, 2.0**10))
def test_codes_come_back_from_values_stored_in_single_precision(codes: np.ndarray, scale: float) -> None:
    np.testing.assert_array_equal(codes_of((codes * scale).astype(np.float32), scale, "w"), codes)


@pytest.mark.parametrize("code", [-129, 128])
def test_codes_outside_the_width_are_refused(code: int) -> None:
    with pytest.raises(InvalidGraph, match=rf"codes span {min(code, 0)}\.\.{max(code, 0)}, 8 bits hold -128\.\.127"):
        QTensor(np.array([0, code]), 1.0, 8)


def test_the_extremes_of_the_width_are_taken() -> None:
    np.testing.assert_array_equal(QTensor(np.array([-128, 127]), 0.5, 8).real, [-64.0, 63.5])


@pytest.mark.parametrize(("value", "rounded"), [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (0.49, 0), (-2.51, -3)])
def test_ties_go_to_even(value: float, rounded: int) -> None:
    result = round_half_even(value)
    assert result == rounded
    assert result.dtype == np.int64


@pytest.mark.parametrize("values", [[1.0, 2.5], [0.002], [np.nan], [np.inf]])
def test_values_between_codes_are_refused(values: list[float]) -> None:
    with pytest.raises(
        InvalidGraph, match=r"w: its values are .* codes away from multiples of its scale 1\. .*quantise it again"
    ):
        codes_of(values, 1.0, "w")


def test_a_scale_of_zero_has_no_codes() -> None:
    with pytest.raises(InvalidGraph, match="its values are nan codes away from multiples of its scale 0"):
        codes_of([0.0, 1.0], 0.0, "w")


def test_the_tolerance_is_the_callers() -> None:
    np.testing.assert_array_equal(codes_of([1.04], 1.0, "w", tolerance=0.05), [1])
    with pytest.raises(InvalidGraph, match="codes away"):
        codes_of([1.04], 1.0, "w", tolerance=0.03)


def test_codes_too_great_to_be_told_from_noise_are_refused() -> None:
    assert codes_of([float(MAX_CODE)], 1.0, "w")[0] == MAX_CODE
    with pytest.raises(InvalidGraph, match=f"w: it holds a code beyond {MAX_CODE}"):
        codes_of([0.0, -2.0 * MAX_CODE], 1.0, "w")


def test_no_values_have_no_codes() -> None:
    assert codes_of(np.zeros((0, 3)), 0.1, "w").shape == (0, 3)
