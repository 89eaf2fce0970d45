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
    for test in (_rockpool, _spikingjelly_traced, _snntorch, _spyx, _spikingjelly, _norse, _norse_1_1_0, _sinabs):
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
    step = _neat(_constant([_rockpool_step(_membrane(node), node.r) for node in _leaky(graph)], 1e-4))
    if step is not None:
        evidence.append(f"r = tau exp(-dt/tau) / dt holds in every neuron for dt = {step:.6g}")
    return Found("rockpool", step, tuple(evidence))


def _neat(step: float | None) -> float | None:
    """A time step of four digits where it is one as far as float32 tells."""
    if step is None:
        return None
    short = float(f"{step:.4g}")
    return short if abs(short - step) <= 1e-5 * step else step


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


def _spikingjelly_traced(graph: Graph) -> Found | None:
    """SpikingJelly 2: torch.fx names the input after an argument, and numpy fills float64 arrays with one number each."""
    if any(name == "input" for name, node in graph.nodes.items() if isinstance(node, nir.Input)):
        return None
    neurons: list[Any] = [node for node in graph.nodes.values() if isinstance(node, NEURON_NODES)]
    if not neurons or not all(isinstance(node, nir.IF | nir.LIF | nir.CubaLIF) for node in neurons):
        return None
    fields = [value for node in neurons for value in vars(node).values() if isinstance(value, np.ndarray)]
    if any(value.dtype != np.float64 or np.ptp(value) > 0 for value in fields):
        return None
    if any(np.any(node.v_leak != (node.v_reset if isinstance(node, nir.LIF) else 0)) for node in _leaky(graph)):
        return None
    steps = [1 / node.r for node in neurons if isinstance(node, nir.IF)]
    steps += [node.tau / node.r for node in neurons if isinstance(node, nir.LIF) and np.any(node.r != 1)]
    steps += [
        tau / gain for n in neurons if isinstance(n, nir.CubaLIF) for tau, gain in ((n.tau_mem, n.r), (n.tau_syn, n.w_in))
    ]
    step = _constant(steps)
    if steps and step is None:
        return None
    mark = "the input is named after an argument, and one float64 number fills each field of each neuron: SpikingJelly 2"
    told = f"; r = tau / dt or 1 / dt, dt = {step:.6g}" if step is not None else "; r = 1, as where the input decays"
    return Found("spikingjelly", step, (mark + told,))


def _norse(graph: Graph) -> Found | None:
    named = [
        k for k, n in graph.nodes.items() if re.fullmatch(r"_\d+", k) or (k == "input_tensor" and isinstance(n, nir.Input))
    ]
    if not named:
        return None
    return Found("norse", None, (f"node names as Norse gives them: {', '.join(named)}",))


def _norse_1_1_0(graph: Graph) -> Found | None:
    nodes = _leaky(graph)
    times = [float(np.max(tau)) for node in nodes for tau in time_constants(node)]
    if not times or max(times) >= 1e-4 or not all(np.all(node.r == 1) for node in nodes):
        return None
    mark = f"r = 1, and no time constant above {max(times):.3g}: Norse 1.1.0 writes dt times the time constant, dt = 0.001"
    return Found("norse-1.1.0", None, (mark,), certain=False)


def _sinabs(graph: Graph) -> Found | None:
    neurons: list[Any] = [node for node in graph.nodes.values() if isinstance(node, NEURON_NODES)]
    if not neurons or not all(isinstance(node, nir.IF | nir.LI | nir.LIF) and np.all(node.r == 1) for node in neurons):
        return None
    times = [float(np.min(tau)) for node in neurons for tau in time_constants(node)]
    if not times:
        mark = "only IF neurons with r = 1: sinabs writes these, with a subtracting reset; so does Norse, to zero"
    elif min(times) >= 1 and not any(np.any(node.v_leak) for node in _leaky(graph)):
        mark = f"r = 1, v_leak = 0, and time constants from {min(times):.3g} on, which count steps: sinabs writes these"
    else:
        return None
    return Found("sinabs", None, (mark,), certain=False)
