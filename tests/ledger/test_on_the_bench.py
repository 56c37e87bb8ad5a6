"""The ledger of testcases on the virtual bench: a board that vanishes, a wait that never ends."""

from __future__ import annotations

import json
import os
import pathlib
import signal

import pytest

from bench.evidence.ledger import read
from bench.evidence.run_verdict import Decision

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
    for name in ("nrf9160", "esp32"):
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
