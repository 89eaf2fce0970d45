"""Why a trace, or logits, are not those of the program: the program is run again with one rule changed at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from snnport.datasets import Samples
from snnport.errors import InvalidInput
from snnport.flow.compare import Comparison, compare_traces, without_end
from snnport.flow.model import open_model
from snnport.flow.outcome import Outcome, RunOptions
from snnport.flow.prepare import InputOptions
from snnport.flow.run import run_program
from snnport.flow.scores import scores_of
from snnport.flow.stimuli import input_spikes
from snnport.flow.validate import Expectation, Validation
from snnport.program import Program
from snnport.sim.causes import UNKNOWN, find_cause, find_cause_by
from snnport.trace import Trace, first_divergence

MOST_LOGITS = 4
"""Samples whose logits a change must give: the first that differ."""


def explained(found: Comparison, program: Program, samples: Samples, expected: Trace, actual: Trace) -> Comparison:
    """`found` with the cause for which `expected` is not what `program` gave, `actual`; as it is where none is found."""
    if found.first is None:
        return found
    steps = next(array.shape[1] for array in (*actual.spikes.values(), *actual.v.values()))
    cause = find_cause(program, input_spikes(program, samples)[:, :steps], expected, actual)
    if cause.cause == UNKNOWN:
        return found
    return replace(found, cause=cause.cause, detail=f"the other executor {cause.what}", also=cause.also)


def with_cause(found: Validation, expected: Expectation, program: Program, samples: Samples, outcome: Outcome) -> Validation:
    """`found` with the cause of its first mismatch of logits."""
    first = found.first_divergence
    wanted = expected.logits
    if first is None or wanted is None or len(program.outputs) != 1 or "classes" in program.meta:
        return found
    wrong = np.flatnonzero((wanted != outcome.scores).any(axis=1))[:MOST_LOGITS]
    rows = [input_spikes(program, samples.part(int(s), int(s) + 1))[0] for s in wrong]

    def matches(trace: Trace, index: int) -> bool:
        counts = {name: spikes.sum(axis=1, dtype=np.int64) for name, spikes in trace.spikes.items()}
        final = {name: v[:, -1] for name, v in trace.v.items()}
        return np.array_equal(scores_of(program, outcome.readout, counts, final, trace)[0], wanted[wrong[index]])

    cause = find_cause_by(program, rows, matches)
    if cause.cause == UNKNOWN:
        return found
    detail = f"the logits are the ANN's where the executor {cause.what}"
    return replace(found, first_divergence=replace(first, cause=cause.cause, detail=detail))


def compare_on(a: Path, b: Path, program: Path, input_: Path, inputs: InputOptions) -> Comparison:
    """Two traces of a lowered program on the samples of input_, one of which is what it gives: the difference and its cause.

    Raises InvalidInput for a program that is none, or traces neither of which it gives.
    """
    model = open_model(program)
    if model.program is None:
        raise InvalidInput(str(program), "it is no lowered program", "Give --program the .npz that snnport lower wrote")
    samples = inputs.load(input_, model)
    expected, actual = Trace.load(a), Trace.load(b)
    found = compare_traces(expected, actual)
    if found.first is None:
        return found
    own = run_program(model.program, samples, RunOptions(tuple(expected.spikes), tuple(expected.v))).trace
    same = [_gives(without_end(own, trace, model.program.answer_delay), trace) for trace in (expected, actual)]
    if not any(same):
        what = f"neither {a.name} nor {b.name} is what it gives on {input_.name}"
        raise InvalidInput(str(program), what, "Give the input that both were recorded on")
    return explained(found, model.program, samples, *((expected, actual) if same[1] else (actual, expected)))


def _gives(own: Trace, trace: Trace) -> bool:
    """Whether a run gave what a trace recorded; a trace of other populations or steps is none of it."""
    try:
        return first_divergence(trace, own) is None
    except InvalidInput:
        return False
