"""A plug-in of pytest: of each board, only the testcases that a test of the profile has chosen for it."""

from __future__ import annotations

import json
import os

import pytest
from profile_rig import is_about


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen: dict[str, list[str]] = json.loads(os.environ["PROFILE_SELECTION"])
    kept = [
        item
        for item in items
        if any(
            is_about(item.name, board)
            for board, testcases in chosen.items()
            if any(all(word in item.name for word in test.split()) for test in testcases)
        )
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
