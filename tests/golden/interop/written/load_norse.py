# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "norse==1.1.0", "nir==1.0.8", "nirtorch==2.6", "numpy<3", "setuptools<81"]
# ///
"""Written files in Norse 1.1.0: from_nir with the time step and the reset method that the export names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import norse.torch
import norse.torch.functional.reset as reset
import roundtrip


def load(path: Path, case: dict[str, Any]) -> tuple[dict[str, Any], roundtrip.Step]:
    """The network as Norse builds it."""
    method = reset.reset_subtract if case["arguments"]["reset_method"] == "reset_subtract" else reset.reset_value
    model = norse.torch.from_nir(nir.read(path), reset_method=method, dt=case["arguments"]["dt"])
    state: list[Any] = [None]

    def step(x: Any) -> None:
        _, state[0] = model(x, state[0])

    return dict(model.named_modules()), step


if __name__ == "__main__":
    roundtrip.serve("norse", load)
