"""A report of runs on the virtual bench, looked at in Chromium; and searched for secrets."""

from __future__ import annotations

import base64
import io
import json
import tomllib
import zipfile

import pytest
from testcase_runs import ROOT, Run, run_testcases

from bench.report.render import render

SUITE = """
import pytest
from bench.errors import InstrumentError
from bench.firmware_update.states import Delivery, Result

@pytest.mark.requirement("LightweightM2M-1.0-int-776")
def test_corrupted_image_is_refused(dut, server, images, current):
    with current.recording():
        update = server.update(dut, images.corrupted, Delivery.PUSH)
    current.note("charge", 1.5, "mC", 2.0)
    current.note("longest pause", 7.25, "s", 5.0)
    assert update.result is Result.INTEGRITY_FAILED

def test_product_fails(dut, server):
    assert server.version_of(dut) == "9.9.9"

def test_bench_breaks(dut):
    raise InstrumentError("psu: no answer to MEAS:CURR?", help="look at its cable")
"""
SECRET_OF_CI = "glpat-not-for-anybody"
GITLAB = {
    "GITLAB_CI": "true",
    "CI_JOB_NAME": "nightly",
    "CI_JOB_TOKEN": SECRET_OF_CI,
    "CI_JOB_URL": f"https://ci:{SECRET_OF_CI}@git.example/jobs/7",
}


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """On the virtual ESP32, which talks DTLS with a pre-shared key."""
    folder = tmp_path_factory.mktemp("ran")
    bench = ("--bench", str(ROOT / "boards" / "virtual.toml"), "--board", "esp32", "--bench-retries=0")
    run = run_testcases(folder, SUITE, *bench, **GITLAB)
    assert run.status == 1, run.output
    return run


@pytest.fixture(scope="session")
def report(ran, allure):
    return render(ran.results, ran.results / "report").parent


def test_report_opens_and_asks_nobody_else(report, look):
    seen = look(report)
    page = seen.page
    for place in ("Run", "Categories", "Suites", "Behaviors", "Packages", "Graphs", "Timeline", "Overview"):
        page.get_by_role("link", name=place, exact=True).first.click()
        page.wait_for_load_state("networkidle")
    for text in ("nightly", "serial 24:0A:C4:12:34:56"):
        page.get_by_text(text).first.wait_for(state="visible")
    assert seen.failed == []
    assert seen.elsewhere == []


def test_cause_of_a_failure_is_read_within_three_clicks(report, look):
    page = look(report).page
    for category, cause in (
        ("Product failures", "assert '1.0.0' == '9.9.9'"),
        ("Bench errors", "psu: no answer to MEAS:CURR?"),
    ):
        page.get_by_role("link", name="Overview", exact=True).first.click()
        page.get_by_text(category).first.click()
        page.get_by_text(category).first.click()
        page.get_by_text(cause).first.wait_for(state="visible")


def test_evidence_of_a_test_is_seen(report, look):
    seen = look(report)
    page = seen.page
    uid = next(
        told["uid"]
        for file in (report / "data" / "test-cases").glob("*.json")
        if (told := json.loads(file.read_text("utf-8")))["name"].startswith("test_corrupted_image")
    )
    page.goto(f"{seen.url}#testresult/{uid}", wait_until="networkidle")
    for text in ("LightweightM2M-1.0-int-776", "esp32, 24:0A:C4:12:34:56", "firmware offered"):
        page.get_by_text(text).first.wait_for(state="visible")
    for name in (
        "state transitions",
        "serial log",
        "serial logs, whole",
        "CoAP trace",
        "SCPI log",
        "flash oper",
    ):
        page.get_by_text(name).first.wait_for(state="visible")

    page.get_by_text("timeline", exact=True).first.click()
    picture = page.locator("img[src*='data/attachments']").first
    picture.wait_for(state="visible")
    page.wait_for_function(
        "image => image.complete && image.naturalWidth > 800", arg=picture.element_handle()
    )
    page.get_by_text("measurements, with limits").first.click()
    table = page.frame_locator("iframe").first
    table.get_by_text("longest pause").wait_for(state="visible")
    assert table.locator("tr.over").inner_text().split("\t")[:4] == ["longest pause", "7.25 s", "5 s", "-45%"]
    page.get_by_text("timeline, to zoom in").first.click()
    plot = page.frame_locator("iframe").first  # above the table
    plot.locator("canvas").first.wait_for(state="visible")
    plot.get_by_text("PASSED").wait_for(state="visible")
    assert seen.failed == []
    assert seen.elsewhere == []


def test_no_secret_is_in_any_output(ran, report):
    bench = tomllib.loads((ROOT / "boards" / "virtual.toml").read_text("utf-8"))
    key = bytes.fromhex(bench["boards"]["esp32"]["security"]["psk_key"])
    secrets = [
        key,
        key.hex().encode(),
        key.hex().upper().encode(),
        base64.b64encode(key),
        SECRET_OF_CI.encode(),
        b"PRIVATE KEY",
    ]
    outputs = {"what pytest printed": ran.output.encode()}
    for file in ran.results.rglob("*"):
        if file.is_file():
            outputs[str(file.relative_to(ran.results))] = content = file.read_bytes()
            if zipfile.is_zipfile(io.BytesIO(content)):
                with zipfile.ZipFile(file) as archive:
                    outputs |= {f"{file}: {name}": archive.read(name) for name in archive.namelist()}
    assert any(name.endswith(".zip: esp32.console.txt") for name in outputs), "the logs were searched"
    assert b"psk" in outputs["timeline.jsonl"].lower(), "the key was told to the device in this run"
    found = [(name, secret) for name, content in outputs.items() for secret in secrets if secret in content]
    assert found == []
