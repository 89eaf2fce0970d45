"""Networks in the two codes whose neurons send numbers, and what they must give."""

from __future__ import annotations

import numpy as np
from networks import conv, dense, max_pool

from snnport.convention import Coding, coding_of
from snnport.encoders import CountEncoder
from snnport.flow.convert import Conversion, ConvertOptions, convert_graph
from snnport.graph import Graph, build, shapes, the_input
from snnport.importers.base import Imported
from snnport.nodes import ReLU, flatten_node, input_node, output_node
from snnport.passes.unspike import quantised_ann
from snnport.reference import forward


def convert(graph: Graph, rng: np.random.Generator, *, signed: bool, **options: object) -> tuple[Conversion, np.ndarray]:
    x = rng.uniform(-1 if signed else 0, 1, (24, *shapes(graph)[the_input(graph)]))
    return convert_graph(Imported(graph, "onnx", ()), x, "test", ConvertOptions(**{"code": "graded", **options})), x


def coding(graph: Graph) -> Coding:
    found = coding_of(graph.metadata)
    assert found is not None
    return found


def expected(graph: Graph, x: np.ndarray) -> np.ndarray:
    counts = CountEncoder.from_json(coding(graph).encoder).counts(x)
    return forward(quantised_ann(graph), counts, integers=True).reshape(len(x), -1)


def small(rng: np.random.Generator) -> Graph:
    """Three layers, a pooling and a skip, with biases."""
    nodes = {
        "input": input_node((1, 4, 4)),
        "c": conv(rng, (1, 4, 4), 2),
        "r": ReLU(),
        "p": max_pool(2, 2),
        "c2": conv(rng, (2, 2, 2), 2),
        "r2": ReLU(),
        "side": conv(rng, (2, 2, 2), 2, k=1, pad=0),
        "r3": ReLU(),
        "flat": flatten_node((2, 2, 2)),
        "d": dense(rng, 8, 3),
        "output": output_node(),
    }
    edges = [
        *(("input", "c"), ("c", "r"), ("r", "p"), ("p", "c2"), ("c2", "r2"), ("r2", "side"), ("side", "r3"), ("p", "r3")),
        *(("r3", "flat"), ("flat", "d"), ("d", "output")),
    ]
    return build(nodes, edges)
