"""Small networks that several tests convert: each a function of a seeded generator."""

from __future__ import annotations

from collections.abc import Callable

import nir
import numpy as np

from snnport.graph import Graph, build, chain
from snnport.nodes import BatchNorm, MaxPool2d, ReLU, flatten_node, input_node, output_node


def conv(
    rng: np.random.Generator, shape: tuple[int, int, int], out: int, k: int = 3, stride: int = 1, pad: int = 1, groups: int = 1
) -> nir.Conv2d:
    weight = rng.normal(0, 1 / np.sqrt(shape[0] * k * k / groups), (out, shape[0] // groups, k, k))
    return nir.Conv2d(shape[1:], weight, (stride, stride), (pad, pad), (1, 1), groups, rng.normal(0, 0.1, out))


def dense(rng: np.random.Generator, inputs: int, outputs: int) -> nir.Affine:
    return nir.Affine(rng.normal(0, 1 / np.sqrt(inputs), (outputs, inputs)), rng.normal(0, 0.1, outputs))


def norm(rng: np.random.Generator, channels: int) -> BatchNorm:
    return BatchNorm(rng.uniform(0.5, 1.5, channels), rng.normal(0, 0.2, channels))


def max_pool(k: int = 2, stride: int = 2, padding: tuple[int, int, int, int] = (0, 0, 0, 0)) -> MaxPool2d:
    return MaxPool2d((k, k), (stride, stride), padding)


def avg_pool(k: int = 2) -> nir.AvgPool2d:
    return nir.AvgPool2d(np.array([k, k]), np.array([k, k]), np.array([0, 0]))


def mlp(rng: np.random.Generator) -> Graph:
    return chain(
        {
            "input": input_node((12,)),
            "a": dense(rng, 12, 20),
            "norm": norm(rng, 20),
            "r": ReLU(),
            "b": dense(rng, 20, 9),
            "r2": ReLU(6.0),
            "c": dense(rng, 9, 5),
            "d": dense(rng, 5, 4),
            "output": output_node(),
        }
    )


def convnet(rng: np.random.Generator) -> Graph:
    return chain(
        {
            "input": input_node((2, 8, 8)),
            "c1": conv(rng, (2, 8, 8), 4),
            "norm": norm(rng, 4),
            "p1": max_pool(3, 2, (1, 1, 1, 1)),
            "r1": ReLU(),
            "c2": conv(rng, (4, 4, 4), 6, groups=2),
            "r2": ReLU(),
            "p2": avg_pool(),
            "flat": flatten_node((6, 2, 2)),
            "d": dense(rng, 24, 5),
            "output": output_node(),
        }
    )


def residual(rng: np.random.Generator) -> Graph:
    """Two blocks: an identity skip, and a strided projection skip; a global average in the end."""
    nodes = {
        "input": input_node((1, 8, 8)),
        "c0": conv(rng, (1, 8, 8), 4),
        "n0": norm(rng, 4),
        "r0": ReLU(),
        "c1": conv(rng, (4, 8, 8), 4),
        "r1": ReLU(),
        "c2": conv(rng, (4, 8, 8), 4),
        "n2": norm(rng, 4),
        "r2": ReLU(),
        "c3": conv(rng, (4, 8, 8), 6, stride=2),
        "r3": ReLU(),
        "c4": conv(rng, (6, 4, 4), 6),
        "s4": conv(rng, (4, 8, 8), 6, k=1, stride=2, pad=0),
        "r4": ReLU(),
        "gap": avg_pool(4),
        "flat": flatten_node((6, 1, 1)),
        "d": dense(rng, 6, 3),
        "output": output_node(),
    }
    edges = [
        *(("input", "c0"), ("c0", "n0"), ("n0", "r0"), ("r0", "c1"), ("c1", "r1"), ("r1", "c2"), ("c2", "n2")),
        *(("n2", "r2"), ("r0", "r2"), ("r2", "c3"), ("c3", "r3"), ("r3", "c4"), ("c4", "r4"), ("r2", "s4"), ("s4", "r4")),
        *(("r4", "gap"), ("gap", "flat"), ("flat", "d"), ("d", "output")),
    ]
    return build(nodes, edges)


def uneven(rng: np.random.Generator) -> Graph:
    """Asymmetric max pooling, depthwise straight into pointwise, average pooling on a skip."""
    nodes = {
        "input": input_node((2, 7, 7)),
        "c1": conv(rng, (2, 7, 7), 4),
        "r1": ReLU(),
        "p1": max_pool(2, 2, (0, 0, 1, 1)),
        "dw": conv(rng, (4, 4, 4), 4, groups=4),
        "pw": conv(rng, (4, 4, 4), 8, k=1, pad=0),
        "r2": ReLU(),
        "down": avg_pool(2),
        "side": conv(rng, (4, 4, 4), 8, k=2, stride=2, pad=0),
        "r3": ReLU(),
        "flat": flatten_node((8, 2, 2)),
        "d": dense(rng, 32, 4),
        "output": output_node(),
    }
    edges = [
        *(("input", "c1"), ("c1", "r1"), ("r1", "p1"), ("p1", "dw"), ("dw", "pw"), ("pw", "r2"), ("r2", "down")),
        *(("down", "r3"), ("p1", "side"), ("side", "r3"), ("r3", "flat"), ("flat", "d"), ("d", "output")),
    ]
    return build(nodes, edges)


def spiking_output(rng: np.random.Generator) -> Graph:
    return chain(
        {
            "input": input_node((6,)),
            "a": dense(rng, 6, 8),
            "r": ReLU(),
            "b": dense(rng, 8, 3),
            "out": ReLU(),
            "output": output_node(),
        }
    )


NETWORKS: dict[str, Callable[[np.random.Generator], Graph]] = {
    "mlp": mlp,
    "convnet": convnet,
    "residual": residual,
    "uneven": uneven,
    "spiking_output": spiking_output,
}


def random_network(rng: np.random.Generator, depth: int, max_pools: bool = True) -> Graph:
    """Up to `depth` weighted layers: convolutions (strided, grouped, 1x1), batch norm, residual adds, poolings, a dense end."""
    shape = (int(rng.integers(1, 3)), *(int(n) for n in rng.integers(4, 8, 2)))
    nodes: dict[str, nir.NIRNode] = {"input": input_node(shape)}
    edges: list[tuple[str, str]] = []
    last, earlier = "input", list[tuple[str, tuple[int, int, int]]]()
    for i in range(depth - 1):
        size = min(shape[1:])
        k = 3 if size >= 3 and rng.random() < 0.7 else 1
        stride = 2 if size >= 4 and rng.random() < 0.2 else 1
        groups = int(rng.choice([g for g in (1, 2, 3) if shape[0] % g == 0]))
        out = groups * int(rng.integers(1, 4))
        before, shape = shape, (out, *((n + 2 * (k // 2) - k) // stride + 1 for n in shape[1:]))
        nodes[f"c{i}"] = conv(rng, before, out, k, stride, k // 2, groups)
        ways, end = [(last, f"c{i}")], f"c{i}"
        if rng.random() < 0.5:
            nodes[f"n{i}"] = norm(rng, out)
            ways, end = [*ways, (end, f"n{i}")], f"n{i}"
        nodes[f"r{i}"] = ReLU()
        edges += [*ways, (end, f"r{i}")]
        alike = [name for name, other in earlier if other == shape]
        if alike and rng.random() < 0.5:
            edges.append((str(rng.choice(alike)), f"r{i}"))
        elif before[1:] == shape[1:] and last != "input" and rng.random() < 0.3:
            nodes[f"s{i}"] = conv(rng, before, out, 1, 1, 0)
            edges += [(last, f"s{i}"), (f"s{i}", f"r{i}")]
        last = f"r{i}"
        earlier.append((last, shape))
        if min(shape[1:]) >= 4 and rng.random() < 0.3:
            nodes[f"p{i}"] = max_pool() if max_pools and rng.random() < 0.6 else avg_pool()
            edges.append((last, f"p{i}"))
            last, shape = f"p{i}", (shape[0], shape[1] // 2, shape[2] // 2)
            if isinstance(nodes[last], MaxPool2d):
                earlier.append((last, shape))
    nodes |= {"flat": flatten_node(shape), "d": dense(rng, int(np.prod(shape)), 3), "output": output_node()}
    return build(nodes, [*edges, (last, "flat"), ("flat", "d"), ("d", "output")])
