"""What the console proves by its lines, and by their absence: what was heard, and would have been seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.config import Bench, BoardType, load_bench
from bench.dut.hardware import HardwareDut
from bench.errors import ConfigError, ConsoleTimeout, Inconclusive
from bench.evidence.verdict import Cause, cause_of
from bench.station import Station
from bench.virtual import protocol_vboard
from bench.virtual.boards.board import VirtualBoard

BOARDS = Path(__file__).parents[2] / "boards"
BANNER = "*** Booting application"


def bench_for(board: str, **console: object) -> Bench:
    """The virtual bench with one board, some keys of its [console] changed."""
    bench = load_bench(BOARDS / "virtual.toml", (board,))
    name = bench.settings.boards[board].type
    held = bench.types[name]
    assert isinstance(held, BoardType)
    changed = held.model_copy(update={"console": held.console.model_copy(update=console)})
    return bench.model_copy(update={"types": bench.types | {name: changed}})


def commissioned(station: Station) -> HardwareDut:
    dut = next(iter(station.duts.values()))
    assert isinstance(dut, HardwareDut)
    dut.install(dut.images.baseline)
    station.updates.commission(dut)
    return dut


@pytest.fixture(params=["nrf9160", "esp32"])
def board(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def station(board: str) -> Iterator[Station]:
    with Station(bench_for(board), seed=5) as station:
        yield station


@pytest.mark.parametrize(
    "banner",
    [
        b"\0" + BANNER.encode(),
        b"\0\0\xff\xfe\x80" + BANNER.encode(),
        b"\x1b[0;32m\x1b[2K" + BANNER.encode(),
        b"uart:~$ " + BANNER.encode(),
        b"uart:~$ \x1b[8D\x1b[J" + BANNER.encode(),
        b"10 %\r" + BANNER.encode(),
        BANNER.encode() + b"\r" + 40 * b" ",
        BANNER.encode() + b"\b" * 30 + b"\x1b[K",
        b"***\0 Boot\x07ing appli\x1b[1mcation",
        b"\xc2\x9b1m" + BANNER.encode(),
        b"\xc3\xbf" + BANNER.encode(),
    ],
    ids=ascii,
)
def test_a_start_is_seen_whatever_stands_around_its_first_line(
    station: Station, monkeypatch: pytest.MonkeyPatch, banner: bytes
) -> None:
    """A tampered image that ran would pass else."""
    dut = commissioned(station)
    plain = VirtualBoard.print

    def noisy(board: VirtualBoard, text: str) -> None:
        if text.startswith(BANNER):
            board.uart.transmit(banner + b"\r\n")
        else:
            plain(board, text)

    monkeypatch.setattr(VirtualBoard, "print", noisy)
    dut.power_off()
    mark = dut.console.mark()
    dut.power_on()
    station.clock.sleep(10, "start")
    assert len(dut.applications_started(mark)) == 1


def test_nothing_started_is_said_only_after_a_healthy_start(station: Station) -> None:
    dut = next(iter(station.duts.values()))
    assert isinstance(dut, HardwareDut)
    mark = dut.console.mark()
    with pytest.raises(Inconclusive, match="no healthy start of this board was seen in this run"):
        dut.applications_started(mark)


def test_a_pattern_that_misses_a_healthy_start_proves_nothing(board: str) -> None:
    with Station(bench_for(board, application="^Welcome to"), seed=5) as station:
        dut = commissioned(station)
        dut.power_off()
        mark = dut.console.mark()
        with pytest.raises(
            Inconclusive, match=r"'\^Welcome to', but neither did any line of the last"
        ) as failure:
            dut.applications_started(mark)
        assert "correct `application` in [console]" in failure.value.help
        assert BANNER in failure.value.help
        assert cause_of(failure.value) is Cause.OTHER  # which is judged INCONCLUSIVE


def test_a_board_that_stays_wholly_silent_proves_nothing(station: Station) -> None:
    """As one without supply, or with its console's wire off."""
    dut = commissioned(station)
    dut.power_off()
    mark = dut.console.mark()
    station.clock.sleep(10, "off")
    with pytest.raises(Inconclusive, match="nothing at all was printed, where a healthy start prints"):
        dut.applications_started(mark)


def test_a_console_that_was_not_listening_proves_nothing(station: Station, board: str) -> None:
    dut = commissioned(station)
    uart = protocol_vboard.PORTS[board]
    dut.power_off()
    mark = dut.console.mark()
    station.clock.loop.call_later(1.0, uart.vanish)
    station.clock.loop.call_later(2.0, uart.return_)
    station.clock.sleep(5, "the adapter goes and returns")
    with pytest.raises(Inconclusive, match="may have missed some: its port was gone for a while"):
        dut.applications_started(mark)
    mark = dut.console.mark()
    dut.console.close()
    with pytest.raises(Inconclusive, match="may have missed some: its port is not open"):
        dut.applications_started(mark)
    dut.console.open()
    with pytest.raises(Inconclusive, match="may have missed some: its port was closed for a while"):
        dut.applications_started(mark)


def test_no_notification_is_said_only_after_one_was_recognised(station: Station) -> None:
    dut = commissioned(station)
    with pytest.raises(Inconclusive, match="no notification was recognised in this run"):
        station.updates.notifications_from(dut, since=0.0)


# ---- DTR and RTS


def test_lines_are_held_as_the_boards_driver_needs_them(station: Station, board: str) -> None:
    uart = protocol_vboard.PORTS[board]
    assert (uart.dtr, uart.rts) == {"nrf9160": (True, False), "esp32": (False, False)}[board]


def test_keys_of_the_board_file_win() -> None:
    with Station(bench_for("nrf9160", dtr=True, rts=True), seed=5):
        uart = protocol_vboard.PORTS["nrf9160"]
        assert (uart.dtr, uart.rts) == (True, True)


def test_an_nrf9160_without_dtr_is_silent_and_the_error_says_what_to_change() -> None:
    with Station(bench_for("nrf9160", dtr=False), seed=5) as station:
        with pytest.raises(
            ConsoleTimeout, match=r"silent since it was opened.*DTR off and RTS off"
        ) as failure:
            commissioned(station)
        assert "set `dtr = true` in [console] of the board file" in failure.value.help


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("dtr = true", "DTR alone holds it in the boot loader"),
        ("rts = true", "RTS alone holds it in reset"),
        ("dtr = false\nrts = true", "RTS alone holds it in reset"),
        ("dtr = 2", "console.dtr"),
    ],
)
def test_lines_that_would_hold_an_esp32_are_refused(tmp_path: Path, keys: str, why: str) -> None:
    for file in BOARDS.glob("*.toml"):
        text = file.read_text("utf-8")
        if file.name == "virtual-esp32.toml":
            text = text.replace("[console]\n", f"[console]\n{keys}\n")
        (tmp_path / file.name).write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=why):
        load_bench(tmp_path / "virtual.toml", ("esp32",))


def test_a_flash_access_starts_an_esp32_once() -> None:
    with Station(bench_for("esp32"), seed=5) as station:
        dut = commissioned(station)
        mark = dut.console.mark()
        dut.assert_running(dut.images.baseline)
        station.clock.sleep(30, "starts")
        assert len(dut.applications_started(mark)) == 1
