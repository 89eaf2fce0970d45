"""PNGs as samples: every filter, every way in which a file can be wrong."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from snnport.datasets import load_labels, load_samples
from snnport.errors import InvalidInput

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 16, 3), dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(pixels: np.ndarray, kind: int) -> bytes:
    """The lines of an image behind one of PNG's filters, each byte less what the filter predicts."""
    height, width, channels = pixels.shape
    flat = pixels.reshape(height, -1).astype(int)
    lines = []
    for y in range(height):
        line = [kind]
        for x in range(width * channels):
            a = flat[y, x - channels] if x >= channels else 0
            b = flat[y - 1, x] if y else 0
            c = flat[y - 1, x - channels] if y and x >= channels else 0
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            guess = (0, a, b, (a + b) // 2, nearest)[kind]
            line.append((flat[y, x] - guess) % 256)
        lines.append(bytes(line))
    return b"".join(lines)


def png(pixels: np.ndarray, kind: int = 0, colour: int = 2, bits: int = 8, interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, colour, 0, 0, interlaced)
    packed = zlib.compress(filtered(pixels, kind))
    parts = [chunk(b"IHDR", header), chunk(b"tEXt", b"a\0b"), chunk(b"IDAT", packed[:9]), chunk(b"IDAT", packed[9:])]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", range(5))
def test_every_filter_gives_the_pixels_back(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "rows.png"
    path.write_bytes(png(PIXELS, kind))
    samples = load_samples(path, None, (3, 4, 4))
    np.testing.assert_array_equal(samples.x, PIXELS.reshape(5, 4, 4, 3).transpose(0, 3, 1, 2))


def test_a_picture_of_the_networks_size_is_one_sample(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(png(PIXELS[:, :5]))
    assert load_samples(path, None, (3, 5, 5)).x.shape == (1, 3, 5, 5)


def test_grey_rows_enter_a_flat_network(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    path.write_bytes(png(PIXELS[:, :, :1], colour=0))
    np.testing.assert_array_equal(np.reshape(load_samples(path, None, (16,)).batch(0, 5), (5, 16)), PIXELS[:, :, 0])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (png(PIXELS)[:-12], "it ends at byte"),
        (png(PIXELS).replace(b"a\0b", b"a\0c"), "is damaged"),
        (png(PIXELS, bits=16), "it has 16 bits, colour type 2; read are 8 bits, grey or RGB"),
        (png(PIXELS, colour=3), "it has 8 bits, colour type 3"),
        (png(PIXELS, interlaced=1), "interlaced"),
        (png(PIXELS[:, :7]), "its pixels are .5, 7, 3."),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "without header or pixels"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1 << 20, 1 << 20, 8, 2, 0, 0, 0))
         + chunk(b"IDAT", b"x") + chunk(b"IEND", b""), "the limit is"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
         + chunk(b"IDAT", b"nothing") + chunk(b"IEND", b""), "it cannot be read"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
         + chunk(b"IDAT", zlib.compress(b"short")) + chunk(b"IEND", b""), "5 are there"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
         + chunk(b"IDAT", zlib.compress(b"\x07abc")) + chunk(b"IEND", b""), "line filter 7"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=what):
        load_samples(path, None, (3, 4, 4))


def test_labels_of_a_file_of_their_own_are_as_many_as_samples(tmp_path: Path) -> None:
    path = tmp_path / "y.npz"
    np.savez(path, y=np.array([2, 0, 1]))
    np.testing.assert_array_equal(load_labels(path, 3), [2, 0, 1])
    with pytest.raises(InvalidInput, match=r"labels of shape \(3,\) for 4 samples"):
        load_labels(path, 4)


@pytest.mark.data
def test_lossless_training_images_of_cifar10_are_read(data_dir: Path) -> None:
    samples = load_samples(data_dir / "cifar10" / "convnetjs_cifar10_batch_0.png", None, (3, 32, 32), scale=255.0)
    assert samples.x.shape == (1000, 3, 32, 32)
    assert samples.x.dtype == np.uint8
    # the first image of data_batch_1: a frog, whose first pixel is 59, 62, 63
    np.testing.assert_array_equal(samples.x[0, :, 0, 0], [59, 62, 63])
