"""Where a vendor's interpreter is looked for, and what is said where it is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from snnport.errors import InvalidInput
from snnport.targets import interpreter
from snnport.targets.interpreter import Vendor

NUMPY = Vendor("Numbers", "SNNPORT_TEST_PYTHON", ".venv-numbers", "numbers", "numpy", "numpy")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(interpreter, "CHECKOUT", tmp_path / "checkout")
    monkeypatch.delenv(NUMPY.variable, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NUMPY.variable, sys.executable)
    assert NUMPY.python() == Path(sys.executable)
    assert NUMPY.version().count(".") >= 2


def test_then_the_environment_that_make_makes(tmp_path: Path) -> None:
    place = tmp_path / "checkout" / ".venv-numbers" / "bin"
    place.mkdir(parents=True)
    (place / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (place / "python").chmod(0o755)
    assert NUMPY.python() == place / "python"


def test_a_missing_one_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(NUMPY.variable, str(tmp_path / "none"))
    with pytest.raises(InvalidInput, match=r"Numbers: there is no Python that has numpy here\. Type: make numbers"):
        NUMPY.python()
    assert NUMPY.version() == ""
