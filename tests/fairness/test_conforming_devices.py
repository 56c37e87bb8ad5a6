"""Testcases against virtual devices that conform in another way than ours: none may be failed.

Each plugin here changes the virtual device before the run, and says where such a device was seen.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run(
    plugin: str, chosen: Sequence[str], results: pathlib.Path, boards: pathlib.Path = ROOT / "boards"
) -> subprocess.CompletedProcess[str]:
    """Testcases, with the plugin, on the virtual ESP32 (object version 1.1)."""
    command = [
        *(sys.executable, "-m", "pytest", "-p", plugin, "-p", "no:cacheprovider", "--board", "esp32"),
        *("--results", str(results), "--pictures", "failed", "--no-header", "-q"),
        *("--bench", str(boards / "virtual.toml")),
        *(f"testcases/{testcase}" for testcase in chosen),
    ]
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parent)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def assert_passed(ended: subprocess.CompletedProcess[str]) -> None:
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
    assert " passed" in ended.stdout


WAYS = {
    "only_the_transfer": (
        "test_cancel.py::test_cancel_while_downloading",
        "test_reset.py::test_reset_while_downloading",
        "test_two_deliveries.py::test_uri_written_during_a_download",
    ),
    "no_scheme_is_no_protocol": ("test_failed_download.py::test_invalid_uri",),
    "cancels_in_idle": (
        "test_cancel.py::test_cancel_in_idle",
        "test_cancel.py::test_cancel_after_the_update",
    ),
    "registers_often": (
        "test_identity.py::test_identity_survives_an_update",
        "test_identity.py::test_registers_once",
        "test_identity.py::test_registration_is_kept",
        "test_identity.py::test_registration_after_it_was_forgotten",
        "test_resources.py::test_package_written",
    ),
    "resets_while_updating": ("test_reset.py::test_reset_while_updating",),
    "takes_the_latest": (
        "test_two_deliveries.py::test_push_over_a_running_pull",
        "test_two_deliveries.py::test_uri_written_during_a_download",
        "test_two_deliveries.py::test_delivery_when_downloaded",
    ),
    "no_discover": (
        "test_identity.py::test_identity_survives_an_update",
        "test_resources.py::test_resources_of_version_1_1",
    ),
    "answers_separately": ("test_coap.py", "test_update_too_early.py"),
    "object_alone": ("test_coap.py::test_what_a_registration_says", "test_resources.py"),
    "two_accounts": (
        "test_coap.py",
        "test_rollback.py::test_settings_survive_a_rollback[esp32-never-confirms]",
    ),
    "lwm2m_1_0": ("test_resources.py",),
}
"""Plugin -> the testcases that it is run with: those that its way could trip."""


@pytest.mark.parametrize("plugin", WAYS)
def test_a_device_that_conforms_in_its_own_way(plugin: str, tmp_path: pathlib.Path) -> None:
    assert_passed(run(plugin, WAYS[plugin], tmp_path))


def board_files(folder: pathlib.Path, *changes: tuple[str, str]) -> pathlib.Path:
    """A copy of the board and bench files in which the ESP32's has other text."""
    shutil.copytree(ROOT / "boards", folder, dirs_exist_ok=True)
    file = folder / "virtual-esp32.toml"
    text = (ROOT / "boards" / file.name).read_text("utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    file.write_text(text, "utf-8")
    return folder


def test_what_is_not_promised_to_be_kept_need_not_be(tmp_path: pathlib.Path) -> None:
    """A Lifetime that is gone after a restart: fine, but where the board file says that it is kept."""
    plugin = "forgets_settings"
    chosen = (
        "test_rollback.py::test_identity_survives_a_rollback[esp32-self-test-fails]",
        "test_rollback.py::test_settings_survive_a_rollback[esp32-self-test-fails]",
    )
    boards = board_files(tmp_path / "boards", ("keeps-settings = true\n", ""))
    silent = run(plugin, chosen, tmp_path / "silent", boards)
    assert_passed(silent)
    assert "1 passed, 1 skipped" in silent.stdout
    promised = run(plugin, chosen, tmp_path / "promised")
    assert promised.returncode == 1
    assert "1 failed, 1 passed" in promised.stdout
    assert "'lifetime'" in promised.stdout


def test_how_far_away_a_device_is_says_its_board_file(tmp_path: pathlib.Path) -> None:
    """Notifications that a slow link delays are as good as prompt ones."""
    plugin, chosen = "far_away", ("test_resources.py::test_state_is_observed_within_pmin_and_pmax",)
    near = run(plugin, chosen, tmp_path / "near")
    assert near.returncode == 1, near.stdout[-3000:]
    assert "notifications further apart than pmax" in near.stdout
    boards = board_files(tmp_path / "boards", ("boot = 20\n", "boot = 20\nround_trip = 10\n"))
    assert_passed(run(plugin, chosen, tmp_path / "far", boards))


def test_the_version_of_object_5_is_held_against_the_registration(tmp_path: pathlib.Path) -> None:
    """LwM2M 1.2 brings 1.1 of it: a client that says nothing has that one; of another it must say so."""
    chosen = ("test_resources.py::test_version_of_the_object_is_told",)
    assert_passed(run("no_object_version", chosen, tmp_path / "right"))
    boards = board_files(tmp_path / "boards", ('object = "1.2"', 'object = "1.0"'))
    wrong = run("no_object_version", chosen, tmp_path / "wrong", boards)
    assert wrong.returncode == 1
    assert "registered without ver, by a client of LwM2M 1.2, is version 1.1 or 1.2" in wrong.stdout
    told = run("no_discover", chosen, tmp_path / "told", boards)
    assert told.returncode == 1
    assert "registered with version 1.2, by its board file it is 1.0" in told.stdout


def test_what_pkg_version_tells_is_the_board_files(tmp_path: pathlib.Path) -> None:
    """By default the version that runs then; with `[version] package` that, and nothing else."""
    plugin, testcase = "packages_counted_apart", ("test_resources.py::test_package_written",)
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
