"""Every recipe the whole road: train, write the encoded test part, check, quantise, run, and keep what was seen.

`python benchmarks/recipes.py NAME [--data DIR] [--out DIR] [--samples N] [--variant=FLAGS] [-- train options]` goes the road of
one recipe by the command line's own verbs and keeps its row in benchmarks/recipes.json, from which docs/models.md is made. A
variant (--variant=--no-sfa, given to train as well) has a row beside the recipe's. A recipe that is there already
(OUT/NAME.nir) is not trained again, so that a long one can be trained in pieces with --checkpoint first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from snnport.models.recipe import Recipe
from snnport.registry import RECIPES

KEPT = Path(__file__).with_name("recipes.json")
CALIBRATION = 128
"""Samples of the encoded test part on which a target chooses its scales, without their labels."""


def main() -> None:
    """Go the road of one recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--data")
    parser.add_argument("--out", default="recipes")
    parser.add_argument("--samples", type=int, default=1000, help="test samples of the integer runs")
    parser.add_argument("--variant", default="")
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    asked = parser.parse_args(words[:cut])
    row = road(asked.name, Path(asked.out), asked.data, asked.samples, words[cut + 1 :])
    found = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    key = f"{asked.name} {asked.variant}".strip()
    KEPT.write_text(json.dumps({**found, key: row}, indent=1, sort_keys=True) + "\n")
    print(json.dumps(row, indent=1))


def road(name: str, folder: Path, data: str | None, samples: int, options: list[str]) -> dict[str, Any]:
    """What was seen on the road of recipe `name`: accuracies as fractions, or errors of a recipe that is solved."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe: Recipe = RECIPES.load(name)
    graph, encoded = folder / f"{name}.nir", folder / f"{name}.npz"
    if not graph.exists():
        where = ["--data", data] if data else []
        tests = ["--test-samples", str(samples)] if recipe.must_reach is None else []
        snnport("train", name, "-o", graph, "--test-input", encoded, *where, *tests, *options)
    log = json.loads(graph.with_suffix(".json").read_text())
    row = {key: log[key] for key in ("accuracy", "rmse", "test_samples") if log.get(key) is not None}
    row["trained"] = " ".join(["snnport train", name, *options])
    if recipe.must_reach is None and "rmse" in row:
        return row
    part, few = folder / f"{name}.part.npz", folder / f"{name}.few.npz"
    with np.load(encoded) as arrays:
        np.savez(part, x=arrays["x"][:samples], y=arrays["y"][:samples])
        np.savez(few, x=arrays["x"][:CALIBRATION])
    targets = ("cpu", "loihi2") if recipe.reset.startswith("to zero") else ("cpu",)
    for target in targets:
        stages = snnport("validate", graph, "--target", target, "--input", part, "--calibration", few)["stages"]
        row["real"], row[f"int8 {target}"] = stages[0]["accuracy"], stages[-1]["accuracy"]
    four = folder / f"{name}.int4.nir"
    snnport("quantize", graph, "-o", four, "--pass", "quantize-shifts{bits=4}")
    row["int4 cpu"] = snnport("run", four, "--target", "cpu", "--input", part)["accuracy"]
    row["samples"] = samples
    return row


def snnport(*words: Any) -> Any:
    """The JSON document of one verb. Ends the program where the verb refuses."""
    done = subprocess.run([sys.executable, "-m", "snnport", *map(str, words), "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: {done.stdout.strip()}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
