"""A contender as the driver sees it: a process of its own that answers one line of JSON with another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).parent
OWN = ("on_snnport.py", "streaming.py", "train_snnport.py")
"""Contenders that run in the interpreter of the driver."""


class Missing(Exception):
    """A contender that cannot run here, and the line to type."""


@dataclass(frozen=True)
class Measured:
    """wall_s: shortest time of a run. spikes: what it counted."""

    wall_s: float
    spikes: dict[str, int]


class Contender:
    """A running contender; a context manager that ends it."""

    def __init__(self, script: str, request: dict[str, Any]) -> None:
        """Start `script` and let it prepare. Raises Missing if it cannot be started or fails."""
        self.script, self.threads = script, int(request.get("threads", 1))
        self.process = subprocess.Popen(
            command(script),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(self.threads),
        )
        self.said: deque[str] = deque(maxlen=30)
        threading.Thread(target=self._listen, daemon=True).start()
        answer = self._ask({"prepare": request})
        self.config: str = answer["config"]
        self.versions: dict[str, str] = answer["versions"]

    def run(self, seconds: float) -> Measured:
        """The best of the runs that fit into `seconds`."""
        answer = self._ask({"run": seconds})
        return Measured(answer["wall_s"], answer["spikes"])

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        pipe, answers = self.process.stdin, self.process.stdout
        assert pipe is not None
        assert answers is not None
        try:
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()
        except BrokenPipeError:
            pass
        line = answers.readline()
        if not line:
            self.process.wait()
            told = next((text.strip() for text in reversed(self.said) if text.strip()), "it said nothing")
            raise Missing(f"{self.script} did not run: {told}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Close its input, which ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def command(script: str) -> list[str]:
    """What starts `script`: this interpreter, Lava's, or uv with the packages that the script's head names."""
    path = str(HERE / script)
    if script in OWN:
        return [sys.executable, path]
    if script == "on_lava.py":
        made = HERE.parents[1] / ".venv-lava" / "bin" / "python"
        python = made if made.exists() else Path(os.environ.get("SNNPORT_LAVA_PYTHON", str(made)))
        if not python.exists():
            raise Missing("Lava is not installed. Type: make lava")
        return [str(python), path]
    uv = next((u for u in (str(Path(sys.executable).with_name("uv")), shutil.which("uv")) if u and Path(u).exists()), None)
    if uv is None:
        raise Missing("uv is not installed, which makes the peers' environments. Type: make bench")
    return [uv, "run", "--no-project", "--quiet", "--python", "3.11", path]


def environment(threads: int) -> dict[str, str]:
    """This process's environment with pip's settings for uv as well, and a number of threads for every numeric library."""
    env = dict(os.environ)
    for ours, theirs in (
        ("PIP_FIND_LINKS", "UV_FIND_LINKS"),
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_CERT", "SSL_CERT_FILE"),
    ):
        if env.get(ours):
            env.setdefault(theirs, env[ours])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        env[name] = str(threads)
    return env
