"""What the tests of the engine share: a saturation or a wrap that nobody expects is a failure."""

from __future__ import annotations

import pytest

from snnport.sim import engine

OVERFLOWS = ("v_saturations", "u_wraps")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "saturates: potentials may be clipped or wrap in this test")


@pytest.fixture
def unexpected_overflow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Fails a test in which the engine counted an overflow, unless it is marked `saturates`. For pytest.mark.usefixtures."""
    found = []
    counted = engine._counts

    def counting(*args):
        counts = counted(*args)
        found.extend(f"{kind} of {name}: {n}" for kind in OVERFLOWS for name, n in getattr(counts, kind).items() if n)
        return counts

    monkeypatch.setattr(engine, "_counts", counting)
    yield
    if found and request.node.get_closest_marker("saturates") is None:
        pytest.fail(f"unexpected overflow: {', '.join(found)}")
