"""What the round trips share: read the list of written files, run each in the framework, keep the spikes of every population.

A script gives `load(path, case)`, which loads one file with the framework's own importer and returns (modules, step): the
modules by the name of their node, and a function that takes one step's input (n_samples, *shape) and runs the network on.
Input and spikes are (n_samples, n_steps, n_neurons).
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

Step = Callable[[torch.Tensor], Any]
Load = Callable[[Path, dict[str, Any]], tuple[dict[str, torch.nn.Module], Step]]


def serve(framework: str, load: Load) -> None:
    """python SCRIPT FOLDER OUT.npz [NETWORK...]: run the files of this framework that FOLDER/index.json lists."""
    folder, out, wanted = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    inputs = np.load(folder / "inputs.npz")
    cases = [case for case in json.loads((folder / "index.json").read_text()) if case["dialect"] == framework]
    spikes: dict[str, Any] = {}
    for case in cases:
        if wanted and case["network"] not in wanted:
            continue
        try:
            with torch.no_grad():
                found = run(folder / case["file"], case, inputs[case["network"]], load)
        except Exception as error:
            traceback.print_exc(limit=-3)
            found = {"error": np.array(repr(error)[:300])}
        for name, value in found.items():
            spikes[f"{case['network']}/{name}"] = value
    np.savez_compressed(out, **spikes)


def run(path: Path, case: dict[str, Any], raster: Any, load: Load) -> dict[str, Any]:
    """Population -> spikes (n_samples, n_steps, n_neurons), of one network."""
    torch.manual_seed(0)
    x = torch.tensor(raster.astype(np.float32)).reshape(*raster.shape[:2], *case["shape"])
    case = {**case, "n_samples": len(x), "n_steps": x.shape[1]}
    kept: dict[str, list[Any]] = {name: [] for name in case["populations"]}
    if case.get("one_by_one"):
        parts = [_steps(path, {**case, "n_samples": 1}, x[i], load, {k: [] for k in kept}) for i in range(len(x))]
        return {name: np.stack([part[name] for part in parts]) for name in kept}
    found = _steps(path, case, x.transpose(0, 1), load, kept)
    return {name: np.moveaxis(value.reshape(x.shape[1], len(x), -1), 0, 1) for name, value in found.items()}


def _steps(path: Path, case: dict[str, Any], x: torch.Tensor, load: Load, kept: dict[str, list[Any]]) -> dict[str, Any]:
    """Every population's spikes over x (n_steps, ...), steps first, in the smallest type that holds them."""
    modules, step = load(path, case)
    for name, written in case["populations"].items():
        modules[written].register_forward_hook(_keeper(kept[name]))
    if case.get("all_at_once"):
        step(x)
    else:
        for t in range(len(x)):
            step(x[t])
    found = {name: torch.stack([_first(v) for v in values]).numpy() for name, values in kept.items()}
    if case.get("all_at_once"):
        shape = (case["n_samples"], len(x), -1)
        found = {name: np.moveaxis(value.reshape(shape), 0, 1) for name, value in found.items()}
    return {name: _small(value.reshape(len(x), -1)) for name, value in found.items()}


def _keeper(kept: list[Any]) -> Any:
    def keep(module: Any, args: Any, output: Any) -> None:
        kept.append(_first(output).detach().clone())

    return keep


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _small(value: Any) -> Any:
    whole = np.rint(value)
    if not np.array_equal(whole, value):
        raise ValueError("a population gave values that are no whole numbers")
    return whole.astype(np.uint8 if whole.max(initial=0) < 256 and whole.min(initial=0) >= 0 else np.int32)
