from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnport.errors import InvalidInput
from snnport.targets.tinyodin.case import Difference, compare, field_names, load_case, replay, save_case

GOLDEN = Path(__file__).parent.parent / "golden" / "tinyodin"
CASE = GOLDEN / "s37_trunc.npz"


def edited(folder: Path, **changes: object) -> Path:
    """A copy of CASE with fields replaced, or left out where the value is None."""
    with np.load(CASE) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays |= {name: np.asarray(value) for name, value in changes.items() if value is not None}
    path = folder / "case.npz"
    np.savez_compressed(path, **{name: value for name, value in arrays.items() if changes.get(name, 0) is not None})
    return path


def test_the_outputs_have_seventeen_fields() -> None:
    assert len(field_names()) == 17
    assert field_names()[:3] == ("out_completed", "out_end_cycle", "out_spk_cycle")


def test_what_is_saved_is_what_was_recorded(tmp_path: Path) -> None:
    for source in sorted(GOLDEN.glob("s0*.npz")):
        path = tmp_path / source.name
        save_case(path, load_case(source))
        with np.load(source) as old, np.load(path) as new:
            assert set(old.files) == set(new.files)
            for name in old.files:
                assert old[name].dtype == new[name].dtype, name
                np.testing.assert_array_equal(old[name], new[name])


def test_equal_runs_have_no_difference() -> None:
    outputs, differences = replay(load_case(CASE))
    assert differences == ()
    assert outputs.end_cycle == 3527


def test_differences_name_the_first_entry_and_the_number_of_them() -> None:
    expected = load_case(CASE).outputs
    actual = replace(
        expected,
        dropped=3,
        spk_cycle=expected.spk_cycle + (np.arange(88) >= 80),
        fire_neuron=expected.fire_neuron[:-2],
        srv_end=np.append(expected.srv_end, 7),
    )
    assert compare(expected, actual) == (
        Difference("out_spk_cycle", 8, 80, int(expected.spk_cycle[80]), int(expected.spk_cycle[80]) + 1),
        Difference("out_fire_neuron", 2, 86, int(expected.fire_neuron[86]), None),
        Difference("out_srv_end", 1, 6, None, 7),
        Difference("out_dropped", 1, None, 0, 3),
    )


@pytest.mark.parametrize("field", field_names())
def test_a_change_in_any_field_is_found(tmp_path: Path, field: str) -> None:
    with np.load(CASE) as archive:
        value = np.array(archive[field])
    changed = value + 1 if not value.ndim else np.concatenate([value[:-1], value[-1:] + 1])
    _, differences = replay(load_case(edited(tmp_path, **{field: changed})))
    assert [d.field for d in differences] == [field]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_thr": None, "out_dropped": None}, "it is no recorded run of tinyODIN, it lacks in_thr, out_dropped"),
        ({"out_extra": 1}, "it holds out_extra, which no recorded run has"),
        ({"in_max_neur": 300}, r"case.npz: in_max_neur: it spans 300..300, the core takes 0..255"),
        ({"in_max_neur": [3]}, r"in_max_neur: its shape is \(1,\), \(\) is needed"),
        ({"out_v_final": np.zeros(255, int)}, r"out_v_final: its shape is \(255,\), \(256\) is needed"),
        ({"out_ev_req": np.zeros(3, int)}, r"out_ev_req: its shape is \(3,\), \(12\) is needed"),
        ({"out_spk_cycle": np.zeros(88)}, "out_spk_cycle: its type is float64, integers are needed"),
        ({"out_spk_addr": np.zeros(5, int)}, r"out_spk_cycle, out_spk_addr: their lengths \[5, 88\] differ"),
    ],
)
def test_a_file_that_is_no_recorded_run(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_case(edited(tmp_path, **changes))


def test_a_missing_and_a_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no such file"):
        load_case(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(CASE.read_bytes()[:500])
    with pytest.raises(InvalidInput, match="it is no readable"):
        load_case(tmp_path / "bad.npz")
