"""`bench report` on the results of real runs, by npm's Allure."""

from __future__ import annotations

import json
import shutil

import pytest

from bench.errors import ReportError
from bench.report import history, offline, render
from bench.report.allure import VERSION

TWO = "def test_a(): pass\ndef test_b(): assert 1 == 2\n"
DENY = """
const net = require("node:net"), dns = require("node:dns"), fs = require("node:fs");
const tell = (what) => { fs.appendFileSync(process.env.TELL, what + "\\n"); throw new Error("no network"); };
net.Socket.prototype.connect = (...given) => tell("connect " + JSON.stringify(given[0]));
for (const name of ["lookup", "resolve"]) { dns[name] = (host) => tell(name + " " + host); }
"""


def widget(report, name):
    return json.loads((report / "widgets" / name).read_text("utf-8"))


def test_report_of_a_run_and_the_trend_of_the_runs_before(allure, testcases):
    first = testcases(TWO)
    page = render.render(first.results)
    assert page == first.results / "report" / "index.html"
    assert widget(page.parent, "summary.json")["statistic"]["failed"] == 2, "test_b, and the run's verdict"
    assert widget(page.parent, "summary.json")["reportName"].startswith("NO-GO: run 2")
    names = {row["name"] for row in widget(page.parent, "globals.json")["attachments"]}
    assert names == {"provenance", "verdict.txt"}
    assert {row["name"] for row in widget(page.parent, "categories.json")["items"]} == {"Product failures"}

    second = testcases(TWO.replace("1 == 2", "True"))
    render.render(second.results)
    render.render(second.results)  # once more adds nothing
    trend = widget(page.parent, "history-trend.json")
    assert [(point["data"]["passed"], point["data"]["failed"]) for point in trend] == [(3, 0), (1, 2)]
    assert [point["reportName"].partition(":")[0] for point in trend] == ["GO", "NO-GO"]
    kept = (second.results / history.FILE).read_text("utf-8").splitlines()
    assert len(kept) == 2
    (case,) = [
        told
        for file in (page.parent / "data" / "test-cases").glob("*.json")
        if (told := json.loads(file.read_text("utf-8")))["name"] == "test_b"
    ]
    assert [item["status"] for item in case["extra"]["history"]["items"]] == ["failed"]


def test_nothing_is_asked_of_the_network_while_rendering(allure, testcases, tmp_path, monkeypatch):
    run = testcases(TWO)
    (tmp_path / "deny.cjs").write_text(DENY, encoding="utf-8")
    monkeypatch.setenv("TELL", str(tmp_path / "asked"))
    monkeypatch.setenv("NODE_OPTIONS", f'--require "{(tmp_path / "deny.cjs").as_posix()}"')
    render.render(run.results)
    asked = tmp_path / "asked"
    assert not asked.exists(), asked.read_text()


def test_older_report_is_replaced_and_nothing_else_is(allure, testcases, tmp_path):
    run = testcases(TWO)
    output = tmp_path / "out" / "report"
    page = render.render(run.results, output)
    (output / "data" / "left-over.json").write_text("{}")
    assert render.render(run.results, output) == page
    assert not (output / "data" / "left-over.json").exists()
    other = tmp_path / "photos"
    other.mkdir()
    (other / "holiday.jpg").write_text("")
    with pytest.raises(ReportError, match="is no report of the bench"):
        render.render(run.results, other)
    assert (other / "holiday.jpg").exists()


def test_analytics_are_taken_out(allure, testcases):
    page = render.render(testcases(TWO).results)
    text = page.read_text("utf-8")
    assert "gtag" not in text
    assert "googletagmanager" not in text
    assert "<script" in text


@pytest.mark.parametrize(
    "left",
    [
        '<script src="https://elsewhere.example/x.js"></script>',
        "<link rel=stylesheet href=//elsewhere.example/x.css>",
        "<p onclick=\"gtag('x')\">",
    ],
)
def test_page_that_would_ask_elsewhere_is_refused(tmp_path, left):
    (tmp_path / "index.html").write_text(f"<html>{left}</html>", encoding="utf-8")
    with pytest.raises(ReportError, match="would ask other hosts"):
        offline.take_out_analytics(tmp_path)


def test_tests_that_allure_would_hide_behind_each_other_are_found(allure, testcases, monkeypatch):
    """As if the identity of cases were not told: the report would show one row for two tests."""
    monkeypatch.setattr(render, "_check_unchanged", lambda *_: None)  # results are as they were left
    run = testcases("import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_a(n): assert n == 1\n")
    render.render(run.results)
    for file in (run.results / "allure").glob("*-result.json"):
        row = json.loads(file.read_text("utf-8"))
        row["parameters"] = []
        file.write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(ReportError, match=r"shows 2 tests, .* holds 3"):
        render.render(run.results)


def test_results_of_two_runs_make_no_report(testcases, tmp_path):
    run = testcases("def test_a(): pass\n")
    kept = tmp_path / "kept"
    shutil.copytree(run.results / "allure", kept)
    testcases("def test_b(): pass\n")
    for file in kept.glob("*-result.json"):
        shutil.copy(file, run.results / "allure")
    with pytest.raises(ReportError, match="results of 2 runs in one folder"):
        render.results_in(run.results)


def test_history_that_is_none_is_told_and_kept(tmp_path):
    file = tmp_path / history.FILE
    file.write_text("what is this\n")
    with pytest.raises(ReportError, match="cannot be read as the history"):
        history.of_others(file, "run")
    assert file.exists()


def test_mark_tells_the_version(allure, testcases):
    page = render.render(testcases("def test_a(): pass\n").results)
    assert json.loads((page.parent / render.MARK).read_text("utf-8"))["allure"] == VERSION
