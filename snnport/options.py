"""The options that several verbs share, each written once, and the way a verb asks for a whole group of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_type_hints

import typer

from snnport.completion import builders, codes, layouts, readouts, targets
from snnport.errors import InvalidInput

Result = TypeVar("Result")
_Options: TypeAlias = dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Group:
    """Options that travel together. options: parameter name -> (typer annotation, default). make: values -> one object."""

    options: Mapping[str, tuple[Any, Any]]
    make: Callable[..., Any]


def expand_groups(function: Callable[..., Result]) -> Callable[..., Result]:
    """`function` with every parameter annotated by a Group replaced by that group's options, as typer reads them."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Group] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        group = next((a for a in get_args(hints[parameter.name])[1:] if isinstance(a, Group)), None)
        if group is None:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(annotation=hints[parameter.name], kind=kind))
            continue
        groups[parameter.name] = group
        for name, (annotation, default) in group.options.items():
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation))

    @wraps(function)
    def expanded(**values: Any) -> Result:
        made = {name: g.make(**{key: values.pop(key) for key in g.options}) for name, g in groups.items()}
        return function(**values, **made)

    signature = inspect.Signature(parameters)
    vars(expanded).pop("__wrapped__")
    expanded.__annotations__ = {p.name: p.annotation for p in parameters}
    vars(expanded)["__signature__"] = signature
    return expanded


def _make_conversion(**values: Any) -> Any:
    from snnport.flow.convert import ConvertOptions

    return ConvertOptions(**values)


def _make_events(**values: Any) -> Any:
    from snnport.flow.orders import EventOptions

    return EventOptions(**values)


def _make_reading(**values: Any) -> Any:
    from snnport.flow.model import ReadOptions

    return ReadOptions(**values)


def _make_scaling(mean: str, std: str, value_range: str = "0,1", **values: Any) -> Any:
    from snnport.flow.prepare import InputOptions

    bounds = _numbers("--range", value_range)
    if len(bounds) != 2:
        raise InvalidInput("--range", f"'{value_range}' is not LOW,HIGH")
    means, deviations = _numbers("--mean", mean), _numbers("--std", std)
    return InputOptions(mean=means, std=deviations, value_range=(bounds[0], bounds[1]), **values)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InvalidInput(option, f"'{text}' is no list of numbers", "Write them with commas: 0.1,0.2") from None


def _option(kind: Any, *names: str, **text: Any) -> Any:
    return Annotated[kind, typer.Option(*names, **text)]


def _under(title: str, options: _Options) -> _Options:
    """The options, which `--help` shows in a panel of their own."""
    for annotation, _ in options.values():
        get_args(annotation)[1].rich_help_panel = title
    return options


_CONVERSION = {
    "code": (
        _option(str, "--code", help="How counts become spikes: gate, ramp, ttfs, .. (docs/codes.md).", autocompletion=codes),
        "gate",
    ),
    "levels": (_option(int, "--levels", help="Activations are 0..L; 0: the code's own: 16, graded 255, sigma-delta 15."), 0),
    "input_levels": (_option(int, "--input-levels", help="The same for the input; 0: as few as keep the outputs."), 0),
    "bits": (_option(int, "--bits", help="Bits of a weight."), 8),
    "correction": (_option(str, "--correction", help="Bias correction: on, off or auto."), "auto"),
    "thresholds": (_option(str, "--thresholds", help="How steps are chosen: mse, max, or a percentile: 99.9."), "mse"),
    "equalize": (_option(str, "--equalize", help="Rescale channels so that their ranges are one: on, off or auto."), "auto"),
    "steps": (_option(int, "--steps", help="Rate code: steps of a sample, 0: 4 times --levels. Delay code: least window."), 0),
}
_READING = {
    "dialect": (_option(str | None, "--dialect", help="The framework that wrote a .nir, if snnport guesses wrong."), None),
    "dt": (_option(float | None, "--dt", help="Seconds a step of a .nir that does not say, or of a recording."), None),
    "reset": (_option(str | None, "--reset", help="Reset of a .nir that does not say: zero, value, subtract or none."), None),
    "reset_delay": (_option(int | None, "--reset-delay", help="snnTorch: 1 if neurons reset in the next step, else 0."), None),
    "reset_interval": (
        _option(int | None, "--reset-interval", help="Steps after which a netx .net starts anew, a layer a step later."),
        None,
    ),
    "rules": (_option(str | None, "--rules", help="Rules that the file does not say: v_min=none,multi_spike=no, ..."), None),
    "builder": (
        _option(
            str | None, "--builder", help="The network of a file of weights: resnet20 or sinabs-mnist.", autocompletion=builders
        ),
        None,
    ),
}
_SCALING = {
    "scale": (_option(float, "--scale", help="The network takes x / SCALE."), 1.0),
    "shift": (_option(float, "--shift", help="Added after --scale."), 0.0),
    "mean": (_option(str, "--mean", help="M,.. subtracted after --shift; one number or one a channel."), ""),
    "std": (_option(str, "--std", help="D,.. divided by after --mean."), ""),
    "calibration": (_option(Path | None, "--calibration", help="Unlabelled samples that thresholds are chosen on."), None),
}
_RANGE = {"value_range": (_option(str, "--range", help="LOW,HIGH of x / scale + shift, without --calibration."), "0,1")}
_SAMPLES = {
    "labels": (_option(Path | None, "--labels", help="Labels, where they are in a file of their own."), None),
    "layout": (_option(str, "--layout", help="Order of the axes of spikes: ntc, tnc or nct.", autocompletion=layouts), "ntc"),
    "sensor": (_option(str, "--sensor", help="Event pre-processing of Speck: merge,pool=2,region=0:0:32:32, .."), ""),
}

_EVENTS = {
    "order": (_option(str | None, "--order", help="Speck: depth-first (default), breadth-first or time-stepped."), None),
    "cap": (_option(float | None, "--cap", help="Speck: synaptic operations a second that a core can do."), None),
    "window": (_option(int, "--window", help="Speck: steps of the worst window of event rates."), 1),
}

Conversion: TypeAlias = Annotated[Any, Group(_under("Conversion of an ANN", _CONVERSION), _make_conversion)]
"""ConvertOptions."""
Reading: TypeAlias = Annotated[Any, Group(_under("What FILE does not say", _READING), _make_reading)]
"""ReadOptions, for verbs that take a .nir."""
_GIVEN = _under("Samples", {**_SCALING, **_SAMPLES})
_RANGED = _under("Samples", {**_SCALING, **_RANGE})
Scaling: TypeAlias = Annotated[Any, Group(_RANGED, _make_scaling)]
"""InputOptions of verbs that take no samples but may take calibration samples."""
Checking: TypeAlias = Annotated[Any, Group({**_RANGED, **_SAMPLES}, _make_scaling)]
"""InputOptions of the verb that takes samples where it has something to prove."""
Events: TypeAlias = Annotated[Any, Group(_under("Chips without a clock", _EVENTS), _make_events)]
"""EventOptions of verbs that run asynchronous chips."""
Samples: TypeAlias = Annotated[Any, Group(_GIVEN, _make_scaling)]
"""InputOptions of verbs that take samples."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="An .onnx, .nir, netx .net or Program .npz.")]
MaybeFile = Annotated[Path | None, typer.Argument(metavar="FILE", help="An .onnx, .nir, netx .net or Program .npz.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="An .onnx, .nir, .net or Program .npz; recorded runs.")]
MaybeInputs = Annotated[Path | None, typer.Option("--input", help="Samples: .npz, .npy, idx (.gz too), NIRData, N-MNIST .bin.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")]
Out = Annotated[Path, typer.Option("-o", "--output", help="The file or folder to write.")]
MaybeOut = Annotated[Path | None, typer.Option("-o", "--output", help="Write the trace (.npz) here.")]
TargetName = Annotated[
    str,
    typer.Option("--target", help="A target's name, a .toml that varies one, or a SANA-FE .yaml.", autocompletion=targets),
]
TargetNames = Annotated[str, typer.Option("--target", help="T[,T...]: one target or several.", autocompletion=targets)]
Inputs = Annotated[Path, typer.Option("--input", help="Samples: .npz, .npy, idx (.gz too), NIRData, N-MNIST .bin.")]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads of the engine; default: all cores.")]
Readout = Annotated[
    str | None, typer.Option("--readout", help="Prediction from: count, last, max or sum.", autocompletion=readouts)
]
CurveLevels = Annotated[str | None, typer.Option("--curve", help="2,4,8,16: accuracy at each of these levels (rate: steps).")]
Tolerance = Annotated[float, typer.Option("--tolerance", help="The accuracy that --curve's recommended point may lose.")]
