# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "snntorch==1.0.0", "nir==1.0.8", "nirtorch==2.6", "numpy<3"]
# ///
"""Written files in snnTorch: import_from_nir, one sample at a time, because its Flatten counts no batch axis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import roundtrip
import snntorch.import_nir


def load(path: Path, case: dict[str, Any]) -> tuple[dict[str, Any], roundtrip.Step]:
    """The network as snnTorch builds it."""
    model = snntorch.import_nir.import_from_nir(nir.read(path))
    state: list[Any] = [None]

    def step(x: Any) -> None:
        _, state[0] = model(x, state[0]) if state[0] is not None else model(x)

    return dict(model.named_modules()), step


if __name__ == "__main__":
    roundtrip.serve("snntorch", load)
