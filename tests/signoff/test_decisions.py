"""Everything that must not come out GO, replayed with real runs; and what does."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from signoff_rig import HOST, UNCOVERED, bench, copy_of, sign_off

from bench.errors import BenchError
from bench.requirements import CATALOGUE
from bench.signoff.decision import Decision
from bench.virtual.instruments.http_server import HttpServer
from bench.virtual.instruments.rcdat import Rcdat
from bench.virtual.scheduler import Scheduler

ROOT = Path(__file__).parents[2]


def refused(found, *texts):
    assert found.decision is not Decision.GO
    assert found.decision.exit_status != 0
    for text in texts:
        assert any(text in why for why in found.why), (text, found.why)


def test_healthy_run_is_go(healthy, tmp_path):
    found = sign_off(healthy, tmp_path / "out")
    assert found.decision is Decision.GO, found.why
    assert found.why == ()
    told = json.loads((tmp_path / "out" / "signoff.json").read_text("utf-8"))
    assert told["counts"] == {"planned": 6, "ran": 4, "passed": 4, "NOT_APPLICABLE": 2, "PASSED": 4}
    assert {row["status"] for row in told["requirements"]} == {"PASSED"}
    assert {board["serial"] for board in told["runs"][0]["boards"]} == {"SN-1", "SN-2"}
    assert [row["margin"] for row in told["measurements"]] == [0.25, 0.25]


def test_run_by_workers_says_what_was_attached(rig, tmp_path):
    found = sign_off(rig.run("-n2", results="results-workers"), tmp_path / "out")
    assert found.decision is Decision.GO, found.why
    assert {board.serial for board in found.runs[0].boards.values()} == {"SN-1", "SN-2"}


def test_command_ends_with_the_status_of_the_decision(healthy, failing, tmp_path):
    good = bench("signoff", healthy, "--output", tmp_path / "good")
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.startswith("GO  6 planned, 4 ran, 4 passed")
    bad = bench("signoff", failing, "--output", tmp_path / "bad")
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert bench("signoff", tmp_path / "no-run").returncode == 3


def test_same_test_on_two_boards_one_failing(failing, tmp_path):
    found = sign_off(failing, tmp_path / "out")
    assert found.decision is Decision.NO_GO
    refused(found, "FAILED: test_suite.py::test_version[two]")


def test_a_passing_run_does_not_make_up_for_a_failing_one(healthy, failing, tmp_path):
    for order in ((healthy, failing), (failing, healthy)):
        found = sign_off(order, tmp_path / order[0].name)
        assert found.decision is Decision.NO_GO


def test_two_runs_of_one_product(rig, healthy_run, tmp_path):
    """A run of one board shows nothing of the product's other boards: here both are the same product."""
    more = rig.run("--board", "one", results="results-one")
    found = sign_off((healthy_run, more), tmp_path / "out", history=tmp_path / "history.sqlite")
    assert found.decision is Decision.GO, found.why
    assert len(found.tests) == 9


def test_run_named_twice(healthy, tmp_path):
    refused(sign_off((healthy, healthy), tmp_path / "out"), "is named 2 times")


def test_run_of_other_firmware(rig, healthy, tmp_path):
    file = rig.folder / "bench" / "update.py"
    before = file.read_bytes()
    file.write_bytes(HOST.build("2.0.0", size=50_000))
    rig.commit()
    try:
        other = rig.run(results="results-other")
    finally:
        file.write_bytes(before)
        rig.commit()
    assert sign_off(other, tmp_path / "alone").decision is Decision.GO
    refused(sign_off((healthy, other), tmp_path / "out"), "the runs are of different products")


def test_deselected_test(rig, tmp_path):
    run = rig.run("-k", "installed", results="results-deselected")
    refused(
        sign_off(run, tmp_path / "out"), "NOT_RUN: test_suite.py::test_version[one] and 3 more: deselected"
    )


def test_requirement_that_no_test_shows(rig, tmp_path):
    run = rig.run(results="results-uncovered", env={UNCOVERED: "LightweightM2M-1.0-int-751"})
    found = sign_off(run, tmp_path / "out")
    assert found.decision is Decision.INCONCLUSIVE
    refused(found, f"NOT COVERED: 1 of {len(CATALOGUE)} requirements on host: LightweightM2M-1.0-int-751")


def test_requirement_of_the_project_that_no_test_shows(rig, tmp_path):
    (rig.folder / "bench" / "own.toml").write_text('[ours]\n"PRODUCT-7" = "the lamp is green"\n')
    rig.write_bench(extra='requirements = "own.toml"')
    rig.commit()
    try:
        run = rig.run(results="results-project")
    finally:
        rig.write_bench()
        rig.commit()
    found = sign_off(run, tmp_path / "out")
    refused(found, f"NOT COVERED: 1 of {len(CATALOGUE) + 1} requirements on host: PRODUCT-7")


def test_sources_that_were_changed(rig, tmp_path):
    file = rig.folder / "test_suite.py"
    before = file.read_text()
    file.write_text(before.replace("assert dut.installed is not None", "pass"))
    try:
        run = rig.run(results="results-dirty")
    finally:
        file.write_text(before)
    refused(sign_off(run, tmp_path / "out"), "the testcases' sources differ from their revision")


def test_results_folder_used_again(rig, healthy_run, tmp_path):
    first = copy_of(healthy_run, tmp_path)
    results = first.parent.parent
    second = rig.run(results=str(results))
    assert second.parent.parent == results
    refused(sign_off(second, tmp_path / "second"), "Allure and the ledger differ")
    refused(sign_off(first, tmp_path / "first"), "results/timeline.jsonl is not as the run left it")


@pytest.fixture
def instrument():
    server = HttpServer(Rcdat(scheduler := Scheduler(0), {}), scheduler)
    yield server
    server.close()


@pytest.mark.parametrize("due", ["2020-01-01", None, "2099-12-31"])
def test_calibration(rig, instrument, due, tmp_path):
    """On a real bench: one that has expired, one that nobody gave, and one that holds."""
    line = f"calibration_due = {due}" if due else ""
    text = f'\n[instruments.rf1]\ndriver = "minicircuits_rcdat"\naddress = "{instrument.address}"\n{line}\n'
    rig.write_bench(instruments=text)
    rig.commit()
    try:
        run = rig.run(results=f"results-due-{due}")
    finally:
        rig.write_bench()
        rig.commit()
    found = sign_off(run, tmp_path / "out")
    verdict = str(found.runs[0].verdict.decision)
    if due == "2099-12-31":
        assert found.decision is Decision.GO, found.why
    elif due is None:
        assert verdict == "GO"
        refused(found, "rf1 (RCDAT-6000-110,11810150042) has no calibration_due")
    else:
        assert verdict == "INCONCLUSIVE"
        refused(found, "the calibration of rf1 has expired: it was due on 2020-01-01")


def test_virtual_bench_signs_nothing_off(rig, tmp_path):
    bench_file = str(ROOT / "boards" / "virtual.toml")
    run = rig.run("--board", "nrf9160", results="results-virtual", bench=bench_file)
    found = sign_off(run, tmp_path / "out")
    assert str(found.runs[0].verdict.decision) == "GO"
    assert found.decision is Decision.VIRTUAL, found.why
    assert found.decision.exit_status == 8
    board = found.runs[0].boards["nrf9160"]
    assert board.modem == {"serial": "352656100123451", "firmware": "mfw_nrf9160_1.3.5"}
    assert found.runs[0].instruments["psu"].idn.startswith("KEYSIGHT TECHNOLOGIES,E36312A")
    told = json.loads((tmp_path / "out" / "signoff.json").read_text("utf-8"))
    assert told["virtual"] is True
    assert told["meaning"].startswith("Not a release")


def test_ledger_that_was_changed(healthy, tmp_path):
    ledger = healthy / "ledger.jsonl"
    whole = ledger.read_bytes()
    lines = whole.splitlines(keepends=True)
    for number, changed in enumerate(
        (
            whole.replace(b"SN-1", b"SN-9", 1),
            b"".join(line for line in lines if b'"kind":"attached"' not in line),
            b"".join(lines[:-1]),
            whole + b"{",
        )
    ):
        ledger.write_bytes(changed)
        history = tmp_path / f"history-{number}"
        refused(sign_off(healthy, tmp_path / f"out-{number}", history=history))


def test_raw_result_that_was_changed_or_is_gone(healthy, tmp_path):
    results = healthy.parent.parent
    figures = results / "measurements.json"
    figures.write_text(figures.read_text().replace("1.5", "0.5"))
    refused(sign_off(healthy, tmp_path / "a"), "results/measurements.json is not as the run left it")
    next((results / "allure").glob("*-result.json")).unlink()
    refused(sign_off(healthy, tmp_path / "b"), "-result.json is missing")


def test_released_run_that_is_missing(healthy, tmp_path):
    with pytest.raises(BenchError, match="there is no run and no sign-off"):
        sign_off(healthy, tmp_path / "out", against=tmp_path / "released")
    assert not (tmp_path / "out").exists()


def test_released_run_that_is_this_one(healthy, tmp_path):
    refused(sign_off(healthy, tmp_path / "out", against=healthy), "is compared with itself")


def test_difference_from_the_released_run(healthy, failing_run, tmp_path):
    found = sign_off(healthy, tmp_path / "out", against=failing_run, history=tmp_path / "history")
    assert found.decision is Decision.GO
    assert found.comparison is not None
    changes = [(one.what, one.before, one.after) for one in found.comparison.tests]
    assert changes == [("test_suite.py::test_version[two]", "FAILED", "PASSED")]
    assert found.comparison.decision == "NO-GO"
    worse = sign_off(failing_run, tmp_path / "worse", against=tmp_path / "out", history=tmp_path / "history")
    assert any("passed in the released run, now FAILED" in text for text in worse.attention)


def test_run_that_is_still_to_come(healthy, tmp_path):
    at = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    refused(sign_off(healthy, tmp_path / "out", at=at), "which is still to come")


def test_folder_that_is_in_use(healthy, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.pdf").touch()
    with pytest.raises(BenchError, match="is not empty"):
        sign_off(healthy, tmp_path / "out")
