"""From measurements to the table in RESULTS.md."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"


@dataclass(frozen=True)
class Line:
    """One row of the table: wall times of both in seconds, and the least ratio (peer's time over ours) that is wanted."""

    key: str
    work: str
    peer: str
    config: str
    ours_s: float
    theirs_s: float
    least: float
    spikes: str

    @property
    def ratio(self) -> float:
        """How many times as long the peer takes."""
        return self.theirs_s / self.ours_s

    def text(self) -> str:
        """One line for the terminal."""
        met = "" if self.ratio >= self.least else "  BELOW"
        return (
            f"{self.key}  {self.work} | {self.peer}: {self.ours_s * 1e3:.2f} ms, {self.theirs_s * 1e3:.2f} ms, "
            f"ratio {self.ratio:.2f} (at least {self.least:g}){met} | {self.spikes} | {self.config}"
        )

    def cells(self) -> str:
        """One line of the Markdown table."""
        met = "yes" if self.ratio >= self.least else "**no**"
        return (
            f"| {self.key} | {self.work} | {self.peer} | {milliseconds(self.ours_s)} | {milliseconds(self.theirs_s)} "
            f"| {self.ratio:.3g} | {self.least:g} | {met} | {self.spikes} | {self.config} |"
        )


def milliseconds(seconds: float) -> str:
    """Three digits."""
    value = seconds * 1e3
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def agreement(theirs: Mapping[str, int], ours: Mapping[str, int]) -> str:
    """Whether both counted the same spikes, population by population; "layers" is the sum of all layers."""
    parts, equal = [], True
    for name, value in theirs.items():
        if name == "layers":
            expected = sum(count for key, count in ours.items() if key.startswith("layer"))
        elif name in ours:
            expected = ours[name]
        else:
            continue
        equal &= expected == value
        parts.append(f"{name} {value:,}" if expected == value else f"{name} {value:,} against our {expected:,}")
    return ("equal: " if equal else "differ: ") + ", ".join(parts)


def machine() -> str:
    """Processor, cores, Python, and what the engine is built on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}"
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {versions}"


def page(lines: Sequence[Line], missing: Sequence[str], load: tuple[float, float]) -> str:
    """The section of RESULTS.md."""
    met = sum(line.ratio >= line.least for line in lines)
    head = [
        "## Speed beside the peers",
        "",
        f"`make bench` (benchmarks/speed.py), {datetime.date.today().isoformat()}: {met} of {len(lines)} comparisons meet "
        "their bar.",
        "",
        f"Machine: {machine()}. Load average before and after: {load[0]:.1f}, {load[1]:.1f}; where it exceeds the share of "
        "this benchmark, other work took part of the cores, from both sides.",
        "",
        "Ratio: the peer's time over ours, both measured in turns in one run. The time of set-up counts for neither: models "
        "are built, programs laid out and code compiled beforehand. Both cores are allowed for each contender, save in row a.",
        "",
        "| row | work | against | ours, ms | theirs, ms | ratio | at least | met | spikes | the peer's configuration |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(line.cells() for line in lines),
    ]
    tail = ["", "Left out:", "", *(f"- {text}" for text in missing)] if missing else []
    return "\n".join([*head, *tail]) + "\n"


def write(path: Path, section: str) -> None:
    """Put the section into the file at `path`, between its two marks, and leave the rest of the file alone."""
    old = path.read_text(encoding="utf-8") if path.is_file() else "# Results\n"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before.rstrip()}\n\n{BEGIN}\n{section}{END}\n{after.lstrip()}", encoding="utf-8")
