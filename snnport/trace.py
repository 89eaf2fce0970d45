"""What a run left behind: spikes and potentials of populations, from whichever executor, and the first difference of two.

File: .npz with `spikes/<population>`, `v/<population>` (n_samples, n_steps, n_neurons) and `meta`, a JSON string; or
NIRData (.h5, .hdf5, .nirdata) with the observables `spikes` and `v` at the node of each population.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.events import read_npz, write_npz
from snnport.fixed import narrowest
from snnport.nirdata import META, SUFFIXES, is_nirdata, read_nirdata, write_nirdata

DT = 1e-3
"""Seconds a step of a trace whose maker did not say, where a file format demands them."""


@dataclass(frozen=True)
class Divergence:
    """The earliest place where two traces differ: by step, then population in the order of the first trace, then neuron."""

    quantity: str
    population: str
    sample: int
    step: int
    neuron: int
    expected: float
    actual: float


@dataclass(frozen=True, eq=False)
class Trace:
    """spikes, v: population name -> array (n_samples, n_steps, n_neurons). meta: plain JSON data."""

    spikes: Mapping[str, npt.NDArray[Any]]
    v: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the trace to `path`, atomically; integers in the smallest type that holds them.

        NIRData holds seconds: its steps are meta["dt"] long, DT where the trace does not say.
        """
        if path.suffix in SUFFIXES:
            write_nirdata(path, self._observed(), float(self.meta.get("dt") or DT), json.dumps(dict(self.meta)))
            return
        arrays = {f"spikes/{name}": _smallest(a) for name, a in self.spikes.items()}
        arrays |= {f"v/{name}": _smallest(a) for name, a in self.v.items()}
        write_npz(path, {**arrays, "meta": np.array(json.dumps(dict(self.meta)))})

    @classmethod
    def load(cls, path: Path) -> Trace:
        """The trace in the file at `path`. Raises InvalidInput if it is none."""
        if is_nirdata(path):
            return cls._of_nirdata(path)
        arrays = read_npz(path)
        groups: dict[str, dict[str, npt.NDArray[Any]]] = {"spikes": {}, "v": {}}
        for key, array in arrays.items():
            group, _, name = key.partition("/")
            if group in groups and name:
                groups[group][name] = _recorded(array, f"{path}: {key}")
        if not groups["spikes"] and not groups["v"]:
            raise InvalidInput(str(path), "it holds no spikes/<population> and no v/<population>", "Give a trace")
        try:
            meta = json.loads(str(arrays["meta"])) if "meta" in arrays else {}
        except (ValueError, RecursionError):
            raise InvalidInput(f"{path}: meta", "it is no JSON text") from None
        return cls(groups["spikes"], groups["v"], meta if isinstance(meta, dict) else {})

    def _observed(self) -> dict[str, dict[str, npt.NDArray[Any]]]:
        names = dict.fromkeys((*self.spikes, *self.v))
        pairs = (("spikes", self.spikes), ("v", self.v))
        return {name: {key: _smallest(arrays[name]) for key, arrays in pairs if name in arrays} for name in names}

    @classmethod
    def _of_nirdata(cls, path: Path) -> Trace:
        observed, dt, text = read_nirdata(path, None)
        spikes, v = ({node: a[key] for node, a in observed.items() if key in a} for key in ("spikes", "v"))
        if not spikes and not v:
            names = sorted({name for arrays in observed.values() for name in arrays})
            raise InvalidInput(str(path), f"it observes {', '.join(names)}, spikes or v are needed", "Give a trace")
        try:
            meta = json.loads(text) if text else {"dt": dt}
        except (ValueError, RecursionError):
            raise InvalidInput(f"{path}: {META}", "it is no JSON text") from None
        return cls(spikes, v, meta if isinstance(meta, dict) else {})


def _recorded(array: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """`array` if it can be a recording: three axes of numbers."""
    if array.ndim != 3:
        raise InvalidInput(where, f"its shape is {array.shape}, 3 axes are needed")
    if array.dtype.kind not in "biuf":
        raise InvalidInput(where, f"its type is {array.dtype}, numbers are needed")
    return array


def first_divergence(expected: Trace, actual: Trace) -> Divergence | None:
    """The earliest difference in what both traces recorded, or None. Raises InvalidInput if nothing can be compared.

    A difference in shape, or a population of `expected` that `actual` lacks, is refused: comparing a part would hide it.
    """
    found: list[tuple[int, int, int, int, Divergence]] = []
    rank = 0
    for quantity in ("spikes", "v"):
        wanted: Mapping[str, Any] = getattr(expected, quantity)
        given: Mapping[str, Any] = getattr(actual, quantity)
        for name, a in wanted.items():
            if name not in given:
                raise InvalidInput(f"{quantity}/{name}", "only one of the two traces has it", "Record it with --record")
            b = given[name]
            if a.shape != b.shape:
                raise InvalidInput(f"{quantity}/{name}", f"the shapes are {a.shape} and {b.shape}")
            rank += 1
            differs = np.argwhere(a != b)
            if len(differs):
                sample, step, neuron = (int(i) for i in differs[np.lexsort((differs[:, 2], differs[:, 0], differs[:, 1]))[0]])
                place = (sample, step, neuron)
                divergence = Divergence(quantity, name, *place, a[place].item(), b[place].item())
                found.append((step, rank, sample, neuron, divergence))
    if rank == 0:
        raise InvalidInput("traces", "the expected trace is empty")
    return min(found, key=lambda item: item[:4])[4] if found else None


def spikes_compared(expected: Trace) -> int:
    """How many spikes the expected trace holds."""
    return int(sum(int(a.astype(np.int64).sum()) for a in expected.spikes.values()))


def _smallest(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if not np.issubdtype(array.dtype, np.integer) or not array.size:
        return array
    low, high = int(array.min()), int(array.max())
    if low >= 0:
        return array.astype(np.min_scalar_type(high))
    return array.astype(narrowest(low, high))
