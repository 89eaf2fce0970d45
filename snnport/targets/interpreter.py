"""A vendor's own interpreter: an environment beside snnport's, found by a variable or by its place, asked through a process."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from snnport.errors import InvalidInput

CHECKOUT = Path(__file__).parents[2]
ASK_S = 60


@dataclass(frozen=True)
class Vendor:
    """A vendor's package. variable: names an interpreter that has it. folder: of the environment that `make` makes.

    module: what is imported to see that it is there; distribution: whose version is told.
    """

    name: str
    variable: str
    folder: str
    make: str
    module: str
    distribution: str

    @property
    def remedy(self) -> str:
        """What to type where it is missing."""
        return f"Type: make {self.make}   (or let {self.variable} name a Python that has {self.distribution})"

    def python(self) -> Path:
        """The interpreter: the variable's, else that of `folder` in the checkout, else in the working folder.

        Raises InvalidInput, with the command that adds it, where none has the package.
        """
        named = os.environ.get(self.variable, "")
        made = [place / self.folder / "bin" / "python" for place in (CHECKOUT, Path.cwd())]
        for python in ([Path(named)] if named else []) + made:
            if (
                _says(python, f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{self.module}') is None)")
                is not None
            ):
                return python
        raise InvalidInput(self.name, f"there is no Python that has {self.module} here", self.remedy)

    def version(self) -> str:
        """The version of its package; empty where there is none."""
        try:
            python = self.python()
        except InvalidInput:
            return ""
        return _says(python, f"from importlib.metadata import version; print(version('{self.distribution}'))") or ""


def _says(python: Path, code: str) -> str | None:
    """What `code` prints in that interpreter; None if it cannot be run or fails."""
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
