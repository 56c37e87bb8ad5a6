"""Where npm's Allure is looked for, and what is said where it, or Node, is missing."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import subprocess
import sys

import pytest

import bench.report.allure as found_by
from bench.errors import ReportError
from bench.report.allure import VERSION, find_allure

posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in for a program is a shell script")


@pytest.fixture(autouse=True)
def no_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(found_by, "CHECKOUT", tmp_path / "checkout")


def program(folder: pathlib.Path, name: str, says: str) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {says}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def package(folder: pathlib.Path, version: str = VERSION, name: str = "allure") -> pathlib.Path:
    place = folder / "node_modules" / "allure"
    place.mkdir(parents=True)
    (place / "package.json").write_text(json.dumps({"name": name, "version": version}))
    (place / "cli.js").write_text("")
    return place / "cli.js"


@pytest.fixture
def path(tmp_path):
    """A PATH with a Node and nothing else."""
    program(tmp_path / "bin", "node", "v22.1.0")
    return {"PATH": str(tmp_path / "bin")}


def test_without_node_the_way_to_install_it_is_told(tmp_path):
    with pytest.raises(ReportError) as fault:
        find_allure(tmp_path, {"PATH": str(tmp_path)})
    assert "needs Node.js" in str(fault.value)
    assert f"npm install --no-save allure@{VERSION}" in fault.value.help


@posix
def test_without_allure_the_way_to_install_it_is_told(tmp_path, path):
    with pytest.raises(ReportError, match="it is not installed") as fault:
        find_allure(tmp_path, path)
    assert fault.value.help == f"install it: npm install --no-save allure@{VERSION}"


@posix
def test_node_too_old(tmp_path):
    program(tmp_path / "bin", "node", "v18.20.4")
    with pytest.raises(ReportError, match=r"v18\.20\.4, a report needs 20"):
        find_allure(tmp_path, {"PATH": str(tmp_path / "bin")})


@posix
@pytest.mark.parametrize("where", [".", "..", "../checkout"])
def test_node_modules_here_above_and_of_the_checkout(tmp_path, path, where):
    here = tmp_path / "here"
    here.mkdir()
    script = package((here / where).resolve())
    assert find_allure(here, path).script == script


@posix
def test_other_versions_and_other_packages_are_passed_over(tmp_path, path):
    package(tmp_path / "a" / "b", "3.17.0")
    with pytest.raises(ReportError, match=r"b.node_modules.allure: version 3\.17\.0"):
        find_allure(tmp_path / "a" / "b", path)
    right = package(tmp_path)
    assert find_allure(tmp_path / "a" / "b", path).script == right
    package(tmp_path / "c", name="allure-commandline")
    assert find_allure(tmp_path / "c", path).script == right


@posix
def test_on_the_path_as_npm_installs_it_globally(tmp_path, path):
    script = package(tmp_path / "lib")
    script.chmod(0o755)
    (tmp_path / "bin" / "allure").symlink_to(script)
    assert find_allure(tmp_path / "elsewhere", path).script == script


@posix
def test_on_the_path_as_npm_installs_it_on_windows(tmp_path, path):
    script = package(tmp_path / "bin")
    program(tmp_path / "bin", "allure", "a shim")
    assert find_allure(tmp_path / "elsewhere", path).script == script


@posix
def test_java_allure_on_the_path_is_not_taken(tmp_path, path):
    program(tmp_path / "bin", "allure", "2.34.0")
    with pytest.raises(ReportError, match="it is not installed"):
        find_allure(tmp_path / "elsewhere", path)


def test_command_tells_it_in_one_message(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from bench.cli import main; main()", "report", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert done.stderr.startswith(f"bench: {tmp_path}: there are no Allure results\n  help: name a results")
