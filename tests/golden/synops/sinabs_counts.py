# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch==2.13.0", "sinabs==3.1.3", "nir<=1.0.4", "numpy>=2"]
# ///
"""What Sinabs counts on cases.npz, by its own hooks (sinabs.hooks.register_synops_hooks), into sinabs.npz.

NAME: (2,) float64: the layer's hook, and the model's hook, which multiplies back what average pooling divided by; both
times samples and steps, because the hooks give means over them. In float64, so that the means cost no digits that matter.
"""

from __future__ import annotations

import numpy as np
from layers import HERE, read
from sinabs.hooks import register_synops_hooks
from torch import nn


def main() -> None:
    results = {}
    for name, layer, x, averaged in read():
        calls = x.flatten(0, 1).double()
        # The hook reads the size of the pooling off the layer in front; its input is pooled already, so the pooling is undone
        # by repeating every value over its window.
        front = [nn.AvgPool2d(averaged)] if averaged else []
        if averaged:
            calls = calls.repeat_interleave(averaged, 2).repeat_interleave(averaged, 3)
        model = nn.Sequential(*front, layer.double())
        register_synops_hooks(model)
        model(calls)
        data = layer.hook_data
        means = (data["layer_synops_per_timestep"], data["synops_per_timestep"])
        results[name] = np.array([float(mean) * len(calls) for mean in means])
    np.savez_compressed(HERE / "sinabs.npz", **results)


if __name__ == "__main__":
    main()
