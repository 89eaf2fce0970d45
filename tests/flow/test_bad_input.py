"""Bad input: one clear message, exit code 1, no traceback, no file left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from command import Command
from onnx import TensorProto, helper, numpy_helper

from snnport.models.digits import DIGITS


def model_with(tmp_path: Path, operator: str) -> Path:
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], name="odd_one")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
    )
    path = tmp_path / f"{operator}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


def truncated(tmp_path: Path) -> Path:
    path = tmp_path / "cut.onnx"
    path.write_bytes(DIGITS.onnx.read_bytes()[:-700])
    return path


def unknown_operator(tmp_path: Path) -> Path:
    return model_with(tmp_path, "Erf")


def nan_weights(tmp_path: Path) -> Path:
    model = onnx.load(DIGITS.onnx)
    weights = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weights.reshape(-1)[3] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, model.graph.initializer[0].name))
    path = tmp_path / "nan.onnx"
    onnx.save(model, path)
    return path


def empty_file(tmp_path: Path) -> Path:
    path = tmp_path / "empty.onnx"
    path.touch()
    return path


def pointer(tmp_path: Path) -> Path:
    path = tmp_path / "pointer.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    return path


def missing(tmp_path: Path) -> Path:
    return tmp_path / "missing.onnx"


@pytest.mark.parametrize("make", [truncated, unknown_operator, nan_weights, empty_file, pointer, missing])
@pytest.mark.parametrize("verb", ["convert", "inspect", "port"])
def test_a_bad_model_leaves_one_message_and_no_file(snnport: Command, tmp_path: Path, make: object, verb: str) -> None:
    file, out = make(tmp_path), tmp_path / "out" / "x.nir"
    out.parent.mkdir()
    more = {"convert": ["-o", out], "inspect": [], "port": ["--input", DIGITS.test, "-o", out.parent]}[verb]
    answer = snnport(verb, file, *more)
    assert answer.code == 1
    assert answer.out == ""
    assert answer.err.startswith("snnport: ")
    assert "Traceback" not in answer.err
    assert list(out.parent.iterdir()) == []
    error = snnport(verb, file, *more, "--json").data["error"]
    assert set(error) == {"kind", "where", "message", "remedy"}
    assert error["message"]


def test_the_unknown_operator_is_named_with_its_node(snnport: Command, tmp_path: Path) -> None:
    error = snnport("inspect", unknown_operator(tmp_path), "--json").data["error"]
    assert error["kind"] == "UnsupportedNode"
    assert "odd_one" in str(error)
    assert "Erf" in str(error)


def data_file(tmp_path: Path, **arrays: np.ndarray) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((5, 1, 9, 9), np.uint8)}, "9"),
        ({"x": np.zeros((0, 1, 8, 8), np.uint8)}, "no samples"),
        ({"x": np.full((5, 1, 8, 8), np.nan)}, "is nan"),
        ({"x": np.ones((5, 1, 8, 8)), "y": np.arange(4)}, "4"),
        ({"a": np.ones(3), "b": np.ones(3)}, "x"),
    ],
)
def test_bad_samples_are_refused_with_their_numbers(
    snnport: Command, converted: Path, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    file, out = data_file(tmp_path, **arrays), tmp_path / "t.npz"
    answer = snnport("run", converted / "digits.nir", "--input", file, "-o", out, "--json")
    assert answer.code == 1
    assert message in str(answer.data["error"])
    assert not out.exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((0, 1, 8, 8))}, "no samples"),
        ({"x": np.zeros((9, 1, 8, 8))}, "all its numbers are 0"),
        ({"x": np.zeros((9, 7))}, "7"),
    ],
)
def test_bad_calibration_is_refused(
    snnport: Command, converted: Path, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    file, out = data_file(tmp_path, **arrays), tmp_path / "out.nir"
    answer = snnport("convert", converted / "digits.onnx", "-o", out, "--calibration", file, "--json")
    assert answer.code == 1
    assert message in str(answer.data["error"])
    assert not out.exists()


def test_an_empty_calibration_file_is_refused(snnport: Command, converted: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.npz").touch()
    answer = snnport("convert", converted / "digits.onnx", "-o", tmp_path / "o.nir", "--calibration", tmp_path / "empty.npz")
    assert answer.code == 1
    assert "empty.npz" in answer.err


def test_a_pickle_is_not_opened(snnport: Command, converted: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([object()]), allow_pickle=True)
    answer = snnport("run", converted / "digits.nir", "--input", tmp_path / "evil.npy")
    assert answer.code == 1
    assert "evil.npy" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "lohi2"], "Did you mean 'loihi2'"),
        (["--target", "nowhere.toml"], "no such chip file"),
        (["--target", "cpu", "--code", "delay"], "max pooling is an OR of spikes"),
        (["--target", "cpu", "--code", "morse"], "Known: gate, rate"),
        (["--target", "cpu", "--levels", "2000"], "0..1024"),
        (["--target", "cpu", "--bits", "99"], "outside 2..16"),
        (["--target", "cpu", "--range", "a,b"], "no list of numbers"),
        (["--target", "cpu", "--range", "1,0"], "is empty"),
    ],
)
def test_bad_options_are_refused_by_name(snnport: Command, converted: Path, arguments: list[str], message: str) -> None:
    answer = snnport("check", converted / "digits.onnx", *arguments)
    assert answer.code == 1
    assert message in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "vendor"], "no vendor's simulator"),
        (["--engine", "abacus"], "Known: sim, reference, vendor"),
        (["--readout", "loudest"], "Known: count, last, max, sum"),
        (["--readout", "count"], "never fire"),
        (["--record", "current"], "cannot be recorded"),
        (["--record", "spikes:nobody"], "there is no such population"),
    ],
)
def test_bad_requests_of_run_are_refused(snnport: Command, converted: Path, arguments: list[str], message: str) -> None:
    answer = snnport("run", converted / "digits.nir", "--input", converted / "digits_test.npz", "--scale", 16, *arguments)
    assert answer.code == 1
    assert message in answer.err


def test_a_program_for_another_chip_is_refused(snnport: Command, converted: Path, tmp_path: Path) -> None:
    program = tmp_path / "p.npz"
    assert snnport("lower", converted / "digits.nir", "--target", "cpu", "-o", program).code == 0
    answer = snnport("run", program, "--target", "loihi2", "--input", converted / "digits_test.npz", "--scale", 16)
    assert answer.code == 1
    assert "it is a program for cpu, not for loihi2" in answer.err


def test_nothing_is_converted_twice(snnport: Command, converted: Path, tmp_path: Path) -> None:
    answer = snnport("convert", converted / "digits.nir", "-o", tmp_path / "x.nir")
    assert answer.code == 1
    assert "spiking neurons already" in answer.err
    answer = snnport("quantize", converted / "digits.onnx", "-o", tmp_path / "x.nir")
    assert answer.code == 1
    assert "snnport convert" in answer.err


def test_an_unwritable_place_leaves_one_line(snnport: Command, converted: Path) -> None:
    answer = snnport("convert", converted / "digits.onnx", "-o", converted / "digits.onnx" / "sub" / "x.nir", "--scale", 16)
    assert answer.code == 1
    assert "cannot be written" in answer.err
