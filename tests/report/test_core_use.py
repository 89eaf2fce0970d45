from __future__ import annotations

from dataclasses import replace

from snnport.report.core_use import fullest, shares, traffic_sentence, use_map
from snnport.report.report import Check, CoreUse, Report, TargetResult, Traffic

LIMITS = {"neurons": 100, "axons": 10}
USES = (
    CoreUse(0, 0, {"neurons": 50, "axons": 9}),
    CoreUse(0, 3, {"neurons": 1, "axons": 0}),
    CoreUse(1, 0, {"neurons": 120, "axons": 2}),
)
RESULT = TargetResult(
    "loihi1", Check("loihi1", True, (), (), ()), True, "", None, cores=8, core_use=USES, core_limits=LIMITS, mesh=(2, 1, 4)
)


def test_shares_name_the_fullest_resource_first() -> None:
    assert list(shares(USES[0], LIMITS).items()) == [("axons", 0.9), ("neurons", 0.5)]
    assert shares(USES[0], {}) == {}


def test_the_fullest_cores_come_first() -> None:
    assert fullest(RESULT) == (
        ("0 of chip 1", "neurons", "120 of 100", "120 %"),
        ("0", "axons", "9 of 10", "90 %"),
        ("3", "neurons", "1 of 100", "1 %"),
    )


def test_every_core_of_the_chip_is_drawn_with_its_number_and_its_share() -> None:
    drawing = str(use_map(RESULT, 0))
    assert "Cores of loihi1, chip 0, by use: 2 cores of 8 used" in drawing
    assert drawing.count('class="tile"') == 8
    assert "core 0: axons 9 of 10, neurons 50 of 100" in drawing
    assert "core 7: unused" in drawing
    assert ">90 %<" in drawing
    assert 'class="over"' in str(use_map(RESULT, 1))
    assert 'class="over"' not in drawing
    # Two tiles of four cores, side by side: 4 columns and 2 rows of 37 pixels.
    assert 'width="149"' in drawing
    assert 'height="90"' in drawing
    assert 'width="297"' in str(use_map(replace(RESULT, mesh=()), 0))


def test_traffic_in_one_sentence(report: Report) -> None:
    run = next(target.run for target in report.targets if target.run is not None)
    assert traffic_sentence(run) == ""
    told = traffic_sentence(replace(run, traffic=Traffic(600, 40, 1200, 300, 2)))
    assert told == "600 messages (2 a step, 40 of them between chips), 1,200 hops from tile to tile, 300 barriers of 2 chips."
    assert "hops" not in traffic_sentence(replace(run, traffic=Traffic(600, 0, None, 300, 1)))
