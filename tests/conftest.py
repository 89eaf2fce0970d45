"""Fixtures shared by all tests, and the rules by which tests are chosen and judged.

Tests marked `data` are deselected where SNNPORT_DATA names no folder, those marked `lava` where Lava is not installed and
CI is not true (with CI=true they fail, and say what to type). With SNNPORT_CORE=1 files that need an optional
package are left out. With CI=true a skipped test has failed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from snnport.registry import EXTRAS

CORE_ONLY = os.environ.get("SNNPORT_CORE") == "1"
CI = os.environ.get("CI") == "true"
MISSING: list[str] = []
VENDORS = {"lava": "Lava", "xylo": "xylosim", "sanafe": "SANA-FE", "browser": "Chromium"}
"""Marker -> what the test runs; INSTALL says what adds it, by default `make MARKER`."""
INSTALL = {"browser": "apt-get install chromium"}
HAS_DATA = Path(os.environ.get("SNNPORT_DATA") or "/nonexistent").is_dir()

settings.register_profile("test", deadline=None, max_examples=40, derandomize=CI)
settings.register_profile("study", deadline=None, max_examples=2000)
settings.load_profile("test")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of large data sets named by SNNPORT_DATA."""
    return Path(os.environ["SNNPORT_DATA"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what needs the large data sets where SNNPORT_DATA names no folder, and vendors where they are not there."""
    wanted = {name for name in ("data", *VENDORS) if any(item.get_closest_marker(name) for item in items)}
    absent = {"data"} & wanted if not HAS_DATA else set()
    for name in VENDORS:
        if name in wanted and (CORE_ONLY or (not CI and not _there(name))):
            absent.add(name)
            how = INSTALL.get(name, f"make {name}")
            MISSING.append(f"tests that run {VENDORS[name]} are deselected: it is not installed. Type: {how}")
    needy = [item for item in items if any(item.get_closest_marker(name) for name in absent)]
    if needy:
        config.hook.pytest_deselected(items=needy)
        items[:] = [item for item in items if item not in needy]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the files that need an optional package where only the core is tested."""
    return True if CORE_ONLY and collection_path.name.startswith("test_") and _optional(collection_path) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason why tests were not run."""
    if not HAS_DATA:
        terminalreporter.write_line("tests on large data sets are deselected: SNNPORT_DATA names no folder")
    for line in MISSING:
        terminalreporter.write_line(line)
    if CORE_ONLY:
        terminalreporter.write_line(f"files that need {', '.join(sorted(EXTRAS))} are left out: SNNPORT_CORE=1")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item):
    return _judged((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector):
    return _judged((yield))


def _there(vendor: str) -> bool:
    """Whether the environment of a vendor is there."""
    from snnport.targets.loihi.vendor import LAVA
    from snnport.targets.xylo.vendor import XYLOSIM

    if vendor == "browser":
        from browser import executable

        return executable() is not None
    if vendor == "sanafe":
        return (Path(__file__).parents[1] / ".venv-sanafe" / "bin" / "python").is_file()
    return bool({"lava": LAVA, "xylo": XYLOSIM}[vendor].version())


def _judged(report: Report) -> Report:
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"it was skipped, which counts as failed with CI=true: {report.longrepr}"
    return report


def _optional(path: Path) -> set[str]:
    """The optional packages that a test file imports, itself or through a helper beside it."""
    names = set(re.findall(r"^\s*(?:from|import)\s+(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    helpers = [path.parent / f"{name}.py" for name in names] + [Path(__file__).parent / f"{name}.py" for name in names]
    return (names & set(EXTRAS)).union(*(_optional(helper) for helper in helpers if helper.is_file() and helper != path))
