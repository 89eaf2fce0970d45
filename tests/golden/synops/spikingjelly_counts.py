# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "spikingjelly[nir]==2.0.0", "numpy>=2"]
# ///
"""What SpikingJelly counts on cases.npz, by its own SynOpCounter, into spikingjelly.npz.

NAME: (2,) int64: one call for all samples and steps (its multi-step mode), and one call a step (single-step mode).
"""

from __future__ import annotations

import numpy as np
from layers import HERE, read
from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter


def count(layer, calls) -> int:
    counter = SynOpCounter()
    with DispatchCounterMode([counter]):
        for x in calls:
            layer(x)
    return counter.get_total()


def main() -> None:
    results = {}
    for name, layer, x, _ in read():
        once, by_step = count(layer, [x.flatten(0, 1)]), count(layer, x.unbind(1))
        results[name] = np.array([once, by_step], np.int64)
    np.savez_compressed(HERE / "spikingjelly.npz", **results)


if __name__ == "__main__":
    main()
