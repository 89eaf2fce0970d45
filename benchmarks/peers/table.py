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

WAYS = (
    "How the peers run: the documentation of snnTorch and of Norse loops over the steps and calls the whole network in each;",
    "the strongest configuration found takes all steps of a layer in one product and then its neurons step by step (Norse's",
    "compiled by torch.compile where that is faster). Sinabs's documentation runs layer by layer, which is the strongest found",
    "too. SpikingJelly documents both step modes; the multi-step mode is the faster one and stands in both columns. Lava,",
    "Brian2 (C++ standalone) and SANA-FE have one way each. Row a: adding the same rows of weights and nothing else, first in",
    "the order of the events (the fastest of four ways), then, in the column of the strongest, in tiles of targets with the",
    "engine's own sum of rows.",
)
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"


@dataclass(frozen=True)
class Line:
    """One row of the table: wall times in seconds of ours, of the peer as its documentation runs it and in the strongest
    configuration found, and the least ratio (peer's time over ours) that is wanted.
    """

    key: str
    work: str
    peer: str
    config: str
    ours_s: float
    documented_s: float
    strongest_s: float
    least: float
    spikes: str

    @property
    def ratios(self) -> tuple[float, float]:
        """How many times as long the peer takes: as documented, and in the strongest configuration found."""
        return self.documented_s / self.ours_s, self.strongest_s / self.ours_s

    @property
    def met(self) -> tuple[bool, bool]:
        """Whether both ratios are large enough."""
        documented, strongest = self.ratios
        return documented >= self.least, strongest >= self.least

    def text(self) -> str:
        """One line for the terminal."""
        documented, strongest = (
            f"{seconds * 1e3:.2f} ms, ratio {ratio:.2f}{'' if met else ' BELOW'}"
            for seconds, ratio, met in zip((self.documented_s, self.strongest_s), self.ratios, self.met, strict=True)
        )
        return (
            f"{self.key}  {self.work} | {self.peer}: {self.ours_s * 1e3:.2f} ms; as documented {documented}; strongest "
            f"{strongest} (at least {self.least:g}) | {self.spikes} | {self.config}"
        )

    def cells(self) -> str:
        """One line of the Markdown table."""
        both = zip((self.documented_s, self.strongest_s), self.ratios, self.met, strict=True)
        sides = " | ".join(
            f"{milliseconds(seconds)} | {ratio:.3g} | {'yes' if met else '**no**'}" for seconds, ratio, met in both
        )
        return (
            f"| {self.key} | {self.work} | {self.peer} | {milliseconds(self.ours_s)} | {sides} | {self.least:g} "
            f"| {self.spikes} | {self.config} |"
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
    met, strongest = (sum(line.met[side] for line in lines) for side in (0, 1))
    head = [
        "## Speed beside the peers",
        "",
        f"`make bench` (benchmarks/speed.py), {datetime.date.today().isoformat()}: {met} of {len(lines)} comparisons meet "
        f"their bar against the peer as its documentation runs it, {strongest} also against the strongest configuration of "
        "it that was found.",
        "",
        f"Machine: {machine()}. Load average before and after: {load[0]:.1f}, {load[1]:.1f}; where it exceeds the share of "
        "this benchmark, other work took part of the cores, from both sides.",
        "",
        "Ratio: the peer's time over ours, all measured in turns in one run. The time of set-up counts for neither: models "
        "are built, programs laid out and code compiled beforehand. Both cores are allowed for each contender, save in row a; "
        "a peer gets one thread or two, whichever is faster.",
        "",
        *WAYS,
        "",
        "| row | work | against | ours, ms | as documented, ms | ratio | met | strongest configuration found, ms | ratio | met "
        "| at least | spikes | the peer's strongest configuration |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
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
