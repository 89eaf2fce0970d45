"""Mutated files and command lines: no traceback, no hang, no memory beyond 2 GiB, nothing half written.

200 inputs a format in `make test`, 5,000 in `make study`, and every file that has ever broken something (findings/).
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
TESTS = HERE.parent
FORMATS = ("onnx", "nir", "net", "npz", "program", "trace", "idx", "toml", "json", "cli")
START_S = 120
SLOW_S = 10.0
FEW, MANY = 200, 5000


def inputs() -> int:
    """How many inputs a format gets."""
    asked = os.environ.get("SNNPORT_FUZZ")
    return int(asked) if asked else MANY if settings.default.max_examples > 1000 else FEW


def watched(kind: str, first: int, last: int, folder: Path, given: list[Path]) -> tuple[list[str], int]:
    """Findings of a worker, and the first input that it did not come to: it is ended if an input takes longer than SLOW_S."""
    folder.mkdir(parents=True)
    paths = os.pathsep.join(map(str, (HERE, TESTS, TESTS.parent, *filter(None, [os.environ.get("PYTHONPATH")]))))
    environment = {**os.environ, "PYTHONPATH": paths, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    line = [
        sys.executable,
        str(HERE / "worker.py"),
        kind,
        str(first),
        str(last),
        str(folder),
        *(["--given", *map(str, given)] if given else []),
    ]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stderr is not None
    os.set_blocking(process.stdout.fileno(), False)
    wait = selectors.DefaultSelector()
    wait.register(process.stdout, selectors.EVENT_READ)
    found: list[str] = []
    rest, at, spent = b"", first - 1, _cpu(process.pid)
    since = time.monotonic()
    try:
        while True:
            if wait.select(0.5):
                part = process.stdout.read()
                if part == b"":
                    break
                *lines, rest = (rest + (part or b"")).split(b"\n")
                for word, _, text in (line.decode().partition(" ") for line in lines):
                    if word == "begin":
                        at, since, spent = int(text), time.monotonic(), _cpu(process.pid)
                    else:
                        found.append(f"{kind} {text}")
            took = time.monotonic() - since
            # a crowded machine is not a hang: the input's own seconds count, and far more of the clock
            if (at < first and took > START_S) or (at >= first and (_cpu(process.pid) - spent > SLOW_S or took > 10 * SLOW_S)):
                process.kill()
                return [*found, f"{kind} {at}: no answer after {took:.0f} s"], at + 1
    finally:
        process.kill()
        errors = process.stderr.read().decode(errors="replace")
        code = process.wait()
    if at < last - 1:
        return [*found, f"{kind} {at}: the process ended with {code}\n{errors[-3000:]}"], max(at, first) + 1
    return found, last


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def all_of(kind: str, count: int, folder: Path, given: list[Path] | None = None) -> list[str]:
    """Findings over inputs 0..count-1; a worker that was ended is replaced."""
    found: list[str] = []
    first = 0
    while first < count and len(found) < 25:
        more, first = watched(kind, first, count, folder / f"{kind}{first}", given or [])
        found += more
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_no_input_breaks_the_contract(kind: str, tmp_path: Path) -> None:
    found = all_of(kind, inputs(), tmp_path)
    assert not found, f"{len(found)} findings\n" + "\n".join(
        text.encode().decode("unicode_escape", "replace") for text in found
    )


FINDINGS = sorted({path.parent.name for path in (HERE / "findings").glob("*/*")})


@pytest.mark.parametrize("kind", FINDINGS or ["cli"])
def test_what_was_found_once_stays_mended(kind: str, tmp_path: Path) -> None:
    files = sorted((HERE / "findings" / kind).glob("*"))
    assert all_of(kind, len(files), tmp_path, files) == []


def test_the_watch_sees_a_hang_and_a_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import test_fuzz

    stub = tmp_path / "worker.py"
    stub.write_text(
        "import sys, time\nfirst = int(sys.argv[2])\nprint('begin', first, flush=True)\n"
        "if first == 0:\n    while True: pass\nif first == 1:\n    sys.exit('dead')\n"
        "print('finding', first, '\"x\"', flush=True)\n"
    )
    monkeypatch.setattr(test_fuzz, "HERE", tmp_path)
    monkeypatch.setattr(test_fuzz, "SLOW_S", 0.5)
    found = all_of("onnx", 3, tmp_path / "w")
    assert "no answer after" in found[0]
    assert "the process ended with 1" in found[1]
    assert json.loads(found[2].split(" ", 2)[2]) == "x"


sys.modules.setdefault("test_fuzz", sys.modules[__name__])
