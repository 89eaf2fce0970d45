"""The gate code made fit for Loihi: spikes at the ends of the windows, and thresholds small enough for its registers.

A sum of arrivals has 16 bits and a potential 24, of which 6 lie below a weight code (lava-nc 0.10.0, lif/models.py). The
gate takes the whole positive charge of a sample in one step. So each population gets the largest even threshold with which
interval analysis proves that nothing leaves its register, and its weights and biases are rounded anew from that threshold:
code' = rint(code * theta' / theta). The real threshold stays as it was, the quantised ANN is that of the new integers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import nir
import numpy as np

from snnport.convention import Coding, coding_of
from snnport.encoders import CountEncoder
from snnport.errors import PassFailed
from snnport.fixed import IntArray, signed_range
from snnport.graph import Graph, build, names_of, with_nodes
from snnport.ledger import Entry
from snnport.passes.base import Context, Pass
from snnport.passes.codes.base import encoded
from snnport.passes.codes.ramp import RAMP
from snnport.program import Projection
from snnport.quant import round_half_even
from snnport.targets.codes.base import gate_of, levels_of, threshold_of
from snnport.targets.codes.ramp import ramp_pulses
from snnport.targets.intervals import LIF_UNIT, charges
from snnport.targets.loihi.control import PLANE_EXPONENT
from snnport.targets.plan import Plan, plan
from snnport.targets.synapses import weight_of

ONE_SIGN, MIXED = 255, 127
"""The greatest weight of one sign, and of both signs before it is doubled (lava-nc 0.10.0, utils/weightutils.py)."""


@dataclass(frozen=True)
class Ramp(Pass):
    """Write a network of the gate or the ramp code so that it fits neurons that go back to zero, with bounded registers.

    accumulator_bits: of what arrives in a step, in weight codes. state_bits: of a potential, in 1/64 of a weight code.
    """

    name: ClassVar[str] = "ramp"
    codes: ClassVar[tuple[str, ...]] = ("gate", "ramp")
    accumulator_bits: int = 16
    state_bits: int = 24

    def requires(self, graph: Graph) -> None:
        """The network was converted with one of the codes."""
        coding = coding_of(graph.metadata)
        if coding is None or coding.code not in self.codes:
            what = "it is in no code" if coding is None else f"its code is {coding.code}"
            raise PassFailed(
                self.spelling, f"{what}, {' or '.join(self.codes)} is needed", f"Convert with --code {self.codes[-1]}"
            )

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The network in the code that the chip carries, with the thresholds that fit."""
        what = plan(_as_ramp(graph), forward_delay=1)
        changed: dict[str, nir.NIRNode] = {}
        thetas: dict[str, list[int]] = {}
        shares: dict[str, float] = {}
        for name in names_of(what.graph, nir.IF, nir.I):
            if "relay" in what.graph.nodes[name].metadata:
                continue
            share = self._fitting(what, name)
            if share == (1, 1):
                continue
            changed |= _shrunk(what, name, *share)
            if isinstance(what.graph.nodes[name], nir.IF):
                thetas[name] = [share[1], share[0]]
            shares[name] = share[0] / share[1]
            why = f"weights and threshold times {share[0] / share[1]:.4g}, so that the registers hold every sum"
            for layer in _layers(what, name):
                ctx.note(Entry(layer, type(graph.nodes[layer]).__name__, "became", (layer,), why, self.spelling))
        ctx.find(self.spelling, thetas=thetas, shares=shares)
        return with_nodes(what.graph, changed)

    def needed(self, graph: Graph) -> bool:
        """Whether `graph` is in one of the codes, and not yet as this pass leaves it."""
        coding = coding_of(graph.metadata)
        if coding is None or coding.code not in self.codes:
            return False
        if coding.code == "gate":
            return True
        what = plan(graph, forward_delay=1)
        firing = [name for name in names_of(graph, nir.IF, nir.I) if "relay" not in graph.nodes[name].metadata]
        return any(self._fitting(what, name) != (1, 1) for name in firing)

    def _fitting(self, what: Plan, name: str) -> tuple[int, int]:
        """theta' and theta of a population, or of a readout the share of its scale as a fraction; (1, 1) if it fits."""
        theta = threshold_of(what, name) if isinstance(what.graph.nodes[name], nir.IF) else None
        old = 1 << 12 if theta is None else int(theta.max())
        new = old
        while new > 2 and (excess := self._excess(what, name, new, old)) > 1:
            new = min(new - 2, 2 * int(new / excess / 2) if excess > 1.02 else new - 2)
        new = max(new, 2)
        return (1, 1) if new == old else (new, old)

    def _excess(self, what: Plan, name: str, new: int, old: int) -> float:
        """How far the fullest register of a population is from its limit, 1 at the limit, if codes become code * new / old."""
        into = tuple(_scaled(p, new, old) for p in what.into(name))
        bias = round_half_even(what.bias[name] * new / old)
        levels = levels_of(what.coding)
        window = what.window(name)
        assert window is not None
        pulses: list[IntArray] = [bias]
        vth = 0
        if isinstance(what.graph.nodes[name], nir.IF):
            theta = np.full(len(bias), new, np.int64)
            gate = gate_of(into, levels, bias, theta)
            pulses = [theta // 2 + bias - gate]
            pulses += [codes for _, codes in ramp_pulses(window.open, window.levels, gate, theta)]
            vth = new
        step = charges(into, dict.fromkeys(levels, 1), len(bias))
        whole = charges(into, levels, len(bias))
        planes = np.stack(pulses)
        falls = 0
        if what.coding is not None and what.coding.code == "ttfs":
            # Twins bring every weight back, control pulses end in the next step, and a neuron ends its own ramp.
            largest = step[1] - step[0] + vth
            step, planes = (-largest, largest), np.concatenate([planes, -planes])
            falls = vth * max(0, what.coding.n_steps - window.open - window.levels)
        # A plane's greatest code may come in another step than the next plane's; biases of several layers round one by one.
        slack = (1 << PLANE_EXPONENT) - 1 + 2 * len(into)
        up = int((step[1] + planes.max(axis=0, initial=0)).max()) + slack
        down = int(-(step[0] + planes.min(axis=0, initial=0)).min()) + slack
        low = int(-(whole[0] + np.minimum(planes, 0).sum(axis=0)).min()) + falls
        high = int((whole[1] + np.maximum(bias, 0)).max())
        if vth:
            high = min(vth + high, vth + up)
        widest = signed_range(self.accumulator_bits)[1]
        tallest = signed_range(self.state_bits)[1] // LIF_UNIT
        return max(up / widest, down / widest, low / tallest, high / tallest, _width(into))


@dataclass(frozen=True)
class Fit(Ramp):
    """Shrink thresholds and weights of a network of the ttfs code until every sum fits its register."""

    name: ClassVar[str] = "fit"
    codes: ClassVar[tuple[str, ...]] = ("ttfs",)


def fitting(graph: Graph, accumulator_bits: int, state_bits: int) -> tuple[Pass, ...]:
    """The pass of this file that `graph` needs, if any."""
    made = (Ramp(accumulator_bits, state_bits), Fit(accumulator_bits, state_bits))
    return tuple(step for step in made if step.needed(graph))


def _as_ramp(graph: Graph) -> Graph:
    """A network of the gate code in the ramp code: same windows, spikes at their ends. Others as they are."""
    header = json.loads(graph.metadata["snnport"])
    coding = Coding.from_json(header["coding"])
    if coding.code != "gate":
        return graph
    encoder = encoded(CountEncoder.from_json(coding.encoder), "late").to_json()
    ramp = replace(coding, code="ramp", encoder=encoder)
    new: Mapping[str, Any] = {"coding": ramp.to_json(), "encoder": encoder, "convention": RAMP.convention.to_json()}
    return build(graph.nodes, graph.edges, {**graph.metadata, "snnport": json.dumps({**header, **new})})


def _scaled(projection: Projection, new: int, old: int) -> Projection:
    codes: IntArray = round_half_even(projection.synapse.codes.astype(np.int64) * new / old)
    return replace(projection, synapse=replace(projection.synapse, codes=codes))


def _width(into: tuple[Projection, ...]) -> float:
    """How far the widest weight is from what a synapse holds."""
    worst = 0.0
    for projection in into:
        low, high = int(projection.synapse.codes.min(initial=0)), int(projection.synapse.codes.max(initial=0))
        worst = max(worst, max(-low, high) / (MIXED if low < 0 < high else ONE_SIGN))
    return worst


def _layers(what: Plan, name: str) -> tuple[str, ...]:
    """The weighted nodes that lead to a population."""
    return tuple(dict.fromkeys(path.weighted for path in what.paths if path.target == name and path.weighted))


def _shrunk(what: Plan, name: str, new: int, old: int) -> dict[str, nir.NIRNode]:
    """The population and the layers into it, with codes times new / old. The real threshold stays."""
    node: Any = copy(what.graph.nodes[name])
    scale = float(node.metadata["scale"]) * old / new
    node.metadata = {**node.metadata, "scale": scale}
    if isinstance(node, nir.IF):
        node.metadata["theta"] = new
        node.v_threshold = np.full_like(node.v_threshold, new * scale)
    changed: dict[str, nir.NIRNode] = {name: node}
    for layer in _layers(what, name):
        weighted: Any = copy(what.graph.nodes[layer])
        own = float(weighted.metadata["scale"])
        codes = round_half_even(round_half_even(weight_of(weighted) / own) * new / old)
        setattr(weighted, "scale" if isinstance(what.graph.nodes[layer], nir.Scale) else "weight", codes * scale)
        if getattr(weighted, "bias", None) is not None:
            bias = round_half_even(np.asarray(weighted.bias, np.float64) / own)
            weighted.bias = round_half_even(bias * new / old) * scale
        weighted.metadata = {**weighted.metadata, "scale": scale}
        changed[layer] = weighted
    return changed
