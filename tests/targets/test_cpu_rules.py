from __future__ import annotations

import nir
import numpy as np
import pytest
from spiking import PLAIN_IF, coded, conv, dense, fire, gate_mlp, plain, sum_pool, wired

from snnport.chip import Chip, Number
from snnport.convention import Window
from snnport.errors import DoesNotFit
from snnport.graph import Graph
from snnport.nodes import ReLU, input_node, output_node
from snnport.targets.base import CheckResult, Target, Violation, resolve_target

CPU = resolve_target("cpu")


def varied(**numbers: int) -> Target:
    own = CPU.chip
    changed = {key: Number(value, "", "", "low") for key, value in numbers.items()}
    return CPU.with_chip(Chip("mine", "cpu", "", {**own.numbers, **changed}))


def broken(result: CheckResult, rule: str) -> list[tuple[str, str]]:
    return [(v.where, v.message) for v in result.violations if v.rule == rule]


def used(result: CheckResult, resource: str) -> list[tuple[str, int, int]]:
    return [(u.where, u.used, u.limit) for u in result.usage if u.resource == resource]


def test_nodes_without_a_counterpart_are_all_listed() -> None:
    pool = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    graph = plain((1, 4, 4), {"p": pool, "c": conv([[[[1]]]]), "l": nir.Threshold(np.ones((1, 2, 2))), "r": ReLU()})
    result = CPU.check(graph)
    found = [v for v in result.violations if v.rule == "supported-nodes"]
    assert [(v.where, v.message) for v in found] == [
        ("p", "an AvgPool2d has no counterpart on cpu"),
        ("l", "a Threshold has no counterpart on cpu"),
        ("r", "a ReLU has no counterpart on cpu"),
    ]
    assert "the pass sum-pool" in found[0].remedy
    assert found[1].remedy.startswith("It takes Input, Output, IF, I")
    assert "snnport convert" in found[2].remedy


def test_what_is_no_path_is_a_violation() -> None:
    pools = {"p": sum_pool(3, 2), "q": sum_pool(2)}
    graph = plain((1, 9, 9), {**pools, "n": fire((1, 2, 2)), "w": conv([[[[1]]]])})
    assert broken(CPU.check(graph), "path-form") == [
        ("w", "no neuron stands between it and the output 'output'"),
        ("q", "the 2 poolings p, q are not one: windows overlap or are padded"),
    ]


def test_a_delay_of_a_fraction_of_a_step_is_a_violation() -> None:
    for delays in ([1.5, 1.5], [1.0, 2.0]):
        graph = plain((2,), {"w": dense(np.eye(2)), "d": nir.Delay(np.array(delays)), "n": fire((2,))})
        assert broken(CPU.check(graph), "path-form") == [("d", "its delay is not one whole number of steps of 1 s")]


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        (lambda g: g.nodes["w"].metadata.clear(), "w", "its weights are real numbers, with no scale"),
        (lambda g: g.nodes["n"].metadata.clear(), "n", "its parameters are real numbers, with no scale"),
        (lambda g: setattr(g.nodes["w"], "weight", np.array([[0.4]])), "w", "its weights are no multiples of its scale 1"),
        (lambda g: setattr(g.nodes["w"], "bias", np.array([0.4])), "w", "its bias is no multiple of its scale 1"),
        (lambda g: setattr(g.nodes["n"], "v_threshold", np.array([2.5])), "n", "its v_threshold is no multiple"),
        (lambda g: setattr(g.nodes["n"], "v_reset", np.array([0.5])), "n", "its v_reset is no multiple"),
        (lambda g: g.nodes["w"].metadata.update(scale=0.5), "w", "its scale is 0.5, that of 'n' is 1"),
    ],
)
def test_numbers_that_are_no_integers_are_violations(change: object, where: str, message: str) -> None:
    graph = plain((1,), {"w": dense([[3]]), "n": fire((1,))})
    change(graph)
    found = broken(CPU.check(graph), "integer-weights")
    assert len(found) == 1
    assert found[0][0] == where
    assert found[0][1].startswith(message)


def test_a_direct_connection_needs_a_scale_that_divides_1() -> None:
    nodes = {"input": input_node((2,)), "n": fire((2,), 10, scale=0.3), "output": output_node()}
    found = broken(CPU.check(wired(nodes, [("input", "n"), ("n", "output")])), "integer-weights")
    assert found == [("input -> n", "its weight is 1, which is no multiple of the scale 0.3 of 'n'")]


def test_weights_are_8_bits_wide() -> None:
    good = CPU.check(plain((2,), {"w": dense([[127, -128]]), "n": fire((1,))}))
    assert good.fits
    assert used(good, "weight-bits") == [("w", 8, 8)]
    bad = CPU.check(plain((2,), {"w": dense([[128, -5]], bits=9), "n": fire((1,))}))
    assert broken(bad, "weight-bits") == [("w", "its codes span -5..128, 8 bits hold -128..127")]


def test_control_codes_are_no_weights() -> None:
    graph = plain((3,), {"w": dense([[100, 100, 100]]), "n": fire((1,), 12.0)})
    windows = {"input": Window("input", 0, 0, 4), "n": Window("gated", 1, 4, 3)}
    result = CPU.check(coded(graph, "gate", windows, 8))
    assert result.fits
    assert used(result, "weight-bits") == [("w", 8, 8)]


def test_the_state_register_holds_every_potential() -> None:
    result = CPU.check(gate_mlp())
    assert used(result, "state-bits") == [("n", 7, 32), ("out", 5, 32)]
    assert varied(state_bits=7).check(gate_mlp()).fits
    found = broken(varied(state_bits=6).check(gate_mlp()), "state-range")
    assert found == [("n", "its potential spans -59..42, 6 bits hold -32..31")]


def test_neurons_and_cores_are_counted() -> None:
    graph = plain((2,), {"w": dense(np.ones((10, 2))), "n": fire((10,))})
    result = varied(cores=3, neurons_per_core=4).check(graph)
    assert result.fits
    assert used(result, "neurons") == [("mine", 10, 12)]
    assert used(result, "cores") == [("mine", 3, 3)]
    result = varied(cores=2, neurons_per_core=4).check(graph)
    assert broken(result, "neurons") == [("mine", "it needs 10 neurons, the chip has 8 (2 cores of 4)")]
    assert broken(result, "cores") == [("mine", "its neurons and synapses take 3 cores, the chip has 2")]


def test_weight_memory_of_dense_rows_and_control() -> None:
    # n: 2 rows of 3 words and 2 control codes (31: one word each); out: 2 rows of 2.
    result = CPU.check(gate_mlp())
    assert used(result, "weight-memory") == [("core 0", 2 * 3 + 2 * 1 + 2 * 2, 131072)]


def test_a_wide_control_code_takes_more_words() -> None:
    graph = plain((3,), {"w": dense([[100, 100, 100]]), "n": fire((1,), 12.0)})
    windows = {"input": Window("input", 0, 0, 4), "n": Window("gated", 1, 4, 3)}
    # G = 1200 - 6 + 1 = 1195: 12 bits, 2 words.
    assert used(CPU.check(coded(graph, "gate", windows, 8)), "weight-memory") == [("core 0", 3 + 2, 131072)]


def test_a_convolution_stores_the_kernels_of_its_channels_once_a_core() -> None:
    graph = plain((2, 4, 4), {"c": conv(np.ones((3, 2, 3, 3))), "n": fire((3, 2, 2))})
    assert used(CPU.check(graph), "weight-memory") == [("core 0", 3 * 2 * 9, 131072)]
    # Six neurons a core are channels 0 and 1, then 1 and 2: two kernels of 18 words each.
    target = varied(neurons_per_core=6)
    assert used(target.check(graph), "weight-memory") == [("core 0", 36, 131072)]
    assert [(s.core, s.start, s.stop) for s in target.lower(graph).placements] == [(0, 0, 6), (1, 6, 12)]
    # With memory for one kernel a core holds one channel.
    slices = varied(weight_words=18).lower(graph).placements
    assert [(s.core, s.start, s.stop) for s in slices] == [(0, 0, 4), (1, 4, 8), (2, 8, 12)]


def test_a_neuron_that_no_core_holds_is_a_violation_with_numbers() -> None:
    graph = plain((20,), {"w": dense(np.ones((3, 20))), "n": fire((3,))})
    result = varied(weight_words=19).check(graph)
    assert broken(result, "weight-memory") == [("n", "neuron 0 alone needs 20 words of a core's weight-memory, a core has 19")]


def test_unbounded_inhibition_is_a_warning_where_the_register_does_not_clip() -> None:
    graph = plain((1,), {"w": dense([[-5]]), "n": nir.I(np.ones(1), metadata={"scale": 1.0})})
    result = CPU.check(graph)
    assert result.fits
    assert [(w.rule, w.where, w.message) for w in result.warnings] == [
        (
            "state-range",
            "n",
            "its potential can move by 5 a step without bound, 32 bits saturate after 429496729 steps",
        )
    ]


def test_lowering_lists_every_violation_at_once() -> None:
    graph = wired(
        {
            "input": input_node((2,)),
            "w": dense([[300, 1]], bits=10),
            "n": fire((1,)),
            "x": nir.Threshold(np.ones(1)),
            "output": output_node(),
        },
        [("input", "w"), ("w", "n"), ("n", "x"), ("x", "output")],
        PLAIN_IF,
    )
    with pytest.raises(DoesNotFit) as caught:
        CPU.lower(graph)
    text = str(caught.value)
    assert "cpu: x: a Threshold has no counterpart on cpu." in text
    assert "cpu: w: its codes span 1..300, 8 bits hold -128..127. Quantise with --bits 8." in text


def test_violations_have_all_parts() -> None:
    graph: Graph = plain((1,), {"w": dense([[300]], bits=10), "n": fire((1,))})
    assert CPU.check(graph).violations == (
        Violation("weight-bits", "w", "its codes span 300..300, 8 bits hold -128..127", "Quantise with --bits 8"),
    )
