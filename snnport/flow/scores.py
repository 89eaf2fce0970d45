"""What a prediction is the arg max of: counts of an output's spikes, its potentials, or the numbers that it sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.datasets.label_codes import code_of
from snnport.errors import InvalidInput
from snnport.program import Program
from snnport.sim.neurons import sends_payloads
from snnport.trace import Trace

READOUTS = ("count", "last", "max", "sum")


def readout_by(wanted: str | None, default: str) -> str:
    """The readout asked for, or the default: counts of spikes, or the last or summed potential of what never fires."""
    if wanted is None:
        return default
    if wanted not in READOUTS:
        raise InvalidInput(f"--readout {wanted}", "there is no such readout", f"Known: {', '.join(READOUTS)}")
    if wanted == "count" and default != "count":
        raise InvalidInput("--readout count", "the output neurons never fire", "Use last, max or sum")
    return wanted


def scores_of(
    program: Program,
    readout: str,
    spike_counts: Mapping[str, npt.NDArray[Any]],
    final_v: Mapping[str, npt.NDArray[Any]],
    trace: Trace,
) -> npt.NDArray[Any]:
    """Scores (n_samples, n_classes) of a program's run, whose trace holds its first output's spikes and, for max and sum, v.

    Where the outputs spell labels in a code, these are the labels' scores.
    """
    output, late = program.outputs[0], program.answer_delay
    if sends_payloads(program.population(output)):
        scores = _sent(readout, trace.spikes[output])
    else:
        unit = int((program.meta.get("v_unit") or {}).get(output, 1))
        scores = read(readout, output, spike_counts, final_v, trace, unit, late)
    scores = scores[:, program.meta.get("classes", slice(None))]
    code = code_of(program.meta)
    if code is None:
        return scores
    scale = 1.0 if readout == "count" else float((program.meta.get("scale") or {}).get(output, 1.0))
    return code.scores(scores, trace.spikes[output].shape[1] - late, scale)


def read(
    readout: str,
    output: str,
    spike_counts: Mapping[str, npt.NDArray[Any]],
    final_v: Mapping[str, npt.NDArray[Any]],
    trace: Trace,
    unit: int = 1,
    late: int = 0,
) -> npt.NDArray[Any]:
    """What the prediction is the arg max of. unit: units of v that one integer of the quantised ANN is. late: steps before the
    first one that counts, in which what cannot have heard of the input stays silent."""
    if readout == "count":
        return spike_counts[output]
    if readout == "last":
        return final_v[output] if unit == 1 else final_v[output] / unit
    v = trace.v[output][:, late:]
    totals: npt.NDArray[Any] = v.max(axis=1) if readout == "max" else v.sum(axis=1)
    return totals


def _sent(readout: str, payloads: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of an output that sends numbers, payloads (n_samples, n_steps, n): how many, the last, the greatest, or their sum."""
    numbers = payloads.astype(np.int64)
    found: dict[str, npt.NDArray[np.int64]] = {
        "count": np.count_nonzero(numbers, axis=1).astype(np.int64),
        "last": numbers[:, -1],
        "max": numbers.max(axis=1),
        "sum": numbers.sum(axis=1),
    }
    return found[readout]
