"""Which framework wrote a NIR file, told by the marks that it leaves: names of nodes, and numbers that only it writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from snnport.graph import Graph
from snnport.nodes import NEURON_NODES

LEAKY = (nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF)


@dataclass(frozen=True)
class Found:
    """What a file betrays: the name of its dialect, the time step if it can be computed, the evidence in words.

    certain: the mark is one that no other framework leaves.
    """

    name: str
    dt: float | None
    evidence: tuple[str, ...]
    certain: bool = True


def detect(graph: Graph) -> Found:
    """The dialect of a graph in canonical form."""
    for test in (_rockpool, _snntorch, _spyx, _spikingjelly, _norse, _sinabs):
        with np.errstate(all="ignore"):
            found = test(graph)
        if found is not None:
            return found
    return Found("nir", None, ("no mark of a framework was found; read by NIR's own equations",), certain=False)


def time_constants(node: Any) -> list[Any]:
    """The time constants of a neuron, as the file holds them."""
    return [getattr(node, field) for field in ("tau", "tau_mem", "tau_syn") if hasattr(node, field)]


def _membrane(node: Any) -> Any:
    return node.tau if hasattr(node, "tau") else node.tau_mem


def _leaky(graph: Graph) -> list[Any]:
    return [node for node in graph.nodes.values() if isinstance(node, LEAKY)]


def _constant(values: list[Any], tolerance: float = 1e-5) -> float | None:
    """The one value that all arrays hold, or None."""
    if not values:
        return None
    flat = np.concatenate([np.ravel(v).astype(np.float64) for v in values])
    middle = float(np.median(flat))
    return middle if np.all(np.abs(flat - middle) <= tolerance * abs(middle)) else None


def _rockpool(graph: Graph) -> Found | None:
    named = [name for name in graph.nodes if re.fullmatch(r"\d+_\w+Torch", name)]
    if not named:
        return None
    evidence = [f"node names as Rockpool gives them: {', '.join(named)}"]
    step = _constant([_rockpool_step(_membrane(node), node.r) for node in _leaky(graph)], 1e-4)
    if step is not None:
        evidence.append(f"r = tau exp(-dt/tau) / dt holds in every neuron for dt = {step:.6g}")
    return Found("rockpool", step, tuple(evidence))


def _rockpool_step(tau: Any, r: Any) -> Any:
    """dt of r = tau exp(-dt/tau) / dt: with x = dt/tau, x + log x = -log r, by Newton's method."""
    goal = -np.log(np.maximum(np.asarray(r, np.float64), 1e-300))
    x = np.where(goal < 0, np.exp(np.minimum(goal, 0.0)) / 2, np.maximum(goal, 0.5))
    for _ in range(60):
        x = np.maximum(x - (x + np.log(x) - goal) / (1 + 1 / x), x / 10)
    return x * np.asarray(tau, np.float64)


def _snntorch(graph: Graph) -> Found | None:
    nodes = _leaky(graph)
    ratios = [_membrane(node) / np.where(node.r == 0, np.nan, node.r) for node in nodes]
    ratios += [node.tau_syn / np.where(node.w_in == 0, np.nan, node.w_in) for node in nodes if hasattr(node, "w_in")]
    step = _constant(ratios)
    if step is None or abs(step - 1e-4) > 1e-9:
        return None
    return Found("snntorch", 1e-4, ("tau / r = 1e-4 in every neuron, as snnTorch writes it (r = tau / dt, dt = 1e-4)",))


def _spyx(graph: Graph) -> Found | None:
    nodes = _leaky(graph)
    if not nodes or not all(np.allclose(node.r, 1 - 1 / _membrane(node), rtol=0, atol=1e-5) for node in nodes):
        return None
    mark = "r = 1 - 1/tau in every neuron: r is the decay a step, tau counts steps; spyx writes this, some early files do too"
    return Found("spyx", 1.0, (mark,), certain=False)


def _spikingjelly(graph: Graph) -> Found | None:
    resistance = _constant([node.r for node in graph.nodes.values() if isinstance(node, nir.IF)])
    if resistance is None or resistance < 10:
        return None
    return Found("spikingjelly", 1 / resistance, (f"IF neurons with r = {resistance:.6g} = 1/dt, as SpikingJelly writes them",))


def _norse(graph: Graph) -> Found | None:
    named = [
        k for k, n in graph.nodes.items() if re.fullmatch(r"_\d+", k) or (k == "input_tensor" and isinstance(n, nir.Input))
    ]
    if not named:
        return None
    return Found("norse", None, (f"node names as Norse gives them: {', '.join(named)}",))


def _sinabs(graph: Graph) -> Found | None:
    neurons = [node for node in graph.nodes.values() if isinstance(node, NEURON_NODES)]
    if not neurons or not all(isinstance(node, nir.IF) and np.all(node.r == 1) for node in neurons):
        return None
    return Found(
        "sinabs",
        None,
        ("only IF neurons with r = 1: sinabs writes these, with a subtracting reset; so does Norse, to zero",),
        False,
    )
