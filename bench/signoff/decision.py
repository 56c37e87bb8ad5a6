"""What a sign-off can say, and the exit status that goes with it."""

from __future__ import annotations

from enum import StrEnum


class Decision(StrEnum):
    """Only GO releases a product without a further word."""

    GO = "GO"
    WITH_WAIVERS = "GO WITH WAIVERS"
    VIRTUAL = "VIRTUAL BENCH"
    """Everything holds, but no product was there: it releases nothing."""
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_status(self) -> int:
        return EXIT_STATUS[self]


EXIT_STATUS = {
    Decision.GO: 0,
    Decision.NO_GO: 1,
    Decision.INCONCLUSIVE: 6,
    Decision.WITH_WAIVERS: 7,
    Decision.VIRTUAL: 8,
}
"""2 to 5 are as of a run: wrong usage, a fault of the bench."""

MEANING = {
    Decision.GO: "Every planned test passed or does not apply, and nothing speaks against it.",
    Decision.WITH_WAIVERS: "What failed is covered by waivers; their approvers answer for it.",
    Decision.VIRTUAL: "Not a release: this was a virtual bench, and no product was tested.",
    Decision.NO_GO: "The product failed.",
    Decision.INCONCLUSIVE: "What was shown is not enough for a release.",
}


def decide(failures: bool, doubts: bool, virtual: bool, waived: bool) -> Decision:
    """Default deny: the worst that is true."""
    if failures:
        return Decision.NO_GO
    if doubts:
        return Decision.INCONCLUSIVE
    if virtual:
        return Decision.VIRTUAL
    return Decision.WITH_WAIVERS if waived else Decision.GO
