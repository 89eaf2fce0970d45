"""What a convolution takes of a core with shared kernels, against the patterns of every source place one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from spiking import PLAIN_IF, conv, fire, plain

from snnport.program import Conv, Dense, Projection
from snnport.targets.base import resolve_target
from snnport.targets.loihi.kernels import rectangles, shared_lists
from snnport.targets.loihi.memory import axon_bits, axons_into, list_bits
from snnport.targets.synapses import conv_output

LOIHI1 = resolve_target("loihi1")


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.integers(1, 5)] * 3), st.data())
def test_rectangles_cover_a_range_once(shape: tuple[int, int, int], data: st.DataObject) -> None:
    size = shape[0] * shape[1] * shape[2]
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    found = rectangles(shape, start, stop)
    places = [(c * shape[1] + y) * shape[2] + x for cs, ys, xs in found for c in cs for y in ys for x in xs]
    assert sorted(places) == list(range(start, stop))
    assert len(found) <= 5


def patterns(synapse: Conv) -> Counter[int]:
    """Synapses -> lists, one for each distinct set of taps of a source place and each input channel of its group."""
    _, height, width = synapse.input_shape
    outputs, rows, columns = conv_output(synapse)
    kh, kw = synapse.codes.shape[2:]
    top, left = synapse.padding[:2]
    seen = set()
    for y in range(height):
        for x in range(width):
            taps = set()
            for i in range(kh):
                for j in range(kw):
                    ty, tx = y + top - i * synapse.dilation[0], x + left - j * synapse.dilation[1]
                    whole = ty % synapse.stride[0] == tx % synapse.stride[1] == 0
                    if whole and 0 <= ty // synapse.stride[0] < rows and 0 <= tx // synapse.stride[1] < columns:
                        taps.add((i, j))
            if taps:
                seen.add(frozenset(taps))
    per_group = outputs // synapse.groups
    found: Counter[int] = Counter()
    for taps in seen:
        found[len(taps) * per_group] += synapse.input_shape[0]
    return found


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 2]), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(1, 2), st.integers(5, 7))
def test_a_whole_map_shares_a_list_a_pattern(groups: int, kernel: int, stride: int, pad: int, dilation: int, size: int) -> None:
    codes = np.ones((4, 2 // groups, kernel, kernel), np.int64)
    synapse = Conv(codes, (2, size, size), (stride,) * 2, (pad,) * 4, (dilation,) * 2, groups)
    targets = int(np.prod(conv_output(synapse)))
    assert dict(shared_lists(synapse, 0, targets)) == dict(patterns(synapse))


def test_both_numbers_of_a_convolution_are_told() -> None:
    """8 maps of 16x16 behind 3x3 kernels on 4 maps: 9 patterns and 4 lists each, against 1,024 lists of up to 72 synapses."""
    node = conv(np.ones((8, 4, 3, 3)), padding=(1, 1))
    graph = plain((4, 16, 16), {"c": node, "n": fire((8, 16, 16), 9)}, PLAIN_IF)
    program = LOIHI1.lower(graph)
    (projection,) = program.projections
    shared = list_bits(projection, 0, 2048, LOIHI1.chip)
    sizes = np.array([8 * a * b for a in (2, 3, 2) for b in (2, 3, 2)])
    assert shared == 4 * int(axon_bits(sizes, LOIHI1.chip, sparse=True).sum())
    alone = list_bits(projection, 0, 2048, LOIHI1.chip, shared=False)
    assert alone > 20 * shared
    told = [w.message for w in LOIHI1.check(graph).warnings if w.rule == "synaptic-memory"]
    assert len(told) == 1
    assert told[0].startswith("its kernels are shared among places: ")
    assert axons_into((projection,), 0, 2048) == 256


def test_planes_of_one_projection_share_their_axons_and_delays_take_bits() -> None:
    plus = Projection("p+0", "a", "b", Dense(np.ones((3, 5), np.int64)))
    minus = Projection("p-2", "a", "b", Dense(-np.ones((3, 5), np.int64)), None, 1, 2)
    other = Projection("q", "c", "b", Dense(np.ones((3, 2), np.int64)))
    assert axons_into((plus, minus, other), 0, 3) == 7
    assert axon_bits(np.array([64]), LOIHI1.chip, sparse=False, delay=9).tolist() == [64 * (8 + 4) + 64]
