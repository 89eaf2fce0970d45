"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of large data sets named by SNNPORT_DATA."""
    return Path(os.environ["SNNPORT_DATA"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what needs the large data sets where SNNPORT_DATA names no folder."""
    if Path(os.environ.get("SNNPORT_DATA") or "/nonexistent").is_dir():
        return
    needy = [item for item in items if item.get_closest_marker("data")]
    if needy:
        config.hook.pytest_deselected(items=needy)
        items[:] = [item for item in items if not item.get_closest_marker("data")]
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"{len(needy)} tests on large data sets deselected: SNNPORT_DATA names no folder")
