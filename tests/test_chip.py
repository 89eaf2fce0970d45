from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snnport.chip import CONFIDENCES, Chip, Number, load_chip
from snnport.errors import InvalidInput, UnknownName

BASE = """
target = "cpu"
name = "base"
description = "a chip"
[numbers.cores]
value = 64
unit = "cores"
source = "a datasheet, p. 3"
confidence = "documented"
[numbers.memory]
value = [1, 2.5]
"""


def written(folder: Path, text: str, name: str = "chip.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_chip_file(tmp_path: Path) -> None:
    chip = load_chip(written(tmp_path, BASE))
    assert (chip.name, chip.target, chip.description) == ("base", "cpu", "a chip")
    assert chip["cores"] == 64
    assert chip["memory"] == (1, 2.5)
    assert chip.numbers["cores"] == Number(64, "cores", "a datasheet, p. 3", "documented")
    assert chip.numbers["memory"] == Number((1, 2.5), "", "the user's chip file", "low")


def test_a_chip_comes_back_from_json(tmp_path: Path) -> None:
    chip = load_chip(written(tmp_path, BASE))
    assert Chip.from_json(json.loads(json.dumps(chip.to_json()))) == chip


def test_a_number_that_the_chip_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"number of chip base 'core': there is no such name\. Did you mean 'cores'\?"):
        load_chip(written(tmp_path, BASE))["core"]


def test_numbers_cannot_be_written_to(tmp_path: Path) -> None:
    chip = load_chip(written(tmp_path, BASE))
    with pytest.raises(TypeError, match="does not support item assignment"):
        chip.numbers["cores"] = Number(1, "", "", "low")  # type: ignore[index]


def test_a_variation_changes_some_numbers_and_keeps_the_others(tmp_path: Path) -> None:
    base = written(tmp_path, BASE, "base.toml")
    path = written(tmp_path, 'name = "big"\nextends = "base"\n[numbers.cores]\nvalue = 128')
    chip = load_chip(path, {"base": base})
    assert (chip.name, chip.target) == ("big", "cpu")
    assert chip.numbers["cores"] == Number(128, "", "the user's chip file", "low")
    assert chip.numbers["memory"] == load_chip(base).numbers["memory"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "a"', "it has no text entry 'target'"),
        ('target = "cpu"', "it has no text entry 'name'"),
        ('name = 3\ntarget = "cpu"', "it has no text entry 'name'"),
        ('name = "a"\ntarget = "cpu"\nnumbers = 3', "'numbers' is not a table"),
        ('name = "a"\ntarget = "cpu"\n[numbers.x]', r"numbers\.x: it has no 'value'"),
        ('name = "a"\ntarget = "cpu"\n[numbers]\nx = 3', r"numbers\.x: it has no 'value'"),
        ('name = "a"\ntarget = "cpu"\n[numbers.x]\nvalue = "3"', r"numbers\.x: its value '3' is no number or list of numbers"),
        ('name = "a"\ntarget = "cpu"\n[numbers.x]\nvalue = true', r"numbers\.x: its value True is no number"),
        ('name = "a"\ntarget = "cpu"\n[numbers.x]\nvalue = []', r"numbers\.x: its value \[\] is no number"),
        ('name = "a"\ntarget = "cpu"\n[numbers.x]\nvalue = [1, "b"]', r"numbers\.x: its value \[1, 'b'\] is no number"),
        ("name = ", r"it is no readable TOML file: Invalid value"),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"chip\.toml.*: {message}|chip\.toml: {message}"):
        load_chip(written(tmp_path, text))


def test_an_unknown_confidence(tmp_path: Path) -> None:
    assert "measured" in CONFIDENCES
    with pytest.raises(UnknownName, match=r"confidence 'mesured': .* Did you mean 'measured'"):
        load_chip(written(tmp_path, BASE.replace("documented", "mesured")))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no such chip file\. Give a chip name or the path of a \.toml"):
        load_chip(tmp_path / "none.toml")


def test_a_folder_or_bytes_are_no_chip_file(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "bytes.toml"):
        with pytest.raises(InvalidInput, match="it is no readable TOML file"):
            load_chip(path)


@pytest.mark.parametrize("base", ['"bse"', "3", '["base"]', "{ a = 1 }"])
def test_a_variation_of_an_unknown_chip(tmp_path: Path, base: str) -> None:
    known = {"base": written(tmp_path, BASE, "base.toml")}
    with pytest.raises(UnknownName, match=r"chip '.*': there is no such name"):
        load_chip(written(tmp_path, f'name = "a"\nextends = {base}'), known)


def test_a_variation_of_a_number_that_the_chip_does_not_have(tmp_path: Path) -> None:
    known = {"base": written(tmp_path, BASE, "base.toml")}
    path = written(tmp_path, 'name = "a"\nextends = "base"\n[numbers.z]\nvalue = 1\n[numbers.y]\nvalue = 1')
    with pytest.raises(InvalidInput, match=r"chip 'base' has no number y, z\. Remove it or mend its name"):
        load_chip(path, known)


@pytest.mark.parametrize("data", [{"name": "a"}, {"name": "a", "target": None}])
def test_json_names_the_place_it_came_from(data: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="the header: it has no text entry 'target'"):
        Chip.from_json(data, "the header")
