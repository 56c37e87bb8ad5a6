"""What keeps a run from being a release, one thing at a time, on a run that is one."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from signoff_rig import sign_off

from bench.attached import _program
from bench.config import ProcessType
from bench.evidence.run_verdict import Decision as RunDecision
from bench.signoff.assessment import assess
from bench.signoff.decision import Decision
from bench.signoff.folder import places_given
from bench.signoff.run import Image, read_run

NOW = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def run(healthy_run):
    (places,) = places_given(healthy_run)
    return read_run(places)


def with_board(run, **changes):
    return replace(run, boards=run.boards | {"one": replace(run.boards["one"], **changes)})


def test_it_is_a_release_as_it_is(run):
    assert assess([run], None, [], NOW).decision is Decision.GO


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda r: with_board(r, asks_modem=True), "its modem did not tell its serial"),
        (
            lambda r: with_board(r, asks_modem=True, modem={"serial": "352656100123451", "firmware": None}),
            "its modem did not tell its firmware",
        ),
        (
            lambda r: with_board(
                r,
                asks_modem=True,
                endpoint="urn:imei:352656100123451",
                modem={"serial": "999999999999999", "firmware": "mfw"},
            ),
            "but its modem says 999999999999999",
        ),
        (lambda r: with_board(r, file_sha256=None), "its board file is not known"),
        (
            lambda r: with_board(r, images=r.boards["one"].images | {"update": Image("2.0.0", None)}),
            "the image 'update' has no SHA-256",
        ),
        (lambda r: replace(r, begin={**r.begin, "git_revision": None}), "of no known revision"),
        (lambda r: replace(r, begin={**r.begin, "git_dirty": None}), "differ from their revision"),
        (lambda r: replace(r, begin={**r.begin, "testcases": None}), "of no known revision"),
        (lambda r: replace(r, begin={**r.begin, "bench_sha256": None}), "the bench file is not known"),
        (lambda r: replace(r, faults=("odd",)), "odd"),
        (lambda r: replace(r, boards={}), "there is no product"),
        (lambda r: replace(r, requirements={}), "does not say which requirements there are"),
        (lambda r: with_board(r, name="three"), "not one test passed on board three"),
        (
            lambda r: replace(r, verdict=replace(r.verdict, decision=RunDecision.INCONCLUSIVE)),
            "its own verdict is INCONCLUSIVE",
        ),
        (
            lambda r: replace(
                r,
                figures=(replace(r.figures[0], measurement=replace(r.figures[0].measurement, value=2.5)),),
            ),
            "is beyond its limit",
        ),
        (lambda r: replace(r, virtual=True), ""),
    ],
)
def test_one_thing_is_not_as_it_must_be(run, change, why):
    found = assess([change(run)], None, [], NOW)
    assert found.decision is not Decision.GO
    assert not why or any(why in text for text in found.why), found.why


def test_no_run_at_all(run):
    assert assess([], None, [], NOW).decision is Decision.INCONCLUSIVE
    assert assess([run], [], [], NOW).decision is Decision.INCONCLUSIVE, "a release that has no run"


def test_virtual_and_real_runs_do_not_mix(run):
    other = replace(run, id="another", virtual=True)
    assert any("some of a real one" in text for text in assess([run, other], None, [], NOW).why)


def test_sign_off_of_a_sign_off(healthy, tmp_path):
    """The runs in it can be signed off again, and it stays as it is."""
    sign_off(healthy, tmp_path / "first")
    before = sorted((tmp_path / "first").rglob("*"))
    again = sign_off(tmp_path / "first", tmp_path / "second")
    assert again.decision is Decision.GO, again.why
    (raw,) = (tmp_path / "first" / "raw").iterdir()
    assert sign_off(raw, tmp_path / "third").decision is Decision.GO
    assert sorted((tmp_path / "first").rglob("*")) == before


def test_program_that_an_interpreter_runs_is_known_by_its_script(tmp_path):
    script = tmp_path / "client.py"
    process = ProcessType.model_validate(
        {
            "name": "host",
            "title": "a program",
            "kind": "process",
            "command": ["python3", str(script)],
            "images": {
                "baseline": {"version": "1"},
                "update": {"file": tmp_path / "update.bin", "version": "2"},
            },
        }
    )
    script.write_text("print(1)")
    first = _program(process)
    script.write_text("print(2)")
    assert first is not None
    assert _program(process) not in (None, first)
