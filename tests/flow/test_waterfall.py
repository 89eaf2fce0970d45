"""validate's causes: layers, neurons that do nothing, hints, the curve; and fine-tuning from the command line."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from command import Command
from networks import mlp, residual

from snnport.errors import InvalidInput
from snnport.flow.convert import ConvertOptions, convert_graph
from snnport.flow.curve import CurveOptions, hops
from snnport.flow.hints import Chosen, hints
from snnport.flow.layers import first_loss, layer_losses
from snnport.flow.model import ReadOptions, open_source
from snnport.flow.silence import activity_of
from snnport.graph import Graph, chain
from snnport.importers.base import Imported
from snnport.nodes import ReLU, input_node, output_node
from snnport.passes.unspike import quantised_ann
from snnport.report.losses import Activity, Layer

assert torch.get_num_threads() >= 1  # fine-tuning needs it


def converted_of(graph: Graph, x: np.ndarray, **options: object) -> tuple[Graph, Graph]:
    """The folded float network and the quantised ANN of its conversion."""
    conversion = convert_graph(Imported(graph, "test", ()), x, "", ConvertOptions(**options))  # type: ignore[arg-type]
    return conversion.stages["folded"], quantised_ann(conversion.graph)


def test_layers_are_judged_up_to_each_and_the_output_is_the_quantised_network() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (60, 12))
    folded, quantised = converted_of(mlp(rng), x, levels=2)
    layers = layer_losses(folded, quantised, x)
    assert [layer.name for layer in layers] == ["input", "r", "r2", "output"]
    fine = layer_losses(*converted_of(mlp(np.random.default_rng(0)), x, levels=64), x)
    assert all(b.relative_error < a.relative_error for a, b in zip(layers, fine, strict=True))
    assert all(0.9 < layer.correlation <= 1 for layer in fine)
    assert first_loss(layers)[1] in {layer.name for layer in layers}
    assert first_loss(()) == (None, None)


def test_the_first_layer_that_loses_is_the_one_that_was_broken() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (80, 12))
    folded, quantised = converted_of(mlp(rng), x, levels=64)
    broken = quantised.nodes["r"]
    broken.levels = 1  # type: ignore[attr-defined]
    layers = layer_losses(folded, quantised, x)
    assert first_loss(layers)[1] == "r"
    whole, part = Layer("a", 0.0, 1.0, 1.0, 0.1), Layer("b", 0.1, 0.9, 0.97, 0.2)
    assert first_loss((whole, part, Layer("c", 0.9, 0.1, 0.5, 0.9))) == ("b", "c")
    assert first_loss((whole,)) == (None, "a")


def test_graphs_with_other_names_are_not_compared() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (20, 12))
    folded, quantised = converted_of(mlp(rng), x)
    renamed = chain({"input": input_node((12,)), "other": ReLU(), "output": output_node()})
    assert layer_losses(renamed, quantised, x) == ()
    assert layer_losses(folded, quantised, x[:0]) == ()


def network_with(weight: np.ndarray, bias: np.ndarray) -> Graph:
    nodes = {
        "input": input_node((4,)),
        "a": nir.Affine(weight, bias),
        "r": ReLU(),
        "b": nir.Affine(np.ones((2, len(weight))), np.zeros(2)),
        "output": output_node(),
    }
    return chain(nodes)


def test_dead_saturated_and_clipped_neurons_are_counted() -> None:
    weight, bias = np.eye(4), np.array([0.0, -9.0, 9.0, 0.0])
    x = np.random.default_rng(0).uniform(0.2, 1, (50, 4))
    _, quantised = converted_of(network_with(weight, bias), x, levels=4, thresholds="50")
    (found,) = activity_of(quantised, x)
    assert (found.population, found.neurons, found.dead, found.saturated) == ("r", 4, 1, 1)
    assert found.clipped >= 0.25
    assert not found.silent
    assert not found.zero_weights


def test_layers_of_zeros_and_layers_that_never_spike_are_found() -> None:
    x = np.random.default_rng(0).uniform(0.2, 1, (20, 4))
    _, zeros = converted_of(network_with(np.zeros((3, 4)), np.full(3, -1.0)), x)
    (found,) = activity_of(zeros, x)
    assert found.zero_weights
    assert found.silent
    assert activity_of(zeros, x[:0]) == ()


WEIGHTS = {"0": (20, 1, 5, 5), "3": (32, 20, 5, 5), "6": (128, 32, 3, 3), "10": (500, 128), "12": (10, 500)}
"""Of the builder sinabs-mnist."""
CHOSEN = Chosen("gate", 4, 16, 8, 40, tuned=False, exact=True)


def test_hints_name_the_option_and_what_it_may_give() -> None:
    layers = [Layer("input", 0.1, 0.99, 0.96, 0.1)]
    found = hints({"quantised activations": 0.1, "quantised weights": 0.05}, layers, (), CHOSEN)
    by = {hint.options: hint.gain for hint in found}
    assert by["--levels 8"] == pytest.approx(0.5 * 0.06)
    assert by["--input-levels 64"] == pytest.approx(0.03)
    assert by["--bits 10"] == pytest.approx(0.05)
    assert by["--finetune 10 --train-data FILE"] == pytest.approx(0.06)
    assert [hint.gain for hint in found] == sorted((hint.gain for hint in found), key=lambda g: -(g or 0))
    assert hints({}, (), (), CHOSEN) == ()


def test_hints_for_codes_that_are_not_exact_and_for_clipped_counts() -> None:
    rate = Chosen("rate", 16, 16, 8, 64, tuned=True, exact=False)
    found = {hint.options for hint in hints({"lowered": 0.1, "quantised activations": 0.1}, (), (), rate)}
    assert found == {"--code gate", "--steps 128", "--levels 32"}
    (clipped,) = hints({}, (), [Activity("r", 4, 0, 0, 0.2, 1.0, 4)], CHOSEN)
    assert clipped.options == "--thresholds 99.9"


def test_curves_need_levels_that_exist() -> None:
    with pytest.raises(InvalidInput, match=r"levels are 1\.\.1024"):
        CurveOptions((0, 4))
    with pytest.raises(InvalidInput, match="2 is no fraction"):
        CurveOptions((4,), 2)


def test_hops_are_counted_on_the_longest_way() -> None:
    assert hops(mlp(np.random.default_rng(0))) == 3
    assert hops(residual(np.random.default_rng(0))) == 1 + sum(
        isinstance(node, ReLU) for node in residual(np.random.default_rng(0)).nodes.values()
    )


def test_validate_shows_the_cause_and_a_curve(snnport: Command, converted: Path) -> None:
    data = ("--input", converted / "digits_test.npz", "--scale", 16)
    options = ("--levels", 3, "--calibration", converted / "digits_calibration.npz", "--curve", "2,16")
    found = snnport("validate", converted / "digits.onnx", *data, *options, "--json").data
    assert [stage["name"] for stage in found["stages"]][-3:] == ["quantised weights", "spiking", "lowered"]
    assert 0 < found["stages"][-2]["samples"] < 400
    losses = found["losses"]
    assert [layer["name"] for layer in losses["layers"]] == ["input", "Relu_2", "Relu_6", "output"]
    assert losses["layers"][-1]["agreement"] < 1
    assert any(hint["options"] == "--levels 6" for hint in losses["hints"])
    assert {a["population"] for a in losses["activity"]} == {"Relu_2", "Relu_6"}
    few, many = losses["curve"]["points"]
    assert few["accuracy"] < many["accuracy"]
    assert few["steps"] < many["steps"]
    assert losses["curve"]["recommended"] == 1
    shown = snnport("validate", converted / "digits.onnx", *data, *options)
    assert shown.code == 0
    assert "Recommended: --levels 16" in " ".join(shown.out.split())


def test_a_converted_file_is_judged_against_its_source(snnport: Command, converted: Path) -> None:
    data = ("--input", converted / "digits_test.npz", "--scale", 16)
    found = snnport("validate", converted / "digits.nir", "--against", converted / "digits.onnx", *data, "--json").data
    assert [stage["name"] for stage in found["stages"]] == ["float", "quantised weights", "spiking", "lowered"]
    assert len(found["losses"]["layers"]) == 4
    options = ("--calibration", converted / "digits_calibration.npz", "--json")
    at_once = snnport("validate", converted / "digits.onnx", *data, *options).data["losses"]["layers"]
    for one, other in zip(found["losses"]["layers"], at_once, strict=True):  # the file knows how its channels were scaled
        assert one.pop("name") == other.pop("name")
        assert one == pytest.approx(other, rel=1e-4)
    refused = snnport("validate", converted / "digits.nir", *data, "--curve", "2,4", "--json")
    assert refused.data["error"]["message"].endswith("it is converted already, its levels are in it")
    unreadable = snnport("validate", converted / "digits.onnx", *data, "--curve", "2,x", "--json")
    assert unreadable.data["error"]["message"] == "'2,x' is no list of levels"


def test_run_and_convert_tell_what_neurons_do(snnport: Command, converted: Path, tmp_path: Path) -> None:
    data = ("--input", converted / "digits_test.npz", "--scale", 16)
    ran = snnport("run", converted / "digits.nir", *data, "--json").data
    assert {a["population"]: a["neurons"] for a in ran["activity"]} == {"Relu_2": 512, "Relu_6": 256}
    made = snnport(
        "convert", converted / "digits.onnx", "-o", tmp_path / "d.nir", "--scale", 16, "--range", "0,16", "--json"
    ).data
    assert len(made["activity"]) == 2


def test_fine_tuning_from_the_command_line_stays_exact(snnport: Command, converted: Path, tmp_path: Path) -> None:
    samples = converted / "digits_calibration.npz"
    tune = ("--finetune", "weights{epochs=2,batch=16,held_out=0.1}", "--train-data", samples, "--train-data", samples)
    arguments = ("convert", converted / "digits.onnx", "-o", tmp_path / "t.nir", "--scale", 16, "--levels", 2)
    made = snnport(*arguments, *tune, "--checkpoint", tmp_path / "kept", "--json").data
    spelled = next(name for name in made["findings"] if name.startswith("weights{"))
    assert made["findings"][spelled]["samples"] == 256
    assert len(made["findings"][spelled]["epochs"]) == 2
    assert (tmp_path / "kept" / "checkpoint.pt").is_file()
    first = (tmp_path / "t.nir").read_bytes()
    snnport(*arguments, *tune, "--checkpoint", tmp_path / "kept", "--json")
    assert (tmp_path / "t.nir").read_bytes() == first
    data = ("--input", converted / "digits_test.npz", "--scale", 16)
    judged = snnport("validate", tmp_path / "t.nir", *data, "--against", converted / "digits.onnx", "--json").data
    assert judged["logits_equal"] is True


def test_fine_tuning_that_cannot_work_is_refused(snnport: Command, converted: Path, tmp_path: Path) -> None:
    start = ("convert", converted / "digits.onnx", "-o", tmp_path / "t.nir", "--scale", 16, "--finetune", 2)
    data = ("--train-data", converted / "digits_calibration.npz")
    assert "no samples to learn from" in snnport(*start, "--json").data["error"]["message"]
    assert "does not train" in snnport(*start, *data, "--code", "graded", "--json").data["error"]["message"]
    spikes = tmp_path / "spikes.npz"
    np.savez(spikes, x=np.zeros((40, 5, 1, 8, 8), np.uint8))
    refused = snnport(*start[:4], "--finetune", 2, "--train-data", spikes, "--json").data["error"]
    assert refused["message"] == "it holds spikes, images are needed"
    assert snnport(*start[:-2], *data).code == 2
    assert not (tmp_path / "t.nir").exists()


def test_the_builder_belongs_to_the_file_of_weights(converted: Path, tmp_path: Path) -> None:
    arrays = {f"{place}.weight": torch.zeros(*size) for place, size in WEIGHTS.items()}
    torch.save(arrays, tmp_path / "w.pt")
    reading = ReadOptions(builder="sinabs-mnist")
    source, own = open_source(tmp_path / "w.pt", converted / "digits.nir", reading)
    assert source is not None
    assert source.input_shape == (1, 28, 28)
    assert own.builder is None
    assert open_source(tmp_path / "w.pt", tmp_path / "w.pt", reading)[1] == reading
    assert open_source(None, tmp_path / "w.pt", reading) == (None, reading)
