from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnport.fixed import narrowest, signed_bits, signed_range

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


@pytest.mark.parametrize(("bits", "low", "high"), [(1, -1, 0), (2, -2, 1), (8, -128, 127), (64, -(1 << 63), (1 << 63) - 1)])
def test_signed_range(bits: int, low: int, high: int) -> None:
    assert signed_range(bits) == (low, high)


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-128, 127, 8), (-129, 0, 9), (0, 128, 9), (3, 5, 4), (-9, -3, 5)],
)
def test_signed_bits(low: int, high: int, bits: int) -> None:
    assert signed_bits(low, high) == bits


@given(st.integers(), st.integers())
def test_signed_bits_are_the_fewest_that_hold_both(a: int, b: int) -> None:
    low, high = sorted((a, b))
    bits = signed_bits(low, high)
    least, greatest = signed_range(bits)
    assert least <= low
    assert high <= greatest
    if bits > 1:
        least, greatest = signed_range(bits - 1)
        assert low < least or high > greatest


@given(INT64, INT64)
def test_the_narrowest_type_holds_both_and_the_next_narrower_does_not(a: int, b: int) -> None:
    low, high = sorted((a, b))
    kind = narrowest(low, high)
    assert np.iinfo(kind).min <= low
    assert high <= np.iinfo(kind).max
    if kind.itemsize > 1:
        smaller = np.iinfo(f"int{kind.itemsize * 4}")
        assert low < smaller.min or high > smaller.max


def test_numpy_integers_count_like_pythons() -> None:
    assert signed_bits(np.int8(-128), np.int8(127)) == 8
    assert narrowest(np.int64(-129), np.uint8(0)) == np.int16


def test_beyond_64_bits() -> None:
    with pytest.raises(OverflowError, match="needs 65 bits"):
        narrowest(0, 1 << 63)
