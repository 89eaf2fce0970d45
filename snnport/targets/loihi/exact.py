"""Networks whose populations hold their Loihi registers already, as those of a netx file: lowered without a rounding.

Metadata `loihi` of a population: `family` and the integer parameters of that family (docs/semantics.md); of an input layer's
neuron also `drive_exponent`, by which the numbers that drive it are shifted; of a weighted node, `listed`: its zeros are no
synapses. A synapse takes one step and what its Delay
nodes add; the way from the input into an input layer's neuron, which has no weight, takes none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.convention import convention_of
from snnport.errors import InvalidGraph
from snnport.fixed import IntArray, narrowest
from snnport.graph import Graph, names_of, shapes
from snnport.nodes import NEURON_NODES, Shape
from snnport.passes.paths import Path, output_populations, walk
from snnport.program import Dense, Diagonal, Neuron, Population, Program, Projection, Sparse, Synapse
from snnport.targets.base import Findings, finding
from snnport.targets.synapses import composes, pool_of, population_shape, synapse_of

MARK = "loihi_exact"
"""Metadata of a graph that is lowered here."""
REGISTERS = "loihi"
HEADER = "netx"
"""What a netx file says beside its layers; it travels into the program."""
FIELDS = {"du": (0, 4095), "dv": (0, 4095), "vth": (1, (1 << 17) - 1), "bias_mant": (-4096, 4095)}
"""What the chip's registers hold (lava-nc 0.10.0, proc/lif/models.py); Lava's model computes a little beyond."""


def is_exact(graph: Graph) -> bool:
    """Whether `graph` brings its registers."""
    return bool(graph.metadata.get(MARK))


def unless_exact(rule: Callable[[Graph, Chip], Findings]) -> Callable[[Graph, Chip], Findings]:
    """`rule` for graphs that are still to be put into registers; nothing to find in one that is."""

    @wraps(rule)
    def asked(graph: Graph, chip: Chip) -> Findings:
        return Findings() if is_exact(graph) else rule(graph, chip)

    return asked


def told(rule: Callable[[Program, Chip], Findings]) -> Callable[[Program, Chip], Findings]:
    """`rule`, whose violations are warnings in a program with registers of its own: what wraps or saturates in Lava does so
    in a run, which counts it."""

    @wraps(rule)
    def asked(program: Program, chip: Chip) -> Findings:
        found = rule(program, chip)
        if not program.meta.get(MARK):
            return found
        return Findings(found.usage, (), (*found.violations, *found.warnings))

    return asked


def own_registers(graph: Graph, chip: Chip) -> Findings:
    """Registers that a file brings: what Lava's model computes and no field of the chip holds is told."""
    warnings = []
    for name in names_of(graph, *NEURON_NODES) if is_exact(graph) else ():
        own = _registers(graph, name)
        for field, (low, high) in FIELDS.items():
            values = np.asarray(own.get(field, low))
            if not str(own["family"]).startswith("cuba") or (values.min() >= low and values.max() <= high):
                continue
            message = (
                f"its {field} spans {values.min()}..{values.max()}, the chip's field holds {low}..{high}: Lava's model runs it"
            )
            warnings.append(finding(name, message, "Train it anew for the chip itself"))
    return Findings(warnings=tuple(warnings))


def lower_exact(graph: Graph, chip: Chip, target: str, semantics: str) -> Program:
    """The program, not placed. Raises InvalidGraph where metadata and graph contradict each other."""
    sizes = shapes(graph)
    names = names_of(graph, nir.Input, *NEURON_NODES)
    populations = tuple(_population(graph, name, sizes[name]) for name in names)
    projections = tuple(q for path in walk(graph)[0] for q in _projections(graph, path, sizes))
    outputs = output_populations(graph)
    spiking = (nir.IF, nir.LIF, nir.CubaLIF)
    meta: dict[str, Any] = {
        "semantics": semantics,
        "code": None,
        "encoder": None,
        "windows": None,
        "convention": convention_of(graph.metadata).to_json(),
        "readout": "count" if all(isinstance(graph.nodes[name], spiking) for name in outputs) else "last",
        "scale": dict.fromkeys((n for n in names if not isinstance(graph.nodes[n], nir.Input)), 1.0),
        "starts": _starts(graph, names),
        HEADER: graph.metadata.get(HEADER),
        MARK: 1,
    }
    inputs = tuple(p.name for p in populations if p.neuron.family == "input")
    return Program(target, chip, populations, projections, (), inputs, outputs, 0, meta)


def _registers(graph: Graph, name: str) -> Mapping[str, Any]:
    own = graph.nodes[name].metadata.get(REGISTERS)
    if not isinstance(own, Mapping) or not isinstance(own.get("family"), str):
        raise InvalidGraph(name, f"its metadata hold no registers ('{REGISTERS}')", "Read the netx file again")
    return own


def _population(graph: Graph, name: str, shape: Shape) -> Population:
    own = _registers(graph, name)
    params = {key: _narrow(value) for key, value in own.items() if key not in ("family", "drive_exponent")}
    return Population(name, population_shape(shape), Neuron(str(own["family"]), params))


def _narrow(value: Any) -> IntArray:
    array = np.asarray(value, np.int64)
    small = array.astype(narrowest(int(array.min(initial=0)), int(array.max(initial=0))))
    return small.reshape(()) if small.size == 1 else small


def _starts(graph: Graph, names: tuple[str, ...]) -> dict[str, int]:
    """Population -> its first reset, in steps from 0: where a sample begins for it."""
    found = {}
    for name in names:
        own = _registers(graph, name)
        if "reset_interval" in own:
            found[name] = (int(own["reset_offset"]) - 1) % int(own["reset_interval"])
    return found


def _projections(graph: Graph, path: Path, sizes: dict[str, Shape]) -> Iterator[Projection]:
    if path.weighted is None and not path.pools and isinstance(graph.nodes[path.source], nir.Input):
        exponent = int(_registers(graph, path.target).get("drive_exponent", 0))
        ones = Diagonal(np.ones(math.prod(sizes[path.target]), np.int8))
        yield Projection(f"{path.target}.drive", path.source, path.target, ones, None, 0, exponent)
        return
    synapse = synapse_of(graph, path, sizes)
    if synapse is None or not composes(graph, path):
        raise InvalidGraph(path.weighted or path.target, "its weights are no integers", "Read the netx file again")
    codes = synapse.codes
    narrow = replace(synapse, codes=codes.astype(narrowest(int(codes.min(initial=0)), int(codes.max(initial=0)))))
    yield from _delayed(graph, path, narrow, pool_of(graph, path, sizes))


def _delayed(graph: Graph, path: Path, synapse: Synapse, pool: Any) -> Iterator[Projection]:
    """One projection, or one of listed synapses for every delay."""
    name, dt = path.weighted or path.target, convention_of(graph.metadata).dt
    later: IntArray = np.zeros((1, 1), np.int64)
    behind = path.nodes.index(path.weighted) if path.weighted in path.nodes else len(path.nodes)
    for delay in path.delays:
        node: Any = graph.nodes[delay]
        steps = np.rint(np.asarray(node.delay, np.float64).reshape(-1) / dt).astype(np.int64)
        later = later + (steps[:, None] if path.nodes.index(delay) > behind else steps[None, :])
    listed = path.weighted is not None and REGISTERS in graph.nodes[path.weighted].metadata
    if np.all(later == later[:1, :1]) and not listed:
        yield Projection(name, path.source, path.target, synapse, pool, 1 + int(later[0, 0]))
        return
    if not isinstance(synapse, Dense) or pool is not None:
        raise InvalidGraph(name, "its neurons differ in delay, which a convolution cannot", "Give them one delay")
    each = np.broadcast_to(later, synapse.codes.shape)
    for steps in np.unique(each):
        target, source = np.nonzero((each == steps) & (synapse.codes != 0))
        if not len(target):
            continue
        few = Sparse(synapse.codes[target, source], target, source, (synapse.codes.shape[0], synapse.codes.shape[1]))
        yield Projection(name if listed else f"{name}.{int(steps)}", path.source, path.target, few, None, 1 + int(steps))
