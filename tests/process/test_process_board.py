"""A program as a board: how it is started, what it prints, how it dies, and what it must not leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bench.clock import WallClock
from bench.config import ProcessType
from bench.dut.console import FLOOD
from bench.dut.process import ProcessDut
from bench.dut.program import is_crash
from bench.errors import ConfigError, ConsoleError, ServerError
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

Board = Callable[..., ProcessDut]
Until = Callable[..., None]
Lives = Callable[[int], bool]
SERVER = "coap://127.0.0.1:5683"
POSIX = os.name == "posix"

SAY_ARGUMENTS = "import sys; print(sys.argv[1:], flush=True); sys.stdin.read()"
SLEEP = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
FORK = """
import os, subprocess, sys, time
sleep = [sys.executable, '-c', 'import time; time.sleep(600)']
child = subprocess.Popen(sleep, start_new_session=os.name == 'posix')
print('pid', os.getpid(), flush=True)
print('child', child.pid, flush=True)
time.sleep(600)
"""


def number_after(dut: ProcessDut, word: str) -> int:
    return int(dut.console.expect(rf"{word} (\d+)\s*$", timeout=20)[1])


def events(timeline: Timeline) -> list[str]:
    return [e.text for e in timeline.since(kind="program")]


# ---- the command


def test_placeholders_reach_the_program_as_they_are(board: Board) -> None:
    dut = board(
        SAY_ARGUMENTS,
        *("{server}", "{server_host}", "{server_port}", "{endpoint}", "{lifetime}"),
        *("{psk_identity}:{psk_key}", "a b", "'q'", "$HOME", "{{literal}}"),
        security={"psk_identity": "me", "psk_key": "00ff"},
        lifetime=77,
    )
    dut.commission("coap://[::1]:1234")
    shown = dut.console.expect(r"\[.*\]", timeout=20)[0]
    wanted = ["coap://[::1]:1234", "::1", "1234", "ep 1", "77", "me:00ff", "a b", "'q'", "$HOME", "{literal}"]
    assert shown == str(wanted)


def test_the_ca_of_the_https_server_is_a_file(board: Board) -> None:
    dut = board("import sys; print(open(sys.argv[1]).read(), flush=True)", "{ca}")
    dut.trusted_ca = b"-----BEGIN CERTIFICATE-----\n"
    dut.commission(SERVER)
    dut.console.expect("BEGIN CERTIFICATE", timeout=20)


def test_environment_and_folder(board: Board, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    dut = board(
        "import os; print(os.getcwd(), os.environ['WHERE'], 'PATH' in os.environ, flush=True)",
        env={"WHERE": "at {server_port}"},
        cwd=folder,
    )
    dut.check()
    dut.commission(SERVER)
    dut.console.expect(r"a folder at 5683 True", timeout=20)


def test_a_program_whose_path_has_spaces_is_its_own_image(board: Board, tmp_path: Path, until: Until) -> None:
    if not POSIX:  # scripts are not programs there
        assert sys.platform == "win32"
        return
    image = tmp_path / "my program"
    image.write_text(f"#!{sys.executable}\nimport sys; print('I am', sys.argv[0], flush=True)\n", "utf-8")
    dut = board(
        "",
        command=["{image}"],
        images={
            "baseline": {"file": image, "version": "1"},
            "update": {"file": image, "version": "2"},
        },
    )
    dut.check()
    dut.commission(SERVER)
    dut.console.expect(r"I am .*image", timeout=20)
    assert image.exists(), "the original is not what runs"


def test_a_missing_program_is_named_before_anything_runs(board: Board, tmp_path: Path) -> None:
    dut = board("", command=[str(tmp_path / "not there"), "x"])
    with pytest.raises(ConfigError, match=r"there is no program .*not there"):
        dut.check()
    with pytest.raises(ConfigError, match=r"there is no program .*not there"):
        dut.power_on()


def test_a_missing_folder_is_named(board: Board, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no folder .*nowhere"):
        board(SLEEP, cwd=tmp_path / "nowhere").check()


def test_what_cannot_be_run_says_why(board: Board, tmp_path: Path, until: Until) -> None:
    if not POSIX:
        return
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x00\x01 no program")
    broken.chmod(0o755)
    dut = board("", command=[str(broken)])
    dut.commission(SERVER)
    until(lambda: dut.gone)
    assert "status 127" in str(dut.gone)
    assert "cannot be run" in str(dut.gone)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"command": ["x", "{serverr}"]}, r"\{serverr\} is not one of \{server\}"),
        ({"command": ["x", "{image}"]}, "images.baseline has no file"),
        ({"command": []}, "at least 1 item"),
        ({"env": {"A": "{home}"}}, r"\{home\} is not one of"),
        ({"restart": "reboot"}, "'exec' or 'exit'"),
        ({"capabilities": {"fly": True}}, "capability 'fly' is not one of"),
    ],
)
def test_mistakes_in_a_board_file(keys: dict[str, object], complaint: str) -> None:
    good: dict[str, object] = {
        "name": "x",
        "title": "x",
        "kind": "process",
        "command": ["x"],
        "images": {"baseline": {"version": "1"}, "update": {"file": "u", "version": "2"}},
    }
    ProcessType.model_validate(good)
    with pytest.raises(ValueError, match=complaint):
        ProcessType.model_validate(good | keys)


# ---- power


def test_power_off_kills_and_power_on_starts_anew(
    board: Board, timeline: Timeline, lives: Lives, until: Until
) -> None:
    dut = board(SLEEP)
    dut.commission(SERVER)
    first = number_after(dut, "pid")
    dut.power_cycle(0.1)
    assert not lives(first)
    second = number_after(dut, "pid")
    assert second != first
    assert lives(second)
    dut.power_off()
    dut.power_off()
    assert not lives(second)
    assert [e.text for e in timeline.since(kind="power")] == ["on", "off", "on", "off", "off"]
    assert dut.gone is None


def test_a_program_that_ignores_sigterm_dies_all_the_same(board: Board, lives: Lives) -> None:
    dut = board("import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n" + SLEEP)
    dut.commission(SERVER)
    pid = number_after(dut, "pid")
    dut.power_off()
    assert not lives(pid)


def test_children_die_with_it(board: Board, lives: Lives) -> None:
    dut = board(FORK)
    dut.commission(SERVER)
    pids = [number_after(dut, "pid"), number_after(dut, "child")]
    assert all(map(lives, pids))
    dut.power_off()
    assert not any(map(lives, pids))


def test_state_is_kept_over_power_cycles_and_wiped_by_an_installation(board: Board) -> None:
    dut = board(
        "import sys, pathlib\n"
        "f = pathlib.Path(sys.argv[1], 'count')\n"
        "n = int(f.read_text()) + 1 if f.exists() else 0\n"
        "f.write_text(str(n)); print('boot', n, flush=True)\n"
        "sys.stdin.read()",
        "{state}",
    )
    dut.commission(SERVER)
    dut.console.expect("boot 0", timeout=20)
    dut.power_cycle(0)
    dut.console.expect("boot 1", timeout=20)
    dut.install(dut.images.baseline)
    dut.power_on()
    dut.console.expect("boot 0", timeout=20)
    folder = dut.state
    dut.close()
    assert not folder.exists()


# ---- ending and starting anew


def test_a_program_that_exits_at_once_is_gone_and_says_why(
    board: Board, timeline: Timeline, until: Until
) -> None:
    dut = board("print('no such option --x'); raise SystemExit(3)")
    dut.commission(SERVER)
    until(lambda: dut.gone)
    assert dut.gone == "the program ended: status 3; its last lines: no such option --x"
    dut.power_off()
    assert dut.gone is None
    assert events(timeline) == ["started", "the program ended: status 3"]


def test_exit_starts_it_anew_as_an_init_system_would(board: Board, timeline: Timeline, until: Until) -> None:
    counted = "import sys, pathlib; f = pathlib.Path(sys.argv[1], 'n'); n = f.exists(); f.touch(); "
    dut = board(
        counted + "print('boot', n, flush=True); sys.exit(64) if not n else sys.exit(1)",
        "{state}",
        restart="exit",
        restart_status=[64],
        restart_delay=0.2,
    )
    dut.commission(SERVER)
    until(lambda: dut.gone)
    assert events(timeline) == [
        "started",
        "ended, to be started anew: status 64",
        "started",
        "the program ended: status 1",
    ]
    times = [e.time for e in timeline.since(kind="program")]
    assert times[2] - times[1] >= 0.2


def test_a_crash_is_no_restart(board: Board, until: Until) -> None:
    dut = board("import os; print('boom', flush=True); os.abort()", restart="exit")
    dut.commission(SERVER)
    until(lambda: dut.gone)
    assert str(dut.gone).startswith("the program crashed: SIGABRT" if POSIX else "the program")


def test_crashes_by_their_status() -> None:
    assert [is_crash(status) for status in (0, 1, 255, -11, 0xC0000005)] == [False, False, False, True, True]


def test_a_program_that_only_restarts_is_given_up(board: Board, until: Until) -> None:
    dut = board("", restart="exit", restart_delay=0)
    dut.commission(SERVER)
    until(lambda: dut.gone, limit=40)
    assert "ended 20 times within a minute" in str(dut.gone)


def test_power_off_between_two_starts(board: Board, timeline: Timeline, until: Until) -> None:
    dut = board("", restart="exit", restart_delay=30)
    dut.commission(SERVER)
    until(lambda: any("anew" in text for text in events(timeline)))
    dut.power_off()
    assert events(timeline).count("started") == 1


@pytest.mark.parametrize("how", ["same process", "child"])
def test_exec_by_the_program_itself_goes_on(
    board: Board, how: str, until: Until, lives: Lives, timeline: Timeline
) -> None:
    if how == "same process" and not POSIX:
        return  # Windows has no exec: there it is always a child
    successor = [sys.executable, "-c", SLEEP]
    start = {
        "same process": f"import os; os.execv({sys.executable!r}, {successor!r})",
        "child": f"import subprocess; subprocess.Popen({successor!r}); print('bye', flush=True)",
    }[how]
    dut = board(start)
    dut.commission(SERVER)
    pid = number_after(dut, "pid")
    assert dut.gone is None
    assert lives(pid)
    assert events(timeline) == ["started"]
    dut.power_off()
    assert not lives(pid)


# ---- the console


def test_both_outputs_are_the_console_and_input_is_its_other_way(board: Board) -> None:
    dut = board(
        "import sys\nprint('out', flush=True); print('err', file=sys.stderr, flush=True)\n"
        "for line in sys.stdin: print('got', line.strip(), flush=True)"
    )
    dut.commission(SERVER)
    dut.console.expect("out", timeout=20)
    dut.console.expect("err", timeout=20)
    dut.console.send("hello\r\n")
    dut.console.expect("got hello", timeout=20)
    dut.power_off()
    with pytest.raises(ConsoleError, match="cannot send"):
        dut.console.send("anyone?\r\n")


def test_a_terminal_where_pipes_would_be_buffered(board: Board) -> None:
    dut = board("import os, time; print('tty', os.isatty(1)); time.sleep(600)", pty=True)
    if not POSIX:
        with pytest.raises(ConfigError, match="no pseudo-terminals"):
            dut.commission(SERVER)
        return
    dut.commission(SERVER)
    dut.console.expect(r"tty True", timeout=20)
    dut.power_cycle(0)
    dut.console.expect(r"tty True", timeout=20)


@pytest.mark.parametrize(
    "flood",
    ["for _ in range(1_000_000): sys.stdout.write('x' * 99 + '\\n')", "sys.stdout.write('x' * 100_000_000)"],
    ids=["lines", "one line"],
)
def test_a_flood_of_output_neither_stops_the_program_nor_fills_the_memory(
    board: Board, until: Until, flood: str, timeline: Timeline, clock: WallClock
) -> None:
    dut = board(f"import sys\n{flood}\nprint(); print('after the flood', flush=True); sys.stdin.read()")
    begin = clock.now()
    dut.commission(SERVER)
    until(lambda: len(dut.console.raw()) > 100_000_000, limit=300)
    until(lambda: dut.console.raw()[-100:].rstrip().endswith(b"after the flood"), limit=300)
    kept = sum(len(line.text) for line in dut.console.lines())
    assert 100_000 < kept < (clock.now() - begin + 1) * FLOOD
    dut.console.close()
    left_out = sum(int(e.text.split()[0]) for e in timeline.since(kind="flood"))
    assert kept + left_out == pytest.approx(100_000_000, rel=0.02)


# ---- nothing stays behind


STATION = """
import sys, time
sys.path[:0] = {path!r}
from bench.clock import WallClock
from bench.dut.program import Program, Start
from bench.dut.program_port import ProgramPort
port = ProgramPort()
program = Program("x", port, lambda text, status: None)
program.start(Start([sys.executable, "-c", {code!r}]))
while True:
    data = port.read(65536)
    if data:
        print(data.decode(), end="", flush=True)
"""


def test_nothing_outlives_a_bench_that_is_killed(until: Until, lives: Lives) -> None:
    code = textwrap.dedent(STATION).format(path=sys.path, code=FORK)
    bench = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert bench.stdout is not None
    pids = [int(bench.stdout.readline().split()[1]) for _ in range(2)]
    assert all(map(lives, pids))
    bench.kill()
    bench.wait()
    until(lambda: not any(map(lives, pids)))
    bench.stdout.close()


def test_the_program_dies_with_a_guardian_that_is_killed(board: Board, until: Until, lives: Lives) -> None:
    if sys.platform != "linux":
        return  # the kernel does it there only
    dut = board(SLEEP)
    dut.commission(SERVER)
    pid = number_after(dut, "pid")
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    until(lambda: not lives(pid))
    until(lambda: dut.gone)
    assert "SIGKILL" in str(dut.gone)


def test_nobody_waits_for_the_registration_of_the_dead(
    clock: WallClock, timeline: Timeline, board: Board
) -> None:
    server = LwM2mServer(clock, timeline)
    server.start()
    dut = board("raise SystemExit(1)")
    try:
        dut.commission(server.uri)
        begin = clock.now()
        with pytest.raises(ServerError, match="did not register: the program ended: status 1"):
            server.wait_registered(dut.endpoint, timeout=60, gone=lambda: dut.gone)
        assert clock.now() - begin < 20
    finally:
        server.close()
