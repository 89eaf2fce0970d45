"""The wheel and the sdist hold all that the program needs: each, installed in a clean environment, runs `snnport demo`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email import message_from_string
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


def core_dependencies(wheel: Path) -> set[str]:
    """The names of what the wheel asks for without extras, and of what that asks for."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode()
    todo, found = message_from_string(text).get_all("Requires-Dist") or [], set[str]()
    while todo:
        asked = Requirement(todo.pop())
        if asked.name not in found and (asked.marker is None or asked.marker.evaluate({"extra": ""})):
            found.add(asked.name)
            todo += metadata.requires(asked.name) or []
    return found


def clean_environment(folder: Path, names: set[str]) -> Path:
    """A new virtual environment that holds these packages of this one, as links: to install them anew takes minutes.

    Nothing else of this environment can be imported there, this checkout least of all. Returns its interpreter.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    place = next((folder / "lib").glob("python3*")) / "site-packages"
    for name in names:
        dist = metadata.distribution(name)
        for top in {file.parts[0] for file in dist.files or ()} - {"..", "__pycache__"}:
            if not (place / top).exists():
                (place / top).symlink_to(Path(str(dist.locate_file(top))))
    return python


def installed(file: Path, folder: Path, names: set[str]) -> tuple[Path, dict[str, str]]:
    """The interpreter of a clean environment into which pip has installed `file`, and the environment to run it with."""
    python = clean_environment(folder, names)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "PIP_"))}
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--no-compile", "--disable-pip-version-check"]
    ran([sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(file)], variables, folder)
    where = ran([str(python), "-c", "import snnport; print(snnport.__file__)"], variables, folder).strip()
    assert where.startswith(str(folder))
    return python, variables


def ran(line: list[str], variables: dict[str, str], folder: Path) -> str:
    done = subprocess.run(line, cwd=folder, env=variables, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def files_of(python: Path) -> dict[str, bytes]:
    """Every file of the installed package, without what was compiled."""
    package = next((python.parents[1] / "lib").glob("python3*")) / "site-packages" / "snnport"
    return {
        str(path.relative_to(package)): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.slow
def test_wheel_and_sdist_install_in_clean_environments_and_run(built: Path, tmp_path: Path) -> None:
    """The wheel's demo is run; the sdist installs the very same files, so that its own would be the same."""
    wheel = next(built.glob("*.whl"))
    names = core_dependencies(wheel)
    assert {"numpy", "nir", "numba"} <= names
    assert not {"torch", "onnxruntime", "dask", "pytest"} & names
    python, variables = installed(wheel, tmp_path / "wheel", names)
    ran([str(python.with_name("snnport")), "demo", "-o", "out"], variables, tmp_path)
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"report.html", "report.json", "report.md", "digits.nir"}
    other, variables = installed(next(built.glob("*.tar.gz")), tmp_path / "sdist", names | {"setuptools"})
    assert files_of(other) == files_of(python)
    assert ran([str(other.with_name("snnport")), "--version"], variables, tmp_path).startswith("snnport ")


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
