"""Allure by npm, and Chromium, where they are installed."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from testcase_runs import ROOT, Run, run_testcases

from bench.errors import ReportError
from bench.report.allure import Allure, find_allure
from bench.report.serve import server_of, url_of

ALLURE_REQUIRED = os.environ.get("BENCH_REQUIRE_ALLURE") == "1"
CHROMIUM_REQUIRED = os.environ.get("BENCH_REQUIRE_CHROMIUM") == "1"
CHROMIUM = ("--disable-gpu", "--disable-background-networking", "--disable-component-update")
CHROMIUM += ("--disable-sync", "--no-first-run", "--no-sandbox")


@pytest.fixture
def testcases(tmp_path: pathlib.Path) -> Callable[..., Run]:
    """`testcases(text, *options)`: run them without a bench."""
    options = f"{os.environ['PYTEST_ADDOPTS']} --ledger"
    return functools.partial(run_testcases, tmp_path, PYTEST_ADDOPTS=options)


@pytest.fixture(scope="session")
def allure() -> Allure:
    """npm's Allure, in the version of the bench."""
    try:
        return find_allure(ROOT)
    except ReportError as missing:
        if ALLURE_REQUIRED:
            raise
        pytest.skip(str(missing))


@dataclass
class Seen:
    """A page in Chromium, with what went wrong while it was looked at."""

    page: object
    url: str
    failed: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


@pytest.fixture
def chromium() -> Iterator[object]:
    """Chromium of the system; no browser is downloaded.

    Anew for each test: as long as Playwright is open its event loop runs in this thread, and no other may.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        assert not CHROMIUM_REQUIRED, "BENCH_REQUIRE_CHROMIUM is set, and there is no Chromium"
        pytest.skip("Chromium is not installed (apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api") if not CHROMIUM_REQUIRED else None
    if playwright is None:
        import playwright.sync_api as playwright
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=list(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture
def look(chromium: object) -> Iterator[Callable[[pathlib.Path], Seen]]:
    """`look(report)`: the first page of a report, served to this PC alone."""
    closing: list[Callable[[], object]] = []

    def open_report(report: pathlib.Path) -> Seen:
        server = server_of(report)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        closing.append(server.server_close)
        closing.append(server.shutdown)
        page = chromium.new_page(viewport={"width": 1400, "height": 1100})
        closing.append(page.close)
        seen = Seen(page, url_of(server))

        def note(request) -> None:
            if not request.url.startswith((seen.url, "data:", "blob:", "about:")):
                seen.elsewhere.append(request.url)

        page.on("request", note)
        page.on("requestfailed", lambda one: seen.failed.append(f"{one.url}: {one.failure}"))
        page.on("response", lambda one: seen.failed.append(one.url) if one.status >= 400 else None)
        page.on("pageerror", lambda fault: seen.failed.append(str(fault)))
        page.goto(seen.url, wait_until="networkidle")
        return seen

    yield open_report
    for close in reversed(closing):
        close()
