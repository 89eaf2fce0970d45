"""ANN in, SNN out: the passes in order, the graph at every stage, and an account of every node of the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.graph import Graph, shapes, the_input
from snnport.importers.base import Imported
from snnport.ledger import Settled, settle
from snnport.passes.align_steps import AlignSteps
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.bound_counts import BoundCounts
from snnport.passes.codes.table import CODES
from snnport.passes.convolve_pools import ConvolvePools
from snnport.passes.equalize_channels import EqualizeChannels
from snnport.passes.fit_sums import FitSums
from snnport.passes.fold_batchnorm import FoldBatchNorm
from snnport.passes.hoist_relu import HoistReLU
from snnport.passes.merge_linear import MergeLinear
from snnport.passes.offset_pools import OffsetPools
from snnport.passes.pair_signed import PairSigned
from snnport.passes.quantize_activations import QuantizeActivations
from snnport.passes.quantize_weights import QuantizeWeights
from snnport.passes.separate_paths import SeparatePaths
from snnport.passes.spike import Spike
from snnport.passes.split_signed_input import SplitSignedInput
from snnport.passes.steps import percentile_of
from snnport.passes.sum_pool import SumPool
from snnport.passes.unclip import Unclip

CALIBRATION_SAMPLES = 512
FOLDING = (
    HoistReLU(),
    ConvolvePools(),
    OffsetPools(),
    FoldBatchNorm(),
    PairSigned(),
    SeparatePaths(),
    MergeLinear(),
    SumPool(),
)
"""To rectifiers, max poolings and one weighted layer on every way between them."""
FINE_LEVELS = 128
"""From here on counts have levels to spare in every channel, and one range would only cost weights their precision."""
COUNTING = "quantised activations"
"""The stage whose rectifiers count, and whose weights are real still."""


@dataclass(frozen=True)
class ConvertOptions:
    """How to convert. Defaults: the smallest levels and bits that keep LeNet-5 on MNIST within 0.2 points of its float self.

    code: a code of docs/codes.md. levels: activations are 0..levels, 0 for the code's own number. input_levels: 0 for the
    fewest that leave the answers as they are (gate, ramp, ttfs), or as many as levels (the other codes).
    bits: of a weight. correction: of biases, "on", "off" or "auto". steps: of the rate code, 0 for its default; of every window
    of the delay code at least. thresholds: how steps are chosen: mse, max, or a percentile such as 99.9. equalize: "on" gives
    the channels of a population one range, "off" leaves them as they were trained, "auto" is on below 128
    levels.
    """

    code: str = "gate"
    levels: int = 0
    input_levels: int = 0
    bits: int = 8
    correction: str = "auto"
    steps: int = 0
    thresholds: str = "mse"
    equalize: str = "auto"

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise InvalidInput(f"--code {self.code}", "there is no such code", f"Known: {', '.join(CODES)}")
        if not 0 <= self.levels <= 1024 or not 0 <= self.input_levels <= 4096:
            raise InvalidInput("--levels", f"{self.levels} (input: {self.input_levels}) is outside 0..1024 (4096)")
        if self.equalize not in ("on", "off", "auto"):
            raise InvalidInput(f"--equalize {self.equalize}", "there is no such choice", "Known: on, off, auto")
        percentile_of(self.thresholds)


@dataclass(frozen=True, eq=False)
class Conversion:
    """Everything a conversion made.

    stages: name -> graph after it: "float" as imported, "folded", "quantised activations", "fine-tuned" where it was asked
    for, "quantised weights" (the quantised ANN on counts), "spiking". passes: their spellings, in order. findings: measured
    facts by spelling.
    """

    stages: Mapping[str, Graph]
    passes: tuple[str, ...]
    findings: Mapping[str, Mapping[str, Any]]
    ledger: tuple[Settled, ...]
    calibration: str
    warnings: tuple[str, ...] = field(default=())

    @property
    def graph(self) -> Graph:
        """The spiking graph."""
        return self.stages["spiking"]


@dataclass(frozen=True, eq=False)
class Refined:
    """A counting network after training. spelling: of what was done, as a pass is spelled. facts: what it found."""

    graph: Graph
    spelling: str
    facts: Mapping[str, Any]


Refine: TypeAlias = Callable[[Graph, Graph], Refined]
"""From the folded network and the one with counting rectifiers to a better one of the latter kind."""


def convert_graph(
    imported: Imported,
    calibration: npt.NDArray[np.float64],
    calibrated_on: str,
    options: ConvertOptions | None = None,
    say: Callable[[str], None] = lambda stage: None,
    refine: Refine | None = None,
) -> Conversion:
    """Convert an imported ANN. calibration (n, *input shape) holds unlabelled samples after input scaling.

    refine: fine-tunes the counting network before its weights are quantised; a stage of its own, "fine-tuned".

    Raises PassFailed with the pass, the place and the remedy where a network cannot be converted.
    """
    options = options or ConvertOptions()
    _require_samples(calibration, shapes(imported.graph)[the_input(imported.graph)])
    ctx = Context(calibration)
    stages: dict[str, Graph] = {"float": imported.graph}
    spelled: list[str] = []
    graph = imported.graph
    for stage, passes in road(options).items():
        say(f"convert: {stage}")
        graph = run_passes(graph, passes, ctx)
        stages[stage] = graph
        spelled += [step.spelling for step in passes]
        if refine is not None and stage == COUNTING:
            say("convert: fine-tune")
            refined = refine(stages["folded"], graph)
            graph = stages["fine-tuned"] = refined.graph
            spelled.append(refined.spelling)
            ctx.find(refined.spelling, **refined.facts)
    ledger = settle(imported.ledger, ctx.entries, frozenset(graph.nodes))
    return Conversion(stages, tuple(spelled), ctx.findings, ledger, calibrated_on, _warnings(ctx, options))


def road(options: ConvertOptions) -> dict[str, tuple[Pass, ...]]:
    """The passes of a conversion, by the stage that they end in."""
    code = CODES[options.code]
    unbounded = () if code.clips else (Unclip(),)
    levels = options.levels or code.levels
    if code.messages:
        return _road_of_messages(options, levels, options.input_levels or levels)
    return {
        "folded": (*FOLDING, SplitSignedInput(), *_equalizing(options)),
        "quantised activations": (_counting(options, levels, _input_levels(options, levels)), *unbounded),
        "quantised weights": (QuantizeWeights(options.bits),),
        "spiking": (Spike(options.code, options.steps),),
    }


def _equalizing(options: ConvertOptions) -> tuple[Pass, ...]:
    levels = options.levels or CODES[options.code].levels
    wanted = options.equalize == "on" or (options.equalize == "auto" and levels < FINE_LEVELS)
    return (EqualizeChannels(),) if wanted else ()


def _input_levels(options: ConvertOptions, levels: int) -> int:
    """0 lets the pass choose; where counts have no bound, every level more widens the windows of all layers, so it does not."""
    code = CODES[options.code]
    if not code.own_input_levels:
        return levels
    return options.input_levels or (0 if code.clips else levels)


def _counting(options: ConvertOptions, levels: int, input_levels: int, kind: str = "consecutive") -> QuantizeActivations:
    return QuantizeActivations(levels, input_levels, options.correction, kind, options.thresholds)


def _road_of_messages(options: ConvertOptions, levels: int, input_levels: int) -> dict[str, tuple[Pass, ...]]:
    """Signed input enters as it is, thresholds are powers of two, counts are bounded by proof instead of by a clip. Levels that
    are not asked for become fewer where sums need it."""
    divides = CODES[options.code].divides
    counts = _counting(options, levels, input_levels, "message")
    fitting = (FitSums(options.bits),) if divides and not options.levels else ()
    return {
        "folded": (*FOLDING, *_equalizing(options)),
        "quantised activations": (counts, AlignSteps(options.bits) if divides else AlignSteps(options.bits, 0), *fitting),
        "quantised weights": (QuantizeWeights(options.bits), BoundCounts() if divides else BoundCounts(24, clip=False)),
        "spiking": (Spike(options.code, options.steps),),
    }


def _require_samples(x: npt.NDArray[np.float64], shape: tuple[int, ...]) -> None:
    if not len(x):
        raise InvalidInput("calibration", "it holds 0 samples", "Give some hundred unlabelled samples")
    if x.shape[1:] != shape:
        raise InvalidInput("calibration", f"its samples have shape {x.shape[1:]}, the network takes {shape}")
    if not np.isfinite(x).all():
        raise InvalidInput("calibration", f"{int((~np.isfinite(x)).sum())} of its numbers are NaN or infinite")
    if not np.any(x):
        raise InvalidInput("calibration", "all its numbers are 0", "Give real samples; check --scale")


def _warnings(ctx: Context, options: ConvertOptions) -> tuple[str, ...]:
    facts = {key: value for found in ctx.findings.values() for key, value in found.items()}
    warnings = [
        f"{name}: its threshold is {theta} weight codes; below 16 the rounding of weights costs accuracy. Use more bits."
        for name, theta in facts.get("coarse_thetas", {}).items()
    ]
    if CODES[options.code].lossless:
        warnings.append(
            "plain NIR cannot say subtracting reset, windows and biases that enter once: they stand in the file's metadata, "
            "and a reader that ignores it computes another network."
        )
    return tuple(warnings)
