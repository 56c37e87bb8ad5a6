"""java-coap fetches packages over TCP (RFC 8323): CSM, Ping, blocks of each size and BERT."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from java_peers import JAVA, classpath

from bench.clock import Clock, WallClock
from bench.packages.server import PackageServer
from bench.packages.shelf import Shelf

BODY = bytes((7 * n + n // 251) % 256 for n in range(40_007))


@pytest.fixture
def clock() -> Iterator[Clock]:
    made = WallClock()
    yield made
    made.close()


@pytest.fixture
def packages(clock: Clock) -> Iterator[PackageServer]:
    shelf = Shelf(lambda: None)
    made = PackageServer(clock, shelf, host="127.0.0.1", doors={}, schemes=["coap+tcp"])
    made.start()
    shelf.publish("p.bin", BODY)
    yield made
    made.close()


def fetch(packages: PackageServer, path: str, size: str, file: Path) -> tuple[list[str], bytes]:
    """What java-coap prints, and the body it has got."""
    host, _, port = packages.uri_of("p.bin", "coap+tcp").split("/")[2].partition(":")
    run = subprocess.run(
        [*JAVA, "-cp", classpath(), "TcpFetch", host, port, path, size, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines(), file.read_bytes()


@pytest.mark.parametrize("size", ["S_256", "S_1024", "S_1024_BERT"])
def test_download_over_tcp(packages: PackageServer, tmp_path: Path, size: str) -> None:
    told, body = fetch(packages, "/fw/p.bin", size, tmp_path / "out.bin")
    assert told == ["ping true", "205"]
    assert body == BODY


def test_what_is_not_there(packages: PackageServer, tmp_path: Path) -> None:
    assert fetch(packages, "/fw/x", "S_1024", tmp_path / "out.bin") == (["ping true", "404"], b"")
