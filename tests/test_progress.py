from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from snnport import progress
from snnport.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=terminal))
    return terminal


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    file = io.StringIO()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=file))
    return file


def test_short_work_says_nothing(clock: Clock, file: io.StringIO) -> None:
    with Progress() as shown:
        for done in range(20):
            clock.now = 100.0 + done * 0.1
            shown.update(done, 20)
    assert file.getvalue() == ""


def test_a_file_gets_a_line_every_five_seconds(clock: Clock, file: io.StringIO) -> None:
    with Progress() as shown:
        shown.say("convert")
        for second in range(1, 14):
            clock.now = 100.0 + second
            shown.update(second * 10, 200)
    assert file.getvalue().splitlines() == [
        "convert: 20 of 200 samples, 2 s, about 18 s left",
        "convert: 70 of 200 samples, 7 s, about 13 s left",
        "convert: 120 of 200 samples, 12 s, about 8 s left",
    ]


def test_nothing_done_yet(clock: Clock, file: io.StringIO) -> None:
    with Progress() as shown:
        clock.now += 3
        shown.update(0, 10)
    assert file.getvalue().startswith("run: 0 of 10 samples, 3 s")


def test_a_terminal_gets_one_line_that_is_rewritten_and_wiped(clock: Clock, terminal: Terminal) -> None:
    with Progress() as shown:
        clock.now += 3
        shown.say("a long stage")
        clock.now += 1
        shown.say("short")
        clock.now += 0.1
        shown.say("too soon")
    width = len("a long stage")
    assert terminal.getvalue() == "\ra long stage" + "\r" + "short".ljust(width) + "\r" + " " * width + "\r"


def test_a_terminal_that_saw_nothing_is_not_wiped(clock: Clock, terminal: Terminal) -> None:
    with Progress():
        pass
    assert terminal.getvalue() == ""


def test_standard_output_stays_empty(clock: Clock, file: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as shown:
        clock.now += 9
        shown.say("stage")
    assert capsys.readouterr().out == ""
    assert file.getvalue() == "stage\n"


def test_batches_of_a_training_are_told_with_the_time_that_is_left(clock: Clock, file: io.StringIO) -> None:
    with Progress() as shown:
        clock.now += 30
        shown.batches(3, 12, "epoch 1 of 4")
    assert file.getvalue() == "epoch 1 of 4: batch 3 of 12, 30 s, about 90 s left\n"
