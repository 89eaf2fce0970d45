"""Rectifiers become integrate-and-fire neurons in real numbers: where fine-tuning by surrogate gradients begins.

A neuron's threshold is a percentile of what its rectifier gave on calibration samples (P. Diehl et al., IJCNN 2015, as B.
Rueckauer et al., Frontiers in Neuroscience 2017, made it robust); a spike stands for that much, which the weights behind it
take up. Resets subtract, so that the rate of a neuron times its threshold approaches its rectifier's value. The last layer
is integrated. This is a start for training (N. Rathi et al., ICLR 2020), no lossless conversion: that is pass spike.
"""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.convention import Convention
from snnport.errors import PassFailed
from snnport.graph import Edge, Graph, build, fresh_name, names_of, predecessors, shapes, successors, the_output, with_nodes
from snnport.ledger import Entry
from snnport.nodes import BatchNorm, MaxPool2d, QuantReLU, ReLU
from snnport.passes.base import Context, Pass
from snnport.reference.ann import values_at

RULE = Convention("snnport-hybrid", dt=1e-3, reset="subtract", comparison=">=", integrator_gain="unit", dtype="float32")


@dataclass(frozen=True)
class IfNeurons(Pass):
    """Put an IF in the place of every ReLU and an I behind the last layer.

    The worth of a spike goes into the weights behind it, into a Scale where several ways part or meet. Max poolings average:
    what that costs is left to the training.

    percentile: of a rectifier's positive values, which becomes its threshold. steps: the readout averages over so many.
    """

    name: ClassVar[str] = "if-neurons"
    percentile: float = 99.0
    steps: int = 16

    def requires(self, graph: Graph) -> None:
        """A graph of rectifiers without batch norms and max poolings; options in their ranges."""
        if not 0 < self.percentile <= 100 or self.steps < 1:
            raise PassFailed(self.spelling, f"percentile {self.percentile} or steps {self.steps} is out of range")
        for name in names_of(graph, BatchNorm, QuantReLU):
            what = f"a {type(graph.nodes[name]).__name__} has no neuron"
            raise PassFailed(f"{self.spelling}: {name}", what, "Give a trained ANN, its batch norms folded (fold-batchnorm)")
        for name in names_of(graph, MaxPool2d):
            pool: Any = graph.nodes[name]
            padding = pool.padding
            if padding[:2] != padding[2:]:
                what = f"its padding {padding} is not the same on both sides"
                raise PassFailed(f"{self.spelling}: {name}", what, "Train with average pooling")
        if not names_of(graph, ReLU):
            raise PassFailed(self.spelling, "the graph has no rectifier", "Give a trained ANN")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The spiking graph, its convention in its metadata."""
        graph = _averaging(graph, ctx, self.spelling)
        names, sizes = names_of(graph, ReLU), shapes(graph)
        seen = values_at(graph, ctx.samples(self.spelling), names)
        nodes: dict[str, nir.NIRNode] = dict(graph.nodes)
        edges: list[Edge] = list(graph.edges)
        thresholds = {}
        for name in names:
            positive = seen[name][seen[name] > 0]
            # A rectifier that never gave anything keeps a threshold of 1.
            limit = float(np.percentile(positive, self.percentile)) if positive.size else 1.0
            thresholds[name] = limit
            full: Any = np.ones(sizes[name])
            nodes[name] = nir.IF(full, full * limit, full * 0)
            ctx.note(Entry(name, "ReLU", "became", (name,), f"IF with threshold {limit:.6g}", self.spelling))
            behind = _weights_behind(graph, name)
            if behind is not None:
                nodes[behind] = copy(nodes[behind])
                weighted: Any = nodes[behind]
                weighted.weight = weighted.weight * limit
                continue
            worth = fresh_name(graph, f"{name}.worth")
            nodes[worth] = nir.Scale(full * limit)
            edges = [(worth if a == name else a, b) for a, b in edges] + [(name, worth)]
        output = the_output(graph)
        readout = fresh_name(graph, "readout")
        (source,) = predecessors(graph, output)
        nodes[readout] = nir.I(np.full(sizes[source], 1.0 / self.steps))
        edges = [(a, readout if b == output else b) for a, b in edges] + [(readout, output)]
        ctx.find(self.spelling, thresholds=thresholds)
        text = json.dumps({"version": 1, "coding": None, "convention": RULE.to_json()})
        return build(nodes, edges, {**graph.metadata, "snnport": text})


def _averaging(graph: Graph, ctx: Context, spelling: str) -> Graph:
    """The graph with average poolings in the place of max poolings."""
    changed: dict[str, nir.NIRNode] = {}
    for name in names_of(graph, MaxPool2d):
        pool: Any = graph.nodes[name]
        changed[name] = nir.AvgPool2d(*(np.array(part) for part in (pool.kernel_size, pool.stride, pool.padding[:2])))
        ctx.note(Entry(name, "MaxPool2d", "became", (name,), "it averages", spelling))
    return with_nodes(graph, changed)


def _weights_behind(graph: Graph, name: str) -> str | None:
    """The layer that everything of `name` goes to and nothing else does, through poolings; None if there is no such."""
    at = name
    while True:
        after = successors(graph, at)
        if len(after) != 1 or len(predecessors(graph, after[0])) != 1:
            return None
        (at,) = after
        if isinstance(graph.nodes[at], nir.Conv1d | nir.Conv2d | nir.Affine | nir.Linear):
            return at
        if not isinstance(graph.nodes[at], nir.SumPool2d | nir.AvgPool2d | nir.Flatten):
            return None
