"""Populations through a whole sequence, forward and backward through time, in compiled loops.

One kernel is compiled for each combination of rules (`Rules`), so that the innermost loop over neurons has no branch of
theirs; it adds and multiplies in the order of reference/cell.py and never contracts the two, so that spikes are the same.
Arrays are (steps, samples, neurons); samples are independent, and threads share them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import cache
from itertools import pairwise

import numba
import numpy as np

PRODUCT, INCREMENT, INCREMENT_SYNAPTIC, EARLY = 0, 1, 2, 3
"""How v is rounded: keep v + take x + pull; v + lose ((r x + leak) - v); v + lose ((leak - v) + r i);
keep (v + take x) + pull."""
NO_RESET, SUBTRACT, TO_VALUE = 0, 1, 2
FORWARD = (
    *("keep", "lose", "take", "pull", "leak", "r", "threshold", "back"),
    *("keep_i", "lose_i", "take_i", "keep_b", "lose_b", "beta"),
)
"""Rows of a forward kernel's p."""


@dataclass(frozen=True)
class Rules:
    """What a kernel is compiled for. fires: spikes leave, else potentials. synaptic: 0 no current, 1 the current of this step,
    2 of the step before. stepwise: the current decays by a subtraction. held: one input for all steps. looped: own spikes
    come back through weights. keeps_v: potentials are recorded. detach: no gradient through the reset. uniform: all neurons
    have the same parameters. late: the threshold is taken off in the next step, after its integration.
    """

    update: int
    fires: bool
    synaptic: int
    stepwise: bool
    adaptive: bool
    reset: int
    reaches: bool
    held: bool
    looped: bool
    keeps_v: bool
    detach: bool
    uniform: bool
    late: bool

    @property
    def needs_before(self) -> bool:
        """Whether the backward pass needs the potentials before the reset."""
        return self.reset == TO_VALUE and not self.detach


@cache
def forward_kernel(rules: Rules) -> Callable[..., None]:
    """run(x, v, i, b, z, p, weight, bias, out, diff, before, kept, first, last) for samples first..last-1.

    v, i, b, z (samples, neurons): state, changed in place; z: spikes of the step before. p (rows of FORWARD, neurons).
    weight (sources, targets) and bias of the loop. out: spikes or potentials; diff: potential less limit before the reset;
    before: potentials before the reset; kept: those after it. What the rules do not need has the shape (0, 0, 0).
    """
    update, fires, synaptic, stepwise, adaptive, reset, reaches, held, looped, keeps_v, _, uniform, late = astuple(rules)
    needs_before, keeps_z = rules.needs_before, adaptive or looped or late

    def run(x, v, i, b, z, p, weight, bias, out, diff, before, kept, first, last):  # type: ignore[no-untyped-def]
        n_steps, n = out.shape[0], out.shape[2]
        keep, lose, take, pull, leak, r, limit, back = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
        keep_i, lose_i, take_i, keep_b, lose_b, beta = p[8], p[9], p[10], p[11], p[12], p[13]
        keep0, lose0, take0, pull0, leak0, r0 = keep[0], lose[0], take[0], pull[0], leak[0], r[0]
        limit0, back0, keep_i0, lose_i0, take_i0 = limit[0], back[0], keep_i[0], lose_i[0], take_i[0]
        keep_b0, lose_b0, beta0 = keep_b[0], lose_b[0], beta[0]
        zero = keep0 * 0
        one = zero + 1
        row = np.empty(n, out.dtype)
        for s in range(first, last):
            vs, us, bs, zs = v[s], i[s], b[s], z[s]
            for t in range(n_steps):
                given, outs = x[0 if held else t, s], out[t, s]
                if looped:
                    row[:] = 0
                    for j in range(n):
                        if zs[j] != 0:
                            weights = weight[j]
                            for k in range(n):
                                row[k] += weights[k]
                    for k in range(n):
                        row[k] = given[k] + (row[k] + bias[k])
                arriving = row if looped else given
                diffs = diff[t, s] if fires else outs
                kepts = kept[t, s] if keeps_v else outs
                befores = before[t, s] if needs_before else outs
                for k in range(n):
                    drive = arriving[k]
                    if synaptic:
                        old_i = us[k]
                        if stepwise:
                            new_i = old_i - (lose_i0 if uniform else lose_i[k]) * old_i
                        else:
                            new_i = (keep_i0 if uniform else keep_i[k]) * old_i
                        new_i = new_i + (take_i0 if uniform else take_i[k]) * drive
                        us[k] = new_i
                        drive = new_i if synaptic == 1 else old_i
                    old = vs[k]
                    if update == PRODUCT:
                        new = (keep0 if uniform else keep[k]) * old + (take0 if uniform else take[k]) * drive
                        new = new + (pull0 if uniform else pull[k])
                    elif update == INCREMENT:
                        inside = (r0 if uniform else r[k]) * drive + (leak0 if uniform else leak[k])
                        new = old + (lose0 if uniform else lose[k]) * (inside - old)
                    elif update == INCREMENT_SYNAPTIC:
                        inside = ((leak0 if uniform else leak[k]) - old) + (r0 if uniform else r[k]) * drive
                        new = old + (lose0 if uniform else lose[k]) * inside
                    else:
                        new = (keep0 if uniform else keep[k]) * (old + (take0 if uniform else take[k]) * drive)
                        new = new + (pull0 if uniform else pull[k])
                    if fires:
                        most = limit0 if uniform else limit[k]
                        fixed = most
                        if adaptive:
                            trace = (keep_b0 if uniform else keep_b[k]) * bs[k] + (lose_b0 if uniform else lose_b[k]) * zs[k]
                            bs[k] = trace
                            most = most + (beta0 if uniform else beta[k]) * trace
                        if late:
                            new = new - zs[k] * fixed
                        above = new >= most if reaches else new > most
                        diffs[k] = new - most
                        spike = one if above else zero
                        outs[k] = spike
                        if keeps_z:
                            zs[k] = spike
                        if needs_before:
                            befores[k] = new
                        if reset == SUBTRACT and not late:
                            new = new - spike * fixed
                        elif reset == TO_VALUE:
                            new = (back0 if uniform else back[k]) if above else new
                    else:
                        outs[k] = new
                    vs[k] = new
                    if keeps_v:
                        kepts[k] = new

    compiled: Callable[..., None] = numba.njit(run, nogil=True, cache=True, error_model="numpy")
    return compiled


@cache
def backward_kernel(rules: Rules) -> Callable[..., None]:
    """run(out, slope, before, g_out, g_kept, g_z, gv, gi, gb, p, gx, begin, end, first, last) for steps end-1 down to begin.

    slope: of the surrogate at diff. g_out, g_kept: of what left and of the recorded potentials. g_z (samples, neurons): what
    later steps ask of the spikes of this step, through the loop and the trace; left behind is what the trace asks of those
    before it. gv, gi, gb: of the state after the step, changed to that before it. p, rows: dv/dv, dv/dx, limit, back, di/di,
    di/dx, keep_b, lose_b, beta. gx: of the input, added up if held.
    """
    _, fires, synaptic, _, adaptive, reset, _, held, looped, keeps_v, detach, uniform, late = astuple(rules)
    needs_before = rules.needs_before
    # Whether the spikes of a step are asked for by the next one, besides through the loop.
    later = adaptive or (late and not detach)

    def run(  # type: ignore[no-untyped-def]
        out, slope, before, g_out, g_kept, g_z, gv, gi, gb, p, gx, begin, end, first, last
    ):
        n = out.shape[2]
        dvv, dvx, limit, back, dii, dix = p[0], p[1], p[2], p[3], p[4], p[5]
        keep_b, lose_b, beta = p[6], p[7], p[8]
        dvv0, dvx0, limit0, back0, dii0, dix0 = dvv[0], dvx[0], limit[0], back[0], dii[0], dix[0]
        keep_b0, lose_b0, beta0 = keep_b[0], lose_b[0], beta[0]
        for s in range(first, last):
            gvs, gis, gbs, gzs = gv[s], gi[s], gb[s], g_z[s]
            for t in range(end - 1, begin - 1, -1):
                outs, g_outs, gxs = out[t, s], g_out[t, s], gx[0 if held else t, s]
                slopes = slope[t, s] if fires else outs
                kepts = g_kept[t, s] if keeps_v else outs
                befores = before[t, s] if needs_before else outs
                for k in range(n):
                    after = gvs[k]
                    if keeps_v:
                        after = after + kepts[k]
                    if fires:
                        spike = g_outs[k]
                        if looped or later:
                            spike = spike + gzs[k]
                        if not detach and not late:
                            if reset == SUBTRACT:
                                spike = spike - (limit0 if uniform else limit[k]) * after
                            elif reset == TO_VALUE:
                                spike = spike + ((back0 if uniform else back[k]) - befores[k]) * after
                        over = spike * slopes[k]
                        if adaptive:
                            trace = gbs[k] - (beta0 if uniform else beta[k]) * over
                            gbs[k] = (keep_b0 if uniform else keep_b[k]) * trace
                        pre = over + (after * (1 - outs[k]) if reset == TO_VALUE else after)
                        if later:
                            asked = dvv0 * 0
                            if adaptive:
                                asked = asked + (lose_b0 if uniform else lose_b[k]) * trace
                            if late and not detach:
                                asked = asked - (limit0 if uniform else limit[k]) * pre
                            gzs[k] = asked
                    else:
                        pre = after + g_outs[k]
                    gvs[k] = (dvv0 if uniform else dvv[k]) * pre
                    push = (dvx0 if uniform else dvx[k]) * pre
                    if synaptic == 1:
                        current = gis[k] + push
                        gis[k] = (dii0 if uniform else dii[k]) * current
                        push = (dix0 if uniform else dix[k]) * current
                    elif synaptic == 2:
                        current = gis[k]
                        gis[k] = (dii0 if uniform else dii[k]) * current + push
                        push = (dix0 if uniform else dix[k]) * current
                    if held:
                        gxs[k] += push
                    else:
                        gxs[k] = push

    compiled: Callable[..., None] = numba.njit(run, nogil=True, cache=True, error_model="numpy")
    return compiled


def shares(n_samples: int, threads: int) -> list[tuple[int, int]]:
    """(first, last) of the samples of each thread."""
    cuts = np.linspace(0, n_samples, min(threads, n_samples) + 1).astype(int)
    return [(int(a), int(b)) for a, b in pairwise(cuts) if b > a]
