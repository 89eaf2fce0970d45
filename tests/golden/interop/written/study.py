"""Write every network for every importer, run the files in the frameworks themselves, and keep or check what came out.

    python study.py write     make sources.npz, written.npz, inputs.npz, index.json, spikes.*.npz and results.json anew
    python study.py check     write the files again, run them in every framework; exit 1 at any difference from what is stored

Needs uv, which makes an environment a framework from the head of each load_*.py; snnport runs in the environment at hand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from snnport.convention import Convention, coding_of, convention_of
from snnport.exporters.nir import write_nir
from snnport.exporters.nir_dialect import Rewriting, changed_spikes, rewritten, write_dialect
from snnport.exporters.nir_loaders import LOADERS
from snnport.graph import Graph
from snnport.importers.nir import read_nir
from snnport.reference import run_spiking

HERE = Path(__file__).parent
DIALECTS = tuple(name for name in LOADERS if name != "norse-1.1.0")
FRAMEWORKS = ("snntorch", "norse", "sinabs", "spikingjelly", "rockpool")


def sources() -> dict[str, Graph]:
    """The stored networks, name -> graph."""
    with tempfile.TemporaryDirectory() as folder, np.load(HERE / "sources.npz") as stored:
        found = {}
        for name in stored.files:
            path = Path(folder) / f"{name}.nir"
            path.write_bytes(stored[name].tobytes())
            found[name] = read_nir(path).graph
        return found


def meaning(graph: Graph) -> tuple[Convention, Any]:
    return convention_of(graph.metadata), coding_of(graph.metadata)


def write_all(graphs: dict[str, Graph], rasters: Any, folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every network for every dialect into `folder`. Returns the index of the files, and a record of every pair."""
    index, records = [], []
    for network, graph in graphs.items():
        rule, coding = meaning(graph)
        spikes = sum(int(s.sum()) for s in run_spiking(graph, rasters[network], rule, coding).spikes.values())
        for dialect in DIALECTS:
            found = rewritten(graph, rule, dialect, coding)
            change = changed(graph, rule, coding, found, rasters[network])
            records.append(
                {
                    "exporter": "snnport",
                    "importer": dialect,
                    "network": network,
                    "source": rule.name,
                    "expressible": not found.differences,
                    "reason": "; ".join(map(str, found.differences)),
                    "differing_spikes": change,
                    "spikes_compared": spikes if found.runs else 0,
                    "tested": found.loader.tested,
                }
            )
            if found.differences:
                continue
            name = f"{network}.{dialect}.nir"
            write_dialect(found, folder / name)
            index.append(case(network, dialect, name, graph, found))
    return index, records


def changed(graph: Graph, rule: Convention, coding: Any, found: Rewriting, raster: Any) -> int | None:
    """Spikes that are others with the importer, by the reference; None where it cannot run the graph at all."""
    return sum(changed_spikes(graph, rule, coding, found, raster).values()) if found.runs else None


def case(network: str, dialect: str, name: str, graph: Graph, found: Rewriting) -> dict[str, Any]:
    """What a load script must know."""
    shape = next(node.input_type["input"] for node in graph.nodes.values() if type(node).__name__ == "Input")
    looped = found.arguments["looped"]
    fires = {old: new for old, new in found.populations.items() if hasattr(graph.nodes[old], "v_threshold")}
    return {
        "network": network,
        "dialect": dialect,
        "file": name,
        "shape": [int(n) for n in shape],
        "populations": fires,
        "arguments": {"dt": found.convention.dt, **found.arguments},
        "one_by_one": found.loader.one_by_one or (dialect == "rockpool" and looped),
        "all_at_once": dialect in ("sinabs", "rockpool") and not looped,
    }


def run_framework(framework: str, folder: Path, out: Path) -> dict[str, Any]:
    """network/population -> spikes, from the framework itself."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise SystemExit("uv is missing: https://docs.astral.sh/uv, or set UV to its path")
    links = os.environ.get("PIP_FIND_LINKS")
    environment = {**os.environ, **({"UV_FIND_LINKS": links} if links else {})}
    script = HERE / f"load_{framework}.py"
    subprocess.run([uv, "run", "--quiet", "--no-project", str(script), str(folder), str(out)], check=True, env=environment)
    with np.load(out) as stored:
        return {name: stored[name] for name in stored.files}


def main() -> int:
    mode = sys.argv[1] if len(sys.argv) > 1 else "check"
    if mode == "write":
        from networks import networks, raster

        with tempfile.TemporaryDirectory() as folder:
            packed, inputs = {}, {}
            for i, (name, graph) in enumerate(networks().items()):
                write_nir(graph, Path(folder) / "net.nir")
                packed[name] = np.frombuffer((Path(folder) / "net.nir").read_bytes(), np.uint8)
                coding = coding_of(graph.metadata)
                inputs[name] = raster(graph, i)[:, : coding.n_steps if coding else None]
        np.savez_compressed(HERE / "sources.npz", **packed)
        np.savez_compressed(HERE / "inputs.npz", **inputs)
    graphs = sources()
    with np.load(HERE / "inputs.npz") as stored:
        rasters = {name: stored[name] for name in stored.files}
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index, records = write_all(graphs, rasters, folder)
        (folder / "index.json").write_text(json.dumps(index))
        shutil.copy(HERE / "inputs.npz", folder)
        expected = {n: run_spiking(g, rasters[n], *meaning(g)).spikes for n, g in graphs.items()}
        for framework in FRAMEWORKS:
            spikes = run_framework(framework, folder, folder / f"{framework}.npz")
            if mode == "write":
                np.savez_compressed(HERE / f"spikes.{framework}.npz", **spikes)
            with np.load(HERE / f"spikes.{framework}.npz") as stored:
                kept = {name: stored[name] for name in stored.files}
            wrong += compare(framework, index, spikes, kept, expected, records)
        if mode == "write":
            packed = {c["file"]: np.frombuffer((folder / c["file"]).read_bytes(), np.uint8) for c in index}
            np.savez_compressed(HERE / "written.npz", **packed)
            (HERE / "index.json").write_text(json.dumps(index, indent=1) + "\n")
            (HERE / "results.json").write_text(json.dumps(records, indent=1) + "\n")
    sys.stdout.write(f"{sum(r['expressible'] for r in records)} of {len(records)} pairs written, {wrong} wrong\n")
    return 1 if wrong else 0


def compare(
    framework: str,
    index: list[dict[str, Any]],
    spikes: dict[str, Any],
    kept: dict[str, Any],
    expected: dict[str, Any],
    records: list[dict[str, Any]],
) -> int:
    """How many networks gave other spikes than the source or than what is stored; each is told, and put into its record."""
    wrong = 0
    for case in (c for c in index if c["dialect"] == framework):
        network = case["network"]
        differ, total, told = 0, 0, ""
        for name in case["populations"]:
            key, want = f"{network}/{name}", expected[network][name]
            if key not in spikes:
                differ, told = -1, str(spikes.get(f"{network}/error", "nothing came out"))
                break
            differ += int(np.abs(spikes[key].astype(np.int64) - want).sum())
            total += int(want.sum())
            if not np.array_equal(spikes[key], kept.get(key)):
                told = "not the stored spikes"
        record = next(r for r in records if r["importer"] == framework and r["network"] == network)
        record["differing_spikes"] = differ if differ >= 0 else None
        sys.stdout.write(f"{framework:13} {network:32} {differ} of {total} spikes differ {told}\n")
        wrong += bool(differ or told)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
