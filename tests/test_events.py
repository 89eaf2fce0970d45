from __future__ import annotations

import errno
import os
import random
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from strategies import rasters

from snnport import events
from snnport.errors import InvalidInput
from snnport.events import Events, read_npz, write_bytes, write_npz


@given(rasters())
def test_a_raster_comes_back_from_its_events(raster: np.ndarray) -> None:
    found = Events.from_raster(raster)
    np.testing.assert_array_equal(found.to_raster(*raster.shape), raster)


@given(rasters())
def test_events_are_sorted_and_as_many_as_there_are_spikes(raster: np.ndarray) -> None:
    found = Events.from_raster(raster)
    keys = list(zip(found.sample.tolist(), found.time.tolist(), found.index.tolist(), strict=True))
    assert len(keys) == raster.sum()
    assert keys == sorted(keys)


def test_an_event_given_twice_is_two_spikes() -> None:
    found = Events(np.array([0, 0]), np.array([1, 1]), np.array([2, 2])).to_raster(1, 2, 3)
    np.testing.assert_array_equal(found, [[[0, 0, 0], [0, 0, 2]]])


# ------------------------------------------------------------------------------------------------------------ writing


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"a longer old content")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["file"]


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    write_bytes(tmp_path / "written", b"")
    (tmp_path / "usual").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("written", "usual")}
    assert len(modes) == 1


@pytest.mark.parametrize("function", ["replace", "fsync", "chmod"])
def test_on_a_full_disk_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(events.os, function, full)
    with pytest.raises(InvalidInput, match=r"file: it cannot be written: No space left on device\. Free space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["file"]


def test_after_an_interruption_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(events.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["file"]


def test_a_file_is_no_folder_to_write_into(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"it cannot be written: Not a directory\. Choose another folder"):
        write_bytes(tmp_path / "file" / "below", b"")


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"it cannot be written: No such file or directory\. Choose another folder"):
        write_bytes(tmp_path / "nowhere" / "file", b"")


def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(events.tempfile, "mkstemp", denied)
    with pytest.raises(InvalidInput, match=r"it cannot be written: Permission denied\. Choose another folder"):
        write_bytes(tmp_path / "file", b"")


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput, match="folder: it cannot be written: Is a directory"):
        write_bytes(tmp_path / "folder", b"")
    assert names_in(tmp_path) == ["folder"]


# ------------------------------------------------------------------------------------------------------------ reading


def test_arrays_come_back_under_their_names(tmp_path: Path) -> None:
    arrays = {"a/b.c": np.arange(6, dtype=np.int16).reshape(2, 3), "text": np.array("{}"), "empty": np.zeros((0, 2), np.uint8)}
    write_npz(tmp_path / "x.npz", arrays)
    found = read_npz(tmp_path / "x.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_an_npy_is_one_array_called_x(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3))
    found = read_npz(tmp_path / "x.npy")
    assert list(found) == ["x"]
    np.testing.assert_array_equal(found["x"], [0, 1, 2])


@pytest.mark.parametrize("name", ["none.npz", "none.npy"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name}: there is no such file"):
        read_npz(tmp_path / name)


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_a_folder_or_a_text_is_no_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / f"text{name}").write_text("hello")
    (tmp_path / f"folder{name}").mkdir()
    for kind in ("text", "folder"):
        with pytest.raises(InvalidInput, match=r"it is no readable \.npz or \.npy file"):
            read_npz(tmp_path / f"{kind}{name}")


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_objects_are_refused(tmp_path: Path, name: str) -> None:
    objects = np.array([{}, []], object)
    (np.save if name.endswith("npy") else np.savez)(tmp_path / name, objects, allow_pickle=True)
    with pytest.raises(InvalidInput, match="Object arrays cannot be loaded"):
        read_npz(tmp_path / name)


def test_objects_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_npz(tmp_path / "x.npz", {"x": np.array([{}], object)})
    assert names_in(tmp_path) == []


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_npz(tmp_path / "x.npz", {"x": np.zeros(1000)})
    monkeypatch.setattr(events, "MAX_NPZ_BYTES", 8000)
    with pytest.raises(InvalidInput, match="it unpacks to 8128 bytes, the limit is 8000"):
        read_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("kind", ["deflated.npz", "stored.npz", "plain.npy"])
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    arrays = {"x": np.arange(300), "y": np.array("text")}
    {
        "deflated.npz": lambda: write_npz(path, arrays),
        "stored.npz": lambda: np.savez(path, x=arrays["x"], y=arrays["y"]),
        "plain.npy": lambda: np.save(path, arrays["x"]),
    }[kind]()
    good, refused = path.read_bytes(), 0
    rng = random.Random(0)
    for _ in range(300):
        damaged = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 5])):
            damaged[rng.randrange(min(len(damaged), 1000))] = rng.choice([rng.randrange(256), *b"9(,"])
        path.write_bytes(damaged[: rng.randrange(len(damaged))] if rng.random() < 0.2 else damaged)
        try:
            read_npz(path)
        except InvalidInput as error:
            assert str(error).startswith(f"{path}: it ")  # noqa: PT017 (some damage does not show, so raises() does not fit)
            refused += 1
    assert 100 < refused <= 300
