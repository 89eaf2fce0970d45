"""The pixels of a PNG (W3C, Portable Network Graphics, second edition).

Data sets travel as PNGs whose row is a sample and whose width is all pixels of it (CIFAR-10 in ConvNetJS: 1000 x 1024).
Read are 8 bits a channel, grey or RGB, not interlaced: what is lossless and needs no palette.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from numba import njit

from snnport.errors import InvalidInput

MAX_PIXELS = 1 << 29
"""A header that promises more is refused before anything is unpacked."""
_CHANNELS = {0: 1, 2: 3}
"""Colour type of the header -> channels."""

Bytes = npt.NDArray[np.uint8]


def read_png(where: str, content: bytes) -> Bytes:
    """The pixels (height, width, channels) of a PNG. Raises InvalidInput, naming `where`, for a damaged or another kind."""
    width, height, channels, packed = _parts(where, content)
    size = height * (width * channels + 1)
    try:
        raw = zlib.decompressobj().decompress(packed, size + 1)
    except zlib.error as error:
        raise InvalidInput(where, f"it cannot be read: {error}", "Fetch it again") from None
    if len(raw) != size:
        raise InvalidInput(where, f"its header promises {size} bytes, {len(raw)} are there", "Fetch it again")
    lines = np.frombuffer(raw, np.uint8).reshape(height, -1)
    if int(lines[:, 0].max()) > 4:
        raise InvalidInput(where, f"it has a line filter {int(lines[:, 0].max())}, there are 0..4", "Fetch it again")
    return np.asarray(_unfiltered(lines, channels), np.uint8).reshape(height, width, channels)


def _parts(where: str, content: bytes) -> tuple[int, int, int, bytes]:
    """Width, height, channels and the packed lines of a PNG."""
    header = b""
    packed: list[bytes] = []
    for kind, data in _chunks(where, content):
        if kind == b"IHDR":
            header = data
        elif kind == b"IDAT":
            packed.append(data)
    if len(header) != 13 or not packed:
        raise InvalidInput(where, "it is a PNG without header or pixels", "Fetch it again")
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if bits != 8 or colour not in _CHANNELS or interlaced:
        what = f"it has {bits} bits, colour type {colour}{', interlaced' if interlaced else ''}; read are 8 bits, grey or RGB"
        raise InvalidInput(where, what, "Save it again without palette, transparency and interlacing")
    if not 0 < width * height <= MAX_PIXELS:
        raise InvalidInput(where, f"its header promises {width} x {height} pixels, the limit is {MAX_PIXELS}")
    return width, height, _CHANNELS[colour], b"".join(packed)


def _chunks(where: str, content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8  # behind the signature
    while place + 12 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        data = content[place + 8 : place + 8 + length]
        check = content[place + 8 + length : place + 12 + length]
        if len(check) < 4 or zlib.crc32(kind + data) != int.from_bytes(check, "big"):
            raise InvalidInput(where, f"its part {kind!r} at byte {place} is damaged", "Fetch it again")
        yield kind, data
        if kind == b"IEND":
            return
        place += 12 + length
    raise InvalidInput(where, f"it ends at byte {len(content)} without its last part", "Fetch it again")


@njit(cache=True)
def _unfiltered(lines, channels):  # type: ignore[no-untyped-def] # pragma: no cover
    """The bytes of each line (PNG, section 9): what a filter predicts from left, above and above left, added again."""
    height, width = lines.shape[0], lines.shape[1] - 1
    out = np.zeros((height, width), np.uint8)
    for y in range(height):
        kind = lines[y, 0]
        for x in range(width):
            a = np.int64(out[y, x - channels]) if x >= channels else np.int64(0)
            b = np.int64(out[y - 1, x]) if y else np.int64(0)
            c = np.int64(out[y - 1, x - channels]) if y and x >= channels else np.int64(0)
            guess = np.int64(0)
            if kind == 1:
                guess = a
            elif kind == 2:
                guess = b
            elif kind == 3:
                guess = (a + b) // 2
            elif kind == 4:
                p = a + b - c
                da, db, dc = abs(p - a), abs(p - b), abs(p - c)
                guess = a if da <= db and da <= dc else (b if db <= dc else c)
            out[y, x] = (np.int64(lines[y, x + 1]) + guess) & 255
    return out
