"""Four networks of the Neural Engineering Framework: memory, addition, square and product, as plain NIR graphs.

Each as in Nengo's examples. Numbers enter as counts: x in -1..1 is LEVELS |x| spikes a step, in one channel if it is positive
and in another if it is negative; what rounding leaves is carried to the next step. What one ensemble sends another passes
decoders and encoders, multiplied into one matrix, and the synapse of a CubaLIF. The output is a leaky integrator that filters
the decoded spikes.
    memory    one ensemble that feeds itself through TAU_MEMORY: the integral of its input
    addition  a + b: two ensembles into a third
    square    x^2: an ensemble into a second that represents it
    product   x y: two ensembles into one of two dimensions, read by products
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention
from snnport.graph import Graph, build
from snnport.models.nef import DT, TAU, Array, Ensemble, Function, decoders, ensemble
from snnport.models.spiking import told
from snnport.nodes import input_node, output_node

LEVELS: Mapping[str, int] = MappingProxyType({"memory": 2, "addition": 31, "square": 31, "product": 31})
"""Spikes a step of a number of size 1. A memory's synapse is slow: fewer and larger pulses leave more codes for a weight."""
TAU_SYNAPSE = 0.005
"""Seconds of the synapse between two ensembles (Nengo's default)."""
TAU_MEMORY = -DT / math.log1p(-41 / 4096)
"""Seconds of the synapse with which a memory feeds itself: 0.0994, so that the decay of a step is a number of 12 bits. Rounded,
0.1 (Nengo's) would be a leak of its own."""
TAU_OUTPUT = 0.03
"""Seconds of the filter on what is decoded."""
CONVENTION = Convention("nef", dt=DT, decay="exponential", reset="zero", comparison=">")
"""Reset to 0, which is also where the neurons rest."""


def signed_counts(x: Array, levels: int) -> npt.NDArray[np.uint8]:
    """Numbers x (n_steps, n) in -1..1 as spike counts (n_steps, 2 n): n channels of what is positive, then n of what is not."""
    whole = np.floor(np.cumsum(np.clip(x, -1, 1) * levels, axis=0) + 0.5)
    codes = np.diff(whole, axis=0, prepend=0)
    return np.concatenate([np.maximum(codes, 0), np.maximum(-codes, 0)], axis=1).astype(np.uint8)


def memory(neurons: int, rng: np.random.Generator) -> Graph:
    """The integral of the input over time: dx / dt = u. Its synapse makes tau u + x of input and state."""
    state = ensemble(neurons, 1, 1.0, rng)
    read = decoders(state, _itself, rng)
    nodes = {
        "input": input_node((2,)),
        "in": nir.Affine(_from_counts(state, np.eye(1), LEVELS["memory"]) * TAU_MEMORY, np.zeros(neurons)),
        "loop": nir.Linear(state.into() @ read / DT),
        "state": _synaptic(state, TAU_MEMORY),
        **_output(read),
    }
    edges = [("input", "in"), ("in", "state"), ("state", "loop"), ("loop", "state"), ("state", "decode")]
    return _graph(nodes, [*edges, *_TAIL])


def addition(neurons: int, rng: np.random.Generator) -> Graph:
    """a + b, of two numbers in -1..1."""
    both = ensemble(neurons, 1, 2.0, rng)
    return _two_into(neurons, rng, both, (np.array([[1.0]]), np.array([[1.0]])), _itself, LEVELS["addition"])


def product(neurons: int, rng: np.random.Generator) -> Graph:
    """a b, of two numbers in -1..1."""
    both = ensemble(2 * neurons, 2, float(np.sqrt(2)), rng)
    first, second = np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]])
    return _two_into(neurons, rng, both, (first, second), lambda x: x[:, :1] * x[:, 1:], LEVELS["product"])


def square(neurons: int, rng: np.random.Generator) -> Graph:
    """x^2, of a number in -1..1."""
    first, second = ensemble(neurons, 1, 1.0, rng), ensemble(neurons, 1, 1.0, rng)
    squared = decoders(first, np.square, rng)
    nodes = {
        "input": input_node((2,)),
        "in": _driven(first, np.eye(1), LEVELS["square"]),
        "first": _plain(first),
        "between": nir.Linear(second.into() @ squared / DT),
        "second": _synaptic(second, TAU_SYNAPSE),
        **_output(decoders(second, _itself, rng)),
    }
    edges = [("input", "in"), ("in", "first"), ("first", "between"), ("between", "second"), ("second", "decode")]
    return _graph(nodes, [*edges, *_TAIL])


NETWORKS: Mapping[str, Callable[[int, np.random.Generator], Graph]] = MappingProxyType(
    {"memory": memory, "addition": addition, "square": square, "product": product}
)
NUMBERS: Mapping[str, int] = MappingProxyType({"memory": 1, "addition": 2, "square": 1, "product": 2})
"""Numbers that enter each network."""

_TAIL = [("decode", "read"), ("read", "output")]


def _two_into(
    neurons: int, rng: np.random.Generator, joint: Ensemble, places: tuple[Array, Array], function: Function, levels: int
) -> Graph:
    """Two ensembles of one number each into `joint`; places: what of its dimensions each is, (dimensions, 1).

    `function` is read there.
    """
    first, second = places
    a, b = ensemble(neurons, 1, 1.0, rng), ensemble(neurons, 1, 1.0, rng)
    nodes = {
        "input": input_node((4,)),
        "in_a": _driven(a, np.array([[1.0, 0.0]]), levels),
        "in_b": _driven(b, np.array([[0.0, 1.0]]), levels),
        "a": _plain(a),
        "b": _plain(b),
        "from_a": nir.Linear(joint.into() @ first @ decoders(a, _itself, rng) / DT),
        "from_b": nir.Linear(joint.into() @ second @ decoders(b, _itself, rng) / DT),
        "joint": _synaptic(joint, TAU_SYNAPSE),
        **_output(decoders(joint, function, rng)),
    }
    edges = [("input", "in_a"), ("in_a", "a"), ("a", "from_a"), ("from_a", "joint")]
    edges += [("input", "in_b"), ("in_b", "b"), ("b", "from_b"), ("from_b", "joint"), ("joint", "decode")]
    return _graph(nodes, [*edges, *_TAIL])


def _itself(x: Array) -> Array:
    return x


def _from_counts(to: Ensemble, chosen: Array, levels: int) -> Array:
    """What brings counts to the neurons: (n, channels). chosen (dimensions, numbers) picks the numbers that it represents."""
    weight = to.into() @ chosen / levels
    return np.concatenate([weight, -weight], axis=1)


def _driven(to: Ensemble, chosen: Array, levels: int) -> nir.Affine:
    return nir.Affine(_from_counts(to, chosen, levels), to.bias)


def _plain(what: Ensemble) -> nir.LIF:
    ones, zeros = np.ones(what.size), np.zeros(what.size)
    return nir.LIF(tau=TAU * ones, r=ones, v_leak=zeros, v_threshold=ones, v_reset=zeros)


def _synaptic(what: Ensemble, tau_syn: float) -> nir.CubaLIF:
    """Neurons behind a synapse. The bias is where they rest: through the synapse it would come late."""
    ones, zeros = np.ones(what.size), np.zeros(what.size)
    return nir.CubaLIF(
        tau_syn=tau_syn * ones, tau_mem=TAU * ones, r=ones, v_leak=what.bias, v_threshold=ones, v_reset=zeros, w_in=ones
    )


def _output(read: Array) -> dict[str, nir.NIRNode]:
    """Decoders, whose spikes have an area of 1, and the filter behind them."""
    ones = np.ones(len(read))
    filtered = nir.LI(tau=TAU_OUTPUT * ones, r=ones, v_leak=0 * ones)
    return {"decode": nir.Linear(read / DT), "read": filtered, "output": output_node((len(read),))}


def _graph(nodes: Mapping[str, nir.NIRNode], edges: list[tuple[str, str]]) -> Graph:
    return build(nodes, edges, told(CONVENTION))
