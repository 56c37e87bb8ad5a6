"""The first page: what a reader must not overlook stands on it, in words that need no testcase to be read."""

from __future__ import annotations

import datetime

import pypdfium2
import pytest
from made_runs import TESTS, UPDATE, board, made

from bench.evidence.measurements import Measurement, quantity
from bench.signoff.as_json import as_json
from bench.signoff.assessment import assess
from bench.signoff.decision import Decision
from bench.signoff.pdf import write_pdf
from bench.signoff.waivers import Waiver
from bench.signoff.wording import FURTHER_ON, brief, readable, tried

NOW = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


def pages(folder, *runs, waivers=(), approver="", released=None, released_as=""):
    """The sign-off, and the text of its pages."""
    found = assess(runs, released, waivers, NOW, (), (), released_as)
    told = as_json(found, (), ()) | {"history": [], "signed_with": None, "approver": approver}
    write_pdf(told, folder / "signoff.pdf")
    document = pypdfium2.PdfDocument(str(folder / "signoff.pdf"))
    return found, [" ".join(page.get_textpage().get_text_bounded().split()) for page in document]


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"begin": {"options": {"defect": "no-crc"}}}, "SEEDED DEFECT no-crc"),
        ({"plant": "virtual"}, "VIRTUAL BENCH: no product was tested"),
        ({"deselected": TESTS[:1]}, "SELECTION: 2 of 4 tests were deselected"),
        ({"boards": {"one": board("SN-1")}}, "SELECTION: without two of the bench file"),
        ({"more": ({"kind": "note", "text": "--cut 3: only this cut was done"},)}, "SELECTION: --cut 3"),
    ],
)
@pytest.mark.parametrize("failed", [(), TESTS[:1]], ids=["passed", "failed"])
def test_said_before_any_decision(tmp_path, change, first, failed):
    found, (page, *_) = pages(tmp_path, made(failed=() if change.get("deselected") else failed, **change))
    assert found.decision is not Decision.GO
    assert page.startswith(first), page
    assert page.index(first) < page.index("Firmware sign-off")


def waiver(**changes):
    keys = {
        "id": "W-1",
        "test": f"testcases/{TESTS[0]}[one]",
        "serial": "SN-1",
        "firmware": UPDATE,
        "approver": "Rita Manager",
        "expires": NOW.date() + datetime.timedelta(days=90),
        "reason": "known, harmless, mended in 1.1.1",
    }
    return Waiver(**keys | changes)


def test_waiver_that_a_go_needed(tmp_path):
    run = made(failed=TESTS[:1], boards={"one": board("SN-1")}, named={"one": "SN-1"})
    found, (page, *_) = pages(tmp_path, run, waivers=[waiver()])
    assert found.decision is Decision.WITH_WAIVERS, found.why
    for text in ("W-1", "Rita Manager", "known, harmless, mended in 1.1.1"):
        assert text in page


@pytest.mark.parametrize("days", [367, 4000])
def test_waiver_that_holds_for_ever(tmp_path, days):
    run = made(failed=TESTS[:1], boards={"one": board("SN-1")}, named={"one": "SN-1"})
    long = waiver(expires=NOW.date() + datetime.timedelta(days=days))
    found, (page, *_) = pages(tmp_path, run, waivers=[long])
    assert found.decision is Decision.NO_GO
    assert "a year is the longest" in page


@pytest.mark.parametrize("name", ["x", "TBD", "n/a", "me", "-", "..", "Nobody", "??", "A."])
def test_waiver_that_nobody_answers_for(name):
    with pytest.raises(ValueError, match="is nobody"):
        waiver(approver=name)


@pytest.mark.parametrize("reason", ["x", "ok", "see ticket", "- - - -", "W-1"])
def test_waiver_without_a_reason(reason):
    with pytest.raises(ValueError, match="says nothing"):
        waiver(reason=reason)


def test_deviation_that_a_go_needed(tmp_path):
    excused = {"updating-not-shown": "State goes from Downloaded to Idle: manual, page 9"}
    boards = {"one": board("SN-1", deviations=excused), "two": board("SN-2", deviations=excused)}
    found, (page, *_) = pages(tmp_path, made(boards=boards))
    assert found.decision is Decision.GO, found.why
    assert "Deviations that were excused" in page
    assert page.count("updating-not-shown") == 2


@pytest.mark.parametrize(("serial", "other"), [("SN-1", "SN-1"), ("SN-1", "sn-1 ")])
def test_equal_serial_numbers(tmp_path, serial, other):
    found, _ = pages(tmp_path, made(boards={"one": board(serial), "two": board(other)}))
    assert found.decision is not Decision.GO
    assert any("have the serial number" in text for text in found.why)


def test_two_cuts_do_not_look_like_149(tmp_path):
    two = {"options": {"power_cuts": 2, "soak": 1, "bench_retries": 1}}
    _, (few, *_) = pages(tmp_path, made(begin=two))
    _, (many, *_) = pages(tmp_path, made())
    assert "2 power cuts" in few
    assert "below 77.6 %" in few
    assert "149 power cuts" in many
    assert "below 1.99 %" in many
    assert "20 updates in a row" in many


def test_part_of_a_sweep_is_told():
    assert "only sweep part 3/8" in tried({"sweep_part": "3/8"})


def test_findings_of_the_terminal(tmp_path):
    found = {"kind": "finding", "node": f"testcases/{TESTS[0]}[one]", "text": "0 of 4 power cuts bricked it"}
    _, told = pages(tmp_path, made(more=(found,)))
    assert "0 of 4 power cuts bricked it" in told[0]


def test_product_its_sources_and_who_signs(tmp_path):
    sold = {"product": "Acme Tracker 3", "firmware_revision": "v1.1.0-7-g1234567"}
    _, (page, *_) = pages(tmp_path, made(begin=sold), approver="Rita Manager")
    for text in ("Acme Tracker 3", "v1.1.0-7-g1234567", "Approved by Rita Manager", "Signed with not signed"):
        assert text in page, page


def test_decision_of_the_sign_off_that_was_released(tmp_path):
    """Its run failed, and waivers made it a release."""
    before = made("before", failed=TESTS[:1])
    found, told = pages(tmp_path, made(), released=[before], released_as="GO WITH WAIVERS")
    assert found.comparison is not None
    assert found.comparison.decision == "GO WITH WAIVERS"
    assert "whose verdict was GO WITH WAIVERS" in " ".join(told)


def test_raw_assertion_is_put_in_words(tmp_path):
    _, (page, *_) = pages(tmp_path, made(failed=TESTS[:1]))
    assert "found '1.0.0', not '1.1.0'" in page
    assert "assert" not in page


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("call: assert 5 <= 3", "5 is more than 3"),
        ("teardown: assert 'a' in 'b'", "after the test: 'a' is not in 'b'"),
        ("setup: assert False", "before the test: this did not hold: False"),
        ("call: the version is 1.0.0\nassert 1 == 2", "the version is 1.0.0"),
    ],
)
def test_reason_in_words(reason, words):
    assert readable(reason) == words


def test_list_that_is_long_stands_whole_further_on(tmp_path):
    names = [f"test_{'n' * 30}_{n:03}" for n in range(60)]
    text = f"NOT COVERED: 60 of 300 requirements on tracker: {', '.join(names)}"
    assert brief(text) == f"NOT COVERED: 60 of 300 requirements on tracker{FURTHER_ON}"
    run = made(more=({"kind": "note", "text": text},))
    _, (first, *others) = pages(tmp_path, run)
    assert names[-1] not in first
    assert all(name in "".join(" ".join(others).split()) for name in names)


def test_every_test_is_in_the_appendix(tmp_path):
    _, told = pages(tmp_path, made())
    appendix = " ".join(told[-1].split())
    for test in TESTS:
        for name in ("one", "two"):
            assert f"testcases/{test}[{name}]" in appendix


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2e-05, "A", "20 µA"),
        (3.3, "V", "3.3 V"),
        (0.0, "A", "0 A"),
        (1500.0, "Hz", "1.5 kHz"),
        (90.0, "s", "90 s"),
        (-2e-3, "A", "-2 mA"),
        (999.96e-6, "A", "1 mA"),
    ],
)
def test_quantities_for_people(value, unit, text):
    assert quantity(value, unit) == text
    assert str(Measurement("floor", value, unit)) == f"floor: {text}"


# ---- what is released, and from which sources


def told_by_image(**more):
    """Boards whose update image says something of itself."""
    boards = {"one": board("SN-1"), "two": board("SN-2")}
    for one in boards.values():
        one["images"]["update"] |= more
    return boards


def test_the_image_says_what_the_bench_file_does_not(tmp_path):
    boards = told_by_image(project="street-lamp", revision="1a2b3c4")
    found, (page, *_) = pages(tmp_path, made(boards=boards))
    assert "Sold as street-lamp (as the update image says)" in page
    assert "Its sources 1a2b3c4 (as the update image says)" in page
    assert found.decision is Decision.GO


def test_without_either_the_page_says_what_is_missing(tmp_path):
    _, (page, *_) = pages(tmp_path, made())
    assert "Sold as not given: product in [bench]" in page
    assert "Its sources not given: firmware_revision in [bench]" in page


@pytest.mark.parametrize("given", ["1a2b3c4", "1A2B3C4D5E", "1a2b3c"])
def test_a_revision_that_is_the_images(tmp_path, given):
    run = made(boards=told_by_image(revision="1a2b3c4d"), begin={"firmware_revision": given})
    assert pages(tmp_path, run)[0].decision is Decision.GO


def test_a_revision_that_is_not_what_the_image_was_built_from(tmp_path):
    run = made(boards=told_by_image(revision="1a2b3c4"), begin={"firmware_revision": "f00dfeed"})
    found, _ = pages(tmp_path, run)
    assert found.decision is Decision.INCONCLUSIVE
    assert (
        f"run {run.id}: board one: firmware_revision in [bench] is f00dfeed, but the update image says "
        "that it was built from 1a2b3c4"
    ) in found.why


def test_an_image_of_sources_that_no_revision_holds_is_told(tmp_path):
    boards = told_by_image(version="v1.1-3-g1a2b3c4-dirty", revision="1a2b3c4", dirty=True)
    found, (page, *_) = pages(tmp_path, made(boards=boards))
    assert any("built from sources with changes that no revision holds" in text for text in found.attention)
    assert "v1.1-3-g1a2b3c4-dirty" in page
