from __future__ import annotations

import os
from pathlib import Path

import pytest
from java_peers import missing

HERE = Path(__file__).parent
REQUIRED = os.environ.get("BENCH_REQUIRE_JAVA") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a JDK and Maven these tests are skipped, with the reason, unless they are required."""
    reason = None if REQUIRED else missing()
    if reason is not None:
        for item in items:
            if item.path.parent == HERE:
                item.add_marker(pytest.mark.skip(reason=reason))
