"""Trees of maxima give the maximum of every window, and lists of synapses what convolutions and poolings give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnport.nodes import MaxPool2d, window_positions
from snnport.passes.codes.graded import pool_hops
from snnport.program import Conv, Dense, Diagonal, Projection, Sparse, SumPool
from snnport.reference import node_function
from snnport.targets.maxima import tree
from snnport.targets.ranges import through
from snnport.targets.unrolled import unrolled

SIDES = st.tuples(st.integers(1, 4), st.integers(1, 4))


@st.composite
def pools(draw: st.DrawFn) -> tuple[MaxPool2d, tuple[int, int]]:
    kernel, size = draw(SIDES), (draw(st.integers(4, 7)), draw(st.integers(4, 7)))
    padding = tuple(draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4))
    return MaxPool2d(kernel, draw(SIDES), padding), size


@given(pools(), st.integers(0, 1 << 30))
def test_a_tree_takes_the_maximum_of_every_window(drawn: tuple[MaxPool2d, tuple[int, int]], seed: int) -> None:
    pool, size = drawn
    x = np.random.default_rng(seed).integers(-9, 10, size)
    levels = tree(pool, size)
    values = x.reshape(-1)
    for level in levels:
        right = np.where(level.right >= 0, values[level.right], values[level.left])
        values = right + np.maximum(values[level.left] - right, 0)
    expected = node_function("pool", pool, integers=True)(x[None, None].astype(float))[0, 0]
    assert np.array_equal(values, expected.reshape(-1))
    assert len(levels) == pool_hops(pool)


def test_two_by_two_is_the_tree_of_two_hops() -> None:
    first, second = tree(MaxPool2d((2, 2), (2, 2), (0, 0, 0, 0)), (2, 2))
    assert (first.left.tolist(), first.right.tolist()) == ([0, 2], [1, 3])
    assert (second.left.tolist(), second.right.tolist()) == ([0], [1])


def test_windows_that_overlap_share_what_they_have_in_common() -> None:
    first, _ = tree(MaxPool2d((1, 3), (1, 1), (0, 0, 0, 0)), (1, 5))
    assert first.left.tolist() == [0, 2, 1, 3, 2, 4]
    assert first.right.tolist() == [1, -1, 2, -1, 3, -1]


@st.composite
def projections(draw: st.DrawFn) -> Projection:
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    kind = draw(st.sampled_from(["dense", "diagonal", "sparse", "conv", "pooled"]))
    if kind == "dense":
        return Projection("p", "a", "b", Dense(rng.integers(-3, 4, (4, 6))))
    if kind == "diagonal":
        return Projection("p", "a", "b", Diagonal(rng.integers(-3, 4, 5)), exponent=2)
    if kind == "sparse":
        n = int(rng.integers(0, 12))
        ends = rng.integers(0, 4, n), rng.integers(0, 6, n)
        return Projection("p", "a", "b", Sparse(rng.integers(-3, 4, n), ends[0], ends[1], (4, 6)))
    shape = (2, int(rng.integers(3, 6)), int(rng.integers(3, 6)))
    codes = rng.integers(-3, 4, (4, 1, 2, 3))
    padding = tuple(int(v) for v in rng.integers(0, 2, 4))
    conv = Conv(codes, shape, (int(rng.integers(1, 3)), 1), padding, (1, 1), 2)
    if kind == "conv":
        return Projection("p", "a", "b", conv)
    pool = SumPool((2, 7, 6), (int(rng.integers(1, 4)), 2), (2, int(rng.integers(1, 3))), (0, 1, 0, 1))
    rows, columns = window_positions((7, 6), pool.kernel_size, pool.stride, pool.padding)
    wide = Conv(rng.integers(-3, 4, (3, 2, 1, 1)), (2, rows, columns), (1, 1), (0, 0, 0, 0))
    return Projection("p", "a", "b", wide, pool)


def matrix(projection: Projection) -> np.ndarray:
    listed = unrolled(projection).synapse
    assert isinstance(listed, Sparse)
    full = np.zeros(listed.shape, np.int64)
    np.add.at(full, (listed.target, listed.source), listed.codes.astype(np.int64))
    return full << projection.exponent


@given(projections(), st.integers(0, 1 << 30))
def test_lists_and_ranges_agree_with_the_projection(projection: Projection, seed: int) -> None:
    rng = np.random.default_rng(seed)
    full = matrix(projection)
    x = rng.integers(-5, 6, full.shape[1])
    low, high = through(projection, (x, x))
    assert np.array_equal(low, full @ x)
    assert np.array_equal(high, full @ x)
    below, above = through(projection, (x - 2, x + 3))
    assert (below <= low).all()
    assert (above >= high).all()


def test_synapses_between_the_same_two_neurons_become_one() -> None:
    pool = SumPool((1, 1, 3), (1, 2), (1, 1), (0, 0, 0, 0))
    listed = unrolled(Projection("p", "a", "b", Dense(np.array([[5, 7]])), pool)).synapse
    assert listed.codes.tolist() == [5, 12, 7]


@pytest.mark.parametrize(("kernel", "hops"), [((2, 2), 2), ((3, 3), 4), ((1, 2), 1), ((1, 1), 1), ((4, 2), 3)])
def test_hops_of_a_pooling(kernel: tuple[int, int], hops: int) -> None:
    assert pool_hops(MaxPool2d(kernel, (1, 1), (0, 0, 0, 0))) == hops
