"""Loihi's LIF neuron: from times and thresholds in seconds and codes to the register fields du, dv, vth, bias.

Per step (lava-nc 0.10.0, proc/lif/models.py, PyLifModelBitAcc), everything in 1/64 of a weight code:
    u <- u (4096 - du - 1) / 4096 + 64 a,   v <- v (4096 - dv) / 4096 + u + bias_mant 2^bias_exp,   spike iff v > 64 vth, v <- 0
with products rounded toward zero. Decay codes are rounded to the nearest: du + 1 = rint(4096 d_syn), dv = rint(4096 d_mem).
(The single LIF neuron that Pedersen et al., Nature Communications, 2024, doi 10.1038/s41467-024-52259-9, recorded on Loihi 2
was scaled by their nir_to_lava.py, which truncates: int(0.04 * 4095) = 163. --dialect lava-fixed keeps exactly its integers,
passes/lava_scaling.py. Nearest, 164, gives the same spikes there, and keeps them at finer scales, where 163 does not.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np

from snnport.convention import coding_of, convention_of
from snnport.fixed import IntArray
from snnport.graph import Graph, names_of, shapes
from snnport.nodes import NEURON_NODES, AdaptiveLIF
from snnport.passes.paths import walk
from snnport.passes.quantize_snn import decays
from snnport.program import Neuron, Population, Projection
from snnport.targets.decay_codes import ONE, decay_code
from snnport.targets.intervals import NEVER_FIRES
from snnport.targets.lowering import Plan, delay_of
from snnport.targets.synapses import bias_of, composes, population_shape, scale_of

NEURONS = (nir.IF, nir.LIF, nir.CubaLIF, nir.LI, nir.CubaLI, AdaptiveLIF)


@dataclass(frozen=True, eq=False)
class Fields:
    """Register fields of one population, one value a neuron (n,), as computed: a rule says whether they fit.

    current, potential: decay codes du + 1 and dv. vth: threshold in codes. factor: what codes into this population are
    multiplied by. Biases come as spikes (trained.py): bias_mant is 0.
    """

    current: IntArray
    potential: IntArray
    vth: IntArray
    factor: int


def sketch(graph: Graph) -> Plan:
    """What `graph` says but for its weights, which rules about neurons and times do not need: a plan without projections."""
    sizes, convention = shapes(graph), convention_of(graph.metadata)
    paths = tuple(path for path in walk(graph)[0] if composes(graph, path) and delay_of(graph, path).is_integer())
    scale = {name: q for name in names_of(graph, *NEURON_NODES) if (q := scale_of(graph.nodes[name])) is not None}
    bias = {name: bias_of(graph, paths, sizes, name) for name in names_of(graph, *NEURON_NODES)}
    return Plan(graph, coding_of(graph.metadata), convention, sizes, paths, (), bias, scale)


def fields_of(plan: Plan, name: str) -> Fields | None:
    """The fields of neuron node `name`, or None if its threshold is no integer."""
    node: Any = plan.graph.nodes[name]
    size = len(plan.bias[name])
    theta = _threshold(plan, name)
    if theta is None:
        return None
    lost = [np.broadcast_to(decay_code(d).reshape(-1), (size,)) for d in decays(node, plan.convention)]
    current = lost[0] if len(lost) == 2 else np.full(size, ONE, np.int64)
    # A field of 0 is outside the chip's range; doubled, a threshold of one code is the field 1.
    small = np.any(_field(plan, node, theta, lost[-1]) == 0) and not isinstance(node, AdaptiveLIF)
    factor = 2 if small else 1
    vth = _field(plan, node, theta * factor, lost[-1])
    return Fields(current, lost[-1], vth, factor)


def _threshold(plan: Plan, name: str) -> IntArray | None:
    """The threshold over the resting potential, in codes. A relay's is 1; a neuron that is only read has the greatest."""
    node: Any = plan.graph.nodes[name]
    if not hasattr(node, "v_threshold"):
        return np.full(len(plan.bias[name]), NEVER_FIRES, np.int64)
    theta = plan.codes(name, node.v_threshold)
    rest = plan.codes(name, getattr(node, "v_leak", 0.0))
    if theta is None or rest is None:
        return None
    return theta - rest


def _field(plan: Plan, node: Any, theta: IntArray, leak: IntArray) -> IntArray:
    """vth for a threshold in codes. Without decay potentials are whole codes, and v >= theta is v > theta - 1."""
    if not hasattr(node, "v_threshold") or plan.convention.comparison == ">":
        return np.minimum(theta, NEVER_FIRES) if not hasattr(node, "v_threshold") else theta
    return np.where(leak == 0, theta - 1, theta) if isinstance(node, nir.IF) else theta


def population(plan: Plan, name: str, fields: Fields) -> Population:
    """The engine's population of `fields`, clipped to what the registers hold where a rule has refused them."""
    params = {
        "du": np.clip(fields.current - 1, -1, ONE - 1),
        "dv": np.clip(fields.potential, 0, ONE),
        "vth": np.clip(fields.vth, 0, NEVER_FIRES),
        "bias_mant": np.asarray(0),
        "bias_exp": np.asarray(0),
    }
    compact = {key: value[:1].reshape(()) if value.ndim and _uniform(value) else value for key, value in params.items()}
    return Population(name, population_shape(plan.shapes[name]), Neuron("cuba", compact))


def doubled(projection: Projection, factor: int) -> Projection:
    """`projection` with its codes multiplied by `factor`."""
    codes = projection.synapse.codes.astype(np.int64) * factor
    codes = codes.astype(np.int16 if np.abs(codes).max(initial=0) < 1 << 15 else np.int64)
    return replace(projection, synapse=replace(projection.synapse, codes=codes))


def cuba_nodes(plan: Plan) -> tuple[str, ...]:
    """The neuron nodes that become LIF neurons or programs of their own, in topological order."""
    return names_of(plan.graph, *NEURONS)


def _uniform(values: IntArray) -> bool:
    return bool(values.size) and bool(np.all(values == values.reshape(-1)[0]))
