"""The table of conv-lif, row by row: `python benchmarks/conv_table.py DATA [ROW ...]`; rows that were seen are not run again.

A row is three epochs by the command line's own verb. What was reached is kept in benchmarks/recipes.json; `make docs` puts it
into docs/models.md. A row that is stopped goes on where it was, from recipes/conv/ROW.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from snnport.models.conv_lif import ROWS, row

KEPT = Path(__file__).with_name("recipes.json")
OUT = Path("recipes")


def main() -> None:
    """Run the rows that are missing."""
    data, *asked = sys.argv[1:]
    for name in asked or ROWS:
        seen: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        key = f"conv-lif {name} one-hot"
        if key in seen and not asked:
            continue
        found = trained(name, data)
        seen[key] = {"accuracy": found["accuracy"], "must_reach": ROWS[name]}
        KEPT.write_text(json.dumps(seen, indent=1, sort_keys=True) + "\n")
        print(f"{name}  {found['accuracy']:.4f}  (the reference: {ROWS[name]:.4f})", flush=True)


def trained(name: str, data: str) -> Any:
    """The log of one row's training."""
    settings = [word for key, value in row(name).items() for word in ("--set", f"{key}={value}")]
    output = OUT / f"conv-lif-{name}.nir"
    OUT.mkdir(exist_ok=True)
    words = ["train", "conv-lif", "--data", data, "-o", str(output), "--checkpoint", str(OUT / "conv" / name), *settings]
    subprocess.run([sys.executable, "-m", "snnport", *words], check=True)
    return json.loads(output.with_suffix(".json").read_text())


if __name__ == "__main__":
    main()
