"""Leaky neurons of networks that were trained as spiking ones, on the cpu machine.

LIF and LI become the engine's `lif`, AdaptiveLIF its `alif`; potentials count in 1 / 2^FRACTION of a weight code, so that
a decay, which rounds toward zero, loses little. CubaLIF and CubaLI become `cuba`, which counts in 1 / 2^6 itself.
    decay = rint(4096 d), d = dt / tau (Euler) or 1 - exp(-dt / tau);   bias = b 2^F + rint(d v_leak / q 2^F)
Firing on v > theta is firing on v >= theta 2^F + 1, and a subtracting reset takes that off: 1 / 2^F of a code more than theta.
What never fires has a threshold above the greatest potential.
Where a `cuba` rests, v_leak, is what its bias_mant brings it to; it starts from 0. A bias of such a neuron belongs to the
current: one neuron that fires in every step brings it, through weights of 8 bits that are shifted and such that are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import nir
import numpy as np

from snnport.fixed import IntArray, narrowest
from snnport.graph import names_of
from snnport.nodes import AdaptiveLIF
from snnport.passes.quantize_snn import decays
from snnport.program import Dense, Neuron, Population, Projection
from snnport.quant import round_half_even
from snnport.targets.adaptive import rising
from snnport.targets.codes.base import Cell
from snnport.targets.codes.plain import MANY_SPIKES
from snnport.targets.decay_codes import ONE, decay_code
from snnport.targets.intervals import LIF_UNIT, NEVER_FIRES
from snnport.targets.plan import Plan, compact
from snnport.targets.synapses import population_shape

FRACTION = 8
"""Bits behind the point of a potential of `lif` and `alif`."""
SYNAPTIC = (nir.CubaLIF, nir.CubaLI)
LEAKY = (nir.LIF, nir.LI, AdaptiveLIF, *SYNAPTIC)
SOURCE = "bias.source"
DIGIT = 7
"""Bits of a bias that one projection brings: digits of -64..64."""
_SOURCE_FIELDS = {"du": 4095, "dv": 4095, "vth": 1, "bias_mant": 2, "bias_exp": 6}
"""The neuron that brings biases: 2 * 2^6 each step against a threshold of 2^6, and nothing kept."""


def leaky_neurons(plan: Plan, cell: Cell) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """The populations of the leaky nodes of `plan`, and the projections that bring biases into synaptic currents."""
    populations: list[Population] = []
    biases: list[Projection] = []
    for name in names_of(plan.graph, *LEAKY):
        synaptic = isinstance(plan.graph.nodes[name], SYNAPTIC)
        neuron = _cuba(plan, name) if synaptic else _lif(plan, name, cell)
        if neuron is None:
            continue
        populations.append(Population(name, population_shape(plan.shapes[name]), neuron))
        if synaptic and plan.bias[name].any():
            biases += _planes(f"{name}.bias", name, plan.bias[name])
    if biases:
        source = Neuron("cuba", {key: np.asarray(value) for key, value in _SOURCE_FIELDS.items()})
        populations.insert(0, Population(SOURCE, (1,), source))
    return tuple(populations), tuple(biases)


def shifted(projection: Projection, families: Mapping[str, str], bits: int) -> Projection:
    """`projection` as the machine holds it: codes of more than `bits` bits without the zeros that all end in, and its shift.

    Into `lif` and `alif` everything is shifted by FRACTION. families: population -> its neuron family.
    """
    codes = projection.synapse.codes.astype(np.int64)
    shift = 0
    if np.abs(codes).max(initial=0) >> (bits - 1):
        common = int(np.bitwise_or.reduce(np.abs(codes).reshape(-1)))
        shift = (common & -common).bit_length() - 1
    small = codes >> shift
    synapse: Any = projection.synapse
    narrow = small.astype(narrowest(int(small.min(initial=0)), int(small.max(initial=0))))
    whole = FRACTION if families.get(projection.target) in ("lif", "alif") else 0
    return replace(projection, synapse=replace(synapse, codes=narrow), exponent=projection.exponent + shift + whole)


def unit_of(neuron: Neuron) -> int:
    """How many units of v one weight code is."""
    return {"lif": 1 << FRACTION, "alif": 1 << FRACTION, "cuba": LIF_UNIT}.get(neuron.family, 1)


def _planes(name: str, target: str, codes: IntArray) -> list[Projection]:
    """Projections from SOURCE that bring `codes` (n,) to `target` in digits of 7 bits and a sign."""
    found, left, exponent = [], codes.reshape(-1, 1), 0
    while left.any():
        digit = left - (round_half_even(left / (1 << DIGIT)) << DIGIT)
        if digit.any():
            label = f"{name}{exponent or ''}"
            found.append(Projection(label, SOURCE, target, Dense(digit.astype(np.int8)), None, 0, exponent))
        left, exponent = (left - digit) >> DIGIT, exponent + DIGIT
    return found


def _lif(plan: Plan, name: str, cell: Cell) -> Neuron | None:
    node: Any = plan.graph.nodes[name]
    rule, size = plan.convention, len(plan.bias[name])
    lost = np.broadcast_to(decays(node, rule)[0].reshape(-1), (size,))
    rest = plan.codes(name, getattr(node, "v_leak", 0.0))
    low, high = cell.v_range or (-(1 << 31), (1 << 31) - 1)
    if rest is None:
        return None
    params: dict[str, IntArray] = {
        "decay": compact(decay_code(lost)),
        "v_init": compact(rest << FRACTION),
        "bias": compact((plan.bias[name] << FRACTION) + round_half_even(lost * (rest << FRACTION))),
        "v_min": np.asarray(low),
        "v_max": np.asarray(high),
        "v_threshold": np.asarray(high + 1),
    }
    if not hasattr(node, "v_threshold"):
        return Neuron("lif", params)
    theta, back = plan.codes(name, node.v_threshold), plan.codes(name, node.v_reset)
    if theta is None or back is None:
        return None
    subtracts = rule.reset == "subtract"
    params["v_threshold"] = compact((theta << FRACTION) + (rule.comparison == ">"))
    params["reset"] = np.asarray(0 if subtracts else 1)
    if subtracts and rule.multi_spike and not isinstance(node, AdaptiveLIF):
        params["max_spikes"] = np.asarray(MANY_SPIKES)
    if not subtracts:
        params["v_reset"] = compact(0 * back if rule.reset == "zero" else back << FRACTION)
    if rule.v_min is not None:
        params["v_min"] = compact(np.maximum(round_half_even(rule.v_min * theta) << FRACTION, low))
    if isinstance(node, AdaptiveLIF):
        return Neuron("alif", {**params, **rising(plan, name, FRACTION)})
    return Neuron("lif", params)


def _cuba(plan: Plan, name: str) -> Neuron | None:
    node: Any = plan.graph.nodes[name]
    size = len(plan.bias[name])
    synapse, membrane = (np.broadcast_to(decay_code(d).reshape(-1), (size,)) for d in decays(node, plan.convention))
    theta = plan.codes(name, getattr(node, "v_threshold", 0.0))
    if theta is None:
        return None
    rest = plan.codes(name, getattr(node, "v_leak", 0.0))
    if rest is None:
        return None
    fires = hasattr(node, "v_threshold")
    mantissa, exponent = _bias(round_half_even(membrane / ONE * (rest * LIF_UNIT)))
    params = {
        "du": compact(synapse - 1),
        "dv": compact(membrane),
        "vth": compact(np.minimum(theta, NEVER_FIRES)) if fires else np.asarray(NEVER_FIRES),
        "bias_mant": compact(mantissa),
        "bias_exp": np.asarray(exponent),
    }
    return Neuron("cuba", params)


def _bias(values: IntArray) -> tuple[IntArray, int]:
    """What enters v in each step as mantissas of 12 bits and a sign, and their exponent."""
    exponent = max(0, int(np.abs(values).max(initial=0)).bit_length() - 12)
    return round_half_even(values / (1 << exponent)), exponent
