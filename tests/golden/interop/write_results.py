"""Write results.json: what snnport's reference makes of every recorded network. Run in snnport's environment."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from interop_files import judged, names, recorded  # noqa: E402


def main() -> None:
    """One entry a network."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for framework, name in names():
            case = recorded(framework, name)
            results.append(judged(case, case.unpack(Path(folder))))
    text = ",\n".join(f" {json.dumps(entry)}" for entry in results)
    (HERE / "results.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
