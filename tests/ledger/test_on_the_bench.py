"""The ledger of testcases on the virtual bench: a board that vanishes, a wait that never ends."""

from __future__ import annotations

import json
import os
import pathlib
import signal

import pytest

from bench.evidence import measured_runs
from bench.evidence.ledger import read
from bench.evidence.run_verdict import Decision
from fixtures.last_seen import ACTS, LINES

ROOT = pathlib.Path(__file__).parents[2]
BENCH = ("--bench", str(ROOT / "boards" / "virtual.toml"), "--pictures=none")

SOLDER = """
import pytest
from bench.virtual.plant import VirtualBench

plants = []
start = VirtualBench.start

def begin(plant):
    plants.append(plant)
    return start(plant)

VirtualBench.start = begin

class Short:
    def set_supply(self, volts): pass
    def load(self, volts): return volts / 1.0

@pytest.fixture
def solder():
    def short(board):
        plant = plants[-1]
        rail = plant.rails[plant.bench.settings.boards[board].supply]
        held = Short()
        with plant.scheduler.lock:
            rail.attach(held)
        return rail, held
    return short
"""


def test_board_that_vanishes_does_not_take_the_others_along(suite):
    suite.write(SOLDER, "conftest.py")
    suite.write(
        """
        def test_before(dut): assert dut.installed is not None
        def test_vanishes(dut, server, solder):
            if dut.name == "nrf9160":
                solder(dut.name)
            server.restart(dut)
        def test_after(dut): assert dut.installed is not None
        def test_at_the_end(dut): assert dut.installed is not None
        """
    )
    ended = suite.run(*BENCH, ledger=False)
    assert ended.status == 3, ended.output
    assert ended.found.decision is Decision.INCONCLUSIVE
    of = ended.verdicts()
    assert {of[f"test_{name}[esp32]"] for name in ("before", "vanishes", "after", "at_the_end")} == {"PASSED"}
    assert of["test_before[nrf9160]"] == "PASSED"
    assert of["test_vanishes[nrf9160]"] == "BENCH_ERROR"
    assert of["test_after[nrf9160]"] == of["test_at_the_end[nrf9160]"] == "NOT_RUN"
    causes = {
        ended.found.tests[f"test_suite.py::test_{name}[nrf9160]"].reason for name in ("after", "at_the_end")
    }
    assert len(causes) == 1, "one cause"
    assert "the bench is broken" in causes.pop()
    assert not [text for text in ended.found.why if "Allure" in text]


def test_fault_that_heals_is_repeated_on_that_board_alone(suite):
    suite.write(SOLDER, "conftest.py")
    suite.write(
        """
        from bench.errors import InstrumentError
        tried = []
        def test_once(dut, server):
            tried.append(dut.name)
            if tried.count("esp32") == 1 and dut.name == "esp32":
                raise InstrumentError("psu: no answer")
            server.restart(dut)
        """
    )
    ended = suite.run(*BENCH, ledger=False)
    assert ended.status == 0, ended.output
    attempts = {node.rpartition("[")[2]: judged.attempts for node, judged in ended.found.tests.items()}
    assert attempts == {"esp32]": 2, "nrf9160]": 1}
    assert "passed after a fault of the bench" in ended.output
    plan = next(line for line in read(ended.ledger).lines if line["kind"] == "plan")["tests"]
    assert {(row["board"], row["serial"]) for row in plan} == {
        ("esp32", "24:0A:C4:12:34:56"),
        ("nrf9160", "960012345"),
    }


def test_same_testcase_on_two_boards_one_failing(suite):
    suite.write("def test_update(dut): assert dut.name == 'esp32'\n")
    ended = suite.run(*BENCH, ledger=False)
    assert ended.status == 1, ended.output
    assert ended.verdicts() == {"test_update[esp32]": "PASSED", "test_update[nrf9160]": "FAILED"}
    begin = json.loads(ended.ledger.read_text().splitlines()[0])
    assert begin["bench"] == "virtual bench"
    assert len(begin["bench_sha256"]) == 64


def test_wait_that_never_ends_names_its_reason(suite):
    suite.write(
        """
        def test_waits(dut, clock): clock.wait_for(lambda: False, timeout=1e15, reason="the moon to be full")
        def test_after(dut): assert dut.installed is not None
        """
    )
    limits = ("--test-timeout=6", "--bench-retries=0")
    ended = suite.run(*BENCH, "--board=esp32", *limits, ledger=False)
    assert ended.status == 3, ended.output
    assert ended.verdicts() == {"test_waits[esp32]": "BENCH_ERROR", "test_after[esp32]": "PASSED"}
    assert "took more than 6 s of wall time, waiting for: the moon to be full" in ended.output


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_bench_that_cannot_open(suite, workers):
    text = (ROOT / "boards" / "virtual.toml").read_text("utf-8")
    for name in ("virtual-nrf9160", "virtual-esp32"):
        (suite.folder / f"{name}.toml").write_text(
            (ROOT / "boards" / f"{name}.toml").read_text("utf-8"), "utf-8"
        )
    wrong = text.replace("KEYSIGHT TECHNOLOGIES,E36312A", "ACME,1")
    (suite.folder / "wrong.toml").write_text(wrong, "utf-8")
    suite.write("def test_a(dut): pass\n")
    ended = suite.run("--bench", "wrong.toml", *workers, ledger=False)
    assert ended.status != 0, ended.output
    assert ended.found.decision is Decision.INCONCLUSIVE
    assert set(ended.verdicts().values()) <= {"NOT_RUN", "INTERRUPTED"}


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle_of_a_board(suite, number):
    """Torn down while its bench is open, with the verdict on the screen and nothing else."""
    suite.write(
        """
        import pathlib

        def test_busy(dut, server):
            pathlib.Path("here").touch()
            while True:
                server.restart(dut)
        """
    )
    ended = suite.signalled(number, *BENCH, "--board=esp32")
    assert ended.status == 2, ended.output
    assert ended.verdicts() == {"test_busy[esp32]": "INTERRUPTED"}
    assert ended.found.finished
    assert "INCONCLUSIVE  run" in ended.output
    assert "Traceback" not in ended.output
    told = (suite.folder / "results" / "timeline.jsonl").read_text("utf-8").splitlines()
    powers = [entry["text"] for entry in map(json.loads, told) if entry["kind"] == "power"]
    assert powers[-1] == "off"


def test_what_workers_leave_behind_is_put_together(suite):
    suite.write(
        """
        import os
        import pytest
        @pytest.mark.requirement("LightweightM2M-1.0-int-770")
        def test_one(dut, current): current.note("charge", len(dut.name), "C")
        @pytest.mark.requirement("LightweightM2M-1.0-int-771")
        def test_two(dut, current): current.note("charge", 2.0, "C")
        """
    )
    ended = suite.run(*BENCH, "-n2", ledger=False)
    assert ended.status == 0, ended.output
    results = ended.folder / "results"
    names = {f"test_{n}[{board}]" for n in ("one", "two") for board in ("nrf9160", "esp32")}
    figures = measured_runs.read(results)
    assert {figure.test for figure in figures} == names
    assert len(figures) == 4
    covered = json.loads((results / "coverage.json").read_text())
    assert (
        sorted(row["name"] for row in covered)
        == ["test_suite.py::test_one"] * 2 + ["test_suite.py::test_two"] * 2
    )
    lines = [json.loads(line) for line in (results / "timeline.jsonl").read_text().splitlines()]
    charges = [(line["worker"], line["source"]) for line in lines if line["kind"] == "measurement"]
    assert len(charges) == 4
    assert {worker for worker, _ in charges} == {"gw0", "gw1"}
    # each worker has a clock of its own, so its lines stay together
    workers = [line["worker"] for line in lines]
    assert workers == sorted(workers)
    (listed,) = [line for line in read(ended.ledger).lines if line["kind"] == "results"]
    assert {"results/timeline.jsonl", "results/coverage.json"} <= set(listed["files"])
    assert not list(ended.run.glob("part-*"))


def test_why_a_worker_began_nothing_is_in_the_ledger(suite):
    suite.write(
        """
        import pytest
        @pytest.mark.requirement("R1")
        def test_one(dut): pass
        """
    )
    ended = suite.run(*BENCH, "-n2", ledger=False)
    assert ended.found.decision is Decision.INCONCLUSIVE
    assert "requirement 'R1' is not listed in" in ended.output


CUTS_OFF = """
import os
import pytest
from fixtures import left_behind
whole = left_behind.leave
def cut_off(config, station):
    whole(config, station)
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
        (left_behind.run_folder_of(config) / "part-gw1" / "measurements.json").write_text("[{")
left_behind.leave = cut_off
import fixtures.station
fixtures.station.leave = cut_off
"""


def test_a_part_that_cannot_be_read_is_no_go_and_is_kept(suite):
    suite.write(CUTS_OFF, "conftest.py")
    suite.write("def test_one(dut, current): current.note('charge', 1.0, 'C')")
    ended = suite.run(*BENCH, "-n2", ledger=False)
    assert ended.found.decision is Decision.INCONCLUSIVE
    assert "measurements.json of part-gw1 cannot be read" in ended.output
    assert len(measured_runs.read(ended.folder / "results")) == 1
    assert (ended.run / "part-gw1" / "timeline.jsonl").exists()


def test_a_failure_shows_what_the_device_said_and_the_bench_did_last(suite):
    """Only of what failed: the last lines of its console, with their times, and the last acts beside them."""
    suite.write(
        """
        def test_passes(dut): assert dut.installed is not None
        def test_fails(dut, server):
            server.restart(dut)
            assert dut.installed is None
        """
    )
    ended = suite.run(*BENCH, "--board", "esp32", ledger=False)
    assert ended.verdicts() == {"test_passes[esp32]": "PASSED", "test_fails[esp32]": "FAILED"}
    _, *said = ended.output.split("the device's last lines")
    assert len(said) == 1, "of one of the two"
    console, did = said[0].split("what the bench did and saw last")
    lines = [line for line in console.splitlines() if " esp32.console: " in line]
    assert 1 < len(lines) <= LINES
    assert any(line.endswith("net: attached") for line in lines)
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times)
    acts = [line for line in did.splitlines() if line[:10].strip().replace(".", "").isdigit()]
    assert 0 < len(acts) <= ACTS
    assert not any(" esp32.console: " in line for line in acts)
    kept = [line for line in map(json.loads, ended.ledger.read_text().splitlines()) if "last_console" in line]
    assert [line["last_console"] for line in kept] == [lines]
    assert [line["last_bench"] for line in kept] == [acts]
