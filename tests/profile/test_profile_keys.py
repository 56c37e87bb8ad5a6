"""Each key of [profile], each deviation and each capability changes a verdict, both ways.

Real testcases against virtual boards. A device that departs from what most do fails where its board file
does not say so, by the message that is given here, and passes where it does; a device that does right passes
with the same declaration. A capability is the reverse: what no board file promises is not applicable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from profile_rig import Board, Ended, run

from bench.config.profile import CAPABILITIES, DeviationName, Transmission, UpdateProfile

DOCUMENTED = "release notes"


@dataclass(frozen=True)
class Row:
    """`declared` in its board file, a board with `defect` passes `testcases`; with `silent` instead it ends
    as `otherwise` says, with a message that matches. `excused` are the healthy board's, with `declared`."""

    name: str
    kind: str
    testcases: tuple[str, ...]
    declared: Mapping[str, Any]
    message: str
    defect: str | None = None
    silent: Mapping[str, Any] = field(default_factory=dict)
    otherwise: str = "product"
    right: bool = True
    """Whether a healthy board with `declared` passes: not where the key says what the device tells."""


def deviation(name: DeviationName, **limited: str) -> dict[str, Any]:
    return {f"profile.deviations.{name}": {"documented": DOCUMENTED, **limited}}


ROWS = (
    Row(
        "object",
        "esp32",
        ("test_new_image_fails_its_self_test",),
        {"profile.object": "1.1", "profile.failed_update_to": None},
        r"IDLE with result 8 \(UPDATE_FAILED\) is no step of object /5 v1\.0",
        silent={"profile.object": "1.0", "profile.failed_update_to": None},
    ),
    Row(
        "instance",
        "esp32",
        ("test_push_succeeds", "test_readable_resources"),
        {"profile.instance": "/33629/9"},
        r"/5/0.*4\.04|4\.04.*/5/0",
        defect="application-in-33629",
        right=False,
    ),
    Row(
        "delivery-push",
        "nrf9160",
        ("test_push_succeeds", "test_readable_resources", "test_reset_when_downloaded", "test_invalid_uri"),
        {"profile.delivery": ["push"]},
        r"Delivery Method|4\.05|wanted|ended IDLE with result 0",
        defect="push-only",
        right=False,
    ),
    Row(
        "delivery-pull",
        "nrf9160",
        ("test_pull_succeeds", "test_readable_resources", "test_reset_when_downloaded"),
        {"profile.delivery": ["pull"]},
        r"Delivery Method|4\.05|wanted",
        defect="pull-only",
        right=False,
    ),
    Row(
        "push_block",
        "nrf9160",
        ("test_push_succeeds",),
        {"profile.push_block": 64},
        r"PUSH: 4\.13|refused: 4\.13|ended IDLE|wanted",
        defect="small-blocks-alone",
    ),
    Row(
        "transports",
        "nrf9160",
        ("test_pull_succeeds", "test_readable_resources"),
        {"profile.transports": ["coap"]},
        r"result 9 \(UNSUPPORTED_PROTOCOL\)|Protocol Support|went = <update by pull>",
        defect="fetches-over-coap-alone",
    ),
    Row(
        "resets_in",
        "nrf9160",
        ("test_reset_while_downloading",),
        {"profile.resets_in": ["idle", "downloaded"]},
        r"/5/0/[01]: wanted to be taken; answered 4\.05",
        defect="reset-refused-while-downloading",
    ),
    Row(
        "resets_in-ignored",
        "nrf9160",
        ("test_reset_while_downloading",),
        {"profile.resets_in": ["idle", "downloaded"]},
        r"wanted IDLE with result 0 \(INITIAL\); it shows DOWNLOAD",
        defect="empty-uri-ignored-while-downloading",
    ),
    Row(
        "cancels_in",
        "esp32",
        ("test_cancel_when_downloaded",),
        {"profile.cancels_in": ["downloading"]},
        r"Execute /5/0/10: wanted to be taken; answered 4\.05",
        defect="cancel-refused-when-downloaded",
    ),
    Row(
        "failed_update_to",
        "nrf9160",
        ("test_new_image_fails_its_self_test", "test_good_update_after_a_failed_one"),
        {"profile.failed_update_to": "either"},
        r"UPDATING.* -> DOWNLOADED with result 8.*no step|wanted IDLE with result 8; it shows DOWNLOADED",
        defect="failed-update-leads-to-downloaded",
    ),
    Row(
        "resumes_after-outage",
        "esp32",
        ("test_connection_that_breaks", "test_server_that_is_busy_at_first"),
        {"profile.resumes_after": ["reboot"]},
        r"wanted IDLE with result 1; it shows IDLE with result 4",
        defect="gives-up-on-first-failure",
    ),
    Row(
        "resumes_after-reboot",
        "nrf9160",
        ("test_power_cut_during_download", "test_reset_while_downloading pull pin"),
        {},
        r"IDLE with result 0",
        silent={"profile.resumes_after": ["reboot"]},
    ),
    Row(
        "transmission-ack_timeout",
        "nrf9160",
        ("test_retransmission",),
        {"profile.transmission": {"ack_timeout": 0.5, "max_retransmit": 6}},
        r"again after .* s, 8 s is the least",
        defect="repeated-too-soon",
        right=False,
    ),
    Row(
        "transmission-max_retransmit",
        "nrf9160",
        ("test_retransmission",),
        {"profile.transmission": {"max_retransmit": 6}},
        r"MAX_TRANSMIT_SPAN is 45 s",
        defect="repeated-beyond-the-span",
    ),
    Row(
        "transmission-nstart",
        "nrf9160",
        ("test_requests_one_after_the_other",),
        {"profile.transmission": {"nstart": 2}},
        r"open at once: CON GET",
        defect="requests-side-by-side",
    ),
    Row(
        "downloading-not-shown",
        "esp32",
        ("test_push_succeeds",),
        deviation("downloading-not-shown"),
        r"IDLE with result 0 \(INITIAL\) -> DOWNLOADED with result 0|wanted DOWNLOADING -> DOWNLOADED",
        defect="downloading-not-shown",
    ),
    Row(
        "a-deviation-of-the-other-delivery",
        "esp32",
        ("test_push_succeeds",),
        deviation("downloading-not-shown", delivery="push"),
        r"IDLE with result 0 \(INITIAL\) -> DOWNLOADED with result 0|wanted DOWNLOADING -> DOWNLOADED",
        defect="downloading-not-shown",
        silent=deviation("downloading-not-shown", delivery="pull"),
    ),
    Row(
        "updating-not-shown",
        "esp32",
        ("test_push_succeeds", "test_cancel_while_updating"),
        deviation("updating-not-shown"),
        r"DOWNLOADED with result 0 \(INITIAL\) -> IDLE with result 1|wanted .* -> UPDATING",
        defect="updating-not-shown",
    ),
    Row(
        "result-not-cleared",
        "esp32",
        ("test_good_update_after_a_failed_one",),
        deviation("result-not-cleared"),
        r"IDLE with result 8 \(UPDATE_FAILED\) -> DOWNLOADING with result 8",
        defect="result-not-cleared",
    ),
    Row(
        "failed-download-keeps-state",
        "nrf9160",
        ("test_corrupted_image", "test_unsupported_package_type"),
        deviation("failed-download-keeps-state"),
        r"DOWNLOADING with result 0 \(INITIAL\) -> DOWNLOADING with result [56]",
        defect="failed-download-keeps-state",
    ),
    Row(
        "integrity-failure-is-update-failure",
        "nrf9160",
        ("test_corrupted_image",),
        deviation("integrity-failure-is-update-failure"),
        r"wanted IDLE with result 5; it shows IDLE with result 8",
        defect="package-not-checked-after-the-download",
    ),
)


def promise(
    capability: str,
    kind: str,
    defect: str | None,
    *testcases: str,
    message: str = r"shows IDLE with result 1",
) -> Row:
    """A board that takes what its board file promises to refuse."""
    return Row(
        capability,
        kind,
        testcases,
        {f"capabilities.{capability}": True},
        rf"does not list the capability '{capability}'",
        defect=defect,
        silent={f"capabilities.{capability}": None},
        otherwise=message,
    )


PROMISES = (
    promise(
        "anti-rollback",
"nrf9160",
"security-counter-not-checked",
"test_hostile_image_is_refused lower-counter",
    ),
    promise(
        "downgrade-prevention", "nrf9160", "downgrade-accepted", "test_no_way_back_to_a_lower_version",
    ),
    promise(
        "dependencies", "nrf9160", "dependency-not-checked", "test_hostile_image_is_refused dependency-unmet",
    ),
    promise(
        "signature", "nrf9160", "signature-not-checked", "test_hostile_image_is_refused flip-signature",
    ),
    promise(
        "board-check", "nrf9160", "board-not-checked", "test_image_for_another_board",
    ),
    promise(
        "appended-hash", "esp32", None, "test_hostile_image_is_refused bad-sha256-signed",
    ),
    promise(
        "trailer-check",
"nrf9160",
"package-may-fill-the-slot",
"test_hostile_image_is_refused leftover-trailer",
message=r"'1\.1\.0' == '1\.0\.0'",
    ),
    promise(
        "keeps-settings",
        "nrf9160",
        "lifetime-forgotten-by-the-update",
        "test_settings_survive_a_rollback self-test-fails",
        message=r"'lifetime': ",
    ),
    promise(
        "verified-boot",
        "nrf9160",
        "primary-slot-not-validated",
        "test_hostile_image_in_the_primary_slot_does_not_run wrong-key",
        message="Booting application v1",
    ),
)  # fmt: skip

ABILITIES = {
    "readback": ("nrf9160", "test_discarded_package_is_gone"),
    "exhaust-ram": ("nrf9160", "test_out_of_memory"),
    "defer": ("esp32", "test_deferral_forbidden"),
    "send": ("nrf9160", "test_send_instead_of_notifications"),
    "outage": ("nrf9160", "test_short_outage"),
    "reset-pin": ("nrf9160", "test_reset_in_idle pin"),
    "reset-debugger": ("nrf9160", "test_reset_in_idle debugger"),
    "reset-watchdog": ("nrf9160", "test_reset_in_idle watchdog"),
    "signal": ("nrf9160", "test_no_push_below_the_threshold"),
    "components": ("nrf9160", "test_inventory"),
    "bootstrap": ("nrf9160", "test_account_is_learned"),
    "host-names": ("nrf9160", "test_host_name small coap"),
    "ipv6": ("nrf9160", "test_ipv6_address coap"),
}
"""Capabilities without which the bench cannot do what a testcase needs: board, and such a testcase."""


def boards_of(rows: Sequence[Row], which: str, keys: str) -> list[Board]:
    return [
        Board(
            f"{row.name}.{which}".replace(".", "-"),
            row.kind,
            getattr(row, keys),
            row.testcases,
        )
        for row in rows
    ]


def assert_all(ended: Mapping[str, Ended], cause: str) -> None:
    assert ended, "no testcase ran"
    assert {test: e for test, e in ended.items() if e.cause not in (cause, "not applicable")} == {}
    assert cause in {e.cause for e in ended.values()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_departure_fails_only_where_it_is_not_declared(row: Row, tmp_path: Path) -> None:
    boards = boards_of([row], "declared", "declared") + boards_of([row], "silent", "silent")
    ended = run(tmp_path, boards, row.defect)
    assert_all(ended[boards[0].name], "passed")
    failed = [e.message for e in ended[boards[1].name].values() if e.cause == "product"]
    assert failed, ended[boards[1].name]
    assert all(re.search(row.message, message, re.DOTALL) for message in failed), failed


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: row.name)
def test_a_promise_that_is_not_kept_fails_only_where_it_is_made(row: Row, tmp_path: Path) -> None:
    boards = boards_of([row], "promised", "declared") + boards_of([row], "silent", "silent")
    ended = run(tmp_path, boards, row.defect)
    for e in ended[boards[0].name].values():
        assert e.cause == "product", e
        assert re.search(row.otherwise, e.message), e.message
    for e in ended[boards[1].name].values():
        assert e.cause == "not applicable", e
        assert re.search(row.message, e.message), e.message
    assert all(ended.values()), ended


def test_a_device_that_does_right_passes_whatever_is_declared(tmp_path: Path) -> None:
    """One run of all of them."""
    rows = [row for row in (*ROWS, *PROMISES) if row.right and row.defect is not None]
    boards = boards_of(rows, "right", "declared")
    ended = run(tmp_path, boards)
    for board in boards:
        assert_all(ended[board.name], "passed")


def test_what_a_board_cannot_do_is_not_applicable_and_says_so(tmp_path: Path) -> None:
    boards = [
        Board(f"lacking{number}", kind, {f"capabilities.{name}": None}, (test,))
        for number, (name, (kind, test)) in enumerate(ABILITIES.items())
    ]
    ended = run(tmp_path, boards)
    for board, name in zip(boards, ABILITIES, strict=True):
        assert ended[board.name], f"no testcase for {name}"
        for e in ended[board.name].values():
            assert e.cause == "not applicable", e
            assert f"does not list the capability '{name}'" in e.message


def test_what_cannot_be_done_is_known_before_anything_is_written(tmp_path: Path) -> None:
    """By the keys of the board file, and by what the bench file does not give."""
    lacking = ("supply.dead", "supply.low", "supply.weak", "console.application", "board.flash_endurance")
    testcases = (
        "test_brown_outs",
        "test_brownout_during_download",
        "test_hostile_image_in_the_primary_slot_does_not_run wrong-key",
        "test_wear",
        "test_bad_path loss",
    )
    ended = run(tmp_path, [Board("bare", "nrf9160", dict.fromkeys(lacking), testcases)])["bare"]
    assert {name.partition("[")[0] for name in ended} == {test.split()[0] for test in testcases}
    assert {e.cause for e in ended.values()} == {"not applicable"}, ended
    timeline = tmp_path / "results" / "timeline.jsonl"
    assert not timeline.exists() or "install the baseline" not in timeline.read_text("utf-8")


def test_power_saving_is_what_the_floor_rests_on(tmp_path: Path) -> None:
    """The capability `psm` is used where a board has it: without it the same board does not rest as deep."""
    test = "test_floor_after_an_update_that succeeds"
    boards = [
        Board("saving", "nrf9160", {}, (test,)),
        Board("awake", "nrf9160", {"capabilities.psm": None}, (test,)),
    ]
    ended = run(tmp_path, boards)
    # the name fits PUSH and PULL
    assert {e.cause for e in ended["saving"].values()} == {"passed"}, ended
    assert {e.cause for e in ended["awake"].values()} == {"product"}, ended


def test_nothing_is_left_out() -> None:
    """Every key, deviation and capability has its row here."""
    named = {key.split(".", 2)[1] for row in ROWS for key in {**row.declared, **row.silent}}
    assert {*UpdateProfile.model_fields} == named
    deviations = {row.name for row in ROWS} & set(DeviationName.__args__)  # type: ignore[attr-defined]
    assert deviations == set(DeviationName.__args__)  # type: ignore[attr-defined]
    assert {row.name for row in PROMISES} | {*ABILITIES, "psm"} == set(CAPABILITIES)


def test_what_follows_from_the_parameters_is_as_the_rfc_has_it() -> None:
    """RFC 7252, 4.8.2, its table of derived values."""
    usual = Transmission()
    assert (usual.span, usual.wait, usual.lifetime) == (45.0, 93.0, 247.0)
