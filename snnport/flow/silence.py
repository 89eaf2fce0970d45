"""Neurons that do nothing, found before the chip: dead, saturated, layers without weights, layers that never spike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnport.encoders import encoder_of
from snnport.graph import Graph, names_of
from snnport.nodes import QuantReLU
from snnport.passes.quantize_weights import layers_into, weights_of
from snnport.program import Program
from snnport.reference import values_at
from snnport.report.losses import Activity
from snnport.sim.neurons import sends_payloads
from snnport.targets.intervals import NEVER_FIRES
from snnport.trace import Trace

SAMPLES = 256
"""Samples that activity is counted on."""
SOURCES = ("input", "generator")
"""Families of populations that compute nothing."""
BOUNDED = 1 << 20
"""Counts beyond this have no clip (codes that drain)."""


def never_firing(program: Program) -> tuple[str, ...]:
    """Populations that are meant never to fire: read by their potential, or with no threshold, or one beyond reach."""
    by_potential = program.meta.get("readout") != "count"
    return tuple(
        p.name
        for p in program.populations
        if (by_potential and p.name in program.outputs and not sends_payloads(p))
        or p.neuron.family == "integrator"
        or (p.neuron.family == "cuba" and int(p.neuron["vth"].min()) >= NEVER_FIRES)
    )


def activity_of(quantised: Graph, x: npt.NDArray[np.float64]) -> tuple[Activity, ...]:
    """The activity of every population of a quantised ANN on counts, for samples x (n, *input shape)."""
    if not len(x):
        return ()
    names = names_of(quantised, QuantReLU)
    counts = values_at(quantised, encoder_of(quantised.metadata).counts(x), names, integers=True, chunk=32)
    return tuple(_activity(quantised, name, counts[name]) for name in names)


def activity_of_spikes(program: Program, trace: Trace) -> tuple[Activity, ...]:
    """The activity of every population whose spikes (n_samples, n_steps, n) were kept and that is meant to fire.

    saturated: it fires in every step.
    """
    found, quiet = [], never_firing(program)
    for population in program.populations:
        spikes = trace.spikes.get(population.name)
        if spikes is None or population.neuron.family in SOURCES or not spikes.size or population.name in quiet:
            continue
        counts = np.count_nonzero(spikes, axis=1)
        steps = spikes.shape[1]
        at_top = counts >= steps
        dead, saturated = int((counts.max(axis=0) == 0).sum()), int(at_top.all(axis=0).sum())
        share = float(at_top.mean())
        found.append(Activity(population.name, counts.shape[1], dead, saturated, share, float(counts.mean()), steps))
    return tuple(found)


def _activity(graph: Graph, name: str, counts: npt.NDArray[np.float64]) -> Activity:
    node = graph.nodes[name]
    assert isinstance(node, QuantReLU)
    flat = counts.reshape(len(counts), -1)
    at_top = flat >= node.levels
    empty = all(not np.any(weights_of(graph.nodes[layer])) for layer in layers_into(graph, name))
    return Activity(
        name,
        flat.shape[1],
        int((flat.max(axis=0) <= 0).sum()),
        int(at_top.all(axis=0).sum()),
        float(at_top.mean()) if node.levels < BOUNDED else 0.0,
        float(flat.mean()),
        node.levels if node.levels < BOUNDED else 0,
        empty,
    )
