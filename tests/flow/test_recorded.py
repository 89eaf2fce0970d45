from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snnport.errors import InvalidInput
from snnport.flow.recorded import replay_recorded

GOLDEN = sorted((Path(__file__).parent.parent / "golden" / "tinyodin").glob("*.npz"))


def broken_copy(folder: Path) -> Path:
    with np.load(GOLDEN[1]) as archive:
        arrays = {name: archive[name] for name in archive.files}
    path = folder / "broken.npz"
    np.savez_compressed(
        path, **{**arrays, "out_end_cycle": arrays["out_end_cycle"] + 1, "out_spk_addr": arrays["out_spk_addr"][::-1]}
    )
    return path


def test_all_recorded_cases_are_equal() -> None:
    told: list[tuple[int, int]] = []
    found = replay_recorded(GOLDEN, "tinyodin", lambda *done: told.append(done))
    assert found["equal"]
    assert [case["differences"] for case in found["cases"]] == [[]] * 40
    assert found["cycles"] == sum(case["cycles"] for case in found["cases"]) > 500_000
    assert len(found["fields"]) == 17
    assert told[-1] == (40, 40)
    json.dumps(found, allow_nan=False)


def test_every_differing_field_is_listed(tmp_path: Path) -> None:
    found = replay_recorded([GOLDEN[0], broken_copy(tmp_path)], "tinyodin")
    assert [case["equal"] for case in found["cases"]] == [True, False]
    assert not found["equal"]
    differences = found["cases"][1]["differences"]
    assert [d["field"] for d in differences] == ["out_end_cycle", "out_spk_addr"]
    assert differences[0] == {"field": "out_end_cycle", "differing": 1, "index": None, "expected": 551, "actual": 550}


def test_refusals() -> None:
    with pytest.raises(InvalidInput, match="recorded runs are runs of tinyodin"):
        replay_recorded(GOLDEN, "cpu")
    with pytest.raises(InvalidInput, match="--recorded: no file is given"):
        replay_recorded([], "tinyodin")
