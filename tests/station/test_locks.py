"""One bench, one user: what a run holds, another does not touch, and is told whose it is."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench import locks
from bench.config import BenchSettings
from bench.errors import BenchError, InUseError
from bench.locks import Resource, await_guards, guarding, locked
from bench.station.resources import outputs_used, resources_of

ROOT = Path(__file__).parents[2]
PROBE = Resource("probe", "960012345", "boards.nrf.flasher.uid")
HOLD = """
import sys
from bench.locks import Resource, locked
with locked([Resource("probe", "960012345")]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(locks.FOLDER, str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def holder():
    """Another process that holds the probe."""
    started = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert started.stdout.readline() == "held\n"
    yield started
    started.kill()
    started.wait()
    started.stdin.close()
    started.stdout.close()


def hold(*resources):
    with locked(resources) as stale:
        return stale


def test_what_another_process_holds_is_refused_with_its_owner(holder):
    with pytest.raises(InUseError) as told:
        hold(PROBE)
    message = told.value.message
    assert message.startswith("probe 960012345 (boards.nrf.flasher.uid) is in use: ")
    assert f"process {holder.pid} of {getpass.getuser()} on {socket.gethostname()}, since 20" in message
    assert "wait for that run" in told.value.help


def test_lock_of_a_killed_process_is_free_and_what_it_left_is_told(holder):
    holder.kill()
    holder.wait()
    assert len(left := hold(PROBE)) == 1
    assert f"probe 960012345 was left behind by -c, process {holder.pid}" in left[0]
    assert hold(PROBE) == [], "it is cleared away"


def test_lock_in_the_same_process_is_no_different():
    with locked([PROBE]), pytest.raises(InUseError, match=f"process {os.getpid()}"):
        hold(PROBE)
    assert hold(PROBE) == []


def test_what_was_locked_before_the_refused_one_is_free_again(holder):
    board = Resource("board", "1")
    with pytest.raises(InUseError):
        hold(board, PROBE)
    assert hold(board) == []


def test_owner_file_of_nonsense_hides_nothing(folder, holder):
    PROBE.file.with_suffix(".json").write_text('{"pid": []', "utf-8")
    with pytest.raises(InUseError, match="by a process that does not say who it is"):
        hold(PROBE)


def test_names_that_are_no_file_names(folder):
    odd = [Resource("port", name) for name in ("/dev/ttyUSB0", "COM3", "rfc2217://h:1", "a" * 500, "\0", "é")]
    with locked(odd):
        assert len(list(folder.glob("*.lock"))) == len(odd)


def test_folder_that_cannot_be_made_is_a_fault_of_the_bench(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(locks.FOLDER, str(tmp_path / "file" / "locks"))
    with pytest.raises(BenchError, match="folder of locks"):
        hold(PROBE)


def test_guard_of_an_ended_run_is_awaited_and_named(monkeypatch):
    output = Resource("output", "tcpip::h::5025::socket 1", "instruments.psu")
    await_guards([output])
    monkeypatch.setattr(locks, "GUARD_LIMIT", 0.1)
    with guarding([output]), pytest.raises(InUseError) as told:
        await_guards([output])
    assert "the guard of a run that has ended cannot switch it off" in told.value.message
    assert f"process {os.getpid()}" in told.value.message
    await_guards([output])


def settings_of(*, address="TCPIP::10.0.0.1::5025::SOCKET", serial="1", console="/dev/a", uid="2", output=1):
    return BenchSettings.model_validate(
        {
            "bench": {"name": "shared"},
            "instruments": {"psu": {"driver": "keysight_e36312a", "address": address}},
            "boards": {
                "nrf": {
                    "type": "nrf9160dk-zephyr",
                    "serial": serial,
                    "endpoint": f"urn:dev:{serial}",
                    "console": str(console),
                    "flasher": {"kind": "swd", "uid": uid},
                    "supply": f"psu:{output}",
                    "images": {"provider": "bench.virtual.images:build"},
                }
            },
        }
    )


def names(settings):
    return {str(resource) for resource in resources_of(settings)}


def test_board_probe_port_and_output_are_locked():
    assert names(settings_of()) == {
        "board 1",
        "port /dev/a",
        "probe 2",
        "output tcpip::10.0.0.1::5025::socket 1",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"address": "TCPIP0::10.0.0.1::5025::SOCKET"}, {"address": "tcpip::10.0.0.1::5025::socket"}),
        ({"address": "ASRL/dev/ttyACM0::INSTR"}, {"address": "/dev/ttyACM0"}),
        ({"uid": "ABC"}, {"uid": "abc"}),
        ({"console": "COM3"}, {"console": r"\\.\com3"}),
    ],
)
def test_other_names_of_the_same_thing_are_the_same_lock(one, other):
    assert names(settings_of(**one)) == names(settings_of(**other))


@pytest.mark.skipif(os.name != "posix", reason="Windows makes no links without being asked twice")
def test_link_to_a_port_is_the_port(tmp_path):
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyUSB0")
    linked = settings_of(console=tmp_path / "by-id")
    assert names(linked) == names(settings_of(console=tmp_path / "ttyUSB0"))


def test_two_benches_share_a_supply_by_its_outputs():
    one = settings_of()
    other = settings_of(output=2, serial="3", console="/dev/b", uid="4")
    assert outputs_used(one, "psu") == ("1",)
    with locked(resources_of(one)), locked(resources_of(other)) as stale:
        assert stale == []
