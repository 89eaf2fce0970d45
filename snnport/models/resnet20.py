"""ResNet-20 for CIFAR-10 with parameter-free shortcuts (option A of K. He et al., CVPR 2016), from a state dict.

The names are those of the widely used weights of Y. Idelbayev's reproduction: conv1, bn1, layer1.0.conv1 ... layer3.2.bn2,
linear, all behind "module." or not. Input (3, 32, 32), normalised by the mean and standard deviation of ImageNet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np

from snnport.graph import Edge, Graph, build
from snnport.models.weights import Weights, norm
from snnport.nodes import ReLU, flatten_node, input_node, output_node

WIDTHS = (16, 32, 64)
BLOCKS = 3
SIDE = 32


def resnet20(arrays: Mapping[str, Any]) -> Graph:
    """The network with these weights. Raises InvalidGraph, naming all that is missing or of another shape."""
    weights = Weights("resnet20", {name.removeprefix("module."): array for name, array in arrays.items()})
    nodes: dict[str, nir.NIRNode] = {"input": input_node((3, SIDE, SIDE))}
    edges: list[Edge] = []
    last = _convolved(weights, nodes, edges, "input", ("conv1", "bn1"), (3, 16, SIDE), 1)
    last = _after(nodes, edges, last, "relu1", ReLU())
    width, side = 16, SIDE
    for stage, out in enumerate(WIDTHS, 1):
        for number in range(BLOCKS):
            stride = 2 if number == 0 and out != width else 1
            last = _block(weights, nodes, edges, last, f"layer{stage}.{number}", (width, out, side), stride)
            width, side = out, side // stride
    last = _after(nodes, edges, last, "pool", nir.AvgPool2d(*(np.array([n, n]) for n in (side, side, 0))))
    last = _after(nodes, edges, last, "flatten", flatten_node((width, 1, 1)))
    linear = nir.Affine(weights.take("linear.weight", (10, width)), weights.take("linear.bias", (10,)))
    last = _after(nodes, edges, last, "linear", linear)
    _after(nodes, edges, last, "output", output_node((10,)))
    weights.require()
    return build(nodes, edges)


def _block(
    weights: Weights,
    nodes: dict[str, nir.NIRNode],
    edges: list[Edge],
    source: str,
    name: str,
    form: tuple[int, int, int],
    stride: int,
) -> str:
    """Two convolutions and the way around them, added in front of the last ReLU. form: channels in, out, side."""
    width, out, side = form
    last = _convolved(weights, nodes, edges, source, (f"{name}.conv1", f"{name}.bn1"), form, stride)
    last = _after(nodes, edges, last, f"{name}.relu1", ReLU())
    inner = (out, out, side // stride)
    last = _convolved(weights, nodes, edges, last, (f"{name}.conv2", f"{name}.bn2"), inner, 1)
    relu = _after(nodes, edges, last, f"{name}.relu2", ReLU())
    if stride == 1:
        edges.append((source, relu))
        return relu
    # Every second pixel, the channels in the middle of the new ones: a 1 x 1 convolution with ones.
    identity = np.zeros((out, width, 1, 1))
    identity[np.arange(width) + (out - width) // 2, np.arange(width)] = 1.0
    shortcut = nir.Conv2d((side, side), identity, (2, 2), (0, 0), (1, 1), 1, np.zeros(out))
    edges.append((_after(nodes, edges, source, f"{name}.shortcut", shortcut), relu))
    return relu


def _convolved(
    weights: Weights,
    nodes: dict[str, nir.NIRNode],
    edges: list[Edge],
    source: str,
    names: tuple[str, str],
    form: tuple[int, int, int],
    stride: int,
) -> str:
    """A 3 x 3 convolution without bias and its batch norm. Returns the latter's name."""
    width, out, side = form
    weight = weights.take(f"{names[0]}.weight", (out, width, 3, 3))
    conv = nir.Conv2d((side, side), weight, (stride, stride), (1, 1), (1, 1), 1, np.zeros(out))
    last = _after(nodes, edges, source, names[0], conv)
    return _after(nodes, edges, last, names[1], norm(weights, names[1], out))


def _after(nodes: dict[str, nir.NIRNode], edges: list[Edge], source: str, name: str, node: nir.NIRNode) -> str:
    nodes[name] = node
    edges.append((source, name))
    return name
