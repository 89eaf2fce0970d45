"""What is installed, what is missing, and the command that adds it."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from snnport.targets.loihi.vendor import LAVA
from snnport.targets.xylo.vendor import XYLOSIM

CORE = ("numpy", "h5py", "nir", "numba", "onnx", "typer", "rich", "jinja2", "plotly")
EXTRAS = {
    "onnxruntime": ("verify", "an independent ONNX executor"),
    "torch": ("train", "training"),
    "norse": ("train", "neuron cells for training"),
    "distributed": ("sweep", "sweeps over several processes or machines (Dask)"),
    "pyyaml": ("sanafe", "SANA-FE architectures as chips"),
}
PROGRAMS = {"chromium": "a look at HTML reports without a screen"}


@dataclass(frozen=True)
class Part:
    """One thing snnport uses. version: empty if it is missing. remedy: the command that adds it."""

    name: str
    needed_for: str
    version: str
    required: bool
    remedy: str


def doctor() -> tuple[Part, ...]:
    """Everything snnport can use, installed or not."""
    parts = [Part("python", "everything", platform.python_version(), True, "")]
    parts += [Part(name, "everything", _version(name), True, f"pip install '{name}'") for name in CORE]
    parts += [
        Part(name, use, _version(name), False, f"pip install 'snnport[{extra}]'") for name, (extra, use) in EXTRAS.items()
    ]
    for name, use in PROGRAMS.items():
        found = shutil.which(name)
        parts.append(Part(name, use, str(Path(found)) if found else "", False, f"install the system package {name}"))
    for vendor, chip in ((LAVA, "Loihi"), (XYLOSIM, "Xylo")):
        parts.append(Part(vendor.distribution, f"--engine vendor on {chip}", vendor.version(), False, f"make {vendor.make}"))
    return tuple(parts)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
