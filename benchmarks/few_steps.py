"""ResNet-20 on CIFAR-10 at few levels: what conversion alone keeps, and what fine-tuning wins back. An hour and a half a row
of 8 and of 4 levels, on one core.

Usage: python benchmarks/few_steps.py DATA [--more JPEG.npz] [--folder kept/] [--levels 16,8,4]. DATA as in SNNPORT_DATA.
JPEG.npz: further images to train on, x (n, 32, 32, 3) (docs/finetune.md, "Training data"): in the rows that are kept, of the
training images that DATA has as JPEG, sorted by name, the first 20,000 of numpy's default_rng(0).permutation(50000). Runs the
command line: convert (with --finetune for 8 and 4 levels, whose checkpoints stay in the folder, so that a second call goes on),
then validate on the 1,000 lossless test images. Writes benchmarks/FEWSTEPS.md, with the rows that other calls left there.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LONG = "weights{{epochs=50,rate={},average=0.995,sums=bfloat16}}"
RECIPES = {16: None, 8: LONG.format("3e-4"), 4: LONG.format("4e-4")}
BARS = {16: 1.0, 8: 1.0, 4: 3.0}
"""Points that may be lost against the float network."""
NORM = ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")


def snnport(*arguments: object) -> dict[str, Any]:
    """The document of a verb."""
    command = [sys.executable, "-m", "snnport", *map(str, arguments), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def measured(data: Path, more: Path | None, folder: Path, levels: int) -> str:
    """One line of the table."""
    cifar, weights, network = data / "cifar10", data / "ann" / "resnet20-12fca82f.th", folder / f"L{levels}.nir"
    images = [cifar / f"convnetjs_cifar10_batch_{i}.png" for i in range(4)]
    options: list[object] = ["--levels", levels, "--calibration", images[0]]
    if RECIPES[levels] is not None:
        options += ["--finetune", RECIPES[levels], "--checkpoint", folder / f"L{levels}"]
        options += [part for image in (*images, more) if image for part in ("--train-data", image)]
    start = time.perf_counter()
    findings = snnport("convert", weights, "--builder", "resnet20", "-o", network, "--scale", 255, *NORM, *options)["findings"]
    trained = [found["seconds"] for found in findings.values() if "kept_epoch" in found]  # of all pieces
    seconds = max([time.perf_counter() - start, *trained])
    x, y = (cifar / f"snntoolbox_binarynet_{name}_test1000.npz" for name in "xy")
    scaling = ("--scale", 2, "--shift", 0.5, *NORM)
    found = snnport("validate", network, "--against", weights, "--builder", "resnet20", "--input", x, "--labels", y, *scaling)
    stages = {stage["name"]: stage for stage in found["stages"]}
    float_accuracy, last = stages["float"]["accuracy"], stages["lowered"]
    lost = 100 * (float_accuracy - last["accuracy"])
    verdict = "met" if lost <= BARS[levels] + 1e-9 else "missed"
    numbers = f"{100 * float_accuracy:.1f} | {100 * last['accuracy']:.1f} | {100 * last['agreement']:.1f} | {lost:.1f}"
    equal = "equal" if found["logits_equal"] else f"{found['logit_mismatches']} differ"
    recipe = RECIPES[levels] or "none"
    return f"| {levels} | {recipe} | {numbers} | {BARS[levels]:.1f} {verdict} | {equal} | {seconds:.0f} s |"


def main() -> None:
    """Measure, print, and write the page."""
    ask = argparse.ArgumentParser()
    ask.add_argument("data", type=Path)
    ask.add_argument("--more", type=Path)
    ask.add_argument("--folder", type=Path, default=Path("few-steps"))
    ask.add_argument("--levels", default="16,8,4")
    given = ask.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    head = "| levels | training | float % | program % | agreement % | lost | bar | logits | convert |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for levels in map(int, given.levels.split(",")):
        row = measured(given.data, given.more, given.folder, levels)
        (given.folder / f"L{levels}.row").write_text(row)
        print(row, flush=True)
    lines += [path.read_text() for levels in RECIPES if (path := given.folder / f"L{levels}.row").is_file()]
    page = "# ResNet-20 on CIFAR-10 at few levels\n\nWritten by benchmarks/few_steps.py. 1,000 lossless test images, 4,000 "
    page += "lossless training images and those of --more, all without labels, 8-bit weights. "
    page += f"Python {platform.python_version()}, {platform.machine()}.\n\n"
    (Path(__file__).parent / "FEWSTEPS.md").write_text(page + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
