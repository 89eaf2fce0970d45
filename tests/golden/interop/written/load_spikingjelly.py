# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "spikingjelly==2.0.0", "nir==1.0.8", "nirtorch==2.6", "numpy<3"]
# ///
"""Written files in SpikingJelly: import_from_nir with the time step that the export names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import roundtrip
from spikingjelly.activation_based.nir_exchange.from_nir import import_from_nir


def load(path: Path, case: dict[str, Any]) -> tuple[dict[str, Any], roundtrip.Step]:
    """The network as SpikingJelly builds it."""
    model = import_from_nir(path, dt=case["arguments"]["dt"])
    state: list[Any] = [None]

    def step(x: Any) -> None:
        _, state[0] = model(x, state[0]) if state[0] is not None else model(x)

    return dict(model.named_modules()), step


if __name__ == "__main__":
    roundtrip.serve("spikingjelly", load)
