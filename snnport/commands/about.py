"""The verbs about snnport itself: targets, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from snnport.commands.shown import Shown
from snnport.options import Json


def targets(
    name: Annotated[str | None, typer.Argument(help="One target, with its numbers, sources and rules.")] = None,
    json_output: Json = False,
) -> Shown:
    """List the targets, or everything about one."""
    from snnport.flow.targets import describe, listing
    from snnport.report.terminal import target_card, target_list

    found = listing() if name is None else describe(name)
    return Shown(found, lambda: target_list(found) if name is None else target_card(found))


def doctor(json_output: Json = False) -> Shown:
    """Say what is installed, what is missing, and the command that adds it. Exit 1 if snnport itself cannot work."""
    from snnport.flow.doctor import doctor as examine
    from snnport.report.terminal import health

    parts = examine()
    found = {"schema": 1, "parts": [vars(part) for part in parts]}
    return Shown(found, lambda: health(found), all(part.version or not part.required for part in parts))
