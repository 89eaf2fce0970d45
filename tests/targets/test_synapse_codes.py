from __future__ import annotations

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spiking import conv, dense, fire, plain, sum_pool, wired

from snnport.graph import shapes
from snnport.nodes import input_node, output_node
from snnport.passes.paths import walk
from snnport.program import Conv, Dense, Diagonal, SumPool
from snnport.reference import forward
from snnport.targets.synapses import (
    bias_of,
    composes,
    conv_output,
    map_shape,
    pool_of,
    pool_output,
    synapse_of,
    trimmed,
)


def correlate(conv: Conv, x: np.ndarray) -> np.ndarray:
    """The definition, with loops: Program.Conv's docstring."""
    top, left, bottom, right = conv.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)))
    out, height, width = conv_output(conv)
    result = np.zeros((out, height, width), np.int64)
    per_group = out // conv.groups
    inputs = conv.codes.shape[1]
    for o in range(out):
        group = padded[(o // per_group) * inputs : (o // per_group + 1) * inputs]
        for y in range(height):
            for z in range(width):
                rows = slice(y * conv.stride[0], y * conv.stride[0] + conv.dilation[0] * (conv.codes.shape[2] - 1) + 1)
                columns = slice(z * conv.stride[1], z * conv.stride[1] + conv.dilation[1] * (conv.codes.shape[3] - 1) + 1)
                patch = group[:, rows, columns][:, :: conv.dilation[0], :: conv.dilation[1]]
                result[o, y, z] = int((patch * conv.codes[o]).sum())
    return result


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_trimming_changes_no_sum(data: st.DataObject) -> None:
    draw = data.draw
    kh, kw = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    padding = tuple(draw(st.integers(0, 3)) for _ in range(4))
    stride = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    codes = rng.integers(-5, 6, (2, 2, kh, kw))
    for axis, count in ((2, kh), (3, kw)):
        index: list[slice | int] = [slice(None)] * 4
        for edge in (0, -1):
            if draw(st.booleans()) and count > 1:
                index[axis] = edge
                codes[tuple(index)] = 0
    size = (2, 9, 8)
    full = Conv(codes, size, stride, padding, dilation)
    cut = trimmed(full)
    x = rng.integers(0, 3, size)
    assert np.array_equal(correlate(full, x), correlate(cut, x))
    assert min(cut.padding) >= 0
    assert cut.codes.size <= codes.size


def test_a_kernel_widened_for_uneven_padding_gets_it_back() -> None:
    codes = np.zeros((1, 1, 3, 3), np.int64)
    codes[:, :, 1:, 1:] = [[1, 2], [3, 4]]
    cut = trimmed(Conv(codes, (1, 4, 4), (1, 1), (1, 1, 1, 1)))
    assert cut.codes.tolist() == [[[[1, 2], [3, 4]]]]
    assert cut.padding == (0, 0, 1, 1)


def test_padding_never_becomes_negative() -> None:
    codes = np.zeros((1, 1, 3, 1), np.int64)
    codes[0, 0, 2, 0] = 1
    assert trimmed(Conv(codes, (1, 5, 1), (1, 1), (1, 0, 0, 0))).codes.shape == (1, 1, 2, 1)
    assert trimmed(Conv(codes, (1, 5, 1), (1, 1), (0, 0, 0, 0))).codes.shape == (1, 1, 3, 1)
    assert trimmed(Conv(codes, (1, 5, 1), (1, 1), (3, 0, 0, 0), (2, 1))).padding == (1, 0, 0, 0)


def test_an_empty_kernel_keeps_one_entry() -> None:
    cut = trimmed(Conv(np.zeros((1, 1, 3, 3), np.int64), (1, 4, 4), (1, 1), (3, 3, 3, 3)))
    assert cut.codes.shape == (1, 1, 1, 1)
    assert conv_output(cut) == (1, 8, 8)


@pytest.mark.parametrize(
    ("chain", "good"),
    [
        ((sum_pool(2), sum_pool(2)), True),
        ((sum_pool(2), sum_pool(3, 1)), True),
        ((sum_pool(3, 2), sum_pool(2)), False),
        ((sum_pool(3, 2), sum_pool(1, 2)), True),
        ((sum_pool(2), sum_pool(2, 2, 1)), False),
        ((sum_pool(2, 2, 1), sum_pool(2)), False),
        ((sum_pool(2), sum_pool(2), sum_pool(2)), True),
    ],
)
def test_a_chain_of_poolings_is_one_pooling_or_refused(chain: tuple[nir.SumPool2d, ...], good: bool) -> None:
    nodes = {f"p{i}": pool for i, pool in enumerate(chain)}
    size = shapes(plain((2, 17, 17), nodes))[f"p{len(chain) - 1}"]
    graph = plain((2, 17, 17), {**nodes, "n": fire(size)})
    path = walk(graph)[0][0]
    assert composes(graph, path) is good
    pool = pool_of(graph, path, shapes(graph))
    if not good:
        assert pool is None
        return
    assert isinstance(pool, SumPool)
    assert pool_output(pool) == size
    x = np.random.default_rng(0).integers(0, 3, (1, 2, 17, 17))
    one = nir.SumPool2d(np.array(pool.kernel_size), np.array(pool.stride), np.array([0, 0]))
    alone = forward(plain((2, 17, 17), {"p": one}), x)
    assert np.array_equal(forward(plain((2, 17, 17), nodes), x), alone)


def test_a_padded_pooling_alone_is_kept() -> None:
    graph = plain((1, 5, 5), {"p": sum_pool(3, 2, 1), "n": fire((1, 3, 3))})
    path = walk(graph)[0][0]
    assert pool_of(graph, path, shapes(graph)) == SumPool((1, 5, 5), (3, 3), (2, 2), (1, 1, 1, 1))


def test_a_1d_convolution_is_one_of_height_1() -> None:
    weight = np.array([[[1.0, -2.0, 3.0]]])
    node = nir.Conv1d(6, weight, 2, 1, 1, 1, np.zeros(1), metadata={"scale": 1.0})
    graph = plain((1, 6), {"c": node, "n": fire((1, 3))})
    synapse = synapse_of(graph, walk(graph)[0][0], shapes(graph))
    assert isinstance(synapse, Conv)
    assert synapse.codes.tolist() == [[[[1, -2, 3]]]]
    assert (synapse.input_shape, synapse.stride, synapse.padding) == ((1, 1, 6), (1, 2), (0, 1, 0, 1))
    x = np.array([[[1, 2, 0, 1, 3, 1]]])
    assert np.array_equal(correlate(synapse, x).reshape(-1), forward(plain((1, 6), {"c": node}), x).reshape(-1))


def test_same_padding_of_an_even_1d_kernel_has_its_longer_half_behind() -> None:
    node = nir.Conv1d(5, np.ones((1, 1, 4)), 1, "same", 1, 1, np.zeros(1), metadata={"scale": 1.0})
    graph = plain((1, 5), {"c": node, "n": fire((1, 5))})
    synapse = synapse_of(graph, walk(graph)[0][0], shapes(graph))
    assert isinstance(synapse, Conv)
    assert synapse.padding == (0, 1, 0, 2)


def test_ways_without_weights_and_scales_are_diagonals() -> None:
    graph = wired(
        {
            "input": input_node((2, 2, 2)),
            "s": nir.Scale(np.array([[[3.0]], [[-4.0]]]), metadata={"scale": 1.0}),
            "n": fire((2, 2, 2)),
            "output": output_node(),
        },
        [("input", "s"), ("s", "n"), ("input", "n"), ("n", "output")],
    )
    scale, direct = (synapse_of(graph, path, shapes(graph), unit=7) for path in walk(graph)[0])
    assert isinstance(scale, Diagonal)
    assert scale.codes.tolist() == [3, 3, 3, 3, -4, -4, -4, -4]
    assert isinstance(direct, Diagonal)
    assert direct.codes.tolist() == [7] * 8


def test_a_flattened_map_runs_in_c_order() -> None:
    graph = plain(
        (2, 2, 2), {"f": nir.Flatten({"input": np.array([2, 2, 2])}, 0, -1), "w": dense([list(range(8))]), "n": fire((1,))}
    )
    synapse = synapse_of(graph, walk(graph)[0][0], shapes(graph))
    assert isinstance(synapse, Dense)
    assert synapse.codes.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]


def test_a_bias_counts_once_however_many_sources_share_its_node() -> None:
    graph = wired(
        {
            "input": input_node((2, 3, 3)),
            "a": fire((2, 3, 3)),
            "c": conv(np.ones((2, 2, 1, 1)), bias=[5, -6]),
            "d": conv(np.ones((2, 2, 1, 1)), bias=[100, 100]),
            "n": fire((2, 3, 3)),
            "output": output_node(),
        },
        [("input", "a"), ("input", "c"), ("a", "c"), ("c", "n"), ("a", "d"), ("d", "n"), ("n", "output")],
    )
    paths = walk(graph)[0]
    assert len([p for p in paths if p.target == "n"]) == 3
    assert bias_of(graph, paths, shapes(graph), "n").tolist() == [105] * 9 + [94] * 9


def test_codes_need_a_scale_that_divides_the_weights() -> None:
    graph = plain((2,), {"w": dense([[1, 2]]), "n": fire((1,))})
    path = walk(graph)[0][0]
    graph.nodes["w"].metadata["scale"] = 0.7
    assert synapse_of(graph, path, shapes(graph)) is None
    del graph.nodes["w"].metadata["scale"]
    assert synapse_of(graph, path, shapes(graph)) is None


def test_shapes_as_maps() -> None:
    assert [map_shape(s) for s in ((5,), (2, 7), (2, 3, 4), (2, 3, 4, 5))] == [(5, 1, 1), (2, 1, 7), (2, 3, 4), (2, 3, 20)]
