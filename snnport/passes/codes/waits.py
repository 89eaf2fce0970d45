"""Spikes that wait on their way: NIR's Delay nodes in front of a weighted node."""

from __future__ import annotations

import nir
import numpy as np

from snnport.convention import CODED
from snnport.graph import Graph, fresh_name, predecessors, shapes, with_node_on_edge


def with_wait(graph: Graph, layer: str, steps: int) -> Graph:
    """`graph` with what enters the weighted node `layer` later by `steps`; the same graph for 0."""
    if steps == 0:
        return graph
    source = predecessors(graph, layer)[0]
    wait = nir.Delay(np.full(shapes(graph)[source], steps * CODED.dt))
    return with_node_on_edge(graph, (source, layer), fresh_name(graph, f"{layer}.wait"), wait)
