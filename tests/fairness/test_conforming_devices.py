"""Testcases against virtual devices that conform in another way than ours: none may be failed.

Each plugin here changes the virtual device before the run, and says where such a device was seen.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run(
    plugin: str, testcase: str, results: pathlib.Path, boards: pathlib.Path = ROOT / "boards"
) -> subprocess.CompletedProcess[str]:
    """A testcase, with the plugin, on the virtual ESP32 (object version 1.1)."""
    command = [
        *(sys.executable, "-m", "pytest", "-p", plugin, "-p", "no:cacheprovider", "--board", "esp32"),
        *("--results", str(results), "--pictures", "failed", "--no-header", "-q"),
        *("--bench", str(boards / "virtual.toml"), f"testcases/{testcase}"),
    ]
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parent)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def assert_passed(ended: subprocess.CompletedProcess[str]) -> None:
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
    assert " passed" in ended.stdout


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
    assert_passed(run(plugin, testcase, tmp_path))


def test_what_pkg_version_tells_is_the_board_files(tmp_path: pathlib.Path) -> None:
    """By default the version that runs then; with `[version] package` that, and nothing else."""
    plugin, testcase = "packages_counted_apart", "test_resources.py::test_package_written"
    refused = run(plugin, testcase, tmp_path / "results")
    assert refused.returncode == 1
    assert "/5/0/7, PkgVersion" in refused.stdout

    boards = tmp_path / "boards"
    shutil.copytree(ROOT / "boards", boards)
    for said, verdict in (("package 7", 0), ("package 8", 1)):
        text = (ROOT / "boards" / "virtual-esp32.toml").read_text("utf-8")
        table = f'\n[version]\npackage = "{said}"\n'
        (boards / "virtual-esp32.toml").write_text(text + table, "utf-8")
        ended = run(plugin, testcase, tmp_path / said, boards)
        assert ended.returncode == verdict, ended.stdout[-3000:]
