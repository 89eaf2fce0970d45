"""The dense product is exactly the sum of products of 8-bit counts and codes, for any number of sources and rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from snnport.sim.dense import BLOCK, QUAD, add_product, pack
from snnport.sim.records import aligned
from snnport.sim.tiles import LANES

RNG = np.random.default_rng(5)
_njit: Any = njit


@_njit
def packed_product(out, rows, counts, pitch, packed, codes, first, sources):
    pack(packed, 0, codes, first, sources)
    add_product(out, 0, rows, counts, 0, pitch, packed, 0)


def product(counts, codes, before):
    """before + counts @ codes, on the kernel's functions; counts (rows, sources) uint8, codes (sources, LANES) int8."""
    rows, sources = counts.shape
    pitch = -(-sources // QUAD) * QUAD
    padded = np.zeros((rows, pitch), np.uint8)
    padded[:, :sources] = counts
    # What lies before and behind the tile must not matter.
    around = np.concatenate([np.full(3, 99), codes.ravel(), np.full(5 * LANES, 99)]).astype(np.int8)
    out = before.ravel().copy()
    packed = aligned(pitch * LANES, np.int8)
    packed[:] = 77
    packed_product(out, rows, padded.ravel(), pitch, packed, around, 3, sources)
    return out.reshape(rows, LANES)


@pytest.mark.parametrize("sources", [1, 3, 4, 5, 63, 130])
@pytest.mark.parametrize("rows", [1, BLOCK - 1, BLOCK, 2 * BLOCK + 1])
def test_equals_the_product_of_matrices(sources, rows):
    counts = RNG.integers(0, 256, (rows, sources)).astype(np.uint8)
    codes = RNG.integers(-128, 128, (sources, LANES)).astype(np.int8)
    before = RNG.integers(-(10**6), 10**6, (rows, LANES)).astype(np.int32)
    np.testing.assert_array_equal(product(counts, codes, before), before + counts.astype(np.int64) @ codes.astype(np.int64))


@pytest.mark.parametrize("code", [-128, 127])
def test_the_largest_counts_and_codes_neither_saturate_nor_wrap(code):
    counts, codes = np.full((7, 4000), 255, np.uint8), np.full((4000, LANES), code, np.int8)
    expected = np.full((7, LANES), 4000 * 255 * code)
    np.testing.assert_array_equal(product(counts, codes, np.zeros((7, LANES), np.int32)), expected)
