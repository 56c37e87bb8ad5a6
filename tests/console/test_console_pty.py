"""The console on a serial device of the operating system (a pseudo terminal), on the wall clock."""

import os
import sys
import time

import pytest

from bench.clock import WallClock
from bench.dut.console import Console
from bench.errors import ConsoleError
from bench.timeline import Timeline

if sys.platform != "win32":
    import pty
    import tty

    def wait_until(done, limit=5.0):
        end = time.monotonic() + limit
        while not done():
            assert time.monotonic() < end
            time.sleep(0.005)

    @pytest.fixture
    def wall():
        clock = WallClock()
        yield clock
        clock.close()

    def new_pty() -> tuple[int, str]:
        board, host = pty.openpty()
        tty.setraw(host)
        path = os.ttyname(host)
        os.close(host)
        return board, path

    def test_posix_pty_output_input_loss_and_return(wall, tmp_path, monkeypatch):
        monkeypatch.setattr("bench.dut.console.READ_TIMEOUT", 6.0)
        board, path = new_pty()
        link = tmp_path / "ttyBOARD"  # as udev names a port; the device behind it comes and goes
        link.symlink_to(path)
        timeline = Timeline(wall)
        console = Console("pty", str(link), wall, timeline)
        console.open()
        try:
            os.write(board, b"boot \xff\r\n" + b"".join(b"%d\r\n" % n for n in range(2000)))
            assert console.expect("^1999$", timeout=5)
            assert console.lines()[0].text == "boot \\xff"
            assert [line.text for line in console.lines()][1:] == [str(n) for n in range(2000)]
            console.send("reset\n")
            assert os.read(board, 100) == b"reset\n"
            os.write(board, b"login: ")
            assert console.expect("login: $", timeout=5)

            link.unlink()
            os.close(board)
            wait_until(lambda: timeline.since(kind="port")[-1].text == "port vanished")
            board, path = new_pty()
            link.symlink_to(path)
            wait_until(lambda: timeline.since(kind="port")[-1].text == "port returned")
            os.write(board, b"back\n")
            assert console.expect("back", timeout=5)
        finally:
            start = time.monotonic()
            console.close()
            os.close(board)
        assert time.monotonic() - start < 5  # the blocked read was cancelled, not waited out

    def test_posix_pty_is_held_exclusively(wall):
        board, path = new_pty()
        first, second = (Console(name, path, wall, Timeline(wall)) for name in ("first", "second"))
        first.open()
        try:
            with pytest.raises(ConsoleError, match=rf"second: cannot open console port {path}"):
                second.open()
        finally:
            first.close()
            os.close(board)
