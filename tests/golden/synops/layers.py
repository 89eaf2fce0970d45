"""The cases of cases.npz as torch layers and the tensors that reach them. Imported by the generators, which have torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent


def read() -> Iterator[tuple[str, nn.Module, torch.Tensor, int]]:
    """(name, layer, x, k): x (n_samples, n_steps, ...) reaches the layer; k: width of an average pooling in front, or 0."""
    with np.load(HERE / "cases.npz") as file:
        arrays = dict(file)
    for name in sorted({key.rsplit("/", 1)[0] for key in arrays}):
        geometry = json.loads(str(arrays[f"{name}/geometry"]))
        weight = torch.tensor(arrays[f"{name}/weight"], dtype=torch.float32)
        x = torch.tensor(arrays[f"{name}/raster"], dtype=torch.float32)
        if geometry.get("pool"):
            flat = nn.functional.avg_pool2d(x.flatten(0, 1), geometry["pool"])
            scale = 1 if geometry["average"] else geometry["pool"] ** 2
            x = (flat * scale).round() if scale > 1 else flat
            x = x.unflatten(0, arrays[f"{name}/raster"].shape[:2])
        if weight.ndim == 2:
            layer: nn.Module = nn.Linear(weight.shape[1], weight.shape[0])
        else:
            out, per_group, *kernel = weight.shape
            options = {key: geometry[key] for key in ("stride", "padding", "dilation", "groups")}
            layer = nn.Conv2d(per_group * options["groups"], out, tuple(kernel), **options)
        layer.weight.data = weight
        yield name, layer.requires_grad_(False), x, geometry.get("pool", 0) if geometry.get("average") else 0
