"""Full disks, read-only places, sudden ends, files that would run something or reach elsewhere: old files stay whole."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from command import Command

from snnport.datasets import load_samples
from snnport.errors import InvalidGraph, InvalidInput
from snnport.events import read_npz, write_bytes
from snnport.importers.netxfile import read_layers
from snnport.importers.nirfile import read_raw
from snnport.models.digits import DIGITS
from snnport.nirdata import read_nirdata

FULL = (
    "import resource, signal, sys\n"
    "from snnport.cli import main\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))\n"
    "sys.argv = ['snnport', *sys.argv[1:]]\nmain()\n"
)
"""The command line where no file may grow beyond 512 bytes, as on a disk that is full."""


def outputs(converted: Path, folder: Path) -> dict[str, list[object]]:
    """Every verb that writes, and where."""
    onnx_, nir_, data = converted / "digits.onnx", converted / "digits.nir", converted / "digits_test.npz"
    few = folder / "few.npz"
    if not few.exists():
        full = np.load(data)
        np.savez(few, x=full["x"][:3], y=full["y"][:3])
    return {
        "a.nir": ["convert", onnx_, "-o", folder / "a.nir", "--scale", 16, "--calibration", few],
        "p.npz": ["lower", nir_, "--target", "cpu", "-o", folder / "p.npz"],
        "t.npz": ["run", nir_, "--input", few, "--scale", 16, "-o", folder / "t.npz", "--record", "spikes"],
        "e.nir": ["export", nir_, "--format", "nir", "-o", folder / "e.nir"],
    }


@pytest.mark.parametrize("name", ["a.nir", "p.npz", "t.npz", "e.nir"])
def test_a_full_disk_gives_one_line_and_leaves_the_old_file(converted: Path, tmp_path: Path, name: str) -> None:
    line = outputs(converted, tmp_path)[name]
    (tmp_path / name).write_bytes(b"old")
    before = sorted(p.name for p in tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", FULL, *map(str, line)], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    said = done.stderr.strip().splitlines()
    assert len([s for s in said if s.startswith("snnport: ")]) == 1
    assert "Traceback" not in done.stderr
    assert "it cannot be written" in said[-1]
    assert (tmp_path / name).read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_full_disk_under_the_caches_gives_one_line_too(converted: Path, tmp_path: Path) -> None:
    line = outputs(converted, tmp_path)["t.npz"]
    done = subprocess.run(
        [sys.executable, "-c", FULL, *map(str, line)], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("snnport: ")


@pytest.mark.parametrize("name", ["a.nir", "p.npz", "t.npz", "e.nir"])
def test_a_place_that_cannot_be_written_gives_one_line(snnport: Command, converted: Path, tmp_path: Path, name: str) -> None:
    line = outputs(converted, tmp_path)[name]
    place = Path("/proc") / name if os.geteuid() == 0 else tmp_path / "closed" / name
    if os.geteuid() != 0:
        place.parent.mkdir()
        place.parent.chmod(0o500)
    answer = snnport(*[place if part == tmp_path / name else part for part in line])
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "it cannot be written" in answer.err


def test_a_report_folder_that_cannot_be_made_gives_one_line(snnport: Command, converted: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    data = converted / "digits_test.npz"
    for verb, more in (("port", []), ("sweep", ["--workers", 0])):
        answer = snnport(verb, converted / "digits.nir", "--input", data, "--scale", 16, "-o", tmp_path / "file" / "x", *more)
        assert answer.code == 1
        assert "it cannot be made" in answer.err


WRITES = (
    "import sys\nfrom pathlib import Path\nfrom snnport.events import write_bytes\nprint('go', flush=True)\n"
    "while True:\n    for letter in (b'a', b'b'):\n        write_bytes(Path(sys.argv[1]), letter * 3_000_000)\n"
)


def test_killed_at_any_moment_the_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    write_bytes(path, b"a" * 3_000_000)
    chance = random.Random(0)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", WRITES, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = path.read_bytes()
        assert len(content) == 3_000_000
        assert content in (b"a" * 3_000_000, b"b" * 3_000_000)


class Bomb:
    """An object that would leave a mark where its pickle is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_no_pickle_is_loaded(snnport: Command, converted: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    bomb = pickle.dumps(Bomb(mark))
    np.save(tmp_path / "a.npy", np.array([Bomb(mark)], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=np.array([Bomb(mark)], object))
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
        archive.writestr("archive/version", "3\n")
    (tmp_path / "bare.pth").write_bytes(bomb)
    for name in ("a.npy", "a.npz"):
        assert snnport("run", converted / "digits.nir", "--input", tmp_path / name).code == 1
    for name in ("w.pt", "bare.pth"):
        assert snnport("inspect", tmp_path / name, "--builder", "resnet20").code == 1
        assert snnport("inspect", tmp_path / name).code == 1
    for name in ("x.onnx", "x.nir", "x.net", "x.npz"):
        (tmp_path / name).write_bytes(bomb)
        assert snnport("inspect", tmp_path / name).code == 1
    assert not mark.exists()


def test_no_path_in_an_onnx_file_is_followed(snnport: Command, tmp_path: Path) -> None:
    model = onnx.load(DIGITS.onnx)
    tensor = model.graph.initializer[0]
    secret = tmp_path / "secret.bin"
    secret.write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    answer = snnport("inspect", path, "--json")
    assert answer.code == 1
    assert "paths in a file are not followed" in answer.data["error"]["message"]


def links(path: Path, name: str) -> dict[str, object]:
    """HDF5 entries that lead elsewhere."""
    return {"soft": h5py.SoftLink("/real"), "external": h5py.ExternalLink(str(path.with_name("real.h5")), name)}


@pytest.mark.parametrize("kind", ["soft", "external"])
def test_no_link_in_an_hdf5_file_is_followed(tmp_path: Path, kind: str) -> None:
    for name, read, error in (
        ("node", read_raw, InvalidGraph), ("version", read_raw, InvalidGraph), ("layer", read_layers, InvalidGraph),
        ("nodes", read_nirdata, InvalidInput),
    ):  # fmt: skip
        path = tmp_path / f"{name}.{kind}.h5"
        with h5py.File(path, "w") as file:
            file.create_group("real/nodes")
            if name == "version":
                file.create_group("node")
            file[name] = links(path, f"/{name}")[kind]
        with pytest.raises(error, match="is a link"):
            read(path)


def test_a_virtual_dataset_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.nir"
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape=(4,))
        file.create_group("node").create_virtual_dataset("weight", layout)
    with pytest.raises(InvalidGraph, match="lies in another file"):
        read_raw(path)


def test_decompression_is_bounded(tmp_path: Path) -> None:
    zeros = bytes(1 << 20)
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"shape": (1 << 31,), "fortran_order": False, "descr": "|u1"})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as member:
        member.write(stream.getvalue())
        for _ in range(1100):
            member.write(zeros)
    with pytest.raises(InvalidInput, match="the limit is 1073741824"):
        read_npz(tmp_path / "bomb.npz")
    with zipfile.ZipFile(tmp_path / "lie.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", stream.getvalue() + zeros)
    with pytest.raises(InvalidInput, match="promises"):
        read_npz(tmp_path / "lie.npz")
    with gzip.open(tmp_path / "bomb.gz", "wb", compresslevel=1) as packed:
        packed.write(b"\0\0\x08\x01\x7f\xff\xff\xff" + zeros)
    with pytest.raises(InvalidInput, match="the limit is 1073741824"):
        load_samples(tmp_path / "bomb.gz", None, (4,))
    with h5py.File(tmp_path / "bomb.nir", "w") as file:
        file.create_group("node").create_dataset(
            "weight", shape=(1 << 20, 1 << 20), dtype="f8", chunks=(64, 64), compression="gzip"
        )
    with pytest.raises(InvalidGraph, match="its arrays take over"):
        read_raw(tmp_path / "bomb.nir")


def test_stored_arrays_are_mapped_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from snnport import events

    x = np.arange(60, dtype=np.int32).reshape(3, 20)
    np.savez(tmp_path / "x.npz", x=x, y=np.asfortranarray(x))
    monkeypatch.setattr(events, "MAPPED_BYTES", 100)
    found = read_npz(tmp_path / "x.npz")
    assert isinstance(found["x"], np.memmap)
    assert np.array_equal(found["x"], x)
    assert np.array_equal(found["y"], x)
    content = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "y.npz").write_bytes(content.replace(b"(3, 20)", b"(9, 20)"))
    with pytest.raises(InvalidInput, match="its header promises"):
        read_npz(tmp_path / "y.npz")
    (tmp_path / "z.npz").write_bytes(b"XX" + content[2:])
    with pytest.raises(InvalidInput, match="has no local header"):
        read_npz(tmp_path / "z.npz")
