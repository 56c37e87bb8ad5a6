"""Testcases against virtual devices that conform in another way than ours: none may be failed.

Each plugin here changes the virtual device before the run, and says where such a device was seen.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run(plugin: str, *testcases: str, results: pathlib.Path) -> str:
    """What the run printed. Fails with it unless every planned testcase passed."""
    command = [
        *(sys.executable, "-m", "pytest", "-p", plugin, "-p", "no:cacheprovider", "--board", "esp32"),
        *("--results", str(results), "--pictures", "failed", "--no-header", "-q"),
        *(f"testcases/{testcase}" for testcase in testcases),
    ]
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parent)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
    return ended.stdout


ONLY_THE_TRANSFER = (
    "test_cancel.py::test_cancel_while_downloading",
    "test_reset.py::test_reset_while_downloading",
    "test_two_deliveries.py::test_uri_written_during_a_download",
)


@pytest.mark.parametrize(
    ("plugin", "testcase"),
    [
        *(("only_the_transfer", testcase) for testcase in ONLY_THE_TRANSFER),
        ("no_scheme_is_no_protocol", "test_failed_download.py::test_invalid_uri"),
    ],
)
def test_a_device_that_conforms_in_its_own_way(plugin: str, testcase: str, tmp_path: pathlib.Path) -> None:
    assert " passed" in run(plugin, testcase, results=tmp_path)
