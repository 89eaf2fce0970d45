"""What a result rests on: hashes of files and cost models, versions, seeds. Recorded in every report, checked on a replay."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from snnport.errors import InvalidInput
from snnport.sim.price_file import SHIPPED
from snnport.targets.base import Target

PACKAGES = ("snnport", "numpy", "nir", "numba")


def sha256_of(path: Path) -> str:
    """The sha256 of a file, or of all files below a folder with their names. Raises InvalidInput if it cannot be read."""
    try:
        if path.is_dir():
            whole = hashlib.sha256()
            for part in sorted(p for p in path.rglob("*") if p.is_file()):
                whole.update(f"{part.relative_to(path).as_posix()}\0{sha256_of(part)}\n".encode())
            return whole.hexdigest()
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise InvalidInput(str(path), "there is no such file") from None
    except OSError as error:
        raise InvalidInput(str(path), f"it cannot be read: {error.strerror}") from None


def cost_models(targets: Sequence[Target], own: Sequence[Path] = ()) -> dict[str, str]:
    """Name -> sha256 of every file whose numbers prices or limits come from: price models, and the numbers of each chip."""
    prices = {path.name: sha256_of(path) for path in sorted(SHIPPED.glob("*.toml"))}
    chips = {f"chip {target.chip.name}": chip_hash(target) for target in targets}
    return {**prices, **{str(path.name): sha256_of(path) for path in own}, **chips}


def chip_hash(target: Target) -> str:
    """The sha256 of a chip's numbers, wherever they came from."""
    numbers = sorted((key, repr(number.value)) for key, number in target.chip.numbers.items())
    return hashlib.sha256(repr((target.name, target.chip.name, numbers)).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Name -> version of what computed the numbers."""
    return {**{name: metadata.version(name) for name in PACKAGES}, "python": platform.python_version()}
