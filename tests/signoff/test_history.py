"""Past runs: imported once, and a ledger that was exchanged is told."""

from __future__ import annotations

import hashlib

from signoff_rig import sign_off

from bench.signoff.folder import places_given
from bench.signoff.history import History
from bench.signoff.run import read_run


def run_of(path):
    return read_run(places_given(path)[0])


def test_importing_again_changes_nothing(healthy, failing, tmp_path):
    runs = [run_of(healthy), run_of(failing)]
    with History(tmp_path / "history.sqlite") as history:
        assert history.add(runs) == []
        first = history.past()
        assert history.add(runs) == []
        assert history.past() == first
    steady = {(one.node, one.serial): one.steady for one in first}
    assert steady == {
        ("test_suite.py::test_installed[one]", "SN-1"): True,
        ("test_suite.py::test_installed[two]", "SN-2"): True,
        ("test_suite.py::test_version[one]", "SN-1"): True,
        ("test_suite.py::test_version[two]", "SN-2"): False,
    }
    flaky = next(one for one in first if not one.steady)
    assert (flaky.runs, flaky.passed, flaky.failed, flaky.changes) == (2, 1, 1, 1)


def test_ledger_that_was_exchanged(healthy, tmp_path):
    """A forger writes a ledger that holds together; the history remembers another."""
    file = tmp_path / "history.sqlite"
    assert sign_off(healthy, tmp_path / "a", history=file).decision.exit_status == 0
    ledger = healthy / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:-1]) + resealed(lines[-1]))
    found = sign_off(healthy, tmp_path / "b", history=file)
    assert [text for text in found.why if "the history holds another ledger" in text]
    assert found.decision.exit_status == 6


def resealed(line):
    body = line[: line.index(b',"sha":"')].replace(b'"pytest_status":0', b'"pytest_status":0,"more":1')
    return body + b',"sha":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def test_run_that_has_not_ended_is_not_remembered(healthy, tmp_path):
    ledger = healthy / "ledger.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:-1]))
    with History(tmp_path / "history.sqlite") as history:
        assert history.add([run_of(healthy)]) == []
        assert history.past() == []
