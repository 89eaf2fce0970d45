"""The Python API: the verbs of the command line as functions. `snnport.convert(...)` loads this module on first use."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from snnport.exporters.nir import write_nir
from snnport.flow.check import check as _check
from snnport.flow.convert import Conversion, ConvertOptions
from snnport.flow.deliver import Delivery, deliver
from snnport.flow.execute import Request, execute, validate_model
from snnport.flow.model import open_model
from snnport.flow.prepare import InputOptions, spiking
from snnport.flow.run import Outcome
from snnport.flow.validate import Validation
from snnport.targets.base import CheckResult

FilePath: TypeAlias = str | Path


def convert(
    ann: FilePath, output: FilePath | None = None, *, inputs: InputOptions | None = None, options: ConvertOptions | None = None
) -> Conversion:
    """Convert the ANN in an .onnx file; with `output`, write the spiking network there as .nir.

    Raises InvalidGraph, UnsupportedNode or PassFailed, naming the place and the remedy.
    """
    prepared = spiking(open_model(Path(ann)), inputs or InputOptions(), options)
    if prepared.conversion is None:
        from snnport.errors import InvalidInput

        raise InvalidInput(str(ann), "it holds spiking neurons already, there is nothing to convert")
    if output is not None:
        write_nir(prepared.graph, Path(output))
    return prepared.conversion


def check(
    model: FilePath, target: str, *, inputs: InputOptions | None = None, options: ConvertOptions | None = None
) -> CheckResult:
    """Usage, violations and warnings of a model on a target (a name, or the path of a .toml)."""
    return _check(open_model(Path(model)), target, inputs or InputOptions(), options or ConvertOptions())[0]


def run(
    model: FilePath,
    data: FilePath,
    target: str = "cpu",
    *,
    inputs: InputOptions | None = None,
    options: ConvertOptions | None = None,
    record: str = "",
) -> Outcome:
    """Run a model on samples: predictions, trace, counts, cycles and energy. `record` as --record on the command line."""
    request = Request(target=target, record=record)
    return execute(open_model(Path(model)), Path(data), inputs or InputOptions(), options or ConvertOptions(), request)[0]


def validate(
    model: FilePath,
    data: FilePath,
    target: str = "cpu",
    *,
    against: FilePath | None = None,
    inputs: InputOptions | None = None,
    options: ConvertOptions | None = None,
) -> Validation:
    """Accuracy and agreement at every stage, and whether the program gives the quantised ANN's integers."""
    source = open_model(Path(against)) if against is not None else None
    return validate_model(
        open_model(Path(model)), source, target, Path(data), inputs or InputOptions(), options or ConvertOptions()
    )


def port(
    model: FilePath,
    targets: str,
    data: FilePath,
    folder: FilePath,
    *,
    inputs: InputOptions | None = None,
    options: ConvertOptions | None = None,
) -> Delivery:
    """The whole road to one or more targets (commas between), written into `folder`."""
    opened = open_model(Path(model))
    return deliver(opened, targets, Path(data), inputs or InputOptions(), options or ConvertOptions(), Path(folder))
