"""Allure's results held against the ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.evidence.allure_check import NODE_LABEL, RUN_LABEL, differences


@pytest.mark.parametrize("empty", [{"name": "package"}, {"name": "package", "value": None}])
def test_a_label_without_a_value_is_no_fault(tmp_path: Path, empty: dict[str, object]) -> None:
    """Allure writes one where the testcases lie outside the rootdir."""
    labels = [empty, {"name": RUN_LABEL, "value": "run-1"}, {"name": NODE_LABEL, "value": "t.py::a"}]
    row = {"fullName": "a", "status": "passed", "labels": labels}
    (tmp_path / "1-result.json").write_text(json.dumps(row))
    (found,) = differences(tmp_path, "run-1", {})
    assert found == "t.py::a: Allure shows passed once more than the ledger"
