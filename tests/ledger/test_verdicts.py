"""Verdicts are pure functions: every combination of phases, and any sequence of lines."""

from __future__ import annotations

import itertools
import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import (
    BenchError,
    ConsoleTimeout,
    DeviceError,
    Inconclusive,
    InstrumentError,
    LedgerError,
    NotApplicable,
    ServerError,
    TestTimeout,
    WaitTimeout,
)
from bench.evidence.ledger import Ledger, Record, parse, read
from bench.evidence.run_summary import summary
from bench.evidence.run_verdict import Decision, judge_run
from bench.evidence.verdict import Attempt, Cause, Phase, Verdict, cause_of, judge_attempt, judge_test
from bench.lwm2m.client import NotReachable

CAUSES = list(Cause)


def attempt(
    *causes: Cause, ended: bool = True, names: tuple[str, ...] = ("setup", "call", "teardown")
) -> Attempt:
    return Attempt([Phase(name, cause, "why") for name, cause in zip(names, causes, strict=False)], ended)


def passed() -> Attempt:
    return attempt(Cause.NONE, Cause.NONE, Cause.NONE)


def test_only_three_clean_phases_and_an_end_are_a_pass():
    for count in range(4):
        for causes in itertools.product(CAUSES, repeat=count):
            for ended in (False, True):
                judged = judge_attempt(attempt(*causes, ended=ended))
                clean = count == 3 and ended and set(causes) == {Cause.NONE}
                assert (judged.verdict is Verdict.PASSED) == clean, (causes, ended)
                if Cause.PRODUCT in causes:
                    assert judged.verdict is Verdict.FAILED
                if judged.verdict is Verdict.NOT_APPLICABLE:
                    assert [one for one in causes if one is not Cause.NONE] == [Cause.NOT_APPLICABLE]
                    assert judged.reason


def test_each_cause_of_a_call_has_its_verdict():
    expected = {
        Cause.NONE: Verdict.PASSED,
        Cause.PRODUCT: Verdict.FAILED,
        Cause.BENCH: Verdict.BENCH_ERROR,
        Cause.DEVICE: Verdict.BENCH_ERROR,
        Cause.OTHER: Verdict.INCONCLUSIVE,
        Cause.NOT_APPLICABLE: Verdict.NOT_APPLICABLE,
        Cause.SKIPPED: Verdict.NOT_RUN,
        Cause.XPASS: Verdict.XPASS,
        Cause.CRASH: Verdict.INTERRUPTED,
    }
    found = {cause: judge_attempt(attempt(Cause.NONE, cause, Cause.NONE)).verdict for cause in CAUSES}
    assert found == expected


def test_not_applicable_needs_a_reason():
    silent = Attempt([Phase("setup", Cause.NOT_APPLICABLE), Phase("teardown", Cause.NONE)], True)
    assert judge_attempt(silent).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("teardown", [Cause.BENCH, Cause.DEVICE, Cause.OTHER, Cause.SKIPPED])
def test_pass_with_a_bad_teardown(teardown):
    assert judge_attempt(attempt(Cause.NONE, Cause.NONE, teardown)).verdict is Verdict.PASSED_TEARDOWN_BAD


def test_repetition_forgets_only_faults_of_the_bench():
    """A device that is silent in setup runs the baseline; later, it may be the update that is broken."""
    for causes in itertools.product(CAUSES, repeat=3):
        for ended in (False, True):
            first = attempt(*causes, ended=ended)
            judged = judge_test([first, passed()])
            blamed = {c for c in causes if c is not Cause.NONE}
            forgotten = ended and blamed and blamed <= {Cause.BENCH, Cause.DEVICE}
            forgotten = forgotten and Cause.DEVICE not in causes[1:]
            assert (judged.verdict is Verdict.PASSED) == bool(forgotten), causes
            if Cause.PRODUCT in causes:
                assert judged.verdict is Verdict.FLAKY_PASS
    assert judge_test([passed(), passed()]).verdict is Verdict.INCONCLUSIVE
    assert judge_test([]).verdict is Verdict.NOT_RUN


def test_failure_after_a_fault_of_the_bench_is_a_failure():
    bench = attempt(Cause.NONE, Cause.BENCH, Cause.NONE)
    assert judge_test([bench, attempt(Cause.NONE, Cause.PRODUCT, Cause.NONE)]).verdict is Verdict.FAILED
    assert judge_test([attempt(Cause.NONE, Cause.PRODUCT, Cause.NONE), bench]).verdict is Verdict.FAILED


def test_cause_by_the_type_of_the_exception():
    assert cause_of(AssertionError()) is Cause.PRODUCT
    assert cause_of(BenchError("x")) is Cause.BENCH
    assert cause_of(ServerError("x")) is Cause.BENCH
    for of_device in (
        WaitTimeout("x"),
        ConsoleTimeout("x"),
        DeviceError("x"),
        NotReachable("x"),
        TestTimeout("x"),
    ):
        assert cause_of(of_device) is Cause.DEVICE
    assert cause_of(ExceptionGroup("g", [BenchError("x"), WaitTimeout("x")])) is Cause.DEVICE
    assert cause_of(Inconclusive("x")) is Cause.OTHER
    assert cause_of(ExceptionGroup("g", [Inconclusive("x"), WaitTimeout("x")])) is Cause.OTHER
    assert cause_of(NotApplicable("x")) is Cause.NOT_APPLICABLE
    assert cause_of(ValueError()) is Cause.OTHER
    assert cause_of(ExceptionGroup("g", [BenchError("x"), AssertionError()])) is Cause.PRODUCT
    assert cause_of(ExceptionGroup("g", [BenchError("x"), KeyError()])) is Cause.OTHER
    assert cause_of(ExceptionGroup("g", [BenchError("x")])) is Cause.BENCH


def covered(by: Exception) -> Exception:
    try:
        try:
            raise AssertionError("version is 1.0.0")
        finally:
            raise by
    except Exception as raised:
        return raised


def test_assertion_that_a_clean_up_covers_speaks_about_the_product():
    for by in (WaitTimeout("x"), NotReachable("x"), BenchError("x"), NotApplicable("x")):
        assert cause_of(covered(by)) is Cause.PRODUCT
    assert cause_of(covered(InstrumentError("psu: OCP tripped"))) is Cause.DEVICE
    assert cause_of(covered(KeyError())) is Cause.OTHER


# ---- any sequence of lines

NODES = ("t::a", "t::b")
WHEN = st.sampled_from(["setup", "call", "teardown"])
LINES = st.one_of(
    st.fixed_dictionaries({"kind": st.just("start"), "node": st.sampled_from(NODES)}),
    st.fixed_dictionaries({"kind": st.just("end"), "node": st.sampled_from(NODES)}),
    st.fixed_dictionaries(
        {
            "kind": st.just("phase"),
            "node": st.sampled_from(NODES),
            "when": WHEN,
            "cause": st.sampled_from([str(c) for c in Cause]),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("crash"), "node": st.sampled_from(NODES)}),
    st.fixed_dictionaries({"kind": st.just("stopped"), "reason": st.just("Ctrl-C")}),
    st.just({"kind": "note", "text": "odd"}),
    st.just({"kind": "heartbeat"}),
)


def good_lines(node: str) -> list[dict]:
    phases = [
        {"kind": "phase", "node": node, "when": when, "cause": "none"}
        for when in ("setup", "call", "teardown")
    ]
    return [{"kind": "start", "node": node}, *phases, {"kind": "end", "node": node}]


def whole(middle: list[dict]) -> list[dict]:
    plan = [{"node": node} for node in NODES]
    lines = [{"kind": "begin"}, {"kind": "plan", "tests": plan}, *middle]
    lines += [{"kind": "checked", "differences": []}, {"kind": "finish", "pytest_status": 0}]
    return [{**line, "seq": n, "wall": 100.0 + n, "mono": float(n)} for n, line in enumerate(lines)]


GOOD = [*good_lines(NODES[0]), *good_lines(NODES[1])]


def test_the_good_run_is_go():
    found = judge_run(Record(tuple(whole(GOOD))))
    assert found.decision is Decision.GO, found.why
    assert found.exit_status == 0
    assert summary(found, "r").startswith("GO  run r: 2 planned: 2 PASSED")


def test_go_needs_every_line_of_the_good_run():
    lines = whole(GOOD)
    for missing in range(len(lines)):
        found = judge_run(Record(tuple(lines[:missing] + lines[missing + 1 :])))
        if lines[missing]["kind"] == "start":
            continue  # a phase is proof enough that it began
        assert found.decision is not Decision.GO, lines[missing]
        assert found.exit_status != 0
    for length in range(len(lines)):
        assert judge_run(Record(tuple(lines[:length]))).exit_status != 0


@given(st.lists(LINES, max_size=8), st.integers(0, len(GOOD)))
def test_whatever_else_happened_go_is_never_given_over_it(extra, where):
    lines = GOOD[:where] + extra + GOOD[where:]
    found = judge_run(Record(tuple(whole(lines))))
    harmless = {"heartbeat", "start", "end"}
    of_the_bench = ("none", "bench", "device")
    odd = [one for one in extra if one["kind"] not in harmless and one.get("cause") not in of_the_bench]
    odd += [one for one in extra if one.get("cause") == "device" and one["when"] != "setup"]
    if odd:
        assert found.decision is not Decision.GO
    if any(one.get("cause") == "product" for one in extra):
        assert found.decision is Decision.NO_GO
    assert (found.exit_status == 0) == (found.decision is Decision.GO) == (not found.why)
    assert summary(found, "r")


@given(st.lists(LINES, max_size=16))
def test_go_means_that_every_test_has_its_proof(lines):
    found = judge_run(Record(tuple(whole(lines))))
    if found.decision is Decision.GO:
        for node in NODES:
            seen = [(x["when"], x["cause"]) for x in lines if x.get("node") == node and "when" in x]
            assert seen[-3:] == [("setup", "none"), ("call", "none"), ("teardown", "none")]
            assert {"kind": "end", "node": node} in lines


# ---- the file


def written(folder: pathlib.Path) -> bytes:
    with Ledger(folder) as ledger:
        for number in range(5):
            ledger.write("note", text=f"böse {number}")
    return ledger.path.read_bytes()


def test_what_is_written_is_read(tmp_path):
    content = written(tmp_path)
    record = read(tmp_path / "ledger.jsonl")
    assert [line["text"] for line in record.lines] == [f"böse {n}" for n in range(5)]
    assert not record.faults
    assert not record.torn
    assert all(json.loads(text)["seq"] == n for n, text in enumerate(content.splitlines()))


def test_every_byte_is_sealed(tmp_path):
    content = written(tmp_path)
    for place in range(len(content) - 1):
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        record = parse(changed)
        assert record.faults or record.torn, place


def test_removed_moved_and_repeated_lines_are_seen(tmp_path):
    lines = written(tmp_path).splitlines(keepends=True)
    for order in itertools.permutations(range(5)):
        if order != (0, 1, 2, 3, 4):
            assert parse(b"".join(lines[n] for n in order)).faults
    for n in range(4):
        assert parse(b"".join(lines[:n] + lines[n + 1 :])).faults
    assert parse(b"".join([*lines, lines[-1]])).faults


def test_torn_last_line_costs_only_itself(tmp_path):
    content = written(tmp_path)
    last = content.rindex(b"\n", 0, -1) + 1
    for end in range(last + 1, len(content)):
        record = parse(content[:end])
        assert record.torn
        assert len(record.lines) == 4
        assert not record.faults


def test_ledger_is_never_written_over(tmp_path):
    written(tmp_path)
    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger(tmp_path)


def test_nothing_is_written_after_a_lost_line(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.write("note", text="kept")
    ledger.close()
    with pytest.raises(LedgerError, match="without a ledger no run counts"):
        ledger.write("note", text="lost")
    assert len(read(ledger.path).lines) == 1
