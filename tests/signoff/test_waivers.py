"""A waiver covers exactly what it names, as long as it holds; any other is refused, and there is no GO."""

from __future__ import annotations

import datetime
import json

import pytest
from signoff_rig import UNCOVERED, sign_off

from bench.errors import BenchError
from bench.signoff.assessment import assess
from bench.signoff.decision import Decision
from bench.signoff.folder import places_given
from bench.signoff.run import read_run
from bench.signoff.waivers import load

NEXT_QUARTER = f"{datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=90):%Y-%m-%d}"
TEST = '"test_suite.py::test_version[two]"'


@pytest.fixture(scope="module")
def run(failing_run):
    (places,) = places_given(failing_run)
    return read_run(places)


@pytest.fixture
def keys(run):
    """Those of a waiver that covers what has failed."""
    return {
        "id": '"W-1"',
        "test": TEST,
        "serial": '"SN-2"',
        "firmware": f'"{run.boards["two"].product.update}"',
        "approver": '"R. Manager"',
        "expires": NEXT_QUARTER,
        "reason": '"known, harmless, mended in 2.0.1"',
    }


def test_waived_failure_is_no_plain_go(failing, waiver, keys, tmp_path):
    found = sign_off(failing, tmp_path / "out", waivers=waiver(**keys))
    assert found.decision is Decision.WITH_WAIVERS, found.why
    assert found.decision.exit_status == 7
    assert found.counts["WAIVED"] == 1
    told = json.loads((tmp_path / "out" / "signoff.json").read_text("utf-8"))
    shown = {row["node"]: (row["verdict"], row["shown"], row["waiver"]) for row in told["tests"]}
    assert shown["test_suite.py::test_version[two]"] == ("FAILED", "WAIVED", "W-1")
    (row,) = told["waivers"]
    assert (row["approver"], row["expires"], row["state"]) == ("R. Manager", NEXT_QUARTER, "used")


def test_waiver_holds_on_its_last_day_and_not_on_the_next(failing, waiver, keys, tmp_path):
    last = datetime.datetime.now(datetime.UTC).replace(hour=23, minute=59, second=0, microsecond=0)
    file = waiver(**keys | {"expires": f"{last:%Y-%m-%d}"})
    assert sign_off(failing, tmp_path / "a", waivers=file, at=last).decision is Decision.WITH_WAIVERS
    found = sign_off(failing, tmp_path / "b", waivers=file, at=last + datetime.timedelta(minutes=1))
    assert found.decision is Decision.NO_GO
    assert any(text.startswith("waiver W-1 is refused: it expired on") for text in found.why)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"expires": "2020-01-01"}, "it expired on 2020-01-01"),
        ({"expires": None}, "expires: a day is needed"),
        ({"expires": '"2099-12-31"'}, "expires: a day is needed"),
        ({"expires": "2099-12-31T00:00:00"}, "expires: a day is needed"),
        ({"serial": '"SN-1"'}, "did not run on a board with serial number 'SN-1'"),
        ({"serial": '"*"'}, "is a pattern"),
        ({"test": '"test_suite.py::test_version"'}, "no test 'test_suite.py::test_version' is in the runs"),
        ({"test": '"test_suite.py::*"'}, "is a pattern"),
        ({"test": '"test_suite.py::test_version[one]"'}, "did not run on a board with serial number 'SN-2'"),
        ({"test": None}, "give one of test and requirement"),
        ({"requirement": '"LightweightM2M-1.0-int-751"'}, "give one of test and requirement"),
        ({"firmware": f'"{"0" * 64}"'}, "it is for another firmware"),
        ({"firmware": '"2.0.0"'}, "firmware: "),
        ({"approver": None}, "approver: Field required"),
        ({"approver": '" "'}, "approver: "),
        ({"reason": '""'}, "reason: "),
        ({"expires": "2099-12-31"}, "a year is the longest"),
        ({"approver": '"TBD"'}, "is nobody: give a person's name"),
        ({"approver": '"n/a"'}, "is nobody: give a person's name"),
        ({"approver": '"..."'}, "is nobody: give a person's name"),
        ({"reason": '"ok"'}, "says nothing: say what fails"),
        ({"id": None}, "id: Field required"),
        ({"until": '"ever"'}, "until: Extra inputs"),
        ({"test": None, "requirement": '"NONE-1"'}, "there is no requirement 'NONE-1'"),
    ],
)
def test_waiver_that_is_refused(run, waiver, keys, change, why):
    found = assess([run], None, load(waiver(**keys | change)), datetime.datetime.now(datetime.UTC))
    assert found.decision is Decision.NO_GO
    assert any("is refused" in text and why in text for text in found.why), found.why


def test_refused_waiver_keeps_a_healthy_run_from_go(healthy, waiver, keys, tmp_path):
    found = sign_off(healthy, tmp_path / "a", waivers=waiver(**keys | {"expires": "2020-01-01"}))
    assert found.decision is Decision.INCONCLUSIVE
    assert sign_off(healthy, tmp_path / "b", waivers=waiver(**keys)).decision is Decision.GO, "not needed"


def test_waivers_of_the_same_id(failing, waiver, keys, tmp_path):
    file = waiver(**keys)
    file.write_text(file.read_text() * 2)
    found = sign_off(failing, tmp_path / "out", waivers=file)
    assert found.decision is Decision.NO_GO
    assert any("several waivers have this ID" in text for text in found.why)


@pytest.mark.parametrize("text", ["[[waivers]]\nid = 'x'\n", "waiver = 3\n", "[[waiver]\n"])
def test_file_that_holds_no_waivers(healthy, tmp_path, text):
    (tmp_path / "waivers.toml").write_text(text)
    with pytest.raises(BenchError, match=r"waivers\.toml"):
        sign_off(healthy, tmp_path / "out", waivers=tmp_path / "waivers.toml")


def test_waiver_covers_no_ledger_that_is_cut_off(failing, waiver, keys, tmp_path):
    ledger = failing / "ledger.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:-1]))
    found = sign_off(failing, tmp_path / "out", waivers=waiver(**keys))
    assert found.decision is Decision.INCONCLUSIVE
    assert any("the run was not seen to end" in text for text in found.why)


def test_waiver_covers_no_test_that_was_not_run(rig, waiver, keys, tmp_path):
    run = rig.run("-k", "installed", results="results-not-run")
    found = sign_off(run, tmp_path / "out", waivers=waiver(**keys))
    assert found.decision is Decision.INCONCLUSIVE
    assert any("covers a failure of the product, not NOT_RUN" in text for text in found.why)


def test_requirement_that_is_waived(rig, waiver, keys, tmp_path):
    run = rig.run(results="results-uncovered-waived", env={UNCOVERED: "LightweightM2M-1.0-int-751"})
    file = waiver(**keys | {"test": None, "requirement": '"LightweightM2M-1.0-int-751"'})
    found = sign_off(run, tmp_path / "out", waivers=file)
    assert found.decision is Decision.WITH_WAIVERS, found.why
    statuses = {cell.requirement.id: str(cell.status) for cell in found.cells}
    assert statuses["LightweightM2M-1.0-int-751"] == "WAIVED"
    assert statuses["LightweightM2M-1.0-int-755"] == "PASSED"
