"""Which integers a spiking network gets for Speck: of several ways to choose its scales the one that answers most alike.

Without samples: passes/quantize_speck.py, method fitted, every input counting alike. With unlabelled samples: the same with
inputs counting by how much they send, the same without, one scale that clips nothing, and what sinabs does, each run beside the
network in real numbers; most classes alike wins, then most spikes that coincide, then the first of these.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.chip import Chip
from snnport.convention import coding_of, convention_of
from snnport.graph import Graph, names_of, shapes
from snnport.nodes import NEURON_NODES, WEIGHTED_NODES
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.fold_convention import folded
from snnport.passes.paths import walk
from snnport.passes.quantize_snn import QuantizeSnn, charged_by, gain, with_units
from snnport.passes.quantize_speck import QuantizeSpeck, best_theta
from snnport.targets.agreement import Answers, Raster
from snnport.targets.speck.lower import lower
from snnport.targets.synapses import map_shape, scale_of

SAMPLE_STEPS = 4096
"""Samples x steps that are run for the choice."""


def prepare(graph: Graph, chip: Chip) -> tuple[Pass, ...]:
    """QuantizeSpeck for a spiking graph in real numbers; nothing for one that has its integers."""
    return (QuantizeSpeck(bits=int(chip["weight_bits"])),) if _is_real(graph) else ()


def calibrate(graph: Graph, chip: Chip, raster: npt.NDArray[Any]) -> tuple[Pass, ...]:
    """As `prepare`, chosen by raster (n_samples, n_steps, n_neurons), spike counts of the one input."""
    if not _is_real(graph) or not raster.size or len(names_of(graph, nir.Input)) != 1:
        return prepare(graph, chip)
    part = raster[: max(1, SAMPLE_STEPS // raster.shape[1])]
    wanted = Answers.of_graph(graph, part)
    best, most = prepare(graph, chip), (-1.0, -1.0)
    for candidate in candidates(graph, chip, part, wanted):
        program = lower(run_passes(graph, (candidate,), Context()), chip)
        depth = {p.name: 0 for p in program.populations if p.name in wanted.spikes}
        score = wanted.met_by(Answers.of_program(program, part, depth))
        if score > most:
            best, most = (candidate,), score
    return best


def candidates(graph: Graph, chip: Chip, raster: Raster, answers: Answers) -> tuple[QuantizeSnn, ...]:
    """The ways to choose scales, the one that is preferred at equal answers first."""
    bits = int(chip["weight_bits"])
    thetas = ";".join(f"{name}:{theta}" for name, theta in weighted_thetas(graph, raster, answers).items())
    plain = QuantizeSnn(bits, int(chip["state_bits"]), int(chip["bias_bits"]))
    return (
        QuantizeSpeck(bits=bits, thresholds=thetas),
        QuantizeSpeck(bits=bits),
        plain,
        QuantizeSpeck(bits=bits, method="sinabs"),
    )


def weighted_thetas(graph: Graph, raster: Raster, answers: Answers) -> dict[str, int]:
    """Weighted node -> codes of the threshold behind it, inputs counting by the mean square of what they send in a step."""
    graph = with_units(folded(graph, "quantize-speck"), "quantize-speck")
    convention, sizes = convention_of(graph.metadata), shapes(graph)
    (entry,) = names_of(graph, nir.Input)
    parts: dict[str, list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]] = {}
    layer: dict[str, str] = {}
    for path in walk(graph)[0]:
        node: Any = graph.nodes[path.target]
        if path.weighted is None or not hasattr(node, "v_threshold"):
            continue
        spikes = raster if path.source == entry else answers.spikes.get(path.source)
        gains = np.broadcast_to(gain(node, convention), sizes[path.target])
        weight, bias = charged_by("quantize-speck", path.weighted, graph.nodes[path.weighted], gains)
        counts = np.ones(1) if spikes is None else _squares(spikes, sizes[path.source], weight)
        layer.setdefault(path.target, path.weighted)
        parts.setdefault(path.target, []).append((weight, counts))
        parts[path.target] += [] if bias is None else [(bias, np.ones(1))]
    found = {}
    for target, values in parts.items():
        thresholds = np.unique(np.asarray(getattr(graph.nodes[target], "v_threshold", 0.0), np.float64))
        if len(thresholds) == 1 and thresholds[0] > 0:
            found[layer[target]] = best_theta(float(thresholds[0]), values)
    return found


def _squares(spikes: Raster, shape: tuple[int, ...], weight: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean square of what each input channel of `weight` gets, broadcasting against it; 1 for all if channels do not match.

    A channel that sent nothing counts a ten-thousandth of the mean, so that it is not free.
    """
    channels = map_shape(shape)[0]
    each = np.square(spikes.astype(np.float64)).mean(axis=(0, 1)).reshape(channels, -1).mean(axis=1)
    each = each + 1e-4 * each.mean() + 1e-12
    if weight.ndim < 2 or weight.shape[1] % channels:
        return np.ones(1)
    every = np.repeat(each, weight.shape[1] // channels)
    return every.reshape(1, -1, *[1] * (weight.ndim - 2))


def _is_real(graph: Graph) -> bool:
    """Whether it is a spiking network in real numbers that snnport did not convert."""
    neurons = names_of(graph, *NEURON_NODES)
    if not neurons or coding_of(graph.metadata) is not None:
        return False
    return any(scale_of(graph.nodes[name]) is None for name in (*neurons, *names_of(graph, *WEIGHTED_NODES)))
