"""Tensors of an ONNX file as arrays, each checked against the bytes that are there before anything is allocated."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper

from snnport.errors import InvalidGraph, UnsupportedNode

Array: TypeAlias = npt.NDArray[Any]

MAX_ELEMENTS = 2**24
"""Most values a tensor of one sample may have: far beyond any chip, far below what would exhaust a machine."""


def refuse_beyond_limit(label: str, size: int) -> None:
    """Raise InvalidGraph for a node whose result would have more than MAX_ELEMENTS values, before it is allocated."""
    if size > MAX_ELEMENTS:
        raise InvalidGraph(label, f"its result has {size} values, the limit is {MAX_ELEMENTS}")


# data type -> (bytes a value takes in raw_data, the field that holds it otherwise), onnx.proto3, message TensorProto
_STORED: dict[int, tuple[int, str]] = {
    TensorProto.FLOAT: (4, "float_data"),
    TensorProto.DOUBLE: (8, "double_data"),
    TensorProto.FLOAT16: (2, "int32_data"),
    TensorProto.BOOL: (1, "int32_data"),
    TensorProto.INT8: (1, "int32_data"),
    TensorProto.UINT8: (1, "int32_data"),
    TensorProto.INT16: (2, "int32_data"),
    TensorProto.UINT16: (2, "int32_data"),
    TensorProto.INT32: (4, "int32_data"),
    TensorProto.UINT32: (4, "uint64_data"),
    TensorProto.INT64: (8, "int64_data"),
    TensorProto.UINT64: (8, "uint64_data"),
}


def type_name(data_type: int) -> str:
    """The name that onnx.proto3 gives a data type, or its number."""
    known = {number: name for name, number in TensorProto.DataType.items()}
    return str(known.get(data_type, f"type {data_type}")).lower()


def check_tensor(tensor: TensorProto, where: str) -> None:
    """Raise unless the data of `tensor` are in the file and as long as its dimensions say."""
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise UnsupportedNode(
            where, "its data lie in another file, and paths in a file are not followed", "Save the model as one file"
        )
    if tensor.HasField("segment"):
        raise UnsupportedNode(where, "its data are stored in segments", "Save the model again with a current onnx")
    if any(size < 0 for size in tensor.dims):
        raise InvalidGraph(where, f"it has a negative dimension: {tuple(tensor.dims)}")
    if tensor.data_type not in _STORED:
        return
    width, field = _STORED[tensor.data_type]
    wanted = math.prod(tensor.dims)
    raw = tensor.HasField("raw_data")
    found = len(tensor.raw_data) if raw else len(getattr(tensor, field))
    if found != wanted * (width if raw else 1):
        unit = "bytes" if raw else "values"
        raise InvalidGraph(
            where, f"its shape {tuple(tensor.dims)} needs {wanted * (width if raw else 1)} {unit} and the file holds {found}"
        )


def read_tensor(tensor: TensorProto, where: str) -> Array:
    """The values of `tensor`. Raises UnsupportedNode for strings, bfloat16, 4 and 8 bit floats, and for data elsewhere."""
    check_tensor(tensor, where)
    if tensor.data_type not in _STORED:
        raise UnsupportedNode(
            where, f"its values are of {type_name(tensor.data_type)}", "Export the model with float32 weights"
        )
    return np.asarray(numpy_helper.to_array(tensor))
