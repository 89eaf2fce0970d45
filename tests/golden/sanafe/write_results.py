"""Write results.json and architectures.json: what SANA-FE 2.2.9 reports for the networks of sanafe_networks.py.

    python write_results.py PYTHON_WITH_SANAFE

runs in snnport's environment (with PyYAML); SANA-FE runs in its own process. Per architecture, "loihi" (the loihi.yaml that
sanafe brings) and "odd" (odd.yaml beside this file: every price another prime), and per network: SANA-FE's totals.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from sanafe_networks import NETWORKS

from snnport.sim.sanafe_arch import load_architecture
from snnport.sim.sanafe_process import run_sanafe

HERE = Path(__file__).parent


def main(python: Path) -> None:
    find = "import sanafe, pathlib, sys; sys.stdout.write(str(pathlib.Path(sanafe.__file__).parent / 'examples/loihi.yaml'))"
    loihi = Path(subprocess.run([python, "-c", find], capture_output=True, text=True, check=True).stdout)
    paths = {"loihi": loihi, "odd": HERE / "odd.yaml"}
    results: dict[str, dict[str, object]] = {}
    for name, path in paths.items():
        results[name] = {key: vars(run_sanafe(*make(), path, python)) for key, make in NETWORKS.items()}
    described = {name: load_architecture(path).to_json() for name, path in paths.items()}
    for file, data in (("results", results), ("architectures", described)):
        (HERE / f"{file}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
