"""Downloads: kept where the user says, believed only with the published checksum, one line where there is no network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from snnport.datasets.download import Remote, cache_folder, fetched
from snnport.errors import InvalidInput

CONTENT = b"what was published" * 100_000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def published(folder: Path, content: bytes = CONTENT) -> str:
    """The address of a file with this content."""
    path = folder / "source"
    path.write_bytes(content)
    return path.as_uri()


def test_a_file_is_fetched_once_and_kept(tmp_path: Path) -> None:
    remote = Remote("set.bin", MD5, (published(tmp_path),))
    path = fetched(remote, tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    (tmp_path / "source").unlink()
    assert fetched(remote, tmp_path / "cache") == path
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["set.bin"]


def test_what_is_not_the_published_file_is_refused_and_not_kept(tmp_path: Path) -> None:
    remote = Remote("set.bin", MD5, (published(tmp_path, b"something else"),))
    with pytest.raises(InvalidInput, match=f"that of the published file is {MD5}"):
        fetched(remote, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_file_in_the_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(InvalidInput, match=r"Fetch it again, or delete it"):
        fetched(Remote("set.bin", MD5, ()), tmp_path)


def test_without_a_network_one_line_says_where_to_put_it(tmp_path: Path) -> None:
    missing = (tmp_path / "nowhere").as_uri()
    with pytest.raises(InvalidInput, match="it cannot be downloaded") as caught:
        fetched(Remote("set.bin", MD5, (missing,)), tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert "name its folder with --data" in str(caught.value)


def test_the_second_address_serves_where_the_first_does_not(tmp_path: Path) -> None:
    urls = ((tmp_path / "nowhere").as_uri(), published(tmp_path))
    assert fetched(Remote("set.bin", MD5, urls), tmp_path / "cache").read_bytes() == CONTENT


def test_the_folder_of_downloads() -> None:
    assert cache_folder({"SNNPORT_CACHE": "/a"}) == Path("/a")
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/snnport")
    assert cache_folder({}) == Path.home() / ".cache" / "snnport"
