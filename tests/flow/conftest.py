"""The command line in-process, and the shipped network in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command import Answer, Command
from typer.testing import CliRunner

from snnport.cli import app
from snnport.models.digits import DIGITS


@pytest.fixture
def snnport() -> Command:
    def call(*arguments: object) -> Answer:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped network, its data, and its conversion digits.nir."""
    folder = tmp_path_factory.mktemp("digits")
    for path in (DIGITS.onnx, DIGITS.test, DIGITS.calibration):
        shutil.copy(path, folder)
    arguments = ["convert", folder / "digits.onnx", "-o", folder / "digits.nir", "--scale", 16]
    arguments += ["--calibration", folder / "digits_calibration.npz"]
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return folder
