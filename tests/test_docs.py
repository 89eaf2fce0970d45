"""Docs are checked artefacts: what they show is what the program does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from snnport.models.digits import DIGITS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import generate  # noqa: E402

TASKS = (*sorted((ROOT / "docs" / "tasks").glob("*.md")), ROOT / "docs" / "sweep.md")
EXAMPLES = ("prove_it.py", "own_chip.py")


def shell(folder: Path, command: str) -> str:
    environment = {**os.environ, "COLUMNS": "80", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def shown(text: str) -> list[tuple[str, str]]:
    """Commands of the console blocks of a page, each with the output shown below it."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    pieces = [piece for block in blocks for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(piece.partition("\n")[0], piece.partition("\n")[2]) for piece in pieces]


def lines(text: str) -> list[str]:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n").splitlines()


def test_the_readme_shows_what_its_commands_print(tmp_path: Path) -> None:
    for path in (DIGITS.onnx, DIGITS.test, DIGITS.calibration):
        shutil.copy(path, tmp_path)
    examples = shown((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(examples) >= 3
    for command, output in examples:
        assert lines(shell(tmp_path, command)) == lines(output), command


@pytest.mark.parametrize("page", TASKS, ids=lambda path: path.stem)
def test_a_page_of_a_task_shows_what_its_commands_print(page: Path, tmp_path: Path) -> None:
    for path in (DIGITS.onnx, DIGITS.test, DIGITS.calibration, ROOT / "tests" / "golden" / "nir" / "lif_rockpool.nir"):
        shutil.copy(path, tmp_path)
    if page.stem not in ("convert-my-ann", "bring-my-snn", "sweep"):
        shell(tmp_path, "snnport convert digits.onnx -o digits.nir --scale 16 --calibration digits_calibration.npz -q")
    examples = shown(page.read_text(encoding="utf-8"))
    assert examples
    for command, output in examples:
        assert lines(shell(tmp_path, command)) == lines(output), command


@pytest.mark.parametrize("page", generate.PAGES)
def test_generated_pages_are_up_to_date(page: str) -> None:
    assert (ROOT / page).read_text(encoding="utf-8") == generate.PAGES[page](), "run make docs"


@pytest.mark.parametrize("page", ["README.md", "docs/extending.md"])
def test_python_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(DIGITS.onnx, tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        module = ModuleType("block")
        monkeypatch.setitem(sys.modules, "block", module)
        exec(compile(block, page, "exec"), vars(module))


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, ROOT / "examples" / name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_short(name: str) -> None:
    assert len((ROOT / "examples" / name).read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.parametrize("page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link
