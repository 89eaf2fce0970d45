"""The neurons of netx: the registers that lava-dl 0.6.0 gives to Lava's processes, and NIR's nearest node for them.

Source: lava-dl 0.6.0, lib/dl/netx/hdf5.py, get_neuron_params: CUBA becomes LIF (LIFReset with a reset interval) with
du = iDecay - 1, dv = vDecay, vth = vThMant, bias_exp = 6; SDNN becomes Delta, SigmaDelta or Sigma with spike_exp and
state_exp 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import UnsupportedNode
from snnport.importers.netxfile import RawLayer
from snnport.nodes import Real, Shape, SigmaDelta

ONE = 4096
BIAS_EXP = 6
NEVER = 1 << 17
"""A threshold that no 24-bit potential exceeds; netx's own integrator has it."""
SPIKE_EXP = STATE_EXP = 6
INTEGRATOR = "integrator"
"""netx's neuron of a dense layer without one: du -1, dv 4096, vth 2^17."""
FOREVER = 1e12
"""A time constant, in steps, that stands for no decay: 4096 / FOREVER rounds to 0."""
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Registers:
    """The engine's family and its integer parameters. bias_in_current: NIR may add the bias to what arrives: it is the same.

    drive_exponent: bits by which the input of an input layer is shifted.
    """

    family: str
    params: Mapping[str, npt.NDArray[np.int64]]
    bias_in_current: bool = False
    drive_exponent: int = 0

    @property
    def bias_in_codes(self) -> Ints | None:
        """The bias as part of what arrives, in codes; None where NIR would compute another network with it."""
        return self.params.get("bias_mant") if self.bias_in_current else None


def cuba_registers(layer: RawLayer, bias: Ints, reset: tuple[int, int] | None, is_input: bool) -> Registers:
    """A CUBA neuron. reset: (interval, offset) of LIFReset. An input layer is driven by its bias, so its current stays 0:
    the drive may arrive as current, forgotten in the next step."""
    own = layer.neuron is not None
    current = layer.setting("iDecay", 0, ONE) if own else 0
    potential = layer.setting("vDecay", 0, ONE) if own else ONE
    vth = layer.setting("vThMant", 0, (1 << 24) - 1) if own else NEVER
    params: dict[str, Any] = {"du": (ONE if is_input else current) - 1, "dv": potential, "vth": min(vth, NEVER)}
    if bias.any():
        params |= {"bias_mant": bias, "bias_exp": BIAS_EXP}
    if reset is not None:
        params |= {"reset_interval": reset[0], "reset_offset": reset[1]}
    family = "cuba" if reset is None else "cuba_reset"
    return Registers(family, _arrays(params), bias_in_current=params["du"] == ONE - 1)


def sdnn_registers(layer: RawLayer, bias: Ints, is_input: bool) -> Registers:
    """A sigma-delta neuron: Delta in an input layer, Sigma (an integrator) where it says sigma_output, else SigmaDelta."""
    exponent = SPIKE_EXP + STATE_EXP
    if is_input:
        # Lava shifts the input and the threshold by both exponents and what is sent back by state_exp: no bit is lost.
        threshold = max(layer.setting("vThMant", 0, 1 << 18) << SPIKE_EXP, 1)
        return Registers("delta", _arrays({"v_threshold": threshold}), True, SPIKE_EXP)
    if "sigma_output" in (layer.neuron or {}):
        if bias.any():
            raise UnsupportedNode(layer.where, "its output neuron sums without a bias, and it has one", "Remove the bias")
        return Registers("integrator", _arrays({"bias": 0}), True)
    threshold = max(layer.setting("vThMant", 0, 1 << 18) << exponent, 1)
    params = {"v_threshold": threshold, "bias": bias << exponent, "shift": STATE_EXP, "rectify": 1}
    return Registers("sigma_delta", _arrays(params), True)


def node_of(registers: Registers, shape: Shape, dt: float) -> nir.NIRNode:
    """NIR's nearest node, on codes (one code is 2^6 of the register v), with the registers in its metadata."""
    node: Any = _plain(registers, shape, dt)
    own: dict[str, Any] = {"family": registers.family, **registers.params}
    if registers.drive_exponent:
        own["drive_exponent"] = registers.drive_exponent
    node.metadata = {"scale": 1.0, "loihi": own}
    found: nir.NIRNode = node
    return found


def _plain(registers: Registers, shape: Shape, dt: float) -> nir.NIRNode:
    p = {name: int(value.reshape(-1)[0]) for name, value in registers.params.items() if value.size == 1}
    full = np.ones(shape)
    if registers.family == "integrator":
        return nir.I(full / dt)
    if registers.family in ("delta", "sigma_delta"):
        return SigmaDelta(threshold=full * p["v_threshold"], sums=registers.family == "sigma_delta")
    current, potential = p["du"] + 1, p["dv"]
    mem, syn = (dt * (ONE / code if code else FOREVER) for code in (potential, current))
    never, r = p["vth"] >= NEVER, full * (mem / dt)
    zeros, threshold = np.zeros(shape), full * p["vth"]
    leak: Real = zeros
    if not registers.bias_in_current and "bias_mant" in registers.params and potential:
        leak = np.broadcast_to(registers.params["bias_mant"], (int(np.prod(shape)),)).reshape(shape) * (mem / dt)
    if current == ONE and potential == 0 and not never:
        return nir.IF(r=full / dt, v_threshold=threshold, v_reset=zeros)
    if current == ONE and never:
        return nir.LI(tau=full * mem, r=r, v_leak=leak)
    if current == ONE:
        return nir.LIF(tau=full * mem, r=r, v_leak=leak, v_threshold=threshold, v_reset=zeros)
    rest: dict[str, Any] = {"tau_syn": full * syn, "tau_mem": full * mem, "r": r, "v_leak": leak, "w_in": full * (syn / dt)}
    return nir.CubaLI(**rest) if never else nir.CubaLIF(**rest, v_threshold=threshold, v_reset=zeros)


def _arrays(params: Mapping[str, Any]) -> dict[str, npt.NDArray[np.int64]]:
    return {name: np.asarray(value, np.int64) for name, value in params.items()}
