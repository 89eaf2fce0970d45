"""Accuracy against levels or steps as one curve, and the point of it that is worth taking.

Codes that are exact give the integers of the quantised ANN, so that each of their points is measured by running that; a point
of the rate code is a run of its program. The samples, the folded network and the calibration are the same for all points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snnport.convention import coding_of
from snnport.datasets import Samples
from snnport.encoders import CountEncoder
from snnport.errors import InvalidInput
from snnport.flow.convert import ConvertOptions, road
from snnport.flow.model import Model
from snnport.flow.prepare import InputOptions, calibration_samples
from snnport.flow.run import run_program
from snnport.flow.validate import classes_of
from snnport.graph import Graph, predecessors, the_output, topological_order
from snnport.nodes import MaxPool2d, ReLU
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.codes.table import CODES
from snnport.passes.unspike import quantised_ann
from snnport.reference import forward
from snnport.report.losses import Curve, Point
from snnport.targets.base import resolve_target

Say = Callable[[str], None]
CHUNK = 128


@dataclass(frozen=True)
class CurveOptions:
    """levels: of the points (steps, of the rate code). tolerance: the accuracy that the recommended point may lose."""

    levels: tuple[int, ...]
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        if not self.levels or min(self.levels) < 1 or max(self.levels) > 1024:
            given = ",".join(map(str, self.levels)) or "nothing"
            raise InvalidInput("--curve", f"{given}: levels are 1..1024", "Write 2,4,8,16")
        if not 0 <= self.tolerance <= 1:
            raise InvalidInput("--tolerance", f"{self.tolerance} is no fraction", "0.01 is one point")


def curve_options(text: str | None, tolerance: float) -> CurveOptions | None:
    """What --curve and --tolerance ask for. Raises InvalidInput where they cannot be read."""
    if text is None:
        return None
    try:
        levels = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InvalidInput("--curve", f"'{text}' is no list of levels", "Write 2,4,8,16") from None
    return CurveOptions(levels, tolerance)


def curve_of(
    model: Model,
    inputs: InputOptions,
    options: ConvertOptions,
    wanted: CurveOptions,
    samples: Samples,
    say: Say = lambda stage: None,
) -> Curve:
    """The curve of an ANN. Raises InvalidInput for a network that has no levels of its own to choose."""
    if model.imported is None or not model.is_ann:
        what = "it is converted already, its levels are in it"
        raise InvalidInput("--curve", f"{model.path}: {what}", "Give the ANN (.onnx, or weights with --builder)")
    context = Context(calibration_samples(model, inputs, samples).x)
    folded: dict[tuple[Pass, ...], Graph] = {}
    say("curve: float")
    source = classes_of(model.imported.graph, samples)
    points = []
    for levels in sorted(set(wanted.levels)):
        say(f"curve: {levels}")
        passes = road(replace(options, levels=levels))["folded"]
        if passes not in folded:
            folded[passes] = run_passes(model.imported.graph, passes, context)
        points.append(_point(folded[passes], context, options, levels, samples, source))
    exact = CODES[options.code].lossless
    accuracy = _share(source, samples.y)
    chosen = _recommended(points, accuracy, wanted.tolerance)
    return Curve("levels" if exact else "steps", tuple(points), chosen, wanted.tolerance, accuracy)


def _point(
    folded: Graph, context: Context, options: ConvertOptions, levels: int, samples: Samples, source: npt.NDArray[np.int64]
) -> Point:
    exact = CODES[options.code].lossless
    own = replace(options, levels=levels)
    if not exact:  # of so many steps the last spikes of the input need some to arrive at the output
        own = replace(options, levels=max(1, levels - hops(folded)), steps=levels)
    passes = [step for stage, steps in road(own).items() if stage != "folded" for step in steps]
    spiking = run_passes(folded, passes, context)
    coding = coding_of(spiking.metadata)
    assert coding is not None
    answers = _integers(spiking, samples) if exact else _run(spiking, samples)
    agreement = float((answers == source).mean())
    return Point(own.levels, int(coding.encoder["levels"]), coding.n_steps, _share(answers, samples.y), agreement)


def hops(folded: Graph) -> int:
    """Steps from a spike of the input to its effect on the output: the populations on the longest way, the readout included."""
    longest: dict[str, int] = {}
    for name in topological_order(folded):
        before = max((longest[source] for source in predecessors(folded, name)), default=0)
        longest[name] = before + isinstance(folded.nodes[name], ReLU | MaxPool2d)
    return longest[the_output(folded)] + 1


def _integers(spiking: Graph, samples: Samples) -> npt.NDArray[np.int64]:
    quantised, coding = quantised_ann(spiking), coding_of(spiking.metadata)
    assert coding is not None
    encoder = CountEncoder.from_json(coding.encoder)
    parts = []
    for start in range(0, samples.n_samples, CHUNK):
        counts = encoder.counts(samples.batch(start, min(start + CHUNK, samples.n_samples)))
        parts.append(forward(quantised, counts, integers=True, chunk=32).reshape(len(counts), -1).argmax(axis=1))
    return np.concatenate(parts)


def _run(spiking: Graph, samples: Samples) -> npt.NDArray[np.int64]:
    target = resolve_target("cpu")
    passes = target.passes_for(spiking)
    ready = run_passes(spiking, passes, Context()) if passes else spiking
    return run_program(target.lower(ready), samples).predictions


def _recommended(points: Sequence[Point], accuracy: float | None, tolerance: float) -> int | None:
    """The index of the point of fewest steps that loses at most `tolerance`."""
    lost = [
        1.0 - point.agreement if accuracy is None or point.accuracy is None else accuracy - point.accuracy for point in points
    ]
    good = [i for i, loss in enumerate(lost) if loss <= tolerance + 1e-12]
    return min(good, key=lambda i: points[i].steps, default=None)


def _share(answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64] | None) -> float | None:
    return None if truth is None else float((answers == truth).mean())
