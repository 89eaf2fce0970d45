# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "rockpool==3.1.0", "nir==1.0.8", "nirtorch==2.6", "numpy<2.4", "scipy", "setuptools<81"]
# ///
"""Written files in Rockpool: from_nir, all steps of all samples at once; with loops step by step, one sample at a time,

because its neurons keep the state of the first sample of a batch alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import roundtrip
from rockpool.nn.modules.torch.nir import from_nir


def load(path: Path, case: dict[str, Any]) -> tuple[dict[str, Any], roundtrip.Step]:
    """The network as Rockpool builds it."""
    model = from_nir(nir.read(path))
    state: list[Any] = [None]

    def step(x: Any) -> None:
        _, state[0] = model(x.reshape(1, 1, -1), state[0])

    def whole(x: Any) -> None:
        model(x.transpose(0, 1))

    return dict(model.named_modules()), step if case["arguments"]["looped"] else whole


if __name__ == "__main__":
    roundtrip.serve("rockpool", load)
