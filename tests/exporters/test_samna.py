from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spiking import coded, conv, dense, fire, plain, said, sum_pool, wired

from snnport.convention import Convention, Window
from snnport.errors import DoesNotFit
from snnport.exporters.samna import configuration, document, write_samna
from snnport.graph import Graph, build, with_metadata
from snnport.importers.nir import read_nir
from snnport.nodes import input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.fixes.channels import ExtendReadout
from snnport.passes.spec import parse_pass
from snnport.program import Program
from snnport.targets.base import resolve_target
from snnport.targets.placement import on_chip
from snnport.targets.speck.export import setup_of
from snnport.targets.speck.sensor import parse_preprocessing

GOLDEN = Path(__file__).parent.parent / "golden" / "samna"
STAGES = {"seen": "size=16x16,pool=2,region=1:2:7:8,mirror=x,swap,sensor", "merged": "size=16x16,merge,pool=4,mirror=y"}
SUBTRACT = Convention("test", dt=1.0, reset="subtract", comparison=">=", multi_spike=True)


def golden_graph(name: str) -> Graph:
    """The network of a recording: whole numbers, so the scale is 1; bounds and resets as sinabs had them."""
    found = read_nir(GOLDEN / f"{name}.nir", dialect="sinabs", reset="zero" if name == "leaking" else "subtract")
    graph = found.graph
    nodes = {key: with_metadata(node, scale=1.0) for key, node in graph.nodes.items()}
    unbounded = tuple(key for key, node in nodes.items() if node.metadata.get("min_v_mem") == -(2**15))
    assert found.convention is not None
    rule = found.convention.having(v_min=-1.0, unbounded=unbounded)
    return build(nodes, graph.edges, said(rule))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field with its path; lists of numbers are one field."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for i, part in enumerate(value):
            yield from leaves(part, f"{path}[{i}]")
    else:
        if value != []:
            yield path, value


@pytest.mark.parametrize("name", ["strided", "square", "leaking", "branches", "seen", "merged"])
def test_every_field_that_sinabs_writes_has_the_value_that_sinabs_writes(name: str) -> None:
    recorded = json.loads((GOLDEN / f"{name}.json").read_text())
    target = resolve_target("speck2e" if "2e" in recorded["device"] else "speck2f")
    program = target.lower(golden_graph(name))
    front = parse_preprocessing(STAGES[name]) if name in STAGES else None
    setup = setup_of(program, front)
    ours = configuration(setup)
    core_of = {core.name: number for number, core in setup.cores.items()}
    moved = {core: core_of[f"n{layer}"] for layer, core in recorded["layer2core"].items()}
    theirs = moved_to(recorded["configuration"], moved)
    expected, actual = dict(leaves(theirs)), dict(leaves(ours))
    compared = 0
    for path, value in expected.items():
        assert actual[path] == value, path
        compared += 1
    weights = [path for path in expected if path.endswith("weights")]
    assert len(weights) == len(moved)
    assert compared >= 20 * len(moved)


@pytest.mark.data
@pytest.mark.parametrize("name", list(json.loads((GOLDEN / "real.json").read_text())))
def test_real_networks_get_the_configuration_that_sinabs_gives_them(name: str, data_dir: Path) -> None:
    """From the file to the configuration on both sides: quantised as sinabs does, every field that sinabs writes."""
    recorded = json.loads((GOLDEN / "real.json").read_text())[name]
    found = read_nir(data_dir / "nir" / f"{name}.nir", dialect="sinabs", reset="subtract")
    assert found.convention is not None
    graph = build(found.graph.nodes, found.graph.edges, said(found.convention))
    graph = run_passes(graph, (parse_pass("quantize-speck{method=sinabs}"),), Context())
    program = resolve_target("speck2f").lower(graph)
    setup = setup_of(program)
    order, core_of = [p.name for p in on_chip(program)], {core.name: n for n, core in setup.cores.items()}
    moved = {core: core_of[order[int(layer)]] for layer, core in recorded["layer2core"].items()}
    expected, actual = dict(leaves(moved_to(recorded["configuration"], moved))), dict(leaves(configuration(setup)))
    assert len(expected) == 108
    assert sum(str(value).startswith("sha256:") for value in expected.values()) >= 9
    for path, value in expected.items():
        ours = actual[path]
        if str(value).startswith("sha256:"):
            ours = "sha256:" + hashlib.sha256(json.dumps(ours).encode()).hexdigest()
        assert ours == value, path


def moved_to(config: dict[str, Any], moved: dict[int, int]) -> dict[str, Any]:
    """A recorded configuration with its layers on other cores, destinations in the order of the layers, nothing empty."""
    layers: dict[int, dict[str, Any]] = {}
    order = [moved[core] for core in sorted(moved)]
    for core, fields in enumerate(config["cnn_layers"]):
        if "weights" not in fields:
            continue
        ends = [{**end, "layer": moved[end["layer"]]} for end in fields["destinations"] if end]
        layers[moved[core]] = {**fields, "destinations": sorted(ends, key=lambda end: order.index(end["layer"]))}
    sensor = dict(config["dvs_layer"])
    sensor["destinations"] = [{**end, "layer": moved[end["layer"]]} for end in sensor["destinations"] if end]
    listed = [layers.get(core, {}) for core in range(9)]
    return {"cnn_layers": listed, "dvs_layer": sensor if sensor["destinations"] else {"pass_sensor_events": False}}


def small() -> Program:
    nodes = {
        "p": sum_pool(2),
        "c": conv(np.arange(54).reshape(3, 2, 3, 3), padding=(1, 1)),
        "n": fire((3, 4, 4), 20),
        "q": sum_pool(2),
        "d": conv(np.ones((2, 3, 2, 2))),
        "m": fire((2, 1, 1), 30),
    }
    return resolve_target("speck2f").lower(plain((2, 8, 8), nodes, SUBTRACT))


def test_a_document_names_class_cores_and_entries() -> None:
    program = small()
    found = document(setup_of(program))
    assert {k: v for k, v in found.items() if k != "configuration"} == {
        "format": "snnport-samna",
        "version": 1,
        "class": "samna.speck2f.configuration.SpeckConfiguration",
        "layers": {"n": 8, "m": 7},
        "inputs": {"input": [8]},
        "outputs": {"m": 7},
        "slow_clock": None,
    }
    config = found["configuration"]
    assert sorted(config) == ["cnn_layers", "dvs_filter", "dvs_layer", "factory_config", "readout"]
    assert len(config["cnn_layers"]) == 9
    assert config["dvs_layer"]["pooling"] == {"x": 2, "y": 2}
    assert config["dvs_layer"]["destinations"] == [{"layer": 8, "enable": True}, {"layer": 0, "enable": False}]
    assert config["readout"] == {"enable": False}


def test_a_core_holds_what_the_program_says() -> None:
    core = configuration(setup_of(small()))["cnn_layers"][8]
    assert core["dimensions"] == {
        "input_shape": {"size": {"x": 4, "y": 4}, "feature_count": 2},
        "output_shape": {"size": {"x": 4, "y": 4}, "feature_count": 3},
        "padding": {"x": 1, "y": 1},
        "stride": {"x": 1, "y": 1},
        "kernel_size": 3,
    }
    assert core["weights"][0][0] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert core["biases"] == [0, 0, 0]
    assert (core["threshold_high"], core["threshold_low"], core["return_to_zero"]) == (20, -32768, False)
    assert core["destinations"] == [
        {"layer": 7, "enable": True, "pooling": 2, "feature_shift": 0},
        {"layer": 0, "enable": False, "pooling": 1, "feature_shift": 0},
    ]
    assert (core["monitor_enable"], core["leak_enable"]) == (False, False)
    assert np.array_equal(core["neurons_initial_value"], np.zeros((3, 4, 4), int))
    assert (core["output_decimator_enable"], core["input_congestion_balancer_enable"]) == (False, False)
    assert configuration(setup_of(small()))["cnn_layers"][7]["monitor_enable"] is True


def test_a_core_without_a_layer_is_switched_off() -> None:
    core = configuration(setup_of(small()))["cnn_layers"][0]
    assert "weights" not in core
    assert (core["monitor_enable"], core["leak_enable"]) == (False, False)
    assert [end["enable"] for end in core["destinations"]] == [False, False]


def test_dynapcnn_has_kill_bits_and_no_decimator() -> None:
    graph = plain((1,), {"w": dense([[3], [0]]), "n": fire((2,), 10)}, SUBTRACT)
    found = document(setup_of(resolve_target("dynapcnn").lower(graph)))
    assert found["class"] == "samna.dynapcnn.configuration.DynapcnnConfiguration"
    core = found["configuration"]["cnn_layers"][found["layers"]["n"]]
    assert core["weights_kill_bit"] == [[[[False]]], [[[True]]]]
    assert core["biases_kill_bit"] == [True, True]
    assert core["neurons_value_kill_bit"] == [[[False]], [[False]]]
    assert "output_decimator_enable" not in core


def test_sources_side_by_side_are_told_their_shift() -> None:
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
    found = document(setup_of(resolve_target("speck2f").lower(wired(nodes, edges, SUBTRACT))))
    first, second = (found["configuration"]["cnn_layers"][found["layers"][name]] for name in ("a", "n"))
    assert first["destinations"][0] == {"layer": found["layers"]["n"], "enable": True, "pooling": 1, "feature_shift": 1}
    assert second["weights"] == [[[[3]], [[2]]]]
    assert second["dimensions"]["input_shape"]["feature_count"] == 2
    assert found["inputs"] == {"input": [found["layers"]["a"], found["layers"]["n"]]}


def test_biases_come_with_the_ticks_of_the_slow_clock_and_those_of_the_rate_code_are_there_at_the_start() -> None:
    graph = plain((1,), {"w": dense([[3], [4]], [2, -1]), "n": fire((2,), 10)}, SUBTRACT)
    found = document(setup_of(resolve_target("speck2f").lower(graph)))
    core = found["configuration"]["cnn_layers"][found["layers"]["n"]]
    assert (core["biases"], core["leak_enable"], found["slow_clock"]) == ([2, -1], True, {"steps_a_tick": 1})
    windows = {"input": Window("input", 0, 0, 4), "n": Window("free", 0, 0, 12)}
    rate = coded(plain((1,), {"w": dense([[3], [4]], [2, -1]), "n": fire((2,), 10, theta=10)}), "rate", windows, 12)
    found = document(setup_of(resolve_target("speck2f").lower(rate)))
    core = found["configuration"]["cnn_layers"][found["layers"]["n"]]
    assert (core["biases"], found["slow_clock"]) == ([0, 0], None)
    assert core["neurons_initial_value"] == [[[11]], [[2]]]


def test_biases_within_a_channel_are_one() -> None:
    program = resolve_target("speck2f").lower(
        plain((1, 2, 2), {"c": conv([[[[3]]]], bias=[1]), "n": fire((1, 2, 2), 10)}, SUBTRACT)
    )
    neuron = program.populations[1].neuron
    uneven = {**neuron.params, "bias": np.array([1, 1, 1, 2])}
    changed = replace(
        program, populations=(program.populations[0], replace(program.populations[1], neuron=replace(neuron, params=uneven)))
    )
    with pytest.raises(DoesNotFit, match="n: its biases differ within a channel, a core has one a channel"):
        setup_of(changed)


def test_an_extended_readout_drives_the_readout_block() -> None:
    graph = plain((1,), {"w": dense([[3], [4]]), "n": fire((2,), 10)}, SUBTRACT)
    program = resolve_target("speck2f").lower(run_passes(graph, (ExtendReadout("n"),), Context()))
    found = document(setup_of(program))
    config = found["configuration"]
    core = config["cnn_layers"][found["layers"]["n"]]
    assert [row[0][0][0] for row in core["weights"]] == [3, 0, 0, 0, 4]
    assert core["destinations"][0] == {"layer": 12, "enable": True, "pooling": 1, "feature_shift": 0}
    assert (config["readout"]["enable"], config["readout"]["readout_configuration_sel"]) == (True, 3)
    assert config["factory_config"] == {"io_sel": 24}


def test_the_file_is_json_and_whole(tmp_path: Path) -> None:
    (path,) = write_samna(setup_of(small()), tmp_path / "chip")
    assert path == tmp_path / "chip" / "samna.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(document(setup_of(small()))))


def test_the_lines_of_the_documentation_apply_it(tmp_path: Path) -> None:
    """docs/formats.md shows how samna.json gets into samna's object; here into one that keeps what it is told."""
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    code = text.split("<!-- samna: apply -->")[1].split("```python")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)  # our own page

    class Part:
        def __init__(self, **known: Any) -> None:
            self.__dict__.update(known)

    def like(value: Any) -> Any:
        if isinstance(value, dict):
            return Part(**{k: like(v) for k, v in value.items()})
        return [like(v) for v in value] if isinstance(value, list) and value and isinstance(value[0], dict) else None

    config = configuration(setup_of(small()))
    target = like(config)
    names["apply"](target, config)
    assert target.cnn_layers[8].weights == config["cnn_layers"][8]["weights"]
    assert target.cnn_layers[8].dimensions == config["cnn_layers"][8]["dimensions"]
    assert target.cnn_layers[8].destinations[0].layer == 7
    assert target.dvs_layer.pooling.x == 2
    assert target.dvs_layer.destinations[0].enable is True
