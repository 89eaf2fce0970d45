"""A graph in Loihi's integers, scaled as the NIR paper scaled it for Lava.

Scaling: neuromorphs/NIR, paper/01_lif/lif_sim_lava.ipynb (and paper/nir_to_lava.py, fixed_pt):
    du = int(1.0 * 4095), dv = int(dt / tau * 4095), vth = int(v_threshold * 131071) >> 9, w = int(W * dt / tau * 256)
with products in the precision of the file's numbers, as numpy has it. Weights then pass Lava's Dense (lava-nc 0.10.0,
utils/weightutils.py): of one sign clipped to 255, of both clipped to -256..255 and their lowest bit cut off.
Step: lava-nc 0.10.0, proc/lif/models.py, PyLifModelBitAcc; du = 4095 leaves nothing of the current:
    v = CLIP(sign(v) * ((|v| * (4096 - dv)) >> 12) + (a << 6), -(2^23 - 1), 2^23 - 1); fire iff v > vth << 6, then v = 0.
r, v_leak and v_reset are not read there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention
from snnport.errors import UnsupportedNode
from snnport.graph import Graph, successors
from snnport.nodes import Shape

Array = npt.NDArray[Any]
LIMIT = (1 << 23) - 1
REMEDY = "Use --dialect lava for its floating-point model"


@dataclass
class FixedCell:
    """One population of Loihi neurons. v: (n_samples, *shape) whole numbers; vth and keep per neuron."""

    v: Array
    keep: Array
    vth: Array

    @classmethod
    def of(cls, node: nir.LIF, shape: Shape, rule: Convention) -> FixedCell:
        """The cell at v = 0."""
        decay, vth = registers(node, rule)
        return cls(np.zeros(shape, np.int64), 4096 - decay, vth << 6)

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step, in codes; returns spikes."""
        pushed = np.rint(arriving).astype(np.int64) << 6
        v = np.sign(self.v) * ((np.abs(self.v) * self.keep) >> 12) + pushed
        v = np.clip(v, -LIMIT, LIMIT)
        fired = v > self.vth
        self.v = np.where(fired, 0, v)
        return np.asarray(fired, np.float64)


def registers(node: nir.LIF, rule: Convention) -> tuple[Array, Array]:
    """dv and vth of a LIF, int64, in the shape of its parameters."""
    decay = np.trunc(_fraction(node, rule) * 4095).astype(np.int64)
    return decay, np.trunc(np.asarray(node.v_threshold) * 131071).astype(np.int64) >> 9


def dense_codes(graph: Graph, name: str, rule: Convention) -> Array:
    """The codes (out, in) of an Affine or Linear as the chip holds them. Raises UnsupportedNode as nir_to_lava does."""
    node: Any = graph.nodes[name]
    if np.any(getattr(node, "bias", 0.0)):
        raise UnsupportedNode(name, "nir_to_lava takes no bias", REMEDY)
    targets = successors(graph, name)
    lif = graph.nodes[targets[0]] if len(targets) == 1 else None
    if not isinstance(lif, nir.LIF):
        raise UnsupportedNode(name, "its weights are scaled by the one LIF they feed, and it feeds another thing", REMEDY)
    fraction = np.broadcast_to(_fraction(lif, rule), (len(node.weight),)).astype(np.float64)
    return as_stored(np.trunc(np.asarray(node.weight, np.float64) * fraction[:, None] * 256).astype(np.int64))


def as_stored(codes: Array) -> Array:
    """Integer `codes` after the clipping and truncation of Lava's Dense."""
    low, high = codes.min(initial=0), codes.max(initial=0)
    if low < 0 < high:
        return np.asarray((np.clip(codes, -256, 255) >> 1) << 1)
    return np.asarray(np.clip(codes, -255, 255))


def fixed_functions(graph: Graph, rule: Convention) -> dict[str, Callable[[Array], Array]]:
    """What every node but the neurons does, weights as codes. Raises UnsupportedNode for what nir_to_lava cannot take."""
    check(graph, rule)
    found: dict[str, Callable[[Array], Array]] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Affine | nir.Linear):
            found[name] = _dense(dense_codes(graph, name, rule))
        elif isinstance(node, nir.Input | nir.Output):
            found[name] = lambda x: x
    return found


def check(graph: Graph, rule: Convention) -> None:
    """Raises UnsupportedNode for a node or a rule that nir_to_lava's fixed-point form does not have."""
    if (rule.reset, rule.comparison) != ("zero", ">"):
        raise UnsupportedNode(f"convention '{rule.name}'", "Lava's LIF resets to 0 and fires on >, nothing else", REMEDY)
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.Affine | nir.Linear | nir.Input | nir.Output | nir.LIF):
            what = f"{type(node).__name__} has no fixed-point form in nir_to_lava, which knows Affine, Linear and LIF"
            raise UnsupportedNode(name, what, REMEDY)


def _dense(codes: Array) -> Callable[[Array], Array]:
    weights = codes.T.astype(np.float64)
    return lambda x: x @ weights


def _fraction(node: nir.LIF, rule: Convention) -> Array:
    """dt / tau in the precision of the file's tau."""
    tau = np.asarray(node.tau) if rule.tau_unit == 1.0 else np.asarray(node.tau) * rule.tau_unit
    return np.asarray(rule.dt / tau)
