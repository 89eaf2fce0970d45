"""Which framework wrote a NIR file, how one can tell, and what its neurons mean there.

NIR has no field for the time step, the reset or the comparison; every framework fills them in differently. A dialect is a
named Convention and what the framework's files leave open. Sources: the exporters and neuron classes named in the table.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import nir
import numpy as np

from snnport.convention import RESETS, Convention
from snnport.errors import InvalidInput, UnknownName
from snnport.graph import Graph
from snnport.nodes import NEURON_NODES

LEAKY = (nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF)
SPIKING = (nir.IF, nir.LIF, nir.CubaLIF)


@dataclass(frozen=True)
class Dialect:
    """A framework's way to mean a NIR graph.

    dt_fixed: convention.dt holds for every file; otherwise it is only the framework's default. reset_written: a v_reset in
    the file is what the framework does; otherwise the reset must be told. source: where the rules were read.
    """

    convention: Convention
    dt_fixed: bool
    reset_written: bool
    source: str


DIALECTS = MappingProxyType(
    {
        "nir": Dialect(
            Convention("nir", dt=1e-4), False, True, "NIR's equations: hard reset, v > v_threshold (nir 1.0.8, ir/neuron.py)"
        ),
        "snntorch": Dialect(
            Convention("snntorch", dt=1e-4, reset="subtract"),
            True,
            False,
            "snntorch/export_nir.py writes dt = 1e-4, tau = dt / (1 - beta), r = tau / dt and never the reset mechanism",
        ),
        "norse": Dialect(
            Convention("norse", dt=1e-3), False, True, "norse/torch/utils/export_nir.py; functional/lif_box.py: Euler, v > v_th"
        ),
        "sinabs": Dialect(
            Convention("sinabs", dt=1.0, decay="exponential", reset="subtract", comparison=">=", multi_spike=True, v_min=-1.0),
            True,
            True,
            "sinabs/nir.py: r = 1, tau in steps, min_v_mem = -v_threshold for IF; activation/spike_generation.py: MultiSpike",
        ),
        "spikingjelly": Dialect(
            Convention("spikingjelly", dt=1e-4, comparison=">="),
            False,
            False,
            "activation_based/nir_exchange/to_nir.py: IF with r = 1 / dt; a soft reset is written as v_reset = 0",
        ),
        "rockpool": Dialect(
            Convention("rockpool", dt=1e-3, decay="exponential", reset="subtract", comparison=">=", multi_spike=True),
            False,
            True,
            "rockpool/nn/modules/torch: nir.py writes r = tau exp(-dt/tau) / dt; lif_torch.py, StepPWL: floor(v / threshold)",
        ),
        "spyx": Dialect(
            Convention("spyx", dt=1.0, reset="subtract"),
            True,
            True,
            "spyx/nir.py: tau = dt / (1 - beta), r = beta, dt = 1 unless told; spyx/nn.py: v = beta v + x - spike * threshold",
        ),
        "lava": Dialect(
            Convention("lava", dt=1e-4, reset="zero"), True, True, "NIR's paper/nir_to_lava.py: ImportConfig.dt = 1e-4"
        ),
    }
)


@dataclass(frozen=True)
class Found:
    """What a file betrays: the name of its dialect, the time step if it can be computed, the evidence in words.

    certain: the mark is one that no other framework leaves.
    """

    name: str
    dt: float | None
    evidence: tuple[str, ...]
    certain: bool = True


@dataclass(frozen=True)
class Settled:
    """A dialect by name, its convention (None while something is open), the evidence and what is open."""

    name: str
    convention: Convention | None
    evidence: tuple[str, ...]
    ambiguous: tuple[str, ...]


def detect(graph: Graph) -> Found:
    """The dialect of a graph in canonical form."""
    for test in (_rockpool, _snntorch, _spyx, _spikingjelly, _norse, _sinabs):
        with np.errstate(all="ignore"):
            found = test(graph)
        if found is not None:
            return found
    return Found("nir", None, ("no mark of a framework was found; read by NIR's own equations",), certain=False)


def check_choices(dialect: str | None, dt: float | None, reset: str | None) -> None:
    """Raises UnknownName on an unknown dialect or reset, InvalidInput on a dt that is not positive."""
    if dialect not in (None, "snnport", *DIALECTS):
        raise UnknownName.among("dialect", str(dialect), [*DIALECTS, "snnport"])
    if reset not in (None, *RESETS):
        raise UnknownName.among("reset", str(reset), RESETS)
    if dt is not None and not (math.isfinite(dt) and dt > 0):
        raise InvalidInput("--dt", f"{dt} is no time step", "Give seconds, more than 0")


def settle(graph: Graph, dialect: str | None, dt: float | None, reset: str | None) -> Settled:
    """The meaning of `graph`: what the file betrays, overruled by what the user says (checked by `check_choices`)."""
    found = detect(graph)
    if dialect is not None:
        same = dialect == found.name
        found = Found(dialect, found.dt if same else None, (f"the user says {dialect}", *(found.evidence if same else ())))
    neurons = [node for node in graph.nodes.values() if isinstance(node, NEURON_NODES)]
    if not neurons and not any(isinstance(node, nir.Delay) for node in graph.nodes.values()):
        return Settled(found.name, None, found.evidence, ())
    rules = DIALECTS[found.name]
    convention = rules.convention
    if not all(isinstance(node, nir.IF) for node in neurons if isinstance(node, SPIKING)):
        convention = convention.having(v_min=None)
    open_points = []
    step = dt or found.dt or (convention.dt if rules.dt_fixed else None)
    if step is None:
        open_points.append(_dt_is_open(neurons))
    mode = reset or _written_reset(graph, found, rules)
    if mode is None:
        open_points.append(_RESET_IS_OPEN)
    if open_points:
        return Settled(found.name, None, found.evidence, tuple(open_points))
    several = convention.multi_spike and mode == "subtract"
    return Settled(found.name, convention.having(dt=step, reset=mode, multi_spike=several), found.evidence, ())


_RESET_IS_OPEN = (
    "reset: the file holds v_reset = 0, but a subtracting reset cannot be written in NIR; settle with --reset zero|subtract"
)


def _dt_is_open(neurons: list[Any]) -> str:
    longest = max((float(np.max(tau)) for node in neurons for tau in _taus(node)), default=0.0)
    unit = f"; its time constants reach {longest:.6g}, so they may count steps (--dt 1)" if longest >= 1 else ""
    return f"dt: no time step in the file{unit}; settle with --dt SECONDS or --dialect NAME"


def _written_reset(graph: Graph, found: Found, rules: Dialect) -> str | None:
    """The reset, where the file or a certain dialect tells; a v_reset of 0 alone tells nothing."""
    spiking = [node for node in graph.nodes.values() if isinstance(node, SPIKING)]
    if not spiking:
        return rules.convention.reset
    if rules.convention.reset == "value" and any(np.any(node.v_reset) for node in spiking):
        return "value"
    return rules.convention.reset if found.certain and rules.reset_written else None


# ------------------------------------------------------------------------------------------- the marks of each framework


def _taus(node: Any) -> list[Any]:
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
