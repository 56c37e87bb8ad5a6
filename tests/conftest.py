"""No test depends on a virtual bench that happens to run on this PC."""

import pytest


@pytest.fixture(autouse=True)
def no_foreign_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_PROBES", raising=False)
