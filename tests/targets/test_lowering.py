from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest
from networks import NETWORKS
from spiking import (
    PLAIN_IF,
    coded,
    conv,
    dense,
    fire,
    gate_mlp,
    integrate,
    plain,
    relay,
    sum_pool,
    wired,
)

from snnport.convention import CODED, PLAIN, Convention, Window, coding_of, convention_of
from snnport.encoders import CountEncoder, Stimulus, encoder_of
from snnport.errors import InvalidGraph
from snnport.flow.convert import ConvertOptions, convert_graph
from snnport.graph import Graph, build, names_of, predecessors, shapes, the_input, the_output
from snnport.importers.base import Imported
from snnport.ledger import Entry
from snnport.nodes import input_node, output_node
from snnport.program import Conv, Dense, Diagonal, Program
from snnport.reference import forward, run_spiking
from snnport.sim.engine import run
from snnport.targets.base import resolve_target
from snnport.targets.lowering import closing, plan

CPU = resolve_target("cpu")


def param(program: Program, name: str, key: str) -> list[int] | int:
    return program.population(name).neuron[key].tolist()


# -------------------------------------------------------------------------------------------------------- the gate code


def test_the_closing_charge_is_the_largest_of_its_population() -> None:
    what = plan(gate_mlp(), forward_delay=1)
    # Neuron 0: (5 + 3) * 4 + 4 - 6 + 1 = 31; neuron 1: (1 + 1) * 4 + 0 - 6 + 1 = 3.
    assert closing(what, "n") == 31


def test_the_closing_charge_counts_pooling_windows_and_channels() -> None:
    graph = plain((1, 4, 4), {"p": sum_pool(2), "c": conv([[[[3]]], [[[-2]]]], bias=[1, 9]), "n": fire((2, 2, 2), 20.0)})
    windows = {"input": Window("input", 0, 0, 5), "n": Window("gated", 1, 5, 3)}
    what = plan(coded(graph, "gate", windows, 8), forward_delay=1)
    # Channel 0: 3 * (2 * 2) * 5 + 1 - 10 + 1 = 52; channel 1: 0 + 9 - 10 + 1 = 0.
    assert closing(what, "n") == 52


def test_the_closing_charge_is_never_negative() -> None:
    graph = plain((1,), {"w": dense([[-3]], [-50]), "n": fire((1,), 20.0)})
    windows = {"input": Window("input", 0, 0, 5), "n": Window("gated", 1, 5, 3)}
    assert closing(plan(coded(graph, "gate", windows, 8), forward_delay=1), "n") == 0


def test_a_gated_population_and_its_control() -> None:
    program = CPU.lower(gate_mlp())
    assert param(program, "n", "v_threshold") == 12
    assert param(program, "n", "v_init") == [6 + 4 - 31, 6 - 6 - 31]
    assert param(program, "n", "v_load") == [6 + 4 - 31, 6 - 6 - 31]
    assert (param(program, "n", "load_step"), param(program, "n", "max_spikes"), param(program, "n", "reset")) == (7, 1, 0)
    assert (param(program, "n.control", "time"), param(program, "n.control", "index")) == ([3], [0])
    control = next(p for p in program.projections if p.name == "n.control")
    assert isinstance(control.synapse, Dense)
    assert (control.source, control.target, control.delay) == ("n.control", "n", 1)
    assert control.synapse.codes.tolist() == [[31], [31]]
    assert param(program, "out", "v_init") == [3, -3]
    assert (program.n_steps, program.inputs, program.outputs) == (8, ("input",), ("out",))
    assert [(p.name, p.delay) for p in program.projections] == [("a", 1), ("b", 1), ("n.control", 1)]
    assert (program.meta["code"], program.meta["readout"]) == ("gate", "last")


def test_the_gate_code_fires_what_the_formula_says() -> None:
    program = CPU.lower(gate_mlp())
    weights, bias = np.array([[5, -2, 3], [1, 1, -7]]), np.array([4, -6])
    counts = np.array([[i, j, k] for i in range(5) for j in range(5) for k in range(5)], np.int32)
    encoder = CountEncoder("consecutive", 1.0, 4)
    stimulus = Stimulus(encoder.raster(counts, 8), None, 8)
    result = run(program, stimulus, record_spikes=["n"], record_v=["out"])
    n = np.clip((counts @ weights.T + bias + 6) // 12, 0, 3)
    assert np.array_equal(result.trace.spikes["n"].sum(axis=1), n)
    assert np.array_equal(result.trace.v["out"][:, -1], n @ np.array([[1, -1], [2, 2]]).T + [3, -3])


def test_a_relay_is_an_or_of_its_window() -> None:
    graph = plain((1, 2, 2), {"p": sum_pool(2), "m": relay((1, 1, 1)), "c": conv([[[[2]]]]), "n": fire((1, 1, 1), 4.0)})
    windows = {
        "input": Window("input", 0, 0, 3),
        "m": Window("relay", 1, 1, 3),
        "n": Window("gated", 2, 4, 3),
    }
    program = CPU.lower(coded(graph, "gate", windows, 7))
    assert {k: v.tolist() for k, v in program.population("m").neuron.params.items()} == {
        "v_threshold": 1,
        "v_init": 0,
        "reset": 1,
        "v_reset": 0,
        "max_spikes": 1,
    }
    into = program.into("m")
    assert len(into) == 1
    assert isinstance(into[0].synapse, Diagonal)
    assert into[0].synapse.codes.tolist() == [1]
    assert into[0].pool is not None
    assert into[0].name == "p"


# -------------------------------------------------------------------------------------------------------- the rate code


def rate_net(bias: int) -> Graph:
    graph = plain(
        (1,), {"w": dense([[3]], [bias]), "n": fire((1,), 10.0, theta=10), "b": dense([[2]], [bias]), "out": integrate((1,))}
    )
    windows = {"input": Window("input", 0, 0, 4), "n": Window("free", 0, 0, 12), "out": Window("readout", 0, 0, 12)}
    return coded(graph, "rate", windows, 12, levels=4)


def test_a_rate_coded_bias_comes_once_in_as_many_steps_as_the_input_has_levels() -> None:
    program = CPU.lower(rate_net(-3))
    assert param(program, "n", "v_init") == 5 - 3
    assert param(program, "n", "bias") == 0
    assert param(program, "n.bias", "time") == [3, 7]
    assert param(program, "out", "v_init") == -3
    pulses = next(p for p in program.projections if p.name == "n.bias")
    assert (pulses.synapse.codes.tolist(), pulses.delay) == ([[-3]], 1)
    assert [p.name for p in CPU.lower(rate_net(0)).populations] == ["input", "n", "out"]


def test_the_rate_code_runs_as_the_reference_does() -> None:
    graph = rate_net(2)
    coding = coding_of(graph.metadata)
    assert coding is not None
    raster = CountEncoder.from_json(coding.encoder).raster(np.arange(5, dtype=np.int32)[:, None], 12)
    result = run(CPU.lower(graph), Stimulus(raster, None, 12), record_spikes=["n"], record_v=["out"])
    expected = run_spiking(graph, raster, CODED, coding, ["out"])
    assert expected.spikes["n"].sum() > 0
    assert np.array_equal(result.trace.spikes["n"], expected.spikes["n"])
    assert np.array_equal(result.trace.v["out"], expected.v["out"])


# --------------------------------------------------------------------------------------------------------- plain networks


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"reset": "zero", "comparison": ">="}, {"v_threshold": 10, "v_init": 0, "reset": 1, "v_reset": 0, "max_spikes": 1}),
        ({"reset": "value", "comparison": ">"}, {"v_threshold": 11, "v_init": 0, "reset": 1, "v_reset": -2, "max_spikes": 1}),
        ({"reset": "subtract", "comparison": ">="}, {"v_threshold": 10, "v_init": 0, "reset": 0, "max_spikes": 1}),
        ({"reset": "subtract", "comparison": ">"}, {"v_threshold": 10, "v_init": -1, "reset": 0, "max_spikes": 1}),
        (
            {"reset": "subtract", "comparison": ">=", "multi_spike": True},
            {"v_threshold": 10, "v_init": 0, "reset": 0, "max_spikes": 32768},
        ),
    ],
)
def test_a_plain_neuron_follows_the_convention(rules: dict[str, object], expected: dict[str, int]) -> None:
    convention = PLAIN_IF.having(**rules)
    program = CPU.lower(plain((1,), {"w": dense([[3]], [4]), "n": fire((1,), 10.0, reset=-2.0)}, convention))
    params = {k: v.tolist() for k, v in program.population("n").neuron.params.items()}
    assert params == {**expected, "bias": 4, "v_min": -(1 << 31), "v_max": (1 << 31) - 1}
    assert program.projections[0].delay == 0
    assert program.n_steps == 0
    assert program.meta.get("v_offset") == ({"n": -1} if expected["v_init"] else None)


def test_a_lower_bound_of_the_convention_is_in_codes() -> None:
    convention = PLAIN_IF.having(reset="subtract", v_min=-1.0)
    program = CPU.lower(plain((2,), {"w": dense(np.eye(2)), "n": fire((2,), [10.0, 20.0])}, convention))
    assert param(program, "n", "v_min") == [-10, -20]


@pytest.mark.parametrize("reset", ["zero", "value", "subtract"])
@pytest.mark.parametrize("comparison", [">", ">="])
@pytest.mark.parametrize("seed", range(3))
def test_plain_networks_run_as_the_reference_does(reset: str, comparison: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    convention = PLAIN_IF.having(reset=reset, comparison=comparison, v_min=-1.0 if seed == 2 else None)
    graph = wired(
        {
            "input": input_node((1, 4, 4)),
            "c": conv(rng.integers(-9, 10, (2, 1, 3, 3)), padding=(1, 1), bias=rng.integers(-2, 3, 2)),
            "a": fire((2, 4, 4), 11, reset=-3.0),
            "r": conv(rng.integers(-5, 6, (2, 2, 1, 1))),
            "p": sum_pool(2),
            "f": nir.Flatten({"input": np.array([2, 2, 2])}, 0, -1),
            "d": dense(rng.integers(-9, 10, (3, 8))),
            "b": fire((3,), [5, 9, 14], reset=1.0),
            "output": output_node(),
        },
        [
            *(("input", "c"), ("c", "a"), ("a", "r"), ("r", "a"), ("a", "p"), ("p", "f"), ("f", "d"), ("d", "b")),
            ("b", "output"),
        ],
        convention,
    )
    program = CPU.lower(graph)
    assert {p.name: p.delay for p in program.projections} == {"c": 0, "r": 1, "d": 0}
    raster = rng.integers(0, 2, (6, 15, 16)).astype(np.uint8)
    result = run(program, Stimulus(raster, None, 15), record_spikes=["a", "b"])
    expected = run_spiking(graph, raster.reshape(6, 15, 1, 4, 4), convention)
    assert expected.spikes["b"].sum() > 0
    for name in ("a", "b"):
        assert np.array_equal(result.trace.spikes[name], expected.spikes[name])


def test_delays_are_whole_steps() -> None:
    half = Convention("t", dt=0.5, reset="zero")
    graph = plain((2,), {"w": dense(np.eye(2)), "d": nir.Delay(np.full(2, 1.5)), "n": fire((2,))}, half)
    graph.nodes["n"].r = np.full(2, 2.0)
    assert CPU.lower(graph).projections[0].delay == 3


def test_a_direct_connection_has_the_code_of_1() -> None:
    nodes = {"input": input_node((2,)), "n": fire((2,), 10, scale=0.25), "output": output_node()}
    program = CPU.lower(wired(nodes, [("input", "n"), ("n", "output")]))
    assert [(p.name, p.synapse.codes.tolist()) for p in program.projections] == [("input->n", [4, 4])]


def test_projection_names_stay_unique_where_nodes_are_shared() -> None:
    nodes = {
        "input": input_node((2,)),
        "w": dense(np.eye(2)),
        "a": fire((2,)),
        "b": fire((2,)),
        "output": output_node(),
        "second": output_node(),
    }
    edges = [("input", "w"), ("w", "a"), ("w", "b"), ("a", "output"), ("b", "second"), ("a", "b"), ("input", "b")]
    program = CPU.lower(wired(nodes, edges))
    assert sorted(p.name for p in program.projections) == ["a->b", "input->b", "w", "w->b"]
    assert program.outputs == ("a", "b")
    assert program.meta["readout"] == "count"


# --------------------------------------------------------------------------------------------- whole converted networks


def converted(name: str, code: str, seed: int = 1) -> tuple[Graph, Graph, np.ndarray]:
    rng = np.random.default_rng(seed)
    graph = NETWORKS[name](rng)
    x = rng.uniform(-1, 1, (16, *shapes(graph)[the_input(graph)]))
    ledger = tuple(Entry(n, type(node).__name__, "became", (n,), "", "test") for n, node in graph.nodes.items())
    options = ConvertOptions(code=code, levels=5, input_levels=3)
    result = convert_graph(Imported(graph, "onnx", ledger), x, "test", options)
    encoder = encoder_of(result.graph.metadata)
    return result.graph, result.stages["quantised weights"], encoder.counts(x)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_lowered_gate_code_gives_the_integers_of_the_quantised_ann(name: str, tmp_path: Path) -> None:
    graph, ann, counts = converted(name, "gate")
    program = CPU.lower(graph)
    program.save(tmp_path / "p.npz")
    program = Program.load(tmp_path / "p.npz")
    coding = coding_of(graph.metadata)
    assert coding is not None
    raster = CountEncoder.from_json(program.meta["encoder"]).raster(counts, program.n_steps)
    output = predecessors(graph, the_output(graph))[0]
    neurons = names_of(graph, nir.IF)
    result = run(program, Stimulus(raster, None, program.n_steps), record_spikes=neurons, record_v=[output])
    v = result.trace.v[output][:, -1]
    actual = v if name != "spiking_output" else result.trace.spikes[output].sum(axis=1)
    assert np.array_equal(actual, forward(ann, counts, integers=True).reshape(len(counts), -1))
    shaped = raster.reshape(*raster.shape[:2], *shapes(graph)[the_input(graph)])
    expected = run_spiking(graph, shaped, CODED, coding)
    for neuron in neurons:
        assert np.array_equal(result.trace.spikes[neuron], expected.spikes[neuron])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_node_is_in_the_program(name: str) -> None:
    graph, _, _ = converted(name, "gate")
    program = CPU.lower(graph)
    populations = {p.name for p in program.populations}
    assert set(names_of(graph, nir.Input, nir.IF, nir.I)) <= populations
    weighted = set(names_of(graph, nir.Affine, nir.Linear, nir.Conv2d, nir.Scale))
    assert weighted <= {p.name for p in program.projections}
    for name in weighted:
        projection = next(p for p in program.projections if p.name == name)
        assert np.any(projection.synapse.codes)
    pools = set(names_of(graph, nir.SumPool2d))
    assert len(pools) == len([p for p in program.projections if p.pool is not None])


@pytest.mark.parametrize("name", ["mlp", "residual", "spiking_output"])
def test_the_lowered_rate_code_runs_as_the_reference_does(name: str) -> None:
    graph, _, counts = converted(name, "rate")
    program = CPU.lower(graph)
    coding = coding_of(graph.metadata)
    assert coding is not None
    raster = CountEncoder.from_json(coding.encoder).raster(counts, coding.n_steps)
    neurons = names_of(graph, nir.IF)
    result = run(program, Stimulus(raster, None, coding.n_steps), record_spikes=neurons)
    shaped = raster.reshape(*raster.shape[:2], *shapes(graph)[the_input(graph)])
    expected = run_spiking(graph, shaped, CODED, coding)
    for neuron in neurons:
        assert np.array_equal(result.trace.spikes[neuron], expected.spikes[neuron])


def test_kernels_are_trimmed_on_cpu_and_whole_on_speck() -> None:
    codes = np.zeros((1, 1, 3, 3))
    codes[:, :, 1:, 1:] = 1
    graph = plain((1, 4, 4), {"c": conv(codes, padding=(1, 1)), "n": fire((1, 4, 4))})
    on_cpu, on_speck = (resolve_target(t).lower(graph).projections[0].synapse for t in ("cpu", "speck2f"))
    assert isinstance(on_cpu, Conv)
    assert isinstance(on_speck, Conv)
    assert (on_cpu.codes.shape, on_cpu.padding) == ((1, 1, 2, 2), (0, 0, 1, 1))
    assert (on_speck.codes.shape, on_speck.padding) == ((1, 1, 3, 3), (1, 1, 1, 1))


def test_a_window_that_is_missing_is_refused() -> None:
    graph = coded(plain((1,), {"w": dense([[3]]), "n": fire((1,))}), "gate", {"input": Window("input", 0, 0, 4)}, 8)
    with pytest.raises(InvalidGraph, match="n: the coding in the graph's metadata has no window for it"):
        CPU.lower(graph)


def test_the_convention_of_a_graph() -> None:
    assert convention_of({}) is PLAIN
    assert convention_of(gate_mlp().metadata) == CODED
    assert convention_of({"snnport": json.dumps({"coding": None, "convention": PLAIN_IF.to_json()})}) == PLAIN_IF
    for text in ('{"convention": {"odd": 1}}', "{", '{"convention": 3}'):
        with pytest.raises(InvalidGraph, match="metadata 'snnport': its convention cannot be read"):
            convention_of({"snnport": text})


def test_a_converted_graph_without_a_convention_is_coded() -> None:
    graph = gate_mlp()
    data = json.loads(graph.metadata["snnport"])
    del data["convention"]
    assert convention_of(build(graph.nodes, graph.edges, {"snnport": json.dumps(data)}).metadata) is CODED
