from __future__ import annotations

from dataclasses import replace

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


def test_one_kernel_a_core() -> None:
    nodes = {
        "input": input_node((1,)),
        "w": dense([[4]]),
        "a": fire((1,)),
        "v": dense([[2]]),
        "u": dense([[3]]),
        "n": fire((1,)),
        "output": output_node(),
    }
    edges = [("input", "w"), ("w", "a"), ("a", "v"), ("v", "n"), ("input", "u"), ("u", "n"), ("n", "output")]
    assert broken(SPECK.check(wired(nodes, edges)), "one-kernel") == [
        ("n", "2 weighted nodes lead into it (v, u), a core has 1 kernel")
    ]
    shared = [("input", "w"), ("w", "a"), ("a", "v"), ("input", "v"), ("v", "n"), ("n", "output")]
    kept = {name: node for name, node in nodes.items() if name != "u"}
    assert SPECK.check(wired(kept, shared)).fits
    direct = [("input", "w"), ("w", "a"), ("a", "n"), ("n", "output")]
    kept = {name: node for name, node in nodes.items() if name not in ("u", "v")}
    assert broken(SPECK.check(wired(kept, direct)), "one-kernel") == [
        ("n", "spikes reach it without weights, a core begins with a convolution")
    ]


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


def test_a_1d_convolution_has_a_kernel_of_height_1() -> None:
    node = nir.Conv1d(6, np.ones((1, 1, 3)), 1, 1, 1, 1, np.zeros(1), metadata={"scale": 1.0})
    result = SPECK.check(plain((1, 6), {"c": node, "n": fire((1, 6))}))
    assert broken(result, "square-kernel") == [("c", "its kernel is 1x3, the chip's are square")]


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
    result = SPECK.check(plain((1,), {"w": dense([[200]], [200], bits=9), "n": fire((1,), 40000)}))
    assert broken(result, "weight-bits") == [("w", "its codes span 200..200, 8 bits hold -128..127")]
    assert broken(result, "bias-bits") == [("n", "its biases span 200..200, 8 bits hold -128..127")]
    assert broken(result, "threshold-range") == [("n", "its threshold spans 40000..40000 codes, the chip holds 1..32767")]
    assert SPECK.check(plain((1,), {"w": dense([[127]], [127]), "n": fire((1,), 32767)})).fits


def test_a_bias_of_the_rate_code_has_8_bits_too() -> None:
    graph = plain((1,), {"w": dense([[3]], [-129]), "n": fire((1,), 10.0, theta=10)})
    windows = {"input": Window("input", 0, 0, 4), "n": Window("free", 0, 0, 12)}
    result = SPECK.check(coded(graph, "rate", windows, 12))
    assert broken(result, "bias-bits") == [("n", "its biases span -129..0, 8 bits hold -128..127")]


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
    found = broken(result, "core-assignment")
    assert found == [("n9", "1 of 10 layers find none of the 9 cores: n9 (1 kernel, 1 neuron words)")]
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
