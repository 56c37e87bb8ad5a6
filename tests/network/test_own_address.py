"""Which address of this PC a board is told: never one that it cannot reach, and none that was guessed."""

from __future__ import annotations

import socket
from collections import namedtuple

import psutil
import pytest

from bench.errors import ConfigError
from bench.network.address import coap_uri
from bench.network.own_address import address_for_boards, own_addresses

Row = namedtuple("Row", "family address")
State = namedtuple("State", "isup")
LOOPBACK = {"lo": [Row(socket.AF_INET, "127.0.0.1"), Row(socket.AF_INET6, "::1")]}
LAN = {
    "eth0": [
        Row(socket.AF_INET, "192.168.1.10"),
        Row(socket.AF_INET6, "fe80::1%eth0"),
        Row(psutil.AF_LINK, "00:11"),
    ]
}
WIFI = {"wlan0": [Row(socket.AF_INET, "10.0.0.7"), Row(socket.AF_INET6, "fd00::10")]}
DOWN = {"eth1": [Row(socket.AF_INET, "192.168.9.9")]}
SELF_GIVEN = {"eth2": [Row(socket.AF_INET, "169.254.7.7")]}


def interfaces(monkeypatch: pytest.MonkeyPatch, *rows: dict[str, list[Row]]) -> None:
    """What psutil tells of a PC that has these."""
    found = {name: held for row in rows for name, held in row.items()}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {name: State(name != "eth1") for name in found})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "localhost"])
def test_loopback_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="no board can reach it") as caught:
        address_for_boards(host)
    assert "advertise" in caught.value.help


def test_a_name_that_leads_to_loopback_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Debian's installer writes the PC's own name into /etc/hosts, with 127.0.1.1."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("127.0.1.1", 0))])
    with pytest.raises(ConfigError, match=r"'bench-pc' \(127\.0\.1\.1\) is this PC to itself"):
        address_for_boards("bench-pc")


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'no-such-host\.invalid' is not found"):
        address_for_boards("no-such-host.invalid")


def test_an_address_is_told_as_it_is() -> None:
    assert address_for_boards("192.168.1.10") == "192.168.1.10"
    assert coap_uri((address_for_boards("fd00::0:10"), 5683)) == "coap://[fd00::10]:5683"


@pytest.mark.parametrize("host", ["fe80::1", "fe80::1%eth0"])
def test_a_link_local_address_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="needs a zone"):
        address_for_boards(host)


def test_the_only_address_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    interfaces(monkeypatch, LOOPBACK, LAN, DOWN, SELF_GIVEN)
    assert address_for_boards("0.0.0.0") == "192.168.1.10"
    interfaces(monkeypatch, LOOPBACK, LAN, WIFI)
    assert address_for_boards("::") == "fd00::10"


def test_several_addresses_are_listed_and_none_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    interfaces(monkeypatch, LOOPBACK, LAN, WIFI)
    with pytest.raises(ConfigError, match=r"192\.168\.1\.10 \(eth0\), 10\.0\.0\.7 \(wlan0\)") as caught:
        address_for_boards("0.0.0.0")
    assert "route_to" in caught.value.help


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_pc_without_a_network_has_none(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    interfaces(monkeypatch, LOOPBACK, DOWN, SELF_GIVEN)
    with pytest.raises(ConfigError, match="no address in a network"):
        address_for_boards(host)


def test_the_way_to_the_boards_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """To an address of this PC itself the way begins at that very address."""
    interfaces(monkeypatch, LAN, WIFI)
    with pytest.raises(ConfigError, match="this PC to itself"):
        address_for_boards("0.0.0.0", route_to="127.0.0.1")
    monkeypatch.undo()
    for own in own_addresses(socket.AF_INET):
        assert address_for_boards("0.0.0.0", route_to=own.address) == own.address


@pytest.mark.parametrize(
    ("host", "target"), [("0.0.0.0", "fd00::1"), ("::", "10.0.0.1"), ("0.0.0.0", "no.invalid")]
)
def test_no_way_is_an_error(host: str, target: str) -> None:
    with pytest.raises(ConfigError, match="no way from") as caught:
        address_for_boards(host, route_to=target)
    assert "route_to" in caught.value.help
