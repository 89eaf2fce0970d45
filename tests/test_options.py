from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from snnport.errors import InvalidInput
from snnport.flow.convert import ConvertOptions
from snnport.flow.model import ReadOptions
from snnport.flow.prepare import InputOptions
from snnport.options import Conversion, Group, Reading, Samples, Scaling, expand_groups

PAIR = Group(
    {"a": (Annotated[int, typer.Option("--a")], 1), "b": (Annotated[str, typer.Option("--b")], "x")},
    lambda a, b: f"{a}{b}",
)
SEEN: list[Any] = []


def take_pair(name: str, pair: Annotated[Any, PAIR], more: bool = False) -> None:
    SEEN.append((name, pair, more))


def take_conversion(value: Conversion) -> None:
    SEEN.append(value)


def take_reading(value: Reading) -> None:
    SEEN.append(value)


def take_scaling(value: Scaling) -> None:
    SEEN.append(value)


def take_samples(value: Samples) -> None:
    SEEN.append(value)


def given(verb: Callable[..., None], *arguments: str) -> Any:
    """What `verb` is called with when these arguments stand on the command line."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(expand_groups(verb))
    SEEN.clear()
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (value,) = SEEN
    return value


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["n"], ("n", "1x", False)),
        (["n", "--a", "5"], ("n", "5x", False)),
        (["--b", "y", "--more", "n"], ("n", "1y", True)),
    ],
)
def test_a_group_becomes_its_options_and_comes_back_as_one_object(arguments: list[str], value: Any) -> None:
    assert given(take_pair, *arguments) == value


def test_the_options_of_a_group_stand_in_the_help() -> None:
    app = typer.Typer()
    app.command()(expand_groups(take_samples))
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "160", "TERM": "dumb"}).output
    assert all(option in text for option in ("--scale", "--shift", "--mean", "--std", "--calibration", "--labels", "--layout"))
    assert "--value" not in text


@pytest.mark.parametrize(
    ("verb", "defaults"),
    [
        (take_conversion, ConvertOptions()),
        (take_reading, ReadOptions()),
        (take_scaling, InputOptions()),
        (take_samples, InputOptions()),
    ],
)
def test_the_defaults_of_the_command_line_are_those_of_the_python_interface(verb: Callable[..., None], defaults: Any) -> None:
    assert given(verb) == defaults


def test_conversion_options() -> None:
    words = "--code rate --levels 8 --input-levels 4 --bits 5 --correction off --steps 64"
    assert given(take_conversion, *words.split()) == ConvertOptions("rate", 8, 4, 5, "off", 64)


def test_reading_options() -> None:
    words = "--dialect norse --dt 0.001 --reset zero"
    assert given(take_reading, *words.split()) == ReadOptions("norse", 0.001, "zero")


def test_scaling_options() -> None:
    words = "--scale 255 --shift 1 --mean 0.1,0.2 --std .5,2 --calibration c.npz --range -1,1"
    expected = InputOptions(
        scale=255.0, shift=1.0, mean=(0.1, 0.2), std=(0.5, 2.0), calibration=Path("c.npz"), value_range=(-1.0, 1.0)
    )
    assert given(take_scaling, *words.split()) == expected


def test_sample_options() -> None:
    assert given(take_samples, "--labels", "y.gz", "--layout", "tnc") == InputOptions(labels=Path("y.gz"), layout="tnc")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mean", "a,b"], r"^--mean: 'a,b' is no list of numbers\. Write them with commas: 0\.1,0\.2\.$"),
        (["--std", "1;2"], r"^--std: '1;2' is no list of numbers"),
        (["--range", "1,x"], r"^--range: '1,x' is no list of numbers"),
        (["--range", "1"], r"^--range: '1' is not LOW,HIGH"),
        (["--range", "1,2,3"], r"^--range: '1,2,3' is not LOW,HIGH"),
    ],
)
def test_numbers_that_are_none(arguments: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        given(take_scaling, *arguments)
