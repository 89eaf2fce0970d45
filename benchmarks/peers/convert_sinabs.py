# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "sinabs==3.1.3", "nir<=1.0.4", "numpy"]
# ///
"""Sinabs' from_model: IAF neurons of threshold 1 that may spike several times a step, as it is and with weights normalised.

from_model leaves weights alone; "normalised" scales them first so that the 99.9th percentile of each layer is 1, which is what
its tutorials do by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import sinabs
import torch
from convert_case import Network, main
from convert_normalised import normalise
from sinabs.from_torch import from_model
from torch import Tensor, nn


def convert(network: Network, calibration: Tensor, method: str) -> tuple[nn.Module, Callable[[nn.Module], None]]:
    """method: plain or normalised."""
    if method == "normalised":
        normalise(network, calibration, 99.9)
    plan = network.plan
    spiking = from_model(network, num_timesteps=1, spike_layer_class=sinabs.layers.IAFSqueeze).spiking_model
    spiking.plan = plan

    def reset(module: nn.Module) -> None:
        for part in module.modules():
            if isinstance(part, sinabs.layers.StatefulLayer):
                part.reset_states()

    torch.manual_seed(0)
    return spiking.eval(), reset


if __name__ == "__main__":
    main(convert, {"sinabs": version("sinabs")}, value_is_count=True)
