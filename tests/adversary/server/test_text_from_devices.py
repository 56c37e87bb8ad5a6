"""Text from devices is data: it acts on no terminal, page or report, and shows no secret."""

from __future__ import annotations

import html.parser
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from coap_peer import POST, Peer, uint

from bench.check.kept_secrets import told_to_git
from bench.clock import Clock
from bench.config import BenchSettings, load_bench
from bench.errors import BenchError, ConfigError, DeviceError
from bench.evidence.ledger import Ledger
from bench.evidence.picture.content import About
from bench.evidence.picture.lanes import lanes
from bench.evidence.picture.page import timeline_html
from bench.lwm2m.server import LwM2mServer
from bench.safe_text import SECRETS, Secrets, safe, safe_data
from bench.timeline import Timeline

ACTING = [
    *("\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x85", "\r", "\x7f", "\0"),
    *("\u202e", "\u2066", "\u200f", "\ufeff", "\u2028", "\udc9b"),
]


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    fresh = Secrets()
    monkeypatch.setattr(SECRETS, "_values", fresh._values)
    monkeypatch.setattr(SECRETS, "_pattern", None)
    return SECRETS


@pytest.mark.parametrize("acting", ACTING, ids=ascii)
def test_nothing_that_acts_is_left(clock: Clock, acting: str) -> None:
    shown = safe(f"a{acting}b")
    assert shown.isprintable()
    assert (shown[0], shown[-1]) == ("a", "b")
    assert len(shown) > 4, "it is told what was there"
    entry = Timeline(clock).record("dev", "line", f"a{acting}b", detail={"x": [acting]})
    assert entry.text == shown
    assert json.dumps(entry.data).isprintable()
    for error in (BenchError(f"a{acting}b"), DeviceError("x", help=f"a{acting}b")):
        assert str(error).replace("\n", "").isprintable()


def test_what_does_not_act_is_left_alone() -> None:
    text = "Ünïcode, 日本語, tab\there\nand a line; <b> & \\x1b as text"
    assert safe(text) == text
    assert safe_data({"n": 1, "t": (1, "x"), "none": None}) == {"n": 1, "t": (1, "x"), "none": None}


@pytest.mark.parametrize(
    "text",
    [
        "<!--<script>",
        "</script><script>alert(1)</script>",
        "]]>",
        "<!--",
        "&lt;/script&gt;",
        "</SCRIPT >",
        "\u2028",
    ],
)
def test_the_timeline_page_holds_whatever_a_device_says(clock: Clock, text: str) -> None:
    """By an HTML parser's reading: one block of data, which is the JSON that was put in."""
    timeline = Timeline(clock)
    timeline.record("dev.console", "line", text)
    timeline.record("dev", "coap", f"-> CON POST {text}")
    page = timeline_html(lanes(timeline.since(), None), About("test<!--<script>", text, "PASSED"))

    class Scripts(html.parser.HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []
            self.inside = False

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.inside = tag == "script"
            if self.inside:
                self.found.append("")

        def handle_endtag(self, tag: str) -> None:
            self.inside = False

        def handle_data(self, data: str) -> None:
            if self.inside:
                self.found[-1] += data

    reader = Scripts()
    reader.feed(page)
    assert len(reader.found) == 2, "the data, and the page's own script"
    assert "<" not in reader.found[0]
    assert json.loads(reader.found[0])["subject"] == text


def test_what_a_stranger_names_itself_is_shown_without_acting(
    server: LwM2mServer, peer: Peer, timeline: Timeline
) -> None:
    peer.request(POST, "/bs?ep=\x1b[2Jx\u202e")
    peer.request(POST, "/nothing\x1b]0;x\x07/\u202e", b"\x9b2J", [(12, uint(0))])
    assert all(entry.text.isprintable() for entry in timeline)


# ---- secrets

KEY = "00a1b2c3d4e5f60718293a4b5c6d7e8f"


@pytest.mark.parametrize(
    "said",
    [
        KEY,
        KEY.upper(),
        " ".join(re.findall("..", KEY)),
        ":".join(re.findall("..", KEY)),
        ", ".join(f"0x{pair}" for pair in re.findall("..", KEY)),
        "".join(f"\\x{pair}" for pair in re.findall("..", KEY)),
    ],
)
def test_a_key_is_masked_however_a_device_prints_it(secrets: Secrets, clock: Clock, said: str) -> None:
    secrets.add([KEY])
    text = f"provision psk-key={said} done"
    assert safe(text) == "provision psk-key=(secret) done"
    assert Timeline(clock).record("dev.console", "line", text).text == safe(text)
    assert said not in str(BenchError(text, help=text))


def test_a_password_is_masked_in_text_and_in_hexadecimal(secrets: Secrets) -> None:
    secrets.add(["open sesame", "abc", ""])
    assert safe("PASS open sesame") == "PASS (secret)"
    assert safe(b"open sesame".hex()) == "(secret)"
    assert safe("abc") == "abc", "too short to be looked for"


def test_the_ledger_shows_no_secret(secrets: Secrets, tmp_path: Path) -> None:
    secrets.add([KEY])
    with Ledger(tmp_path) as ledger:
        ledger.write("phase", longrepr=f"AssertionError: {KEY}", rows=[{"x": KEY}])
        content = ledger.path.read_text()
    assert KEY not in content
    assert content.count("(secret)") == 2


def bench_file(folder: Path, key: str) -> Path:
    board = (Path(__file__).parents[3] / "boards" / "process-example.toml").read_text()
    (folder / "client.toml").write_text(board)
    file = folder / "bench.toml"
    file.write_text(
        f'[bench]\nname = "x"\n'
        f'[boards.c]\ntype = "client"\nendpoint = "c"\n'
        f'security = {{ psk_identity = "c", psk_key = "{key}" }}\n'
    )
    return file


@pytest.mark.parametrize("kind", ["env", "file", "keyring"])
def test_a_key_may_be_elsewhere(
    secrets: Secrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("BENCH_TEST_KEY", KEY)
    (tmp_path / "key").write_text(KEY + "\n")
    where = {"env": "BENCH_TEST_KEY", "file": str(tmp_path / "key"), "keyring": "bench/c"}[kind]
    if kind == "keyring":
        keyring = pytest.importorskip("keyring")
        monkeypatch.setattr(keyring, "get_password", lambda service, name: KEY if name == "c" else None)
    settings = load_bench(bench_file(tmp_path, f"{kind}:{where}")).settings
    security = settings.boards["c"].security
    assert security is not None
    assert security.key == KEY
    assert safe(KEY) == "(secret)"
    assert KEY not in repr(settings)


def test_passwords_of_instruments_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TEST_PASSWORD", "from the environment")
    instruments = {
        "a": {"driver": "x", "address": "http://admin:in-the-url@192.0.2.9/"},
        "b": {"driver": "x", "address": "TCPIP::192.0.2.9::INSTR", "password": "in the file"},
        "c": {"driver": "x", "address": "TCPIP::192.0.2.9::INSTR", "password": "env:BENCH_TEST_PASSWORD"},
    }
    boards = {"d": {"type": "t", "endpoint": "d"}}
    settings = BenchSettings.model_validate(
        {"bench": {"name": "x"}, "instruments": instruments, "boards": boards}
    )
    assert set(settings.secrets()) - {""} == {"in-the-url", "in the file", "from the environment"}


@pytest.mark.parametrize("where", ["env:NO_SUCH_VARIABLE", "file:relative", "file:/no/such/file"])
def test_a_key_that_is_not_there_is_a_mistake(secrets: Secrets, tmp_path: Path, where: str) -> None:
    with pytest.raises(ConfigError, match="psk_key"):
        load_bench(bench_file(tmp_path, where))


@pytest.mark.parametrize(("key", "warned"), [(KEY, True), ("env:BENCH_TEST_KEY", False)])
def test_a_key_in_a_bench_file_that_git_keeps_is_warned_about(
    secrets: Secrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, warned: bool
) -> None:
    monkeypatch.setenv("BENCH_TEST_KEY", KEY)
    bench = load_bench(bench_file(tmp_path, key))
    assert told_to_git(bench) == []
    for command in (["init", "-q"], ["add", "bench.toml"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    assert told_to_git(bench) == (["boards.c.security.psk_key"] if warned else [])
