"""The verb that tries many choices at once: sweep."""

from __future__ import annotations

from typing import Annotated

import typer

from snnport.commands.shown import Shown
from snnport.completion import codes as complete_codes
from snnport.completion import targets as complete_targets
from snnport.errors import InvalidInput
from snnport.options import File, Inputs, Json, Out, Reading, Samples
from snnport.progress import Progress

_CODES = "C[,C...]: codes (docs/codes.md)."
_WORKERS = "Processes of this machine, default one a core; 0: this process alone, without Dask."


def sweep(
    file: File,
    input_: Inputs,
    output: Out,
    inputs: Samples,
    reading: Reading,
    targets: Annotated[
        str, typer.Option("--targets", help="T[,T...]: targets or files of own chips.", autocompletion=complete_targets)
    ] = "cpu",
    codes: Annotated[str, typer.Option("--codes", help=_CODES, autocompletion=complete_codes)] = "gate",
    levels: Annotated[str, typer.Option("--levels", help="L[,L...]: activations are 0..L; 0: the code's own.")] = "0",
    bits: Annotated[str, typer.Option("--bits", help="B[,B...]: bits of a weight.")] = "8",
    thresholds: Annotated[str, typer.Option("--thresholds", help="W[,W...]: ways to choose thresholds.")] = "mse",
    scheduler: Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler to use.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", help=_WORKERS)] = None,
    json_output: Json = False,
) -> Shown:
    """Try targets x codes x levels x bits x thresholds: one row each, kept as it is done, and what is worth having of it."""
    from snnport.flow.convert import ConvertOptions
    from snnport.flow.model import open_model
    from snnport.flow.sweep import Grid, sweep
    from snnport.report.sweep_table import sweep_summary

    grid = Grid(_texts(targets), _texts(codes), _numbers("--levels", levels), _numbers("--bits", bits), _texts(thresholds))
    with Progress("cells") as show:
        swept = sweep(
            open_model(file, reading),
            grid,
            input_,
            inputs,
            ConvertOptions(),
            output,
            reading,
            workers,
            scheduler,
            show.say,
            show.update,
        )
    counts = {"files": [str(path) for path in swept.files], "resumed": swept.resumed, "faults": swept.faults}
    found = {**swept.report.to_json(), **counts}
    return Shown(found, lambda: sweep_summary(swept.report, swept.files, swept.resumed), not swept.faults)


def _texts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in _texts(text))
    except ValueError:
        raise InvalidInput(option, f"'{text}' is no list of whole numbers", "Write them with commas: 4,8,16") from None
