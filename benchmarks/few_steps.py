"""ResNet-20 on CIFAR-10 at few levels: what conversion alone keeps, and what fine-tuning wins back. Half an hour a row of 8
and of 4 levels, on one core.

Usage: python benchmarks/few_steps.py DATA [--more JPEG.npz] [--folder kept/] [--levels 16,8,4] [--seeds 0,1,2]. DATA as in
SNNPORT_DATA. Rounding makes one run of few levels a draw, half a point up or down: --seeds trains as many, and the table has
each of them and their mean.
JPEG.npz: further images to train on, x (n, 32, 32, 3) and labels y (docs/finetune.md, "Training data"): in the rows that are
kept, of the training images that DATA has as JPEG, sorted by name, the first 20,000 of numpy's
default_rng(0).permutation(50000). Runs the command line: convert (with --finetune for 8 and 4 levels, whose checkpoints stay in
the folder, so that a second call goes on), then validate on the 1,000 lossless test images. Writes benchmarks/FEWSTEPS.md, with
the rows that the folder holds of other calls.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

LONG = "weights{{epochs=16,rate={},labels=0.5,average=0.995,sums=bfloat16}}"
RECIPES = {16: None, 8: LONG.format("3e-4"), 4: LONG.format("4e-4")}
BARS = {16: 1.0, 8: 1.0, 4: 3.0}
"""Points that may be lost against the float network."""
NORM = ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")


@dataclass(frozen=True)
class Row:
    """What a run gave: accuracies and agreement as fractions, logit vectors that differ from the quantised network's."""

    levels: int
    seed: int
    float_accuracy: float
    accuracy: float
    agreement: float
    mismatches: int
    seconds: float


def snnport(*arguments: object) -> dict[str, Any]:
    """The document of a verb."""
    command = [sys.executable, "-m", "snnport", *map(str, arguments), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def measured(data: Path, more: Path | None, folder: Path, levels: int, seed: int) -> Row:
    """One run: convert, fine-tune if there is a recipe, and validate."""
    cifar, weights, name = data / "cifar10", data / "ann" / "resnet20-12fca82f.th", f"L{levels}-seed{seed}"
    images, network = [cifar / f"convnetjs_cifar10_batch_{i}.png" for i in range(4)], folder / f"{name}.nir"
    options: list[object] = ["--levels", levels, "--calibration", images[0]]
    recipe = recipe_of(levels, seed)
    if recipe is not None:
        options += ["--finetune", recipe, "--checkpoint", folder / name]
        options += [part for image in (*images, more) if image for part in ("--train-data", image)]
        options += ["--train-labels", labels_of(cifar, more, folder)]
    start = time.perf_counter()
    findings = snnport("convert", weights, "--builder", "resnet20", "-o", network, "--scale", 255, *NORM, *options)["findings"]
    trained = [found["seconds"] for found in findings.values() if "kept_epoch" in found]  # of all pieces
    seconds = max([time.perf_counter() - start, *trained])
    x, y = (cifar / f"snntoolbox_binarynet_{name}_test1000.npz" for name in "xy")
    scaling = ("--scale", 2, "--shift", 0.5, *NORM)
    found = snnport("validate", network, "--against", weights, "--builder", "resnet20", "--input", x, "--labels", y, *scaling)
    stages = {stage["name"]: stage for stage in found["stages"]}
    last, mismatches = stages["lowered"], 0 if found["logits_equal"] else found["logit_mismatches"]
    return Row(levels, seed, stages["float"]["accuracy"], last["accuracy"], last["agreement"], mismatches, seconds)


def labels_of(cifar: Path, more: Path | None, folder: Path) -> Path:
    """A file with the labels of all training images."""
    with np.load(cifar / "labels_for_lossless.npz") as known:
        parts = [known[f"convnetjs_batch_{i}"] for i in range(4)]
    if more is not None:
        with np.load(more) as arrays:
            parts.append(arrays["y"])
    path = folder / "labels.npy"
    np.save(path, np.concatenate([part.astype(np.int64) for part in parts]))
    return path


def recipe_of(levels: int, seed: int) -> str | None:
    """The recipe of a number of levels, with a seed where it is not the default one."""
    recipe = RECIPES[levels]
    return recipe and (recipe if seed == 0 else recipe.replace("}", f",seed={seed}}}"))


def table(rows: list[Row]) -> list[str]:
    """Every run, and the mean of each number of levels that has several."""
    head = "| levels | seed | program % | agreement % | lost | bar | logits | convert |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for levels in RECIPES:
        some = sorted((row for row in rows if row.levels == levels), key=lambda row: row.seed)
        for row in some:
            logits = f"{row.mismatches} differ" if row.mismatches else "equal"
            lines.append(f"| {levels} | {row.seed} | {judged(levels, [row])} | {logits} | {row.seconds:.0f} s |")
        if len(some) > 1:
            lines.append(f"| {levels} | mean of {len(some)} | {judged(levels, some)} | | |")
    return lines


def judged(levels: int, rows: list[Row]) -> str:
    """Accuracy, agreement, points lost and the bar, of one run or as the mean of several."""
    accuracy, agreement = (100 * fmean(getattr(row, name) for row in rows) for name in ("accuracy", "agreement"))
    lost = 100 * fmean(row.float_accuracy for row in rows) - accuracy
    verdict = "met" if lost <= BARS[levels] + 1e-9 else "missed"
    return f"{accuracy:.1f} | {agreement:.1f} | {lost:.2f} | {BARS[levels]:.1f} {verdict}"


def main() -> None:
    """Measure, print, and write the page."""
    ask = argparse.ArgumentParser()
    ask.add_argument("data", type=Path)
    ask.add_argument("--more", type=Path)
    ask.add_argument("--folder", type=Path, default=Path("few-steps"))
    ask.add_argument("--levels", default="16,8,4")
    ask.add_argument("--seeds", default="0")
    given = ask.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for levels in map(int, given.levels.split(",")):
        for seed in map(int, given.seeds.split(",")) if RECIPES[levels] else (0,):
            row = measured(given.data, given.more, given.folder, levels, seed)
            (given.folder / f"L{levels}-seed{seed}.row.json").write_text(json.dumps(asdict(row)))
            print(row, flush=True)
    rows = [Row(**json.loads(path.read_text())) for path in given.folder.glob("*.row.json")]
    page = "# ResNet-20 on CIFAR-10 at few levels\n\nWritten by benchmarks/few_steps.py. 1,000 lossless test images, on which "
    page += f"the float network is right on {100 * rows[0].float_accuracy:.1f} %; 4,000 lossless training images and those of "
    page += f"--more; 8-bit weights. Python {platform.python_version()}, {platform.machine()}.\n\n"
    recipes = [f"- {levels} levels: {f'`{recipe}`' if recipe else 'not trained'}\n" for levels, recipe in RECIPES.items()]
    page += "".join(recipes) + "\n" + "\n".join(table(rows)) + "\n"
    (Path(__file__).parent / "FEWSTEPS.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
