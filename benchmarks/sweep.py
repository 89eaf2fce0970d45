"""Does a sweep get twice as fast on two workers? One grid on 1 and 2 processes, by the clock and by what each process worked.

Both runs compute every cell anew, in a folder of their own, and must write the same table byte for byte. The clock says what a
sweep took on this machine as it was; the seconds of processor time of the busiest worker say what it would take on idle cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from snnport.flow.convert import ConvertOptions
from snnport.flow.model import open_model
from snnport.flow.prepare import InputOptions
from snnport.flow.sweep import Grid, sweep
from snnport.models.digits import DIGITS

COPIES = 20
"""Times that the 400 shipped samples are repeated, so that a cell takes seconds, as in real sweeps."""
LEVELS, BITS = (4, 6, 8, 10, 12, 14, 16, 20), (5, 8)


@dataclass(frozen=True)
class Timed:
    """Seconds by the clock, start of the workers included; processor seconds of each worker; the table that was written."""

    wall_s: float
    worked_s: tuple[float, ...]
    table: bytes


class Watch(threading.Thread):
    """Reads what the workers of this process have worked, as long as they are there."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.worked: dict[int, float] = {}
        self.stop = threading.Event()

    def run(self) -> None:
        """Until stop is set."""
        while not self.stop.wait(0.2):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "spawn_main" in " ".join(process.cmdline()):
                        times = process.cpu_times()
                        self.worked[process.pid] = times.user + times.system
                except psutil.Error:
                    continue


def timed(workers: int, grid: Grid, data: Path, folder: Path) -> Timed:
    """One whole sweep."""
    inputs = InputOptions(scale=DIGITS.scale, calibration=DIGITS.calibration)
    watch, start = Watch(), time.perf_counter()
    watch.start()
    sweep(open_model(DIGITS.onnx), grid, data, inputs, ConvertOptions(), folder, workers=workers)
    wall = time.perf_counter() - start
    watch.stop.set()
    watch.join()
    return Timed(wall, tuple(sorted(watch.worked.values(), reverse=True)[:workers]), (folder / "sweep.csv").read_bytes())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=COPIES)
    parser.add_argument("--cells", type=int, default=len(LEVELS) * len(BITS))
    asked = parser.parse_args()
    grid = Grid(levels=LEVELS[: max(1, asked.cells // len(BITS))], bits=BITS)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        shipped = np.load(DIGITS.test)
        x, y = (np.concatenate([shipped[key]] * asked.copies) for key in "xy")
        np.savez(root / "x.npz", x=x, y=y)
        # compiled kernels are on disk before a clock runs
        inputs = InputOptions(scale=DIGITS.scale, calibration=DIGITS.calibration)
        sweep(open_model(DIGITS.onnx), Grid(), root / "x.npz", inputs, ConvertOptions(), root / "warm", workers=0)
        one, two = (timed(workers, grid, root / "x.npz", root / str(workers)) for workers in (1, 2))
    print(f"{grid.size} cells of {len(y)} samples, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"clock: 1 worker {one.wall_s:.1f} s, 2 workers {two.wall_s:.1f} s, {one.wall_s / two.wall_s:.2f} times as fast")
    worked = " and ".join(f"{s:.1f}" for s in two.worked_s)
    print(f"processor time, imports included: 1 worker {one.worked_s[0]:.1f} s, 2 workers {worked} s,", end=" ")
    print(f"{one.worked_s[0] / two.worked_s[0]:.2f} times as fast on idle cores")
    print(f"tables equal: {one.table == two.table}")


if __name__ == "__main__":
    main()
