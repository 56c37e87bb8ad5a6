"""Clauses that only recommend: what is not met is told everywhere, and keeps nothing from being GO."""

from __future__ import annotations

import json

import pytest
from signoff_rig import sign_off

from bench.evidence.ledger import FILE, read
from bench.evidence.run_summary import summary
from bench.evidence.run_verdict import Decision as RunDecision
from bench.evidence.run_verdict import judge_run
from bench.requirements import CATALOGUE, Strength
from bench.signoff.decision import Decision

CLAUSES = """
[ours]
"OURS-1" = "the lamp is green"

[ours.OURS-2]
text = "the lamp is bright"
strength = "should"

[ours.OURS-3]
text = "the lamp is of glass"
strength = "should"

[ours.OURS-4]
text = "the lamp lasts for ever"
not_testable = "no test lasts for ever"
"""
TESTCASES = """
import pytest

@pytest.mark.requirement("OURS-1", "OURS-2")
def test_lamp(dut, recommended):
    lumen = 3
    with recommended("OURS-2"):
        assert lumen > 5, "the lamp gives 3 lumen"
    with recommended("OURS-2"):
        assert lumen > 2

@pytest.mark.requirement("OURS-1")
def test_slip(dut, recommended):
    with recommended("OURS-1"):
        pass
"""


@pytest.fixture
def lamps(rig):
    """A run with a project's own clauses, and a testcase that finds one of them not met."""
    (rig.folder / "bench" / "lamps.toml").write_text(CLAUSES)
    (rig.folder / "test_lamps.py").write_text(TESTCASES)
    rig.write_bench(extra='requirements = "lamps.toml"')
    rig.commit()
    yield lambda *options, results: rig.run("test_lamps.py", *options, results=results)
    (rig.folder / "test_lamps.py").unlink()
    rig.write_bench()
    rig.commit()


def test_recommendation_that_is_not_met(lamps, tmp_path):
    run = lamps("--deselect", "test_lamps.py::test_slip", results="results-lamps")
    ledger = judge_run(read(run / FILE))
    assert {(one.requirement, one.text) for one in ledger.unmet} == {("OURS-2", "the lamp gives 3 lumen")}
    assert len(ledger.unmet) == 2  # one a board
    assert "recommended, not met: OURS-2: the lamp gives 3 lumen" in summary(ledger, run.name)
    found = sign_off(run, tmp_path / "out")
    statuses = {cell.requirement.id: str(cell.status) for cell in found.cells}
    assert statuses["OURS-1"] == "NOT PROVED"  # test_slip was left out
    assert statuses["OURS-2"] == "NOT MET"
    assert statuses["OURS-3"] == "NOT COVERED"
    assert statuses["OURS-4"] == "NOT TESTABLE"
    assert not any("OURS-2" in why or "OURS-3" in why or "OURS-4" in why for why in found.why)
    assert any("recommended, and not met: OURS-2: test_lamps" in text for text in found.attention)
    assert any("shown by no test: OURS-3" in text for text in found.attention)
    told = json.loads((tmp_path / "out" / "signoff.json").read_text())
    (row,) = (row for row in told["requirements"] if row["id"] == "OURS-4")
    assert (row["strength"], row["not_testable"]) == ("must", "no test lasts for ever")


def test_must_is_not_to_be_recommended(lamps):
    run = lamps(results="results-slip")
    found = judge_run(read(run / FILE))
    assert found.decision is not RunDecision.GO
    slips = [j for node, j in found.tests.items() if "test_slip" in node]
    assert slips
    assert all("no recommendation that its marker names" in j.reason for j in slips)


def test_healthy_run_tells_of_none(healthy, tmp_path):
    found = sign_off(healthy, tmp_path / "out")
    assert found.decision is Decision.GO
    assert not any("recommended" in text for text in found.attention)


def test_no_must_is_without_a_testcase():
    """So no sign-off has to tell of one; a row that none can be written for says why."""
    gaps = [row.id for row in CATALOGUE.values() if row.gap and not row.not_testable]
    assert [gap for gap in gaps if CATALOGUE[gap].strength is Strength.MUST] == []
