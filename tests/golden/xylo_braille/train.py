# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "numba", "nir==1.0.8", "h5py"]
# ///
"""Train the network of this folder: 12 inputs, 40 recurrent CubaLIF neurons, 7 outputs, without biases, in snnTorch's maths.

    SNNPORT_DATA=... uv run train.py OUT.nir [SEED [EPOCHS]]

v = beta v + i, i = alpha i + x + recurrent(s), a spike where v > 1, which then is taken off; as snnTorch 1.0.0 with
reset_delay=False, where v stays above 1 the next comparison is with v - 1. Backward through time by hand, fast sigmoid of slope
5, cross entropy of the softmax of a fifth of the spike counts. Samples are shifted by up to 10 steps, and lose a tenth of their
events, anew each time. The first 348 samples of default_rng(0).permutation are held out; the last five epochs are compared on
116 of the others.
"""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path

import h5py
import nir
import numba as nb
import numpy as np

ALPHA, BETA, ALPHA_OUT, BETA_OUT = 0.65, 0.8, 0.6, 0.75
HIDDEN, OUTPUTS, INPUTS = 40, 7, 12
SLOPE, SOFTNESS, SPARSITY, RATE, DT = 5.0, 0.2, 2e-5, 5e-3, 1e-4
F = np.float32


@nb.njit(fastmath=True)
def slope_at(u):
    return F(1) / (F(1) + F(SLOPE) * abs(u)) ** 2


@nb.njit(fastmath=True)
def step(v, i, beta, u, spikes):
    """v and the spikes of a population whose current is i; u: what was compared with 0."""
    for k in range(len(v)):
        above = v[k] > 1
        v[k] = beta * v[k] + i[k]
        u[k] = v[k] - F(1) - (F(1) if above else F(0))
        if u[k] > 0:
            spikes[k] = 1
            v[k] -= F(1)


@nb.njit(fastmath=True)
def sample(x, y, w, back, decays, grads, teach):
    """Loss and answer of one sample; adds its gradients to grads. w: (source, target) each; back: w_rec, w_out turned round."""
    w_in, w_rec, w_out = w
    alpha, beta, alpha_out, beta_out = decays
    steps, n, m = len(x), w_rec.shape[0], w_out.shape[1]
    i, v, i_out, v_out = np.zeros(n, F), np.zeros(n, F), np.zeros(m, F), np.zeros(m, F)
    u, s, u_out, s_out = np.zeros((steps, n), F), np.zeros((steps, n), F), np.zeros((steps, m), F), np.zeros((steps, m), F)
    for t in range(steps):
        i *= alpha
        for k in range(x.shape[1]):
            if x[t, k]:
                i += x[t, k] * w_in[k]
        for k in range(n):
            if t and s[t - 1, k]:
                i += w_rec[k]
        step(v, i, beta, u[t], s[t])
        i_out *= alpha_out
        for k in range(n):
            if s[t, k]:
                i_out += w_out[k]
        step(v_out, i_out, beta_out, u_out[t], s_out[t])
    count = s_out.sum(axis=0) * F(SOFTNESS)
    p = np.exp(count - count.max())
    p /= p.sum()
    answer, loss = np.argmax(count), -np.log(p[y] + F(1e-12))
    if not teach:
        return loss, answer
    p[y] -= 1
    g_i, g_v, g_i_out, g_v_out, g_s = np.zeros(n, F), np.zeros(n, F), np.zeros(m, F), np.zeros(m, F), np.zeros(n, F)
    for t in range(steps - 1, -1, -1):
        for k in range(m):
            g_v_out[k] = beta_out * g_v_out[k] + p[k] * F(SOFTNESS) * slope_at(u_out[t, k])
            g_i_out[k] = alpha_out * g_i_out[k] + g_v_out[k]
        g_s[:] = F(SPARSITY)
        for k in range(m):
            g_s += g_i_out[k] * back[1][k]
        for k in range(n):
            g_s += g_i[k] * back[0][k]
            if s[t, k]:
                grads[1][k] += g_i
                grads[2][k] += g_i_out
        for k in range(n):
            g_v[k] = beta * g_v[k] + g_s[k] * slope_at(u[t, k])
            g_i[k] = alpha * g_i[k] + g_v[k]
        for k in range(x.shape[1]):
            if x[t, k]:
                grads[0][k] += x[t, k] * g_i
    return loss, answer


@nb.njit(fastmath=True)
def batch(x, y, w, decays, teach):
    """Samples answered rightly, and the mean gradients."""
    grads = np.zeros_like(w[0]), np.zeros_like(w[1]), np.zeros_like(w[2])
    back = w[1].T.copy(), w[2].T.copy()
    right = 0
    for k in range(len(x)):
        right += sample(x[k], y[k], w, back, decays, grads, teach)[1] == y[k]
    n = F(len(x))
    return right, (grads[0] / n, grads[1] / n, grads[2] / n)


def cell(n: int, alpha: float, beta: float) -> nir.CubaLIF:
    """As snnTorch's export_nir writes it."""
    tau_syn, tau_mem = DT / (1 - alpha), DT / (1 - beta)
    return nir.CubaLIF(
        np.full(n, tau_syn), np.full(n, tau_mem), np.full(n, tau_mem / DT), np.zeros(n), np.ones(n), np.zeros(n),
        np.full(n, tau_syn / DT),
    )  # fmt: skip


def write(path: Path, w: tuple[np.ndarray, ...]) -> None:
    """The network as nir 0.2.0 wrote it: without v_reset."""
    nodes = {
        "input": nir.Input(np.array([INPUTS])), "fc1": nir.Linear(w[0].T.copy()),
        "lif1.lif": cell(w[1].shape[0], ALPHA, BETA), "lif1.w_rec": nir.Linear(w[1].T.copy()),
        "fc2": nir.Linear(w[2].T.copy()), "lif2": cell(OUTPUTS, ALPHA_OUT, BETA_OUT), "output": nir.Output(np.array([OUTPUTS])),
    }  # fmt: skip
    chain = ["input", "fc1", "lif1.lif", "fc2", "lif2", "output"]
    loop = [("lif1.lif", "lif1.w_rec"), ("lif1.w_rec", "lif1.lif")]
    nir.write(path, nir.NIRGraph(nodes, [*pairwise(chain), *loop]))  # noqa: TID251
    with h5py.File(path, "r+") as file:
        for name in ("lif1.lif", "lif2"):
            del file[f"node/nodes/{name}/v_reset"]


def main(path: Path, seed: int = 3, epochs: int = 120) -> None:
    data = np.load(Path(os.environ["SNNPORT_DATA"]) / "braille" / "braille7_unique1158.npz")
    x, y = data["x"].astype(F), data["y"].astype(np.int64)
    order = np.random.default_rng(0).permutation(len(x))
    held, judging = order[:348], order[348:464]
    teaching = np.concatenate([order[464:], judging])
    rng = np.random.default_rng(seed)
    sizes = ((INPUTS, HIDDEN, 0.25), (HIDDEN, HIDDEN, 0.03), (HIDDEN, OUTPUTS, 0.15))
    w = [rng.normal(0, spread, (m, n)).astype(F) for m, n, spread in sizes]
    decays = tuple(F(d) for d in (ALPHA, BETA, ALPHA_OUT, BETA_OUT))
    mean, square = [np.zeros_like(a) for a in w], [np.zeros_like(a) for a in w]
    best, kept, count = -1, w, 0
    for epoch in range(epochs):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        mixed = rng.permutation(teaching)
        for part in np.array_split(mixed, len(mixed) // 32):
            moved = np.stack([np.roll(x[k], int(by), 0) for k, by in zip(part, rng.integers(-10, 11, len(part)), strict=True)])
            shown = (moved * (rng.random(moved.shape) > 0.1)).astype(F)
            grads = batch(shown, y[part], tuple(w), decays, True)[1]
            factor = F(min(1, 1 / (np.sqrt(sum((g**2).sum() for g in grads)) + 1e-9)))
            count += 1
            for k, grad in enumerate(grads):
                mean[k] = F(0.9) * mean[k] + F(0.1) * grad * factor
                square[k] = F(0.999) * square[k] + F(0.001) * (grad * factor) ** 2
                size = np.sqrt(square[k] / F(1 - 0.999**count)) + F(1e-8)
                w[k] = (w[k] - F(rate) * (mean[k] / F(1 - 0.9**count)) / size).astype(F)
        right = batch(x[judging], y[judging], tuple(w), decays, False)[0]
        if epoch >= epochs - 5 and right >= best:
            best, kept = right, [a.copy() for a in w]
    right = batch(x[held], y[held], tuple(kept), decays, False)[0]
    sys.stdout.write(f"{right} of {len(held)} held-out samples\n")
    write(path, tuple(kept))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(a) for a in sys.argv[2:]))
