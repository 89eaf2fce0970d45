"""Random netx files, as lava-dl's export_hdf5 writes them, for tests that read them and for those that run them in Lava."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def neuron(**changed: Any) -> dict[str, Any]:
    """A CUBA neuron."""
    plain = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 40, "refDelay": 1, "gradedSpike": False}
    return {**plain, **changed}


def dense(rows: Any, **fields: Any) -> dict[str, Any]:
    """A dense layer of weights `rows`."""
    return {"type": "dense", "shape": [len(rows)], "weight": np.asarray(rows, np.float32), "neuron": neuron(), **fields}


def conv(kernel: Any, shape: Any, **fields: Any) -> dict[str, Any]:
    """A convolution of stride 1 without padding."""
    geometry = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    layer = {"type": "conv", "shape": shape, "weight": np.asarray(kernel, np.float32), "neuron": neuron(type="LOIHI")}
    return {**layer, **geometry, **fields}


def write(path: Path, *layers: dict[str, Any], steps: int | None = None) -> Path:
    """The file of `layers` at `path`; a field that is None is left out."""
    with h5py.File(path, "w") as file:
        file.create_group("layer")
        for number, layer in enumerate(layers):
            group = file.create_group(f"layer/{number}")
            for name, value in layer.items():
                if isinstance(value, dict):
                    for key, entry in value.items():
                        if entry is not None:
                            group.create_dataset(f"{name}/{key}", data=entry)
                elif value is not None:
                    group.create_dataset(name, data=np.array([value], "S10") if name == "type" else value)
        if steps is not None:
            file["simulation/tSample"] = steps
    return path


def _neuron(rng: np.random.Generator, kind: str = "CUBA") -> dict[str, Any]:
    current = rng.choice([4096, 4096, 0, 410, int(rng.integers(1, 4096))])
    potential = rng.choice([0, 128, 410, 4096, int(rng.integers(1, 4096))])
    return neuron(type=kind, iDecay=int(current), vDecay=int(potential), vThMant=int(rng.integers(1, 60)))


def _weights(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Of both signs or one, odd or even, full or with zeros, some of them as Lava clips or loses them."""
    kind = int(rng.integers(5))
    low, high = ((-256, 254), (-60, 100), (0, 255), (-40, 90), (-20, 3))[kind]
    found = rng.integers(low, high + 1, shape)
    found = np.where(rng.random(shape) < rng.choice([0, 0.5]), 0, found)
    found = found // 2 * 2 if kind == 0 or rng.random() < 0.6 else found
    found.flat[0] = found.flat[0] or 3
    return found


def _delay(rng: np.random.Generator, targets: int, sources: int) -> Any:
    kind = int(rng.integers(4))
    if kind == 0:
        return int(rng.integers(0, 6))
    if kind == 1:
        return rng.integers(0, 9, targets)
    return rng.integers(0, 70, sources).astype(np.float32) if kind == 2 else rng.integers(0, 5, (targets, sources))


def _conv(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[dict[str, Any], tuple[int, ...]] | None:
    groups = int(rng.choice([g for g in (1, 2, 3) if shape[0] % g == 0]))
    out, kernel, stride = groups * int(rng.integers(1, 4)), rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    padding, dilation = rng.integers(0, 2, 2), rng.integers(1, 3, 2)
    size = (np.array(shape[1:]) + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if size.min() < 1:
        return None
    weight = rng.integers(-20, 21, (out, shape[0] // groups, *kernel))
    after = (out, int(size[0]), int(size[1]))
    bias = rng.integers(-30, 40, out).astype(np.float32) if rng.random() < 0.6 else None
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return conv(weight, after, **geometry, bias=bias, neuron=_neuron(rng, "LOIHI")), after


def random_file(path: Path, seed: int, steps: int = 40) -> tuple[Any, bool, int | None]:
    """Write a random network; returns x (steps, n) to run it on, whether x is the input layer's bias, the reset interval."""
    rng = np.random.default_rng(seed)
    maps, driven = seed % 3 == 0, seed % 5 == 0
    shape: tuple[int, ...] = (int(rng.integers(3, 12)),)
    if maps:
        shape = tuple(int(n) for n in (rng.integers(1, 4), rng.integers(4, 8), rng.integers(4, 8)))
    layers: list[dict[str, Any]] = []
    if maps or driven:
        layers.append({"type": "input", "shape": list(shape), **({"neuron": _neuron(rng)} if driven else {})})
    now = shape
    for _ in range(int(rng.integers(1, 3)) if maps else 0):
        made = _conv(rng, now)
        if made is not None:
            layers.append(made[0])
            now = made[1]
    if maps:
        layers.append({"type": "flatten", "shape": [int(np.prod(now)), 1, 1]})
    size = int(np.prod(now))
    for _ in range(int(rng.integers(1, 4))):
        count, recurrent = int(rng.integers(2, 10)), rng.random() < 0.3
        fields: dict[str, Any] = {"neuron": _neuron(rng) if recurrent or rng.random() < 0.9 else None}
        if recurrent:
            fields |= {"type": "dense_rec", "weight_rec": _weights(rng, (count, count)).astype(np.float32)}
        elif rng.random() < 0.5:
            fields["delay"] = _delay(rng, count, size)
        if rng.random() < 0.4:
            fields["bias"] = rng.integers(-10, 60, count).astype(np.float32)
        layers.append(dense(_weights(rng, (count, size)), **fields))
        size = count
    write(path, *layers)
    first = int(np.prod(shape))
    x = rng.integers(0, 30, (1, first)).repeat(steps, 0) if driven else rng.random((steps, first)) < rng.choice([0.2, 0.6])
    return np.asarray(x, np.int64), driven, None if seed % 4 else int(rng.integers(3, 12))
