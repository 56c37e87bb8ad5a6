"""The testcases with Leshan's client, and an object 5 of another hand, as a process board: no false alarm."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from firmware_image import has_ipv6, write_bench

ROOT = Path(__file__).parents[2]
LIMIT = 400
"""Wall seconds for one selection of testcases."""
SLOW = "test_state_is_observed_within_pmin_and_pmax"
"""What waits for a minute; of this client's notifications by pmax see below."""

MESSAGES = (
    "(test_format_error and not token-length) or observed_twice or message_ids or separate_responses"
    " or to_nobody or response_with_a_critical or smaller_blocks or (uri_becomes and encoded)"
)
"""Of CoAP's clauses, those that this client keeps and that are quickly seen."""
Start = Callable[..., "Run"]


class Run:
    """`pytest testcases/` in a process of its own, under way."""

    def __init__(self, folder: Path, files: str, only: str, bench: Path) -> None:
        self._out = folder / "out.txt"
        command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
        command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "--bench", str(bench)]
        command += [str(ROOT / "testcases" / f"test_{name}.py") for name in files.split()]
        with self._out.open("w") as out:
            self.process = subprocess.Popen(
                [*command, "-k", only, "--pictures=none"],
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def outcomes(self) -> dict[str, list[str]]:
        """The testcases by outcome, as pytest's summary has them, in order; "text" is all that it said."""
        self.process.wait(LIMIT)
        text = self._out.read_text("utf-8")
        found: dict[str, list[str]] = {"PASSED": [], "FAILED": [], "ERROR": [], "text": [text]}
        for line in text.splitlines():
            outcome, _, rest = line.partition(" ")
            if outcome in found and "::" in rest:
                found[outcome].append(rest.partition("::")[2].partition("[")[0])
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts testcases with this client; what still runs at the end is ended."""
    with contextlib.ExitStack() as closing:

        def make(files: str, only: str, **how: bool) -> Run:
            folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            run = Run(folder, files, only, write_bench(folder / "bench", **how))
            closing.callback(run.process.wait)
            closing.callback(run.process.terminate)
            return run

        yield make


SELECTIONS = {
    "outcomes": ("successful_update corrupted_image failed_update", "test_", 10),
    "cancel": ("cancel update_too_early", "test_", 11),
    "reset": ("reset", "test_", 12),
    "downloads": ("failed_download", "test_", 12),
    "uris": ("package_uri", "query or letters or port or longest or host_name or ipv6", 7 + has_ipv6()),
    "bootstrap": ("bootstrap", "test_", 2),
    "registration": ("reporting coap", "within_pmin or outlasts or execute_of or operations_are", 5),
    "messages": ("coap package_server", MESSAGES, 18),
}
"""Name -> files, which testcases of them, and how many of these pass."""
LANES = 2
"""Selections that run side by side: each is a client that mostly waits, or starts a virtual machine."""


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[dict[str, list[str]]]]]:
    """What the selections that were chosen come to; all are begun with the first."""
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and "name" in getattr(getattr(item, "callspec", None), "params", {})
    ]
    begun: list[Run] = []

    def run(name: str) -> dict[str, list[str]]:
        folder = tmp_path_factory.mktemp(name)
        begun.append(Run(folder, *SELECTIONS[name][:2], write_bench(folder / "bench")))
        return begun[-1].outcomes()

    with ThreadPoolExecutor(LANES) as lanes:
        yield {name: lanes.submit(run, name) for name in names}
        lanes.shutdown(wait=False, cancel_futures=True)
        for one in begun:
            one.process.terminate()


@pytest.mark.parametrize("name", SELECTIONS)
def test_no_false_alarm(outcomes: dict[str, Future[dict[str, list[str]]]], name: str) -> None:
    """What this client can be tested with passes; the rest is not applicable, with its reason."""
    found = outcomes[name].result()
    assert (found["FAILED"], found["ERROR"]) == ([], []), found["text"][0][-6000:]
    assert len(found["PASSED"]) == SELECTIONS[name][2], found["text"][0][-6000:]


def test_what_leshan_does_wrong_is_named(start: Start) -> None:
    """Notifications by pmax repeat their Observe number (Leshan 2.0.0-M15): a receiver must drop them."""
    by_pmax = start("resources", SLOW)
    slow = f"{SLOW} or is_kept or before_the_registration or was_forgotten"
    others = start("resources identity", f"not ({slow})")
    over_dtls = start("successful_update", "push_succeeds", secured=True)
    found = others.outcomes()
    assert (found["FAILED"], found["ERROR"]) == ([], []), found["text"][0][-6000:]
    assert len(found["PASSED"]) == 9, found["text"][0][-6000:]
    secured = over_dtls.outcomes()
    assert secured["PASSED"] == ["test_push_succeeds"], secured["text"][0][-6000:]
    wrong = by_pmax.outcomes()
    assert wrong["FAILED"] == [SLOW], wrong["text"][0][-6000:]
    assert "their Observe numbers do not increase (RFC 7641, 4.4)" in wrong["text"][0]


def test_what_californium_and_leshan_do_wrong_is_named(start: Start) -> None:
    """An escaped delimiter becomes one (Californium 3.12.0); a Read is served before Register is answered."""
    found = start("package_uri identity", "slash or ampersand or before_the_registration").outcomes()
    text = found["text"][0]
    wrong = ["test_percent_encoding"] * 2 + ["test_requests_before_the_registration_is_acknowledged"]
    assert sorted(found["FAILED"]) == wrong, text[-6000:]
    assert "asked for what it does not offer: coap: /fw/a/b/" in text
    assert "?note=a&b&c" in text
    assert "/5/0/3 was read before the Register was answered" in text


def test_what_californium_does_wrong_is_named(start: Start) -> None:
    """Californium 3: a token length above 8, percent-encoded delimiters, an estimate that is too low."""
    malformed = start("coap", "test_format_error and token-length")
    fetched = start("package_server", "(uri_becomes and delimiters) or (wrong_size and too-small)")
    wrong = malformed.outcomes()
    assert wrong["FAILED"] == ["test_format_error"] * 2, wrong["text"][0][-6000:]
    assert "no answer to CON with a format error: token-length-9" in wrong["text"][0]
    wrong = fetched.outcomes()
    assert sorted(wrong["FAILED"]) == ["test_uri_becomes_options", "test_wrong_size_announced"], wrong["text"]
    assert re.search(r"Package URI 'coap:.*a%2Fb%3Fc%25d\.bin.*': .* was never asked for", wrong["text"][0])
    assert "it goes by the size that was announced, -4096 bytes off: CONNECTION_LOST" in wrong["text"][0]
