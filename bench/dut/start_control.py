"""The positive control of a proof by absence: that nothing has started.

"Its first line was not printed" shows that no application started only if that line is printed, heard and
recognised when one does. So the pattern must have matched a start that is known to have been healthy, of this
board and in this run, and the console must have listened all the while.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.dut.console import Line
from bench.errors import Inconclusive

SHOWN = 400
"""Last characters of a healthy start that are shown where no line of it matched."""


class StartControl:
    """Of one board, whose application's first line `pattern` should match."""

    def __init__(self, board: str, pattern: str) -> None:
        self.board, self.pattern = board, pattern
        self._last: Sequence[Line] | None = None

    def saw_healthy_start(self, lines: Sequence[Line]) -> None:
        """What was printed from power-on until the application was seen to run; the last one counts."""
        self._last = tuple(lines)

    def vouch(self, lines: Sequence[Line], missed: str | None) -> None:
        """Raise `Inconclusive` unless the pattern would have matched had an application started.

        `lines` is what was printed, `missed` why there may have been more.
        """
        nothing = f"{self.board}: no line matches console.application = {self.pattern!r}"
        if self._last is None:
            raise Inconclusive(
                f"{nothing}, but no healthy start of this board was seen in this run",
                help="install and commission a good image first, as the fixture `dut` does",
            )
        first = next((n for n, line in enumerate(self._last) if line.search(self.pattern)), None)
        if first is None:
            printed = " | ".join(line.text for line in self._last if line.text.strip()) or "nothing"
            shown = printed if len(printed) <= SHOWN else f"...{printed[-SHOWN:]}"
            raise Inconclusive(
                f"{nothing}, but neither did any line of the last healthy start: it proves nothing",
                help="correct `application` in [console] of the board file: it must match a line that each "
                f"start of an application prints. That start printed: {shown}",
            )
        if missed is not None:
            raise Inconclusive(
                f"{nothing}, but the console may have missed some: {missed}",
                help="look for what took the console's port or its USB adapter away, and run again",
            )
        before = [line for line in self._last[:first] if line.text.strip()]
        if before and not any(line.text.strip() for line in lines):
            raise Inconclusive(
                f"{nothing}, but nothing at all was printed, where a healthy start prints {len(before)} "
                f"lines before it, the first {before[0].text!r}",
                help="check the board's supply and its console's wire: its boot loader was to be heard",
            )
