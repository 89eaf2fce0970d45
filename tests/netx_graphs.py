"""Networks that are written as netx files: every kind of layer, and what is rewritten on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import nir
import numpy as np

from snnport.convention import Convention
from snnport.graph import Graph, build, chain
from snnport.nodes import flatten_node, input_node, output_node
from snnport.passes.base import Context, run_passes
from snnport.passes.quantize_snn import QuantizeSnn
from snnport.program import Program
from snnport.targets.base import resolve_target

Nodes = dict[str, nir.NIRNode]
RULES = Convention("netx test", dt=1e-3, reset="zero", comparison=">")
METADATA = {"snnport": json.dumps({"version": 1, "coding": None, "convention": RULES.to_json()})}


def _lif(shape: tuple[int, ...], tau: float = 5e-3) -> nir.LIF:
    ones = np.ones(shape)
    return nir.LIF(tau=tau * ones, r=tau / 1e-3 * ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)


def _cuba(shape: tuple[int, ...]) -> nir.CubaLIF:
    ones = np.ones(shape)
    rest = {"tau_syn": 3e-3 * ones, "tau_mem": 8e-3 * ones, "r": 8 * ones, "v_leak": 0 * ones, "w_in": 3 * ones}
    return nir.CubaLIF(**rest, v_threshold=ones, v_reset=0 * ones)


def _if(shape: tuple[int, ...]) -> nir.IF:
    return nir.IF(r=1e3 * np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))


def _linear(rng: np.random.Generator, out: int, into: int) -> nir.Linear:
    return nir.Linear(rng.normal(0.15, 0.4, (out, into)))


def _conv(rng: np.random.Generator, out: int, into: int, kernel: tuple[int, int], padding: Any = 0, **other: Any) -> nir.Conv2d:
    geometry = {"stride": 1, "padding": padding, "dilation": 1, "groups": 1, **other}
    weight = rng.normal(0.1, 0.4, (out, into // geometry["groups"], *kernel))
    return nir.Conv2d(None, weight, **geometry, bias=np.zeros(out))


def dense(rng: np.random.Generator) -> Graph:
    """Three layers with synaptic currents."""
    nodes: dict[str, nir.NIRNode] = {
        "in": input_node((6,)),
        "w1": _linear(rng, 8, 6),
        "a": _cuba((8,)),
        "w2": _linear(rng, 5, 8),
    }
    return chain({**nodes, "b": _cuba((5,)), "w3": _linear(rng, 4, 5), "c": _lif((4,)), "out": output_node()}, METADATA)


def maps(rng: np.random.Generator) -> Graph:
    """Convolutions with an even kernel padded to 'same', with groups, stride and dilation, then a dense layer."""
    first = _conv(rng, 4, 2, (2, 4), "same")
    second = _conv(rng, 6, 4, (3, 2), (1, 2), stride=(2, 1), dilation=(2, 1), groups=2)
    nodes: Nodes = {"in": input_node((2, 6, 5)), "w1": first, "a": _lif((4, 6, 5)), "w2": second}
    shape = (6, 2, 8)
    nodes |= {"b": _if(shape), "flat": flatten_node(shape), "w3": _linear(rng, 3, 96), "c": _cuba((3,))}
    return chain({**nodes, "out": output_node()}, METADATA)


def pools(rng: np.random.Generator) -> Graph:
    """Sum poolings: before a padded convolution, before a dense layer, and before neurons without weights."""
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    nodes: dict[str, nir.NIRNode] = {
        "in": input_node((2, 8, 8)),
        "p1": pool,
        "w1": _conv(rng, 3, 2, (3, 3), 1),
        "a": _lif((3, 4, 4)),
    }
    each = nir.Scale(np.array([0.7, 0.9, 0.4]).reshape(3, 1, 1) * np.ones((3, 4, 4)))
    nodes |= {"s": each, "b": _if((3, 4, 4)), "p2": pool, "flat": flatten_node((3, 2, 2)), "w2": _linear(rng, 4, 12)}
    return chain({**nodes, "c": _lif((4,)), "out": output_node()}, METADATA)


def biased(rng: np.random.Generator) -> Graph:
    """Biases, which snnport lets begin a step later in each layer."""
    weight = _conv(rng, 3, 1, (3, 3), 1)
    weight.bias = np.array([0.3, -0.2, 0.15])
    nodes: dict[str, nir.NIRNode] = {
        "in": input_node((1, 4, 4)),
        "w1": weight,
        "a": _lif((3, 4, 4)),
        "flat": flatten_node((3, 4, 4)),
    }
    nodes |= {"w2": nir.Affine(rng.normal(0, 0.3, (5, 48)), rng.uniform(-0.1, 0.5, 5)), "b": _lif((5,))}
    nodes |= {"w3": nir.Affine(rng.normal(0.3, 0.3, (3, 5)), rng.uniform(0, 0.4, 3)), "c": _lif((3,))}
    return chain({**nodes, "out": output_node()}, METADATA)


def loops(rng: np.random.Generator) -> Graph:
    """A layer that feeds itself."""
    nodes: dict[str, nir.NIRNode] = {
        "in": input_node((5,)),
        "w1": _linear(rng, 7, 5),
        "a": _cuba((7,)),
        "r": _linear(rng, 7, 7),
    }
    nodes |= {"w2": _linear(rng, 3, 7), "b": _lif((3,)), "out": output_node()}
    edges = [("in", "w1"), ("w1", "a"), ("a", "r"), ("r", "a"), ("a", "w2"), ("w2", "b"), ("b", "out")]
    return build(nodes, edges, METADATA)


def readout(rng: np.random.Generator) -> Graph:
    """A last layer that never fires."""
    nodes: dict[str, nir.NIRNode] = {
        "in": input_node((5,)),
        "w1": _linear(rng, 6, 5),
        "a": _lif((6,)),
        "w2": _linear(rng, 3, 6),
    }
    return chain({**nodes, "b": nir.I(1e3 * np.ones(3)), "out": output_node()}, METADATA)


GRAPHS: Mapping[str, Callable[[np.random.Generator], Graph]] = {
    function.__name__: function for function in (dense, maps, pools, biased, loops, readout)
}


def program_of(name: str) -> tuple[Program, Any]:
    """The Loihi program of a network, and x (40, n) to run it on."""
    rng = np.random.default_rng(sorted(GRAPHS).index(name))
    graph = run_passes(GRAPHS[name](rng), (QuantizeSnn(8, 17, 13),), Context())
    target = resolve_target("loihi2")
    program = target.lower(graph)
    size = program.population(program.inputs[0]).size
    return program, (rng.random((40, size)) < 0.3).astype(np.int64)
