"""The real files that inputs are mutated from, small ones, so that thousands of them take minutes."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from snnport.models.digits import DIGITS

GOLDEN = Path(__file__).parents[1] / "golden"
PACKAGE = Path(__import__("snnport").__file__).parent
SHAPE = (1, 4, 4)


def tiny_onnx() -> bytes:
    """Convolution, batch norm, max pooling, linear: 1 x 4 x 4 to 3 classes."""
    rng = np.random.default_rng(0)
    arrays = {
        "w1": rng.normal(size=(2, 1, 3, 3)), "b1": rng.normal(size=2), "s": np.ones(2), "o": np.zeros(2), "m": np.zeros(2),
        "v": np.ones(2), "w2": rng.normal(size=(3, 8)), "b2": rng.normal(size=3),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], name="conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "s", "o", "m", "v"], ["n"], name="norm"),
        helper.make_node("Relu", ["n"], ["r"], name="relu"),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flat", axis=1),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], name="linear", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *SHAPE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items()],
    )  # fmt: skip
    content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    return content


def samples(n: int = 6) -> dict[str, np.ndarray]:
    """Images for the tiny network, and labels."""
    rng = np.random.default_rng(1)
    return {"x": rng.integers(0, 17, (n, *SHAPE)).astype(np.uint8), "y": rng.integers(0, 3, n)}


def npz(**arrays: np.ndarray) -> bytes:
    """An .npz."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def idx(values: np.ndarray) -> bytes:
    """An idx file of bytes."""
    head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return head + values.astype(np.uint8).tobytes()


def seeds_of(kind: str) -> list[bytes]:
    """The contents that inputs of a format are made from."""
    if kind == "onnx":
        return [tiny_onnx(), DIGITS.onnx.read_bytes()]
    if kind == "nir":
        found = [path.read_bytes() for path in sorted((GOLDEN / "nir").glob("lif_*.nir"))]
        for archive in sorted((GOLDEN / "interop").glob("*/networks.zip")):
            with zipfile.ZipFile(archive) as files:
                names = [i for i in files.infolist() if i.filename.endswith(".nir") and i.file_size < 60_000]
                found += [files.read(i) for i in names[:4]]
        return found
    if kind == "net":
        return [path.read_bytes() for path in sorted((GOLDEN / "netx").glob("*.net"))]
    if kind == "toml":
        chips = sorted((PACKAGE / "targets").glob("*/chip*.toml"))
        own = (
            b'name = "mine"\ntarget = "cpu"\nextends = "cpu"\n[numbers.cores]\n'
            b'value = 2\nunit = "cores"\nsource = "me"\nconfidence = "low"\n'
        )
        return [own, *(path.read_bytes() for path in [*chips, *sorted((PACKAGE / "sim" / "prices").glob("*.toml"))])]
    if kind == "idx":
        plain = idx(samples()["x"][:, 0])
        return [plain, gzip.compress(plain, mtime=0), idx(samples()["y"])]
    return [npz(**samples())]


__all__ = ["onnx", "seeds_of"]
