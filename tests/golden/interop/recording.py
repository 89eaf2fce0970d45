"""What every generator here shares: inputs, weights on a grid, and the files that a framework's recordings become.

Imported by the generators, which run where torch and a framework are installed; the tests read the files alone.

A folder a framework: networks.zip with NETWORK.nir as its own exporter writes it, traces.npz and manifest.json. Arrays:
`NETWORK/x` (n_samples, n_steps, *input), `NETWORK/spikes/NODE` and `NETWORK/v/NODE` (n_samples, n_steps, n_neurons) under
the names that the nodes have in snnport, nested ones dotted.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch

HERE = Path(__file__).parent
STEPS = 100
RATES = (0.01, 0.6)
"""Least and greatest firing rate of a recorded layer, spikes a neuron and step: neither silence nor saturation proves much."""
DRIVES = (0.08, 0.05, 0.12, 0.02, 0.18, 0.0, 0.25, -0.05, 0.35, -0.1, 0.5, -0.15, -0.25)
"""Means of weights that are tried, until every layer fires at such a rate."""


Ran = tuple[torch.nn.Module, Mapping[str, torch.Tensor]]
"""A network, and the spikes of its layers by node, (n_samples, n_steps, ...)."""


@dataclass(frozen=True)
class About:
    """What must be known beside a network's file.

    infers: the dialect that its file betrays. flags: what must be said so that it runs as it did in the framework, as
    keywords of read_nir. open: what the file alone leaves open ("reset", "dt"). lost: what its exporter left out and no
    flag brings back; such a network must differ, which shows that the loss is real. bound: the largest difference of
    recorded potentials that float sums in another order make. exact: weights on a binary grid, so that sums are exact in
    every order. note: anything else.
    """

    infers: str
    flags: Mapping[str, Any] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    bound: float = 0.0
    exact: bool = True
    lost: str = ""
    note: str = ""


def seeded(name: str) -> torch.Generator:
    """Random numbers that depend on a network's name alone."""
    return torch.Generator().manual_seed(int.from_bytes(name.encode(), "little") % (1 << 31))


def spikes(name: str, *shape: int, rate: float = 0.3, samples: int = 2, steps: int = STEPS) -> torch.Tensor:
    """Random spikes (n_samples, n_steps, *shape)."""
    return (torch.rand(samples, steps, *shape, generator=seeded(f"{name} x")) < rate).float()


def currents(name: str, *shape: int, samples: int = 2, steps: int = STEPS, grid: int = 16) -> torch.Tensor:
    """Random currents from 0 to 1 (n_samples, n_steps, *shape), multiples of 1 / grid; of any value where grid is 0."""
    x = torch.rand(samples, steps, *shape, generator=seeded(f"{name} x"))
    return (x * grid).round() / grid if grid else x


def on_grid(module: torch.nn.Module, name: str, spread: float, bias: float = 0.0, shift: float = 0.0, grid: int = 64) -> None:
    """Give `module` random weights and biases that are multiples of 1 / grid, of any value where grid is 0.

    Weights are normal with the mean `shift` and the standard deviation `spread`, biases with the deviation `bias`.
    """
    for key, values in module.named_parameters():
        mean, width = (shift, spread) if "weight" in key else (0.0, bias)
        drawn = mean + width * torch.randn(values.shape, generator=seeded(f"{name} {key}"))
        values.data = (drawn * grid).round() / grid if grid else drawn
        values.requires_grad_(False)


def lively(build: Callable[[float], Ran], drives: Sequence[float] = DRIVES) -> Ran:
    """What `build` gives for the first mean of weights with which every layer fires, and none all the time."""
    seen = []
    for drive in drives:
        ran = build(drive)
        rates = {node: float((values > 0).float().mean()) for node, values in ran[1].items()}
        if all(RATES[0] <= rate <= RATES[1] for rate in rates.values()):
            return ran
        seen.append((drive, rates))
    raise ValueError(f"no drive makes every layer fire: {seen}")


class Recordings:
    """The networks of one framework, one after the other, and their files."""

    def __init__(self, framework: str, packages: tuple[str, ...]) -> None:
        self.folder = HERE / framework
        self.packages = packages
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.networks: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def add(
        self,
        name: str,
        graph: Any,
        x: torch.Tensor,
        fired: Mapping[str, torch.Tensor],
        about: About,
        v: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Store a network: the graph that its framework exported, input, spikes and potentials (n_samples, n_steps, ...)."""
        if name in self.networks:
            raise ValueError(f"two networks are called {name}")
        self.files[name] = _written(graph)
        self.arrays[f"{name}/x"] = _smallest(x)
        for node, values in fired.items():
            rate = float((values > 0).float().mean())
            if not RATES[0] <= rate <= RATES[1]:
                raise ValueError(f"{name}: {node} fires at a rate of {rate:.3f}, wanted are {RATES[0]} to {RATES[1]}")
            self.arrays[f"{name}/spikes/{node}"] = _smallest(values.flatten(2))
        for node, values in (v or {}).items():
            self.arrays[f"{name}/v/{node}"] = values.flatten(2).detach().numpy()
        self.networks[name] = asdict(about)

    def save(self) -> None:
        """Write networks.zip, traces.npz and manifest.json."""
        with zipfile.ZipFile(self.folder / "networks.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, content in self.files.items():
                archive.writestr(zipfile.ZipInfo(f"{name}.nir"), content, zipfile.ZIP_DEFLATED)
        np.savez_compressed(self.folder / "traces.npz", **self.arrays)
        manifest = {"versions": {package: version(package) for package in self.packages}, "networks": self.networks}
        (self.folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _written(graph: Any) -> bytes:
    """The .nir file of a graph."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        nir.write(path, graph)
        return path.read_bytes()


def _smallest(values: torch.Tensor) -> np.ndarray[Any, Any]:
    """Spikes as bytes, currents as float32."""
    array = values.detach().numpy()
    whole = np.array_equal(array, np.rint(array)) and array.min() >= 0 and array.max() < 256
    return array.astype(np.uint8 if whole else np.float32)
