"""Which programs Lava's processes can run as they are: its families, and what they lack or would change without a word."""

from __future__ import annotations

import numpy as np

from snnport.errors import DoesNotFit, UnsupportedNode
from snnport.fixed import IntArray
from snnport.program import Conv, Diagonal, Population, Program, Projection, Sparse, SumPool
from snnport.sim.families.base import UNBOUNDED
from snnport.sim.neurons import parameters

FAMILIES = (
    "input",
    "generator",
    "cuba",
    "cuba_reset",
    "atrlif",
    "integrator",
    "graded",
    "graded_relu",
    "delta",
    "sigma_delta",
)
GRADED = ("graded", "graded_relu")
UNIFORM = {
    "cuba_reset": ("reset_interval", "reset_offset"),
    "atrlif": ("du", "dv", "dtheta", "dr", "theta_0", "theta_step"),
    "graded": ("shift",),
    "graded_relu": ("shift",),
    "sigma_delta": ("rectify",),
}
MOST_BIAS = (1 << 15) - 1
MOST_SENT_BIAS = (1 << 28) - 1
MOST_DELAY = 64
ONE_SIGN = 255
REMEDY = "Quantise for this target: snnport quantize --target loihi2"


def check_lava(program: Program) -> None:
    """Raises UnsupportedNode or DoesNotFit for the first part of `program` that Lava lacks or would change.

    Sources: lava-nc 0.10.0, proc/*/process.py (parameters), utils/weightutils.py (codes), proc/dense/models.py (delays).
    """
    for population in program.populations:
        _check_population(program, population)
    for projection in program.projections:
        _check_projection(program, projection)
    _check_loops(program)


def _check_population(program: Program, population: Population) -> None:
    name, family = population.name, population.neuron.family
    if family not in FAMILIES:
        raise UnsupportedNode(name, f"Lava has no neurons of family '{family}'", f"It has: {', '.join(FAMILIES)}")
    values = parameters(population)
    for key in UNIFORM.get(family, ()):
        if np.any(values[key] != values[key][:1]):
            raise DoesNotFit(name, f"{key} spans {values[key].min()}..{values[key].max()}, a process of Lava has one value")
    for key in ("v_min", "v_max"):
        bounded = key in values and np.any(np.abs(values[key]) < UNBOUNDED)
        if bounded and program.meta.get("bounds") != "proven":
            raise DoesNotFit(name, f"{key} bounds its values, a process of Lava has no bounds", "Leave the bound out")
    if "bias" in values:
        limit = MOST_SENT_BIAS if family in (*GRADED, "delta") else MOST_BIAS
        worst = int(np.abs(values["bias"]).max(initial=0))
        if worst > limit:
            raise DoesNotFit(name, f"its bias reaches {worst}, Lava holds up to {limit}", "Use a smaller scale")
    if family in GRADED and np.any(values["shift"]):
        _check_gathered(program, population, values["bias"])


def _check_gathered(program: Program, population: Population, bias: IntArray) -> None:
    """What is shifted right is the sum of one connection, which holds the codes of all projections and of the bias."""
    into = program.into(population.name)
    if not _gathered(program, population):
        return
    codes = [_sums(q).astype(np.int64) << q.exponent for q in into]
    wrong = _changed(np.concatenate([*codes, np.sign(bias)]), even=not any(np.any(c % 2) for c in codes))
    if wrong:
        raise DoesNotFit(population.name, f"what it shifts right arrives through one connection of Lava, and {wrong}", REMEDY)


def _gathered(program: Program, population: Population) -> bool:
    """Whether relays bring all that it shifts right to one connection, which takes them a step."""
    params = population.neuron.params
    if population.neuron.family not in GRADED or not np.any(params.get("shift", 0)):
        return False
    return len(program.into(population.name)) > 1 or bool(np.any(params.get("bias", 0)))


def _check_loops(program: Program) -> None:
    """A loop must have as many steps of delay as Lava takes for its connections and relays."""
    takes = {p.name: 1 + _gathered(program, p) for p in program.populations}
    start = before = dict.fromkeys(takes, 0)
    for _ in (0, *start):
        before = dict(start)
        for q in program.projections:
            start[q.target] = max(start[q.target], start[q.source] + takes[q.target] - q.delay)
        if start == before:
            return
    late = next(name for name in start if start[name] != before[name])
    what = "its loop takes more steps in Lava than its delays add up to: one a connection, one more to gather what is shifted"
    raise DoesNotFit(late, what, "Delay more, or give the population one projection and no bias")


def _check_projection(program: Program, projection: Projection) -> None:
    name = projection.name
    if projection.port:
        raise DoesNotFit(name, f"it leads to input {projection.port}, neurons of Lava have one", "Use port 0")
    if projection.delay > MOST_DELAY:
        raise DoesNotFit(name, f"it delays spikes by {projection.delay} steps, Lava by up to {MOST_DELAY}", "Delay less")
    if _as_maps(program, projection):
        return
    if not isinstance(projection.synapse, Diagonal) and _overlapping(projection.pool):
        raise DoesNotFit(name, "windows of its pooling overlap, so that a synapse would be a sum of codes", REMEDY)
    wrong = _changed(_sums(projection))
    if wrong:
        raise DoesNotFit(name, wrong, REMEDY)


def _sums(projection: Projection) -> IntArray:
    """Its codes; those of synapses between the same two neurons added up, as Lava's matrix does."""
    synapse = projection.synapse
    if not isinstance(synapse, Sparse):
        return synapse.codes.reshape(-1)
    _, pair = np.unique(synapse.target.astype(np.int64) * synapse.shape[1] + synapse.source, return_inverse=True)
    sums = np.zeros(int(pair.max(initial=-1)) + 1, np.int64)
    np.add.at(sums, pair, synapse.codes)
    return sums


def _changed(codes: IntArray, even: bool | None = None) -> str:
    """Why Lava would change such codes; empty if it keeps them. Odd ones of both signs are stored doubled."""
    low, high = (int(f(initial=0)) for f in (codes.min, codes.max))
    if low == 0 or high == 0:
        return f"codes span {low}..{high}, of one sign Lava keeps up to {ONE_SIGN}" if max(-low, high) > ONE_SIGN else ""
    odd = bool(np.any(codes % 2)) if even is None else not even
    least, most = (-128, 127) if odd else (-256, 254)
    if least <= low and high <= most:
        return ""
    return f"codes span {low}..{high}, of both signs Lava keeps {'odd' if odd else 'even'} ones within {least}..{most}"


def _as_maps(program: Program, projection: Projection) -> bool:
    """Whether it runs as Lava's Conv, which keeps every code: with the other conditions, if it may take exactly one step."""
    if not isinstance(projection.synapse, Conv) or projection.pool is not None or projection.delay > 1:
        return False
    top, left, bottom, right = projection.synapse.padding
    families = {p.neuron.family for p in program.populations}
    return top == bottom and left == right and not families & set(GRADED) and not _retimed(program)


def _retimed(program: Program) -> bool:
    """Whether some populations start later than others in Lava."""
    return any(q.delay == 0 for q in program.projections) or any(
        p.neuron.family == "delta" and np.any(p.neuron.params.get("bias", 0)) for p in program.populations
    )


def _overlapping(pool: SumPool | None) -> bool:
    return pool is not None and any(size > step for size, step in zip(pool.kernel_size, pool.stride, strict=True))
