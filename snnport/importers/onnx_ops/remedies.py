"""What to say about operators that are met often and have no counterpart."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("Elu", "Selu", "Celu", "Gelu", "Sigmoid", "HardSwish", "Tanh", "Softplus"),
            "Train the network with ReLU in its place",
        ),
        **dict.fromkeys(("If", "Loop", "Scan"), "Export by tracing with fixed shapes, so that no control flow remains"),
        **dict.fromkeys(
            ("LSTM", "GRU", "RNN"), "Recurrent cells are not converted: train a spiking network and import its .nir"
        ),
        **dict.fromkeys(
            (
                "QuantizeLinear",
                "DequantizeLinear",
                "DynamicQuantizeLinear",
                "QLinearConv",
                "QLinearMatMul",
                "ConvInteger",
                "MatMulInteger",
            ),
            "Export the float model: quantisation is done here",
        ),
        **dict.fromkeys(
            ("ConvTranspose", "Resize", "Upsample"), "Upsampling is not converted: train without it, or run that part elsewhere"
        ),
        **dict.fromkeys(
            ("Mish", "Swish", "HardSigmoid", "ThresholdedRelu", "Erf", "Exp"), "Train the network with ReLU in its place"
        ),
        "LRN": "Train without local response normalisation, or with batch norm",
        "InstanceNormalization": "Train with batch norm, which is constant in inference",
        "LayerNormalization": "Train with batch norm, which is constant in inference",
    }
)
"""Advice for operators that are met often."""
