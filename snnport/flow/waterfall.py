"""The cause of a loss: layers, neurons that do nothing, and hints, of a network that snnport converts or has converted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from snnport.convention import coding_of
from snnport.datasets import Samples
from snnport.encoders import CountEncoder
from snnport.errors import SnnportError
from snnport.flow.convert import COUNTING, FOLDING
from snnport.flow.hints import Chosen, hints
from snnport.flow.layers import SAMPLES as LAYER_SAMPLES
from snnport.flow.layers import first_loss, layer_losses
from snnport.flow.model import Model
from snnport.flow.prepare import Prepared
from snnport.flow.run import run_reference
from snnport.flow.silence import SAMPLES as ACTIVITY_SAMPLES
from snnport.flow.silence import activity_of
from snnport.flow.validate import QUANTISED, StageResult
from snnport.graph import Graph, names_of, predecessors, shapes
from snnport.nodes import WEIGHTED_NODES, QuantReLU
from snnport.passes.base import Context, run_passes
from snnport.passes.codes.table import code_of
from snnport.passes.equalize_channels import as_equalized
from snnport.passes.quantize_weights import weights_of
from snnport.passes.split_signed_input import SplitSignedInput
from snnport.passes.unspike import quantised_ann
from snnport.report.findings import CHANCE
from snnport.report.losses import Losses

BUDGET = 2e9
"""Multiplications that the reference may spend on the stage "spiking"."""
MOST = 64
"""Samples that it runs at most."""


def losses_of(
    prepared: Prepared,
    against: Model | None,
    samples: Samples,
    stages: Sequence[StageResult],
    say: Callable[[str], None] = lambda stage: None,
) -> Losses | None:
    """Where a converted network lost what. against: the float network of a .nir. None for a network that was not converted."""
    coding = coding_of(prepared.graph.metadata)
    if coding is None or samples.n_steps:
        return None
    quantised = quantised_ann(prepared.graph)
    say("layers")
    n = min(samples.n_samples, LAYER_SAMPLES)
    folded = _folded(prepared, against, samples)
    layers = () if folded is None else layer_losses(folded, quantised, samples.batch(0, n))
    activity = activity_of(quantised, samples.batch(0, min(samples.n_samples, ACTIVITY_SAMPLES)))
    first, worst = first_loss(layers)
    chance = CHANCE / max(samples.n_samples, 1)
    lost = {name: loss for name, loss in _lost(stages).items() if loss > chance}
    found = hints(lost, layers, activity, _chosen(prepared, quantised))
    return Losses(layers, first, worst, n if layers else 0, activity, found)


def spiking_stage(graph: Graph, samples: Samples, classes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> StageResult | None:
    """The spiking graph, step by step, in the reference, on as many samples as are worth their time; None if none are.

    classes: what the source network answers.
    """
    coding = coding_of(graph.metadata)
    if coding is None or samples.n_steps:
        return None
    n = int(min(samples.n_samples, MOST, BUDGET // max(_operations(graph) * coding.n_steps, 1)))
    if not n:
        return None
    few = Samples(samples.x[:n], None, samples.shape, n, 0, samples.scaling, ()) if isinstance(samples.x, np.ndarray) else None
    if few is None:
        return None
    answers = run_reference(graph, few).predictions
    accuracy = None if samples.y is None else float((answers == samples.y[:n]).mean())
    return StageResult("spiking", accuracy, float((answers == classes[:n]).mean()), n)


def _operations(graph: Graph) -> int:
    """Multiplications of one step of one sample, if every neuron fires."""
    sizes = shapes(graph)
    total = 0
    for name in names_of(graph, *WEIGHTED_NODES):
        weight = weights_of(graph.nodes[name])
        total += weight.size * int(np.prod(sizes[name][1:])) if weight.ndim > 2 else weight.size
    return total + sum(int(np.prod(sizes[predecessors(graph, name)[0]])) for name in graph.nodes if predecessors(graph, name))


def _folded(prepared: Prepared, against: Model | None, samples: Samples) -> Graph | None:
    """The float network with its batch norms folded: of the conversion, or of the model to compare with."""
    if prepared.conversion is not None and against is None:
        return prepared.conversion.stages["folded"]
    if against is None:
        return None
    context = Context(samples.batch(0, min(samples.n_samples, LAYER_SAMPLES)))
    coding = coding_of(prepared.graph.metadata)
    assert coding is not None
    doubles = CountEncoder.from_json(coding.encoder).doubles
    try:
        folded = run_passes(against.graph, (*FOLDING, *((SplitSignedInput(),) if doubles else ())), context)
        return as_equalized(folded, prepared.graph.metadata)
    except SnnportError:
        return None  # it is no network that this one can have come from, layer by layer


def _lost(stages: Sequence[StageResult]) -> dict[str, float]:
    """What each stage lost against the one before it: accuracy where all have one, else agreement."""
    whole = [stage for stage in stages if stage.samples is None]
    labelled = all(stage.accuracy is not None for stage in whole)
    values = [(stage.accuracy if labelled else stage.agreement) or 0.0 for stage in whole]
    known = any(stage.name == COUNTING for stage in whole)  # a converted .nir goes from float to codes at once
    counting = ("fine-tuned",) if known else (QUANTISED,)
    names = [COUNTING if stage.name in counting else stage.name for stage in whole]
    found: dict[str, float] = {}
    for name, before, after in zip(names[1:], values, values[1:], strict=False):
        found[name] = found.get(name, 0.0) + before - after
    return found


def _chosen(prepared: Prepared, quantised: Graph) -> Chosen:
    coding = coding_of(prepared.graph.metadata)
    assert coding is not None
    rectifiers = [node for node in quantised.nodes.values() if isinstance(node, QuantReLU)]
    bits = max((int(n.metadata["bits"]) for n in quantised.nodes.values() if "bits" in n.metadata), default=8)
    # a file does not say whether it was fine-tuned, so that nobody is sent there twice
    tuned = prepared.conversion is None or "fine-tuned" in prepared.conversion.stages
    return Chosen(
        coding.code,
        max((node.levels for node in rectifiers), default=1),
        int(coding.encoder["levels"]),
        bits,
        coding.n_steps,
        tuned,
        code_of(coding).lossless,
    )
