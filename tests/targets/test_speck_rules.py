from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest
from spiking import (
    PLAIN_IF,
    coded,
    conv,
    dense,
    fire,
    gate_mlp,
    integrate,
    leaky,
    plain,
    relay,
    sum_pool,
    wired,
)

from snnport.chip import Chip, Number
from snnport.convention import Window
from snnport.graph import Graph
from snnport.nodes import flatten_node, input_node, output_node
from snnport.targets.base import CheckResult, Target, resolve_target
from snnport.targets.speck.layers import layers_of

SPECK = resolve_target("speck2f")


def varied(**numbers: object) -> Target:
    changed = {key: Number(value, "", "", "low") for key, value in numbers.items()}
    return SPECK.with_chip(Chip("mine", "speck2f", "", {**SPECK.chip.numbers, **changed}))


def broken(result: CheckResult, rule: str) -> list[tuple[str, str]]:
    return [(v.where, v.message) for v in result.violations if v.rule == rule]


def warned(result: CheckResult, rule: str) -> list[tuple[str, str]]:
    return [(w.where, w.message) for w in result.warnings if w.rule == rule]


def layer(
    shape: tuple[int, int, int],
    out: int = 1,
    k: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    pad: int | str = 0,
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Graph:
    """One convolution of ones and its neurons."""
    padding = pad if isinstance(pad, str) else (pad, pad)
    c = conv(np.ones((out, shape[0] // groups, *k)), stride, padding, dilation, groups)
    from snnport.nodes import output_shape

    size = output_shape("c", c, shape)
    return plain(shape, {"c": c, "n": fire(size, 5)})


def test_the_gate_code_needs_a_clock() -> None:
    found = [v for v in SPECK.check(gate_mlp()).violations if v.rule == "time-base"]
    assert [(v.where, v.message, v.remedy) for v in found] == [
        (
            "n",
            "the gate code opens and closes 1 populations at set steps, the chip has no clock",
            "Convert with --code rate",
        )
    ]


def test_max_pooling_needs_steps() -> None:
    graph = plain((1, 2, 2), {"p": sum_pool(2), "m": relay((1, 1, 1))})
    windows = {"input": Window("input", 0, 0, 3), "m": Window("relay", 1, 1, 3)}
    result = SPECK.check(coded(graph, "gate", windows, 5))
    assert broken(result, "max-pooling") == [
        ("m", "max pooling needs steps in which it takes the OR of spikes, the chip has none")
    ]


def test_a_subtracting_and_a_zero_reset_fit_and_no_other() -> None:
    nodes = {"w": dense([[3]]), "n": fire((1,), 10, reset=-2.0)}
    for reset in ("subtract", "zero"):
        assert SPECK.check(plain((1,), nodes, PLAIN_IF.having(reset=reset))).fits
    result = SPECK.check(plain((1,), nodes, PLAIN_IF.having(reset="value")))
    assert broken(result, "reset-value") == [("n", "it resets to 2, the chip to 0")]


def test_nodes_without_a_counterpart() -> None:
    graph = plain(
        (2,), {"s": nir.Scale(np.ones(2), metadata={"scale": 1.0}), "l": leaky((2,), 2.0, 5), "d": nir.Delay(np.ones(2))}
    )
    assert [where for where, _ in broken(SPECK.check(graph), "supported-nodes")] == ["s", "l", "d"]


def test_loops_are_refused() -> None:
    nodes = {"input": input_node((1,)), "w": dense([[4]]), "n": fire((1,)), "r": dense([[6]]), "output": output_node()}
    graph = wired(nodes, [("input", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "output")])
    assert broken(SPECK.check(graph), "recurrence") == [("n", "'n' drives it in a loop, the chip can deadlock")]


def joined(second: nir.NIRNode) -> Graph:
    """`a` and the input drive `n`, through `v` and `u`."""
    nodes = {
        "input": input_node((1, 4, 4)),
        "w": conv(np.full((1, 1, 3, 3), 4), padding=(1, 1)),
        "a": fire((1, 4, 4)),
        "v": conv(np.full((1, 1, 3, 3), 2), padding=(1, 1)),
        "u": second,
        "n": fire((1, 4, 4)),
        "output": output_node(),
    }
    edges = [("input", "w"), ("w", "a"), ("a", "v"), ("v", "n"), ("input", "u"), ("u", "n"), ("n", "output")]
    return wired(nodes, edges)


def test_kernels_of_two_geometries_are_no_kernel_of_one_core() -> None:
    result = SPECK.check(joined(conv([[[[3]]]])))
    assert broken(result, "one-kernel") == [
        ("n", "2 weighted nodes of different geometry lead into it (u, v), a core has 1 kernel")
    ]
    assert {v.rule for v in result.violations} == {"one-kernel"}
    assert result.violations[0].remedy == (
        "Give them one kernel size, stride, padding and map; `check --fix` does it: square-kernel"
    )


def test_kernels_of_one_geometry_stand_side_by_side_in_one() -> None:
    graph = joined(conv(np.full((1, 1, 3, 3), 3), padding=(1, 1)))
    result = SPECK.check(graph)
    assert result.fits
    layer_n = layers_of(SPECK.lower(graph))[1]
    assert layer_n.kernel_shape == (1, 2, 3, 3)
    assert [(feed.source, feed.shift) for feed in layer_n.feeds] == [("input", 0), ("a", 1)]
    assert layer_n.kernel[0, :, 0, 0].tolist() == [3, 2]
    words = [u.used for u in result.usage if u.resource == "kernel-words" and u.where.startswith("n ")]
    assert words == [2 * 16]


def test_sources_of_equal_weights_share_a_kernel() -> None:
    layer_n = layers_of(SPECK.lower(joined(conv(np.full((1, 1, 3, 3), 2), padding=(1, 1)))))[1]
    assert layer_n.kernel_shape == (1, 1, 3, 3)
    assert [(feed.source, feed.shift) for feed in layer_n.feeds] == [("input", 0), ("a", 0)]


def test_a_core_begins_with_weights() -> None:
    nodes = {"input": input_node((1,)), "w": dense([[4]]), "a": fire((1,)), "n": fire((1,)), "output": output_node()}
    result = SPECK.check(wired(nodes, [("input", "w"), ("w", "a"), ("a", "n"), ("n", "output")]))
    assert broken(result, "weighted-paths") == [("n", "spikes reach it without weights, a core begins with a convolution")]
    assert {v.rule for v in result.violations} == {"weighted-paths"}


@pytest.mark.parametrize(
    ("graph", "rule", "message"),
    [
        (layer((1, 8, 8), k=(3, 1)), "square-kernel", "its kernel is 3x1, the chip's are square"),
        (layer((1, 20, 20), k=(16, 16)), "kernel-size", "its kernel is 16x16, the limit is 15x15"),
        (layer((1, 20, 20), stride=(3, 3)), "stride", "its stride is (3, 3), the chip has (1, 2, 4, 8)"),
        (layer((1, 8, 8), stride=(1, 3)), "stride", "its stride is (1, 3), the chip has (1, 2, 4, 8)"),
        (layer((1, 8, 8), k=(9, 9), pad=8), "padding", "its padding is 8, the limit is 7"),
        (
            layer((1, 8, 8), k=(2, 2), pad="same"),
            "padding",
            "its padding is (0, 0, 1, 1), the chip's is equal on opposite sides",
        ),
        (layer((1, 8, 8), k=(3, 3), dilation=(2, 2)), "dilation", "its dilation is (2, 2), the chip has (1, 1)"),
        (layer((2, 8, 8), out=2, groups=2), "groups", "it has 2 groups, the chip has 1"),
    ],
)
def test_the_geometry_of_convolutions(graph: Graph, rule: str, message: str) -> None:
    result = SPECK.check(graph)
    assert broken(result, rule) == [("c", message)]
    assert {v.rule for v in result.violations} == {rule}


@pytest.mark.parametrize(
    "graph",
    [
        layer((1, 20, 20), k=(15, 15)),
        layer((1, 16, 16), stride=(8, 4)),
        layer((1, 8, 8), k=(8, 8), pad=7),
        layer((1, 8, 8), k=(3, 3), pad="same"),
    ],
)
def test_geometry_at_its_limits_fits(graph: Graph) -> None:
    assert SPECK.check(graph).fits


def test_a_1d_convolution_is_no_node_of_the_chip() -> None:
    node = nir.Conv1d(6, np.ones((1, 1, 3)), 1, 1, 1, 1, np.zeros(1), metadata={"scale": 1.0})
    result = SPECK.check(plain((1, 6), {"c": node, "n": fire((1, 6))}))
    assert [(v.rule, v.where, v.message, v.remedy) for v in result.violations] == [
        (
            "supported-nodes",
            "c",
            "a Conv1d has no counterpart on speck2f",
            "Write it as a 2-D convolution on maps of height 1; `check --fix` does it: conv1d-to-2d",
        )
    ]


@pytest.mark.parametrize(("kernel", "stride", "padding", "fits"), [(2, 2, 0, True), (4, 4, 0, True), (3, 3, 0, False)])
def test_sum_pooling(kernel: int, stride: int, padding: int, fits: bool) -> None:
    side = (12 + 2 * padding - kernel) // stride + 1
    nodes = {"p": sum_pool(kernel, stride, padding), "c": conv([[[[1]]]]), "n": fire((1, side, side), 40)}
    found = broken(SPECK.check(plain((1, 12, 12), nodes)), "pool-size")
    assert (found == []) is fits
    if not fits:
        assert found[0][1] == (
            "it pools (3, 3) with stride (3, 3) and padding (0, 0), "
            "the chip pools squares of (1, 2, 4) with stride = kernel and padding 0"
        )


def test_two_poolings_count_as_one() -> None:
    nodes = {"p": sum_pool(2), "q": sum_pool(2), "c": conv([[[[1]]]]), "n": fire((1, 3, 3), 40)}
    assert SPECK.check(plain((1, 12, 12), nodes)).fits
    nodes = {"p": sum_pool(4), "q": sum_pool(2), "c": conv([[[[1]]]]), "n": fire((1, 1, 1), 99)}
    assert [where for where, _ in broken(SPECK.check(plain((1, 8, 8), nodes)), "pool-size")] == ["q"]
    overlap = {"p": sum_pool(2, 1), "c": conv([[[[1]]]]), "n": fire((1, 11, 11), 40)}
    assert [where for where, _ in broken(SPECK.check(plain((1, 12, 12), overlap)), "pool-size")] == ["p"]


def test_map_sizes_and_channels() -> None:
    assert broken(SPECK.check(layer((1, 129, 4), stride=(8, 1))), "map-size") == [
        ("input", "its map is 129x4, the limit is 128x128")
    ]
    assert broken(SPECK.check(layer((1, 66, 4))), "map-size") == [("n", "its map is 66x4, the limit is 64x64")]
    assert broken(SPECK.check(layer((1, 128, 128), stride=(2, 2))), "map-size") == []
    assert broken(SPECK.check(layer((1, 1, 1), out=1024)), "channels") == [("n", "it has 1024 channels, the limit is 1023")]
    assert broken(SPECK.check(layer((1, 1, 1), out=1023)), "channels") == []


def test_a_dense_layer_sees_a_square_map() -> None:
    def graph(height: int, width: int) -> Graph:
        nodes = {"f": flatten_node((2, height, width)), "w": dense(np.ones((3, 2 * height * width))), "n": fire((3,), 99)}
        return plain((2, height, width), nodes)

    assert broken(SPECK.check(graph(3, 4)), "dense-map") == [
        ("w", "it is dense on a map of 3x4, the chip's kernels are square")
    ]
    assert broken(SPECK.check(graph(16, 16)), "kernel-size") == [("w", "its kernel is 16x16, the limit is 15x15")]
    assert SPECK.check(graph(3, 3)).fits
    projection = SPECK.lower(graph(3, 3)).projections[0].synapse
    assert projection.codes.shape == (3, 2, 3, 3)


def test_fan_out() -> None:
    nodes: dict[str, nir.NIRNode] = {"input": input_node((1,))}
    edges = []
    for i in range(3):
        nodes |= {f"w{i}": dense([[1]]), f"n{i}": fire((1,)), f"o{i}": output_node()}
        edges += [("input", f"w{i}"), (f"w{i}", f"n{i}"), (f"n{i}", f"o{i}")]
    assert broken(SPECK.check(wired(nodes, edges)), "fan-out") == [
        ("input", "it sends spikes to 3 populations, the limit is 2")
    ]
    kept = {name: node for name, node in nodes.items() if not name.endswith("2")}
    assert SPECK.check(wired(kept, edges[:6])).fits


def test_one_threshold_a_core() -> None:
    result = SPECK.check(plain((1,), {"w": dense([[3], [3]]), "n": fire((2,), [5, 6])}))
    assert broken(result, "scalar-thresholds") == [("n", "its neurons have 2 different thresholds, a core has 1")]


def test_biases_and_the_readout_are_warnings() -> None:
    result = SPECK.check(plain((1,), {"w": dense([[3], [4]], [0, 7]), "n": fire((2,))}))
    assert result.fits
    assert warned(result, "bias") == [("w", "1 of its biases are not 0; the chip adds them at each tick of a slow clock")]
    assert warned(result, "readout") == [("n", "it has 2 channels, and the readout block takes channel 4k for class k + 1")]
    wide = SPECK.check(plain((1,), {"w": dense(np.ones((16, 1))), "n": fire((16,))}))
    assert warned(wide, "readout") == [("n", "it has 16 channels, the readout block has 15 classes")]


def test_widths() -> None:
    result = SPECK.check(plain((1,), {"w": dense([[200]], [40000], bits=9), "n": fire((1,), 40000)}))
    assert broken(result, "weight-bits") == [("w", "its codes span 200..200, 8 bits hold -128..127")]
    assert broken(result, "bias-bits") == [("n", "its biases span 40000..40000, 16 bits hold -32768..32767")]
    assert broken(result, "threshold-range") == [("n", "its threshold spans 40000..40000 codes, the chip holds 1..32767")]
    assert SPECK.check(plain((1,), {"w": dense([[127]], [127]), "n": fire((1,), 32767)})).fits


def test_a_bias_that_sinabs_would_not_make_is_a_warning() -> None:
    result = SPECK.check(plain((1,), {"w": dense([[3]], [-129]), "n": fire((1,), 10)}))
    assert result.fits
    assert warned(result, "bias-bits") == [
        (
            "n",
            "its biases span -129..-129, 8 bits hold -128..127: the data sheet gives words of 16 bits, sinabs makes 8",
        )
    ]


def test_potentials_start_within_16_bits() -> None:
    """In the rate code three periods of a bias are there at the start: 5 - 3 * 12000."""
    graph = plain((1,), {"w": dense([[3], [4]], [-12000, 7]), "n": fire((2,), 10.0, theta=10)})
    windows = {"input": Window("input", 0, 0, 4), "n": Window("free", 0, 0, 12)}
    result = SPECK.check(coded(graph, "rate", windows, 12))
    assert [(v.rule, v.where, v.message, v.remedy) for v in result.violations] == [
        (
            "initial-range",
            "n",
            "its potentials start at -35995..26, 16 bits hold -32768..32767",
            "Use fewer steps (--steps), fewer weight bits, or no biases",
        )
    ]


def test_a_potential_that_can_saturate_is_a_warning() -> None:
    result = SPECK.check(plain((1,), {"w": dense([[-5]]), "n": fire((1,))}))
    assert result.fits
    assert warned(result, "state-range") == [
        ("n", "its potential can move by 5 a step without bound, 16 bits saturate after 6553 steps")
    ]
    graph = plain((1,), {"w": dense([[-100]]), "n": fire((1,), 10.0, theta=10)})
    windows = {"input": Window("input", 0, 0, 4), "n": Window("free", 0, 0, 400)}
    result = SPECK.check(coded(graph, "rate", windows, 400))
    assert result.fits
    assert warned(result, "state-range") == [("n", "its potential spans -40000..5, 16 bits hold -32768..32767: it saturates")]


def test_a_weight_that_reaches_the_threshold_is_a_warning() -> None:
    result = SPECK.check(plain((1,), {"w": dense([[10]]), "n": fire((1,), 10)}))
    assert result.fits
    assert warned(result, "weight-reaches-threshold") == [
        ("w", "its largest weight is 10, the threshold 10: one event can owe two spikes, the chip sends one")
    ]
    assert warned(SPECK.check(plain((1,), {"w": dense([[9]]), "n": fire((1,), 10)})), "weight-reaches-threshold") == []


def test_memories_padded_to_powers_of_two() -> None:
    """The documented cases: 16->32 3x3 on 64x64 (131072 neurons), a dense 512->500 from 2x2 (262144 kernel words)."""
    result = SPECK.check(layer((16, 64, 64), out=32, k=(3, 3), pad=1))
    assert broken(result, "neuron-memory") == [("n", "it takes 131072 16-bit neuron words, the largest core has 65536")]
    assert broken(result, "kernel-memory") == []
    assert [where for where, _ in broken(result, "core-assignment")] == ["n"]
    nodes = {"f": flatten_node((128, 2, 2)), "w": dense(np.ones((500, 512))), "n": fire((500,), 99)}
    result = SPECK.check(plain((128, 2, 2), nodes))
    assert broken(result, "kernel-memory") == [("n", "it takes 262144 8-bit kernel words, the largest core has 65536")]
    biased = varied(bias_words=(1,) * 9).check(plain((1,), {"w": dense([[3], [4]], [1, 1]), "n": fire((2,))}))
    assert broken(biased, "bias-memory") == [("n", "it takes 2 bias words, the largest core has 1")]


def test_nine_cores_one_layer_each() -> None:
    def deep(layers: int) -> Graph:
        nodes: dict[str, nir.NIRNode] = {}
        for i in range(layers):
            nodes |= {f"w{i}": dense([[3]]), f"n{i}": fire((1,))}
        return plain((1,), nodes)

    assert SPECK.check(deep(9)).fits
    result = SPECK.check(deep(10))
    ((where, message),) = broken(result, "core-assignment")
    assert where == ", ".join(f"n{i}" for i in range(10))
    assert message.startswith(
        "10 layers fit 9 cores alone (0, 1, 2, 3, 4, 5, 6, 7, 8), one layer a core: n0 (1 kernel, 1 neuron"
    )
    program = SPECK.lower(deep(9))
    assert sorted(s.core for s in program.placements) == list(range(9))


def test_usage_names_the_core_of_each_layer() -> None:
    result = SPECK.check(layer((2, 16, 16), out=5, k=(3, 3), pad=1))
    usage = {(u.resource, u.where): (u.used, u.limit) for u in result.usage}
    # 2 * 2^(4 + 3) kernel words, 5 * 2^(4 + 4) neuron words; the smallest core that holds them is core 7.
    assert usage["kernel-words", "n on core 7"] == (256, 16384)
    assert usage["neuron-words", "n on core 7"] == (1280, 16384)
    assert usage["cores", "speck2f"] == (1, 9)


def test_a_program_in_the_vendors_time_stepped_order() -> None:
    program = SPECK.lower(plain((1,), {"w": dense([[3]]), "n": fire((1,), 10)}, PLAIN_IF.having(reset="subtract")))
    params = {key: value.tolist() for key, value in program.population("n").neuron.params.items()}
    assert params == {
        "v_threshold": 10,
        "v_init": 0,
        "reset": 0,
        "bias": 0,
        "max_spikes": 32768,
        "v_min": -32768,
        "v_max": 32767,
    }
    assert program.projections[0].delay == 0
    assert program.meta["semantics"].startswith("time-stepped as Sinabs")


def test_the_lower_bound_of_sinabs_is_kept() -> None:
    sinabs = PLAIN_IF.having(reset="subtract", v_min=-1.0, multi_spike=True)
    program = SPECK.lower(plain((1,), {"w": dense([[-3]]), "n": fire((1,), 10)}, sinabs))
    assert program.population("n").neuron["v_min"].tolist() == -10
    assert warned(SPECK.check(plain((1,), {"w": dense([[-3]]), "n": fire((1,), 10)}, sinabs)), "state-range") == []


def test_a_readout_that_never_fires_gets_a_threshold() -> None:
    graph = plain((2,), {"w": dense([[30, -4], [7, 1]]), "n": integrate((2,))})
    program = SPECK.lower(graph)
    neuron = program.population("n").neuron
    assert (neuron.family, neuron["v_threshold"].tolist(), neuron["reset"].tolist()) == ("if", 31, 0)
    assert program.meta["readout"] == "count"
    assert ("n", "it never fires, and the chip is read by spikes: it gets a threshold one above its largest weight") in warned(
        SPECK.check(graph), "readout"
    )


def test_what_is_no_path_or_no_integer_is_refused_here_too() -> None:
    graph = plain((1,), {"w": dense([[3]]), "v": dense([[3]]), "n": fire((1,))})
    graph.nodes["v"].metadata.clear()
    result = SPECK.check(graph)
    assert [where for where, _ in broken(result, "path-form")] == ["v"]
    assert [where for where, _ in broken(result, "integer-weights")] == ["v"]
    assert not result.fits
    assert replace(result, violations=()).fits


def test_layers_that_compete_for_two_cores_are_named() -> None:
    """Three dense layers of 64 Ki kernel words, and two cores that have them."""
    nodes: dict[str, nir.NIRNode] = {}
    for name, outputs, inputs in (("a", 128, 512), ("b", 512, 128), ("c", 128, 512)):
        nodes |= {f"w_{name}": dense(np.ones((outputs, inputs))), name: fire((outputs,), 999)}
    graph = plain((512,), nodes)
    result = SPECK.check(graph)
    ((where, message),) = broken(result, "core-assignment")
    assert where == "a, b, c"
    assert message == (
        "3 layers fit 2 cores alone (5, 6), one layer a core: a (65536 kernel, 128 neuron words), "
        "b (65536 kernel, 512 neuron words), c (65536 kernel, 128 neuron words)"
    )
    assert {v.rule for v in result.violations} == {"core-assignment"}
    assert result.violations[0].remedy == (
        "Use fewer or smaller layers; `check --fix` does it: split-channels, drop-dead-channels"
    )


def test_the_lower_bound_is_one_number_a_core_and_not_0() -> None:
    rule = PLAIN_IF.having(reset="subtract", v_min=0.0)
    result = SPECK.check(plain((1,), {"w": dense([[3]]), "n": fire((1,))}, rule))
    assert [(v.rule, v.where, v.message, v.remedy) for v in result.violations] == [
        (
            "lower-bound",
            "n",
            "its potential is bounded by 0 from below, and the chip cannot hold a lower bound of 0",
            "Use a bound below 0: --rules v_min=-1 gives minus the threshold",
        )
    ]
    two = plain((1,), {"w": dense([[3], [3]]), "n": fire((2,), [5, 6])}, PLAIN_IF.having(reset="subtract", v_min=-1.0))
    assert broken(SPECK.check(two), "lower-bound") == [("n", "its neurons have 2 lower bounds, -6..-5, a core has 1")]


def test_neurons_that_have_no_bound_keep_none() -> None:
    rule = PLAIN_IF.having(reset="subtract", v_min=-1.0, unbounded=("n",))
    program = SPECK.lower(plain((1,), {"w": dense([[3]]), "n": fire((1,))}, rule))
    assert program.population("n").neuron["v_min"].tolist() == -32768


def test_the_event_pre_processing_pools_the_input_and_nothing_else_does() -> None:
    def pooled(channels: int, kernel: tuple[int, int] = (2, 2)) -> Graph:
        pool = nir.SumPool2d(np.array(kernel), np.array(kernel), np.array([0, 0]))
        size = (1, 8 // kernel[0], 8 // kernel[1])
        return plain((channels, 8, 8), {"p": pool, "c": conv(np.ones((1, channels, 1, 1))), "n": fire(size, 40)})

    assert SPECK.check(pooled(2)).fits
    assert SPECK.check(pooled(2, (4, 2))).fits
    result = SPECK.check(pooled(3))
    assert [(v.rule, v.where, v.message) for v in result.violations] == [
        ("input-stage", "p", "it pools the 3 channels of 'input', the event pre-processing takes 2 polarities")
    ]
    assert result.violations[0].remedy == "Sum in the weights behind it; `check --fix` does it: pool-into-kernel"
    nodes = {"input": input_node((1, 4, 4))}
    edges = []
    for i, k in enumerate((1, 2)):
        side = 4 // k
        nodes |= {f"p{i}": sum_pool(k), f"c{i}": conv([[[[1]]]]), f"n{i}": fire((1, side, side), 9), f"o{i}": output_node()}
        edges += [("input", f"p{i}"), (f"p{i}", f"c{i}"), (f"c{i}", f"n{i}"), (f"n{i}", f"o{i}")]
    found = SPECK.check(wired(nodes, edges))
    assert broken(found, "input-stage") == [
        ("p0", "'input' reaches its layers through 2 different poolings, the event pre-processing has 1")
    ]


def test_a_pooling_behind_a_core_is_square() -> None:
    pool = nir.SumPool2d(np.array([4, 2]), np.array([4, 2]), np.array([0, 0]))
    nodes = {"w": conv([[[[9]]]]), "m": fire((1, 8, 8)), "p": pool, "c": conv([[[[1]]]]), "n": fire((1, 2, 4), 40)}
    ((where, message),) = broken(SPECK.check(plain((1, 8, 8), nodes)), "pool-size")
    assert (where, message[:38]) == ("p", "it pools (4, 2) with stride (4, 2) and")


@pytest.mark.parametrize("name", ["dynapcnn", "speck2e", "speck2f"])
def test_the_erratum_of_the_readout_is_that_of_speck(name: str) -> None:
    target = resolve_target(name)
    result = target.check(plain((1,), {"w": dense([[3], [4]]), "n": fire((2,))}))
    spread = [("n", "it has 2 channels, and the readout block takes channel 4k for class k + 1")]
    assert warned(result, "readout") == ([] if name == "dynapcnn" else spread)
    assert result.target == name
    wide = target.check(plain((1,), {"w": dense(np.ones((16, 1))), "n": fire((16,))}))
    most = (
        "it has 16 classes, the readout block has 15"
        if name == "dynapcnn"
        else "it has 16 channels, the readout block has 15 classes"
    )
    assert warned(wide, "readout") == [("n", most)]


@pytest.mark.parametrize("name", ["dynapcnn", "speck2e", "speck2f"])
def test_a_program_names_its_chip_and_numbers_have_sources(name: str) -> None:
    target = resolve_target(name)
    assert target.lower(plain((1,), {"w": dense([[3]]), "n": fire((1,))})).target == name
    assert (target.chip["sensor"], target.chip["decimator"], target.chip["kill_bits"]) == (
        (0, 0, 1) if name == "dynapcnn" else (1, 1, 0)
    )
    assert all(number.source and number.unit for number in target.chip.numbers.values())
    assert set(target.chip.numbers) == set(SPECK.chip.numbers)


def test_numbers_are_no_events() -> None:
    windows = {"input": Window("message", 0, 0, 3), "n": Window("message", 1, 1, 3)}
    result = SPECK.check(coded(plain((1,), {"w": dense([[3]]), "n": fire((1,))}), "graded", windows, 5))
    assert broken(result, "graded-spikes") == [("input, n", "2 populations send numbers, a spike of speck2f carries none")]


def test_every_rule_is_broken_in_these_tests() -> None:
    """Each rule of the chip is named by a test of this file."""
    text = Path(__file__).read_text()
    missing = [name for name, _ in SPECK.rules() if f'"{name}"' not in text]
    assert missing == []


def test_all_violations_are_named_at_once() -> None:
    nodes = {
        "c": conv(np.full((4, 1, 3, 2), 200), stride=(3, 1), padding=(8, 0), dilation=(1, 2), groups=2),
        "n": fire((4, 8, 62), [[[5]], [[6]], [[7]], [[8]]]),
        "p": sum_pool(3),
        "d": conv(np.ones((1, 4, 1, 1))),
        "m": fire((1, 2, 20), 40000),
    }
    result = SPECK.check(plain((2, 10, 64), nodes))
    assert {v.rule for v in result.violations} == {
        "square-kernel",
        "stride",
        "padding",
        "dilation",
        "groups",
        "pool-size",
        "scalar-thresholds",
        "weight-bits",
        "threshold-range",
    }
    assert all(v.where and v.message and v.remedy for v in result.violations)


def stretched(kind: str) -> Graph:
    """One graph a kind, each of which breaks a single rule."""
    loop = {"input": input_node((1,)), "w": dense([[4]]), "n": fire((1,)), "r": dense([[6]]), "output": output_node()}
    bare = {"input": input_node((1,)), "w": dense([[4]]), "a": fire((1,)), "n": fire((1,)), "output": output_node()}
    if kind == "recurrence":
        return wired(loop, [("input", "w"), ("w", "n"), ("n", "r"), ("r", "n"), ("n", "output")])
    if kind == "weighted-paths":
        return wired(bare, [("input", "w"), ("w", "a"), ("a", "n"), ("n", "output")])
    if kind == "time-base":
        graph = plain((1,), {"w": dense([[3]]), "n": fire((1,))})
        return coded(graph, "gate", {"input": Window("input", 0, 0, 3), "n": Window("gated", 1, 4, 3)}, 9)
    if kind == "graded-spikes":
        graph = plain((1,), {"w": dense([[3]]), "n": fire((1,))})
        return coded(graph, "graded", {"input": Window("message", 0, 0, 3), "n": Window("message", 1, 1, 3)}, 5)
    if kind == "integer-weights":
        graph = plain((1,), {"w": dense([[3]]), "n": fire((1,))})
        graph.nodes["n"].metadata["scale"] = 0.3
        return graph
    raise KeyError(kind)


def flattened(height: int, width: int) -> Graph:
    nodes = {"f": flatten_node((2, height, width)), "w": dense(np.ones((3, 2 * height * width))), "n": fire((3,), 99)}
    return plain((2, height, width), nodes)


def fanned() -> Graph:
    nodes: dict[str, nir.NIRNode] = {"input": input_node((1,)), "w": dense([[3]]), "n": fire((1,))}
    edges = [("input", "w"), ("w", "n")]
    for i in range(3):
        nodes |= {f"w{i}": dense([[1]]), f"n{i}": fire((1,)), f"o{i}": output_node()}
        edges += [("n", f"w{i}"), (f"w{i}", f"n{i}"), (f"n{i}", f"o{i}")]
    return wired(nodes, edges)


RESET = PLAIN_IF.having(reset="value")
FIXED = "`check --fix` does it: "
ALONE = {
    "supported-nodes": (plain((2,), {"w": dense(np.ones((2, 2))), "l": leaky((2,), 2.0, 5)}), "a LIF has no", "It takes Input"),
    "path-form": (plain((1,), {"w": dense([[3]]), "v": dense([[3]]), "n": fire((1,))}), "its weights follow", "Join the two"),
    "integer-weights": (stretched("integer-weights"), "no multiple of its scale 0.3", "Quantise"),
    "time-base": (stretched("time-base"), "1 populations", "--code rate"),
    "graded-spikes": (stretched("graded-spikes"), "2 populations send numbers", "another --code"),
    "recurrence": (stretched("recurrence"), "'n' drives it in a loop", "without recurrence"),
    "weighted-paths": (stretched("weighted-paths"), "without weights", f"{FIXED}scale-to-conv"),
    "square-kernel": (layer((1, 8, 8), k=(3, 1)), "its kernel is 3x1", f"{FIXED}square-kernel"),
    "kernel-size": (layer((1, 20, 20), k=(16, 16)), "16x16, the limit is 15x15", "smaller kernel"),
    "dense-map": (flattened(3, 4), "a map of 3x4", f"{FIXED}square-kernel"),
    "stride": (layer((1, 20, 20), stride=(3, 3)), r"\(3, 3\), the chip has \(1, 2, 4, 8\)", f"{FIXED}square-kernel"),
    "padding": (layer((1, 8, 8), k=(9, 9), pad=8), "its padding is 8, the limit is 7", f"{FIXED}square-kernel"),
    "dilation": (layer((1, 8, 8), k=(3, 3), dilation=(2, 2)), r"\(2, 2\), the chip has \(1, 1\)", f"{FIXED}spread-dilation"),
    "groups": (layer((2, 8, 8), out=2, groups=2), "it has 2 groups, the chip has 1", f"{FIXED}ungroup"),
    "pool-size": (
        plain((1, 12, 12), {"p": sum_pool(3), "c": conv([[[[1]]]]), "n": fire((1, 4, 4), 40)}),
        r"it pools \(3, 3\) .* squares of \(1, 2, 4\)",
        f"{FIXED}pool-into-kernel",
    ),
    "input-stage": (
        plain((3, 8, 8), {"p": sum_pool(2), "c": conv(np.ones((1, 3, 1, 1))), "n": fire((1, 4, 4), 40)}),
        "the 3 channels of 'input', the event pre-processing takes 2",
        f"{FIXED}pool-into-kernel",
    ),
    "channels": (layer((1, 1, 1), out=1024), "it has 1024 channels, the limit is 1023", "fewer channels"),
    "map-size": (layer((1, 66, 4)), "its map is 66x4, the limit is 64x64", "Use a stride or crop"),
    "fan-out": (fanned(), "to 3 populations, the limit is 2", f"{FIXED}duplicate-layer"),
    "scalar-thresholds": (
        plain((1,), {"w": dense([[3], [3]]), "n": fire((2,), [5, 6])}),
        "2 different thresholds, a core has 1",
        f"{FIXED}fold-thresholds",
    ),
    "reset-value": (
        plain((1,), {"w": dense([[3]]), "n": fire((1,), 10, reset=-2.0)}, RESET),
        "resets to 2, the chip to 0",
        "Train",
    ),
    "one-kernel": (joined(conv([[[[3]]]])), "2 weighted nodes of different geometry", f"{FIXED}square-kernel"),
    "weight-bits": (plain((1,), {"w": dense([[200]], bits=9), "n": fire((1,), 900)}), "8 bits hold -128..127", "--bits 8"),
    "bias-bits": (plain((1,), {"w": dense([[3]], [40000]), "n": fire((1,))}), "16 bits hold -32768..32767", "without biases"),
    "threshold-range": (plain((1,), {"w": dense([[3]]), "n": fire((1,), 40000)}), "the chip holds 1..32767", "Quantise"),
}


@pytest.mark.parametrize("rule", ALONE)
def test_each_rule_alone_says_number_limit_and_remedy(rule: str) -> None:
    graph, message, remedy = ALONE[rule]
    result = SPECK.check(graph)
    assert {v.rule for v in result.violations} == {rule}
    found = result.violations[0]
    assert re.search(message, found.message), found.message
    assert remedy in found.remedy
    assert not result.fits


def test_the_table_and_the_tests_above_hold_every_rule() -> None:
    above = {"max-pooling", "kernel-memory", "neuron-memory", "bias-memory", "core-assignment", "initial-range", "lower-bound"}
    warnings = {"bias", "readout", "state-range", "weight-reaches-threshold"}
    assert {name for name, _ in SPECK.rules()} == set(ALONE) | above | warnings
