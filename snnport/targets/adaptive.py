"""The threshold of an AdaptiveLIF in integers: what the engine's family `alif` needs beside those of a leaky neuron."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnport.fixed import IntArray
from snnport.passes.quantize_snn import decay
from snnport.quant import round_half_even
from snnport.targets.decay_codes import ONE, decay_code
from snnport.targets.plan import Plan, compact


def rising(plan: Plan, name: str, fraction: int) -> dict[str, IntArray]:
    """a_decay and a_step of neuron node `name`, in 1 / 2^fraction of a code.

    rho = 1 - a_decay / 4096. What a spike adds to the threshold, beta (1 - rho), decays once before it counts in `alif`, and
    not in the node: it is divided by rho.
    """
    node: Any = plan.graph.nodes[name]
    size = len(plan.bias[name])
    lost = np.broadcast_to(decay(node.tau_adapt, plan.convention).reshape(-1), (size,))
    beta = np.asarray(node.beta, np.float64).reshape(-1)
    step = beta * lost / np.maximum(1 - lost, 1 / ONE) / plan.scale[name] * (1 << fraction)
    return {
        "a_decay": compact(decay_code(lost)),
        "a_step": compact(np.broadcast_to(round_half_even(step), (size,))),
    }
