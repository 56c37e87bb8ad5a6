"""The paper of a sign-off: pages, type, colours, tables."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from fpdf import FPDF
from fpdf.enums import TableBordersLayout, TableCellFillMode, XPos, YPos
from fpdf.fonts import FontFace

Colour = tuple[int, int, int]
COLOURS: dict[str, Colour] = {
    "GO": (22, 122, 62),
    "GO WITH WAIVERS": (158, 98, 0),
    "VIRTUAL BENCH": (64, 84, 124),
    "NO-GO": (178, 28, 36),
    "INCONCLUSIVE": (122, 72, 138),
}
BLACK: Colour = (26, 26, 30)
GREY: Colour = (98, 102, 110)
LIGHT: Colour = (240, 241, 244)
OF_STATUS = {
    "PASSED": "GO",
    "used": "GO WITH WAIVERS",
    "WAIVED": "GO WITH WAIVERS",
    "FAILED": "NO-GO",
    "FLAKY_PASS": "NO-GO",
    "REFUSED": "NO-GO",
    "NOT COVERED": "NO-GO",
    "NOT PROVED": "INCONCLUSIVE",
}
"""Cells that begin with one of these are in the colour of the decision that they lead to."""
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
"""DejaVu comes with matplotlib: it has the letters that names and test IDs may hold."""
FAMILY = "DejaVu"
MARGIN = 16.0
"""Millimetres."""


class Sheet:
    """Write from top to bottom; lengths in millimetres, sizes of type in points."""

    def __init__(self, title: str, made: datetime.datetime, decision: str) -> None:
        self._pdf = _Paper(title, decision, made)
        self._width = self._pdf.epw

    def add_page(self) -> None:
        self._pdf.add_page()

    def save(self, file: Path) -> None:
        """Raises `OSError`."""
        file.write_bytes(bytes(self._pdf.output()))

    def banner(self, above: str, decision: str, below: str) -> None:
        """The decision, to be read from the other end of the room."""
        pdf, height = self._pdf, 34.0
        top = max(MARGIN - 4, pdf.get_y()) if pdf.get_y() > MARGIN else MARGIN - 4
        pdf.set_fill_color(*COLOURS[decision])
        pdf.rect(MARGIN, top, self._width, height, style="F")
        pdf.set_text_color(255, 255, 255)
        for y, size, style, text in ((4, 9, "", above), (10, 27, "B", decision), (24.5, 9.5, "", below)):
            pdf.set_xy(MARGIN + 6, top + y)
            pdf.set_font(FAMILY, style, size)
            pdf.cell(self._width - 12, size * 0.45, text)
        pdf.set_xy(MARGIN, top + height + 4)
        pdf.set_text_color(*BLACK)

    def strip(self, texts: Sequence[str]) -> None:
        """What is said before anything else, white on black."""
        pdf = self._pdf
        pdf.set_xy(MARGIN, MARGIN - 4)
        pdf.set_fill_color(*BLACK)
        pdf.set_text_color(255, 255, 255)
        pdf.set_font(FAMILY, "B", 10)
        for text in texts:
            pdf.multi_cell(0, 6.5, f" {text}", new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L", fill=True)
        pdf.set_text_color(*BLACK)
        pdf.ln(2)

    def tiles(self, tiles: Sequence[tuple[str, str, str]]) -> None:
        """Figures side by side: the figure, what it is, and whose colour it has."""
        pdf, gap, height = self._pdf, 2.0, 16.0
        width = (self._width - gap * (len(tiles) - 1)) / len(tiles)
        top = pdf.get_y()
        for number, (figure, text, of) in enumerate(tiles):
            left = MARGIN + number * (width + gap)
            pdf.set_fill_color(*LIGHT)
            pdf.rect(left, top, width, height, style="F")
            pdf.set_text_color(*COLOURS.get(of, BLACK))
            pdf.set_font(FAMILY, "B", 15)
            if pdf.get_string_width(figure) > width - 3:
                pdf.set_font(FAMILY, "B", 15 * (width - 3) / pdf.get_string_width(figure))
            pdf.set_xy(left, top + 2.2)
            pdf.cell(width, 7, figure, align="C")
            pdf.set_text_color(*GREY)
            pdf.set_font(FAMILY, "", 6.6)
            pdf.set_xy(left, top + 10)
            pdf.cell(width, 4, text, align="C")
        pdf.set_text_color(*BLACK)
        pdf.set_xy(MARGIN, top + height + 4)

    def chapter(self, text: str) -> None:
        pdf = self._pdf
        if pdf.get_y() > pdf.eph - 40:
            pdf.add_page()
        elif pdf.get_y() > MARGIN + 5:
            pdf.ln(6)
        pdf.set_font(FAMILY, "B", 13)
        pdf.cell(0, 8, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        pdf.set_draw_color(*GREY)
        pdf.line(MARGIN, pdf.get_y(), MARGIN + self._width, pdf.get_y())
        pdf.ln(1)

    def heading(self, text: str) -> None:
        pdf = self._pdf
        if pdf.get_y() > pdf.eph - 14:  # not alone at the end of a page
            pdf.add_page()
        pdf.ln(2)
        pdf.set_font(FAMILY, "B", 9.5)
        pdf.multi_cell(0, 5.5, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def note(self, text: str) -> None:
        self._pdf.set_text_color(*GREY)
        self.small(text)
        self._pdf.set_text_color(*BLACK)

    def small(self, text: str) -> None:
        self._pdf.set_font(FAMILY, "", 7.5)
        self._pdf.multi_cell(0, 4, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")

    def points(self, texts: Sequence[str], colour: Colour) -> None:
        """A list; each as long as it is."""
        pdf = self._pdf
        for text in texts:
            shown = " ".join(text.split())
            pdf.set_font(FAMILY, "", 8.5)
            pdf.set_text_color(*colour)
            pdf.cell(4, 4.6, "■")
            pdf.set_text_color(*BLACK)
            pdf.multi_cell(0, 4.6, shown, new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")
            pdf.ln(0.6)

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and values, without lines."""
        pdf = self._pdf
        for name, value in rows:
            pdf.set_font(FAMILY, "", 8)
            pdf.set_text_color(*GREY)
            pdf.cell(28, 4.5, name)
            pdf.set_text_color(*BLACK)
            pdf.multi_cell(0, 4.5, value, new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
        """The head is repeated on each page."""
        pdf = self._pdf
        pdf.set_font(FAMILY, "", 7)
        pdf.set_draw_color(205, 207, 212)
        pdf.set_fill_color(255, 255, 255)
        style = FontFace(emphasis="BOLD", color=BLACK, fill_color=LIGHT)
        with pdf.table(
            col_widths=tuple(widths),
            headings_style=style,
            line_height=3.7,
            padding=(0.8, 1.2),
            text_align="LEFT",
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            cell_fill_mode=TableCellFillMode.NONE,
        ) as table:
            table.row(list(head))
            for row in rows:
                line = table.row()
                for text in row:
                    line.cell(text, style=_style_of(text))
        pdf.ln(1)


def _style_of(text: str) -> FontFace | None:
    for status, decision in OF_STATUS.items():
        if text.startswith(status):
            return FontFace(emphasis="BOLD", color=COLOURS[decision])
    return None


class _Paper(FPDF):
    """A4; each page says at its foot what it belongs to."""

    def __init__(self, title: str, decision: str, made: datetime.datetime) -> None:
        super().__init__(format="A4")
        self._foot = f"{title} · {made:%Y-%m-%d %H:%M} UTC"
        self._colour = COLOURS[decision]
        for style, name in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
            self.add_font(FAMILY, style, FONTS / name)
        self.set_title(title)
        self.set_creator("lwm2m-fota-bench")
        self.set_creation_date(made)
        self.set_margin(MARGIN)
        self.set_auto_page_break(True, margin=MARGIN + 2)

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font(FAMILY, "", 7)
        self.set_text_color(*GREY)
        self.cell(0, 4, self._foot)
        self.set_x(MARGIN)
        self.cell(0, 4, f"page {self.page_no()} of {{nb}}", align="R")
        self.set_text_color(*BLACK)
