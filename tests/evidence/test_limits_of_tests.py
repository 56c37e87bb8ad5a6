"""Each test of the bench ends; no pytest that it starts has its limit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOLD = """
def test_told(request, pytestconfig):
    print(request.node.get_closest_marker("timeout"), pytestconfig.getoption("timeout"))
"""


def test_each_has_a_limit_and_hands_it_to_nobody(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    pytest.importorskip("pytest_timeout")
    own = request.node.get_closest_marker("timeout")
    assert own is not None
    assert own.args[0] > 0
    (tmp_path / "test_it.py").write_text(TOLD, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    inner = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "None None" in inner.stdout, inner.stdout + inner.stderr
