"""The MNIST network of Sinabs' tutorials: 20c5-32c5-128c3-500-10 without biases, average pooling, from its state dict.

Input (1, 28, 28), pixels / 255.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np

from snnport.graph import Graph, chain
from snnport.models.weights import Weights
from snnport.nodes import ReLU, flatten_node, input_node, output_node

CONVOLUTIONS = ((0, 1, 20, 5, 28), (3, 20, 32, 5, 12), (6, 32, 128, 3, 4))
"""Position in the sequence, channels in and out, kernel, side of the input."""
DENSE = ((10, 128, 500), (12, 500, 10))


def sinabs_mnist(arrays: Mapping[str, Any]) -> Graph:
    """The network with these weights. Raises InvalidGraph, naming all that is missing or of another shape."""
    weights = Weights("sinabs-mnist", arrays)
    nodes: dict[str, nir.NIRNode] = {"input": input_node((1, 28, 28))}
    for position, width, out, kernel, side in CONVOLUTIONS:
        weight = weights.take(f"{position}.weight", (out, width, kernel, kernel))
        nodes[f"conv{position}"] = nir.Conv2d((side, side), weight, (1, 1), (0, 0), (1, 1), 1, np.zeros(out))
        nodes[f"relu{position}"] = ReLU()
        nodes[f"pool{position}"] = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    nodes["flatten"] = flatten_node((128, 1, 1))
    for position, width, out in DENSE:
        nodes[f"dense{position}"] = nir.Affine(weights.take(f"{position}.weight", (out, width)), np.zeros(out))
        if position != DENSE[-1][0]:
            nodes[f"relu{position}"] = ReLU()
    nodes["output"] = output_node((10,))
    weights.require()
    return chain(nodes)
