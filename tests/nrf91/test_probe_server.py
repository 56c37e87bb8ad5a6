"""Probes of a running bench as other processes see them: pyOCD's command line, unmodified."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nrf91_rig import UID, Board

from bench.virtual.nrf91.probe_server import ProbeServer
from bench.virtual.nrf91.registry import PROBES


@pytest.fixture
def address(board: Board) -> Iterator[str]:
    server = ProbeServer(UID, PROBES[UID])
    host, port = server.start()
    yield f"{host}:{port}"
    server.close()


def pyocd(*arguments: str, probes: str = "") -> str:
    """The output of the command line tool, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pyocd", *arguments],
        env={**os.environ, "BENCH_PROBES": probes},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Client:
    """The line protocol by hand."""

    def __init__(self, address: str) -> None:
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), 5)
        self.file = self.socket.makefile("rwb")
        self.number = 0

    def ask(self, request: str, *arguments: object) -> dict[str, object]:
        self.number += 1
        row = {"id": self.number, "request": request, "arguments": list(arguments)}
        return self.send(json.dumps(row).encode())

    def send(self, line: bytes) -> dict[str, object]:
        self.file.write(line + b"\n")
        self.file.flush()
        answer: dict[str, object] = json.loads(self.file.readline())
        return answer

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def test_pyocd_lists_the_boards_of_a_running_bench_when_told(address: str) -> None:
    assert UID in pyocd("list", probes=f"{UID}={address}")
    assert UID not in pyocd("list")


def test_pyocd_reads_registers_and_memory_by_uid(address: str) -> None:
    out = pyocd(
        "cmd", "-u", UID, "-t", "nrf91", "-O", "auto_unlock=false", "-M", "attach",
        "-c", "read32 0x00ff0140 4", "-c", "halt", "-c", "reg pc",
        probes=f"{UID}={address}",
    )  # fmt: skip
    assert "00009160" in out
    assert "0x00010400" in out


def test_pyocd_flashes_through_its_stock_remote_probe(board: Board, address: str, tmp_path: Path) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(bytes(range(256)) * 32)
    pyocd(
        "flash", "-u", f"remote:{address}", "-t", "nrf91", "-O", "auto_unlock=false",
        "--base-address", "0x30000", str(image),
    )  # fmt: skip
    assert board.chip.flash.read(0x30000, 0x2000) == image.read_bytes()


def test_each_uid_reaches_its_own_chip(make_board: Callable[..., Board]) -> None:
    first, second = make_board(uid="A"), make_board(uid="B")
    servers = [ProbeServer("A", first.chip), ProbeServer("B", second.chip)]
    at_a, at_b = (":".join(map(str, server.start())) for server in servers)
    try:
        out = pyocd(
            "cmd", "-u", "B", "-t", "nrf91", "-O", "auto_unlock=false", "-M", "attach",
            "-c", "write32 0x20000000 0x1234",
            probes=f"A={at_a},B={at_b}",
        )  # fmt: skip
    finally:
        for server in servers:
            server.close()
    assert "rror" not in out
    assert int.from_bytes(second.chip.ram[0:4], "little") == 0x1234
    assert int.from_bytes(first.chip.ram[0:4], "little") == 0


def test_a_probe_has_one_debugger_at_a_time(address: str) -> None:
    first, second = Client(address), Client(address)
    assert first.ask("open")["status"] == 0
    refused = second.ask("open")
    assert refused["status"] == 3
    assert "in use" in str(refused["error"])
    first.ask("close")
    assert second.ask("open")["status"] == 0
    first.close()
    second.close()


def test_bad_requests_get_an_error_and_the_connection_lives(address: str) -> None:
    client = Client(address)
    for line in (b"nonsense", b"[]", b"{}", b'{"id": 1}', b'{"id": 1, "request": "fly"}'):
        assert client.send(line)["status"] == 1
    assert client.ask("read_dp")["status"] == 1  # an argument short
    assert client.ask("hello", 99)["status"] == 1
    assert client.ask("read_dp", 0)["result"] == 0x6BA02477
    client.close()


def test_transfer_errors_keep_their_kind(board: Board, address: str) -> None:
    client = Client(address)
    assert client.ask("read_ap", 0)["status"] == 12  # FAULT: not powered up
    board.chip.power(False)
    assert client.ask("read_dp", 0)["status"] == 10  # nobody acknowledges
    client.close()


def test_importing_pyocd_costs_no_emulator() -> None:
    code = "import sys, pyocd.probe.aggregator; sys.exit('unicorn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    "first", ["bench.virtual.nrf91.registry", "bench.virtual.nrf91.chip", "bench.virtual.plant", "pyocd"]
)
def test_the_plug_in_loads_whoever_comes_first(first: str) -> None:
    code = (
        f"import {first}; from pyocd.probe.aggregator import PROBE_CLASSES; assert 'bench' in PROBE_CLASSES"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
