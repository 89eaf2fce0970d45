# /// script
# requires-python = "==3.11.*"
# dependencies = ["torch==2.13.0", "spikingjelly[nir]==2.0.0", "numpy"]
# ///
"""SpikingJelly's converters: RateCodingRecipe (greatest value, 99.9th percentile) and LocalThresholdBalancingRecipe."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from convert_case import BATCH, Network, main
from spikingjelly.activation_based import ann2snn, functional
from torch import Tensor, nn


def convert(network: Network, calibration: Tensor, method: str) -> tuple[nn.Module, Callable[[nn.Module], None]]:
    """method: max, 99.9% or balanced."""
    loader = [(part, None) for part in calibration.split(BATCH)]
    if method == "balanced":
        recipe = ann2snn.LocalThresholdBalancingRecipe(dataloader=loader)
    else:
        recipe = ann2snn.RateCodingRecipe(dataloader=loader, mode="Max" if method == "max" else method)
    return ann2snn.Converter(recipe=recipe, device="cpu").convert(network).eval(), functional.reset_net


if __name__ == "__main__":
    main(convert, {"spikingjelly": version("spikingjelly")})
