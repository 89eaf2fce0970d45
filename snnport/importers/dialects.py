"""What the neurons of a NIR graph mean: the dialect that its marks betray or that the user names, and what stays open.

NIR has no field for the time step, the reset or the comparison; every framework fills them in differently (dialect_table.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from snnport.convention import RESETS, Convention
from snnport.errors import InvalidInput, UnknownName
from snnport.graph import Graph, successors
from snnport.importers.dialect_marks import Found, detect, time_constants
from snnport.importers.dialect_table import DIALECTS, Dialect, snntorch_timing
from snnport.nodes import NEURON_NODES

__all__ = ["DIALECTS", "Dialect", "Found", "Settled", "check_choices", "detect", "settle"]

SPIKING = (nir.IF, nir.LIF, nir.CubaLIF)


@dataclass(frozen=True)
class Settled:
    """A dialect by name, its convention (None while something is open), the evidence and what is open."""

    name: str
    convention: Convention | None
    evidence: tuple[str, ...]
    ambiguous: tuple[str, ...]


def check_choices(dialect: str | None, dt: float | None, reset: str | None, reset_delay: int | None = None) -> None:
    """Raises UnknownName on an unknown dialect or reset, InvalidInput on a dt that is not positive or another reset_delay."""
    if dialect not in (None, "snnport", *DIALECTS):
        raise UnknownName.among("dialect", str(dialect), [*DIALECTS, "snnport"])
    if reset not in (None, *RESETS):
        raise UnknownName.among("reset", str(reset), RESETS)
    if dt is not None and not (math.isfinite(dt) and dt > 0):
        raise InvalidInput("--dt", f"{dt} is no time step", "Give seconds, more than 0")
    if reset_delay not in (None, 0, 1):
        raise InvalidInput("--reset-delay", f"{reset_delay} is no choice", "0: in the step that fires; 1: in the next")


def settle(
    graph: Graph,
    dialect: str | None,
    dt: float | None,
    reset: str | None,
    reset_delay: int | None = None,
    usual_delay: int = 0,
) -> Settled:
    """The meaning of `graph`: what the file betrays, overruled by what the user says (checked by `check_choices`).

    usual_delay: the reset_delay that is taken where it must be and the user says none.
    Raises InvalidInput on a reset_delay for a framework whose resets never wait.
    """
    found = detect(graph)
    if dialect is not None:
        same = dialect == found.name
        found = Found(dialect, found.dt if same else None, (f"the user says {dialect}", *(found.evidence if same else ())))
    elif found.name == "sinabs" and not found.certain and reset in ("zero", "value"):
        found = _not_sinabs(graph)
    neurons = [node for node in graph.nodes.values() if isinstance(node, NEURON_NODES)]
    if not neurons and not any(isinstance(node, nir.Delay) for node in graph.nodes.values()):
        return Settled(found.name, None, found.evidence, ())
    rules = DIALECTS[found.name]
    convention = _bounded(graph, rules)
    open_points = _strangers(graph, found.name, rules)
    step = dt or found.dt or (convention.dt if rules.dt_fixed else None)
    if step is None:
        open_points.append(_dt_is_open(neurons))
    mode = reset or _written_reset(graph, found, rules)
    if mode is None:
        asked = found.name == "snntorch" and reset_delay is None
        open_points.append(_RESET_IS_OPEN + (_delay_is_open(usual_delay) if asked else ""))
        return Settled(found.name, None, found.evidence, tuple(open_points))
    when, first = _when(graph, rules, mode, reset_delay, usual_delay)
    notes = (rules.note, _delay_taken(usual_delay)) if rules.timing is snntorch_timing else (rules.note,)
    evidence = (*found.evidence, *(note for note in notes if note and reset_delay is None))
    if open_points:
        return Settled(found.name, None, evidence, tuple(open_points))
    several = convention.multi_spike and (mode == "subtract" or found.certain)
    settled = convention.having(dt=step, reset=mode, multi_spike=several, reset_when=when, reset_first=first)
    return Settled(found.name, settled, evidence, ())


_RESET_IS_OPEN = (
    "reset: the file holds v_reset = 0, but a subtracting reset cannot be written in NIR; settle with --reset zero|subtract"
)


def _delay_is_open(usual: int) -> str:
    if usual:
        return ", and --reset-delay 0 if the network was trained with reset_delay=False"
    return ", and --reset-delay 1 if the network was trained with reset_delay=True, snnTorch's default"


def _delay_taken(usual: int) -> str:
    if usual:
        return "taken: resets wait for the next step, as in snnTorch's default, reset_delay=True (--reset-delay 0 to change)"
    return "taken: resets at once (--reset-delay 1 to change)"


def _dt_is_open(neurons: list[Any]) -> str:
    longest = max((float(np.max(tau)) for node in neurons for tau in time_constants(node)), default=0.0)
    unit = f"; its time constants reach {longest:.6g}, so they may count steps (--dt 1)" if longest >= 1 else ""
    return f"dt: no time step in the file{unit}; settle with --dt SECONDS or --dialect NAME"


def _kind(node: Any) -> str:
    return type(node).__name__


def _not_sinabs(graph: Graph) -> Found:
    """Who else writes what sinabs does, if neurons reset to a value."""
    if all(_kind(node) == "IF" for node in graph.nodes.values() if isinstance(node, NEURON_NODES)):
        return Found("norse-1.1.0", None, ("only IF neurons with r = 1, reset to a value: Norse writes these",), certain=False)
    return Found("nir", None, ("time constants may count steps, but sinabs subtracts the threshold",), certain=False)


def _bounded(graph: Graph, rules: Dialect) -> Convention:
    """The dialect's convention with its lower bound only where it holds."""
    spiking = {key: _kind(node) for key, node in graph.nodes.items() if isinstance(node, SPIKING)}
    free = tuple(key for key, kind in spiking.items() if kind not in rules.bounded)
    if rules.convention.v_min is None or not free:
        return rules.convention
    if len(free) == len(spiking):
        return rules.convention.having(v_min=None)
    return rules.convention.having(unbounded=free)


def _strangers(graph: Graph, name: str, rules: Dialect) -> list[str]:
    """Neurons that the dialect does not speak for."""
    strange = [key for key, node in graph.nodes.items() if isinstance(node, NEURON_NODES) and _kind(node) not in rules.neurons]
    if not strange:
        return []
    kinds = ", ".join(sorted({_kind(graph.nodes[key]) for key in strange}))
    known = ", ".join(rules.neurons)
    return [f"dialect: {name} speaks for {known}, not for {kinds} ({', '.join(strange)}); settle with another --dialect"]


def _written_reset(graph: Graph, found: Found, rules: Dialect) -> str | None:
    """The reset, where the file or a certain dialect tells; a v_reset of 0 alone tells nothing."""
    spiking = [node for node in graph.nodes.values() if isinstance(node, SPIKING)]
    if not spiking:
        return rules.convention.reset
    if rules.convention.reset == "value" and any(np.any(node.v_reset) for node in spiking):
        return "value"
    return rules.convention.reset if found.certain and rules.reset_written else None


def _when(graph: Graph, rules: Dialect, reset: str, reset_delay: int | None, usual_delay: int) -> tuple[str, tuple[str, ...]]:
    """In which step, and where in it, neurons reset, and which do so before they integrate while the others do after."""
    usual = rules.convention.reset_when
    if reset_delay is not None and (rules.timing is None or (reset_delay == 0 and usual != "at_once")):
        what = f"{rules.title} has one way to time its resets"
        raise InvalidInput(f"--reset-delay {reset_delay}", what, "Leave it out; it is for --dialect snntorch")
    if rules.timing is None:
        return usual, ()
    spiking = {key: node for key, node in graph.nodes.items() if isinstance(node, SPIKING)}
    waits = usual_delay if reset_delay is None else reset_delay
    found = {key: rules.timing(_kind(node), _looped(graph, key), reset, waits) for key, node in spiking.items()}
    words = set(found.values())
    if words == {"next_start", "next_end"}:
        return "next_end", tuple(key for key, word in found.items() if word == "next_start")
    return (words.pop() if words else usual), ()


def _looped(graph: Graph, name: str) -> bool:
    """Whether a way leads from `name` back to it."""
    seen: set[str] = set()
    waiting = list(successors(graph, name))
    while waiting:
        at = waiting.pop()
        if at == name:
            return True
        if at not in seen:
            seen.add(at)
            waiting += successors(graph, at)
    return False
