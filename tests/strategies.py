"""Hypothesis strategies that several tests share: small rasters, integer arrays, graphs and programs."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snnport.chip import Chip
from snnport.graph import Graph, build, shapes
from snnport.nodes import MaxPool2d, QuantReLU, ReLU, flatten_node, input_node, output_node
from snnport.program import Conv, Dense, Diagonal, Neuron, Population, Program, Projection, Slice, SumPool

NAMES = st.text("abcXYZ0189_.-", min_size=1, max_size=6)
INTEGER_TYPES = (np.int8, np.int16, np.int32, np.int64)


def rasters(most: int = 3) -> st.SearchStrategy[np.ndarray]:
    """Counts 0..most of shape (n_samples, n_steps, n_neurons)."""
    return hnp.arrays(np.int32, hnp.array_shapes(min_dims=3, max_dims=3, min_side=0, max_side=5), elements=st.integers(0, most))


def integers_of(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    """Integer arrays of `shape`, of any signed type, extremes included."""
    return st.sampled_from(INTEGER_TYPES).flatmap(lambda kind: hnp.arrays(kind, shape))


@st.composite
def graphs(draw: Any) -> Graph:
    """A small feed-forward graph of maps, with nodes added onto nodes of the same shape; its edges in random order."""
    shape: tuple[int, ...] = (draw(st.integers(1, 3)), draw(st.integers(3, 6)), draw(st.integers(3, 6)))
    graph, last = build({"input": input_node(shape)}, []), "input"
    for number in range(draw(st.integers(1, 6))):
        name, shape = f"n{number}", shapes(graph)[last]
        node = draw(_nodes(shape))
        alike = [a for a, other in shapes(graph).items() if other == shape and a != last]
        extra = draw(st.lists(st.sampled_from(alike), unique=True, max_size=2)) if alike else []
        graph = build({**graph.nodes, name: node}, [*graph.edges, *((a, name) for a in [last, *extra])])
        last = name
    nodes = {**graph.nodes, "output": output_node()}
    order = draw(st.permutations(sorted(nodes)))
    edges = draw(st.permutations([*graph.edges, (last, "output")]))
    return build({name: nodes[name] for name in order}, edges, {"note": "random"})


@st.composite
def _nodes(draw: Any, shape: tuple[int, ...]) -> nir.NIRNode:
    kinds = ["relu", "quant", "if", "flatten"] if len(shape) == 3 else ["relu", "affine", "linear"]
    if len(shape) == 3 and min(shape[1:]) >= 2:
        kinds += ["conv", "conv", "sum", "max"]
    kind = draw(st.sampled_from(kinds))
    size = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    stride = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    if kind == "conv":
        out, pad = draw(st.integers(1, 3)), (draw(st.integers(0, 1)), draw(st.integers(0, 1)))
        return nir.Conv2d(shape[1:], np.ones((out, shape[0], *size)), stride, pad, (1, 1), 1, np.zeros(out))
    if kind == "sum":
        return nir.SumPool2d(np.array(size), np.array(stride), np.array((0, 0)))
    if kind in ("affine", "linear"):
        weight = np.ones((draw(st.integers(1, 4)), shape[0]))
        return nir.Linear(weight) if kind == "linear" else nir.Affine(weight, np.zeros(len(weight)))
    if kind == "if":
        return nir.IF(np.ones(shape), np.ones(shape))
    plain: dict[str, nir.NIRNode] = {
        "relu": ReLU(),
        "quant": QuantReLU(0.5, 4, 0.5),
        "flatten": flatten_node(shape),
        "max": MaxPool2d(size, stride, (0, 0, 0, 0)),
    }
    return plain[kind]


CHIP = Chip.from_json(
    {
        "name": "test",
        "target": "cpu",
        "description": "a chip for tests",
        "numbers": {
            "cores": {"value": 4, "unit": "cores", "source": "here", "confidence": "defined"},
            "speeds": {"value": [1, 2.5], "unit": "MHz", "source": "there", "confidence": "low"},
        },
    }
)


@st.composite
def programs(draw: Any) -> Program:
    """A program of one to four populations with any projections; it need not mean anything to an executor."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    populations = tuple(_population(draw, name) for name in names)
    ways = draw(st.lists(NAMES, max_size=4, unique=True))
    projections = tuple(_projection(draw, name, populations) for name in ways)
    slices = tuple(Slice(p.name, draw(st.integers(0, 9)), 0, p.size, draw(st.integers(0, 2))) for p in populations)
    meta = draw(st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.none()), max_size=3))
    return Program("cpu", CHIP, populations, projections, slices, (names[0],), (names[-1],), draw(st.integers(0, 99)), meta)


def _population(draw: Any, name: str) -> Population:
    shape = draw(st.sampled_from([(1,), (5,), (2, 3, 2)]))
    size = int(np.prod(shape))
    keys = draw(st.lists(st.sampled_from(["v_init", "v_threshold", "bias"]), unique=True))
    params = {key: draw(integers_of(draw(st.sampled_from([(), (size,)])))) for key in keys}
    return Population(name, shape, Neuron(draw(st.sampled_from(["if", "integrator", "input"])), params))


def _projection(draw: Any, name: str, populations: tuple[Population, ...]) -> Projection:
    source, target = draw(st.sampled_from(populations)), draw(st.sampled_from(populations))
    pads = st.tuples(*[st.integers(0, 2)] * 4)
    sides = st.tuples(st.integers(1, 2), st.integers(1, 2))
    synapse: Any = draw(
        st.one_of(
            st.builds(Dense, integers_of((target.size, source.size))),
            st.builds(Diagonal, integers_of((target.size,))),
            st.builds(Conv, integers_of((2, 1, 2, 3)), st.just((2, 4, 5)), sides, pads, sides, st.just(2)),
        )
    )
    pool = draw(st.none() | st.builds(SumPool, st.just((2, 4, 4)), sides, sides, pads))
    return Projection(name, source.name, target.name, synapse, pool, draw(st.integers(0, 63)), draw(st.integers(0, 7)))
