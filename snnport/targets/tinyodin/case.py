"""Recorded runs of tinyODIN: files of inputs and of every output, and their comparison with what the engine gives.

The format is in docs/formats.md, "tinyODIN recorded run (.npz)".
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.events import read_npz, write_npz
from snnport.sim.tinyodin import NEURONS, Inputs, Outputs, simulate

IN, OUT = "in_", "out_"
_TYPES: dict[str, type[np.integer]] = {
    **dict.fromkeys(("in_max_neur", "in_open_loop", "in_aer_src", "in_leak", "in_disable"), np.uint8),
    **dict.fromkeys(("in_thr", "in_ev_addr", "out_srv_entry"), np.uint16),
    **dict.fromkeys(("in_v0", "out_v_final"), np.int16),
    "in_W": np.int8,
    **dict.fromkeys(("out_completed", "out_spk_addr", "out_fire_neuron"), np.uint8),
}
_SCALARS = ("completed", "end_cycle", "fifo_max", "fifo_final", "dropped")
_GROUPS = (("spk_cycle", "spk_addr"), ("fire_cycle", "fire_neuron"), ("srv_entry", "srv_start", "srv_end"))


@dataclass(frozen=True, eq=False)
class Case:
    """What was put into the core, and what is known to have come out."""

    inputs: Inputs
    outputs: Outputs


@dataclass(frozen=True)
class Difference:
    """A field that differs. differing: how many entries. index: the first of them, None for a number; expected, actual:
    the two values there, None behind the end of the shorter list."""

    field: str
    differing: int
    index: int | None
    expected: int | None
    actual: int | None


def field_names() -> tuple[str, ...]:
    """The names of the recorded outputs, as they stand in a file."""
    return tuple(OUT + f.name for f in fields(Outputs))


def load_case(path: Path) -> Case:
    """The case in the file at `path`. Raises InvalidInput if a field is missing, unknown, misshapen or out of range."""
    arrays = read_npz(path)
    known = [IN + f.name for f in fields(Inputs)] + list(field_names())
    missing = [name for name in known if name not in arrays]
    if missing:
        raise InvalidInput(
            str(path), f"it is no recorded run of tinyODIN, it lacks {', '.join(missing)}", "Give a recorded .npz"
        )
    unknown = [name for name in arrays if name.startswith((IN, OUT)) and name not in known]
    if unknown:
        raise InvalidInput(
            str(path), f"it holds {', '.join(unknown)}, which no recorded run has", "Remove them, or mend the name"
        )
    try:
        given: dict[str, Any] = {f.name: arrays[IN + f.name] for f in fields(Inputs)}
        inputs = Inputs(**given)
        outputs = Outputs(**{f.name: _output(f.name, arrays[OUT + f.name], len(inputs.ev_t)) for f in fields(Outputs)})
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.where}", error.what, error.remedy) from None
    for group in _GROUPS:
        lengths = {len(getattr(outputs, name)) for name in group}
        if len(lengths) > 1:
            names = ", ".join(OUT + name for name in group)
            raise InvalidInput(f"{path}: {names}", f"their lengths {sorted(lengths)} differ, each line needs all of them")
    return Case(inputs, outputs)


def save_case(path: Path, case: Case) -> None:
    """Write `case` to `path` in the types of the recorded files, atomically."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for prefix, part in ((IN, case.inputs), (OUT, case.outputs)):
        for f in fields(part):
            name = prefix + f.name
            arrays[name] = np.asarray(getattr(part, f.name)).astype(_TYPES.get(name, np.int32))
    write_npz(path, arrays)


def compare(expected: Outputs, actual: Outputs) -> tuple[Difference, ...]:
    """Every output field in which the two differ, in the order of the fields."""
    found = (_difference(f.name, getattr(expected, f.name), getattr(actual, f.name)) for f in fields(Outputs))
    return tuple(d for d in found if d is not None)


def replay(case: Case) -> tuple[Outputs, tuple[Difference, ...]]:
    """What the engine gives for the inputs of `case`, and where it differs from the record."""
    outputs = simulate(case.inputs)
    return outputs, compare(case.outputs, outputs)


def _output(name: str, value: npt.NDArray[Any], n_events: int) -> Any:
    shape: tuple[int | None, ...] = (None,)
    if name in _SCALARS:
        shape = ()
    elif name == "v_final":
        shape = (NEURONS,)
    elif name.startswith("ev_"):
        shape = (n_events,)
    if not np.issubdtype(value.dtype, np.integer) and value.dtype != np.bool_:
        raise InvalidInput(OUT + name, f"its type is {value.dtype}, integers are needed")
    if value.ndim != len(shape) or (shape and shape[0] not in (None, len(value))):
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise InvalidInput(OUT + name, f"its shape is {value.shape}, ({wanted}) is needed")
    return int(value) if name in _SCALARS else value


def _difference(name: str, expected: Any, actual: Any) -> Difference | None:
    if name in _SCALARS:
        return None if expected == actual else Difference(OUT + name, 1, None, int(expected), int(actual))
    both = min(len(expected), len(actual))
    differs = np.flatnonzero(np.asarray(expected[:both]) != np.asarray(actual[:both]))
    count = len(differs) + max(len(expected), len(actual)) - both
    if not count:
        return None
    index = int(differs[0]) if len(differs) else both
    values = (int(values[index]) if index < len(values) else None for values in (expected, actual))
    return Difference(OUT + name, count, index, *values)
