"""What people expect of any tool: completion, quiet and verbose, no colours in a pipe, a clean end on Ctrl-C, notebooks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import snnport
from snnport import completion, progress
from snnport.cli import app
from snnport.datasets.axes import LAYOUTS
from snnport.errors import InvalidInput
from snnport.flow.execute import ENGINES
from snnport.flow.scores import READOUTS
from snnport.models.digits import DIGITS
from snnport.passes.codes.table import CODES

START = "import sys; sys.argv[0] = 'snnport'; from snnport.cli import main; main()"


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", START, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("few") / "few.npz"
    data = np.load(DIGITS.test)
    np.savez(path, x=data["x"][:8], y=data["y"][:8])
    return path


def test_completion_knows_what_the_registries_know() -> None:
    assert set(completion.CODES) == set(CODES)
    assert set(completion.READOUTS) == set(READOUTS)
    assert set(completion.ENGINES) == set(ENGINES)
    assert set(completion.LAYOUTS) == set(LAYOUTS)
    assert completion.targets("lo") == ["loihi1", "loihi2"]
    assert completion.targets("loihi1,lo") == ["loihi1,loihi2"]
    assert completion.builders("res") == ["resnet20"]
    assert "quantize-weights" in completion.passes("quant")
    assert completion.codes("zzz") == []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("snnport check x --target tiny", ["tinyodin"]),
        ("snnport sweep x --targets cpu,tiny", ["cpu,tinyodin"]),
        ("snnport convert x --code si", ["sigma-delta"]),
        ("snnport run x --readout la", ["last"]),
        ("snnport swe", ["sweep"]),
    ],
)
def test_the_shell_completes_names(words: str, wanted: list[str]) -> None:
    found = command(_SNNPORT_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
    assert found.stdout.split() == wanted


def test_completion_can_be_shown_and_installed() -> None:
    said = command("--help").stdout
    assert "--install-completion" in said
    assert "--show-completion" in said
    shown = command("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_SNNPORT_COMPLETE=complete_bash" in shown.stdout


def test_help_shows_a_verb_s_own_options_first() -> None:
    said = CliRunner().invoke(app, ["port", "--help"], env={"COLUMNS": "120"}).output
    heads = ["Options", "Samples", "Conversion of an ANN", "What FILE does not say", "Chips without a clock"]
    places = [said.index(f"\u2500 {head} \u2500") for head in heads]
    assert places == sorted(places)
    assert places[0] < said.index("--target") < places[1] < said.index("--scale") < places[2] < said.index("--code")


def test_quiet_says_nothing_and_verbose_every_step(few: Path, tmp_path: Path) -> None:
    line = ["port", DIGITS.onnx, "--input", few, "--scale", 16, "--levels", 4, "-o", tmp_path]
    quiet = command(*line, "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    loud = command("--verbose", *line)
    assert loud.returncode == 0
    for stage in ("cpu: check", "cpu: run 8 samples", "cpu: compare with the reference", "write"):
        assert f" s  {stage}\n" in loud.stderr
    assert json.loads(command(*line, "--json", "--quiet").stdout)["schema"] == 1
    refused = command("inspect", tmp_path / "none.nir", "-q")
    assert refused.returncode == 1
    assert refused.stderr.startswith("snnport: ")


def test_levels_of_telling(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0.0)
    for level, words in (("quiet", ""), ("verbose", "stage\n"), ("normal", "stage\n")):
        monkeypatch.setattr(progress, "level", level)
        with progress.Progress() as shown:
            shown._shown = -100.0
            shown.say("stage")
        assert capsys.readouterr().err.endswith(words)


def test_no_colours_in_a_pipe_and_colours_where_asked_for(few: Path) -> None:
    line = ("check", DIGITS.onnx, "--target", "speck2f")
    plain = dict.fromkeys(("FORCE_COLOR", "NO_COLOR"), "")
    assert "\x1b" not in command(*line, **plain).stdout
    assert "\x1b" in command(*line, FORCE_COLOR="1").stdout


def test_a_pipe_that_closes_early_is_no_fault() -> None:
    line = f"{sys.executable} -m snnport targets loihi2 | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr


def heed_interrupts() -> None:
    """What a terminal's child has; tests that run in the background inherit that interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    "more", [("sweep", "--workers", "0", "--levels", "4,8,16,32,64"), ("port", "--target", "cpu,loihi2,loihi1")]
)
def test_ctrl_c_leaves_cleanly(tmp_path: Path, more: tuple[str, ...]) -> None:
    verb, *options = more
    line = [verb, DIGITS.onnx, "--input", DIGITS.test, "--scale", 16, "-o", tmp_path / "out", *options, "-v"]
    process = subprocess.Popen(
        [sys.executable, "-m", "snnport", *map(str, line)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == ""
    assert err.rstrip().endswith("interrupted")
    assert "Traceback" not in err
    # a sweep keeps what is done, whole; a port leaves nothing
    assert not list((tmp_path / "out").rglob(".*"))
    assert verb == "sweep" or not (tmp_path / "out").exists()


LONG = {
    "convert": ("snnport.flow.convert.run_passes", ["-o", "OUT", "--ledger", "LEDGER", "--calibration", "X"]),
    "check": ("snnport.flow.convert.run_passes", ["--target", "cpu", "--calibration", "X"]),
    "lower": ("snnport.flow.convert.run_passes", ["--target", "cpu", "-o", "OUT", "--calibration", "X"]),
    "export": ("snnport.flow.convert.run_passes", ["--target", "loihi2", "-o", "OUT", "--calibration", "X"]),
    "run": ("snnport.flow.run.run", ["--input", "X", "-o", "OUT"]),
    "validate": ("snnport.flow.run.run", ["--input", "X"]),
    "port": ("snnport.flow.port.run_program", ["--input", "X", "-o", "OUT", "--report", "PAGE"]),
    "sweep": ("snnport.flow.cells.run_program", ["--input", "X", "-o", "OUT", "--workers", "0"]),
}
"""Verb -> what is interrupted in its middle, and its options."""


@pytest.mark.parametrize("verb", LONG)
def test_an_interrupt_in_the_middle_leaves_one_word_and_no_file(
    verb: str, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    where, options = LONG[verb]
    monkeypatch.setattr(where, interrupted)
    names = {"OUT": tmp_path / "out", "LEDGER": tmp_path / "l.json", "PAGE": tmp_path / "p.html", "X": few}
    line = [verb, DIGITS.onnx, "--scale", 16, "--levels", 4, *(names.get(word, word) for word in options)]
    done = CliRunner().invoke(app, [str(word) for word in line])
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", "interrupted\n")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_standard_output_that_is_full_gives_one_line(more: tuple[str, ...]) -> None:
    line = [sys.executable, "-m", "snnport", "targets", *more]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr == "snnport: standard output: it cannot be written: No space left on device. Free space.\n"


def test_a_notebook_shows_results(few: Path, tmp_path: Path) -> None:
    from snnport.flow.convert import ConvertOptions
    from snnport.flow.prepare import InputOptions

    inputs, options = InputOptions(scale=16.0, calibration=few), ConvertOptions(levels=4)
    conversion = snnport.convert(DIGITS.onnx, tmp_path / "a.nir", inputs=inputs, options=options)
    assert "quantize-weights" in conversion._repr_html_()
    checked = snnport.check(tmp_path / "a.nir", "speck2f")
    assert "speck2f" in checked._repr_html_()
    assert checked.fits is False
    ran = snnport.run(tmp_path / "a.nir", few, inputs=InputOptions(scale=16.0))
    assert "<pre" in ran._repr_html_()
    assert ran.predictions.shape == (8,)
    validated = snnport.validate(tmp_path / "a.nir", few, against=DIGITS.onnx, inputs=InputOptions(scale=16.0))
    assert validated.logits_equal is True
    assert "logits equal" in validated._repr_html_()
    ported = snnport.port(DIGITS.onnx, "cpu,speck2f", few, tmp_path / "out", inputs=inputs, options=options)
    page = ported._repr_html_()
    assert page.startswith("<iframe sandbox")
    assert "&lt;!doctype html&gt;" in page
    with pytest.raises(InvalidInput, match="nothing to convert"):
        snnport.convert(tmp_path / "a.nir")


def test_every_public_function_says_shapes_units_errors_and_source() -> None:
    for name in ("convert", "check", "run", "validate", "port"):
        function = getattr(snnport, name)
        assert "Raises" in (function.__doc__ or "")
        assert "return" in function.__annotations__
    assert "(n_samples, n_steps" in (snnport.run.__doc__ or "")
    assert "joules" in (snnport.run.__doc__ or "")
