"""Where boards are told that everything is, on a bench without a plant.

The supply is simulated, the console is a pseudo-terminal. Nothing is flashed: the station opens, sets the
board safe, and says on the timeline what the board is told.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from cryptography import x509

from bench.config import load_bench
from bench.errors import ConfigError
from bench.firmware_update.states import Transport
from bench.network.own_address import own_addresses
from bench.station import Station
from bench.virtual.images import build_set
from bench.virtual.instruments.models import Wiring, start_instrument
from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Scheduler

BOARDS = Path(__file__).parents[2] / "boards"
VIRTUAL = load_bench(BOARDS / "virtual.toml")
ESP = VIRTUAL.settings.boards["esp32"].type

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal stands for the console")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Station]]:
    """Opens a station of a real ESP32 and a program, with these lines in [server] and for the board."""
    scheduler = Scheduler(1)
    supply = start_instrument(
        "keysight_e36312a", Wiring(scheduler, {n: Rail(scheduler) for n in (1, 2, 3, 4)})
    )
    shutil.copy(BOARDS / f"{ESP}.toml", tmp_path)
    built = build_set(ESP, tmp_path)
    ends = os.openpty()
    stations: list[Station] = []
    (tmp_path / "client.toml").write_text(
        'command = ["sh"]\n[board]\nname = "client"\ntitle = "x"\nkind = "process"\n[profile]\ntransports = '
        '["coap", "http"]\n[images]\nbaseline = { version = "1" }\n'
        'update = { file = "update.bin", version = "2" }\n',
        "utf-8",
    )

    console = os.ttyname(ends[1])

    def open_station(server: str, board: str = "", packages: str = "") -> Station:
        (tmp_path / "bench.toml").write_text(
            f'[bench]\nname = "desk"\n[server]\nport = 0\nsecure_port = 0\n{server}\n[packages]\n{packages}\n'
            f'[instruments.psu]\ndriver = "keysight_e36312a"\naddress = "{supply.address}"\n'
            f'[boards.esp]\ntype = "{ESP}"\nserial = "1"\nendpoint = "esp"\nconsole = "{console}"\n'
            f'flasher = {{ kind = "rom-serial" }}\nsupply = "psu:1"\n{board}\n'
            f'images = {{ baseline = "{built.baseline.name}", update = "{built.update.name}" }}\n'
            '[boards.client]\ntype = "client"\nendpoint = "client"\n',
            "utf-8",
        )
        station = Station(load_bench(tmp_path / "bench.toml"))
        stations.append(station.__enter__())
        return station

    yield open_station
    for station in stations:
        station.close()
    supply.close()
    for end in ends:
        os.close(end)


def told(station: Station, board: str) -> str:
    (entry,) = [e for e in station.timeline.since(0) if e.source == board and e.kind == "server"]
    return entry.text


@pytest.fixture
def lan(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address of this PC that is not loopback; the only one, as far as the bench is told."""
    found = own_addresses(socket.AF_INET)
    if not found:
        pytest.skip("this PC is in no network")
    own = found[0]
    rows = [row for row in psutil.net_if_addrs()[own.interface] if row.address == own.address]
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {own.interface: rows})
    return own.address


@pytest.mark.parametrize("server", ["", 'host = "127.0.0.1"', 'host = "::1"', 'host = "localhost"'])
def test_a_board_is_never_told_loopback(opened: Callable[..., Station], server: str) -> None:
    with pytest.raises(ConfigError, match="no board can reach it"):
        opened(server)


def test_a_wildcard_becomes_this_pcs_address_everywhere(opened: Callable[..., Station], lan: str) -> None:
    station = opened('host = "0.0.0.0"')
    port = station.server.address[1]
    assert station.server_uri("esp") == f"coap://{lan}:{port}"
    assert station.package_uri("esp", "p", Transport.COAP) == f"coap://{lan}:{port}/fw/p"
    for transport in (Transport.HTTP, Transport.HTTPS, Transport.COAP_TCP):
        assert station.package_uri("esp", "p", transport).startswith(f"{transport.value}://{lan}:")
    assert told(station, "esp").startswith(f"is told coap://{lan}:{port}, packages at ")


def test_a_program_on_this_pc_stays_on_loopback(opened: Callable[..., Station], lan: str) -> None:
    station = opened('host = "0.0.0.0"')
    assert station.server_uri("client") == f"coap://127.0.0.1:{station.server.address[1]}"
    assert station.package_uri("client", "p", Transport.COAP).startswith("coap://127.0.0.1:")
    assert station.package_uri("client", "p", Transport.HTTP).startswith("http://127.0.0.1:")


def test_a_path_of_its_own_is_told_likewise(opened: Callable[..., Station], lan: str) -> None:
    station = opened('host = "0.0.0.0"', "network = {}")
    uri = station.server_uri("esp")
    assert uri.startswith(f"coap://{lan}:")
    assert uri != f"coap://{lan}:{station.server.address[1]}"


def test_the_certificate_is_for_the_address_that_is_told(opened: Callable[..., Station], lan: str) -> None:
    station = opened('host = "0.0.0.0"')
    port = int(station.package_uri("esp", "", Transport.HTTPS).split(":")[2].partition("/")[0])
    shown = x509.load_pem_x509_certificate(ssl.get_server_certificate((lan, port), timeout=30).encode())
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert lan in map(str, names.get_values_for_type(x509.IPAddress))
    assert lan in names.get_values_for_type(x509.DNSName)  # for mbedTLS 2.28, which looks at names alone
    assert "0.0.0.0" not in map(str, names.get_values_for_type(x509.IPAddress))


def test_what_is_advertised_wins(opened: Callable[..., Station]) -> None:
    """Also over loopback: something else leads there."""
    station = opened(
        'host = "127.0.0.1"\nadvertise = "coap://203.0.113.7:5683"',
        packages='http = { advertise = "http://203.0.113.7:80" }\n'
        'https = { advertise = "https://203.0.113.7:443" }\n'
        '"coap+tcp" = { advertise = "coap+tcp://203.0.113.7:5683" }',
    )
    assert station.server_uri("esp") == "coap://203.0.113.7:5683"
    assert station.package_uri("esp", "p", Transport.HTTP) == "http://203.0.113.7:80/fw/p"
    assert station.package_uri("client", "p", Transport.COAP).startswith("coap://127.0.0.1:")


def test_one_door_that_is_not_advertised_is_enough_to_refuse(opened: Callable[..., Station]) -> None:
    with pytest.raises(ConfigError, match="no board can reach it"):
        opened('host = "127.0.0.1"\nadvertise = "coap://203.0.113.7:5683"')


def test_an_ipv6_address_stands_in_brackets(
    opened: Callable[..., Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = own_addresses(socket.AF_INET6)
    if not found:
        pytest.skip("this PC has no IPv6 address in a network")
    station = opened(f'host = "{found[0].address}"')
    assert station.server_uri("esp").startswith(f"coap://[{found[0].address}]:")
    assert station.package_uri("esp", "p", Transport.HTTP).startswith(f"http://[{found[0].address}]:")
