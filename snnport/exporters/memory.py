"""The memories and registers of tinyODIN as files: images for a simulation or an FPGA, SPI writes for a chip, its events.

docs/formats.md, "tinyODIN images", gives every byte. The layout of the memories, the register addresses and the SPI words
are those of ChFrenkel/tinyODIN, commit 1865653, doc/README.md, sections 2 to 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.events import write_bytes
from snnport.fixed import IntArray

Words = npt.NDArray[np.uint32]

NEURONS = 256
GATE_ACTIVITY, OPEN_LOOP, AER_SRC, MAX_NEUR = range(4)
"""Addresses of the configuration registers."""
SPI_WRITE, NEURON_MEMORY, SYNAPSE_MEMORY = 1 << 18, 1 << 16, 2 << 16
FILES = ("neurons.hex", "synapses.hex", "registers.hex", "spi.bin", "events.bin")
_EVENT = np.dtype([("cycle", "<i4"), ("word", "<u2"), ("zero", "<u2")])


@dataclass(frozen=True, eq=False)
class Core:
    """What the images hold; every number within the core's range.

    max_neur: last processed neuron. open_loop, aer_src: 0 or 1. thr (256,) unsigned 12 bits, leak (256,) unsigned 7,
    disable (256,) 0 or 1, v0 (256,) signed 12. W (256, 256) signed 4 bits, [pre, post]. ev_addr (n,): event words of 10
    bits. ev_t (n,): the cycle from which each may be sent.
    """

    max_neur: int
    open_loop: int
    aer_src: int
    thr: IntArray
    leak: IntArray
    disable: IntArray
    v0: IntArray
    W: IntArray
    ev_addr: IntArray
    ev_t: IntArray


def neuron_words(core: Core) -> Words:
    """Neuron memory (256,): potential in bits 11..0, threshold in 23..12, leak in 30..24, disable in 31."""
    v, thr, leak, disable = (np.asarray(a, np.int64) for a in (core.v0, core.thr, core.leak, core.disable))
    return (v & 0xFFF | thr << 12 | leak << 24 | disable << 31).astype(np.uint32)


def synapse_words(core: Core) -> Words:
    """Synapse memory (8192,): word 32 pre + post // 8 holds post % 8 in bits 4 (post % 8) + 3 .. 4 (post % 8)."""
    nibbles = np.asarray(core.W, np.int64).reshape(-1, 8) & 0xF
    words: Words = (nibbles << 4 * np.arange(8)).sum(axis=1).astype(np.uint32)
    return words


def registers(core: Core) -> Words:
    """The configuration registers (4,) of a core that runs, by address."""
    return np.array([0, core.open_loop, core.aer_src, core.max_neur], np.uint32)


def spi_writes(core: Core) -> Words:
    """All SPI transfers (n, 2) that bring the core from reset to running: 20-bit address word, 20-bit data word.

    Registers with the network gated, neuron memory byte by byte, synapse memory byte by byte, and the gate opened.
    """
    values = registers(core)
    gated = [(GATE_ACTIVITY, 1), *((a, int(values[a])) for a in (OPEN_LOOP, AER_SRC, MAX_NEUR))]
    parts = [np.array(gated, np.uint32)]
    for words, memory, shift in ((neuron_words(core), NEURON_MEMORY, 8), (synapse_words(core), SYNAPSE_MEMORY, 13)):
        word, byte = np.divmod(np.arange(4 * len(words)), 4)
        address = SPI_WRITE | memory | byte << shift | word
        parts.append(np.stack([address, words[word] >> (8 * byte).astype(np.uint32) & 0xFF], axis=1).astype(np.uint32))
    parts.append(np.array([(GATE_ACTIVITY, 0)], np.uint32))
    return np.concatenate(parts)


def write_images(core: Core, folder: Path) -> tuple[Path, ...]:
    """Write FILES into `folder`, which is made if need be; each whole or not at all. Raises InvalidInput if it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(str(folder), f"it cannot be made: {error.strerror}", "Choose another folder") from None
    events = np.zeros(len(core.ev_addr), _EVENT)
    events["cycle"], events["word"] = core.ev_t, core.ev_addr
    contents = (
        _hex(neuron_words(core)),
        _hex(synapse_words(core)),
        _hex(registers(core)),
        spi_writes(core).astype("<u4").tobytes(),
        events.tobytes(),
    )
    paths = tuple(folder / name for name in FILES)
    for path, content in zip(paths, contents, strict=True):
        write_bytes(path, content)
    return paths


def read_images(folder: Path) -> Core:
    """What the images in `folder` hold, spi.bin left out. Raises InvalidInput for a missing or damaged file."""
    neurons = _words(folder / "neurons.hex", NEURONS).astype(np.int64)
    synapses = _words(folder / "synapses.hex", NEURONS * NEURONS // 8).astype(np.int64)
    _, open_loop, aer_src, max_neur = _words(folder / "registers.hex", 4).tolist()
    raw = _content(folder / "events.bin")
    if len(raw) % _EVENT.itemsize:
        raise InvalidInput(str(folder / "events.bin"), f"it has {len(raw)} bytes, an event takes {_EVENT.itemsize}")
    events = np.frombuffer(raw, _EVENT)
    return Core(
        max_neur,
        open_loop,
        aer_src,
        thr=(neurons >> 12 & 0xFFF).astype(np.uint16),
        leak=(neurons >> 24 & 0x7F).astype(np.uint8),
        disable=(neurons >> 31).astype(np.uint8),
        v0=_signed(neurons & 0xFFF, 12).astype(np.int16),
        W=_signed(synapses[:, None] >> 4 * np.arange(8) & 0xF, 4).reshape(NEURONS, NEURONS).astype(np.int8),
        ev_addr=events["word"].astype(np.uint16),
        ev_t=events["cycle"].astype(np.int32),
    )


def _hex(words: Words) -> bytes:
    return "".join(f"{int(word):08x}\n" for word in words).encode()


def _words(path: Path, count: int) -> Words:
    try:
        words = [int(line, 16) for line in _content(path).decode("ascii").split()]
    except (UnicodeDecodeError, ValueError):
        raise InvalidInput(str(path), "it holds more than hexadecimal words", "Export the network again") from None
    if len(words) != count or any(not 0 <= word < 1 << 32 for word in words):
        raise InvalidInput(str(path), f"it holds {len(words)} words, {count} of 32 bits are needed", "Export the network again")
    return np.array(words, np.uint32)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(str(path), f"it cannot be read: {error.strerror}", "Export the network again") from None


def _signed(values: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.int64]:
    return values - ((values >> bits - 1 & 1) << bits)
