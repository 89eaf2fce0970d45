"""Kernels in another form give the same sums: against plain convolution, over random geometries."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from spiking import conv

from snnport.nodes import window_positions
from snnport.passes.fixes.kernels import Form, Limits, behind_pool, form_of, regular, spread

LIMITS = Limits(15, 7, (1, 2, 4, 8))
Array = npt.NDArray[np.float64]


def sums(form: Form, x: Array) -> Array:
    """A convolution of x (channels, height, width), written from its definition."""
    top, left, bottom, right = form.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)))
    rows, columns = form.positions((x.shape[1], x.shape[2]))
    kh, kw = form.weight.shape[2:]
    return np.array(
        [
            [
                [(w * padded[:, r * form.stride[0] :, c * form.stride[1] :][:, :kh, :kw]).sum() for c in range(columns)]
                for r in range(rows)
            ]
            for w in form.weight
        ]
    )


def pooled(x: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> Array:
    ones = np.zeros((x.shape[0], x.shape[0], *kernel))
    for channel in range(x.shape[0]):
        ones[channel, channel] = 1
    return sums(Form(ones, stride, (*padding, *padding)), x)


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(
    kernel=pairs,
    stride=st.tuples(st.sampled_from([1, 2, 3, 4]), st.sampled_from([1, 2, 5, 8])),
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    holes=st.booleans(),
    seed=st.integers(0, 999),
)
def test_a_regular_kernel_gives_the_same_sums(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    size: tuple[int, int],
    holes: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-9, 9, (2, 3, *kernel)).astype(float)
    if holes:
        weight[:, :, 0] = 0
    form = Form(weight, stride, padding)
    found = regular(form, size, LIMITS)
    if found is None:
        return
    top, left, bottom, right = found.padding
    assert found.weight.shape[2] == found.weight.shape[3] <= LIMITS.kernel
    assert (top, left) == (bottom, right)
    assert max(top, left) <= LIMITS.padding
    assert set(found.stride) <= set(LIMITS.strides)
    x = rng.integers(-5, 5, (3, *size)).astype(float)
    assert np.array_equal(sums(found, x), sums(form, x))


@given(
    kernel=pairs,
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(*[st.integers(0, 2)] * 2),
    pool=pairs,
    step=pairs,
    rim=st.tuples(*[st.integers(0, 1)] * 2),
    size=st.tuples(st.integers(6, 13), st.integers(6, 13)),
    seed=st.integers(0, 999),
)
def test_a_pooling_within_the_kernel_gives_the_same_sums(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    pool: tuple[int, int],
    step: tuple[int, int],
    rim: tuple[int, int],
    size: tuple[int, int],
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    form = Form(rng.integers(-9, 9, (2, 3, *kernel)).astype(float), stride, (*padding, *padding))
    inner = window_positions(size, pool, step, (*rim, *rim))
    if min(inner) < 1 or min(form.positions(inner)) < 1:
        return
    found = behind_pool(form, list(zip(pool, step, strict=True)), rim, size)
    x = rng.integers(-5, 5, (3, *size)).astype(float)
    wanted = sums(form, pooled(x, pool, step, rim))
    if found is not None:
        assert np.array_equal(sums(found, x), wanted)
    elif padding == (0, 0):
        raise AssertionError("without padding behind it a pooling is always part of a kernel")


def test_the_smallest_kernel_is_taken_and_margins_go() -> None:
    weight = np.zeros((1, 1, 5, 3))
    weight[0, 0, 1:4, 1] = (1, 2, 3)
    found = regular(Form(weight, (1, 1), (2, 1, 2, 1)), (8, 8), LIMITS)
    assert found is not None
    assert found.weight.shape == (1, 1, 3, 3)
    assert found.padding == (1, 1, 1, 1)
    assert found.weight[0, 0].tolist() == [[0, 1, 0], [0, 2, 0], [0, 3, 0]]
    larger = regular(Form(weight, (1, 1), (2, 1, 2, 1)), (8, 8), LIMITS, least=4)
    assert larger is not None
    assert larger.weight.shape == (1, 1, 5, 5)
    silent = regular(Form(np.zeros((1, 1, 3, 2)), (1, 1), (1, 0, 1, 1)), (8, 8), LIMITS)
    assert silent is not None
    assert not silent.weight.any()


def test_there_is_not_always_one() -> None:
    assert regular(Form(np.ones((1, 1, 3, 2)), (1, 1), (0, 0, 0, 0)), (8, 8), LIMITS) is None
    assert regular(Form(np.ones((1, 1, 3, 3)), (3, 3), (0, 0, 0, 0)), (12, 12), LIMITS) is None
    assert regular(Form(np.ones((1, 1, 16, 16)), (1, 1), (0, 0, 0, 0)), (16, 16), LIMITS) is None


def test_dilation_and_groups_become_zeros() -> None:
    assert spread(np.ones((1, 1, 2, 2)), (2, 3))[0, 0].tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 1]]
    form = form_of(conv(np.ones((2, 1, 2, 2)), dilation=(2, 1), groups=2, padding=(1, 0)))
    assert form.weight.shape == (2, 2, 3, 2)
    assert form.weight[0, :, :, 0].tolist() == [[1, 0, 1], [0, 0, 0]]
    assert form.padding == (1, 0, 1, 0)
