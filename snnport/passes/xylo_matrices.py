"""A network in Xylo's integers as the chip holds it: three matrices of weights, and rows of numbers for its neurons.

Hidden populations lie one behind the other, in the order of the graph. Weights of Linear and Affine nodes alone are taken,
those whose every entry is a synapse of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import convention_of
from snnport.graph import Graph, names_of, shapes, with_nodes
from snnport.nodes import NEURON_NODES
from snnport.passes.paths import Path, output_populations, walk
from snnport.passes.quantize_snn import coded, decays
from snnport.passes.xylo_form import LEAST_MEMBRANE, LEAST_SYNAPSE, dash_of
from snnport.quant import round_half_even

Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
INPUT, RECURRENT, OUTPUT = range(3)
DASH_SYN, DASH_MEM, BIAS, THRESHOLD = range(4)
"""Rows of `Matrices.hidden` and `Matrices.outputs`."""


@dataclass(frozen=True)
class Block:
    """Where the weights of one node stand: in `matrix`, from row `source` and column `target` on."""

    matrix: int
    source: int
    target: int
    shape: tuple[int, int]

    def of(self, matrices: tuple[Any, Any, Any]) -> Any:
        """Its part (n_sources, n_targets) of one of three arrays shaped as the matrices."""
        rows = slice(self.source, self.source + self.shape[0])
        return matrices[self.matrix][rows, self.target : self.target + self.shape[1]]


@dataclass(frozen=True, eq=False)
class Matrices:
    """weights: (n_inputs, n_hidden), (n_hidden, n_hidden), (n_hidden, n_outputs), shifted codes. used: where synapses are.

    shifts: of each matrix. hidden, outputs: (4, n) numbers of the neurons, see DASH_SYN and the rows behind it. blocks:
    weighted node -> its place. first: hidden population -> its first neuron. depth: population -> steps that it is late.
    """

    weights: tuple[Ints, Ints, Ints]
    used: tuple[Bools, Bools, Bools]
    shifts: tuple[int, int, int]
    hidden: Ints
    outputs: Ints
    blocks: Mapping[str, Block]
    first: Mapping[str, int]
    depth: Mapping[str, int]
    output: str


def has_matrices(graph: Graph) -> bool:
    """Whether the weights of `graph` are the entries of three matrices: one input, one output population, no way twice."""
    paths, problems = walk(graph)
    outputs, inputs = output_populations(graph), names_of(graph, nir.Input)
    kinds = all(isinstance(graph.nodes[p.weighted], nir.Linear | nir.Affine) for p in paths if p.weighted is not None)
    plain = all(p.weighted is not None and not p.pools and not p.delays for p in paths)
    ends = {(p.source, p.target) for p in paths}
    apart = not any(p.source in outputs or (p.source in inputs and p.target in outputs) for p in paths)
    single = len(inputs) == len(outputs) == 1 and len(ends) == len(paths)
    return not problems and kinds and plain and apart and single and names_of(graph, *NEURON_NODES) != outputs


def matrices_of(graph: Graph) -> Matrices:
    """The matrices of a graph that quantize-xylo has made; `has_matrices` must hold for it."""
    sizes = {name: int(np.prod(shape)) for name, shape in shapes(graph).items()}
    (output,), (source,) = output_populations(graph), names_of(graph, nir.Input)
    hidden = [name for name in names_of(graph, nir.CubaLIF) if name != output]
    first, at = {}, 0
    for name in hidden:
        first[name], at = at, at + sizes[name]
    ends = ((sizes[source], at), (at, at), (at, sizes[output]))
    weights = tuple(np.zeros(shape, np.int64) for shape in ends)
    used = tuple(np.zeros(shape, np.bool_) for shape in ends)
    shifts, blocks = [0, 0, 0], {}
    for path in walk(graph)[0]:
        assert path.weighted is not None
        node: Any = graph.nodes[path.weighted]
        kind = INPUT if path.source == source else OUTPUT if path.target == output else RECURRENT
        block = Block(kind, first.get(path.source, 0), first.get(path.target, 0), (sizes[path.source], sizes[path.target]))
        block.of((weights[0], weights[1], weights[2]))[:] = round_half_even(node.weight / node.metadata["scale"]).T
        block.of((used[0], used[1], used[2]))[:] = True
        shifts[kind], blocks[path.weighted] = int(node.metadata["bits"]) - 8, block
    return Matrices(
        (weights[0], weights[1], weights[2]),
        (used[0], used[1], used[2]),
        (shifts[0], shifts[1], shifts[2]),
        np.concatenate([_numbers(graph, name, sizes[name]) for name in hidden], axis=1),
        _numbers(graph, output, sizes[output]),
        blocks,
        first,
        _depths(hidden, walk(graph)[0], source, output),
        output,
    )


def with_weights(graph: Graph, matrices: Matrices, weights: tuple[Ints, Ints, Ints]) -> Graph:
    """`graph` with other codes in the places of `matrices`."""
    changed: dict[str, nir.NIRNode] = {}
    for name, block in matrices.blocks.items():
        node: Any = graph.nodes[name]
        changed[name] = coded(node, block.of(weights).T, None, node.metadata["scale"], node.metadata["bits"])
    return with_nodes(graph, changed)


def _numbers(graph: Graph, name: str, size: int) -> Ints:
    """Dashes, bias and threshold of every neuron of a population, as lowering finds them."""
    node: Any = graph.nodes[name]
    q, rule = node.metadata["scale"], convention_of(graph.metadata)
    synapse, membrane = (np.broadcast_to(lost, node.v_threshold.shape).reshape(-1) for lost in decays(node, rule))
    leak = np.broadcast_to(node.v_leak, node.v_threshold.shape).reshape(-1)
    rows = (
        dash_of(synapse, LEAST_SYNAPSE),
        dash_of(membrane, LEAST_MEMBRANE),
        round_half_even(membrane * leak / q),
        round_half_even(node.v_threshold.reshape(-1) / q),
    )
    return np.stack([np.broadcast_to(row, (size,)) for row in rows]).astype(np.int64)


def _depths(hidden: list[str], paths: tuple[Path, ...], source: str, output: str) -> dict[str, int]:
    """Steps that every population is late: one for each hidden population in front of it, loops left out."""
    depth = {source: 0}
    for _ in (*hidden, output):
        for path in paths:
            if path.source in depth and path.target not in depth and not path.back:
                depth[path.target] = depth[path.source] + int(path.source != source)
    return {name: depth.get(name, 0) for name in (*hidden, output)}
