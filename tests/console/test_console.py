"""The console over virtual UARTs: nothing lost, exact time stamps, port loss, expect."""

import re
import sys
import threading

import pytest
import serial

from bench.clock import Clock
from bench.dut import serial_port
from bench.dut.console import Console
from bench.dut.serial_port import RELEASED, Lines
from bench.errors import ConsoleError, ConsoleTimeout
from bench.timeline import Timeline
from bench.virtual import protocol_vboard
from bench.virtual.clock import VirtualClock
from bench.virtual.scheduler import Scheduler
from bench.virtual.uart import VirtualUart


class Bench:
    """A simulated clock, a timeline, and boards that are nothing but a UART."""

    def __init__(self) -> None:
        if "bench.virtual" not in serial.protocol_handler_packages:
            serial.protocol_handler_packages.append("bench.virtual")
        self.scheduler = Scheduler(1)
        self.clock: Clock = VirtualClock(self.scheduler)
        self.timeline = Timeline(self.clock)
        self.consoles: list[Console] = []

    def board(self, name: str, lines: Lines = RELEASED) -> tuple[VirtualUart, Console]:
        uart = VirtualUart(self.scheduler, name)
        protocol_vboard.PORTS[name] = uart
        console = Console(name, f"vboard://{name}", self.clock, self.timeline, lines=lines)
        self.consoles.append(console)
        return uart, console

    def print(self, uart: VirtualUart, at: float, data: bytes) -> None:
        self.scheduler.after(at - self.scheduler.now, lambda: uart.transmit(data))

    def kinds(self, source: str) -> list[tuple[float, str, str]]:
        return [(e.time, e.kind, e.text) for e in self.timeline.since(source=source)]

    def close(self) -> None:
        for console in self.consoles:
            console.close()
            protocol_vboard.PORTS.pop(console.name, None)
        self.clock.close()


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.close()


def test_thousands_of_lines_carry_the_exact_simulated_time(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    rng = bench.scheduler.rng("test")
    expected = []
    at = 0.0
    for number in range(4000):
        at += rng.choice((0.0, 0.0005, 0.25))
        expected.append((pytest.approx(at), f"line {number}"))
        bench.print(uart, at, f"line {number}\r\n".encode())
    bench.clock.sleep(at + 1, "all lines")
    assert [(line.time, line.text) for line in console.lines()] == expected
    assert [(e.time, e.text) for e in bench.timeline.since(kind="line")] == expected


def test_time_stamps_stay_exact_while_a_library_call_takes_simulated_time(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    for number in range(500):
        bench.print(uart, 0.01 * number, b"busy\n")
    bench.scheduler.elapse(10.0)  # what a flash that is being erased does
    assert [line.time for line in console.lines()] == pytest.approx([0.01 * n for n in range(500)])
    bench.print(uart, 11.0, b"polled\n")
    bench.scheduler.run_until(lambda: False, 5.0)  # what a read of another port does
    assert console.lines()[-1].time == pytest.approx(11.0)


def two_consoles_run() -> list[str]:
    bench = Bench()
    try:
        pairs = [bench.board(name) for name in ("alpha", "beta")]
        rng = bench.scheduler.rng("chunks")
        for uart, console in pairs:
            console.open()
            at = 0.0
            for number in range(300):
                at += rng.random() * 0.01
                bench.print(uart, at, f"{console.name} {number}".encode())
                bench.print(uart, at + rng.random() * 2, b" tail\r\n")
        for _, console in pairs:
            console.expect(f"{console.name} 299", timeout=30)
        bench.clock.sleep(10, "the rest")
        for _, console in pairs:
            console.close()
        return [entry.as_json() for entry in bench.timeline]
    finally:
        bench.close()


def test_two_consoles_at_once_give_the_same_timeline_twice():
    first = two_consoles_run()
    assert len([row for row in first if '"line"' in row]) == 600
    assert two_consoles_run() == first


def test_no_byte_before_the_first_read_is_lost(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    uart.transmit(b"*** Booting ***\r\n")  # the supply came on at this very moment
    assert console.expect("Booting", timeout=0.001).string == "*** Booting ***"
    assert console.lines()[0].time == 0.0


def test_invalid_utf8_and_raw_bytes_are_kept(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    sent = b"ok \xff\xfe \xc3\xa9\r\n\x00\x80\nsplit \xe2\x82"
    bench.print(uart, 1, sent)
    bench.print(uart, 2, b"\xac here\n")
    bench.clock.sleep(3, "output")
    assert [line.text for line in console.lines()] == ["ok \\xff\\xfe é", "\\x80", "split € here"]
    assert bench.timeline.since(kind="line")[1].text == "\\x00\\x80"  # the log keeps it, unable to act
    assert console.raw() == sent + b"\xac here\n"


def test_raw_bytes_survive_the_spill_to_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bench.dut.console.RAW_IN_MEMORY", 1000)
    uart, console = bench.board("alpha")
    console.open()
    for number in range(100):
        bench.print(uart, number, b"%03d" % number + b"x" * 60 + b"\n")
        bench.clock.sleep(1, "a line")
        if number == 50:
            assert console.raw().startswith(b"000x")  # reading must not disturb later writes
    assert console.raw() == b"".join(b"%03d" % n + b"x" * 60 + b"\n" for n in range(100))


def test_partial_line_shows_after_silence_and_is_whole_in_the_end(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    bench.print(uart, 1, b"Erasing...")
    bench.print(uart, 5, b" done\r\nuart:~$ ")
    assert console.expect(r"Eras\w+", timeout=2)
    bench.clock.sleep(10, "output")
    assert bench.kinds("alpha.console")[1:] == [
        (1.0, "partial", "Erasing..."),
        (1.0, "line", "Erasing... done"),
        (5.0, "partial", "uart:~$ "),
    ]
    assert console.expect("done", timeout=0.1)  # went on behind the first match, on the same line
    assert console.expect(r"\$ $", timeout=0.1)
    assert [line.ended for line in console.lines()] == [True, False]


def test_partial_line_is_kept_on_close(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    uart.transmit(b"cut of")
    console.close()
    assert [(e.kind, e.text) for e in bench.timeline.since(source="alpha.console")][1:] == [
        ("partial", "cut of"),
        ("port", "closed"),
    ]
    assert console.lines()[-1].text == "cut of"


def test_successive_expects_move_on_and_since_looks_back(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    bench.print(uart, 1, b"state 1\nstate 2 state 3\n")
    bench.print(uart, 9, b"state 4\n")
    start = console.mark()
    found = [console.expect(r"state (\d)", timeout=20)[1] for _ in range(4)]
    assert found == ["1", "2", "3", "4"]
    assert bench.clock.now() == pytest.approx(9)
    with pytest.raises(ConsoleTimeout):
        console.expect("state", timeout=1)
    assert console.expect(re.compile("STATE 2", re.I), timeout=1, since=start)
    assert console.expect(r"state (\d)", timeout=1)[1] == "3"
    assert not console.lines(console.mark())


def test_expect_fails_with_pattern_timeout_and_last_lines(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    for number in range(15):
        bench.print(uart, number, f"line {number}\n".encode())
    before = bench.clock.now()
    with pytest.raises(ConsoleTimeout) as failure:
        console.expect("Jumping to .* slot", timeout=30)
    assert bench.clock.now() - before == pytest.approx(30)
    message = str(failure.value)
    assert "alpha" in message
    assert "'Jumping to .* slot'" in message
    assert "30 s" in message
    assert [int(n) for n in re.findall(r"line (\d+)", message)] == list(range(5, 15))
    assert "14.000  line 14" in message


def test_vanished_port_is_noted_and_opened_again_at_its_return(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    bench.print(uart, 1, b"before\n")
    bench.print(uart, 1.9, b"hal")
    bench.scheduler.after(2, uart.vanish)
    bench.scheduler.after(3, lambda: uart.transmit(b"lost\n"))
    bench.scheduler.after(4, uart.return_)
    bench.print(uart, 4.5, b"after\n")
    console.expect("after", timeout=10)
    assert bench.kinds("alpha.console") == [
        (0.0, "port", "open"),
        (1.0, "line", "before"),
        (1.9, "partial", "hal"),
        (2.0, "port", "port vanished"),
        (4.0, "port", "port returned"),
        (4.5, "line", "after"),
    ]


def test_port_that_does_not_return_is_a_fault_of_the_bench(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    bench.scheduler.after(2, uart.vanish)
    with pytest.raises(ConsoleError, match=r"vanished at 2\.000 s"):
        console.expect("after", timeout=10)
    with pytest.raises(ConsoleError, match="cannot send"):
        console.send("x")
    console.close()
    assert not any(t.name == "alpha.console" for t in threading.enumerate())


def test_the_port_is_lent_and_taken_back_without_being_opened_again(bench: Bench):
    uart, console = bench.board("alpha")
    changes: list[tuple[bool, bool]] = []
    console.open()
    uart.on_lines = lambda dtr, rts: changes.append((dtr, rts))
    uart.transmit(b"one\n")
    port = console.lend()
    uart.transmit(b"for the flasher")
    assert port.read(15) == b"for the flasher"
    for use in (console.open, console.lend, lambda: console.send("x")):
        with pytest.raises(ConsoleError, match="lent to the flasher"):
            use()
    port.baudrate, port.timeout = 460800, 3
    console.take_back()
    console.take_back()
    uart.transmit(b"two\n")
    console.expect("two", timeout=1)
    assert console.raw() == b"one\ntwo\n"
    assert changes == []
    assert [e.text for e in bench.timeline.since(kind="port")] == ["open", "lent", "taken back"]


def test_what_arrives_before_the_console_reads_again_is_not_lost(bench: Bench):
    """A board starts when the flasher lets it go: its first line is there before the reader is."""
    uart, console = bench.board("alpha")
    console.open()
    console.lend()
    uart.transmit(b"boot\n")
    console.take_back()
    bench.print(uart, 2.5, b"later\n")
    console.expect("later", timeout=5)
    assert [(line.time, line.text) for line in console.lines()] == [(0.0, "boot"), (2.5, "later")]


def test_a_port_that_the_borrower_closed_is_opened_again(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    console.lend().close()
    assert not uart.opened
    console.take_back()
    uart.transmit(b"again\n")
    assert console.expect("again", timeout=1)


def test_a_port_that_vanishes_while_it_is_lent_is_an_error_and_is_found_again(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    console.lend()
    uart.vanish()
    with pytest.raises(ConsoleError, match="cannot open console port vboard://alpha"):
        console.take_back()
    with pytest.raises(ConsoleError, match="cannot open console port vboard://alpha"):
        console.lend()
    uart.return_()
    assert console.lend().is_open
    console.take_back()
    console.open()
    uart.transmit(b"again\n")
    assert console.expect("again", timeout=1)


def test_a_closed_console_lends_its_port_and_closes_it_afterwards(bench: Bench):
    uart, console = bench.board("alpha")
    assert console.lend().is_open
    console.take_back()
    assert not uart.opened
    assert not console.is_open


def test_busy_and_missing_ports_name_the_port(bench: Bench):
    _, console = bench.board("alpha")
    console.open()
    console.open()  # idempotent
    other = Console("other", "vboard://alpha", bench.clock, bench.timeline)
    with pytest.raises(ConsoleError, match=r"other: cannot open console port vboard://alpha.*busy"):
        other.open()
    missing = Console(
        "gone", "COM99" if sys.platform == "win32" else "/dev/ttyNONE", bench.clock, bench.timeline
    )
    with pytest.raises(ConsoleError, match="ports present"):
        missing.open()
    with pytest.raises(ConsoleError, match="not open"):
        missing.expect("x", timeout=1)


@pytest.mark.parametrize("raises", [True, False], ids=["linux", "windows"])
@pytest.mark.parametrize("wanted", [Lines(False, False), Lines(True, False), Lines(True, True)], ids=str)
def test_lines_are_held_and_rts_is_never_on_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, raises: bool, wanted: Lines
):
    """RTS alone resets an ESP32. Linux raises both lines at opening, Windows sets what is asked for."""
    monkeypatch.setattr(protocol_vboard, "RAISES_ON_OPENING", raises)
    monkeypatch.setattr(serial_port, "SET_BY_OPENING", not raises)
    uart, console = bench.board("alpha", wanted)
    seen: list[tuple[bool, bool]] = []
    uart.on_lines = lambda dtr, rts: seen.append((dtr, rts))
    for _ in range(2):
        console.open()
        assert (uart.dtr, uart.rts) == wanted
        console.lend().rts = True
        console.take_back()
        assert (uart.dtr, uart.rts) == wanted
        console.close()
        assert (uart.dtr, uart.rts) == (False, False)
    borrowed = [] if wanted.rts else [(wanted.dtr, True)] * 2
    assert sum(state == (False, True) for state in seen) == borrowed.count((False, True))


def test_pyserial_s_own_way_of_opening_with_both_lines_off_is_a_reset_pulse(bench: Bench):
    """What the virtual port models: Linux raises both, pyserial clears DTR first."""
    uart, _ = bench.board("alpha")
    seen: list[tuple[bool, bool]] = []
    uart.on_lines = lambda dtr, rts: seen.append((dtr, rts))
    port = serial.serial_for_url("vboard://alpha", do_not_open=True)
    port.dtr = port.rts = False
    port.open()
    port.close()
    assert seen == [(True, True), (False, True), (False, False)]


def test_a_bridge_that_waits_for_dtr_is_silent_and_the_error_says_how_to_wake_it(bench: Bench):
    uart, console = bench.board("alpha")
    uart.waits_for_dtr = True
    received = bytearray()
    uart.on_receive = received.extend
    console.open()
    bench.print(uart, 1, b"hello\n")
    console.send("x")
    with pytest.raises(ConsoleTimeout) as failure:
        console.expect("hello", timeout=2)
    assert "vboard://alpha has been silent since it was opened, at 115200 baud" in str(failure.value)
    assert "DTR off and RTS off" in str(failure.value)
    assert "set `dtr = true` in [console]" in failure.value.help
    assert received == b""


def test_a_bridge_that_waits_for_dtr_passes_all_on_with_it(bench: Bench):
    uart, console = bench.board("alpha", Lines(dtr=True))
    uart.waits_for_dtr = True
    received = bytearray()
    uart.on_receive = received.extend
    console.open()
    bench.print(uart, 1, b"hello\n")
    console.send("x")
    assert console.expect("hello", timeout=2)
    assert received == b"x"
    with pytest.raises(ConsoleTimeout, match="last lines"):  # it is not silent any more
        console.expect("more", timeout=2)


def test_a_silent_console_with_dtr_on_is_told_another_cure(bench: Bench):
    _, console = bench.board("alpha", Lines(dtr=True))
    console.open()
    with pytest.raises(ConsoleTimeout, match="DTR on and RTS off") as failure:
        console.expect("hello", timeout=2)
    assert "`dtr = false` and `rts = false`" in failure.value.help


def test_sent_text_reaches_the_board(bench: Bench):
    uart, console = bench.board("alpha")
    received = bytearray()
    uart.on_receive = received.extend
    console.open()
    console.send("AT+CEREG?\r\n")
    assert received == b"AT+CEREG?\r\n"
    assert bench.timeline.since(kind="sent")[0].text == "AT+CEREG?"


@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\r\nb\r\r\n", ["a", "b"]),
        (b"a\n\rb\n\r", ["a", "b"]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\rb\r", ["a", "b"]),
        (b"a\r\n\r\nb\r\n", ["a", "", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\n\r\n\rb\n\r", ["a", "", "b"]),
        (b"\r\nOK\r\n", ["", "OK"]),
        (b"10 %\r20 %\r\ndone\n", ["10 %", "20 %", "done"]),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_every_kind_of_line_end_in_chunks_of_any_size(bench: Bench, sent: bytes, lines: list[str], size: int):
    uart, console = bench.board("alpha")
    console.open()
    for number, at in enumerate(range(0, len(sent), size)):
        bench.print(uart, 0.01 * (number + 1), sent[at : at + size])
    bench.clock.sleep(5, "output")
    assert [line.text for line in console.lines()] == lines
    assert [entry.text for entry in bench.timeline.since(kind="line")] == lines
    assert console.raw() == sent


def test_a_sequence_and_a_character_cut_in_two_are_one(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    for number, byte in enumerate(b"\x1b[1;32m\xe2\x82\xac ok\x1b[0m\r\n"):
        bench.print(uart, 0.01 * (number + 1), bytes([byte]))
    assert console.expect("^€ ok$", timeout=2)


def test_expect_consumes_up_to_the_match_whatever_lies_between(bench: Bench):
    uart, console = bench.board("alpha")
    console.open()
    bench.print(uart, 1, b"\x1b[1mstate\0 1\x1b[0m \xff state\x07 2\r\nstate 3\r\n")
    assert [console.expect(r"state (\d)", timeout=2)[1] for _ in range(3)] == ["1", "2", "3"]


def test_an_anchored_pattern_matches_where_the_mark_is(bench: Bench):
    """A board that dies in the midst of a line and starts anew goes on in the same line."""
    uart, console = bench.board("alpha")
    console.open()
    bench.print(uart, 1, b"net: atta")
    bench.clock.sleep(2, "cut")
    mark = console.mark()
    bench.print(uart, 3, b"\0*** Booting\r\n")
    assert console.expect(r"^\*\*\* Booting$", timeout=2, since=mark)
    assert console.lines(mark)[0].search(r"^\*\*\* Booting$")
    assert console.lines()[0].text == "net: atta*** Booting"


def test_a_pattern_reaches_across_the_cut_of_a_line_that_does_not_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bench.dut.console.MAX_LINE", 1000)
    uart, console = bench.board("alpha")
    console.open()
    sent = b"x" * 995 + b"*** Booting v1" + b"y" * 995 + b"*** Booting v2\r\n"
    for number, at in enumerate(range(0, len(sent), 7)):
        bench.print(uart, 0.001 * number, sent[at : at + 7])
    bench.clock.sleep(5, "output")
    assert len(console.lines()) > 1
    found = [line.search(r"\*\*\* Booting (v\d)") for line in console.lines()]
    assert [match[1] for match in found if match] == ["v1", "v2"]
    assert [console.expect(r"Booting (v\d)", timeout=1)[1] for _ in range(2)] == ["v1", "v2"]


def test_a_gap_counts_for_those_who_looked_before_it(bench: Bench):
    uart, console = bench.board("alpha")
    before_all = console.mark()
    console.open()
    assert console.missed(before_all) is None
    console.lend()
    assert console.missed(before_all) == "its port is lent"
    console.take_back()
    assert console.missed(before_all) == "its port was lent in between"
    after = console.mark()
    assert console.missed(after) is None
    bench.scheduler.after(1, uart.vanish)
    bench.clock.sleep(2, "gone")
    assert console.missed(after) == "its port vanished at 1.000 s and has not returned"


def test_a_flood_is_a_gap(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bench.dut.console.FLOOD", 1000)
    uart, console = bench.board("alpha")
    console.open()
    mark = console.mark()
    bench.print(uart, 0.5, b"line\n" * 100)
    bench.clock.sleep(2, "flood")
    assert console.missed(mark) == "more was printed than could be taken"
