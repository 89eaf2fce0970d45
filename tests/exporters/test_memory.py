from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from snnport.errors import InvalidInput
from snnport.exporters.memory import (
    FILES,
    Core,
    neuron_words,
    read_images,
    registers,
    spi_writes,
    synapse_words,
    write_images,
)
from snnport.sim.tinyodin import Inputs, simulate
from snnport.targets.tinyodin.case import load_case
from snnport.targets.tinyodin.crossbar import image_of

CASE = Path(__file__).parent.parent / "golden" / "tinyodin" / "s24_recurrent_mix.npz"


def random_core(seed: int = 0) -> Core:
    rng = np.random.default_rng(seed)
    return Core(
        max_neur=int(rng.integers(256)),
        open_loop=1,
        aer_src=0,
        thr=rng.integers(0, 4096, 256),
        leak=rng.integers(0, 128, 256),
        disable=rng.integers(0, 2, 256),
        v0=rng.integers(-2048, 2048, 256),
        W=rng.integers(-8, 8, (256, 256)),
        ev_addr=rng.integers(0, 1024, 20),
        ev_t=np.sort(rng.integers(-5, 1 << 31, 20)),
    )


def assert_same(a: Core, b: Core) -> None:
    for f in fields(Core):
        np.testing.assert_array_equal(getattr(a, f.name), getattr(b, f.name), f.name)


def test_a_neuron_word_bit_for_bit() -> None:
    core = random_core()
    values = {"v0": [-3, 5], "thr": [0xABC, 1], "leak": [0x55, 127], "disable": [1, 0]}
    changed = {name: np.concatenate([value, np.zeros(254, np.int64)]) for name, value in values.items()}
    assert [f"{word:08x}" for word in neuron_words(replace(core, **changed))[:3]] == ["d5abcffd", "7f001005", "00000000"]


def test_a_synapse_word_holds_eight_neighbours() -> None:
    weights = np.zeros((256, 256), np.int64)
    weights[2, 8:16] = [1, 2, 3, -8, 7, -1, 0, 5]
    words = synapse_words(replace(random_core(), W=weights))
    assert words.shape == (8192,)
    assert [(int(i), f"{words[i]:08x}") for i in np.flatnonzero(words)] == [(2 * 32 + 1, "50f78321")]


def test_the_registers_of_a_running_core() -> None:
    core = replace(random_core(), open_loop=1, aer_src=0, max_neur=200)
    assert registers(core).tolist() == [0, 1, 0, 200]


def test_spi_writes_leave_the_memories_as_the_images_say() -> None:
    """A model of the port: register writes, and byte writes under a mask into either memory while the gate is closed."""
    core = random_core(4)
    memories = {1: np.zeros(256, np.uint32), 2: np.zeros(8192, np.uint32)}
    config = dict.fromkeys(range(4), -1)
    for address, data in spi_writes(core).tolist():
        assert 0 <= address < 1 << 20
        assert 0 <= data < 1 << 20
        command = address >> 16 & 3
        if command == 0:
            config[address & 0xFFFF] = data
            continue
        assert address >> 18 == 1
        assert config[0] == 1
        word, byte = (address & 0xFF, address >> 8 & 3) if command == 1 else (address & 0x1FFF, address >> 13 & 3)
        mask, value = data >> 8 & 0xFF, data & 0xFF
        assert mask == 0
        kept = int(memories[command][word]) & ~(0xFF << 8 * byte)
        memories[command][word] = kept | value << 8 * byte
    np.testing.assert_array_equal(memories[1], neuron_words(core))
    np.testing.assert_array_equal(memories[2], synapse_words(core))
    assert list(config.values()) == registers(core).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_images_give_back_what_was_written(tmp_path: Path, seed: int) -> None:
    core = random_core(seed)
    paths = write_images(core, tmp_path / "new" / "folder")
    assert tuple(path.name for path in paths) == FILES
    assert_same(read_images(tmp_path / "new" / "folder"), core)


def test_the_size_of_every_file(tmp_path: Path) -> None:
    write_images(random_core(), tmp_path)
    sizes = {name: (tmp_path / name).stat().st_size for name in FILES}
    assert sizes == {
        "neurons.hex": 256 * 9,
        "synapses.hex": 8192 * 9,
        "registers.hex": 4 * 9,
        "spi.bin": 8 * (4 + 1024 + 32768 + 1),
        "events.bin": 20 * 8,
    }


def test_an_event_byte_for_byte(tmp_path: Path) -> None:
    write_images(replace(random_core(), ev_addr=np.array([0x1FF]), ev_t=np.array([0x01020304])), tmp_path)
    assert (tmp_path / "events.bin").read_bytes() == bytes([4, 3, 2, 1, 0xFF, 1, 0, 0])


def test_a_recorded_run_plays_from_its_images(tmp_path: Path) -> None:
    case = load_case(CASE)
    write_images(image_of(case.inputs), tmp_path)
    image = read_images(tmp_path)
    inputs = replace(case.inputs, **{f.name: getattr(image, f.name) for f in fields(Core)})
    assert isinstance(inputs, Inputs)
    outputs = simulate(inputs)
    for f in fields(outputs):
        np.testing.assert_array_equal(getattr(outputs, f.name), getattr(case.outputs, f.name), f.name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("neurons.hex", b"12\n", "it holds 1 words, 256 of 32 bits are needed"),
        ("registers.hex", b"1\n2\n3\n100000000\n", "it holds 4 words, 4 of 32 bits are needed"),
        ("synapses.hex", b"zz\n", "it holds more than hexadecimal words"),
        ("neurons.hex", b"\xff", "it holds more than hexadecimal words"),
        ("events.bin", b"123", "it has 3 bytes, an event takes 8"),
    ],
)
def test_damaged_images_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    write_images(random_core(), tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        read_images(tmp_path)


def test_images_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="it cannot be read: No such file"):
        read_images(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidInput, match="it cannot be made"):
        write_images(random_core(), tmp_path / "file" / "folder")
