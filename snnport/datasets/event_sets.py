"""Data sets of events as rasters: N-MNIST (folders of .bin recordings) and the Spiking Heidelberg Digits (HDF5 event lists).

N-MNIST: G. Orchard et al., Frontiers in Neuroscience 9:437, 2015. SHD: B. Cramer et al., IEEE TNNLS 33(7), 2022.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from snnport.datasets.download import Remote, cache_folder, fetched
from snnport.datasets.event_lists import MAX_SAMPLE, NMNIST_SIZE, nmnist
from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput
from snnport.events import Events

SHD_UNITS = 700
"""Channels of the artificial cochlea."""
SHD_SECONDS = 1.4
"""The longest recording of SHD lasts less."""
NMNIST_SECONDS = 0.3
"""The three saccades of N-MNIST; what comes later, in a few recordings, is left out."""
_MENDELEY = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"
_SHD = "https://zenkelab.org/datasets/"
REMOTES: Mapping[str, tuple[Remote, ...]] = MappingProxyType(
    {
        "n-mnist": (
            Remote(
                "Train.zip",
                "20959b8e626244a1b502305a9e6e2031",
                (f"{_MENDELEY}39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",),
            ),
            Remote(
                "Test.zip",
                "69ca8762b2fe404d9b9bad1103e97832",
                (f"{_MENDELEY}05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",),
            ),
        ),
        "shd": (
            Remote("shd_train.h5.zip", "f3252aeb598ac776c1b526422d90eecb", (f"{_SHD}shd_train.h5.zip",)),
            Remote("shd_test.h5.zip", "1503a5064faa34311c398fb0a1ed0a6f", (f"{_SHD}shd_test.h5.zip",)),
        ),
    }
)


def shd(folder: Path | None, dt: float = 4e-3, bins: int = SHD_UNITS) -> Splits:
    """SHD as counts (n, n_steps, bins), uint8. dt: seconds a step. bins: neighbouring channels are added up to so many.

    folder: holds shd_train.h5 and shd_test.h5, or their .zip; None: they are downloaded. Raises InvalidInput if one is missing
    or damaged, or dt and bins do not suit.
    """
    if not dt > 0 or SHD_UNITS % max(bins, 1) or bins < 1:
        what = f"dt {dt} s and {bins} bins: a positive time and a divisor of {SHD_UNITS} are needed"
        raise InvalidInput("shd", what)
    parts = [_shd_file(path, dt, bins) for path in _shd_paths(folder)]
    return Splits(*parts[0], *parts[1])


def _shd_paths(folder: Path | None) -> list[Path]:
    if folder is None:
        place = cache_folder() / "shd"
        return [_unzipped(fetched(remote, place), place) for remote in REMOTES["shd"]]
    for place in (folder / "shd", folder):
        if any((place / f"shd_train.h5{end}").is_file() for end in ("", ".zip")):
            return [_shd_part(place, part) for part in ("train", "test")]
    raise InvalidInput(str(folder), "it holds no shd_train.h5", "Name the folder of shd_train.h5 and shd_test.h5 with --data")


def _shd_part(place: Path, part: str) -> Path:
    path = place / f"shd_{part}.h5"
    if path.is_file():
        return path
    packed = place / f"{path.name}.zip"
    if packed.is_file():
        return packed
    raise InvalidInput(str(place), f"it holds no {path.name}", "Put both files of SHD there")


def _unzipped(path: Path, place: Path) -> Path:
    """The .h5 inside the archive at `path`, unpacked beside it, or that file itself."""
    inner = place / path.name.removesuffix(".zip")
    if inner.is_file():
        return inner
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extract(inner.name, place)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise InvalidInput(str(path), f"it cannot be unpacked: {error}", "Fetch it again") from None
    return inner


def _shd_file(path: Path, dt: float, bins: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Counts (n, n_steps, bins) and labels (n,) of one file: spikes/times and spikes/units, a list a sample, and labels."""
    try:
        with ExitStack() as opened:
            source: Any = path
            if path.suffix == ".zip":
                archive = opened.enter_context(zipfile.ZipFile(path))
                source = opened.enter_context(archive.open(path.name.removesuffix(".zip")))
            return _shd_counts(path, opened.enter_context(h5py.File(source, "r")), dt, bins)
    except (OSError, KeyError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise InvalidInput(str(path), f"it cannot be read as SHD: {error}", "Fetch it again") from None


def _shd_counts(path: Path, file: Any, dt: float, bins: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    times, units, labels = file["spikes"]["times"], file["spikes"]["units"], np.asarray(file["labels"][:], np.int64)
    if not len(times) == len(units) == len(labels):
        raise InvalidInput(str(path), f"it has {len(times)} lists of times, {len(units)} of units, {len(labels)} labels")
    n_steps = math.ceil(SHD_SECONDS / dt)
    if n_steps * bins > MAX_SAMPLE:
        raise InvalidInput("shd", f"dt {dt} s makes {n_steps} steps of {bins} channels", "Give a longer dt")
    counts = np.zeros((len(labels), n_steps, bins), np.uint8)
    for k in range(len(labels)):
        time, unit = np.asarray(times[k], np.float64), np.asarray(units[k], np.int64)
        if time.shape != unit.shape or (unit.size and (unit.min() < 0 or unit.max() >= SHD_UNITS)) or not (time >= 0).all():
            raise InvalidInput(f"{path}: sample {k}", f"its events are no times from 0 on in channels 0..{SHD_UNITS - 1}")
        step = np.floor(time / dt).astype(np.int64)
        kept = step < n_steps
        place = step[kept] * bins + unit[kept] // (SHD_UNITS // bins)
        counts[k] = np.minimum(np.bincount(place, minlength=n_steps * bins), 255).reshape(n_steps, bins)
    return counts, labels


def n_mnist(folder: Path | None, dt: float = 1e-3, first: int | None = None) -> Splits:
    """N-MNIST as counts (n, n_steps, 2, 34, 34), uint8. dt: seconds a step. first: so many recordings of each digit and part.

    folder: holds Train and Test, each with a folder a digit; None: they are downloaded. Raises InvalidInput without them.
    """
    place = _nmnist_folder(folder)
    n_steps = math.ceil(NMNIST_SECONDS / dt) if dt > 0 else 0
    if not 0 < n_steps <= MAX_SAMPLE // (2 * NMNIST_SIZE**2):
        raise InvalidInput("n-mnist", f"dt {dt} s does not cut {NMNIST_SECONDS} s into steps that fit")
    parts = [_recordings(_inside(place, part), dt, n_steps, first) for part in ("Train", "Test")]
    return Splits(*parts[0], *parts[1])


def _nmnist_folder(folder: Path | None) -> Path:
    if folder is not None:
        return next((place for place in (folder / "n-mnist", folder / "NMNIST", folder) if place.is_dir()), folder)
    place = cache_folder() / "n-mnist"
    for remote in REMOTES["n-mnist"]:
        path = fetched(remote, place)
        if not (place / remote.name.removesuffix(".zip")).is_dir():
            with zipfile.ZipFile(path) as archive:
                archive.extractall(place)
    return place


def _inside(place: Path, part: str) -> Path:
    found = next((place / name for name in (part, part.lower()) if (place / name).is_dir()), None)
    if found is None:
        raise InvalidInput(str(place), f"it holds no folder {part}", "Name the folder of N-MNIST's Train and Test with --data")
    return found


def _recordings(
    folder: Path, dt: float, n_steps: int, first: int | None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Counts and labels of the recordings in the folders of the ten digits, digit by digit."""
    shape = (2, NMNIST_SIZE, NMNIST_SIZE)
    counts, labels = [], []
    for digit in sorted(path for path in folder.iterdir() if path.is_dir() and path.name.isdigit()):
        for path in sorted(digit.glob("*.bin"))[:first]:
            events, _, _, _, _ = nmnist(path, shape, dt)
            raster = _first_steps(events, n_steps).to_raster(1, n_steps, math.prod(shape))
            counts.append(np.minimum(raster[0], 255).astype(np.uint8).reshape(n_steps, *shape))
            labels.append(int(digit.name))
    if not counts:
        raise InvalidInput(str(folder), "it holds no recordings in folders named by digit", "Give N-MNIST as it is published")
    return np.stack(counts), np.array(labels, np.int64)


def _first_steps(events: Events, n_steps: int) -> Events:
    kept = events.time < n_steps
    return replace(events, sample=events.sample[kept], time=events.time[kept], index=events.index[kept])
