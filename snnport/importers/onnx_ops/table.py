"""Which function reads which operator, and what to say about those that have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops import conv, dense, fold, layout, pointwise, pool, tail
from snnport.importers.onnx_walk import Value, Walk

Handler: TypeAlias = Callable[[Op, Walk], Value]

OPERATORS: Mapping[str, Handler] = MappingProxyType(
    {
        "Conv": conv.conv,
        "Gemm": dense.gemm,
        "MatMul": dense.mat_mul,
        "BatchNormalization": pointwise.batch_normalization,
        "Relu": pointwise.relu,
        "Clip": pointwise.clip,
        "Add": pointwise.add,
        "Sum": pointwise.sum_,
        "Sub": pointwise.sub,
        "Mul": pointwise.mul,
        "Div": pointwise.div,
        "MaxPool": pool.max_pool,
        "AveragePool": pool.average_pool,
        "GlobalAveragePool": pool.global_average_pool,
        "GlobalMaxPool": pool.global_max_pool,
        "ReduceMean": pool.reduce_mean,
        "ReduceMax": pool.reduce_max,
        "Reshape": layout.reshape,
        "Transpose": layout.transpose,
        "Flatten": layout.flatten,
        "Squeeze": layout.squeeze,
        "Unsqueeze": layout.unsqueeze,
        "Identity": layout.identity,
        "Dropout": layout.dropout,
        "Cast": layout.cast,
        "Softmax": tail.softmax,
        "LogSoftmax": tail.softmax,
        "ArgMax": tail.arg_max,
        "Constant": fold.constant,
        "Shape": fold.shape,
        **{kind: fold.only_constants for kind in fold.FOLDS if kind not in ("Add", "Sub", "Mul", "Div", "Cast")},
    }
)

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Softplus"),
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
        "Pad": "Use the padding of the convolution or pool behind it",
        "LRN": "Train without local response normalisation, or with batch norm",
        "InstanceNormalization": "Train with batch norm, which is constant in inference",
        "LayerNormalization": "Train with batch norm, which is constant in inference",
    }
)
"""Advice for operators that are met often."""
