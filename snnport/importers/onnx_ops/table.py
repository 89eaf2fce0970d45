"""Which function reads which operator, and what to say about those that have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops import add, affine, conv, dense, fold, layout, pool, rectify, tail
from snnport.importers.onnx_walk import Value, Walk

Handler: TypeAlias = Callable[[Op, Walk], Value | tuple[Value, ...]]

OPERATORS: Mapping[str, Handler] = MappingProxyType(
    {
        "Conv": conv.conv,
        "Gemm": dense.gemm,
        "MatMul": dense.mat_mul,
        "BatchNormalization": affine.batch_normalization,
        "Relu": rectify.relu,
        "LeakyRelu": rectify.leaky_relu,
        "PRelu": rectify.p_relu,
        "Clip": rectify.clip,
        "Max": rectify.greatest,
        "Min": rectify.least,
        "Abs": rectify.abs_,
        "Add": add.add,
        "Sum": add.sum_,
        "Sub": add.sub,
        "Mul": affine.mul,
        "Div": affine.div,
        "Neg": affine.neg,
        "MaxPool": pool.max_pool,
        "AveragePool": pool.average_pool,
        "GlobalAveragePool": pool.global_average_pool,
        "GlobalMaxPool": pool.global_max_pool,
        "ReduceMean": pool.reduce_mean,
        "ReduceMax": pool.reduce_max,
        "ReduceSum": pool.reduce_sum,
        "Reshape": layout.reshape,
        "Transpose": layout.transpose,
        "Flatten": layout.flatten,
        "Squeeze": layout.squeeze,
        "Unsqueeze": layout.unsqueeze,
        "Gather": layout.gather,
        "Slice": layout.slice_,
        "Concat": layout.concat,
        "Split": layout.split,
        "Pad": layout.pad,
        "Expand": layout.expand,
        "Tile": layout.tile,
        "DepthToSpace": layout.depth_to_space,
        "SpaceToDepth": layout.space_to_depth,
        "Identity": layout.identity,
        "Dropout": layout.dropout,
        "Cast": layout.cast,
        "Softmax": tail.softmax,
        "LogSoftmax": tail.softmax,
        "ArgMax": tail.arg_max,
        "Constant": fold.constant,
        "Shape": fold.shape,
        **dict.fromkeys(fold.ONLY_CONSTANTS, fold.only_constants),
    }
)
