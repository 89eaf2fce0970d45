from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnport import nodes
from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.nodes import BatchNorm, MaxPool2d, QuantReLU, input_node, output_node

SIDE = st.integers(1, 9)
SMALL = st.integers(1, 3)
PAD = st.integers(0, 3)


def conv(out: int, channels: int, kernel: tuple[int, int] = (3, 3), **options: Any) -> nir.Conv2d:
    values = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, **options}
    return nir.Conv2d(None, np.ones((out, channels // values["groups"], *kernel)), bias=np.zeros(out), **values)


def conv1d(out: int, channels: int, kernel: int, **options: Any) -> nir.Conv1d:
    values = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **options}
    return nir.Conv1d(None, np.ones((out, channels // values["groups"], kernel)), bias=np.zeros(out), **values)


def neuron(shape: tuple[int, ...]) -> nir.IF:
    return nir.IF(np.ones(shape), np.ones(shape))


def positions(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    """How many windows fit, counted one by one."""
    count = 0
    while count * stride + dilation * (kernel - 1) < size + before + after:
        count += 1
    return count


@given(
    st.tuples(SIDE, SIDE),
    st.tuples(SMALL, SMALL),
    st.tuples(SMALL, SMALL),
    st.tuples(PAD, PAD, PAD, PAD),
    st.tuples(SMALL, SMALL),
)
def test_window_positions_are_those_counted_one_by_one(
    size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> None:
    counted = tuple(positions(size[i], kernel[i], stride[i], padding[i], padding[i + 2], dilation[i]) for i in (0, 1))
    found = nodes.window_positions(size, kernel, stride, padding, dilation)
    assert tuple(max(n, 0) for n in found) == counted


@given(st.tuples(SIDE, SIDE), st.tuples(st.integers(1, 6), st.integers(1, 6)), st.tuples(SMALL, SMALL))
def test_same_padding_keeps_the_size_and_puts_the_odd_one_behind(size: Any, kernel: Any, dilation: Any) -> None:
    node = conv(1, 1, kernel, padding="same", dilation=dilation)
    top, left, bottom, right = nodes.conv_padding(node)
    assert nodes.window_positions(size, kernel, (1, 1), (top, left, bottom, right), dilation) == size
    assert bottom - top in (0, 1)
    assert right - left in (0, 1)


def test_padding_in_words_and_numbers() -> None:
    assert nodes.conv_padding(conv(1, 1, (3, 5), padding="valid")) == (0, 0, 0, 0)
    assert nodes.conv_padding(conv(1, 1, (2, 5), padding="same")) == (0, 2, 1, 2)
    assert nodes.conv_padding(conv(1, 1, padding=2)) == (2, 2, 2, 2)
    assert nodes.conv_padding(conv(1, 1, padding=(1, 2))) == (1, 2, 1, 2)


@pytest.mark.parametrize("value", [2, (2, 2), [2], np.array(2), np.array([2, 2])])
def test_pair(value: Any) -> None:
    assert nodes.pair(value) == (2, 2)


def windows(x: np.ndarray, kernel: Any, stride: Any, padding: Any, dilation: Any, fill: float) -> np.ndarray:
    """(channels, rows, columns, kh, kw) windows of a padded map, cut out one by one."""
    top, left, bottom, right = padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=fill)
    rows = [y for y in range(0, padded.shape[1], stride[0]) if y + dilation[0] * (kernel[0] - 1) < padded.shape[1]]
    columns = [c for c in range(0, padded.shape[2], stride[1]) if c + dilation[1] * (kernel[1] - 1) < padded.shape[2]]
    cut = [
        [
            padded[:, y : y + dilation[0] * kernel[0] : dilation[0], c : c + dilation[1] * kernel[1] : dilation[1]]
            for c in columns
        ]
        for y in rows
    ]
    return np.array([[w[:, : kernel[0], : kernel[1]] for w in row] for row in cut]).transpose(2, 0, 1, 3, 4)


@given(st.data())
def test_the_shape_of_a_convolution_is_that_of_the_maps_it_makes(data: st.DataObject) -> None:
    groups, size = data.draw(st.integers(1, 2)), data.draw(st.tuples(st.integers(4, 8), st.integers(4, 8)))
    kernel, stride, dilation = (data.draw(st.tuples(SMALL, SMALL)) for _ in range(3))
    kernel = tuple(min(k, 2) for k in kernel)
    padding = data.draw(st.sampled_from(["same", "valid", (1, 2), (0, 1)] if stride == (1, 1) else ["valid", (1, 2)]))
    node = conv(2 * groups, 3 * groups, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
    x = np.ones((3 * groups, *size))
    cut = windows(x, kernel, stride, nodes.conv_padding(node), dilation, 0.0)
    made = np.einsum("cyxij,ocij->oyx", cut, nodes.ungrouped(node))
    assert nodes.output_shape("c", node, x.shape) == made.shape


@pytest.mark.parametrize("kind", ["sum", "average", "max"])
@given(st.tuples(st.integers(3, 8), st.integers(3, 8)), st.tuples(SMALL, SMALL), st.tuples(SMALL, SMALL))
def test_the_shape_of_a_pooling_is_that_of_its_windows(kind: str, size: Any, kernel: Any, stride: Any) -> None:
    arrays = np.array(kernel), np.array(stride), np.array((1, 0))
    pools = {"sum": nir.SumPool2d(*arrays), "average": nir.AvgPool2d(*arrays), "max": MaxPool2d(kernel, stride, (1, 0, 1, 0))}
    x = np.ones((2, *size))
    assert nodes.output_shape("p", pools[kind], x.shape) == windows(x, kernel, stride, (1, 0, 1, 0), (1, 1), 0.0).shape[:3]


@given(st.integers(1, 12), st.integers(1, 4), SMALL, st.sampled_from(["same", "valid", 0, 1, 2]), SMALL)
def test_the_shape_of_a_convolution_in_one_dimension(
    length: int, kernel: int, stride: int, padding: Any, dilation: int
) -> None:
    stride = 1 if padding == "same" else stride
    node = conv1d(2, 3, kernel, stride=stride, padding=padding, dilation=dilation)
    total = {"same": dilation * (kernel - 1), "valid": 0}.get(padding, 2 * padding if isinstance(padding, int) else 0)
    count = positions(length, kernel, stride, 0, total, dilation)
    if count:
        assert nodes.output_shape("c", node, (3, length)) == (2, count)
        return
    with pytest.raises(InvalidGraph, match=f"c: its kernel {kernel} is larger than its padded input"):
        nodes.output_shape("c", node, (3, length))


@given(st.integers(1, 3), st.data())
def test_ungrouped_weights_compute_what_the_groups_compute(groups: int, data: st.DataObject) -> None:
    out, channels = data.draw(SMALL), data.draw(SMALL)
    weight = np.arange(out * groups * channels * 2, dtype=float).reshape(out * groups, channels, 1, 2) + 1
    node = nir.Conv2d(None, weight, (1, 1), (0, 0), (1, 1), groups, np.zeros(out * groups))
    x = np.random.default_rng(0).integers(-5, 5, (channels * groups, 1, 2)).astype(float)
    parts = [
        np.einsum("oiyx,iyx->o", weight[k * out : (k + 1) * out], x[k * channels : (k + 1) * channels]) for k in range(groups)
    ]
    np.testing.assert_array_equal(np.einsum("oiyx,iyx->o", nodes.ungrouped(node), x), np.concatenate(parts))


@pytest.mark.parametrize(
    ("node", "before", "after"),
    [
        (nir.Affine(np.ones((4, 3)), np.ones(4)), (3,), (4,)),
        (nir.Linear(np.ones((4, 3))), (3,), (4,)),
        (nir.Scale(np.ones((3, 1, 1))), (3, 2, 2), (3, 2, 2)),
        (BatchNorm(np.ones(3), np.zeros(3)), (3, 2, 2), (3, 2, 2)),
        (QuantReLU(1.0, 4, 1.0), (3, 2), (3, 2)),
        (nir.Flatten({"input": np.array([2, 3, 4])}, 1, 2), (2, 3, 4), (2, 12)),
        (nir.Flatten({"input": np.array([2, 3, 4])}, 0, 1), (2, 3, 4), (6, 4)),
        (nir.Flatten({"input": np.array([5])}, 0, -1), (5,), (5,)),
        (nir.Threshold(np.ones(3)), (3,), (3,)),
        (nir.Delay(np.ones(3)), (3,), (3,)),
        (nir.LIF(np.ones(()), np.ones(()), np.ones(()), np.ones(())), (3, 2), (3, 2)),
        (nir.I(np.ones(1)), (3,), (3,)),
    ],
)
def test_output_shapes(node: nir.NIRNode, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    assert nodes.output_shape("n", node, before) == after


@pytest.mark.parametrize(
    ("node", "shape", "message"),
    [
        (conv(2, 3), (3, 4), r"n: it needs a \(channels, height, width\) map and gets \(3, 4\)"),
        (conv(2, 3), (2, 4, 4), "n: its input has 2 channels, its weight takes 3"),
        (conv(2, 4, groups=2), (2, 4, 4), "n: its input has 2 channels, its weight takes 4"),
        (conv(2, 3), (3, 4, 2), r"n: its kernel \(3, 3\) is larger than its padded input \(3, 4, 2\)"),
        (conv1d(2, 3, 3), (3, 4, 4), r"n: its input is \(3, 4, 4\), its weight takes \(3, length\)"),
        (conv1d(2, 3, 3), (3, 2), r"n: its kernel 3 is larger than its padded input \(3, 2\)"),
        (nir.Affine(np.ones((4, 3)), np.ones(4)), (4,), r"n: its input is \(4,\), its weight takes \(3,\)"),
        (nir.Linear(np.ones((4, 3))), (2, 3), r"n: its input is \(2, 3\), its weight takes \(3,\)"),
        (nir.Linear(np.ones((4, 3))), (), r"n: its input is \(\), its weight takes \(3,\)"),
        (nir.SumPool2d(np.array([3, 3]), np.array([1, 1]), np.array([0, 0])), (1, 2, 5), r"its kernel \(3, 3\) is larger than"),
        (MaxPool2d((3, 3), (1, 1), (0, 0, 0, 0)), (1, 5, 2), r"n: its kernel \(3, 3\) is larger than its padded input"),
        (BatchNorm(np.ones(2), np.zeros(2)), (3, 4), r"n: its input has shape \(3, 4\), it scales 2 channels"),
        (BatchNorm(np.ones(2), np.zeros(2)), (), r"n: its input has shape \(\), it scales 2 channels"),
        (neuron((2,)), (3,), r"n: its parameters have shape \(2,\), its input \(3,\)"),
        (nir.Threshold(np.ones(2)), (3,), r"n: its parameters have shape \(2,\), its input \(3,\)"),
        (nir.Scale(np.ones(2)), (3,), r"n: its scale has shape \(2,\), its input \(3,\)"),
        (nir.Scale(np.ones((2, 3))), (3,), r"n: its scale has shape \(2, 3\), its input \(3,\)"),
        (output_node((4,)), (3,), r"n: it declares \(4,\) and gets \(3,\)"),
    ],
)
def test_contradicting_shapes(node: nir.NIRNode, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InvalidGraph, match=message):
        nodes.output_shape("n", node, shape)


def test_a_node_without_a_shape_rule() -> None:
    with pytest.raises(UnsupportedNode, match="n: there is no shape rule for Input"):
        nodes.output_shape("n", input_node((3,)), (3,))


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (nir.Linear(np.ones((2, 3))), (3,)),
        (nir.Affine(np.ones((2, 3)), np.ones(2)), (3,)),
        (neuron((4, 2)), (4, 2)),
    ],
)
def test_parameters_that_tell_the_input_shape(node: nir.NIRNode, shape: tuple[int, ...]) -> None:
    assert nodes.own_input_shape("n", node) == shape


@pytest.mark.parametrize("node", [nodes.ReLU(), conv(1, 1), neuron(())])
def test_parameters_that_do_not_tell_the_input_shape(node: nir.NIRNode) -> None:
    with pytest.raises(InvalidGraph, match="n: it is fed by a loop alone, and its parameters do not tell its shape"):
        nodes.own_input_shape("n", node)


def test_flatten_node_takes_all_axes() -> None:
    assert nodes.output_shape("n", nodes.flatten_node((2, 3, 4)), (2, 3, 4)) == (24,)
