"""The table of conv-lif, row by row: `python benchmarks/conv_table.py DATA [ROW[:CODE] ...]`; rows that were seen are not run
again unless they are named.

A row is three epochs by the command line's own verb, its outputs one-hot or in the CODE named. What was reached is kept in
benchmarks/recipes.json; `make docs` puts it into docs/models.md. A row that is stopped goes on where it was, from
recipes/conv/ROW.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from snnport.models.conv_lif import CODED, ROWS, row, wanted

KEPT = Path(__file__).with_name("recipes.json")
OUT = Path("recipes")
WHOLE = (*ROWS, *(f"128-64-64-0.01:{code}" for code in CODED if code != "one-hot"))


def main() -> None:
    """Run the rows that are missing."""
    data, *asked = sys.argv[1:]
    for name in asked or WHOLE:
        size, _, code = name.partition(":")
        code = code or "one-hot"
        key = f"conv-lif {size} {code}"
        if key in kept() and not asked:
            continue
        found = {"accuracy": trained(size, code, data)["accuracy"], "must_reach": wanted(size, code)}
        KEPT.write_text(json.dumps({**kept(), key: found}, indent=1, sort_keys=True) + "\n")
        print(f"{size} {code}  {found['accuracy']:.4f}  (the reference: {found['must_reach']:.4f})", flush=True)


def kept() -> dict[str, Any]:
    """What was seen so far; others may have written since."""
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return found


def trained(size: str, code: str, data: str) -> Any:
    """The log of one row's training."""
    settings = [word for key, value in row(size).items() for word in ("--set", f"{key}={value}")]
    name = f"{size}-{code}"
    output = OUT / f"conv-lif-{name}.nir"
    OUT.mkdir(exist_ok=True)
    recipe = "conv-lif" if code == "one-hot" else f"conv-lif-{code.removesuffix('-one-hot')}"
    words = ["train", recipe, "--data", data, "-o", str(output), "--checkpoint", str(OUT / "conv" / name), *settings]
    subprocess.run([sys.executable, "-m", "snnport", *words], check=True)
    return json.loads(output.with_suffix(".json").read_text())


if __name__ == "__main__":
    main()
