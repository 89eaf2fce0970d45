"""The wheel and the sdist hold all that the program needs: each, unpacked alone in a folder, runs `snnport demo`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("snnport", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built from a copy of the sources by the build backend itself."""
    folder = tmp_path_factory.mktemp("built")
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCES:
        path = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(path, copy / name, ignore=ignored) if path.is_dir() else shutil.copy(path, copy)
    for kind in ("wheel", "sdist"):
        build = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
        done = subprocess.run([sys.executable, "-c", build, str(folder)], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    return folder


def unpacked(built: Path, kind: str, folder: Path) -> Path:
    """The folder that holds the package `snnport`, and nothing else of this checkout."""
    if kind == "wheel":
        with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
            archive.extractall(folder)
        return folder
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_what_is_published_runs_the_demo(built: Path, tmp_path: Path, kind: str) -> None:
    place = unpacked(built, kind, tmp_path / "place")
    start = (
        "import snnport, sys; print(snnport.__file__); sys.argv = ['snnport', *sys.argv[1:]]\n"
        "from snnport.cli import main; main()"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", start, "demo", "-o", str(tmp_path / "out")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(str(place))
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"report.html", "report.json", "report.md", "digits.nir"}


def test_the_wheel_holds_every_file_that_is_not_python(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        names = set(archive.namelist())
        entry = next(n for n in names if n.endswith("entry_points.txt"))
        assert "snnport = snnport.cli:main" in archive.read(entry).decode()
    wanted = {
        str(p.relative_to(ROOT)) for p in (ROOT / "snnport").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts and p.suffix not in (".pyc", ".nbi", ".nbc")
    }  # fmt: skip
    assert wanted - names == set()
