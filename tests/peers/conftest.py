from __future__ import annotations

import os
from pathlib import Path

import pytest
from java_peers import missing

HERE = Path(__file__).parent
REQUIRED = os.environ.get("BENCH_REQUIRE_JAVA") == "1"
FIRST = 1500.0
"""Wall seconds: in the first of them Maven may fetch what the peers are made of, for ten minutes."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a JDK and Maven these tests are skipped, with the reason, unless they are required."""
    ours = [item for item in items if item.path.parent == HERE]
    if config.pluginmanager.hasplugin("timeout"):
        for item in ours:
            item.add_marker(pytest.mark.timeout(FIRST), append=False)
    reason = None if REQUIRED else missing()
    if reason is not None:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))
