"""What Xylo's integers answer, and which way its weights should move to answer like another network: backward through time.

Forward: xylosim's arithmetic (docs/semantics.md, xylo), integer for integer. Backward: a decay is a factor 1 - 2^-dash, a
number that saturated passes nothing on, the reset passes nothing on, and the k-th spike of a step has the slope
1 / (1 + SLOPE |v / v_threshold - k|)^2 of v / v_threshold (Zenke and Ganguli 2018, "SuperSpike"). What flows back through a
current is held within LIMIT thresholds a spike: through a loop it could grow without end.
The loss of a sample is the distance of van Rossum (2001) between the spikes and those wanted, that is, half the sum of squares
of their difference after a leaky trace, and the cross entropy between soft-max answers made of the spike counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_njit: Any = njit(cache=True, nogil=True, error_model="numpy")
LOW, HIGH = -(1 << 15), (1 << 15) - 1
SLOPE, LIMIT = 5.0, 3.0
KEPT_HIDDEN, KEPT_OUTPUT = 0.9, 0.98
"""What a step leaves of the traces by which spikes are compared: some ten steps, and some fifty."""
WEIGHT_OF_SPIKES, WEIGHT_OF_ANSWERS = 0.02, 20.0
SOFTNESS = 0.2
"""An answer is softmax(SOFTNESS * spike counts)."""
LATER_SPIKES = 3
"""Spikes of one step that have a slope, the second from 1.2 thresholds on, the third from 2.2."""


@_njit
def _bounded(x: Any) -> Any:
    return min(max(x, LOW), HIGH)


@_njit
def _loss(x: Any, dash: Any) -> Any:
    lost = x >> dash
    return 1 if lost == 0 and x > 0 else lost


@_njit
def _meet(current: Any, weights: Any, times: Any) -> None:
    for _ in range(times):
        for k in range(len(current)):
            current[k] = _bounded(current[k] + weights[k])


@_njit
def _advance(v: Any, i: Any, cells: Any, most: Any, high: Any, spikes: Any, held: Any) -> None:
    """One step of a population whose currents have met their spikes; held: 1 for a saturated current, 2 for v, 3 for both."""
    for k in range(len(v)):
        if i[k] == HIGH or i[k] == LOW:
            held[k] |= 1
        i[k] -= _loss(i[k], cells[0, k])
        change = _bounded(i[k] + max(-_loss(v[k], cells[1, k]), LOW))
        v[k] = _bounded(v[k] + _bounded(change + cells[2, k]))
        if v[k] == HIGH or v[k] == LOW:
            held[k] |= 2
        high[k] = v[k] / cells[3, k]
        while v[k] >= cells[3, k] and spikes[k] < most:
            spikes[k] += 1
            v[k] -= cells[3, k]


@_njit
def simulate(x: Any, w_in: Any, w_rec: Any, w_out: Any, hidden: Any, outputs: Any, most: Any) -> Any:
    """One sample x (n_steps, n_inputs): for hidden and output neurons the v before the reset in thresholds, spikes, held."""
    steps, n, m = len(x), hidden.shape[1], outputs.shape[1]
    v, i, v_out, i_out = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(m, np.int64), np.zeros(m, np.int64)
    high, spikes, held = np.zeros((steps, n)), np.zeros((steps, n), np.int64), np.zeros((steps, n), np.int64)
    high_out, spikes_out, held_out = np.zeros((steps, m)), np.zeros((steps, m), np.int64), np.zeros((steps, m), np.int64)
    for t in range(steps):
        for k in range(x.shape[1]):
            _meet(i, w_in[k], x[t, k])
        for k in range(n):
            if t > 0 and spikes[t - 1, k]:
                _meet(i, w_rec[k], spikes[t - 1, k])
                _meet(i_out, w_out[k], spikes[t - 1, k])
        _advance(v, i, hidden, most, high[t], spikes[t], held[t])
        _advance(v_out, i_out, outputs, 1, high_out[t], spikes_out[t], held_out[t])
    return high, spikes, held, high_out, spikes_out, held_out


@_njit
def _traces(spikes: Any, wanted: Any, kept: Any) -> Any:
    """The leaky trace of spikes - wanted, and the half of its sum of squares."""
    traces, total = np.zeros(spikes.shape), 0.0
    for t in range(len(spikes)):
        for k in range(spikes.shape[1]):
            before = traces[t - 1, k] if t > 0 else 0.0
            traces[t, k] = kept * before + (spikes[t, k] - wanted[t, k])
            total += 0.5 * traces[t, k] ** 2
    return traces, total


@_njit
def answer(spikes: Any) -> Any:
    """softmax(SOFTNESS * spike counts) of spikes (n_steps, n)."""
    counts = spikes.sum(axis=0) * SOFTNESS
    parts = np.exp(counts - counts.max())
    return parts / parts.sum()


@_njit
def _back(grad: Any, high: Any, held: Any, cells: Any, g_v: Any, g_i: Any) -> None:
    """From the gradients of a step's spikes to those of the currents that they met (g_i), and of v before it (g_v)."""
    for k in range(len(grad)):
        slope = 0.0
        for spike in range(1, 1 + min(LATER_SPIKES, max(1, int(high[k] + 0.8)))):
            slope += 1.0 / (1.0 + SLOPE * abs(high[k] - spike)) ** 2
        here = g_v[k] + grad[k] * slope / cells[3, k]
        if held[k] & 2:
            here = 0.0
        current = (g_i[k] + here) * (1.0 - 2.0 ** (-cells[0, k]))
        bound = LIMIT / cells[3, k]
        g_i[k] = 0.0 if held[k] & 1 else min(max(current, -bound), bound)
        g_v[k] = here * (1.0 - 2.0 ** (-cells[1, k]))


@_njit
def sample_gradient(
    x: Any, wanted: Any, wanted_out: Any, w: Any, back: Any, hidden: Any, outputs: Any, most: Any, grads: Any
) -> Any:
    """The loss of one sample; adds its gradients by the shifted codes w = (w_in, w_rec, w_out) to grads.

    wanted (n_steps, n_hidden), wanted_out (n_steps, n_outputs): spikes, as late as the chip's are. back: w_rec and w_out
    as real numbers, turned round.
    """
    high, spikes, held, high_out, spikes_out, held_out = simulate(x, w[0], w[1], w[2], hidden, outputs, most)
    w_rec, w_out = back
    g_in, g_rec, g_out = grads
    off, loss = _traces(spikes, wanted, KEPT_HIDDEN)
    off_out, loss_out = _traces(spikes_out, wanted_out, KEPT_OUTPUT)
    said, meant = answer(spikes_out), answer(wanted_out)
    total = WEIGHT_OF_SPIKES * (loss + loss_out) - WEIGHT_OF_ANSWERS * (meant * np.log(said + 1e-9)).sum()
    n, m = hidden.shape[1], outputs.shape[1]
    g_v, g_i, g_v_out, g_i_out = np.zeros(n), np.zeros(n), np.zeros(m), np.zeros(m)
    past, past_out, grad, grad_out = np.zeros(n), np.zeros(m), np.zeros(n), np.zeros(m)
    for t in range(len(x) - 1, -1, -1):
        # g_i and g_i_out still are those of step t + 1, which the spikes of step t met.
        for k in range(n):
            past[k] = KEPT_HIDDEN * past[k] + WEIGHT_OF_SPIKES * off[t, k]
            grad[k] = past[k]
        for k in range(n):
            grad += g_i[k] * w_rec[k]
        for k in range(m):
            grad += g_i_out[k] * w_out[k]
        for k in range(n):
            if spikes[t, k]:
                g_rec[k] += spikes[t, k] * g_i
                g_out[k] += spikes[t, k] * g_i_out
        for k in range(m):
            past_out[k] = KEPT_OUTPUT * past_out[k] + WEIGHT_OF_SPIKES * off_out[t, k]
            grad_out[k] = past_out[k] + WEIGHT_OF_ANSWERS * SOFTNESS * (said[k] - meant[k])
        _back(grad_out, high_out[t], held_out[t], outputs, g_v_out, g_i_out)
        _back(grad, high[t], held[t], hidden, g_v, g_i)
        for k in range(x.shape[1]):
            if x[t, k]:
                g_in[k] += x[t, k] * g_i
    return total


@_njit
def gradient(x: Any, wanted: Any, wanted_out: Any, w: Any, hidden: Any, outputs: Any, most: Any, chosen: Any) -> Any:
    """Means over the samples `chosen`: the loss, and its gradients by the three matrices of shifted codes."""
    grads = np.zeros(w[0].shape), np.zeros(w[1].shape), np.zeros(w[2].shape)
    back = np.ascontiguousarray(w[1].T) * 1.0, np.ascontiguousarray(w[2].T) * 1.0
    total = 0.0
    for s in chosen:
        total += sample_gradient(x[s], wanted[s], wanted_out[s], w, back, hidden, outputs, most, grads)
    return total / len(chosen), grads[0] / len(chosen), grads[1] / len(chosen), grads[2] / len(chosen)


@_njit
def loss_of(x: Any, wanted: Any, wanted_out: Any, w: Any, hidden: Any, outputs: Any, most: Any, chosen: Any) -> Any:
    """The mean loss of the samples `chosen`."""
    total = 0.0
    for s in chosen:
        _, spikes, _, _, spikes_out, _ = simulate(x[s], w[0], w[1], w[2], hidden, outputs, most)
        hidden_loss, output_loss = (
            _traces(spikes, wanted[s], KEPT_HIDDEN)[1],
            _traces(spikes_out, wanted_out[s], KEPT_OUTPUT)[1],
        )
        total += WEIGHT_OF_SPIKES * (hidden_loss + output_loss)
        total -= WEIGHT_OF_ANSWERS * (answer(wanted_out[s]) * np.log(answer(spikes_out) + 1e-9)).sum()
    return total / len(chosen)
