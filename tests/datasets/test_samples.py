"""Input data of every kind: read in the model's order, or refused with the numbers."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from snnport.datasets import files, load_samples
from snnport.errors import InvalidInput, UnknownName

RNG = np.random.default_rng(0)


def saved(folder: Path, name: str = "x.npz", **content: Any) -> Path:
    path = folder / name
    np.savez(path, allow_pickle=True, **content)
    return path


def idx(values: np.ndarray, code: int = 8) -> bytes:
    return bytes([0, 0, code, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, np.uint8)


# ------------------------------------------------------------------------------------------------ images, spikes, scaling


def test_pictures_stay_bytes_and_are_scaled_when_used(tmp_path: Path) -> None:
    x = pixels(6, 3, 4, 5)
    samples = load_samples(saved(tmp_path, x=x), None, (3, 4, 5), scale=255, shift=0.5, mean=(0.1, 0.2, 0.3), std=(2,))
    assert samples.x.dtype == np.uint8
    assert (samples.n_samples, samples.n_steps, samples.y) == (6, 0, None)
    expected = (x[1:3] / 255 + 0.5 - np.reshape([0.1, 0.2, 0.3], (3, 1, 1))) / 2
    np.testing.assert_array_equal(samples.batch(1, 3), expected)
    assert samples.batch(0, 1).dtype == np.float64
    assert "images" in samples.notes[0]


def test_mean_for_each_element_of_a_flat_input(tmp_path: Path) -> None:
    samples = load_samples(saved(tmp_path, x=np.ones((2, 3))), None, (3,), mean=(0, 1, 2))
    np.testing.assert_array_equal(samples.batch(0, 1), [[1, 0, -1]])


def test_spikes_are_told_by_their_axes(tmp_path: Path) -> None:
    x = RNG.integers(0, 2, (4, 7, 2, 3, 3), np.uint8)
    samples = load_samples(saved(tmp_path, x=x), None, (2, 3, 3))
    assert samples.n_steps == 7
    np.testing.assert_array_equal(samples.raster(1, 3), x[1:3].reshape(2, 7, -1))
    np.testing.assert_array_equal(samples.batch(0, 4), x)
    assert "spikes of 7 steps" in samples.notes[0]


@pytest.mark.parametrize(("layout", "axes"), [("tnc", (1, 0, 2, 3)), ("nct", (0, 2, 3, 1))])
def test_layouts(tmp_path: Path, layout: str, axes: tuple[int, ...]) -> None:
    x = RNG.integers(0, 2, (5, 7, 2, 3), np.uint8)
    samples = load_samples(saved(tmp_path, x=np.transpose(x, axes)), None, (2, 3), layout=layout)
    np.testing.assert_array_equal(samples.raster(0, 5), x.reshape(5, 7, 6))


def test_float_counts_become_integers_and_other_floats_are_refused(tmp_path: Path) -> None:
    good = load_samples(saved(tmp_path, x=np.ones((1, 2, 3))), None, (3,))
    assert good.raster(0, 1).dtype == np.int64
    bad = load_samples(saved(tmp_path, "b.npz", x=np.full((1, 2, 3), 0.25)), None, (3,))
    with pytest.raises(InvalidInput, match=r"spikes are counts 0, 1, 2, ..., x holds 0.25"):
        bad.raster(0, 1)
    np.testing.assert_array_equal(bad.batch(0, 1), np.full((1, 2, 3), 0.25))
    images = load_samples(saved(tmp_path, "i.npz", x=np.ones((2, 3))), None, (3,))
    with pytest.raises(InvalidInput, match="x is images, spikes are needed"):
        images.raster(0, 1)


def test_scaling_is_for_images(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="x is spikes, scaling is for images"):
        load_samples(saved(tmp_path, x=np.ones((2, 5, 3), np.uint8)), None, (3,), scale=255)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": (1, 2)}, "--mean: it has 2 values, the input has 3 channels"),
        ({"std": (1, 0, 1)}, "--std: 0 cannot be used"),
        ({"scale": 0.0}, "--scale: 0.0 cannot be used"),
        ({"shift": float("nan")}, "--shift: nan cannot be used"),
    ],
)
def test_scaling_that_cannot_be(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_samples(saved(tmp_path, x=np.ones((2, 3, 4, 4))), None, (3, 4, 4), **options)


# --------------------------------------------------------------------------------------------------- the order of axes


@pytest.mark.parametrize(
    ("given_shape", "shape", "turn"),
    [
        ((5, 28, 28), (1, 28, 28), lambda x: x[:, None]),
        ((5, 1, 28, 30), (28, 30, 1), lambda x: x.reshape(5, 28, 30, 1)),
        ((5, 1, 28, 28), (784,), lambda x: x.reshape(5, 784)),
        ((5, 6, 7, 3), (3, 6, 7), lambda x: np.moveaxis(x, 3, 1)),
        ((5, 128, 9), (9, 1, 128), lambda x: np.moveaxis(x, 2, 1)[:, :, None]),
        ((5, 28, 28), (784,), lambda x: x.reshape(5, 784)),
        ((5,), (1,), lambda x: x[:, None]),
    ],
)
def test_images_in_another_order(tmp_path: Path, given_shape: tuple[int, ...], shape: tuple[int, ...], turn: Any) -> None:
    x = pixels(*given_shape)
    samples = load_samples(saved(tmp_path, x=x), None, shape)
    assert samples.n_steps == 0
    np.testing.assert_array_equal(samples.batch(0, 5), turn(x))


def test_spikes_in_another_order(tmp_path: Path) -> None:
    x = RNG.integers(0, 2, (2, 5, 4, 4, 3), np.uint8)
    samples = load_samples(saved(tmp_path, x=x), None, (3, 4, 4))
    np.testing.assert_array_equal(samples.batch(0, 2), np.moveaxis(x, 4, 2))
    flat = load_samples(saved(tmp_path, "f.npz", x=x[..., 0]), None, (1, 4, 4))
    assert flat.n_steps == 5


@pytest.mark.parametrize(
    ("given_shape", "shape", "message"),
    [
        ((5, 9, 9), (9, 1, 9), "can be read as images, axes of length 1 added or removed or images, channels moved"),
        ((5, 1, 28, 28), (28, 28), "can be read as images, axes of length 1 added or removed or spikes of 1 steps"),
        ((5, 3, 32, 32), (3072,), r"x has shape \(5, 3, 32, 32\), wanted is \(n_samples, 3072\) images or"),
        ((5, 12), (13,), r"x has shape \(5, 12\), wanted is \(n_samples, 13\) images or \(n_samples, n_steps, 13\) spikes"),
        ((5,), (13,), "Is this the file of the labels"),
    ],
)
def test_no_reading_or_two(tmp_path: Path, given_shape: tuple[int, ...], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_samples(saved(tmp_path, x=pixels(*given_shape)), None, shape)


@given(st.data())
def test_an_exact_shape_is_taken_as_it_is(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    x = data.draw(arrays(np.uint8, (2, *shape)))
    path = saved(tmp_path_factory.getbasetemp(), "any.npz", x=x)
    samples = load_samples(path, None, shape)
    np.testing.assert_array_equal(samples.batch(0, 2), x)


# -------------------------------------------------------------------------------------------------------- kinds of file


def test_a_file_with_one_array_is_x(tmp_path: Path) -> None:
    x = pixels(3, 4)
    np.save(tmp_path / "a.npy", x)
    for path in (tmp_path / "a.npy", saved(tmp_path, whatever=x), saved(tmp_path, "y.npz", arr_0=x, y=np.arange(3))):
        np.testing.assert_array_equal(load_samples(path, None, (4,)).batch(0, 3), x)
    with pytest.raises(InvalidInput, match="it has no array 'x' but a, b"):
        load_samples(saved(tmp_path, a=x, b=x), None, (4,))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_files(tmp_path: Path, pack: Any) -> None:
    x, y = pixels(6, 4, 4), np.arange(6, dtype=np.uint8)
    (tmp_path / "images").write_bytes(pack(idx(x)))
    (tmp_path / "labels").write_bytes(pack(idx(y)))
    samples = load_samples(tmp_path / "images", tmp_path / "labels", (1, 4, 4))
    np.testing.assert_array_equal(samples.batch(0, 6), x[:, None])
    assert samples.y is not None
    np.testing.assert_array_equal(samples.y, y)


def test_idx_of_wider_numbers_comes_in_native_order(tmp_path: Path) -> None:
    x = RNG.normal(size=(3, 2)).astype(">f4")
    (tmp_path / "x.idx").write_bytes(idx(x, 0x0D))
    samples = load_samples(tmp_path / "x.idx", None, (2,))
    assert samples.x.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(samples.batch(0, 3), x)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\0\0\x07\1" + bytes(8), "which is no idx file"),
        (b"\0\0\x08\0" + bytes(8), "which is no idx file"),
        (b"\0\0\x08\3" + bytes(8), "it ends inside its header"),
        (idx(np.zeros((4, 4), np.uint8))[:-3], r"promises \(4, 4\), 16 bytes, and 13 bytes follow"),
        (idx(np.zeros((4, 4), np.uint8)) + b"1", r"promises \(4, 4\), 16 bytes, and more bytes follow"),
        (b"\0\0\x0e\3" + b"\xff" * 12, "0 bytes follow"),
        (gzip.compress(b"\0\0\x0e\3" + b"\xff" * 12, mtime=0), "the limit is"),
        (gzip.compress(idx(np.zeros((4, 4), np.uint8)), mtime=0)[:-9], "it cannot be read|follow"),
        (b"version https://git-lfs.github.com/spec/v1", "git-lfs pointer"),
        (b"\x89HDF\r\n\x1a\n", "it is no readable NIRData"),
        (b"something else", "it is no .npz, .npy, idx, PNG or NIRData file"),
        (b"PK\3\4 torn", "no readable .npz"),
        (b"\x93NUMPY\1\0v\0{'descr': '<f8'", "it cannot be read"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        load_samples(path, None, (4,))


def test_missing_file_folder_and_pickle(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no such file"):
        load_samples(tmp_path / "none.npz", None, (4,))
    with pytest.raises(InvalidInput, match=r"holds no \.bin recordings"):
        load_samples(tmp_path, None, (4,))
    with pytest.raises(InvalidInput, match="Object arrays cannot be loaded"):
        load_samples(saved(tmp_path, x=np.array([{}], object)), None, (1,))
    with pytest.raises(InvalidInput, match="of type <U1, numbers are needed"):
        load_samples(saved(tmp_path, x=np.array(["a"])), None, (1,))
    saved(tmp_path, "z.npz", x=np.ones(1)).rename(tmp_path / "z.npy")
    with pytest.raises(InvalidInput, match=r"it is an \.npz\. Rename it"):
        load_samples(tmp_path / "z.npy", None, (1,))


def test_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise MemoryError

    monkeypatch.setattr(files, "read_npz", full)
    with pytest.raises(InvalidInput, match="does not fit into memory"):
        load_samples(saved(tmp_path, x=np.ones(1)), None, (1,))


def test_an_idx_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 15)
    (tmp_path / "x").write_bytes(gzip.compress(idx(np.zeros((4, 4), np.uint8))))
    with pytest.raises(InvalidInput, match="16 bytes, the limit is 15"):
        load_samples(tmp_path / "x", None, (4,))


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    x = np.zeros((5, 4), np.float32)
    x[3, 2] = np.nan
    with pytest.raises(InvalidInput, match=r"x\[3, 2\] is nan, only finite"):
        load_samples(saved(tmp_path, x=x), None, (4,))
    with pytest.raises(InvalidInput, match=r"it holds no samples, its shape is \(0, 4\)"):
        load_samples(saved(tmp_path, "e.npz", x=np.zeros((0, 4))), None, (4,))


def test_booleans_are_bytes(tmp_path: Path) -> None:
    assert load_samples(saved(tmp_path, x=np.ones((2, 4), bool)), None, (4,)).x.dtype == np.uint8


def test_unknown_layout(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="layout 'cnt'"):
        load_samples(tmp_path / "x", None, (1,), layout="cnt")


# ------------------------------------------------------------------------------------------------------- sparse events


def test_sparse_events_become_rasters_a_few_at_a_time(tmp_path: Path) -> None:
    dense = RNG.integers(0, 3, (4, 6, 8))
    sample, t, index = (np.repeat(part, dense[dense > 0]) for part in np.nonzero(dense))
    mixed = RNG.permutation(len(t))
    path = saved(tmp_path, t=t[mixed], index=index[mixed], sample=sample[mixed], y=np.arange(4), n_steps=6)
    samples = load_samples(path, None, (2, 2, 2))
    assert (samples.n_samples, samples.n_steps) == (4, 6)
    for start, stop in ((0, 4), (1, 3), (3, 9)):
        np.testing.assert_array_equal(samples.raster(start, stop), dense[start:stop])
    np.testing.assert_array_equal(samples.batch(0, 2), dense[:2].reshape(2, 6, 2, 2, 2))
    assert f"{dense.sum()} events in 4 samples of 6 steps" in samples.notes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"index": np.array([0, 8])}, r"'index' holds 8, the model's input \(8,\) has 8 neurons"),
        ({"t": np.array([0, -1])}, "'t' holds -1, the least is 0"),
        ({"t": np.array([0.5, 1])}, r"'t' is float64\(2,\)"),
        ({"sample": np.array([0])}, r"'sample' is int64\(1,\)"),
        ({"n_steps": 1}, "need n_steps of 2, the file says 1"),
        ({"n_steps": np.ones(3)}, r"'n_steps' is float64\(3,\), it is one integer"),
        ({"y": np.zeros(1, int), "sample": np.array([0, 4])}, "need n_samples of 5, the file says 1"),
        ({"t": np.array([0, 1 << 40])}, "bin the times first"),
        ({key: np.zeros(0, int) for key in ("t", "index", "sample")}, "it holds no events and no n_samples"),
    ],
)
def test_events_that_cannot_be(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    good = {"t": np.array([0, 1]), "index": np.array([0, 7]), "sample": np.array([0, 0])}
    with pytest.raises(InvalidInput, match=message):
        load_samples(saved(tmp_path, **{**good, **changes}), None, (8,))


# -------------------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "y",
    [
        np.array([2, 0, 1]),
        np.array([[2], [0], [1]]),
        np.array([2.0, 0.0, 1.0]),
        np.eye(3)[[2, 0, 1]],
        np.eye(3, dtype=bool)[[2, 0, 1]],
        2 * np.eye(3)[[2, 0, 1]] - 1,
    ],
)
def test_labels_of_every_form(tmp_path: Path, y: np.ndarray) -> None:
    samples = load_samples(saved(tmp_path, x=np.ones((3, 4)), y=y), None, (4,))
    assert samples.y is not None
    np.testing.assert_array_equal(samples.y, [2, 0, 1])
    assert samples.y.dtype == np.int64


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.arange(4), r"it has labels of shape \(4,\) for 3 samples"),
        (np.array([0, -2, 1]), "label 1 is -2. Labels are whole numbers"),
        (np.array([0, 1.5, 1]), "label 1 is 1.5"),
        (np.array([0, np.nan, 1]), "label 1 is nan"),
        (np.ones((3, 2)), r"labels of shape \(3, 2\) are not one-hot"),
        (np.array(["a", "b", "c"]), "labels are of type <U1"),
    ],
)
def test_labels_that_cannot_be(tmp_path: Path, y: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_samples(saved(tmp_path, x=np.ones((3, 4)), y=y), None, (4,))


def test_a_file_of_labels_goes_before_y(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.array([1, 1, 1]))
    samples = load_samples(saved(tmp_path, x=np.ones((3, 4)), y=np.zeros(3)), tmp_path / "labels.npy", (4,))
    assert samples.y is not None
    np.testing.assert_array_equal(samples.y, [1, 1, 1])


# ------------------------------------------------------------------------------------------------------------ real data


@pytest.mark.data
def test_mnist_as_published(data_dir: Path) -> None:
    folder = data_dir / "mnist"
    images, labels = folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"
    samples = load_samples(images, labels, (1, 28, 28), scale=255)
    assert samples.n_samples == 10_000
    assert samples.x.nbytes == 7_840_000
    assert samples.y is not None
    np.testing.assert_array_equal(samples.y[:5], [7, 2, 1, 0, 4])
    assert samples.batch(0, 100).max() == 1.0


@pytest.mark.data
def test_lossless_cifar_with_labels_of_plus_and_minus_one(data_dir: Path) -> None:
    name = str(data_dir / "cifar10" / "snntoolbox_binarynet_{}_test1000.npz")
    samples = load_samples(Path(name.format("x")), Path(name.format("y")), (3, 32, 32))
    assert samples.y is not None
    assert (samples.n_samples, int(samples.y.max())) == (1000, 9)


@pytest.mark.data
def test_braille_is_spikes(data_dir: Path) -> None:
    samples = load_samples(data_dir / "braille" / "braille7_unique1158.npz", None, (12,))
    assert (samples.n_samples, samples.n_steps) == (1158, 256)
    assert samples.raster(0, 2).shape == (2, 256, 12)
