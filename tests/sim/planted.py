"""Faults for sim.causes to name: the oracle with lines of its source changed, or a program with another delay.

The oracle shares no code with the executor that looks for causes; a fault is what someone else's simulator could have done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import engine_oracle
import numpy as np
from engine_oracle import simulate
from random_programs import random_program
from xylo_programs import xylo_program

from snnport.program import Program
from snnport.sim.neurons import HOST_FAMILIES
from snnport.trace import Trace

SOURCE = Path(engine_oracle.__file__).read_text(encoding="utf-8")
PRODUCT = "    return (abs(x) * keep >> 12) * (1 if x >= 0 else -1)"
LEAK_SHIFT = "        return x - x // 2**shift"
LEAK_PRODUCT = "    kept = abs(x) * (4096 - decay) // 4096\n    return kept if x > 0 else -kept"
XYLO_LOSS = "            return (x >> dash) or (x > 0) - (x < 0)"
GRADED = '(a + p["bias"]) // 2 ** p["shift"]'
BETWEEN = "    if low is not None:\n        x = max(x, low)\n    return x if high is None else min(x, high)"
IF_BOUNDS = """        if p["v_min"] is not None:
            clipped = max(clipped, p["v_min"])
        if p["v_max"] is not None:
            clipped = min(clipped, p["v_max"])"""
CLIP16 = "    return max(-(2**15), min(2**15 - 1, x))"
TURN_UP = "            u, self.wraps = u - 2**24, self.wraps + 1"
TURN_DOWN = "            u, self.wraps = u + 2**24, self.wraps + 1"
RESET = '            v = p["v_reset"] if p["reset"] else v - spikes * p["v_threshold"]'
CUBA_RESET = "        self.v[k] = 0 if fires else self.v[k]"
LOAD = "    def load(self, t):"
FRACTION = "from fractions import Fraction\nfrom math import ceil, floor\n"


def divided(way: str) -> str:
    """A function `div(x, y)` that rounds x / y, from exact fractions."""
    body = {
        "down": "floor(q)",
        "zero": "floor(q) if q >= 0 else ceil(q)",
        "away": "ceil(q) if q >= 0 else floor(q)",
        "half up": "floor(q + Fraction(1, 2))",
        "nearest": "floor(q + Fraction(1, 2)) if q >= 0 else ceil(q - Fraction(1, 2))",
        "even": "round(q)",
    }[way]
    return f"{FRACTION}\ndef div(x, y):\n    q = Fraction(x, y)\n    return {body}\n\n\n"


def rounding(way: str) -> list[tuple[str, str]]:
    """Every division of the oracle."""
    return [
        ("def toward_zero", f"{divided(way)}def toward_zero"),
        (PRODUCT, "    return div(x * keep, 4096)"),
        (LEAK_SHIFT, "        return x - div(x, 2**shift)"),
        (LEAK_PRODUCT, "    return div(x * (4096 - decay), 4096)"),
        (XYLO_LOSS, "            return div(x, 2**dash) or (x > 0) - (x < 0)"),
        (GRADED, 'div(a + p["bias"], 2 ** p["shift"])'),
        ('return change >> p["shift"]', 'return div(change, 2 ** p["shift"])'),
        ('p["bias_mant"] >> -p["bias_exp"]', 'div(p["bias_mant"], 2 ** -p["bias_exp"])'),
    ]


COMPARISON = [
    ('if v >= p["v_threshold"]:', 'if v > p["v_threshold"]:'),
    ('if self.v[k] >= p["v_threshold"]:', 'if self.v[k] > p["v_threshold"]:'),
    ('while self.v[k] >= p["v_threshold"]', 'while self.v[k] > p["v_threshold"]'),
    ('fires = v >= p["v_threshold"] + rise', 'fires = v > p["v_threshold"] + rise'),
    ("fires = self.v[k] - r >= theta", "fires = self.v[k] - r > theta"),
    ('fires = self.v[k] > p["vth"] * 64', 'fires = self.v[k] >= p["vth"] * 64'),
    ('fires = v >= self.p["v_threshold"][k]', 'fires = v > self.p["v_threshold"][k]'),
    ('abs(z) > p["v_threshold"]', 'abs(z) >= p["v_threshold"]'),
    ('abs(change) < p["v_threshold"]', 'abs(change) <= p["v_threshold"]'),
]
STRICT_COUNT = [('v // p["v_threshold"]', '-(-v // p["v_threshold"]) - 1')]
NO_BOUNDS = [(BETWEEN, "    return x"), (IF_BOUNDS, "        pass"), (CLIP16, "    return x")]
SATURATING_U = [(TURN_UP, "            u = 2**23 - 1"), (TURN_DOWN, "            u = 1 - 2**23")]
ROUND = "(x - low) % (high - low + 1) + low"
WRAPPING = [
    (BETWEEN, f"    if low is not None and high is not None:\n        return {ROUND}\n{BETWEEN}"),
    (IF_BOUNDS, '        clipped = between(clipped, p["v_min"], p["v_max"])'),
    (CLIP16, "    return (x + 2**15) % 2**16 - 2**15"),
]
UNBOUNDED_U = [(TURN_UP, "            pass"), (TURN_DOWN, "            pass")]
WAITING = f"""    wait = None

    def release(self):
        if self.wait is None:
            self.wait = {{}}
        for k, spikes in self.wait.items():
            if "cuba" in self.family:
                self.v[k] = 0
            elif self.p["reset"][k]:
                self.v[k] = self.p["v_reset"][k]
            else:
                self.v[k] -= spikes * self.p["v_threshold"][k]
        self.wait = {{}}

{LOAD}
        self.release()"""
NEXT_START = [
    (LOAD, WAITING),
    (RESET, "            self.wait[k] = spikes"),
    (CUBA_RESET, "        if fires:\n            self.wait[k] = 1"),
]


def precision(bits: int) -> list[tuple[str, str]]:
    """Decay constants of fewer bits."""
    unit = 1 << (12 - bits)
    kept = f"(({{d}}) + {unit // 2}) // {unit} * {unit}"
    return [
        ("def toward_zero(x, keep):\n", f"def toward_zero(x, keep):\n    keep = 4096 - {kept.format(d='4096 - keep')}\n"),
        ("(4096 - decay) // 4096", f"(4096 - {kept.format(d='decay')}) // 4096"),
    ]


REVERSED = [("for j, value in enumerate(past):", "for j, value in reversed(list(enumerate(past))):")]
LAST_FIRST = [("for q in program.into(name):", "for q in reversed(program.into(name)):")]
DROPPED = [
    (
        "                        past = history[q.source][t - q.delay]",
        "                        past = list(history[q.source][t - q.delay])\n"
        "                        if (s, q.source, t - q.delay) == DROP[:3] and DROP[4] in (None, q.name):\n"
        "                            past[DROP[3]] = 0",
    )
]


@dataclass(frozen=True, eq=False)
class Case:
    """A program, its raster, what it gives, and what an executor with a fault gave."""

    program: Program
    raster: np.ndarray
    own: Trace
    other: Trace


def mutated(changes: list[tuple[str, str]], **names: Any) -> Any:
    """The oracle's simulate with these texts of its source replaced; each must be there."""
    text = SOURCE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    scope: dict[str, Any] = dict(names)
    exec(compile(text, "mutated oracle", "exec"), scope)
    return scope["simulate"]


def trace_of(program: Program, raster: np.ndarray, run: Any, potentials: bool = True) -> Trace:
    found = run(program, raster, program.n_steps or raster.shape[1])
    cells = [p.name for p in program.populations if p.neuron.family not in HOST_FAMILIES]
    return Trace(found["spikes"], {name: found["v"][name] for name in cells} if potentials else {})


def drawn(cause: str, rng: np.random.Generator, program: Program, raster: np.ndarray, own: Trace) -> tuple[Any, Program] | None:
    """What runs with the fault planted, and what it runs; None where this program offers no place for it."""
    pick = lambda *options: options[int(rng.integers(len(options)))]  # noqa: E731
    if cause == "rounding":
        return mutated(rounding(pick("down", "zero", "away", "half up", "nearest", "even"))), program
    if cause == "comparison":
        return mutated([*COMPARISON, *pick([], STRICT_COUNT)]), program
    if cause == "saturation":
        return mutated(pick(NO_BOUNDS, SATURATING_U)), program
    if cause == "wrap":
        return mutated(pick(WRAPPING, UNBOUNDED_U)), program
    if cause == "reset order":
        return mutated(NEXT_START), program
    if cause == "decay precision":
        return mutated(precision(int(rng.integers(4, 12)))), program
    if cause == "input order":
        return mutated(pick(REVERSED, LAST_FIRST, REVERSED + LAST_FIRST)), program
    if cause == "delay":
        if not program.projections:
            return None
        k, steps = int(rng.integers(len(program.projections))), pick(1, 1, 2, -1)
        q = program.projections[k]
        if q.delay + steps < 1:
            return None
        links = tuple(replace(p, delay=p.delay + steps) if i == k else p for i, p in enumerate(program.projections))
        return simulate, replace(program, projections=links)
    events = [
        (name, at)
        for name, a in own.spikes.items()
        for at in np.argwhere(a)
        if any(q.source == name for q in program.projections)
    ]
    if not events:
        return None
    name, (sample, step, neuron) = events[int(rng.integers(len(events)))]
    link = pick(None, pick(*(q.name for q in program.projections if q.source == name)))
    return mutated(DROPPED, DROP=(int(sample), name, int(step), int(neuron), link)), program


def cases(cause: str, first: int, count: int, potentials: bool = True) -> list[Case]:
    """`count` random programs in whose traces a planted fault of this kind shows, from seed `first` on."""
    found: list[Case] = []
    seed = first
    while len(found) < count:
        seed += 1
        rng = np.random.default_rng([seed, 7])
        alike = cause in ("input order", "saturation", "wrap") and seed % 2 == 0
        program, raster = xylo_program(seed) if alike else random_program(seed, every=True)
        own = trace_of(program, raster, simulate, potentials)
        planted = drawn(cause, rng, program, raster, own)
        if planted is None:
            continue
        try:
            other = trace_of(planted[1], raster, planted[0], potentials)
        except OverflowError:  # Without bounds a loop outgrew 64 bits: nobody's simulator would go on.
            continue
        pairs = [(own.spikes, other.spikes), (own.v, other.v)]
        if any(not np.array_equal(a, b[name]) for here, b in pairs for name, a in here.items()):
            found.append(Case(program, raster, own, other))
    return found
