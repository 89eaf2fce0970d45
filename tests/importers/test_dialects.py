"""Every framework's mark is found, and what a file leaves open stays open until it is told."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from snnport.convention import Convention
from snnport.errors import InvalidInput, UnknownName
from snnport.graph import Graph, build, chain
from snnport.importers.dialects import DIALECTS, check_choices, detect, settle
from snnport.nodes import input_node, output_node


def net(*neurons: nir.NIRNode, names: tuple[str, ...] = (), source: str = "input") -> Graph:
    called = names or tuple(f"n{i}" for i in range(len(neurons)))
    return chain({source: input_node((3,)), **dict(zip(called, neurons, strict=True)), "output": output_node((3,))})


def lif(tau: Any, r: Any, reset: float = 0.0) -> nir.LIF:
    full = [np.broadcast_to(np.asarray(v, float), (3,)).copy() for v in (tau, r, 0.0, 1.0, reset)]
    return nir.LIF(*full)


def integrate(r: float = 1.0) -> nir.IF:
    return nir.IF(np.full(3, r), np.ones(3), np.zeros(3))


TAU = np.array([0.01, 0.02, 0.05])


@pytest.mark.parametrize(
    ("graph", "name", "dt"),
    [
        (net(lif(TAU, TAU / 1e-4)), "snntorch", 1e-4),
        (net(lif([2.0, 5.0, 10.0], [0.5, 0.8, 0.9])), "spyx", 1.0),
        (net(lif(TAU, TAU * np.exp(-1e-3 / TAU) / 1e-3), names=("1_LIFNeuronTorch",)), "rockpool", 1e-3),
        (net(lif(TAU, 7.0), names=("1_LIFNeuronTorch",)), "rockpool", None),
        (net(integrate(1e4)), "spikingjelly", 1e-4),
        (net(lif(TAU, 1.0), names=("_0",)), "norse", None),
        (net(lif(TAU, 1.0), source="input_tensor"), "norse", None),
        (net(integrate()), "sinabs", None),
        (net(lif(TAU, 1.0)), "nir", None),
        (net(lif(TAU, 0.0)), "nir", None),
    ],
)
def test_marks(graph: Graph, name: str, dt: float | None) -> None:
    found = detect(graph)
    assert found.name == name
    assert found.dt == (None if dt is None else pytest.approx(dt, rel=1e-6))
    assert found.evidence


def cuba(w_in: float) -> nir.CubaLIF:
    return nir.CubaLIF(*(np.full(3, v) for v in (2e-3, 1e-3, 10.0, 0.0, 1.0, 0.0, w_in)))


def test_input_weights_count_as_evidence() -> None:
    assert detect(net(cuba(20.0))).name == "snntorch"
    assert detect(net(cuba(1.0))).name == "nir"


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_can_be_settled(name: str) -> None:
    kind = DIALECTS[name].neurons[-1]
    settled = settle(net(lif(TAU, 1.0) if kind == "LIF" else cuba(1.0)), name, 1e-3, "subtract")
    assert settled.ambiguous == ()
    assert settled.convention is not None
    assert (settled.convention.name, settled.convention.dt, settled.convention.reset) == (name, 1e-3, "subtract")


@pytest.mark.parametrize(
    ("name", "open_points"),
    [
        ("nir", ("dt",)),
        ("norse", ("dt",)),
        ("snntorch", ("reset",)),
        ("sinabs", ()),
        ("spyx", ()),
        ("lava", ()),
        ("rockpool", ("dt",)),
        ("spikingjelly", ("dt", "reset")),
    ],
)
def test_what_a_named_dialect_leaves_open(name: str, open_points: tuple[str, ...]) -> None:
    settled = settle(net(lif(TAU, 1.0)), name, None, None)
    assert tuple(point.split(":")[0] for point in settled.ambiguous) == open_points
    assert (settled.convention is None) == bool(open_points)


def test_a_written_reset_value_is_no_question() -> None:
    settled = settle(net(lif(TAU, 1.0, reset=-0.5)), None, 1e-3, None)
    assert settled.convention is not None
    assert settled.convention.reset == "value"
    assert settle(net(lif(TAU, 1.0)), None, 1e-3, None).ambiguous[0].startswith("reset: the file holds v_reset = 0")


def test_long_time_constants_hint_at_steps() -> None:
    (first, _) = settle(net(lif(20.0, 2.0)), None, None, None).ambiguous
    assert first == (
        "dt: no time step in the file; its time constants reach 20, so they may count steps (--dt 1);"
        " settle with --dt SECONDS or --dialect NAME"
    )


def test_integrators_alone_have_no_reset() -> None:
    li = nir.LI(*(np.full(3, v) for v in (0.01, 1.0, 0.0)))
    assert [point[:2] for point in settle(net(li), None, None, None).ambiguous] == ["dt"]
    assert settle(net(nir.Linear(np.ones((3, 3)))), None, None, None).convention is None


def test_several_spikes_a_step_only_where_the_threshold_is_subtracted() -> None:
    soft = settle(net(integrate()), "sinabs", None, None).convention
    hard = settle(net(integrate()), None, None, "zero").convention
    leaky = settle(net(lif(10.0, 1.0)), "sinabs", None, None).convention
    assert soft is not None
    assert hard is not None
    assert leaky is not None
    assert (soft.multi_spike, soft.v_min, soft.dt) == (True, -1.0, 1.0)
    assert (hard.multi_spike, hard.comparison, hard.v_min) == (False, ">", None)
    assert leaky.v_min is None


def test_time_constants_shorter_than_any_step_are_those_of_norse_1_1_0() -> None:
    settled = settle(net(lif(1e-5, 1.0)), None, None, None)
    assert (settled.name, [line[:5] for line in settled.ambiguous]) == ("norse-1.1.0", ["reset"])
    assert "0.001" in settled.evidence[0]
    told = settle(net(lif(1e-5, 1.0)), None, None, "zero").convention
    assert told is not None
    assert (told.dt, told.tau_unit) == (1e-3, 1e3)
    assert settle(net(lif(1e-3, 1.0)), None, None, None).name == "nir"


def test_who_writes_integrators_and_steps() -> None:
    steps = net(lif([2.0, 5.0, 10.0], 1.0))
    assert (detect(steps).name, detect(steps).certain) == ("sinabs", False)
    hard = settle(steps, None, None, "zero")
    assert (hard.name, [line[:2] for line in hard.ambiguous]) == ("nir", ["dt"])
    soft = settle(steps, None, None, "subtract").convention
    assert soft is not None
    assert (soft.multi_spike, soft.dt) == (True, 1.0)
    many = settle(net(integrate()), "sinabs", None, "zero").convention
    assert many is not None
    assert many.multi_spike


def test_evidence_of_another_dialect_is_left_out() -> None:
    graph = net(lif(TAU, TAU / 1e-4))
    assert settle(graph, "norse", 1.0, None).evidence == ("the user says norse",)
    assert len(settle(graph, "snntorch", None, None).evidence) == 2


@pytest.mark.parametrize("dt", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_time_steps(dt: float) -> None:
    with pytest.raises(InvalidInput, match="is no time step"):
        check_choices(None, dt, None)


def test_unknown_names() -> None:
    with pytest.raises(UnknownName, match=r"dialect 'nors'.*Did you mean 'norse'"):
        check_choices("nors", None, None)
    with pytest.raises(UnknownName, match="reset 'soft'"):
        check_choices(None, None, "soft")
    with pytest.raises(InvalidInput, match="--reset-delay: 2 is no choice"):
        check_choices(None, None, None, 2)


def looped(*neurons: nir.NIRNode) -> Graph:
    """A chain of neurons, the first of them with a loop of its own."""
    plain = net(*neurons)
    nodes = {**plain.nodes, "w": nir.Linear(np.eye(3))}
    return build(nodes, [*plain.edges, ("n0", "w"), ("w", "n0")])


def when(graph: Graph, reset: str, delay: int | None) -> str:
    settled = settle(graph, "snntorch", None, reset, delay)
    assert settled.convention is not None
    return settled.convention.reset_when


def test_when_a_neuron_of_snntorch_resets() -> None:
    leaky, synaptic, recurrent = net(lif(TAU, 1.0)), net(cuba(20.0)), looped(lif(TAU, 1.0))
    assert [when(g, "zero", 0) for g in (leaky, synaptic, recurrent)] == ["at_once"] * 3
    assert [when(g, "subtract", 0) for g in (leaky, synaptic, recurrent)] == ["carried"] * 3
    assert [when(g, "zero", 1) for g in (leaky, synaptic, recurrent)] == ["next_start", "next_end", "next_end"]
    assert [when(g, "subtract", 1) for g in (leaky, synaptic, recurrent)] == ["next_end"] * 3
    assert when(leaky, "zero", None) == "at_once"


def test_what_was_assumed_about_the_reset_is_said() -> None:
    graph = net(lif(TAU, TAU / 1e-4))
    assert "reset_delay=True" in settle(graph, None, None, None).ambiguous[0]
    assert any("--reset-delay 1" in line for line in settle(graph, None, None, "zero").evidence)
    assert not any("--reset-delay" in line for line in settle(graph, None, None, "zero", 1).evidence)


def test_a_delay_that_is_not_told_is_the_one_to_take() -> None:
    graph = net(lif(TAU, TAU / 1e-4))
    assert "reset_delay=False" in settle(graph, None, None, None, None, 1).ambiguous[0]
    settled = settle(graph, None, None, "subtract", None, 1)
    assert settled.convention is not None
    assert settled.convention.reset_when == "next_end"
    assert any("--reset-delay 0" in line for line in settled.evidence)


def test_resets_in_two_places_are_told_by_neuron() -> None:
    mixed = settle(looped(lif(TAU, 1.0), lif(TAU, 1.0)), "snntorch", None, "zero", 1).convention
    assert mixed is not None
    assert (mixed.reset_when, mixed.reset_first) == ("next_end", ("n1",))
    both = settle(net(lif([2.0, 5.0, 10.0], 1.0), cuba(1.0)), "spyx", None, "subtract").convention
    assert both is not None
    assert (both.reset_when, both.reset_first) == ("next_end", ("n1",))
    assert Convention.from_json(both.to_json()) == both


@pytest.mark.parametrize(("name", "delay"), [("norse", 1), ("sinabs", 0), ("spyx", 0)])
def test_a_choice_that_only_snntorch_leaves(name: str, delay: int) -> None:
    with pytest.raises(InvalidInput, match=f"--reset-delay {delay}: .* has one way to time its resets"):
        settle(net(lif(TAU, 1.0)), name, 1e-3, "subtract", delay)


def test_spyx_resets_by_the_kind_of_neuron() -> None:
    places = []
    for neuron in (lif([2.0, 5.0, 10.0], 1.0), cuba(1.0)):
        convention = settle(net(neuron), "spyx", None, "subtract").convention
        assert convention is not None
        places.append(convention.reset_when)
    assert places == ["next_end", "next_start"]


def test_neurons_that_a_dialect_does_not_speak_for() -> None:
    settled = settle(net(integrate(), lif(TAU, 1.0)), "snntorch", None, "zero")
    assert settled.convention is None
    assert settled.ambiguous == ("dialect: snntorch speaks for LIF, CubaLIF, not for IF (n0); settle with another --dialect",)


def test_a_bound_that_holds_for_some_of_the_neurons() -> None:
    mixed = settle(net(integrate(), lif([2.0, 5.0, 10.0], 1.0)), "sinabs", None, "subtract").convention
    assert mixed is not None
    assert (mixed.v_min, mixed.unbounded) == (-1.0, ("n1",))
    floor = settle(net(lif(TAU, 1.0)), "nengo", 1e-3, None).convention
    assert floor is not None
    assert floor.v_min == 0.0
