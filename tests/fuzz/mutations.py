"""Mutations of real files: of any bytes, and of what the formats are made of (protobuf fields, HDF5 values, zip members, ...).

All choices come from the generator that is given, so that a seed names an input.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx

Rng = np.random.Generator
Mutation = Callable[[Rng, bytes], bytes]
NUMBERS = (0, 1, -1, 2, 3, 7, 255, 256, 65535, 2**31 - 1, -(2**31), 2**31, 2**53, 2**63 - 1, -(2**63))
REALS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-30, 1e30, 1.8e308, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    "a",
    "x" * 3000,
    "\u00e9\u4e2d",
    "../../etc/passwd",
    "/etc/passwd",
    "a.b",
    "a/b",
    "\x1b[31m",
    "{}",
    "NaN",
    "0",
    "-1",
    "%s%n",
    "\U0001f600",
)


def one(rng: Rng, options: Any) -> Any:
    """One of the options."""
    return options[int(rng.integers(len(options)))]


def of_bytes(rng: Rng, data: bytes) -> bytes:
    """Bits, bytes and blocks changed, moved, lost."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        if not out:
            return bytes(out)
        at, size = int(rng.integers(len(out))), int(rng.integers(1, 64))
        kind = int(rng.integers(7))
        if kind == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            out[at] = int(one(rng, (0, 255, 127, 128, 1)))
        elif kind == 2:
            out = out[:at]
        elif kind == 3:
            del out[at : at + size]
        elif kind == 4:
            out[at:at] = out[at : at + size]
        elif kind == 5:
            out[at : at + size] = rng.bytes(size)
        else:
            number = int(one(rng, NUMBERS)) & (2**64 - 1)
            width = int(one(rng, (2, 4, 8)))
            out[at : at + width] = (number & (2 ** (8 * width) - 1)).to_bytes(width, one(rng, ("little", "big")))
    return bytes(out)


def of_onnx(rng: Rng, data: bytes) -> bytes:
    """Fields of the protobuf."""
    try:
        model = onnx.load_from_string(data)
    except Exception:  # not an ONNX file any more
        return of_bytes(rng, data)
    for _ in range(int(rng.integers(1, 4))):
        _onnx_step(rng, model)
    content: bytes = model.SerializeToString()
    return content


def _onnx_step(rng: Rng, model: Any) -> None:
    graph, kind = model.graph, int(rng.integers(12))
    nodes, tensors = graph.node, graph.initializer
    if kind == 0 and tensors:
        tensor = one(rng, tensors)
        tensor.dims[:] = [int(one(rng, NUMBERS)) for _ in range(int(rng.integers(0, 5)))]
    elif kind == 1 and tensors:
        one(rng, tensors).data_type = int(rng.integers(0, 24))
    elif kind == 2 and tensors:
        tensor = one(rng, tensors)
        tensor.raw_data = of_bytes(rng, tensor.raw_data) if tensor.raw_data else rng.bytes(8)
    elif kind == 3 and tensors:
        tensor = one(rng, tensors)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", one(rng, TEXTS)), ("offset", str(one(rng, NUMBERS))), ("length", "4096")):
            tensor.external_data.add(key=key, value=value)
    elif kind == 4 and nodes:
        operators = ("Relu", "Conv", "Gemm", "MaxPool", "Loop", "If", "Scan", "Softmax", "Reshape", "Concat", "Identity", "")
        one(rng, nodes).op_type = one(rng, operators)
    elif kind == 5 and nodes:
        node = one(rng, nodes)
        if node.attribute:
            attribute = one(rng, node.attribute)
            attribute.ints[:] = [int(one(rng, NUMBERS)) for _ in range(len(attribute.ints))]
            attribute.f, attribute.i = float(np.float32(one(rng, REALS))), int(one(rng, NUMBERS))
    elif kind == 6 and nodes:
        node = one(rng, nodes)
        names = [name for n in nodes for name in n.output] + [t.name for t in tensors] + list(TEXTS[:3])
        if node.input:
            node.input[int(rng.integers(len(node.input)))] = one(rng, names)
    elif kind == 7 and nodes:
        del nodes[int(rng.integers(len(nodes)))]
    elif kind == 8 and nodes:
        nodes.add().CopyFrom(one(rng, nodes))
    elif kind == 9:
        for entry in model.opset_import:
            entry.version = int(one(rng, NUMBERS))
    elif kind == 10 and graph.input:
        shape = one(rng, graph.input).type.tensor_type.shape
        for dim in shape.dim:
            if rng.random() < 0.5:
                dim.dim_value = int(one(rng, NUMBERS))
    else:
        one(rng, [graph, *nodes, *tensors]).name = one(rng, TEXTS)


def of_hdf5(rng: Rng, data: bytes) -> bytes:
    """Values, shapes, types, names and links of an HDF5 file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        path.write_bytes(data)
        try:
            with h5py.File(path, "r+", locking=False) as file:
                for _ in range(int(rng.integers(1, 4))):
                    _hdf5_step(rng, file)
        except Exception:  # h5py refuses some changes; the others stay
            pass
        return path.read_bytes()


def _hdf5_step(rng: Rng, file: Any) -> None:
    names: list[str] = []
    file.visit(names.append)
    name = one(rng, names)
    kind = int(rng.integers(11))
    data = file[name]
    if kind == 0:
        del file[name]
    elif kind == 1:
        file.move(name, name.rpartition("/")[0] + "/" + str(one(rng, ("type", "edges", "0", "9", "v", "\u4e2d", "weight"))))
    elif kind == 2:
        del file[name]
        file[name] = h5py.SoftLink("/" + str(one(rng, names)))
    elif kind == 3:
        del file[name]
        file[name] = h5py.ExternalLink(one(rng, ("/etc/passwd", "other.h5", "")), "/node")
    elif kind == 4:
        file.copy(str(one(rng, names)), name.rpartition("/")[0] + "/copy")
    elif isinstance(data, h5py.Dataset):
        value = data[()]
        del file[name]
        _hdf5_value(rng, file, name, value, kind)
    else:
        file.create_dataset(name + "/extra", data=np.arange(3))


def _hdf5_value(rng: Rng, file: Any, name: str, value: Any, kind: int) -> None:
    array = np.asarray(value)
    if kind == 5:
        file.create_dataset(name, data=one(rng, TEXTS))
    elif kind == 6 and array.dtype.kind in "iuf" and array.size:
        changed = array.astype(np.float64).copy()
        changed.reshape(-1)[int(rng.integers(changed.size))] = float(one(rng, (*REALS, *NUMBERS)))
        file.create_dataset(name, data=changed if rng.random() < 0.7 else changed.astype(np.float32))
    elif kind == 7 and array.dtype.kind in "iuf":
        shape = tuple(int(n) for n in rng.integers(0, 5, int(rng.integers(0, 5))))
        file.create_dataset(name, data=rng.normal(size=shape))
    elif kind == 8:
        # promises much and holds nothing
        file.create_dataset(
            name, shape=(1 << 20, 1 << int(rng.integers(4, 20))), dtype="f8", chunks=(1 << 10, 16), compression="gzip"
        )
    elif kind == 9:
        layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4,))
        file.create_virtual_dataset(name, layout)
    else:
        file.create_dataset(
            name, data=one(rng, (np.zeros(0), np.int64(one(rng, NUMBERS)), np.float64(one(rng, REALS)), np.bool_(1)))
        )


def of_npz(rng: Rng, data: bytes) -> bytes:
    """Members of a zip of arrays: names, headers, shapes, types; and the JSON header of a program."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:
        return of_bytes(rng, data)
    for _ in range(int(rng.integers(1, 3))):
        _npz_step(rng, members)
    stream = io.BytesIO()
    stored = zipfile.ZIP_STORED if rng.random() < 0.3 else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(stream, "w", stored) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue() if rng.random() < 0.8 else of_bytes(rng, stream.getvalue())


def _npz_step(rng: Rng, members: dict[str, bytes]) -> None:
    if not members:
        return
    name = one(rng, list(members))
    content, kind = members[name], int(rng.integers(8))
    if name == "header.npy" and rng.random() < 0.7:
        array = np.load(io.BytesIO(content))
        members[name] = _npy(np.frombuffer(of_json(rng, array.tobytes()), np.uint8))
    elif kind == 0:
        del members[name]
    elif kind == 1:
        del members[name]
        members[str(one(rng, ("x.npy", "y.npy", "../x.npy", "a", "t.npy", "index.npy", "sample.npy", "meta.npy")))] = content
    elif kind == 2:
        members[name] = of_bytes(rng, content)
    elif kind == 3:
        shape = ", ".join(str(one(rng, (0, 1, 3, 10**6, 10**12, 10**18, -1))) for _ in range(int(rng.integers(1, 4))))
        members[name] = re.sub(rb"'shape': \([^)]*\)", f"'shape': ({shape},)".encode(), content, count=1)
    elif kind == 4:
        types = (b"'|O'", b"'<f8'", b"'|u1'", b"'<U9'", b"'<c16'", b"'<M8[s]'", b"[('a', '<i4')]", b"'|V0'", b"'>i8'")
        members[name] = re.sub(rb"'descr': '[^']*'", b"'descr': " + one(rng, types), content, count=1)
    elif kind == 5:
        size = [int(n) for n in rng.integers(0, 6, int(rng.integers(0, 5)))]
        members[name] = _npy(rng.normal(size=size).astype(one(rng, ("f8", "f4", "f2", "i8", "u1", "?"))))
    elif kind == 6:
        members[name] = _npy(np.full((6, 1, 4, 4), one(rng, REALS)))
    else:
        members[name] = b"\0" * (64 << 20)


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def of_json(rng: Rng, data: bytes) -> bytes:
    """Entries of a JSON document: other values, other types, lost and doubled."""
    try:
        document = json.loads(data)
    except ValueError:
        return of_bytes(rng, data)
    for _ in range(int(rng.integers(1, 4))):
        holder, key = None, None
        inner = document
        while isinstance(inner, dict | list) and inner and rng.random() < 0.85:
            holder, key = inner, one(rng, list(inner) if isinstance(inner, dict) else range(len(inner)))
            inner = holder[key]
        if holder is None:
            continue
        value = one(
            rng, (*NUMBERS[:11], 0.5, 1e300, True, None, "", "a", *TEXTS[2:6], [], {}, [[]], {"a": 1}, [0, -1], [10**9, 10**9])
        )
        if rng.random() < 0.2 and isinstance(holder, dict):
            del holder[key]
        else:
            holder[key] = value
    return json.dumps(document).encode("utf-8", "surrogatepass")


def of_idx(rng: Rng, data: bytes) -> bytes:
    """Header fields of an idx file, and damage of its compression."""
    zipped = data[:2] == b"\x1f\x8b"
    plain = bytearray(gzip.decompress(data) if zipped else data)
    kind = int(rng.integers(5))
    if kind == 0:
        plain[2] = int(rng.integers(256))
    elif kind == 1:
        plain[3] = int(rng.integers(256))
    elif kind == 2:
        at = 4 + 4 * int(rng.integers(max(1, plain[3])))
        plain[at : at + 4] = (int(one(rng, NUMBERS)) & 0xFFFFFFFF).to_bytes(4, "big")
    elif kind == 3:
        plain = bytearray(of_bytes(rng, bytes(plain)))
    else:
        plain += bytes(int(rng.integers(1, 1 << 16)))
    out = gzip.compress(bytes(plain), mtime=0) if zipped else bytes(plain)
    return of_bytes(rng, out) if rng.random() < 0.3 else out


def of_toml(rng: Rng, data: bytes) -> bytes:
    """Lines, numbers, types and tables of a TOML file."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(int(rng.integers(1, 5))):
        at, kind = int(rng.integers(len(lines))), int(rng.integers(8))
        if kind == 0:
            lines[at] = ""
        elif kind == 1:
            lines.insert(at, one(rng, lines))
        elif kind in (2, 3):
            value = one(
                rng,
                (
                    *NUMBERS,
                    "inf",
                    "nan",
                    "-nan",
                    "1e999",
                    "true",
                    '""',
                    "[]",
                    "[1, 2]",
                    "{}",
                    "1979-05-27",
                    "[[[1]]]",
                    '"' + "9" * 999 + '"',
                ),
            )
            lines[at] = re.sub(r"=.*", lambda _, v=value: f"= {v}", lines[at], count=1)
        elif kind == 4:
            lines[at] = "[" * int(one(rng, (1, 2, 500))) + str(one(rng, TEXTS)) + "]"
        elif kind == 5:
            lines[at] = re.sub(r"\w+", str(one(rng, ("value", "target", "name", "extends", "zzz"))), lines[at], count=1)
        elif kind == 6:
            lines[at] = f"x = {'[' * 3000}{']' * 3000}"
        else:
            lines = lines[:at] or [""]
    out = "\n".join(lines).encode("utf-8", "surrogatepass")
    return of_bytes(rng, out) if rng.random() < 0.2 else out


STRUCTURED: dict[str, Mutation] = {
    "onnx": of_onnx, "nir": of_hdf5, "net": of_hdf5, "npz": of_npz, "program": of_npz, "trace": of_npz, "idx": of_idx,
    "toml": of_toml, "json": of_json,
}  # fmt: skip


def mutated(kind: str, rng: Rng, seeds: list[bytes]) -> bytes:
    """An input of a format: some structure changed, some bytes changed, or both."""
    data = one(rng, seeds)
    how = rng.random()
    if how < 0.65:
        return STRUCTURED[kind](rng, data)
    return of_bytes(rng, data if how < 0.9 else STRUCTURED[kind](rng, data))
