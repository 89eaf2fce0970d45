"""MNIST and Fashion-MNIST from their four files, N-MNIST from its folders, SHD from its HDF5 event lists."""

from __future__ import annotations

import gzip
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from snnport.datasets.event_sets import n_mnist, shd
from snnport.datasets.idx_sets import PARTS, idx_set
from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput

IMAGES = {"train": 7, "t10k": 3}


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def put_idx(folder: Path, packed: bool = True) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    rng, found = np.random.default_rng(0), {}
    for part in PARTS:
        count = IMAGES[part.split("-")[0]]
        shape = (count, 28, 28) if "images" in part else (count,)
        found[part] = rng.integers(0, 10, shape, np.uint8)
        content = idx(found[part])
        (folder / (f"{part}.gz" if packed else part)).write_bytes(gzip.compress(content) if packed else content)
    return found


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("inside", ["", "fashion-mnist"])
def test_four_idx_files(tmp_path: Path, packed: bool, inside: str) -> None:
    wanted = put_idx(tmp_path / inside, packed)
    found = idx_set("fashion-mnist", tmp_path)
    assert np.array_equal(found.train_x, wanted[PARTS[0]])
    assert found.test_y.tolist() == wanted[PARTS[3]].tolist()


def test_the_names_with_a_dot_are_known_too(tmp_path: Path) -> None:
    put_idx(tmp_path, packed=False)
    for part in PARTS:
        (tmp_path / part).rename(tmp_path / part.replace("-idx", ".idx"))
    assert len(idx_set("mnist", tmp_path).train_x) == 7


def test_a_set_that_is_not_whole(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds train-images-idx3-ubyte, packed"):
        idx_set("mnist", tmp_path)
    put_idx(tmp_path)
    (tmp_path / f"{PARTS[3]}.gz").unlink()
    with pytest.raises(InvalidInput, match="t10k-labels-idx1-ubyte is missing"):
        idx_set("mnist", tmp_path)
    (tmp_path / f"{PARTS[3]}.gz").write_bytes(gzip.compress(idx(np.zeros(2, np.uint8))))
    with pytest.raises(InvalidInput, match="labels of shape"):
        idx_set("mnist", tmp_path)
    (tmp_path / f"{PARTS[0]}.gz").write_bytes(gzip.compress(idx(np.zeros(7, np.uint8))))
    with pytest.raises(InvalidInput, match="pictures of bytes are needed"):
        idx_set("mnist", tmp_path)


def put_shd(folder: Path, zipped: bool = False, units: int = 700) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    rng, kept = np.random.default_rng(1), {}
    for part, count in (("train", 4), ("test", 2)):
        path = folder / f"shd_{part}.h5"
        events = [(np.sort(rng.random(30)).astype(np.float16), rng.integers(0, units, 30)) for _ in range(count)]
        with h5py.File(path, "w") as file:
            times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.float16))
            places = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
            for k, (time, unit) in enumerate(events):
                times[k], places[k] = time, unit
            file["labels"] = np.arange(count)
        if zipped:
            with zipfile.ZipFile(folder / f"{path.name}.zip", "w") as archive:
                archive.write(path, path.name)
            path.unlink()
        kept[part] = events
    return kept


@pytest.mark.parametrize("zipped", [True, False])
def test_shd_event_lists(tmp_path: Path, zipped: bool) -> None:
    events = put_shd(tmp_path, zipped)
    found = shd(tmp_path, dt=10e-3, bins=140)
    assert found.train_x.shape == (4, 140, 140)
    assert found.test_y.tolist() == [0, 1]
    wanted = np.zeros((140, 140), int)
    for time, unit in zip(*events["test"][1], strict=True):
        wanted[int(np.float64(time) / 10e-3), unit // 5] += 1
    assert np.array_equal(found.test_x[1], wanted)


def test_shd_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"it holds no shd_train\.h5"):
        shd(tmp_path)
    put_shd(tmp_path)
    with pytest.raises(InvalidInput, match="a divisor of 700 are needed"):
        shd(tmp_path, bins=3)
    with pytest.raises(InvalidInput, match="steps of 700 channels"):
        shd(tmp_path, dt=1e-6)
    (tmp_path / "shd_test.h5").unlink()
    with pytest.raises(InvalidInput, match=r"it holds no shd_test\.h5"):
        shd(tmp_path)
    (tmp_path / "shd_test.h5").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="it cannot be read as SHD"):
        shd(tmp_path)
    put_shd(tmp_path, units=900)
    with pytest.raises(InvalidInput, match=r"in channels 0..699"):
        shd(tmp_path)
    with h5py.File(tmp_path / "shd_train.h5", "a") as file:
        del file["labels"]
        file["labels"] = np.arange(3)
    with pytest.raises(InvalidInput, match="4 lists of times, 4 of units, 3 labels"):
        shd(tmp_path)


def recording(events: list[tuple[int, int, int, int]]) -> bytes:
    """x, y, polarity, microseconds, 5 bytes each."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, p, t in events)


def put_nmnist(folder: Path, lower: bool = False) -> None:
    for part in ("Train", "Test"):
        for digit in (2, 7):
            place = folder / (part.lower() if lower else part) / str(digit)
            place.mkdir(parents=True)
            for k in range(3):
                (place / f"{k:05}.bin").write_bytes(recording([(digit, k, 1, 4000), (0, 0, 0, 999_999)]))


@pytest.mark.parametrize("lower", [True, False])
def test_nmnist_folders(tmp_path: Path, lower: bool) -> None:
    put_nmnist(tmp_path, lower)
    found = n_mnist(tmp_path, dt=5e-3, first=2)
    assert found.train_x.shape == (4, 60, 2, 34, 34)
    assert found.train_y.tolist() == [2, 2, 7, 7]
    assert found.test_x[3].sum() == 1
    assert found.test_x[3, 0, 1, 1, 7] == 1


def test_nmnist_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="it holds no folder Train"):
        n_mnist(tmp_path)
    (tmp_path / "Train").mkdir()
    with pytest.raises(InvalidInput, match="no recordings in folders named by digit"):
        n_mnist(tmp_path)
    with pytest.raises(InvalidInput, match=r"dt -1 s does not cut 0.3 s into steps"):
        n_mnist(tmp_path, dt=-1)


def test_parts_that_do_not_belong_together() -> None:
    with pytest.raises(InvalidInput, match="2 samples and 1 labels"):
        Splits(np.zeros((2, 3)), np.zeros(1), np.zeros((2, 3)), np.zeros(2))


@pytest.mark.data
def test_the_real_mnist(data_dir: Path) -> None:
    found = idx_set("mnist", data_dir)
    assert (found.train_x.shape, found.test_x.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert np.bincount(found.test_y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.data
def test_a_real_recording_of_nmnist(data_dir: Path, tmp_path: Path) -> None:
    content = (data_dir / "events" / "tonic_sample_nmnist.bin").read_bytes()
    for part in ("Train", "Test"):
        (tmp_path / part / "4").mkdir(parents=True)
        (tmp_path / part / "4" / "a.bin").write_bytes(content)
    found = n_mnist(tmp_path)
    assert found.test_x.sum() == 4302
    assert found.test_y.tolist() == [4]
