# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy>=2"]
# ///
"""Layers and their input, drawn once and kept in cases.npz, for every tool of this folder to count.

Per case NAME the file holds NAME/raster (n_samples, n_steps, channels, height, width) or (n_samples, n_steps, n), what the
source fired; NAME/weight, torch's layout; NAME/geometry, JSON: "pool" (kernel, 0 for none; stride is the same), "average"
(the pooling divides), "stride", "padding", "dilation", "groups" (convolutions). Run: python cases.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def conv(rng: np.random.Generator, weight: tuple[int, ...], **geometry: object) -> dict[str, object]:
    w = rng.integers(-127, 128, weight)
    w[rng.random(weight) < 0.15] = 0
    return {"weight": w, "stride": 1, "padding": 0, "dilation": 1, "groups": 1, "pool": 0, "average": False, **geometry}


def binary(rng: np.random.Generator, shape: tuple[int, ...], rate: float) -> np.ndarray:
    return (rng.random(shape) < rate).astype(np.int8)


def several(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> np.ndarray:
    return np.minimum(rng.poisson(mean, shape), 100).astype(np.int8)


def cases() -> dict[str, tuple[np.ndarray, dict[str, object]]]:
    rng = np.random.default_rng(20180114)
    small, table = (1, 10, 2, 12, 12), {"stride": 2, "padding": 1}
    made = {
        # A convolution of 2 into 4 channels, 3x3, stride 2, padding 1, on 12x12, 10 steps.
        "binary": (binary(rng, small, 0.2), conv(rng, (4, 2, 3, 3), **table)),
        "sum-pooled": (binary(rng, (1, 10, 2, 24, 24), 0.2), conv(rng, (4, 2, 3, 3), pool=2, **table)),
        "average-pooled": (binary(rng, (1, 10, 2, 24, 24), 0.2), conv(rng, (4, 2, 3, 3), pool=2, average=True, **table)),
        "multi-spike": (several(rng, small, 0.3), conv(rng, (4, 2, 3, 3), **table)),
        # Further geometry.
        "groups-dilation": (binary(rng, (2, 8, 4, 9, 11), 0.15), conv(rng, (6, 2, 3, 2), groups=2, dilation=2, padding=2)),
        "depthwise": (binary(rng, (2, 4, 6, 8, 8), 0.1), conv(rng, (6, 1, 5, 5), groups=6, stride=3)),
        "left-over": (binary(rng, (1, 4, 1, 11, 10), 0.3), conv(rng, (2, 1, 3, 3), stride=3, padding=1)),
        "pooled-multi-spike": (several(rng, (2, 4, 3, 12, 12), 0.2), conv(rng, (5, 3, 3, 3), pool=3)),
        "silent": (np.zeros((1, 4, 2, 6, 6), np.int8), conv(rng, (3, 2, 3, 3))),
        # Linear layers, and inputs that change class from one step or sample to the next.
        "linear": (binary(rng, (4, 16, 50), 0.1), {"weight": conv(rng, (30, 50))["weight"]}),
        "linear-multi-spike": (several(rng, (4, 16, 50), 0.4), {"weight": conv(rng, (30, 50))["weight"]}),
        "linear-mixed": (
            binary(rng, (4, 8, 20), 0.3) * rng.choice([1, 1, 1, 2], (4, 8, 1)).astype(np.int8),
            {"weight": conv(rng, (7, 20))["weight"]},
        ),
        "linear-signed": (
            binary(rng, (2, 8, 20), 0.4) * rng.choice([-1, 1], (2, 8, 20)).astype(np.int8),
            {"weight": conv(rng, (7, 20))["weight"]},
        ),
    }
    # Weights of 0 and 1 make a tool that looks at both operands count differently.
    made["binary-weights"] = (
        several(rng, (2, 4, 2, 6, 6), 0.5),
        {**conv(rng, (3, 2, 3, 3)), "weight": rng.integers(0, 2, (3, 2, 3, 3))},
    )
    made["both-binary"] = (
        binary(rng, (2, 4, 2, 6, 6), 0.5),
        {**conv(rng, (3, 2, 3, 3)), "weight": rng.integers(0, 2, (3, 2, 3, 3))},
    )
    made["linear-binary-weights"] = (several(rng, (2, 4, 12), 0.5), {"weight": rng.integers(0, 2, (5, 12))})
    return made


def main() -> None:
    arrays = {}
    for name, (raster, geometry) in cases().items():
        arrays[f"{name}/raster"] = raster
        arrays[f"{name}/weight"] = np.asarray(geometry.pop("weight"), np.int8)
        arrays[f"{name}/geometry"] = np.array(json.dumps(geometry))
    np.savez_compressed(HERE / "cases.npz", **arrays)


if __name__ == "__main__":
    main()
