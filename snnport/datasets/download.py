"""Files of published data sets, fetched where there is a network and believed only if their checksum is right."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snnport.errors import InvalidInput

TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as out of reach."""
BLOCK = 1 << 20
UNREACHABLE = (urllib.error.URLError, OSError, ValueError)


@dataclass(frozen=True)
class Remote:
    """A published file. name: as it is kept. md5: of its bytes, in hexadecimal. urls: where it is, tried in turn."""

    name: str
    md5: str
    urls: tuple[str, ...]


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where downloads are kept: $SNNPORT_CACHE, else $XDG_CACHE_HOME/snnport, else ~/.cache/snnport."""
    found = os.environ if environment is None else environment
    if found.get("SNNPORT_CACHE"):
        return Path(found["SNNPORT_CACHE"])
    return Path(found.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snnport"


def fetched(remote: Remote, folder: Path) -> Path:
    """The file of `remote` in `folder`, downloaded if it is not there yet.

    Raises InvalidInput in one line if it cannot be fetched, or is not the file that was published.
    """
    path = folder / remote.name
    if path.is_file():
        _require(path, remote)
        return path
    failures = []
    for url in remote.urls:
        try:
            return _download(remote, url, path)
        except UNREACHABLE as error:
            failures.append(f"{url.split('/')[2]}: {getattr(error, 'reason', None) or error}")
    what = f"it cannot be downloaded ({'; '.join(failures) or 'it has no address'})"
    raise InvalidInput(remote.name, what, f"Put it into {folder}, or name its folder with --data")


def _download(remote: Remote, url: str, path: Path) -> Path:
    """Fetch `url` to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    request = urllib.request.Request(url, headers={"User-Agent": "snnport"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                while block := answer.read(BLOCK):
                    stream.write(block)
            _require(part, remote, url)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def _require(path: Path, remote: Remote, url: str = "") -> None:
    """Raise InvalidInput unless the file at `path` has the checksum of `remote`."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != remote.md5:
        what = f"its md5 is {digest.hexdigest()}, that of the published file is {remote.md5}"
        raise InvalidInput(url or str(path), what, "Fetch it again, or delete it")
