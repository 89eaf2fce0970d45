"""Synapse kinds on hand-written numbers, and against a direct sum."""

from __future__ import annotations

import numpy as np
import pytest
from sim_programs import between

from snnport.errors import InvalidGraph
from snnport.program import Conv, Dense, Diagonal, Sparse, SumPool

pytestmark = pytest.mark.usefixtures("unexpected_overflow")


def test_dense_with_several_spikes_of_a_source():
    codes = np.arange(12).reshape(2, 6).astype(np.int8)
    x = np.array([1, 0, 2, 1, 3, 1])
    v, counts = between((6,), (2,), Dense(codes), spikes=x)
    np.testing.assert_array_equal(v, codes.astype(int) @ x)
    assert counts.synaptic_operations["w"] == 2 * x.sum()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
@pytest.mark.parametrize("n", [1, 7, 33, 100])
def test_dense_of_any_width_and_length(dtype, n):
    rng = np.random.default_rng(n)
    limits = np.iinfo(dtype)
    codes = rng.integers(limits.min, limits.max, (n, 11), dtype, endpoint=True)
    x = rng.integers(0, 2, 11)
    v, _ = between((11,), (n,), Dense(codes), spikes=x)
    np.testing.assert_array_equal(v, codes.astype(np.int64) @ x)


def test_four_spikes_of_the_least_code_do_not_wrap():
    v, _ = between((4,), (40,), Dense(np.full((40, 4), -128, np.int8)))
    np.testing.assert_array_equal(v, np.full(40, -512))


def test_diagonal_and_exponent():
    v, counts = between((3,), (3,), Diagonal(np.array([1, -2, 3])), spikes=[1, 1, 2], exponent=4)
    np.testing.assert_array_equal(v, [16, -32, 96])
    assert counts.synaptic_operations["w"] == 4


def test_conv_is_a_cross_correlation():
    codes = np.arange(1, 10).reshape(1, 1, 3, 3)
    x = np.zeros((1, 3, 3), int)
    x[0, 0, 0] = 1
    v, counts = between((1, 3, 3), (1, 3, 3), Conv(codes, (1, 3, 3), (1, 1), (1, 1, 1, 1)), spikes=x)
    # The spike in the corner is seen by the kernel's centre from (0, 0), by its left from (0, 1), by its top from (1, 0).
    np.testing.assert_array_equal(v.reshape(3, 3), [[5, 4, 0], [2, 1, 0], [0, 0, 0]])
    assert counts.synaptic_operations["w"] == 4


def test_asymmetric_padding_is_top_left_bottom_right():
    codes = np.ones((1, 1, 2, 2), np.int8)
    v, counts = between((1, 2, 2), (1, 2, 3), Conv(codes, (1, 2, 2), (1, 1), (1, 2, 0, 0)), spikes=[1, 2, 4, 8])
    np.testing.assert_array_equal(v.reshape(2, 3), [[0, 1, 3], [0, 5, 15]])
    assert counts.synaptic_operations["w"] == 1 * 4 + 2 * 2 + 4 * 2 + 8


def test_a_spike_counts_once_in_every_window_that_holds_it():
    pool = SumPool((1, 3, 3), (2, 2), (1, 1), (0, 0, 0, 0))
    x = np.arange(9)
    v, counts = between((1, 3, 3), (1, 2, 2), Diagonal(np.array([1, 10, 100, 1000])), pool, x)
    np.testing.assert_array_equal(v, [0 + 1 + 3 + 4, 10 * (1 + 2 + 4 + 5), 100 * (3 + 4 + 6 + 7), 1000 * (4 + 5 + 7 + 8)])
    assert counts.synaptic_operations["w"] == sum(x * [1, 2, 1, 2, 4, 2, 1, 2, 1])


def test_spikes_that_no_tap_reaches_do_nothing():
    codes = np.full((1, 1, 1, 1), 7)
    v, counts = between((1, 1, 4), (1, 1, 2), Conv(codes, (1, 1, 4), (1, 2), (0, 0, 0, 0)))
    np.testing.assert_array_equal(v, [7, 7])
    assert (counts.synaptic_operations["w"], counts.messages["in"]) == (2, 2)


def test_zero_codes_are_synapses():
    _, counts = between((3,), (5,), Dense(np.zeros((5, 3), np.int8)))
    assert counts.synaptic_operations["w"] == 15


def sparse(target, source, codes, shape):
    return Sparse(np.array(codes), np.array(target, np.int64), np.array(source, np.int64), shape)


def test_sparse_reaches_what_it_lists():
    synapse = sparse([1, 0, 1, 1], [2, 0, 0, 2], [7, -3, 5, 10], (3, 4))
    v, counts = between((4,), (3,), synapse, spikes=[2, 1, 1, 1])
    # The pair 2 -> 1 is listed twice; neurons 1 and 3 reach nothing.
    np.testing.assert_array_equal(v, [-6, 10 + 17, 0])
    assert (counts.synaptic_operations["w"], counts.messages["in"]) == (2 * 2 + 2, 2 + 1)


@pytest.mark.parametrize("seed", range(5))
def test_sparse_equals_the_dense_matrix_of_its_list(seed):
    rng = np.random.default_rng(seed)
    n, targets, sources = 60, 9, 13
    target, source, codes = rng.integers(0, targets, n), rng.integers(0, sources, n), rng.integers(-(1 << 20), 1 << 20, n)
    dense = np.zeros((targets, sources), np.int64)
    np.add.at(dense, (target, source), codes)
    x = rng.integers(0, 3, sources)
    v, counts = between((sources,), (targets,), sparse(target, source, codes, (targets, sources)), spikes=x, exponent=3)
    np.testing.assert_array_equal(v, (dense << 3) @ x)
    assert counts.synaptic_operations["w"] == x[source].sum()


def test_sparse_behind_a_pooling_and_without_synapses():
    pool = SumPool((1, 2, 4), (2, 2), (2, 2), (0, 0, 0, 0))
    v, counts = between((1, 2, 4), (2,), sparse([1, 1], [0, 1], [1, 10], (2, 2)), pool, np.arange(8))
    np.testing.assert_array_equal(v, [0, (0 + 1 + 4 + 5) + 10 * (2 + 3 + 6 + 7)])
    assert counts.synaptic_operations["w"] == 28
    v, counts = between((2,), (3,), sparse([], [], np.zeros(0, np.int8), (3, 2)))
    np.testing.assert_array_equal(v, [0, 0, 0])
    assert (counts.synaptic_operations["w"], counts.messages["in"]) == (0, 0)


def test_a_convolution_of_one_dimension_has_height_one():
    codes = np.array([[[1, -2, 3]], [[4, 5, -6]]])
    x = np.array([1, 0, 2, 1, 3, 0])
    conv = Conv(codes[:, :, None], (1, 1, 6), (1, 2), (0, 1, 0, 1))
    v, _ = between((1, 1, 6), (2, 1, 3), conv, spikes=x)
    padded = np.pad(x, 1)
    expected = [[np.dot(kernel[0], padded[2 * k : 2 * k + 3]) for k in range(3)] for kernel in codes]
    np.testing.assert_array_equal(v.reshape(2, 3), expected)
    grouped = Conv(np.array([[[[1, 10]]], [[[100, 1000]]]]), (2, 1, 3), (1, 1), (0, 0, 0, 0), (1, 2), 2)
    v, _ = between((2, 1, 3), (2, 1, 1), grouped, spikes=[1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(v, [1 + 30, 400 + 6000])


def plain(codes_shape, input_shape, stride=(1, 1), groups=1):
    return Conv(np.ones(codes_shape, np.int8), input_shape, stride, (0, 0, 0, 0), groups=groups)


SQUARE = plain((2, 1, 3, 3), (1, 4, 4))


@pytest.mark.parametrize(
    ("source", "target", "synapse", "options", "match"),
    [
        ((3,), (2,), Dense(np.ones((2, 4), np.int8)), {}, "join 4 to 2 neurons, there are 3 and 2"),
        ((3,), (3,), Diagonal(np.ones(2, np.int8)), {}, "join 2 to 2 neurons, there are 3 and 3"),
        ((3,), (3,), Diagonal(np.ones((3, 3), np.int8)), {}, "2 axes, 1 are needed"),
        ((3,), (2,), Dense(np.ones((2, 3), np.int8)), {"exponent": -1}, "exponent is -1"),
        ((3,), (2,), Dense(np.full((2, 3), 1 << 30)), {"exponent": 2}, "32 bits are the limit"),
        ((3,), (2,), sparse([0], [0, 1], [1, 1], (2, 3)), {}, r"its target \(1,\) and codes \(2,\) are not equally long"),
        ((3,), (2,), sparse([0, 2], [0, 1], [1, 1], (2, 3)), {}, r"its target spans 0\.\.2, there are 2"),
        ((3,), (2,), sparse([0, 1], [0, -1], [1, 1], (2, 3)), {}, r"its source spans -1\.\.0, there are 3"),
        ((3,), (2,), sparse([0, 1], [0, 1], [1, 1], (2, 4)), {}, "join 4 to 2 neurons, there are 3 and 2"),
        ((1, 4, 4), (3, 2, 2), SQUARE, {}, r"its shape is \(3, 2, 2\), its convolutions give \[\(2, 2, 2\)\]"),
        ((1, 5, 5), (2, 2, 2), SQUARE, {}, "join 16 to 8 neurons, there are 25 and 8"),
        ((1, 4, 4), (2, 2, 2), plain((2, 2, 3, 3), (1, 4, 4)), {}, "do not fit 1 channels in 1 groups"),
        ((2, 4, 4), (3, 2, 2), plain((3, 1, 3, 3), (2, 4, 4), groups=2), {}, "do not fit 2 channels in 2 groups"),
        ((1, 2, 2), (2,), plain((2, 1, 3, 3), (1, 2, 2)), {}, "does not fit into 2"),
        ((1, 4, 4), (2,), plain((2, 1, 3, 3), (1, 4, 4), (0, 1)), {}, "must be at least 1"),
        ((5,), (4,), Diagonal(np.ones(4, np.int8)), {"pool": SumPool((1, 2, 2), (1, 1), (1, 1), (0,) * 4)}, "the source has 5"),
    ],
)
def test_refused_synapses(source, target, synapse, options, match):
    with pytest.raises(InvalidGraph, match=match):
        between(source, target, synapse, **options)
