"""Random feed-forward networks of any depth: convolutions, poolings, skips, batch norms, dense layers, rectifiers."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from networks import avg_pool, conv, dense, max_pool, norm

from snnport.graph import Graph, build, shapes
from snnport.nodes import MaxPool2d, ReLU, flatten_node, input_node, output_node

POOLS = ((2, 2, (0, 0, 0, 0)), (3, 2, (1, 1, 1, 1)), (2, 1, (0, 0, 1, 1)), (3, 1, (0, 0, 0, 0)), (1, 2, (0, 0, 0, 0)))


class _Growing:
    """A graph under construction; `last` is the node that the next one follows."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        self.rng, self.last = rng, "input"
        self.nodes: dict[str, nir.NIRNode] = {"input": input_node(shape)}
        self.edges: list[tuple[str, str]] = []
        self.shape: tuple[int, ...] = shape
        self.number = 0

    def add(self, node: nir.NIRNode, *sources: str) -> str:
        """Put `node` behind `sources`, or behind the last one."""
        self.number += 1
        name = f"n{self.number}"
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources or (self.last,)]
        self.last = name
        self.shape = shapes(build(self.nodes, self.edges))[name]
        return name

    def relu(self, *sources: str) -> str:
        """A rectifier, now and then with a maximum of its own."""
        return self.add(ReLU(float(self.rng.uniform(0.5, 2))) if self.rng.random() < 0.1 else ReLU(), *sources)


def random_network(rng: np.random.Generator, depth: int) -> Graph:
    """A network of `depth` weighted layers at most (those of skips not counted), on (1..2, 4..8, 4..8) maps."""
    channels, size = int(rng.integers(1, 3)), int(rng.integers(4, 9))
    net = _Growing(rng, (channels, size, size))
    left = depth
    while left > 2 and min(net.shape[1:]) > 1 and rng.random() < 0.93:
        kind = rng.choice(["plain", "plain", "block", "pool"]) if net.last != "input" else "plain"
        left -= _grow(net, str(kind))
    net.add(flatten_node(net.shape))
    while left > 1:
        net.add(dense(rng, net.shape[0], int(rng.integers(3, 9))))
        net.relu()
        left -= 1
    net.add(dense(rng, net.shape[0], int(rng.integers(2, 5))))
    last = net.last
    return build({**net.nodes, "output": output_node()}, [*net.edges, (last, "output")])


def _grow(net: _Growing, kind: str) -> int:
    """One more stage; how many weighted layers it has."""
    rng, shape = net.rng, (net.shape[0], net.shape[1], net.shape[2])
    if kind == "pool":
        fitting = [p for p in POOLS if p[0] <= min(shape[1:])]
        rectified = isinstance(net.nodes[net.last], ReLU | MaxPool2d)
        net.add(max_pool(*fitting[rng.integers(len(fitting))]) if rectified and rng.random() < 0.7 else avg_pool(2))
        return 0
    if kind == "block":
        start = net.last
        return _block(net, start, shape)
    out = int(rng.integers(2, 5))
    groups = 2 if shape[0] % 2 == 0 and out % 2 == 0 and rng.random() < 0.3 else 1
    stride = 2 if min(shape[1:]) > 5 and rng.random() < 0.3 else 1
    net.add(conv(rng, shape, out, 3, stride, 1, groups))
    if rng.random() < 0.5:
        net.add(norm(rng, out))
    net.relu()
    return 1


def _block(net: _Growing, start: str, shape: tuple[int, int, int]) -> int:
    """Two convolutions beside an identity, or beside a projection."""
    rng = net.rng
    out = shape[0] if rng.random() < 0.6 else int(rng.integers(2, 5))
    net.add(conv(rng, shape, out))
    net.relu()
    end = net.add(conv(rng, (out, *shape[1:]), out))
    end = net.add(norm(rng, out)) if rng.random() < 0.5 else end
    skip: Any = start
    if out != shape[0]:
        skip = net.add(conv(rng, shape, out, 1, 1, 0), start)
    net.relu(end, skip)
    return 2
