"""Spike counts of asynchronous integrate-and-fire layers without running them: the running maximum of what has arrived.

A neuron that starts at V0, meets events of charge w_1, w_2, .. one after another, subtracts theta when it fires and fires at
most once an event, has fired after event t
    n_t = max(n_(t-1), floor((V0 + P_t) / theta)),  P_t = w_1 + .. + w_t,  so  n_T = max(0, max_t floor((V0 + P_t) / theta)),
as induction shows, provided V0 < theta, no w_t exceeds theta, and no bound clips v. The quantised rectifier that it was
trained as is floor((V0 + P_T) / theta): asynchronous neurons fire too often, never too seldom, and exactly as often where the
maximum stands at the end. A lower bound makes P a walk that is reflected at it (`reflected`), which only raises counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EventLayer:
    """A layer in codes. weight (n, sources); v_init, theta: one number or (n,); v_min: where v is clipped from below, or None.

    place (n,): rank in which an event meets the neurons, None for ascending.
    """

    weight: Ints
    theta: npt.ArrayLike
    v_init: npt.ArrayLike = 0
    v_min: int | None = None
    place: Ints | None = None

    @property
    def closed(self) -> bool:
        """Whether the closed form holds: V0 below theta, no charge above it, no lower bound."""
        theta = np.asarray(self.theta)
        below = bool(np.all(np.asarray(self.v_init) < theta))
        return self.v_min is None and below and bool(np.all(self.weight <= theta.reshape(-1, 1)))


def running_maximum(charges: Ints, theta: npt.ArrayLike, v_init: npt.ArrayLike = 0) -> Ints:
    """Spikes of each neuron after each event (n_events, n), from charges (n_events, n); one number or (n,) theta and v_init."""
    path = (np.asarray(v_init) + np.cumsum(charges, axis=0)) // np.asarray(theta)
    return np.asarray(np.maximum.accumulate(np.maximum(path, 0), axis=0), np.int64)


def reflected(charges: Ints, theta: npt.ArrayLike, v_init: npt.ArrayLike, v_min: int | None) -> Ints:
    """The same with a lower bound and charges of any size, event after event: at most one spike each."""
    n_events, n = charges.shape
    thetas = np.broadcast_to(np.asarray(theta, np.int64), (n,))
    v, fired, found = (
        np.broadcast_to(np.asarray(v_init, np.int64), (n,)).copy(),
        np.zeros(n, np.int64),
        np.zeros((n_events, n), np.int64),
    )
    for t in range(n_events):
        v = v + charges[t]
        if v_min is not None:
            v = np.maximum(v, v_min)
        fires = v >= thetas
        v, fired = v - fires * thetas, fired + fires
        found[t] = fired
    return found


def counts_of(layer: EventLayer, events: Ints) -> Ints:
    """Spikes of a layer after each of `events`, source neurons in the order in which they fire (n_events,)."""
    if events.size and (events.min() < 0 or events.max() >= layer.weight.shape[1]):
        raise InvalidInput("events", f"they name neurons {events.min()}..{events.max()}, there are {layer.weight.shape[1]}")
    charges = layer.weight.T[events]
    if layer.closed:
        return running_maximum(charges, layer.theta, layer.v_init)
    return reflected(charges, layer.theta, layer.v_init, layer.v_min)


def in_order(counts: Ints, place: Ints | None = None) -> Ints:
    """The neurons that fire, one entry a spike, in the order of the events that make them and then of their places."""
    n = counts.shape[1]
    new = np.diff(counts, axis=0, prepend=np.zeros((1, n), np.int64))
    order = np.arange(n) if place is None else np.argsort(place)
    event, rank = np.nonzero(new[:, order])
    return np.asarray(np.repeat(order[rank], new[event, order[rank]]), np.int64)


def predict(layers: Sequence[EventLayer], events: Ints) -> list[Ints]:
    """Spike counts (n,) of every layer of a chain that gets `events` (n_events,): input neurons as they spike."""
    found = []
    for layer in layers:
        counts = counts_of(layer, events)
        found.append(counts[-1] if len(counts) else np.zeros(len(layer.weight), np.int64))
        events = in_order(counts, layer.place)
    return found
