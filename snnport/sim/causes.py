"""Why two executors of one program differ: run again with one rule changed at a time, until the other trace comes out.

A cause is named only if a run with that one change, and no other, gives every spike and potential that the other trace holds,
in every sample that was looked at; where none does the cause is "unknown". Changes are tried for the whole program first, then
for the populations of some families, then for single ones; single lost events come last, because there are so many of them that
one might fit by chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import SnnportError
from snnport.program import Program
from snnport.sim.altered.rules import BOUNDED, COMPARISONS, ORDERS, RESETS, ROUNDINGS, WRAPPED, Dropped, Rules
from snnport.sim.altered.run import Altered, delay_of
from snnport.sim.neurons import FAMILIES, HOST_FAMILIES
from snnport.trace import Trace

CAUSES = (
    *("comparison", "rounding", "saturation", "wrap", "reset order", "decay precision", "input order", "delay"),
    "dropped event",
)
UNKNOWN = "unknown"
MOST_SAMPLES, MOST_EVENTS = 8, 400
"""Samples that a change must reproduce, and events whose loss is tried, those nearest to the divergence first."""
BUDGET_S = 20.0
BITS, DELAYS = range(11, 3, -1), (1, -1, 2, -2, 3, -3)
LOIHI = frozenset({"cuba", "cuba_reset", "atrlif"})
DECAYING = LOIHI | {"lif", "alif", "xylo"}
SHIFTING = DECAYING | {"graded", "graded_relu", "delta", "sigma_delta"}
RESETTING = frozenset({"if", "lif", "alif", "slope", "cuba", "cuba_reset", "xylo"})
BOUNDING = frozenset(FAMILIES) - HOST_FAMILIES - {"integrator", "slope"}
FIRING = frozenset(FAMILIES) - HOST_FAMILIES - {"integrator"}
WORDS = {
    "down": "rounds toward minus infinity",
    "zero": "rounds toward zero",
    "away": "rounds away from zero",
    "nearest": "rounds to the nearest, halves away from zero",
    "half up": "rounds to the nearest, halves up",
    "even": "rounds to the nearest, halves to even",
    "none": "has no bound there",
    "wrap": "wraps round where this saturates",
    "saturate": "saturates where this wraps",
    "saturate below": "saturates where this wraps",
    "next start": "resets at the start of the next step",
    "next end": "resets in the next step, behind its integration",
    "sources": "meets a step's spikes in descending order of their sources",
    "projections": "meets a step's spikes projection by projection in reverse order",
    "both": "meets a step's spikes in reverse order",
    "sums": "adds all of a step's spikes up before it saturates or fires",
}


@dataclass(frozen=True)
class Change:
    """One rule that the other executor may read otherwise. what: it does, in words. families: that the rule concerns."""

    cause: str
    what: str
    rules: Rules
    families: frozenset[str]


@dataclass(frozen=True)
class Cause:
    """What was found. cause: of CAUSES, or "unknown". what: what the other executor does, in words; "" if unknown.

    also: other causes whose change gives the very same trace. tried: runs with a changed rule. complete: False if the time
    was over before all changes had been tried.
    """

    cause: str
    what: str = ""
    also: tuple[str, ...] = ()
    tried: int = 0
    complete: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "also": list(self.also)}


def find_cause(
    program: Program, raster: npt.NDArray[Any], other: Trace, own: Trace | None = None, budget_s: float = BUDGET_S
) -> Cause:
    """The one change of rules that makes `program` on raster (n_samples, n_steps, n_inputs) give the trace `other`.

    own: what the program gave; a trace that the program without any change does not give has no cause among its rules, so
    that "unknown" is returned. Of each trace all populations count that it recorded.
    """
    try:
        executor = Altered(program)
        arrays = [*other.spikes.values(), *other.v.values()]
        steps = program.n_steps or raster.shape[1]
        if not arrays or any(a.shape[:2] != (len(raster), steps) for a in arrays):
            return Cause(UNKNOWN)
        usual = _usual(executor, raster, other, own)
    except SnnportError:
        return Cause(UNKNOWN)
    if usual is None:
        return Cause(UNKNOWN)
    differing = [s for s in range(len(raster)) if not _equal(_of(other, s), usual[s])]
    if not differing:
        return Cause(UNKNOWN)
    equal = [s for s in range(len(raster)) if s not in differing]
    looked_at = differing[:MOST_SAMPLES] + equal[: max(MOST_SAMPLES - len(differing), 0)]

    def gives(rules: Rules, samples: Sequence[int]) -> bool:
        return all(executor.run_like(raster[s], rules, _of(other, s)) is not None for s in samples)

    hunt = _Search(budget_s)
    found = hunt.among(changes(program), lambda rules: gives(rules, looked_at))
    if not found:
        late = _late(other, usual, looked_at)
        found = [] if late is None else [Change("delay", late, Rules(), frozenset())]
    if not found and len(differing) <= MOST_SAMPLES:
        lost = [_lost(hunt, program, _of(other, s), usual[s], s, partial(gives, samples=[s])) for s in differing]
        found = [] if None in lost else [replace(lost[0], what="; ".join(c.what for c in lost if c))] if lost[0] else []
    return hunt.result(found)


def find_cause_by(
    program: Program, samples: Sequence[npt.NDArray[Any]], matches: Callable[[Trace, int], bool], budget_s: float = BUDGET_S
) -> Cause:
    """The change with which the traces of samples, (n_steps, n_inputs) each, are all what `matches`(trace, index) wants.

    For what is known only in the end, such as logits. Lost events are not tried: one number has too many explanations.
    """
    try:
        executor = Altered(program)
    except SnnportError:
        return Cause(UNKNOWN)
    hunt = _Search(budget_s)

    def gives(rules: Rules) -> bool:
        return all(matches(executor.run(x, rules), k) for k, x in enumerate(samples))

    return Cause(UNKNOWN) if gives(Rules()) else hunt.result(hunt.among(changes(program), gives))


def changes(program: Program) -> Iterator[Change]:
    """Every change of a rule that concerns `program`: of all its neurons, then of some of them, then of delays."""
    families = {p.name: p.neuron.family for p in program.populations if p.neuron.family not in HOST_FAMILIES}
    every = list(_of_neurons())
    yield from (change for change in every if change.families & set(families.values()))
    for change in every:
        for names in _parts([name for name, family in families.items() if family in change.families], families):
            where = ", ".join(f"'{name}'" for name in names)
            yield replace(change, what=f"{change.what}, in {where}", rules=replace(change.rules, populations=frozenset(names)))
    for steps in DELAYS:
        how = f"{abs(steps)} step{'s' * (abs(steps) > 1)} {'later' if steps > 0 else 'earlier'}"
        yield Change("delay", f"delivers every spike {how}", Rules(delay=steps), frozenset())
        for q in program.projections if len(program.projections) > 1 else ():
            what = f"delivers the spikes of projection '{q.name}' {how}"
            yield Change("delay", what, Rules(delay=steps, projection=q.name), frozenset())


def _parts(concerned: Sequence[str], families: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Populations that may share a rule: those of some families, as an executor's code is written, then each by itself."""
    kinds = sorted({families[name] for name in concerned})
    parts = [
        tuple(name for name in concerned if families[name] in chosen)
        for size in range(1, len(kinds))
        for chosen in combinations(kinds, size)
    ]
    alone = [(name,) for name in concerned] if len(families) > 1 else []
    yield from dict.fromkeys([*parts, *alone])


def _of_neurons() -> Iterator[Change]:
    for way in COMPARISONS:
        yield Change("comparison", "fires on > where >= is meant, or the other way round", Rules(comparison=way), FIRING)
    yield from (Change("rounding", WORDS[way], Rules(rounding=way), SHIFTING) for way in ROUNDINGS)
    causes = {"none": "saturation", "wrap": "wrap"}
    yield from (Change(causes[way], WORDS[way], Rules(bounds=way), BOUNDING) for way in BOUNDED)
    causes = {"none": "wrap", "saturate": "saturation", "saturate below": "saturation"}
    yield from (Change(causes[way], WORDS[way], Rules(wrap=way), LOIHI) for way in WRAPPED)
    yield from (Change("reset order", WORDS[way], Rules(reset=way), RESETTING) for way in RESETS)
    for nudge in (1, -1):
        what = f"its decay constants, or shifts, are {abs(nudge)} {'more' if nudge > 0 else 'less'}"
        yield Change("decay precision", what, Rules(nudge=nudge), DECAYING)
    for bits in BITS:
        yield Change("decay precision", f"keeps {bits} of a decay constant's 12 bits", Rules(bits=bits), DECAYING - {"xylo"})
    one_by_one = frozenset(name for name, family in FAMILIES.items() if family.one_by_one)
    yield from (Change("input order", WORDS[way], Rules(order=way), one_by_one) for way in ORDERS)


class _Search:
    """Counts what was tried, and stops when the time is over."""

    def __init__(self, budget_s: float) -> None:
        self.end, self.tried, self.complete = time.monotonic() + budget_s, 0, True

    def among(self, candidates: Iterator[Change], gives: Callable[[Rules], bool], first: bool = False) -> list[Change]:
        """The candidates that give the trace, in their order, one a cause; `first`: that one alone."""
        found: dict[str, Change] = {}
        for change in candidates:
            if time.monotonic() > self.end:
                self.complete = False
                break
            if change.cause in found:
                continue
            self.tried += 1
            try:
                if gives(change.rules):
                    found[change.cause] = change
            except SnnportError:
                continue
            if found and first:
                break
        return list(found.values())

    def result(self, found: Sequence[Change]) -> Cause:
        ranked = sorted(found, key=lambda change: CAUSES.index(change.cause))
        if not ranked:
            return Cause(UNKNOWN, tried=self.tried, complete=self.complete)
        also = tuple(change.cause for change in ranked[1:])
        return Cause(ranked[0].cause, ranked[0].what, also, self.tried, self.complete)


def _usual(executor: Altered, raster: npt.NDArray[Any], other: Trace, own: Trace | None) -> list[Trace] | None:
    """What the program gives without a change, sample by sample; None if `own` is another trace."""
    found = [executor.run(x) for x in raster]
    if own is not None and not all(_equal(_of(own, s), t) for s, t in enumerate(found)):
        return None
    return found


def _of(trace: Trace, sample: int) -> Trace:
    part = slice(sample, sample + 1)
    return Trace({n: a[part] for n, a in trace.spikes.items()}, {n: a[part] for n, a in trace.v.items()})


def _equal(a: Trace, b: Trace) -> bool:
    """Whether b has all that a recorded."""
    pairs = ((a.spikes, b.spikes), (a.v, b.v))
    return all(np.array_equal(array, there.get(name, np.zeros(0))) for here, there in pairs for name, array in here.items())


def _late(other: Trace, usual: Sequence[Trace], samples: Sequence[int]) -> str | None:
    """How much later or earlier all of the other trace is; nothing may stand in the steps that have no partner."""
    for steps in DELAYS:
        a, b = (max(steps, 0), max(-steps, 0))
        if all(_shifted(_of(other, s), usual[s], a, b) for s in samples):
            how = f"{abs(steps)} step{'s' * (abs(steps) > 1)} {'later' if steps > 0 else 'earlier'}"
            return f"records everything {how}"
    return None


def _shifted(other: Trace, own: Trace, late: int, early: int) -> bool:
    for here, there in ((other.spikes, own.spikes), (other.v, own.v)):
        for name, a in here.items():
            b = there[name]
            steps = a.shape[1]
            moved = np.array_equal(a[:, late : steps - early], b[:, early : steps - late])
            if not moved or a[:, :late].any() or (here is other.spikes and b[:, :early].any()):
                return False
    return True


def _lost(
    hunt: _Search, program: Program, other: Trace, usual: Trace, sample: int, gives: Callable[[Rules], bool]
) -> Change | None:
    """The one event of a sample whose loss, or doubling, gives the other trace."""
    whole = Trace(usual.spikes, usual.v)
    recorded = _recorded_only(other, whole)
    if recorded is not None:
        return Change("dropped event", f"{recorded} (sample {sample})", Rules(), frozenset())
    found = hunt.among(_events(program, other, whole, sample), gives, first=True)
    return found[0] if found else None


def _recorded_only(other: Trace, usual: Trace) -> str | None:
    """The one spike in which two traces differ that are the same otherwise."""
    off = [(name, at) for name, a in other.spikes.items() for at in np.argwhere(a != usual.spikes[name])]
    same_v = all(np.array_equal(a, usual.v[name]) for name, a in other.v.items())
    if len(off) != 1 or not same_v:
        return None
    name, (_, step, neuron) = off[0]
    more = other.spikes[name][0, step, neuron] > usual.spikes[name][0, step, neuron]
    does = "records" if more else "does not record"
    return f"{does} a spike of neuron {neuron} of '{name}' in step {step}, and acts the same"


def _events(program: Program, other: Trace, usual: Trace, sample: int) -> Iterator[Change]:
    """Events whose loss could show first where the traces part, the latest first."""
    steps = next(iter((*other.spikes.values(), *other.v.values()))).shape[1]
    parts = [np.any(a != own[name], axis=(0, 2)) for kept, own in ((other.spikes, usual.spikes), (other.v, usual.v))
             for name, a in kept.items()]  # fmt: skip
    first = int(np.argmax(np.any(parts, axis=0)))
    events = []
    for name, array in usual.spikes.items():
        out = [q for q in program.projections if q.source == name]
        for _, step, neuron in np.argwhere(array[:, : min(first + 1, steps)] != 0):
            arrivals = [int(step) + delay_of(q, Rules()) for q in out]
            events.append((max([int(step), *(a for a in arrivals if a <= first)]), name, int(step), int(neuron)))
    events.sort(key=lambda event: -event[0])
    for _, name, step, neuron in events[:MOST_EVENTS]:
        where = f"neuron {neuron} of '{name}' in step {step} (sample {sample})"
        links = [q.name for q in program.projections if q.source == name]
        for times, does in ((0, "loses"), (2, "doubles")):
            lost = Dropped(name, neuron, step, None, times)
            yield _dropped(f"{does} the spike of {where}", lost)
            if name not in program.inputs or name in other.spikes:
                yield _dropped(f"{does} the spike of {where} before it is recorded", replace(lost, fired=False))
            for link in links if len(links) > 1 else ():
                yield _dropped(f"{does} the spike of {where} on projection '{link}'", replace(lost, projection=link))


def _dropped(what: str, lost: Dropped) -> Change:
    return Change("dropped event", what, Rules(dropped=lost), frozenset())
