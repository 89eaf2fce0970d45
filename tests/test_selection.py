"""What tests/conftest.py promises: a skip fails in CI, what lacks its data or package is left out and named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "test_skip.py": "import pytest\n@pytest.mark.skip(reason='tired')\ndef test_a(): 0\ndef test_b(): pytest.skip('later')\n",
    "test_whole.py": "import pytest\npytest.importorskip('no_such_package')\n",
    "test_xfail.py": "import pytest\n@pytest.mark.xfail\ndef test_a(): assert False\n",
    "test_data.py": "import pytest\n@pytest.mark.data\ndef test_a(data_dir): assert data_dir.is_dir()\n",
    "test_helped.py": "from helper import x\ndef test_a(): pass\n",
    "helper.py": "import onnxruntime as x\n",
    "onnxruntime.py": "",
}


def pytest_says(folder: Path, *names: str, **settings: str) -> tuple[int, str]:
    """Exit status and output of pytest on these files, beside a copy of conftest.py."""
    for name, text in {**FILES, "conftest.py": Path(__file__).with_name("conftest.py").read_text()}.items():
        (folder / name).write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = data: large\n")
    environment = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith(("SNNPORT_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--continue-on-collection-errors", *names]
    done = subprocess.run(
        command, cwd=folder, env={**environment, **settings}, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("parallel", [(), ("-n", "1")])
def test_a_skip_is_a_failure_in_ci(tmp_path: Path, parallel: tuple[str, ...]) -> None:
    status, said = pytest_says(tmp_path, "test_skip.py", "test_whole.py", "test_xfail.py", *parallel, CI="true")
    assert status == 1
    assert "1 failed, 1 xfailed, 2 errors" in said
    assert said.count("it was skipped, which counts as failed with CI=true") >= 3
    assert all(reason in said for reason in ("tired", "later", "could not import 'no_such_package'"))


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    status, said = pytest_says(tmp_path, "test_skip.py", "test_whole.py", "test_xfail.py")
    assert status == 0
    assert "3 skipped, 1 xfailed" in said


def test_what_needs_large_data_runs_where_there_are_some(tmp_path: Path) -> None:
    status, said = pytest_says(tmp_path, "test_data.py", "test_xfail.py", CI="true")
    assert status == 0
    assert "1 deselected, 1 xfailed" in said
    assert "tests on large data sets are deselected: SNNPORT_DATA names no folder" in said
    status, said = pytest_says(tmp_path, "test_data.py", CI="true", SNNPORT_DATA=str(tmp_path))
    assert status == 0
    assert "1 passed" in said
    assert "deselected" not in said


def test_the_core_is_tested_without_what_needs_an_optional_package(tmp_path: Path) -> None:
    status, said = pytest_says(tmp_path, ".", "--ignore=test_skip.py", "--ignore=test_whole.py", SNNPORT_CORE="1")
    assert status == 0
    assert "1 deselected, 1 xfailed" in said
    assert "files that need dask, distributed, norse, onnxruntime, torch, yaml are left out: SNNPORT_CORE=1" in said
    status, said = pytest_says(tmp_path, "test_helped.py")
    assert "1 passed" in said
