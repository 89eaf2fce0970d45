"""MNIST and Fashion-MNIST: four idx files each, packed or not, from the user's folder or by download.

MNIST: Y. LeCun, C. Cortes, C. J. C. Burges. Fashion-MNIST: H. Xiao, K. Rasul, R. Vollgraf, arXiv 1708.07747, 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from snnport.datasets.download import Remote, cache_folder, fetched
from snnport.datasets.files import Array, read_arrays
from snnport.datasets.labels import class_numbers
from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput

PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _remotes(sums: tuple[str, ...], *bases: str) -> tuple[Remote, ...]:
    named = zip(PARTS, sums, strict=True)
    return tuple(Remote(f"{part}.gz", md5, tuple(f"{base}{part}.gz" for base in bases)) for part, md5 in named)


REMOTES: Mapping[str, tuple[Remote, ...]] = MappingProxyType(
    {
        "mnist": _remotes(
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        "fashion-mnist": _remotes(
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
    }
)


def idx_set(name: str, folder: Path | None) -> Splits:
    """Pictures (n, 28, 28) of bytes and class numbers. name: "mnist" or "fashion-mnist".

    folder: holds the four files, or a folder called `name` that does; None: they are downloaded. Raises InvalidInput if a
    file is missing, damaged, or belongs to another part.
    """
    train_x, train_y, test_x, test_y = (read_arrays(path)["x"] for path in _paths(name, folder))
    for part, x in (("train", train_x), ("t10k", test_x)):
        if x.ndim != 3 or x.dtype.kind != "u":
            raise InvalidInput(f"{name}: {part}-images", f"it holds {x.dtype}{x.shape}, pictures of bytes are needed")
    labels = [_labels(f"{name}: {part}-labels", y, x) for part, y, x in (("train", train_y, train_x), ("t10k", test_y, test_x))]
    return Splits(train_x, labels[0], test_x, labels[1])


def _labels(where: str, y: Array, x: Array) -> Array:
    return class_numbers(where, y, len(x))


def _paths(name: str, folder: Path | None) -> tuple[Path, ...]:
    """The four files, in the order of PARTS."""
    if folder is None:
        return tuple(fetched(remote, cache_folder() / name) for remote in REMOTES[name])
    for place in (folder / name, folder):
        found = [_found(place, part) for part in PARTS]
        if any(found):
            missing = [part for part, path in zip(PARTS, found, strict=True) if path is None]
            if missing:
                raise InvalidInput(str(place), f"{', '.join(missing)} is missing", "Put all four files of the set there")
            return tuple(path for path in found if path is not None)
    what = f"neither it nor {folder / name} holds {PARTS[0]}, packed (.gz) or not"
    raise InvalidInput(str(folder), what, f"Name the folder of {name}'s four files with --data")


def _found(place: Path, part: str) -> Path | None:
    """The file of one part, under the names that are in use."""
    names = (part, f"{part}.gz", part.replace("-idx", ".idx"), f"{part.replace('-idx', '.idx')}.gz")
    return next((place / name for name in names if (place / name).is_file()), None)
