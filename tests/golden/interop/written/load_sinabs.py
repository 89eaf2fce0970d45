# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "sinabs==3.1.3", "nir<=1.0.4", "nirtorch==2.0.2", "numpy<3"]
# ///
"""Written files in sinabs: from_nir; all steps at once, or step by step where the network has loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import roundtrip
import sinabs.nir


def load(path: Path, case: dict[str, Any]) -> tuple[dict[str, Any], roundtrip.Step]:
    """The network as sinabs builds it."""
    looped = case["arguments"]["looped"]
    model = sinabs.nir.from_nir(nir.read(path), batch_size=case["n_samples"], num_timesteps=1 if looped else None)
    state: list[Any] = [None]

    def step(x: Any) -> None:
        _, state[0] = model(x, state[0])

    def whole(x: Any) -> None:
        model(x.transpose(0, 1).flatten(0, 1))

    return dict(model.named_modules()), step if looped else whole


if __name__ == "__main__":
    roundtrip.serve("sinabs", load)
