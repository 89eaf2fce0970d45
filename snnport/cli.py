"""The command line: registers the verbs of `commands`, prints what they return. docs/cli.md is its contract.

Nothing heavy is imported at module level, so that `snnport --help` answers at once. This is the only file that prints.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnport import __version__, progress
from snnport.commands import about, files, networks, road, runs, sweeps, training
from snnport.commands.shown import Shown
from snnport.errors import InvalidInput, SnnportError
from snnport.options import expand_groups

if TYPE_CHECKING:
    from rich.console import Console

VERBS = (
    networks.inspect,
    networks.convert,
    training.train,
    networks.quantize,
    networks.check,
    files.lower,
    files.export,
    runs.run,
    runs.compare,
    runs.validate,
    road.port,
    sweeps.sweep,
    about.targets,
    road.demo,
    about.doctor,
)
"""Every verb, in the order of `snnport --help`."""

EVERYWHERE = ("-q", "--quiet", "-v", "--verbose")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What a disk says that takes no more."""

app = typer.Typer(
    name="snnport",
    help="Port a trained network to neuromorphic hardware, exactly: convert, check, lower, run, prove, price.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line. --quiet and --verbose may stand anywhere."""
    everywhere = [word for word in sys.argv[1:] if word in EVERYWHERE]
    sys.argv[1:] = [*everywhere, *(word for word in sys.argv[1:] if word not in EVERYWHERE)]
    app()


def _register(verb: Callable[..., Shown]) -> None:
    """Make `verb` a command: its SnnportErrors become one line (or one JSON document) and exit code 1."""
    expanded = expand_groups(verb)

    @wraps(expanded)
    def guarded(**values: Any) -> None:
        as_json = bool(values.get("json_output"))
        try:
            _show(expanded(**values), as_json)
        except SnnportError as error:
            _refuse(error, as_json)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from None
        except OSError as error:
            # caches and temporary files may meet a full disk too
            if error.errno not in FULL:
                raise
            _refuse(_full("disk", error), as_json)

    app.command()(guarded)


def _refuse(error: SnnportError, as_json: bool) -> None:
    if as_json:
        body = {"kind": error.kind, "where": error.where, "message": error.what, "remedy": error.remedy}
        _document({"schema": 1, "error": body})
    else:
        typer.echo(f"snnport: {error}", err=True)
    raise typer.Exit(1)


def _show(shown: Shown, as_json: bool) -> None:
    try:
        if as_json:
            _document(shown.found)
        elif progress.level != "quiet":
            _console().print(shown.table())
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in FULL:
            raise
        # what could not be written must not be tried again as the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _refuse(_full("standard output", error), as_json=False)
    if not shown.good:
        raise typer.Exit(1)


def _full(where: str, error: OSError) -> InvalidInput:
    return InvalidInput(where, f"it cannot be written: {error.strerror}", "Free space")


def _document(data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(data, allow_nan=False) + "\n")


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"snnport {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only errors, and what --json asks for.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Every step, as soon as it begins.")] = False,
) -> None:
    """Port a trained network to neuromorphic hardware, exactly: convert, check, lower, run, prove, price."""
    progress.level = "quiet" if quiet else "verbose" if verbose else "normal"


for _verb in VERBS:
    _register(_verb)
