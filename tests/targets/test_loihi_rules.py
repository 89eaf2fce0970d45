from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
from spiking import (
    PLAIN_IF,
    coded,
    conv,
    currents,
    dense,
    fire,
    gate_mlp,
    integrate,
    leaky,
    plain,
    relay,
    sum_pool,
)

from snnport.chip import Chip, Number
from snnport.convention import Window
from snnport.graph import build
from snnport.program import Dense
from snnport.targets.base import CheckResult, Target, resolve_target

LOIHI, LOIHI1 = resolve_target("loihi2"), resolve_target("loihi1")


def varied(**numbers: object) -> Target:
    changed = {key: Number(value, "", "", "low") for key, value in numbers.items()}
    return LOIHI.with_chip(Chip("mine", "loihi2", "", {**LOIHI.chip.numbers, **changed}))


def broken(result: CheckResult, rule: str) -> list[tuple[str, str]]:
    return [(v.where, v.message) for v in result.violations if v.rule == rule]


def used(result: CheckResult, resource: str) -> list[tuple[str, int, int]]:
    return [(u.where, u.used, u.limit) for u in result.usage if u.resource == resource]


def test_the_gate_code_names_the_codes_that_would_do() -> None:
    result = LOIHI.check(gate_mlp())
    found = [v for v in result.violations if v.rule == "subtracting-reset"]
    assert [(v.where, v.message) for v in found] == [
        ("n", "1 populations subtract their threshold when they fire, the chip's neuron goes back to 0")
    ]
    assert found[0].remedy == "Convert with a code that needs no subtraction: ramp, graded or ttfs, instead of gate"


def test_a_plain_subtracting_reset_is_a_violation_and_one_to_zero_is_not() -> None:
    nodes = {"w": dense([[3]]), "n": fire((1,))}
    soft = LOIHI.check(plain((1,), nodes, PLAIN_IF.having(reset="subtract")))
    assert [v.remedy for v in soft.violations if v.rule == "subtracting-reset"] == ["Train with a reset to zero"]
    assert LOIHI.check(plain((1,), nodes)).fits


def test_a_max_pooling_relay_fits() -> None:
    graph = plain((1, 2, 2), {"p": sum_pool(2), "m": relay((1, 1, 1))})
    windows = {"input": Window("input", 0, 0, 3), "m": Window("relay", 1, 1, 3)}
    result = LOIHI.check(coded(graph, "gate", windows, 5))
    assert result.fits
    program = LOIHI.lower(coded(graph, "gate", windows, 5))
    assert program.population("m").neuron["vth"].tolist() == 1
    assert program.projections[0].synapse.codes.tolist() == [2]


def test_a_reset_away_from_rest_is_a_violation() -> None:
    value = PLAIN_IF.having(reset="value")
    result = LOIHI.check(plain((1,), {"w": dense([[3]]), "n": fire((1,), 10, reset=-2.0)}, value))
    assert broken(result, "reset-value") == [("n", "it resets to 2 away from rest, the chip resets to rest")]
    at_rest = leaky((1,), 4.0, 20, v_leak=-3.0, v_reset=-3.0)
    program = LOIHI.lower(plain((1,), {"w": dense([[3]]), "n": at_rest}, value.having(comparison=">")))
    assert program.population("n").neuron["vth"].tolist() == 23
    zero = LOIHI.check(plain((1,), {"w": dense([[3]]), "n": at_rest}))
    assert broken(zero, "reset-value") == [("n", "it resets to 3 away from rest, the chip resets to rest")]


def test_leaky_neurons_need_a_time_step() -> None:
    nodes = {"w": dense([[3]]), "n": leaky((1,), 4.0, 20)}
    result = LOIHI.check(plain((1,), nodes, None))
    assert broken(result, "time-step") == [
        ("n", "1 populations decay over seconds, and the graph does not say how many seconds a step takes")
    ]
    assert broken(LOIHI.check(plain((1,), nodes)), "time-step") == []
    assert broken(LOIHI.check(plain((1,), {"w": dense([[3]]), "n": fire((1,))}, None)), "time-step") == []


def test_a_lower_bound_is_a_violation() -> None:
    result = LOIHI.check(plain((1,), {"w": dense([[3]]), "n": fire((1,))}, PLAIN_IF.having(v_min=-1.0)))
    assert broken(result, "lower-bound") == [
        ("n", "1 populations keep their potential above -1 thresholds, the chip lets it fall to -2^23")
    ]


def test_a_bias_into_a_current_fits() -> None:
    assert LOIHI.check(plain((1,), {"w": dense([[3], [4]], [0, 5]), "n": currents((2,), 2.0, 4.0, 20)})).fits


def test_feedback_over_layers_is_late() -> None:
    nodes = {"w": dense([[3]]), "n": fire((1,)), "v": dense([[3]]), "m": fire((1,)), "b": dense([[-2]])}
    graph = plain((1,), nodes)
    looped = build(
        graph.nodes, [e for e in graph.edges if e != ("b", "output")] + [("m", "output"), ("b", "n")], graph.metadata
    )
    found = [(w.where, w.message) for w in LOIHI.check(looped).warnings if w.rule == "feedback"]
    assert found == [("b", "its feedback arrives 1 steps later than in the network")]
    assert LOIHI.lower(looped).projections[-1].delay == 1


@pytest.mark.parametrize(
    ("tau", "code", "fits"),
    [(2.0, 2048, True), (4096 / 4095, 4095, True), (1.0, 4096, False), (0.5, 8192, False)],
)
def test_decays_are_fields_of_12_bits(tau: float, code: int, fits: bool) -> None:
    result = LOIHI.check(plain((1,), {"w": dense([[3]]), "n": leaky((1,), tau, 20)}))
    assert used(result, "decay") == [("n", code, 4095)]
    assert result.fits is fits
    if not fits:
        assert broken(result, "decay-range") == [
            ("n", f"it decays by {code}/4096 and 4096/4096 a step, the fields hold 0..4095 and 1..4096")
        ]


def test_a_decay_below_the_field_is_a_warning() -> None:
    result = LOIHI.check(plain((1,), {"w": dense([[3]]), "n": leaky((1,), 9000.0, 20)}))
    assert ("decay-range", "n") in [(w.rule, w.where) for w in result.warnings]
    slow = LOIHI.check(plain((1,), {"w": dense([[3]]), "n": currents((1,), 9000.0, 2.0, 20)}))
    assert broken(slow, "decay-range") == [
        ("n", "it decays by 2048/4096 and 0/4096 a step, the fields hold 0..4095 and 1..4096")
    ]
    assert ("n", "its current can grow without bound, 24 bits hold up to 8388607") in broken(slow, "state-range")


@pytest.mark.parametrize(("theta", "fits"), [(131072, True), (131073, False), (1, True), (0, False)])
def test_thresholds_are_fields_of_17_bits(theta: int, fits: bool) -> None:
    result = LOIHI.check(plain((1,), {"w": dense([[3]]), "n": fire((1,), theta)}))
    assert (broken(result, "threshold-range") == []) is fits
    if theta > 131072:
        assert broken(result, "threshold-range") == [
            ("n", "its threshold field spans 131072..131072, the chip holds 1..131071")
        ]


def test_a_leaky_neuron_that_fires_at_its_threshold_is_a_warning() -> None:
    nodes = {"w": dense([[3]]), "n": leaky((1,), 4.0, 20)}
    assert [w.where for w in LOIHI.check(plain((1,), nodes)).warnings if w.rule == "comparison"] == ["n"]
    assert LOIHI.check(plain((1,), nodes, PLAIN_IF.having(comparison=">"))).warnings == ()


@pytest.mark.parametrize(("bias", "fits"), [(4097, True), (-32640, True), (32641, False)])
def test_biases_come_through_planes(bias: int, fits: bool) -> None:
    result = LOIHI.check(plain((1,), {"w": dense([[3]], [bias]), "n": fire((1,), 10000)}))
    message = "its bias reaches 32641 codes, planes of weights hold up to 32640"
    assert broken(result, "bias-range") == ([] if fits else [("n", message)])


def test_overlapping_pooling_before_weights_is_a_violation() -> None:
    nodes = {"p": sum_pool(3, 2), "c": conv([[[[2]]]]), "n": fire((1, 2, 2))}
    result = LOIHI.check(plain((1, 5, 5), nodes))
    assert broken(result, "pool-overlap") == [
        ("c", "the pooling before it has kernel (3, 3) and stride (2, 2): windows overlap")
    ]
    assert LOIHI.check(plain((1, 4, 4), {**nodes, "p": sum_pool(2)})).fits
    assert LOIHI.check(plain((1, 5, 5), {"p": sum_pool(3, 2), "n": fire((1, 2, 2))})).fits


@pytest.mark.parametrize(
    "codes", [[255, 0], [256, 0], [-255, -1], [254, -256], [127, -128], [128, -129], [32640, -32640], [1, -3000]]
)
def test_weights_of_one_sign_and_of_both(codes: list[int]) -> None:
    result = LOIHI.check(plain((2,), {"w": dense([codes], bits=17), "n": fire((1,), 100000)}))
    assert broken(result, "weight-range") == []


def test_programs_may_hold_weights_that_no_plane_does() -> None:
    graph = plain((2,), {"w": dense([[40000, -3]], bits=17), "n": fire((1,), 100000)})
    limits = "of one sign the chip holds up to 255"
    assert broken(LOIHI.check(graph), "weight-range") == [("w+7", f"its codes span 0..312, {limits}")]
    program = LOIHI.lower(plain((2,), {"w": dense([[4, -3]]), "n": fire((1,), 100)}))
    (w,) = program.projections
    wide = replace(program, projections=(replace(w, synapse=Dense(np.array([[129, -3]]))),))
    assert broken(LOIHI.check_program(wide), "weight-range") == [
        ("w", "its codes span -3..129, of both signs the chip holds even numbers -256..254")
    ]
    far = replace(program, projections=(replace(w, synapse=Dense(np.array([[4, 0]])), exponent=8),))
    assert broken(LOIHI.check_program(far), "weight-range") == [("w", "its codes are shifted by 8, the chip shifts by up to 7")]


@pytest.mark.parametrize(("sources", "fits"), [(128, True), (129, False)])
def test_arrivals_of_one_step_fit_the_accumulator(sources: int, fits: bool) -> None:
    result = LOIHI.check(plain((sources,), {"w": dense(np.full((1, sources), 255), bits=9), "n": fire((1,), 100000)}))
    assert used(result, "accumulator") == [("n", 255 * sources, 32767)]
    assert broken(result, "accumulator-range") == (
        [] if fits else [("n", "up to 0..32895 arrive in one step, the accumulator holds -32767..32767")]
    )


def test_currents_stay_in_their_register() -> None:
    codes = np.full((1, 100), 200)
    fast = LOIHI.check(plain((100,), {"w": dense(codes, bits=9), "n": currents((1,), 4.0, 2.0, 100)}))
    assert broken(fast, "state-range") == []
    slow = LOIHI.check(plain((100,), {"w": dense(codes, bits=9), "n": currents((1,), 8.0, 2.0, 100)}))
    # 20000 * 64 * 8 = 10240000
    assert ("n", "its current can grow to 10240000, 24 bits hold up to 8388607") in broken(slow, "state-range")


def test_potentials_that_can_fall_for_ever_are_a_warning() -> None:
    result = LOIHI.check(plain((1,), {"w": dense([[-2]]), "n": fire((1,), 10)}))
    assert [(w.rule, w.message) for w in result.warnings] == [
        ("state-range", "its potential can move by 128 a step without bound, 24 bits saturate after 65535 steps")
    ]


@pytest.mark.parametrize(("delay", "fits"), [(62.0, True), (63.0, False)])
def test_delays_reach_62_steps(delay: float, fits: bool) -> None:
    graph = plain((1,), {"w": dense([[3]]), "d": nir.Delay(np.array([delay])), "n": fire((1,))})
    result = LOIHI.check(graph)
    assert broken(result, "delay-range") == ([] if fits else [("w", "it delays spikes by 63 steps, the chip by up to 62")])
    assert [w.rule for w in LOIHI1.check(graph).warnings] == (["delay-range"] if fits else [])


def test_a_network_larger_than_a_chip_is_placed_over_several() -> None:
    graph = plain((1,), {"w": dense(np.ones((10, 1))), "n": fire((10,))})
    result = varied(cores=2, neurons_per_core=4, chips=2).check(graph)
    assert result.fits
    assert used(result, "chips") == [("mine", 2, 2)]
    assert used(result, "cores") == [("mine", 3, 4)]
    assert [w.message for w in result.warnings] == [
        "it takes 2 chips (3 cores): spikes and barriers between chips cost time and energy"
    ]
    program = varied(cores=2, neurons_per_core=4).lower(graph)
    assert [(s.chip, s.core, s.start, s.stop) for s in program.placements] == [(0, 0, 0, 4), (0, 1, 4, 8), (1, 0, 8, 10)]
    assert broken(varied(cores=2, neurons_per_core=4, chips=1).check(graph), "chips") == [
        ("mine", "its neurons and synapses take 2 chips, the largest system has 1")
    ]
    tight = LOIHI.check_program(replace(program, chip=LOIHI.chip))
    assert broken(tight, "neurons-per-core") == []
    small = varied(neurons_per_core=3).check_program(program)
    assert broken(small, "neurons-per-core") == [("n", "neuron 0 alone needs 1 neurons of a core's neurons, a core has 3")]


def test_routes_are_spread_over_cores() -> None:
    """12 neurons that each reach 3 cores have 36 destinations; with 12 a core they take 3 cores."""
    nodes = {"w": dense(np.ones((12, 1))), "n": fire((12,)), "v": dense(np.ones((12, 12))), "m": fire((12,))}
    target = varied(neurons_per_core=4, output_axons=12)
    program = target.lower(plain((1,), nodes))
    assert used(target.check(plain((1,), nodes)), "output-axons") == [("core 2", 12, 12)]
    assert len({s.core for s in program.placements if s.population == "n"}) == 3
    worst = varied(neurons_per_core=4, output_axons=2).check(plain((1,), nodes))
    assert [where for where, _ in broken(worst, "output-axons")] != []
    assert "destinations, a core has 2" in broken(worst, "output-axons")[0][1]


def test_neurons_of_one_core_share_configurations() -> None:
    node = leaky((3,), 4.0, 25)
    node.tau = np.array([4.0, 8.0, 16.0])
    graph = plain((1,), {"w": dense([[10], [10], [10]]), "n": node}, PLAIN_IF.having(comparison=">"))
    few = {**LOIHI1.chip.numbers, "decay_configurations": Number(2, "", "", "secondary")}
    result = LOIHI1.with_chip(Chip("mine", "loihi1", "", few)).check(graph)
    assert broken(result, "core-configurations") == [
        ("core 0", "its neurons have 3 different decays, a core has 2 entries for them")
    ]
    unsure = varied(threshold_configurations=0).check(graph)
    assert broken(unsure, "core-configurations") == []
    assert [w.message for w in unsure.warnings] == ["its neurons have 1 different thresholds, a core has 0 entries for them"]


def test_loihi_1_has_its_own_limits() -> None:
    graph = plain((1,), {"w": dense(np.ones((1025, 1))), "n": fire((1025,))})
    assert {s.core for s in LOIHI1.lower(graph).placements} == {0, 1}
    assert LOIHI1.lower(graph).target == "loihi1"
    # Loihi 2 has room for 8,192 neurons a core, and routes for 4,096.
    assert {s.core for s in LOIHI.lower(graph).placements} == {0}
    assert LOIHI1.chip.numbers["neurons_per_core"].confidence == "documented"
    assert LOIHI.chip.numbers["neurons_per_core"].confidence == "low"


def test_input_axons() -> None:
    graph = plain((30,), {"w": dense(np.ones((2, 30))), "n": fire((2,))})
    assert used(LOIHI.check(graph), "input-axons") == [("core 0", 30, 4096)]
    assert broken(varied(input_axons=29).check(graph), "input-axons") == [
        ("n", "neuron 0 alone needs 30 axons of a core's input-axons, a core has 29")
    ]


def test_synaptic_memory() -> None:
    # 30 lists of 2 synapses: 10 + 16 bits each, rounded up to a word of 64.
    graph = plain((30,), {"w": dense(np.ones((2, 30))), "n": fire((2,))})
    assert used(LOIHI.check(graph), "synaptic-memory") == [("core 0", 30 * 64, 1048576)]
    assert broken(varied(synaptic_memory_bits=1919).check(graph), "synaptic-memory") == [
        ("n", "neuron 0 alone needs 1920 bits of a core's synaptic-memory, a core has 1919")
    ]


def test_unsupported_nodes_paths_and_real_weights() -> None:
    threshold = nir.Threshold(np.ones(1))
    result = LOIHI.check(plain((1,), {"w": dense([[3]]), "v": dense([[3]]), "t": threshold, "x": integrate((1,))}))
    assert broken(result, "supported-nodes") == [("t", "a Threshold has no counterpart on loihi2")]
    assert broken(result, "path-form") == []
    graph = plain((1,), {"w": dense([[3]]), "v": dense([[3]]), "n": fire((1,))})
    graph.nodes["v"].metadata.clear()
    result = LOIHI.check(graph)
    assert broken(result, "path-form") == [("v", "its weights follow those of 'w' with no neuron between")]
    assert broken(result, "integer-weights") == [("v", "its weights are real numbers, with no scale in its metadata")]
