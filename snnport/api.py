"""The Python API: the verbs of the command line as functions. `snnport.convert(...)` loads this module on first use.

Every function takes paths, and options as frozen dataclasses whose fields are the command line's; every result is a frozen
dataclass that a notebook shows as the command line would. Errors are the kinds of snnport.errors, each with `where`, `what`,
`remedy`. Fractions are 0..1; times are seconds, energies joules, counts exact integers over all samples.
"""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.exporters.nir import write_nir
from snnport.flow.check import check as _check
from snnport.flow.convert import Conversion, ConvertOptions, convert_graph
from snnport.flow.deliver import Delivery, deliver
from snnport.flow.execute import Request, execute, validate_model
from snnport.flow.model import ReadOptions, module_model, open_model
from snnport.flow.outcome import Outcome
from snnport.flow.prepare import InputOptions, spiking
from snnport.flow.validate import Validation
from snnport.report import terminal
from snnport.report.notebook import report_html, table_html
from snnport.targets.base import CheckResult

FilePath: TypeAlias = str | Path
Shown = TypeVar("Shown", bound=object)


class Converted(Conversion):
    """A conversion: `graph` is the spiking network, `stages` the graph at every stage, `ledger` what became of each node."""

    def _repr_html_(self) -> str:
        findings = {k: dict(v) for k, v in self.findings.items()}
        ledger = [
            {"node": s.node, "kind": s.kind, "final": list(s.final), "steps": [vars(e) for e in s.steps]} for s in self.ledger
        ]
        facts = {"passes": list(self.passes), "code": "", "calibration": self.calibration, "ledger": ledger}
        more = {"findings": findings, "warnings": list(self.warnings), "output": "nothing"}
        return table_html(terminal.conversion({**facts, **more}))


class Checked(CheckResult):
    """What the rules of a target found: `fits`, `usage`, `violations`, `warnings`."""

    def _repr_html_(self) -> str:
        return table_html(terminal.check_result(self.to_json()))


class Ran(Outcome):
    """A run: `predictions` (n_samples,), `scores` (n_samples, n_outputs), `accuracy`, `trace`, `counts`, `energy`, `time_s`."""

    def _repr_html_(self) -> str:
        return table_html(terminal.run_result(self.to_json()))


class Validated(Validation):
    """The waterfall: `stages`, `logits_equal`, `logit_mismatches`, `first_divergence`."""

    def _repr_html_(self) -> str:
        return table_html(terminal.validation(self.to_json()))


class Ported(Delivery):
    """The whole road: `report`, the `files` that were written, and whether all is `good`."""

    def _repr_html_(self) -> str:
        return report_html(self.report)


def convert(
    ann: FilePath | Any,
    output: FilePath | None = None,
    *,
    example_inputs: Any = None,
    calibration: npt.NDArray[Any] | None = None,
    inputs: InputOptions | None = None,
    options: ConvertOptions | None = None,
) -> Converted:
    """Convert the ANN in an .onnx file, or a torch.nn.Module; with `output`, write the spiking network there as .nir.

    example_inputs: of a module, one tensor with a batch axis (torch.export traces it with that, in eval mode).
    calibration: unlabelled samples (n, *input shape) as the network takes them; without, those of `inputs`.

    Raises InvalidInput, InvalidGraph, UnsupportedNode or PassFailed, naming the place and the remedy. Source: docs/codes.md.
    """
    model = open_model(Path(ann)) if isinstance(ann, str | Path) else module_model(ann, example_inputs)
    settings = inputs or InputOptions()
    if not model.is_ann or model.imported is None:
        raise InvalidInput(str(ann), "it holds spiking neurons already, there is nothing to convert")
    if calibration is None:
        conversion = spiking(model, settings, options).conversion
        assert conversion is not None
    else:
        samples = np.asarray(calibration, np.float64)
        source = f"{len(samples)} samples given as an array"
        if model.imported.input_layout == "nhwc" and samples.ndim == len(model.input_shape) + 1:
            samples = np.moveaxis(samples, -1, 1)
        if samples.shape[1:] != model.input_shape and samples[:1].size == math.prod(model.input_shape):
            samples = samples.reshape(len(samples), *model.input_shape)
        conversion = convert_graph(model.imported, samples, source, options)
    if output is not None:
        write_nir(conversion.graph, Path(output))
    return _as(Converted, conversion)


def check(
    model: FilePath,
    target: str,
    *,
    inputs: InputOptions | None = None,
    options: ConvertOptions | None = None,
    reading: ReadOptions | None = None,
) -> Checked:
    """Usage, violations and warnings of a model on a target (a name, or the path of a .toml); units stand in each usage.

    A network that does not fit is a result. Raises InvalidGraph or InvalidInput for what cannot be read, UnknownName for the
    target. Source: the chip's numbers carry theirs, `snnport targets NAME` shows them.
    """
    opened = open_model(Path(model), reading)
    return _as(Checked, _check(opened, target, inputs or InputOptions(), options or ConvertOptions())[0])


def run(
    model: FilePath,
    data: FilePath,
    target: str = "cpu",
    *,
    inputs: InputOptions | None = None,
    options: ConvertOptions | None = None,
    reading: ReadOptions | None = None,
    record: str = "",
) -> Ran:
    """Run a model on samples: x (n_samples, *shape) images or (n_samples, n_steps, *shape) spikes, y (n_samples,) labels.

    record: as --record on the command line. Gives predictions (n_samples,), the trace (n_samples, n_steps, n_neurons a
    population), exact counts, cycles, seconds and joules of all samples together. Raises DoesNotFit where the network does not
    fit, InvalidInput for samples of another shape. Source: docs/semantics.md defines the steps, docs/energy.md the prices.
    """
    request = Request(target=target, record=record)
    opened = open_model(Path(model), reading)
    return _as(Ran, execute(opened, Path(data), inputs or InputOptions(), options or ConvertOptions(), request)[0])


def validate(
    model: FilePath,
    data: FilePath,
    target: str = "cpu",
    *,
    against: FilePath | None = None,
    inputs: InputOptions | None = None,
    options: ConvertOptions | None = None,
    reading: ReadOptions | None = None,
) -> Validated:
    """Accuracy and agreement (fractions) at every stage, and whether the program gives the quantised ANN's integers.

    against: the ANN (.onnx) that a .nir was converted from. Raises what `run` raises.
    """
    source = open_model(Path(against)) if against is not None else None
    opened = open_model(Path(model), reading)
    return _as(
        Validated,
        validate_model(opened, source, target, Path(data), inputs or InputOptions(), options or ConvertOptions()),
    )


def port(
    model: FilePath,
    targets: str,
    data: FilePath,
    folder: FilePath,
    *,
    inputs: InputOptions | None = None,
    options: ConvertOptions | None = None,
    reading: ReadOptions | None = None,
) -> Ported:
    """The whole road to one or more targets (commas between), written into `folder`: network, programs, report.

    Raises what `run` raises; a target that the network does not fit is a result in the report.
    """
    opened = open_model(Path(model), reading)
    asked = inputs or InputOptions(), options or ConvertOptions()
    return _as(Ported, deliver(opened, targets, Path(data), *asked, Path(folder), reading=reading))


def _as(kind: type[Shown], result: Any) -> Shown:
    """`result` as the class that a notebook can show."""
    return kind(**{f.name: getattr(result, f.name) for f in fields(result) if f.init})
