"""The neuron that an importer builds and that does the source's step: its kind, its fields, and the factor left to its input.

The free choices are a scale k and a shift of the potential, v -> k (v - shift), and where the gain goes: into r and w_in, into
the threshold (k), or into the weights before the neuron (factor). What cannot be met is a Difference; the best neuron without
it is built all the same, so that the spikes it would change can be counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention
from snnport.exporters.nir_loaders import Limits, Loader
from snnport.exporters.nir_step import Step, step_of, tau_for
from snnport.nodes import Shape

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A rule that source and importer do not share. rule: a field of Convention or of NIR; where: the node; what: in words.

    fatal: the importer refuses the file or leaves the node out, so that nothing can be run.
    """

    rule: str
    where: str
    what: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.what}"


@dataclass(frozen=True, eq=False)
class Fitted:
    """nodes: the neuron, or a chain (suffix of the name, node) that ends with it. factor: times which its input is to come."""

    nodes: tuple[tuple[str, nir.NIRNode], ...]
    factor: Array
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """Where a step is to be done: the neuron's name and shape, the source's rules, the importer and the rules it works by.

    floor: the source's lower bound of the neuron, in thresholds. safe: it is proven that no bound is ever met.
    """

    name: str
    shape: Shape
    source: Convention
    target: Convention
    loader: Loader
    floor: float | None = None
    safe: bool = False


def fit(step: Step, task: Task) -> Fitted | None:
    """The neuron that does `step`, or None if the importer builds none that could."""
    chosen = _kinds(step, task)
    if chosen is None:
        return None
    kind, before = chosen
    name, shape, target, limits = task.name, task.shape, task.target, task.loader.neurons[kind]
    found: list[Difference] = []
    notes: list[str] = []
    k, shift = _frame(step, task, kind, limits, found)
    fields: dict[str, Array] = {"r": np.ones(shape)}
    if step.threshold is not None:
        back = k * (step.back - shift)
        fields |= {"v_threshold": k * (step.threshold - shift), "v_reset": back if limits.reset else np.zeros(shape)}
    if kind not in ("I", "IF"):
        fields["v_leak"] = k * (step.rest - shift) if limits.leak else np.zeros(shape)
        fields["tau_mem" if "Cuba" in kind else "tau"] = _tau(step.a, step.tau, task, limits, found)
        if step.integrates:
            notes.append(f"{name}: it integrates by a time constant of 2^40 steps, no leak in float32")
    if "Cuba" in kind:
        a_s = np.zeros(shape) if step.a_s is None else step.a_s
        fields |= {"tau_syn": _tau(a_s, step.tau_s, task, limits, found), "w_in": np.ones(shape)}
        if step.a_s is None:
            notes.append(f"{name}: its input passes a synapse that forgets at once")
    fields, factor = _gained(kind, fields, k * step.drive, task, limits, free=step.threshold is not None)
    if step.threshold is not None:
        fields["v_threshold"] = over_threshold(fields["v_threshold"], task.source, target)
    _check_same(name, fields, limits, found)
    nodes: tuple[tuple[str, nir.NIRNode], ...] = (("", _node(kind, fields)),)
    if before is not None and step.a_s is not None:
        synapse = {
            "tau": _tau(step.a_s, step.tau_s, task, task.loader.neurons[before], found),
            "r": np.ones(shape),
            "v_leak": np.zeros(shape),
        }
        nodes = (("_syn", _node(before, synapse)), *nodes)
        factor = factor / step_of(nodes[0][1], shape, target.having(dtype="float64")).g
        notes.append(f"{name}: its synapse became a leaky integrator of its own, {name}_syn")
    return Fitted(nodes, factor, tuple(found), tuple(notes))


def _node(kind: str, fields: Mapping[str, Array]) -> nir.NIRNode:
    made: nir.NIRNode = getattr(nir, kind)(**fields)
    return made


def _kinds(step: Step, task: Task) -> tuple[str, str | None] | None:
    """The kind of neuron, and the kind to put before it for its synapse. Another reset or lower bound comes last."""
    fires = step.threshold is not None
    wish = "synapse" if step.a_s is not None else "integrate" if step.integrates else "leaky"
    loader, target = task.loader, task.target
    ways: list[tuple[int, str, str | None]] = []
    for kind, before in _WAYS[wish]:
        this = kind if fires else _SILENT[kind]
        limits = loader.neurons.get(this)
        if limits is None or len(task.shape) > limits.rank or (before is not None and before not in loader.neurons):
            continue
        if this.startswith("Cuba") and step.a_s is None and target.synapse_gain == "keep":
            continue  # the input decays once before it counts, by an exp that float32 rounds: no synapse forgets exactly
        wrong = 2 * (fires and target.reset not in limits.resets)
        wrong += fires and floor_of(loader, this) != task.floor and not task.safe
        ways.append((wrong, this, before))
    return min(ways, key=lambda way: way[0])[1:] if ways else None


def floor_of(loader: Loader, kind: str) -> float | None:
    """The lower bound of a neuron of `kind` that the importer has built, in thresholds."""
    return loader.convention.v_min if loader.neurons[kind].bounded else None


_SILENT = {"IF": "I", "LIF": "LI", "CubaLIF": "CubaLI"}
_WAYS: Mapping[str, tuple[tuple[str, str | None], ...]] = {
    "integrate": (("IF", None), ("LIF", None), ("CubaLIF", None)),
    "leaky": (("LIF", None), ("CubaLIF", None)),
    "synapse": (("CubaLIF", None), ("LIF", "LI")),
}
"""Kinds that can do a step, the most natural first."""


def _frame(step: Step, task: Task, kind: str, limits: Limits, found: list[Difference]) -> tuple[Array, Array]:
    """Scale and shift of the potential: the shift brings v_leak or v_reset to the 0 that an importer takes for them."""
    name, source = task.name, task.source
    one, zero = np.ones_like(step.a), np.zeros_like(step.a)
    leaky = kind not in ("I", "IF")
    no_leak = leaky and not limits.leak and bool(np.any(step.rest))
    if step.threshold is None:
        if no_leak:
            found.append(Difference("v_leak", name, "the importer takes 0 alone, and the potential is what the network gives"))
        return one, zero
    hard = source.reset in ("zero", "value") and task.target.reset in ("zero", "value")
    no_reset = hard and not limits.reset
    shift = step.rest if leaky and not limits.leak else step.back if no_reset else zero
    if np.any(shift) and not (hard and task.floor is None):
        found.append(Difference("v_leak" if no_leak else "v_reset", name, "the importer takes 0 alone"))
        shift = zero
    elif no_reset and np.any(step.back != shift):
        found.append(Difference("v_reset", name, "the importer resets to 0, and the source not to where it rests"))
    if limits.leak_is_reset and hard and np.any(step.rest != step.back):
        found.append(Difference("v_leak", name, "the importer takes a v_leak that is v_reset alone"))
    begins = step.rest if leaky and limits.leak else shift
    if task.target.start == "reset":
        begins = step.back if limits.reset else shift
    if not found and np.any(step.start != begins):
        found.append(Difference("start", name, "before the first step the potential is elsewhere with the importer"))
    gap = step.threshold - shift
    if np.any(gap <= 0):
        found.append(Difference("v_threshold", name, "it is not above the reset"))
        return one, zero
    return (gap.flat[0] / gap if "v_threshold" in limits.same and not _uniform(gap) else one), shift


def over_threshold(value: Array, source: Convention, target: Convention) -> Array:
    """The threshold with which the importer's comparison says what the source's says.

    v > t for a floating-point v is v >= the next number above t. Not with a reset that takes the threshold off.
    """
    if source.comparison == target.comparison or target.reset not in ("zero", "value"):
        return value
    narrow = value.astype(np.float32 if target.dtype == "float32" else np.float64)
    toward = np.inf if source.comparison == ">" else -np.inf
    return np.asarray(np.nextafter(narrow, narrow.dtype.type(toward)), np.float64)


def _tau(a: Array, told: Array | None, task: Task, limits: Limits, found: list[Difference]) -> Array:
    """The time constant that leaves `a`; that of the source, `told` in steps, where both decay exponentially."""
    rule = task.target
    if np.any(a < 0):
        what = f"one step leaves {a.min():.6g} of a state, with the importer 0 at the least"
        found.append(Difference("decay", task.name, what))
    tau = tau_for(np.maximum(a, 0.0), rule)
    if told is not None and rule.decay == task.source.decay == "exponential":
        tau = told * rule.dt / rule.tau_unit
    steps = tau * rule.tau_unit / rule.dt
    if limits.least_tau and np.any(steps <= limits.least_tau):
        what = f"it is {steps.min():.6g} steps, the importer takes more than {limits.least_tau:g}"
        found.append(Difference("tau", task.name, what, fatal=True))
    return tau


def _gained(
    kind: str, fields: dict[str, Array], drive: Array, task: Task, limits: Limits, *, free: bool
) -> tuple[dict[str, Array], Array]:
    """`fields` with r and w_in, and what is left for the weights, so that one unit of the source's input adds `drive`.

    Where neither r nor w_in are free, the scale of the potential is, unless it would spread a field that is to be one number.
    """
    shape, target = task.shape, task.target.having(dtype="float64")
    unit = step_of(_node(kind, fields), shape, target)
    if unit.b is not None:
        fields = {**fields, "w_in": fields["w_in"] if limits.w_in == "one" else 1.0 / unit.b}
        unit = step_of(_node(kind, fields), shape, target)
    choices = {"free": [drive / unit.drive], "one": [np.ones(shape)], "unit": [1.0 / unit.g]}
    if limits.r == "clock":
        choices["clock"] = [fields["tau_mem"] * target.tau_unit / target.dt - 1.0]
    choices["one or unit"] = [*choices["one"], *choices["unit"]]
    made = [{**fields, "r": r} for r in choices[limits.r]]
    ratios = [step_of(_node(kind, one), shape, target).drive / drive for one in made]
    best = min(range(len(made)), key=lambda i: float(np.max(np.abs(ratios[i] - 1.0))))
    fields, ratio = made[best], np.where(np.abs(ratios[best] - 1.0) <= 1e-12, 1.0, ratios[best])
    if not free or np.all(ratio == 1.0) or ("v_threshold" in limits.same and not _uniform(ratio)):
        return fields, 1.0 / ratio
    potentials: dict[str, Array] = {key: fields[key] * ratio for key in ("v_threshold", "v_reset", "v_leak") if key in fields}
    return {**fields, **potentials}, np.ones(shape)


def _check_same(name: str, fields: dict[str, Array], limits: Limits, found: list[Difference]) -> None:
    """Make every field that is to be one number exactly that, or say that it is not."""
    for key in limits.same:
        if key not in fields:
            continue
        if _uniform(fields[key]):
            fields[key] = np.full_like(fields[key], fields[key].flat[0])
            continue
        spread = f"{fields[key].min():.6g} to {fields[key].max():.6g}"
        found.append(Difference(key, name, f"it is {spread} in one population, the importer takes one number", fatal=True))


def _uniform(values: Array) -> bool:
    """Whether all values are one, to rounding of float64."""
    return bool(np.ptp(values) <= 1e-12 * np.max(np.abs(values), initial=0.0))
